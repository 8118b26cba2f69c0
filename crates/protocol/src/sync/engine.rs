//! The sync engine: keeps one verified mirror of every foreign log, I/O-free (`protocol-spec/09-sync.md`).
//!
//! Inputs are what peers sent and that time passes; outputs are what the node does. Outputs are executed in order; a
//! failed [`Output::Commit`] ends this instance, and a new one resumes from the store.
//!
//! The fast path is an announcement that joins the mirror's frontier. Whatever does not join is fetched in packages and
//! verified leaf by leaf against a checkpoint that already holds.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::ids::{HubId, LeafIndex, LogId, TreeSize, UnixSeconds};
use crate::limits::{ANNOUNCEMENTS_QUEUED_MAX, ENTRIES_REQUEST_LEAVES_MAX};
use crate::log::checkpoint::SignedCheckpoint;
use crate::log::entry::CheckedEntry;
use crate::log::merkle::Frontier;
use crate::log::package::Package;
use crate::signing::SignatureVerifier;
use crate::sync::announcement::{Announcement, InlineEnvelope, VerifiedAnnouncement};
use crate::sync::directory::Directory;

/// Heads are compared with each peer at this interval, in seconds.
pub const HEADS_COMPARE_S: u64 = 60;
/// Checkpoints of one origin that are verified in a burst; refilled at [`CHECKPOINTS_PER_S`].
pub const CHECKPOINT_BURST: u32 = 100;
/// Checkpoints of one origin that are verified per second in the long run.
pub const CHECKPOINTS_PER_S: u32 = 60;
/// Announcements of one log that one neighbour may hand over in a burst, verified or not; refilled like the origin's.
pub const NEIGHBOUR_BURST: u32 = 200;
/// A fetch that has made no progress for this long is given to another peer, in seconds.
pub const FETCH_STALL_S: u64 = 30;

/// Identifies a gossip message towards the node, which must report a verdict on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(pub [u8; 32]);

/// What happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// A roster was accepted.
    Directory(Arc<Directory>),
    /// A full session with a hub began.
    PeerUp(HubId),
    /// It ended.
    PeerDown(HubId),
    /// A gossip message came in through `from`, which need not be its origin.
    Announcement {
        /// The neighbour.
        from: HubId,
        /// Its gossip id.
        id: MessageId,
        /// Its bytes.
        bytes: Vec<u8>,
    },
    /// A peer told its heads.
    Heads {
        /// The peer.
        from: HubId,
        /// Note per log.
        notes: Vec<(LogId, String)>,
    },
    /// A package of a fetch under way.
    Package {
        /// The peer.
        from: HubId,
        /// The log.
        log: LogId,
        /// An encoded [`Package`].
        bytes: Vec<u8>,
    },
    /// A fetch ended, completely or not.
    FetchEnded {
        /// The peer.
        from: HubId,
        /// The log.
        log: LogId,
    },
    /// Time passes; at least every few seconds.
    Tick,
}

/// What to do.
#[derive(Clone, Debug)]
pub enum Output {
    /// Tell gossip what to do with a message.
    Report {
        /// The message.
        id: MessageId,
        /// The neighbour that it came through.
        from: HubId,
        /// The verdict.
        verdict: Verdict,
    },
    /// Ask a peer for its heads.
    AskHeads(HubId),
    /// Ask a peer for a range of entries as packages under the given head.
    Fetch {
        /// The peer.
        peer: HubId,
        /// The log.
        log: LogId,
        /// First index.
        from: LeafIndex,
        /// End, exclusive.
        to: LeafIndex,
        /// Size of the head that the packages must lead to.
        head: TreeSize,
    },
    /// Store a verified extension of a mirror, atomically.
    Commit(Box<Commit>),
    /// A peer told the head of one of this hub's own logs: for the writer's start-up gate.
    OwnHead {
        /// The peer.
        from: HubId,
        /// The log.
        log: LogId,
        /// The head, both signatures verified.
        head: Box<SignedCheckpoint>,
    },
    /// A peer broke the protocol.
    Misbehaviour {
        /// The peer.
        peer: HubId,
        /// How; for logs and scores.
        what: Offence,
    },
    /// Two hybrid-valid notes of one log contradict each other.
    Inconsistent {
        /// The log.
        log: LogId,
        /// The head held so far.
        held: Option<Box<SignedCheckpoint>>,
        /// The one that does not fit.
        other: Box<SignedCheckpoint>,
    },
}

