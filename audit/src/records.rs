//! Replay of records: entries against leaves, public shares against log and roster, private openings where they are shown.

use std::collections::{BTreeMap, BTreeSet};

use cresset_crypto::Verifier;
use cresset_protocol::codec;
use cresset_protocol::ids::{Commitment, LeafIndex, LogId, NodeHash, PolicyDigest, RosterDigest, RosterVersion};
use cresset_protocol::limits::{RELEASE_AUDIT_BYTES_MAX, SHARE_BYTES_MAX};
use cresset_protocol::log::bundle::{BundledLog, LogPaths, SidecarItem};
use cresset_protocol::log::checkpoint::SignedCheckpoint;
use cresset_protocol::log::entry::Entry;
use cresset_protocol::log::evidence::EvidenceShare;
use cresset_protocol::log::heads::{HeadsTable, LogHead};
use cresset_protocol::log::kinds::RecordKind;
use cresset_protocol::log::leaf::{Leaf, LeafKind};
use cresset_protocol::log::manifest::Prologue;
use cresset_protocol::log::private::{PublishAudit, ReleaseShare, WithdrawShare};
use cresset_protocol::log::public::{ErasedExtent, PublicShare};
use cresset_protocol::log::record::{AuditPart, Opening};
use cresset_protocol::log::slot::{LeafRef, SlotAudit, SlotShare, Statement};
use cresset_protocol::object::publish_share::PublishShare;
use serde::Serialize;

use crate::bundle::{AUDIT_FRAME_BYTES, Bundle, BundleFault};
use crate::journey::Step;
use crate::log::{Context, Gathered, Owner};
use crate::release::{OpenRelease, judge};
use crate::tiles::TreeBuilder;
use crate::verdict::Verdict;
use crate::words::{chain, plain};

/// What a log's records came to.
#[derive(Default)]
pub(crate) struct RecordsReplay {
    pub(crate) counts: RecordCounts,
    /// Largest size of every other log that this log has confirmed with the right root.
    pub(crate) confirmed: BTreeMap<LogId, u64>,
    /// End of the leaves whose confirmation is demanded.
    pub(crate) scope_end: u64,
    pub(crate) closed: bool,
}

/// Figures of a log for the report.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RecordCounts {
    /// Leaves by kind.
    pub leaves: BTreeMap<&'static str, u64>,
    /// Private openings shown, by record kind; each opens its leaf.
    pub private_openings: BTreeMap<String, u64>,
    /// Private openings that are not shown and not erased either.
    pub openings_missing: u64,
    /// Leaves whose opening was erased, as an ERASE leaf says.
    pub erased: u64,
    /// RELEASE records whose every decision came out as logged.
    pub releases_confirmed: u64,
    /// RELEASE records that did not, or could not be evaluated.
    pub releases_not_confirmed: u64,
    /// Decisions evaluated again.
    pub decisions: u64,
    /// Heads of other logs that this log names and that agree with the bundle's replicas.
    pub heads_compared: u64,
    /// Heads beyond the replicas at hand, or of logs that are not.
    pub heads_not_compared: u64,
    /// Statements about other logs' leaves.
    pub statements: u64,
}

/// Statements about objects, kept until every log has been replayed.
#[derive(Default)]
pub(crate) struct Statements {
    pub(crate) list: Vec<(LogId, u64, Step)>,
    pub(crate) omitted: u64,
}

/// Statements kept for journeys.
const STATEMENTS_MAX: usize = 200_000;
/// Runs of leaves without opening that are kept apart; beyond that they are counted as missing whatever was erased.
const GAPS_MAX: usize = 1 << 18;

impl Statements {
    fn add(&mut self, log: LogId, index: u64, step: Step) {
        if self.list.len() < STATEMENTS_MAX {
            self.list.push((log, index, step));
        } else {
            self.omitted += 1;
        }
    }
}

