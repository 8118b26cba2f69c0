//! Replay of one log in one bundle: genesis, keys, leaves, tiles, checkpoints; records go to [`crate::records`].

use std::collections::BTreeMap;

use cresset_crypto::Verifier;
use cresset_policy::BundleSet;
use cresset_protocol::codec;
use cresset_protocol::ids::{ConsortiumId, HubId, LogId, NodeHash, TreeSize, UnixSeconds};
use cresset_protocol::limits::SHARE_BYTES_MAX;
use cresset_protocol::log::bundle::{BundleError, BundledLog, LogPaths, Sidecar, decode_leaves, leaf_bundles};
use cresset_protocol::log::checkpoint::{NoteError, SignedCheckpoint};
use cresset_protocol::log::manifest::{LogManifest, log_id_of};
use cresset_protocol::log::public::GenesisShare;
use cresset_protocol::log::tile::TILE_WIDTH;
use cresset_protocol::membership::chain::RosterChain;
use cresset_protocol::membership::roster::{HubStatus, LogEntry};
use cresset_protocol::signing::LogKeys;
use thiserror::Error;

use crate::bundle::{Bundle, BundleFault};
use crate::finding::Findings;
use crate::journey::Journeys;
use crate::membership::log_entry;
use crate::records::{Records, RecordsReplay, Statements};
use crate::tiles::{ReplayedTree, TreeBuilder, TreeFault, raw_leaves};
use crate::verdict::Verdict;
use crate::words::chain;

/// What every log of a replay is judged by.
pub(crate) struct Context<'a> {
    pub(crate) consortium: ConsortiumId,
    pub(crate) chain: Option<RosterChain>,
    /// The replica of every log that other logs' statements are compared with.
    pub(crate) trees: BTreeMap<LogId, ReplayedTree<'a>>,
    pub(crate) policies: BundleSet,
    pub(crate) public_only: bool,
    pub(crate) until: Option<UnixSeconds>,
}

/// What all logs of a replay add to.
#[derive(Default)]
pub(crate) struct Gathered {
    pub(crate) findings: Findings,
    pub(crate) journeys: Journeys,
    pub(crate) statements: Statements,
}

/// Whose log it is, as the roster says.
#[derive(Clone, Debug)]
pub(crate) struct Owner {
    pub(crate) hub: HubId,
    pub(crate) domain: String,
    pub(crate) country: String,
    pub(crate) active: bool,
}

/// A log that was replayed to its end.
pub(crate) struct LogReplay {
    pub(crate) listed: BundledLog,
    pub(crate) owner: Option<Owner>,
    pub(crate) keys: LogKeys,
    pub(crate) root: NodeHash,
    pub(crate) checkpoints: u64,
    /// Time stamp of the newest checkpoint.
    pub(crate) newest: UnixSeconds,
    pub(crate) continues: bool,
    pub(crate) records: RecordsReplay,
}

/// Replays a log; `None` if it cannot be followed to its end, for a reason that is among the findings.
pub(crate) fn replay<'a>(
    cx: &Context<'a>,
    bundle: &'a Bundle<'a>,
    listed: &BundledLog,
    gathered: &mut Gathered,
) -> Option<LogReplay> {
    match Replay::start(cx, bundle, listed, gathered).and_then(|replay| replay.run(gathered)) {
        Ok(replay) => Some(replay),
        Err(fault) => {
            gathered.findings.of_log(Verdict::Invalid, &listed.log, chain(&fault));
            None
        }
    }
}

struct Replay<'a, 'c> {
    cx: &'c Context<'a>,
    bundle: &'a Bundle<'a>,
    listed: BundledLog,
    paths: LogPaths,
    manifest: LogManifest,
    entry: Option<LogEntry>,
    owner: Option<Owner>,
    tree: TreeBuilder<'a>,
    checkpoints: u64,
    newest: Option<(SignedCheckpoint, Vec<u8>)>,
}