/// What gossip does with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Forward.
    Accept,
    /// Drop silently.
    Ignore,
    /// Drop and score the sender down.
    Reject,
}

/// Ways for a peer to break the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Offence {
    /// A gossip message that is invalid for anybody.
    Announcement,
    /// A head that does not verify.
    Head,
    /// A package that does not verify.
    Package,
    /// A package that nobody asked for.
    Unsolicited,
}

/// A verified extension of a mirror.
#[derive(Clone, Debug)]
pub struct Commit {
    /// The log.
    pub log: LogId,
    /// Index of the first entry; the mirror's size before.
    pub first: LeafIndex,
    /// The entries.
    pub entries: Vec<CheckedEntry>,
    /// The mirror's frontier after them.
    pub frontier: Frontier,
    /// The checkpoint that they stand under: of the frontier's size, or larger and proven consistent.
    pub checkpoint: SignedCheckpoint,
    /// Envelopes that came along, each checked against its header.
    pub inline: Vec<InlineEnvelope>,
}

/// A mirror as the store resumes it.
#[derive(Clone, Debug)]
pub struct MirrorState {
    /// Frontier of the stored leaves.
    pub frontier: Frontier,
    /// The largest checkpoint that they are known to be consistent with.
    pub head: Option<SignedCheckpoint>,
}

/// The engine.
pub struct Engine {
    me: HubId,
    verifier: Arc<dyn SignatureVerifier + Send + Sync>,
    directory: Arc<Directory>,
    mirrors: BTreeMap<LogId, Mirror>,
    peers: BTreeMap<HubId, Peer>,
}

#[derive(Default)]
struct Peer {
    heads_asked: Option<UnixSeconds>,
    /// Sizes that the peer said it has, from verified heads.
    sizes: BTreeMap<LogId, TreeSize>,
    /// The newest verified head that it told and that was news then.
    heads: BTreeMap<LogId, SignedCheckpoint>,
    /// What it may still hand over of each log before anything is verified.
    budgets: BTreeMap<LogId, Bucket>,
}

struct Mirror {
    frontier: Frontier,
    head: Option<SignedCheckpoint>,
    /// Largest size seen in any valid announcement: one variant per size is forwarded.
    announced: TreeSize,
    bucket: Bucket,
    queued: VecDeque<VerifiedAnnouncement>,
    /// The head being fetched up to.
    target: Option<SignedCheckpoint>,
    fetch: Option<Fetch>,
    /// The log contradicted itself or is not what it claims: nothing of it is taken any more.
    quarantined: bool,
}

struct Fetch {
    peer: HubId,
    /// What its packages must be consistent with; the target may grow meanwhile.
    head: SignedCheckpoint,
    progress: UnixSeconds,
    delivered: bool,
}

struct Bucket {
    tokens: u32,
    burst: u32,
    filled: UnixSeconds,
}

impl Engine {
    /// Resumes with the mirrors that the store holds.
    pub fn new(
        me: HubId,
        directory: Arc<Directory>,
        verifier: Arc<dyn SignatureVerifier + Send + Sync>,
        stored: BTreeMap<LogId, MirrorState>,
    ) -> Self {
        let mirrors = stored.into_iter().map(|(log, state)| (log, Mirror::resume(state))).collect();
        Self { me, verifier, directory, mirrors, peers: BTreeMap::new() }
    }

    /// Takes one input at a time.
    pub fn step(&mut self, now: UnixSeconds, input: Input) -> Vec<Output> {
        let mut out = Vec::new();
        match input {
            Input::Directory(directory) => self.directory = directory,
            Input::PeerUp(hub) => {
                self.peers.insert(hub, Peer { heads_asked: Some(now), ..Peer::default() });
                out.push(Output::AskHeads(hub));
            }
            Input::PeerDown(hub) => self.peer_down(now, hub, &mut out),
            Input::Announcement { from, id, bytes } => self.announcement(now, from, id, &bytes, &mut out),
            Input::Heads { from, notes } => self.heads(now, from, notes, &mut out),
            Input::Package { from, log, bytes } => self.package(now, from, log, &bytes, &mut out),
            Input::FetchEnded { from, log } => self.fetch_ended(now, from, log, &mut out),
            Input::Tick => self.tick(now, &mut out),
        }
        out
    }