pub(crate) struct Records<'a, 'c> {
    cx: &'c Context<'a>,
    bundle: &'a Bundle<'a>,
    log: LogId,
    size: u64,
    /// Whether private openings are expected.
    shown: bool,
    own: bool,
    /// Whether the bundle has any audit part of this log.
    has_audit: bool,
    by: String,
    owner: Option<Owner>,
    prologue: Option<Prologue>,
    heads: HeadsTable,
    policy: Option<Vec<PolicyDigest>>,
    releases: BTreeMap<Commitment, OpenRelease>,
    gaps: Vec<(u64, u64)>,
    erased: BTreeSet<u64>,
    withdrawn: BTreeMap<NodeHash, u64>,
    closed_at: Option<u64>,
    out: RecordsReplay,
}

/// One leaf with its place.
struct Place<'l> {
    index: u64,
    leaf: &'l Leaf,
}

impl<'a, 'c> Records<'a, 'c> {
    pub(crate) fn new(
        cx: &'c Context<'a>,
        bundle: &'a Bundle<'a>,
        listed: &BundledLog,
        by: String,
        owner: Option<Owner>,
        prologue: Option<Prologue>,
    ) -> Self {
        Self {
            cx,
            bundle,
            log: listed.log,
            size: listed.size.0,
            shown: listed.own && !cx.public_only,
            own: listed.own,
            has_audit: bundle.below(&format!("logs/{}/audit/", listed.log)).next().is_some(),
            by,
            owner,
            prologue,
            heads: HeadsTable::new(),
            policy: None,
            releases: BTreeMap::new(),
            gaps: Vec::new(),
            erased: BTreeSet::new(),
            withdrawn: BTreeMap::new(),
            closed_at: None,
            out: RecordsReplay::default(),
        }
    }

    /// Takes the next leaf with what stands beside it.
    pub(crate) fn take(
        &mut self,
        index: u64,
        leaf: &Leaf,
        item: Option<&SidecarItem>,
        tree: &TreeBuilder<'_>,
        gathered: &mut Gathered,
    ) -> Result<(), BundleFault> {
        *self.out.counts.leaves.entry(leaf.kind.name()).or_default() += 1;
        let place = Place { index, leaf };
        let invalid = |gathered: &mut Gathered, what: String| {
            gathered.findings.of_leaf(Verdict::Invalid, &self.log, index, what);
        };
        if let Some(kind) = misplaced(index, leaf.kind, self.prologue.is_some()) {
            invalid(gathered, format!("leaf {index} must be {kind}, and only there"));
        }
        let public = leaf.kind.opening_is_public();
        if public || leaf.flags.header_follows || item.is_some() {
            let opening = item.and_then(|item| item.opening.clone()).filter(|_| public);
            let entry = Entry { leaf: *leaf, header: item.and_then(|item| item.header.clone()), opening };
            if let Err(error) = entry.check(&self.cx.consortium, &self.log) {
                invalid(gathered, chain(&error));
                return Ok(());
            }
        }
        let opening = item.and_then(|item| item.opening.as_ref());
        let mut heartbeat = leaf.kind == LeafKind::Heads;
        match opening {
            Some(opening) if public => self.public(&place, opening, tree, gathered),
            Some(opening) => heartbeat |= self.private(&place, opening, tree, gathered)? == Some(RecordKind::Slot),
            None => {
                self.gap(index);
                // Of a foreign log nobody can tell which PRIVATE leaves are slots.
                heartbeat |= leaf.kind == LeafKind::Private && !self.shown;
                if self.has_audit && self.bundle.manifest().file(&LogPaths(self.log).audit(LeafIndex(index))).is_some()
                {
                    gathered.findings.of_leaf(Verdict::Invalid, &self.log, index, "an audit part without its opening");
                }
            }
        }
        if leaf.kind == LeafKind::Withdraw {
            self.withdrawn.insert(NodeHash(leaf.binding.0), index);
        }
        if !heartbeat && self.cx.until.is_none_or(|until| leaf.time <= until) {
            self.out.scope_end = index + 1;
        }
        Ok(())
    }