impl<'a, 'c> Replay<'a, 'c> {
    fn start(
        cx: &'c Context<'a>,
        bundle: &'a Bundle<'a>,
        listed: &BundledLog,
        gathered: &mut Gathered,
    ) -> Result<Self, LogFault> {
        let paths = LogPaths(listed.log);
        let manifest = genesis(bundle, listed)?;
        if manifest.consortium != cx.consortium {
            return Err(LogFault::Genesis("its manifest names another consortium"));
        }
        if manifest.origin != listed.origin || !manifest.is_coherent() {
            return Err(LogFault::Genesis("its manifest does not fit its origin"));
        }
        let rostered = cx.chain.as_ref().and_then(|chain| log_entry(chain, &listed.log));
        let (mut owner, mut entry) = (None, None);
        if let Some((hub, log)) = rostered {
            let first = log.keys.first().map(|period| &period.keys);
            if log.origin != listed.origin.as_str() || hub.id != manifest.hub || first != Some(&manifest.keys) {
                return Err(LogFault::Genesis("roster and manifest do not agree on it"));
            }
            let current = cx.chain.as_ref().map(RosterChain::current);
            let active = current.and_then(|roster| roster.hub(&hub.id).map(|hub| hub.status == HubStatus::Active));
            owner = Some(Owner {
                hub: hub.id,
                domain: hub.domain.clone(),
                country: hub.country.to_string(),
                active: active.unwrap_or(false),
            });
            entry = Some(log.clone());
        } else if cx.chain.is_some() {
            gathered.findings.of_log(Verdict::Unanchored, &listed.log, "no roster of the consortium lists this log");
        }
        let tree = TreeBuilder::new(bundle, paths);
        let listed = listed.clone();
        Ok(Self { cx, bundle, listed, paths, manifest, entry, owner, tree, checkpoints: 0, newest: None })
    }

    fn run(mut self, gathered: &mut Gathered) -> Result<LogReplay, LogFault> {
        let prefix = format!("logs/{}/checkpoints/", self.listed.log);
        let mut checkpoints = self.bundle.below(&prefix).map(str::to_owned).peekable();
        let by = self.owner.as_ref().map_or_else(|| self.listed.log.to_string(), |owner| owner.domain.clone());
        let mut records =
            Records::new(self.cx, self.bundle, &self.listed, by, self.owner.clone(), self.manifest.prologue.clone());
        for (number, width) in leaf_bundles(self.listed.size) {
            let bytes = self.bundle.require(&self.paths.leaves(number, width))?;
            let leaves = decode_leaves(&bytes)?;
            if leaves.len() as u64 != width {
                return Err(LogFault::Layout(BundleError::Count(leaves.len())));
            }
            let sidecar = self.bundle.read(&self.paths.sidecar(number, width))?;
            let sidecar = sidecar.map(|bytes| Sidecar::decode(&bytes)).transpose()?;
            if sidecar.iter().flat_map(|sidecar| &sidecar.items).any(|item| u64::from(item.position) >= width) {
                return Err(LogFault::Layout(BundleError::Sidecar));
            }
            for (position, (leaf, raw)) in (0u8..=u8::MAX).zip(leaves.iter().zip(raw_leaves(&bytes))) {
                self.tree.append(raw)?;
                while let Some(path) = checkpoints.next_if(|path| size_of(path) == Some(self.tree.size())) {
                    self.checkpoint(&path)?;
                }
                let index = number * TILE_WIDTH + u64::from(position);
                let item = sidecar.as_ref().and_then(|sidecar| sidecar.get(position));
                records.take(index, leaf, item, &self.tree, gathered)?;
            }
        }
        if let Some(path) = checkpoints.next() {
            return Err(LogFault::StrayCheckpoint(path));
        }
        self.tree.finish()?;
        let newest = self.bundle.require(&self.paths.checkpoint())?;
        let (checkpoint, note) = self.newest.take().ok_or(LogFault::NoCheckpoint)?;
        if note != newest || checkpoint.checkpoint.size != self.listed.size {
            return Err(LogFault::NoCheckpoint);
        }
        let keys = self.keys_at(checkpoint.timestamp).cloned().unwrap_or_else(|| self.manifest.keys.clone());
        let records = records.finish(gathered)?;
        Ok(LogReplay {
            listed: self.listed,
            owner: self.owner,
            keys,
            root: checkpoint.checkpoint.root,
            checkpoints: self.checkpoints,
            newest: checkpoint.timestamp,
            continues: self.manifest.prologue.is_some(),
            records,
        })
    }