    /// Size of the mirror of a log.
    pub fn mirror_size(&self, log: &LogId) -> TreeSize {
        self.mirrors.get(log).map_or(TreeSize(0), |mirror| mirror.frontier.size())
    }

    /// Head that the mirror of a log is known to be consistent with.
    pub fn mirror_head(&self, log: &LogId) -> Option<&SignedCheckpoint> {
        self.mirrors.get(log).and_then(|mirror| mirror.head.as_ref())
    }

    /// Takes nothing of a log any more until a roster or a person says otherwise (a new engine forgets it).
    pub fn quarantine(&mut self, log: &LogId) {
        if let Some(mirror) = self.mirrors.get_mut(log) {
            mirror.quarantined = true;
            mirror.fetch = None;
            mirror.target = None;
            mirror.queued.clear();
        }
    }

    /// How many leaves are known to exist and not yet held, over all logs.
    pub fn lag(&self) -> u64 {
        self.mirrors.values().map(Mirror::lag).sum()
    }

    fn announcement(&mut self, now: UnixSeconds, from: HubId, id: MessageId, bytes: &[u8], out: &mut Vec<Output>) {
        let report = |verdict| Output::Report { id, from, verdict };
        // A budget is charged before any signature is looked at; the bytes name the log in the clear.
        let Some(log) = Announcement::peek_log(bytes) else {
            out.push(report(Verdict::Reject));
            out.push(Output::Misbehaviour { peer: from, what: Offence::Announcement });
            return;
        };
        let origin = self.directory.log(&log).map(|known| (known.hub, known.live));
        let Some((origin, true)) = origin else { return out.push(report(Verdict::Ignore)) };
        if origin == self.me || self.is_quarantined(&log) || !self.neighbour_may(from, log, now) {
            return out.push(report(Verdict::Ignore));
        }
        match Announcement::verify(bytes, &self.directory, self.verifier.as_ref()) {
            Ok(verified) => {
                // Only what the origin signed counts against the origin: junk in its name must not silence it.
                let mirror = self.mirrors.entry(log).or_insert_with(Mirror::empty);
                if !mirror.bucket.take(now) {
                    return out.push(report(Verdict::Ignore));
                }
                let size = verified.checkpoint.checkpoint.size;
                let verdict = if size > mirror.announced { Verdict::Accept } else { Verdict::Ignore };
                mirror.announced = mirror.announced.max(size);
                out.push(report(verdict));
                self.note_peer_size(from, log, size);
                self.use_announcement(now, verified, out);
            }
            Err(error) if error.is_invalid_for_anybody() => {
                out.push(report(Verdict::Reject));
                out.push(Output::Misbehaviour { peer: from, what: Offence::Announcement });
            }
            Err(_) => out.push(report(Verdict::Ignore)),
        }
    }

    fn use_announcement(&mut self, now: UnixSeconds, announcement: VerifiedAnnouncement, out: &mut Vec<Output>) {
        let log = announcement.log;
        let Some(mirror) = self.mirrors.get_mut(&log) else { return };
        match mirror.join(announcement) {
            Joined::Commit(commit) => {
                out.push(Output::Commit(commit));
                self.use_queued(now, log, out);
            }
            Joined::Gap(announcement) => {
                mirror.aim_at(&announcement.checkpoint);
                if mirror.queued.len() >= ANNOUNCEMENTS_QUEUED_MAX {
                    mirror.queued.pop_front();
                }
                mirror.queued.push_back(*announcement);
                self.start_fetch(now, log, out);
            }
            Joined::Known => {}
            Joined::Contradiction(other) => {
                let held = mirror.head.clone().map(Box::new);
                self.quarantine(&log);
                out.push(Output::Inconsistent { log, held, other });
            }
        }
    }