    /// What only the whole log shows.
    pub(crate) fn finish(mut self, gathered: &mut Gathered) -> Result<RecordsReplay, BundleFault> {
        let log = self.log;
        if let Some(at) = self.closed_at {
            self.out.closed = true;
            if at + 1 != self.size {
                gathered.findings.of_leaf(Verdict::Invalid, &log, at, "leaves follow the CLOSE of the log");
            }
        }
        let gaps = std::mem::take(&mut self.gaps);
        let erased_in = |start: u64, end: u64| self.erased.range(start..end).count() as u64;
        let erased: u64 = gaps.iter().map(|(start, end)| erased_in(*start, *end)).sum();
        let missing = gaps.iter().map(|(start, end)| end - start).sum::<u64>().saturating_sub(erased);
        self.out.counts.erased = self.erased.len() as u64;
        if self.shown {
            self.out.counts.openings_missing += missing;
            let missing = self.out.counts.openings_missing;
            if missing > 0 {
                let first = gaps.iter().map(|(start, _)| start).find(|index| !self.erased.contains(index));
                let first = first.map_or(String::new(), |index| format!(", the first of them leaf {index}"));
                let what = format!("{missing} private openings are neither shown nor erased{first}");
                gathered.findings.of_log(Verdict::Incomplete, &log, what);
            }
            let outstanding: u64 = self.releases.values().map(|release| u64::from(release.outstanding())).sum();
            // A view whose opening is gone cannot name its RELEASE.
            if outstanding > missing + erased {
                let first = self.releases.values().find(|r| r.outstanding() > 0).map_or(0, |r| r.index.0);
                let what = format!("{outstanding} released views have no PUBLISH leaf in the log");
                gathered.findings.of_leaf(Verdict::Incomplete, &log, first, what);
            }
        }
        self.check_withdrawals(gathered);
        self.check_evidence_files(gathered)?;
        Ok(self.out)
    }

    fn public(&mut self, at: &Place<'_>, opening: &Opening, tree: &TreeBuilder<'_>, gathered: &mut Gathered) {
        let share = match PublicShare::decode(at.leaf, &self.log, &opening.share) {
            Ok(share) => share,
            Err(error) => return self.invalid(at, gathered, chain(&error)),
        };
        match share {
            PublicShare::Genesis(share) if u64::from(share.copy) != at.index => {
                self.invalid(at, gathered, "GENESIS is not the copy for its place".to_owned());
            }
            PublicShare::KeyEpoch(share) => self.roster(at, share.roster_version, share.roster_digest, gathered),
            PublicShare::Policy(share) => self.policy = Some(share.bundles),
            PublicShare::Roster(share) => self.roster(at, share.version, share.digest, gathered),
            PublicShare::Heads(share) => {
                self.roster(at, share.roster_version, share.roster_digest, gathered);
                self.heads(at, &share.heads, gathered);
            }
            PublicShare::Evidence(share) => self.evidence(Some(at.index), &share, gathered),
            PublicShare::Close(_) => self.closed_at = Some(at.index),
            PublicShare::Continues(share) => {
                self.roster(at, share.roster_version, share.roster_digest, gathered);
                let same = self.prologue.as_ref().is_some_and(|before| {
                    (before.log, before.size, before.root) == (share.log, share.size, share.root)
                        && before.origin == share.origin
                });
                if !same {
                    self.invalid(at, gathered, "CONTINUES is not what the manifest says".to_owned());
                }
                self.predecessor(at, &share.log, share.size, share.root, gathered);
            }
            PublicShare::Erase(share) => {
                let target = LeafRef { log: self.log, index: share.target, leaf: NodeHash(at.leaf.binding.0) };
                if self.target(at, &target, share.target_log, tree, gathered) && share.target_log.is_none() {
                    if share.extent == ErasedExtent::PayloadAndOpening {
                        self.erased.insert(share.target.0);
                    }
                    let what = format!("erased ({:?}, {:?})", share.extent, share.cause);
                    self.about_own(at, share.target.0, what, gathered);
                }
            }
            _ => {}
        }
    }

