//! A log built in memory: leaves, openings, checkpoints, and its files in a bundle.

use std::collections::BTreeMap;

use cresset_protocol::codec::{self, Canonical};
use cresset_protocol::envelope::header_digest_of_wire;
use cresset_protocol::ids::{
    Binding, Commitment, ConsortiumId, HubId, LeafIndex, LogId, NodeHash, TreeSize, UnixSeconds,
};
use cresset_protocol::log::bundle::{BundledLog, LogPaths, Sidecar, SidecarItem, encode_leaves, leaf_bundles};
use cresset_protocol::log::checkpoint::{Checkpoint, Origin, SignedCheckpoint};
use cresset_protocol::log::heads::{HeadsTable, LogHead};
use cresset_protocol::log::kinds::KindTag;
use cresset_protocol::log::leaf::{Leaf, LeafFlags, LeafKind};
use cresset_protocol::log::manifest::{LogManifest, Prologue};
use cresset_protocol::log::merkle::{MemoryTree, NodeSource, root_of};
use cresset_protocol::log::public::{GenesisShare, HeadsShare, PublicShare};
use cresset_protocol::log::record::{AuditPart, Blinding, Opening, empty_audit};
use cresset_protocol::log::tile::{TILE_HEIGHT, TILE_WIDTH, tiles_of};
use cresset_protocol::membership::snapshot::VerifiedRoster;
use cresset_protocol::suite::Suite;

use super::signers::Signer;

pub const START: u64 = 1_790_000_000;

pub struct Log {
    pub consortium: ConsortiumId,
    pub id: LogId,
    pub origin: Origin,
    pub signer: Signer,
    pub tree: MemoryTree,
    pub leaves: Vec<Leaf>,
    pub beside: BTreeMap<u64, SidecarItem>,
    pub audits: BTreeMap<u64, AuditPart>,
    pub notes: BTreeMap<u64, String>,
    pub evidence: Vec<Vec<u8>>,
    manifest: Vec<u8>,
    heads: HeadsTable,
}

/// What a private record is made of.
pub struct Record<'r> {
    pub kind: LeafKind,
    pub flags: LeafFlags,
    pub share: &'r [u8],
    pub audit: &'r [u8],
}

impl Log {
    pub fn plan(consortium: ConsortiumId, hub: HubId, domain: &str, prologue: Option<Prologue>) -> Self {
        let signer = Signer::log();
        let generation = prologue.as_ref().map_or(1, |before| before.origin.generation() + 1);
        let origin = Origin::new(domain, generation).unwrap();
        let manifest = Canonical::new(LogManifest {
            consortium,
            hub,
            origin: origin.clone(),
            keys: signer.log_keys(),
            prologue,
            created: UnixSeconds(START),
        });
        Self {
            consortium,
            id: LogManifest::log_id(&manifest),
            origin,
            signer,
            tree: MemoryTree::new(),
            leaves: Vec::new(),
            beside: BTreeMap::new(),
            audits: BTreeMap::new(),
            notes: BTreeMap::new(),
            evidence: Vec::new(),
            manifest: manifest.bytes().to_vec(),
            heads: HeadsTable::new(),
        }
    }

    pub fn size(&self) -> u64 {
        self.leaves.len() as u64
    }

    pub fn hash(&self, index: u64) -> NodeHash {
        self.leaves[index as usize].hash()
    }

    pub fn push(&mut self, leaf: Leaf, header: Option<Vec<u8>>, opening: Option<Opening>) -> u64 {
        let index = self.size();
        self.tree.append(leaf.hash());
        self.leaves.push(leaf);
        if header.is_some() || opening.is_some() {
            self.beside.insert(index, SidecarItem { position: (index % TILE_WIDTH) as u8, header, opening });
        }
        index
    }

    pub fn genesis(&mut self) {
        for copy in 0..2 {
            let manifest = self.manifest.clone();
            self.public(PublicShare::Genesis(GenesisShare { kind: KindTag, suite: Suite::Hybrid2026, copy, manifest }));
        }
    }

    pub fn public(&mut self, share: PublicShare) -> u64 {
        let binding = share.binding().unwrap();
        self.public_bound(share, binding)
    }

    pub fn public_bound(&mut self, share: PublicShare, binding: Binding) -> u64 {
        let (kind, flags) = (share.leaf_kind(), LeafFlags::default());
        let opening = self.opening(&share.to_bytes(), empty_audit(self.blinding(2)).inner_mac());
        let commitment = opening.commitment(&self.consortium, &self.id, kind, flags);
        let leaf = Leaf { kind, flags, time: self.now(), commitment, binding };
        self.push(leaf, None, Some(opening))
    }

    pub fn private(&mut self, record: Record<'_>) -> u64 {
        let binding = Binding([7; 32]);
        self.private_bound(record, binding)
    }