    fn use_queued(&mut self, now: UnixSeconds, log: LogId, out: &mut Vec<Output>) {
        let Some(mirror) = self.mirrors.get_mut(&log) else { return };
        let waiting = std::mem::take(&mut mirror.queued);
        for announcement in waiting {
            self.use_announcement(now, announcement, out);
        }
    }

    fn heads(&mut self, now: UnixSeconds, from: HubId, notes: Vec<(LogId, String)>, out: &mut Vec<Output>) {
        for (log, note) in notes {
            if self.head(now, from, log, &note, out).is_none() {
                out.push(Output::Misbehaviour { peer: from, what: Offence::Head });
                return;
            }
        }
    }

    /// Looks at one head; `None` is a lie. Logs that this roster does not know are skipped: the peer may be ahead.
    fn head(&mut self, now: UnixSeconds, from: HubId, log: LogId, note: &str, out: &mut Vec<Output>) -> Option<()> {
        let directory = self.directory.clone();
        let Some(known) = directory.log(&log) else { return Some(()) };
        let own = known.hub == self.me;
        let unverified = match known.parse_note(note) {
            Ok(unverified) => unverified,
            Err(super::directory::NoteRefused::UnknownKeys) => return Some(()),
            Err(_) => return None,
        };
        let claimed = unverified.checkpoint.clone();
        if self.is_quarantined(&log) {
            return Some(());
        }
        let mirror = self.mirrors.entry(log).or_insert_with(Mirror::empty);
        let size = mirror.frontier.size();
        // What is no news costs no signature check.
        let already_held = claimed.size < size || (claimed.size == size && claimed.root == mirror.frontier.root());
        if already_held && !own {
            self.note_peer_size(from, log, claimed.size);
            return Some(());
        }
        let head = known.verify_note(unverified, self.verifier.as_ref()).ok()?;
        self.note_peer_size(from, log, claimed.size);
        if own {
            out.push(Output::OwnHead { from, log, head: Box::new(head) });
            return Some(());
        }
        let mirror = self.mirrors.get_mut(&log)?;
        if claimed.size == size {
            let held = mirror.head.clone().map(Box::new);
            self.quarantine(&log);
            out.push(Output::Inconsistent { log, held, other: Box::new(head) });
        } else {
            mirror.aim_at(&head);
            if let Some(peer) = self.peers.get_mut(&from) {
                peer.heads.insert(log, head);
            }
            self.start_fetch(now, log, out);
        }
        Some(())
    }

    fn package(&mut self, now: UnixSeconds, from: HubId, log: LogId, bytes: &[u8], out: &mut Vec<Output>) {
        let directory = self.directory.clone();
        let Some(mirror) = self.mirrors.get_mut(&log) else {
            return out.push(Output::Misbehaviour { peer: from, what: Offence::Unsolicited });
        };
        let Some(fetch) = mirror.fetch.as_mut().filter(|fetch| fetch.peer == from) else {
            return out.push(Output::Misbehaviour { peer: from, what: Offence::Unsolicited });
        };
        let verified = Package::decode(bytes)
            .and_then(|package| package.verify(directory.consortium(), &log, &mirror.frontier, &fetch.head.checkpoint));
        match verified {
            Ok(verified) => {
                let first = LeafIndex(mirror.frontier.size().0);
                fetch.progress = now;
                fetch.delivered = true;
                mirror.frontier = verified.frontier.clone();
                mirror.head = Some(fetch.head.clone());
                let commit = Commit {
                    log,
                    first,
                    entries: verified.entries,
                    frontier: verified.frontier,
                    checkpoint: fetch.head.clone(),
                    inline: Vec::new(),
                };
                out.push(Output::Commit(Box::new(commit)));
            }
            Err(_) => {
                out.push(Output::Misbehaviour { peer: from, what: Offence::Package });
                self.give_up_on(from, log);
                self.start_fetch(now, log, out);
            }
        }
    }