    fn private(
        &mut self,
        at: &Place<'_>,
        opening: &Opening,
        tree: &TreeBuilder<'_>,
        gathered: &mut Gathered,
    ) -> Result<Option<RecordKind>, BundleFault> {
        if !self.own {
            self.invalid(at, gathered, "a private opening beside a foreign log".to_owned());
            return Ok(None);
        }
        if let Err(error) = opening.check(&self.cx.consortium, &self.log, at.leaf) {
            self.invalid(at, gathered, chain(&error));
            return Ok(None);
        }
        let Some(kind) = RecordKind::of_share(&opening.share).filter(|kind| kind.rule(at.leaf.kind).is_some()) else {
            self.invalid(at, gathered, format!("the record cannot stand behind a {} leaf", at.leaf.kind));
            return Ok(None);
        };
        *self.out.counts.private_openings.entry(format!("{kind:?}")).or_default() += 1;
        let audit = match self.audit_part(at, opening)? {
            Ok(audit) => audit,
            Err(what) => {
                self.invalid(at, gathered, what);
                return Ok(Some(kind));
            }
        };
        let audit = audit.as_ref().map(|part| part.audit.as_slice());
        match kind {
            RecordKind::Publish => self.publish(at, opening, audit, gathered),
            RecordKind::Release => self.release(at, opening, audit, gathered),
            RecordKind::Withdraw => self.withdraw(at, opening, tree, gathered),
            RecordKind::Slot => self.slot(at, opening, audit, gathered),
            _ => {}
        }
        Ok(Some(kind))
    }

    fn audit_part(&self, at: &Place<'_>, opening: &Opening) -> Result<Result<Option<AuditPart>, String>, BundleFault> {
        let path = LogPaths(self.log).audit(LeafIndex(at.index));
        let Some(bytes) = self.bundle.read(&path)? else { return Ok(Ok(None)) };
        let part: Result<AuditPart, _> = codec::decode(&bytes, RELEASE_AUDIT_BYTES_MAX + AUDIT_FRAME_BYTES);
        Ok(part.map_err(|e| chain(&e)).and_then(|part| {
            part.check(opening).map_err(|e| chain(&e))?;
            Ok(Some(part))
        }))
    }

    fn release(&mut self, at: &Place<'_>, opening: &Opening, audit: Option<&[u8]>, gathered: &mut Gathered) {
        let share = match ReleaseShare::decode(&opening.share) {
            Ok(share) => share,
            Err(error) => return self.invalid(at, gathered, chain(&error)),
        };
        if self.policy.as_ref().is_some_and(|in_force| *in_force != share.bundles) {
            self.invalid(at, gathered, "decided under policy bundles that were not in force".to_owned());
        }
        let key = (self.log, share.uuid, share.version);
        let origin = self.owner.as_ref().map(|owner| owner.hub);
        let (roster, policies) = (self.cx.chain.as_ref(), &self.cx.policies);
        let judged = judge(LeafIndex(at.index), at.leaf.time, share, audit, origin.as_ref(), roster, policies);
        for (verdict, what) in judged.faults {
            gathered.findings.of_leaf(verdict, &self.log, at.index, plain(&what));
        }
        match judged.decisions {
            Some(count) => {
                self.out.counts.releases_confirmed += 1;
                self.out.counts.decisions += count;
            }
            None => self.out.counts.releases_not_confirmed += 1,
        }
        gathered.journeys.leaf(key, &self.by, at.index, at.leaf.time, plain(&judged.words));
        self.releases.insert(at.leaf.commitment, judged.open);
    }