    /// A stored checkpoint: both signatures by the keys of its time, over the root of exactly the leaves so far.
    fn checkpoint(&mut self, path: &str) -> Result<(), LogFault> {
        let refused = |source| LogFault::Checkpoint { path: path.to_owned(), source };
        let bytes = self.bundle.require(path)?;
        let note = std::str::from_utf8(&bytes).map_err(|_| refused(NoteError::Checkpoint))?;
        let (_, time) = SignedCheckpoint::claims(note).map_err(refused)?;
        let keys = self.keys_at(time).ok_or_else(|| LogFault::NoKeys { path: path.to_owned(), time })?;
        let signed = SignedCheckpoint::open(note, &self.listed.origin, keys, &Verifier).map_err(refused)?;
        if signed.checkpoint.size.0 != self.tree.size() || signed.checkpoint.root != self.tree.root()? {
            return Err(LogFault::Root(path.to_owned()));
        }
        self.checkpoints += 1;
        self.newest = Some((signed, bytes));
        Ok(())
    }

    fn keys_at(&self, time: UnixSeconds) -> Option<&LogKeys> {
        match &self.entry {
            Some(entry) => entry.keys_at(time),
            // Unanchored: the log's word for its own keys is all there is.
            None => Some(&self.manifest.keys),
        }
    }
}

fn size_of(path: &str) -> Option<u64> {
    path.rsplit('/').next()?.parse().ok()
}

/// The manifest out of the first leaf. That the opening is the leaf's is checked with all others.
fn genesis(bundle: &Bundle<'_>, listed: &BundledLog) -> Result<LogManifest, LogFault> {
    let paths = LogPaths(listed.log);
    let Some((number, width)) = leaf_bundles(listed.size).next() else {
        return Err(LogFault::Genesis("it has no leaves"));
    };
    let sidecar = Sidecar::decode(&bundle.require(&paths.sidecar(number, width))?)?;
    let opening = sidecar.get(0).and_then(|item| item.opening.as_ref());
    let opening = opening.ok_or(LogFault::Genesis("its first leaf does not open"))?;
    let share: GenesisShare = codec::decode(&opening.share, SHARE_BYTES_MAX)
        .map_err(|_| LogFault::Genesis("its first leaf is no GENESIS"))?;
    if log_id_of(&share.manifest) != listed.log {
        return Err(LogFault::Genesis("its manifest is another log's"));
    }
    let manifest = LogManifest::decode(&share.manifest);
    Ok(manifest.map_err(|_| LogFault::Genesis("its manifest cannot be read"))?.into_value())
}

/// The tree of a log as its tiles give it, for statements of other logs.
pub(crate) fn tree_of<'a>(bundle: &'a Bundle<'a>, log: LogId, size: TreeSize) -> ReplayedTree<'a> {
    ReplayedTree::new(bundle, LogPaths(log), size)
}

/// Why a log cannot be followed to its end.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub(crate) enum LogFault {
    #[error(transparent)]
    Bundle(#[from] BundleFault),
    #[error(transparent)]
    Layout(#[from] BundleError),
    #[error(transparent)]
    Tree(#[from] TreeFault),
    #[error("log does not begin as it must: {0}")]
    Genesis(&'static str),
    #[error("checkpoint `{path}`")]
    Checkpoint { path: String, source: NoteError },
    #[error("checkpoint `{path}` is dated {time}, outside every key period")]
    NoKeys { path: String, time: UnixSeconds },
    #[error("checkpoint `{0}` is not over these leaves")]
    Root(String),
    #[error("`{0}` is the checkpoint of no size that the log has")]
    StrayCheckpoint(String),
    #[error("the newest checkpoint is not over all leaves")]
    NoCheckpoint,
}