    fn fetch_ended(&mut self, now: UnixSeconds, from: HubId, log: LogId, out: &mut Vec<Output>) {
        let Some(mirror) = self.mirrors.get_mut(&log) else { return };
        let Some(fetch) = mirror.fetch.take_if(|fetch| fetch.peer == from) else { return };
        if mirror.reached_target() {
            mirror.target = None;
            self.use_queued(now, log, out);
        } else {
            // A peer that gave nothing at all is not asked again for this until it tells a head again.
            if !fetch.delivered {
                self.give_up_on(from, log);
            }
            self.start_fetch(now, log, out);
        }
    }

    fn peer_down(&mut self, now: UnixSeconds, hub: HubId, out: &mut Vec<Output>) {
        self.peers.remove(&hub);
        let logs: Vec<LogId> = self.mirrors.iter().filter(|(_, m)| m.fetches_from(hub)).map(|(log, _)| *log).collect();
        for log in logs {
            if let Some(mirror) = self.mirrors.get_mut(&log) {
                mirror.fetch = None;
            }
            self.start_fetch(now, log, out);
        }
    }

    fn tick(&mut self, now: UnixSeconds, out: &mut Vec<Output>) {
        for (hub, peer) in &mut self.peers {
            if peer.heads_asked.is_none_or(|asked| now.0.saturating_sub(asked.0) >= HEADS_COMPARE_S) {
                peer.heads_asked = Some(now);
                out.push(Output::AskHeads(*hub));
            }
        }
        let stalled: Vec<(LogId, HubId)> =
            self.mirrors.iter().filter_map(|(log, mirror)| mirror.stalled(now).map(|peer| (*log, peer))).collect();
        for (log, peer) in stalled {
            self.give_up_on(peer, log);
            self.start_fetch(now, log, out);
        }
    }

    /// Asks some connected peer that is far enough for what is missing, unless a fetch is under way.
    fn start_fetch(&mut self, now: UnixSeconds, log: LogId, out: &mut Vec<Output>) {
        let Some(mirror) = self.mirrors.get_mut(&log) else { return };
        let (None, Some(target)) = (&mirror.fetch, &mirror.target) else { return };
        let from = mirror.frontier.size();
        let head = target.checkpoint.size;
        if head <= from {
            mirror.target = None;
            return;
        }
        let origin = self.directory.log(&log).map(|known| known.hub);
        let has_it =
            |hub: &HubId| self.peers.get(hub).and_then(|peer| peer.sizes.get(&log)).is_some_and(|size| *size >= head);
        let complete = origin.filter(|hub| has_it(hub)).or_else(|| self.peers.keys().copied().find(|hub| has_it(hub)));
        // Nobody who is here has all of it: a part under a smaller verified head is better than waiting.
        let partial = || {
            let told = self.peers.iter().filter_map(|(hub, peer)| Some((*hub, peer.heads.get(&log)?)));
            let largest = told.max_by_key(|(_, told)| told.checkpoint.size);
            largest.filter(|(_, told)| told.checkpoint.size > from).map(|(hub, told)| (hub, told.clone()))
        };
        let chosen = complete.map(|hub| (hub, target.clone())).or_else(partial);
        let Some((peer, under)) = chosen else { return };
        let head = under.checkpoint.size;
        let to = LeafIndex(head.0.min(from.0.saturating_add(ENTRIES_REQUEST_LEAVES_MAX)));
        mirror.fetch = Some(Fetch { peer, head: under, progress: now, delivered: false });
        out.push(Output::Fetch { peer, log, from: LeafIndex(from.0), to, head });
    }

    fn is_quarantined(&self, log: &LogId) -> bool {
        self.mirrors.get(log).is_some_and(|mirror| mirror.quarantined)
    }

    fn neighbour_may(&mut self, from: HubId, log: LogId, now: UnixSeconds) -> bool {
        let Some(peer) = self.peers.get_mut(&from) else { return false };
        peer.budgets.entry(log).or_insert_with(|| Bucket::new(NEIGHBOUR_BURST)).take(now)
    }

    fn note_peer_size(&mut self, hub: HubId, log: LogId, size: TreeSize) {
        if let Some(peer) = self.peers.get_mut(&hub) {
            let known = peer.sizes.entry(log).or_default();
            *known = size.max(*known);
        }
    }