    fn publish(&mut self, at: &Place<'_>, opening: &Opening, audit: Option<&[u8]>, gathered: &mut Gathered) {
        let share = match PublishShare::from_bytes(&opening.share) {
            Ok(share) => share,
            Err(error) => return self.invalid(at, gathered, chain(&error)),
        };
        let key = (self.log, share.uuid, share.version);
        let how = if at.leaf.kind == LeafKind::Publish { "to an audience" } else { "to named hubs only" };
        let what = format!("view published {how}, {} {}", share.marking.tlp, share.marking.pap);
        gathered.journeys.leaf(key, &self.by, at.index, at.leaf.time, what);
        let Some(audit) = audit else {
            let what = "the audit part of this PUBLISH, which names its RELEASE, is not shown";
            return gathered.findings.of_leaf(Verdict::Incomplete, &self.log, at.index, what);
        };
        let audit = match PublishAudit::decode(audit) {
            Ok(audit) => audit,
            Err(error) => return self.invalid(at, gathered, chain(&error)),
        };
        let Some(release) = self.releases.get_mut(&audit.release) else {
            // The RELEASE may be one of the leaves without opening: then this is no proof of anything.
            let (verdict, what) = if self.gaps.is_empty() {
                (Verdict::Invalid, "no RELEASE before it permits this PUBLISH")
            } else {
                (Verdict::Incomplete, "the RELEASE of this PUBLISH is not shown")
            };
            return gathered.findings.of_leaf(verdict, &self.log, at.index, what);
        };
        if let Some(fault) = release.publish(&share, &audit) {
            gathered.findings.of_leaf(Verdict::Invalid, &self.log, at.index, fault);
        }
        if release.is_complete() {
            // One view more than the RELEASE says would find no RELEASE any more.
            self.releases.remove(&audit.release);
        }
    }

    fn withdraw(&mut self, at: &Place<'_>, opening: &Opening, tree: &TreeBuilder<'_>, gathered: &mut Gathered) {
        let share = match WithdrawShare::decode(&opening.share) {
            Ok(share) => share,
            Err(error) => return self.invalid(at, gathered, chain(&error)),
        };
        let shown = at.leaf.kind == LeafKind::Withdraw;
        if shown && (at.leaf.binding.0 != share.target_leaf.0 || at.leaf.flags.withdraw != Some(share.reason.0)) {
            self.invalid(at, gathered, "WITHDRAW and its leaf name different targets or reasons".to_owned());
        }
        let target = LeafRef { log: self.log, index: share.target, leaf: share.target_leaf };
        if self.target(at, &target, share.target_log, tree, gathered) && share.target_log.is_none() {
            self.about_own(at, share.target.0, format!("withdrawn ({:?})", share.reason.0), gathered);
        }
    }

    fn slot(&mut self, at: &Place<'_>, opening: &Opening, audit: Option<&[u8]>, gathered: &mut Gathered) {
        let share: SlotShare = match codec::decode(&opening.share, SHARE_BYTES_MAX) {
            Ok(share) => share,
            Err(error) => return self.invalid(at, gathered, chain(&error)),
        };
        let Some(audit) = audit else {
            let what = "the statements of this slot are not shown";
            return gathered.findings.of_leaf(Verdict::Incomplete, &self.log, at.index, what);
        };
        let rebuilt = SlotAudit::decode(audit).and_then(|part| Ok((part.slot(share.start)?, part)));
        let (slot, part) = match rebuilt {
            Ok(rebuilt) => rebuilt,
            Err(error) => return self.invalid(at, gathered, chain(&error)),
        };
        if slot.share(share.suite) != share {
            return self.invalid(at, gathered, "the statements are not those that the slot commits to".to_owned());
        }
        for statement in &part.statements {
            self.statement(at, statement, gathered);
        }
    }

    /// A statement about a leaf of another log: RECEIVE against PUBLISH, as far as that log is at hand.
    fn statement(&mut self, at: &Place<'_>, statement: &Statement, gathered: &mut Gathered) {
        self.out.counts.statements += 1;
        let target = *statement.target();
        if let Some(found) = self.cx.trees.get(&target.log).and_then(|tree| tree.leaf(target.index))
            && found != target.leaf
        {
            let what = format!("its statement is about another leaf {} than log {} has", target.index.0, target.log);
            gathered.findings.of_leaf(Verdict::Diverged, &target.log, target.index.0, what);
        }
        let (what, time) = match statement {
            Statement::Receive { outcome, at, reason, .. } => {
                let reason = reason.as_deref().map_or(String::new(), |reason| format!(" ({})", plain(reason)));
                (format!("received: {outcome:?}{reason}"), at)
            }
            Statement::Erase { extent, cause, at, kept_on, .. } => {
                let kept = kept_on.as_deref().map_or(String::new(), |on| format!(", kept on {}", plain(on)));
                (format!("erased: {extent:?}, {cause:?}{kept}"), at)
            }
            Statement::Ack { at, .. } => ("acknowledged".to_owned(), at),
        };
        let step = Step { by: self.by.clone(), index: at.index, time: time.0, what };
        gathered.statements.add(target.log, target.index.0, step);
    }