    pub fn private_bound(&mut self, record: Record<'_>, mut binding: Binding) -> u64 {
        let header = record.flags.header_follows.then(|| vec![0xa1, 0x02, 0x18, 0x63]);
        if let Some(wire) = &header {
            binding = Binding(header_digest_of_wire(wire, &self.consortium, &self.id).unwrap().0);
        }
        let audit = AuditPart { r2: self.blinding(3), audit: record.audit.to_vec() };
        let opening = self.opening(record.share, audit.inner_mac());
        let commitment = opening.commitment(&self.consortium, &self.id, record.kind, record.flags);
        let leaf = Leaf { kind: record.kind, flags: record.flags, time: self.now(), commitment, binding };
        let index = self.push(leaf, header, Some(opening));
        self.audits.insert(index, audit);
        index
    }

    /// Leaves that nobody opens.
    pub fn noise(&mut self, count: u64) {
        for _ in 0..count {
            let n = self.size();
            let commitment = Commitment(cresset_protocol::log::merkle::leaf_hash(&n.to_be_bytes()).0);
            let (kind, flags) = (LeafKind::Private, LeafFlags::default());
            self.push(
                Leaf { kind, flags, time: UnixSeconds(START), commitment, binding: Binding([1; 32]) },
                None,
                None,
            );
        }
    }

    /// Confirms other logs at their newest checkpoints.
    pub fn heads(&mut self, others: &[&Log], roster: &VerifiedRoster) -> u64 {
        let heads = others.iter().map(|other| {
            let size = TreeSize(*other.notes.keys().last().unwrap());
            LogHead { log: other.id, size, root: root_of(&other.tree, size).unwrap() }
        });
        self.state_heads(heads.collect(), roster)
    }

    pub fn state_heads(&mut self, mut heads: Vec<LogHead>, roster: &VerifiedRoster) -> u64 {
        heads.sort();
        heads.iter().for_each(|head| {
            self.heads.advance(*head);
        });
        let share = PublicShare::Heads(HeadsShare {
            kind: KindTag,
            suite: Suite::Hybrid2026,
            heads,
            roster_version: roster.version(),
            roster_digest: roster.digest(),
        });
        let root = self.heads.root();
        self.public_bound(share, root)
    }

    pub fn checkpoint(&mut self) {
        let root = self.tree.root();
        self.checkpoint_of(root, self.now());
    }

    pub fn checkpoint_of(&mut self, root: NodeHash, timestamp: UnixSeconds) {
        let checkpoint = Checkpoint { origin: self.origin.clone(), size: TreeSize(self.size()), root };
        let note = self.note(checkpoint, timestamp);
        self.notes.insert(self.size(), note);
    }

    pub fn note(&self, checkpoint: Checkpoint, timestamp: UnixSeconds) -> String {
        let signatures = self.signer.sign_log(checkpoint.bytes_to_sign(timestamp).as_bytes());
        SignedCheckpoint { checkpoint, timestamp, signatures }.to_note(&self.signer.log_keys())
    }

    pub fn listed(&self, size: u64, own: bool) -> BundledLog {
        BundledLog { log: self.id, origin: self.origin.clone(), size: TreeSize(size), own }
    }

    /// The files of this log up to a checkpoint.
    pub fn files(&self, size: u64, own: bool, out: &mut BTreeMap<String, Vec<u8>>) {
        let paths = LogPaths(self.id);
        for (at, note) in self.notes.range(..=size) {
            out.insert(paths.checkpoint_at(TreeSize(*at)), note.clone().into_bytes());
            out.insert(paths.checkpoint(), note.clone().into_bytes());
        }
        for (tile, width) in tiles_of(TreeSize(size)) {
            let node = |i| self.tree.node(tile.level * TILE_HEIGHT, tile.index * TILE_WIDTH + i).unwrap().0;
            out.insert(paths.tile(tile, width), (0..width).flat_map(node).collect());
        }
        for (n, width) in leaf_bundles(TreeSize(size)) {
            let (start, end) = (n * TILE_WIDTH, n * TILE_WIDTH + width);
            out.insert(paths.leaves(n, width), encode_leaves(&self.leaves[start as usize..end as usize]));
            let items: Vec<SidecarItem> =
                self.beside.range(start..end).filter_map(|(at, item)| self.shown(*at, item, own)).collect();
            if !items.is_empty() {
                out.insert(paths.sidecar(n, width), Sidecar { items }.to_bytes());
            }
        }
        if own {
            for (index, audit) in self.audits.range(..size) {
                out.insert(paths.audit(LeafIndex(*index)), codec::encode(audit));
            }
        }
        for (number, evidence) in (0..).zip(&self.evidence) {
            out.insert(paths.evidence(number), evidence.clone());
        }
    }

    fn shown(&self, index: u64, item: &SidecarItem, own: bool) -> Option<SidecarItem> {
        let public = self.leaves[index as usize].kind.opening_is_public();
        let opening = item.opening.clone().filter(|_| own || public);
        (item.header.is_some() || opening.is_some()).then(|| SidecarItem { opening, ..item.clone() })
    }

    fn opening(&self, share: &[u8], inner_mac: [u8; 32]) -> Opening {
        Opening { r: self.blinding(1), share: share.to_vec(), inner_mac }
    }

    fn blinding(&self, what: u8) -> Blinding {
        let mut bytes = [what; 32];
        bytes[..8].copy_from_slice(&self.size().to_be_bytes());
        Blinding::new(bytes)
    }

    pub fn now(&self) -> UnixSeconds {
        UnixSeconds(START + 10 + self.size())
    }
}