    fn give_up_on(&mut self, hub: HubId, log: LogId) {
        if let Some(peer) = self.peers.get_mut(&hub) {
            peer.sizes.remove(&log);
            peer.heads.remove(&log);
        }
        if let Some(mirror) = self.mirrors.get_mut(&log).filter(|mirror| mirror.fetches_from(hub)) {
            mirror.fetch = None;
        }
    }
}

enum Joined {
    Commit(Box<Commit>),
    Gap(Box<VerifiedAnnouncement>),
    Known,
    Contradiction(Box<SignedCheckpoint>),
}

impl Mirror {
    fn empty() -> Self {
        Self::resume(MirrorState { frontier: Frontier::new(), head: None })
    }

    fn resume(state: MirrorState) -> Self {
        Self {
            frontier: state.frontier,
            head: state.head,
            announced: TreeSize(0),
            bucket: Bucket::new(CHECKPOINT_BURST),
            queued: VecDeque::new(),
            target: None,
            fetch: None,
            quarantined: false,
        }
    }

    /// Extends the mirror by an announcement if it joins the frontier.
    fn join(&mut self, announcement: VerifiedAnnouncement) -> Joined {
        let size = self.frontier.size();
        let first = announcement.frontier.size();
        let end = announcement.checkpoint.checkpoint.size;
        if first > size {
            return Joined::Gap(Box::new(announcement));
        }
        if end < size {
            return Joined::Known;
        }
        // Leaves that both hold must lead to the same frontier, else the origin signed two histories.
        let overlap = usize::try_from(size.0 - first.0).unwrap_or(usize::MAX);
        let mut at = announcement.frontier.clone();
        for entry in announcement.entries.iter().take(overlap) {
            at.append(entry.leaf().hash());
        }
        if at != self.frontier {
            return Joined::Contradiction(Box::new(announcement.checkpoint));
        }
        if end == size {
            return Joined::Known;
        }
        let entries: Vec<CheckedEntry> = announcement.entries.into_iter().skip(overlap).collect();
        for entry in &entries {
            self.frontier.append(entry.leaf().hash());
        }
        self.head = Some(announcement.checkpoint.clone());
        let inline = announcement.inline.into_iter().filter(|envelope| envelope.index.0 >= size.0).collect();
        Joined::Commit(Box::new(Commit {
            log: announcement.log,
            first: LeafIndex(size.0),
            entries,
            frontier: self.frontier.clone(),
            checkpoint: announcement.checkpoint,
            inline,
        }))
    }

    fn aim_at(&mut self, checkpoint: &SignedCheckpoint) {
        if self.target.as_ref().is_none_or(|target| target.checkpoint.size < checkpoint.checkpoint.size) {
            self.target = Some(checkpoint.clone());
        }
    }

    fn reached_target(&self) -> bool {
        self.target.as_ref().is_none_or(|target| target.checkpoint.size <= self.frontier.size())
    }

    fn fetches_from(&self, hub: HubId) -> bool {
        self.fetch.as_ref().is_some_and(|fetch| fetch.peer == hub)
    }

    fn stalled(&self, now: UnixSeconds) -> Option<HubId> {
        let fetch = self.fetch.as_ref()?;
        (now.0.saturating_sub(fetch.progress.0) >= FETCH_STALL_S).then_some(fetch.peer)
    }

    fn lag(&self) -> u64 {
        let target = self.target.as_ref().map_or(0, |target| target.checkpoint.size.0);
        target.saturating_sub(self.frontier.size().0)
    }
}

impl Bucket {
    fn new(burst: u32) -> Self {
        Self { tokens: burst, burst, filled: UnixSeconds(0) }
    }

    fn take(&mut self, now: UnixSeconds) -> bool {
        let elapsed = u32::try_from(now.0.saturating_sub(self.filled.0)).unwrap_or(u32::MAX);
        self.tokens = self.tokens.saturating_add(elapsed.saturating_mul(CHECKPOINTS_PER_S)).min(self.burst);
        self.filled = self.filled.max(now);
        let granted = self.tokens > 0;
        self.tokens = self.tokens.saturating_sub(1);
        granted
    }
}