    fn heads(&mut self, at: &Place<'_>, heads: &[LogHead], gathered: &mut Gathered) {
        for head in heads {
            if self.heads.get(&head.log).is_some_and(|known| known.size > head.size) {
                self.invalid(at, gathered, format!("HEADS goes back on log {}", head.log));
            }
            self.heads.advance(*head);
            self.compare_head(at, head, gathered);
        }
        if self.heads.root() != at.leaf.binding {
            self.invalid(at, gathered, "HEADS and its leaf name different heads".to_owned());
        }
    }

    /// What this log confirms of another one, which it has mirrored and verified up to here.
    fn compare_head(&mut self, at: &Place<'_>, head: &LogHead, gathered: &mut Gathered) {
        let Some(root) = self.cx.trees.get(&head.log).and_then(|tree| tree.root_at(head.size)) else {
            self.out.counts.heads_not_compared += 1;
            let own = self.bundle.manifest().logs.iter().find(|listed| listed.own && listed.log == head.log);
            if own.is_some() {
                let what = format!("{} knows it at size {}, the bundle ends before", self.by, head.size);
                gathered.findings.of_log(Verdict::Incomplete, &head.log, what);
            }
            return;
        };
        if root == head.root {
            self.out.counts.heads_compared += 1;
            let confirmed = self.out.confirmed.entry(head.log).or_default();
            *confirmed = head.size.0.max(*confirmed);
        } else {
            let what = format!("leaf {} of {} confirms another root of it at size {}", at.index, self.by, head.size);
            gathered.findings.of_log(Verdict::Diverged, &head.log, what);
        }
    }

    fn roster(&mut self, at: &Place<'_>, version: RosterVersion, digest: RosterDigest, gathered: &mut Gathered) {
        let Some(rosters) = self.cx.chain.as_ref() else { return };
        match rosters.version(version) {
            Some(known) if known.digest() == digest => {}
            Some(_) => self.invalid(at, gathered, format!("roster version {version} is not the consortium's")),
            None => {
                let what = format!("roster version {version} is not in the bundle");
                gathered.findings.of_leaf(Verdict::Incomplete, &self.log, at.index, what);
            }
        }
    }

    /// Evidence convicts the log that it names, wherever it is found.
    fn evidence(&mut self, index: Option<u64>, share: &EvidenceShare, gathered: &mut Gathered) {
        let entry = self.cx.chain.as_ref().and_then(|chain| crate::membership::log_entry(chain, &share.log));
        let time = SignedCheckpoint::claims(&share.older).map(|(_, time)| time).ok();
        let keys = entry.and_then(|(_, log)| log.keys_at(time?));
        let origin = entry.and_then(|(_, log)| log.origin.parse().ok());
        let verified = match (origin, keys) {
            (Some(origin), Some(keys)) => share.verify(&origin, keys, &Verifier).map_err(|e| chain(&e)),
            _ => Err("no roster lists the log that it is about".to_owned()),
        };
        match verified {
            Ok(fork) => {
                let (a, b) = (fork.older.checkpoint.size, fork.newer.checkpoint.size);
                let what = format!("evidence proves two histories, at sizes {a} and {b}");
                gathered.findings.of_log(Verdict::Diverged, &share.log, what);
            }
            Err(why) => {
                let what = format!("evidence that proves nothing: {why}");
                match index {
                    Some(index) => gathered.findings.of_leaf(Verdict::Invalid, &self.log, index, what),
                    None => gathered.findings.of_log(Verdict::Invalid, &self.log, what),
                }
            }
        }
    }

    fn check_evidence_files(&mut self, gathered: &mut Gathered) -> Result<(), BundleFault> {
        let prefix = format!("logs/{}/evidence/", self.log);
        for path in self.bundle.below(&prefix) {
            let bytes = self.bundle.require(path)?;
            match codec::decode::<EvidenceShare>(&bytes, SHARE_BYTES_MAX) {
                Ok(share) => self.evidence(None, &share, gathered),
                Err(error) => {
                    let what = format!("`{path}` is no evidence: {}", chain(&error));
                    gathered.findings.of_log(Verdict::Invalid, &self.log, what);
                }
            }
        }
        Ok(())
    }

    /// Whether X of an ERASE or WITHDRAW is the hash of the leaf that it names, earlier in this log or in the one before.
    fn target(
        &mut self,
        at: &Place<'_>,
        target: &LeafRef,
        elsewhere: Option<LogId>,
        tree: &TreeBuilder<'_>,
        gathered: &mut Gathered,
    ) -> bool {
        let fits = match elsewhere {
            None => target.index.0 < at.index && tree.earlier(target.index) == Some(target.leaf),
            Some(log) => {
                let continues = self.prologue.as_ref().is_some_and(|before| before.log == log);
                let there = self.cx.trees.get(&log).map(|tree| tree.leaf(target.index) == Some(target.leaf));
                continues && there.unwrap_or(true)
            }
        };
        if !fits {
            self.invalid(at, gathered, format!("its target is not leaf {} of this log", target.index.0));
        }
        fits
    }

    fn predecessor(
        &mut self,
        at: &Place<'_>,
        log: &LogId,
        size: cresset_protocol::ids::TreeSize,
        root: NodeHash,
        gathered: &mut Gathered,
    ) {
        let known = self.cx.trees.get(log).and_then(|tree| tree.root_at(size));
        if known.is_some_and(|known| known != root) {
            let what = format!("leaf {} of its successor continues another root at size {size}", at.index);
            gathered.findings.of_log(Verdict::Diverged, log, what);
        }
    }

    /// WITHDRAW leaves show their target's hash to everyone, and it must be in the log.
    fn check_withdrawals(&mut self, gathered: &mut Gathered) {
        // In a later generation the target may be in the one before.
        if self.withdrawn.is_empty() || self.prologue.is_some() {
            return;
        }
        let tree = crate::log::tree_of(self.bundle, self.log, cresset_protocol::ids::TreeSize(self.size));
        let found = tree.find(&self.withdrawn.keys().copied().collect());
        for (hash, index) in &self.withdrawn {
            if found.get(hash).is_none_or(|target| target >= index) {
                gathered.findings.of_leaf(
                    Verdict::Invalid,
                    &self.log,
                    *index,
                    "WITHDRAW of a leaf that is not before it",
                );
            }
        }
    }

    fn about_own(&self, at: &Place<'_>, target: u64, what: String, gathered: &mut Gathered) {
        let step = Step { by: self.by.clone(), index: at.index, time: at.leaf.time.0, what };
        gathered.journeys.about(&self.log, target, step);
    }

    fn gap(&mut self, index: u64) {
        if let Some((_, end)) = self.gaps.last_mut().filter(|(_, end)| *end == index) {
            *end = index + 1;
        } else if self.gaps.len() < GAPS_MAX {
            self.gaps.push((index, index + 1));
        } else {
            self.out.counts.openings_missing += u64::from(self.shown);
        }
    }

    fn invalid(&self, at: &Place<'_>, gathered: &mut Gathered, what: String) {
        gathered.findings.of_leaf(Verdict::Invalid, &self.log, at.index, plain(&what));
    }
}

/// The kind that must stand at this place and nowhere else, if this leaf breaks the rule.
fn misplaced(index: u64, kind: LeafKind, continues: bool) -> Option<LeafKind> {
    let rule = |expected: LeafKind, here: bool| (here != (kind == expected)).then_some(expected);
    rule(LeafKind::Genesis, index < 2).or_else(|| rule(LeafKind::Continues, continues && index == 2))
}
