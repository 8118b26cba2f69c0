//! The writer of a hub's own log: sequencer, lanes and start-up gate, without any I/O (`protocol-spec/08-storage.md`).
//!
//! One rule above all: **never two roots for one size.** Every flush runs through
//! persist (leaves and pending head, synced) -> fence -> sign -> verify -> persist note (synced) -> answer and announce,
//! one flush at a time, and a crash resumes by signing exactly the pending head. The executor carries out one command
//! after the other and reports back; commands it cannot carry out are reported as [`Input::Failed`] and repeated later
//! with the same content.
//!
//! Knows nothing about entries, databases, tokens or peers' addresses: a leaf is its hash, a caller is a [`Ticket`].

mod gate;
mod lanes;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::ids::{HubId, LeafIndex, NodeHash, TreeSize, UnixSeconds};
use crate::limits::{FLUSH_BYTES_MAX, FLUSH_LEAVES_MAX, WRITER_OUTSTANDING_MAX};
use crate::log::checkpoint::{Checkpoint, Origin, SignedCheckpoint};
use crate::log::merkle::Frontier;
use crate::signing::{LogKeys, SignatureVerifier};

pub use gate::{GateOpening, PeerView};
pub use lanes::Lane;

use gate::{Gate, GateVerdict};
use lanes::Lanes;

/// Size and root of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, minicbor::Encode, minicbor::Decode)]
#[cbor(map)]
pub struct Head {
    /// Leaves.
    #[n(0)]
    pub size: TreeSize,
    /// Root over them.
    #[n(1)]
    pub root: NodeHash,
}

/// What the fence holds: the newest head that may have been signed, and by which run of the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
#[cbor(map)]
pub struct FenceValue {
    /// Log generation.
    #[n(0)]
    pub generation: u32,
    /// The head.
    #[n(1)]
    pub head: Head,
    /// Random per start of the node.
    #[n(2)]
    pub boot: BootId,
}

/// One start of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, minicbor::Encode, minicbor::Decode)]
#[cbor(transparent)]
pub struct BootId(#[cbor(with = "minicbor::bytes")] pub [u8; 16]);

/// Names one append until it is answered. Chosen by the executor, ascending, never re-used in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// The executor's clock: wall time for checkpoints, monotonic milliseconds for intervals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// POSIX time.
    pub wall: UnixSeconds,
    /// Milliseconds since an arbitrary moment of this run; never goes back.
    pub millis: u64,
}

/// Intervals of a writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Longest wait of a NORMAL leaf for its flush.
    pub normal_interval_ms: u64,
    /// URGENT flushes that may follow each other at once.
    pub urgent_burst: u32,
    /// URGENT flushes per second in the long run.
    pub urgent_per_second: u32,
    /// After this long an append is answered Pending.
    pub sign_wait_ms: u64,
    /// How long a good fence waits for a first peer.
    pub gate_wait_ms: u64,
    /// Pause before a failed command is repeated.
    pub retry_ms: u64,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            normal_interval_ms: 1_000,
            urgent_burst: 20,
            urgent_per_second: 50,
            sign_wait_ms: 15_000,
            gate_wait_ms: 20_000,
            retry_ms: 500,
        }
    }
}

/// What a writer is told once.
pub struct WriterConfig {
    /// Origin of the log.
    pub origin: Origin,
    /// Its keys now.
    pub keys: LogKeys,
    /// This run.
    pub boot: BootId,
    /// Active hubs of the current roster, this one included.
    pub active_hubs: usize,
    /// Intervals.
    pub pace: Pace,
    /// Checks what the token signed.
    pub verifier: Arc<dyn SignatureVerifier + Send + Sync>,
}

/// What a writer finds on disk.
#[derive(Clone, Debug)]
pub struct Resume {
    /// Frontier over all persisted leaves, recomputed from the tiles.
    pub frontier: Frontier,
    /// Head of the newest persisted note.
    pub signed: Option<Head>,
    /// Head persisted without a note.
    pub pending: Option<Pending>,
    /// The fence.
    pub fence: Option<FenceValue>,
}

/// A head that was persisted and has to be signed exactly as it is.
#[derive(Clone, Debug)]
pub struct Pending {
    /// The head.
    pub head: Head,
    /// Frontier before its first leaf.
    pub before: Frontier,
}

/// Events for the writer.
#[derive(Clone, Debug)]
pub enum Input {
    /// Leaves of one caller, which stay together and in order.
    Append {
        /// The caller.
        ticket: Ticket,
        /// How urgent.
        lane: Lane,
        /// Leaf hashes.
        leaves: Vec<NodeHash>,
        /// Size of the entries in an announcement.
        announced_bytes: usize,
        /// Whether the durable queue holds it already.
        durability: Durability,
    },
    /// [`Output::Queue`] is synced.
    Queued(Ticket),
    /// [`Output::Persist`] is synced.
    Persisted(Head),
    /// [`Output::Fence`] is synced.
    Fenced(Head),
    /// [`Output::Sign`] is done.
    Signed(SignedCheckpoint),
    /// [`Output::PersistNote`] is synced.
    NotePersisted(Head),
    /// A command could not be carried out.
    Failed(Step),
    /// What a peer holds of this log.
    PeerHead {
        /// The peer's hub.
        hub: HubId,
        /// Its answer.
        view: PeerView,
    },
    /// Two local operators open the gate. The executor logs it.
    Override,
    /// Time passed.
    Tick,
}

/// Whether an append survives a crash before it has leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// In memory only.
    Volatile,
    /// In the durable queue, from this or an earlier run.
    Queued,
}

/// A command that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// [`Output::Queue`].
    Queue(Ticket),
    /// [`Output::Persist`].
    Persist,
    /// [`Output::Fence`]: it could not be read or written.
    Fence,
    /// [`Output::Fence`]: it held another value. Someone else writes this log; final.
    FenceConflict,
    /// [`Output::Sign`].
    Sign,
    /// [`Output::PersistNote`].
    PersistNote,
}

/// Commands of the writer.
#[derive(Clone, Debug)]
pub enum Output {
    /// Put the append into the durable queue.
    Queue(Ticket),
    /// Write leaves, tiles, frontier and pending head in one synced batch; drop the tickets from the durable queue.
    Persist(Flush),
    /// Exchange the fence if it holds `old`.
    Fence {
        /// Expected value.
        old: Option<FenceValue>,
        /// New value.
        new: FenceValue,
    },
    /// Sign with both keys over the same bytes.
    Sign {
        /// What to sign.
        checkpoint: Checkpoint,
        /// Time stamp for both lines.
        timestamp: UnixSeconds,
    },
    /// Write the note and clear the pending head in one synced batch.
    PersistNote(SignedCheckpoint),
    /// Tell the caller.
    Answer {
        /// The caller.
        ticket: Ticket,
        /// What happened.
        answer: Answer,
    },
    /// Tell the peers.
    Announce {
        /// The signed head.
        checkpoint: SignedCheckpoint,
        /// First leaf of the flush.
        first: LeafIndex,
        /// Frontier before it.
        before: Frontier,
    },
    /// Ask every reachable peer for the newest head that it holds of this log.
    AskPeers,
    /// The gate is open.
    GateOpened(GateOpening),
    /// A peer holds more of this log than the disk does: pull it back, verify, and start a new writer from there.
    Restored {
        /// Who.
        hub: HubId,
        /// What it holds.
        head: Head,
    },
    /// A peer holds a head that contradicts the disk. The gate stays closed.
    Diverged {
        /// Who.
        hub: HubId,
        /// What it holds.
        head: Head,
    },
    /// The fence belongs to another writer. Nothing is signed any more.
    Halted,
}

/// One flush.
#[derive(Clone, Debug)]
pub struct Flush {
    /// Index of the first leaf.
    pub first: LeafIndex,
    /// Appends in order; their leaves follow each other.
    pub tickets: Vec<Ticket>,
    /// Head after them.
    pub head: Head,
    /// Frontier before them.
    pub before: Frontier,
    /// Frontier after them.
    pub after: Frontier,
}

/// Answer to an append. Only the first three promise anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Under a persisted note.
    Signed {
        /// Index of the caller's first leaf.
        first: LeafIndex,
        /// Size of the signed tree.
        size: TreeSize,
    },
    /// Durable with an index, not yet signed.
    Pending {
        /// Index of the caller's first leaf.
        first: LeafIndex,
    },
    /// Durable, not yet in the tree.
    Queued,
    /// Too much is outstanding; try later.
    Busy,
    /// More leaves or bytes than one flush takes.
    TooLarge,
    /// Not durable in time; it may still happen, a repeat under the same idempotency key is harmless.
    Unavailable,
}

/// The state machine. See the module.
pub struct Writer {
    config: WriterConfig,
    gate: Gate,
    lanes: Lanes,
    frontier: Frontier,
    signed: Option<Head>,
    fence: Option<FenceValue>,
    stage: Stage,
    waiting: BTreeMap<Ticket, Waiting>,
    outstanding: usize,
}

/// Where the one flush in flight stands.
enum Stage {
    Idle,
    Persisting(InFlight),
    Fencing(InFlight),
    Signing(InFlight),
    PersistingNote(InFlight, SignedCheckpoint),
    Halted,
}

struct InFlight {
    flush: Flush,
    /// When to repeat the command that failed.
    retry_at: Option<u64>,
}

/// A caller without a final answer, or a durable append that nobody waits for.
struct Waiting {
    since: u64,
    leaves: usize,
    state: WaitingState,
    answered: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum WaitingState {
    Volatile,
    Queueing,
    Queued,
    Flushing { first: LeafIndex, persisted: bool },
}

impl Writer {
    /// A writer at start-up, and its first commands.
    pub fn start(config: WriterConfig, resume: Resume, now: Moment) -> (Self, Vec<Output>) {
        let gate = Gate::new(&config, &resume, now);
        let (frontier, stage) = match resume.pending {
            Some(pending) => {
                let flush = Flush {
                    first: LeafIndex(pending.before.size().0),
                    tickets: Vec::new(),
                    head: pending.head,
                    before: pending.before,
                    after: resume.frontier.clone(),
                };
                (resume.frontier, Stage::Fencing(InFlight { flush, retry_at: None }))
            }
            None => (resume.frontier, Stage::Idle),
        };
        let mut writer = Self {
            lanes: Lanes::new(&config.pace, now),
            gate,
            frontier,
            signed: resume.signed,
            fence: resume.fence,
            stage,
            waiting: BTreeMap::new(),
            outstanding: 0,
            config,
        };
        let mut out = Vec::new();
        if writer.gate.is_open() {
            out.push(Output::GateOpened(GateOpening::OnlyHub));
            writer.begin(now, &mut out);
        } else {
            out.push(Output::AskPeers);
        }
        (writer, out)
    }

    /// Takes one event and returns the commands that follow, in the order in which they are to be carried out.
    pub fn step(&mut self, now: Moment, input: Input) -> Vec<Output> {
        let mut out = Vec::new();
        match input {
            Input::Append { ticket, lane, leaves, announced_bytes, durability } => {
                self.append(now, Append { ticket, lane, leaves, announced_bytes }, durability, &mut out);
            }
            Input::Queued(ticket) => self.queued(ticket, &mut out),
            Input::Persisted(head) => self.persisted(head, &mut out),
            Input::Fenced(head) => self.fenced(now, head, &mut out),
            Input::Signed(note) => self.signed(now, note, &mut out),
            Input::NotePersisted(head) => self.note_persisted(head, &mut out),
            Input::Failed(step) => self.failed(now, step, &mut out),
            Input::PeerHead { hub, view } => self.peer_head(now, hub, view, &mut out),
            Input::Override => self.open(now, GateOpening::Override, &mut out),
            Input::Tick => self.tick(now, &mut out),
        }
        self.start_flush_if_due(now, &mut out);
        out
    }

    /// When the writer next wants a [`Input::Tick`], in [`Moment::millis`].
    pub fn next_wakeup(&self) -> Option<u64> {
        let retry = self.in_flight().and_then(|flight| flight.retry_at);
        let flush = match self.stage {
            Stage::Idle if self.gate.is_open() => self.lanes.due_at(),
            _ => None,
        };
        let pending = self.waiting.values().filter(|w| !w.answered).map(|w| w.since).min();
        let answers = pending.map(|since| since.saturating_add(self.config.pace.sign_wait_ms));
        [retry, flush, answers, self.gate.wakeup()].into_iter().flatten().min()
    }

    /// Whether signing is allowed.
    pub fn gate_is_open(&self) -> bool {
        self.gate.is_open()
    }

    /// Newest head under a persisted note.
    pub fn signed_head(&self) -> Option<Head> {
        self.signed
    }

    /// Leaves accepted and not yet signed.
    pub fn outstanding(&self) -> usize {
        self.outstanding
    }

    /// Takes note of a roster change: the keys that sign from now on and the number of active hubs.
    pub fn roster_changed(&mut self, keys: LogKeys, active_hubs: usize) {
        self.config.keys = keys;
        self.config.active_hubs = active_hubs;
        self.gate.roster_changed(active_hubs);
    }
}

/// Leaves of one caller on their way.
struct Append {
    ticket: Ticket,
    lane: Lane,
    leaves: Vec<NodeHash>,
    announced_bytes: usize,
}

impl Writer {
    fn append(&mut self, now: Moment, append: Append, durability: Durability, out: &mut Vec<Output>) {
        let (ticket, leaves) = (append.ticket, append.leaves.len());
        if leaves == 0 || leaves > FLUSH_LEAVES_MAX || append.announced_bytes > FLUSH_BYTES_MAX {
            return out.push(Output::Answer { ticket, answer: Answer::TooLarge });
        }
        // What is durable was promised in an earlier run: it is taken whatever the load.
        if durability == Durability::Volatile && self.outstanding + leaves > WRITER_OUTSTANDING_MAX {
            return out.push(Output::Answer { ticket, answer: Answer::Busy });
        }
        let state = match durability {
            Durability::Queued => WaitingState::Queued,
            Durability::Volatile if self.gate.is_open() => WaitingState::Volatile,
            Durability::Volatile => {
                out.push(Output::Queue(ticket));
                WaitingState::Queueing
            }
        };
        let answered = durability == Durability::Queued;
        self.waiting.insert(ticket, Waiting { since: now.millis, leaves, state, answered });
        self.outstanding += leaves;
        self.lanes.push(now, append);
    }

    fn queued(&mut self, ticket: Ticket, out: &mut Vec<Output>) {
        let Some(waiting) = self.waiting.get_mut(&ticket) else { return };
        if waiting.state == WaitingState::Queueing {
            waiting.state = WaitingState::Queued;
        }
        if !waiting.answered {
            waiting.answered = true;
            out.push(Output::Answer { ticket, answer: Answer::Queued });
        }
    }

    fn start_flush_if_due(&mut self, now: Moment, out: &mut Vec<Output>) {
        if !self.gate.is_open() || !matches!(self.stage, Stage::Idle) {
            return;
        }
        let Some(taken) = self.lanes.take_if_due(now) else { return };
        let before = self.frontier.clone();
        let first = LeafIndex(before.size().0);
        let mut after = before.clone();
        let mut tickets = Vec::with_capacity(taken.len());
        for append in taken {
            let index = LeafIndex(after.size().0);
            for leaf in append.leaves {
                after.append(leaf);
            }
            if let Some(waiting) = self.waiting.get_mut(&append.ticket) {
                waiting.state = WaitingState::Flushing { first: index, persisted: false };
            }
            tickets.push(append.ticket);
        }
        let head = Head { size: after.size(), root: after.root() };
        let flush = Flush { first, tickets, head, before, after };
        out.push(Output::Persist(flush.clone()));
        self.stage = Stage::Persisting(InFlight { flush, retry_at: None });
    }

    fn persisted(&mut self, head: Head, out: &mut Vec<Output>) {
        self.stage = match std::mem::replace(&mut self.stage, Stage::Idle) {
            Stage::Persisting(flight) if flight.flush.head == head => {
                self.frontier = flight.flush.after.clone();
                for ticket in &flight.flush.tickets {
                    if let Some(Waiting { state: WaitingState::Flushing { persisted, .. }, .. }) =
                        self.waiting.get_mut(ticket)
                    {
                        *persisted = true;
                    }
                }
                out.push(self.fence_command(head));
                Stage::Fencing(InFlight { retry_at: None, ..flight })
            }
            other => other,
        };
    }

    fn fence_command(&self, head: Head) -> Output {
        let new = FenceValue { generation: self.config.origin.generation(), head, boot: self.config.boot };
        Output::Fence { old: self.fence, new }
    }

    fn fenced(&mut self, now: Moment, head: Head, out: &mut Vec<Output>) {
        self.stage = match std::mem::replace(&mut self.stage, Stage::Idle) {
            Stage::Fencing(flight) if flight.flush.head == head => {
                self.fence =
                    Some(FenceValue { generation: self.config.origin.generation(), head, boot: self.config.boot });
                out.push(self.sign_command(now, head));
                Stage::Signing(InFlight { retry_at: None, ..flight })
            }
            other => other,
        };
    }

    fn sign_command(&self, now: Moment, head: Head) -> Output {
        let checkpoint = Checkpoint { origin: self.config.origin.clone(), size: head.size, root: head.root };
        Output::Sign { checkpoint, timestamp: now.wall }
    }

    fn signed(&mut self, now: Moment, note: SignedCheckpoint, out: &mut Vec<Output>) {
        self.stage = match std::mem::replace(&mut self.stage, Stage::Idle) {
            Stage::Signing(mut flight) => {
                let wanted = flight.flush.head;
                let names_it = note.checkpoint.origin == self.config.origin
                    && note.checkpoint.size == wanted.size
                    && note.checkpoint.root == wanted.root;
                // A faulty token must not publish: what does not verify is signed again, later.
                if names_it && note.verify(&self.config.keys, &*self.config.verifier).is_ok() {
                    out.push(Output::PersistNote(note.clone()));
                    Stage::PersistingNote(InFlight { retry_at: None, ..flight }, note)
                } else {
                    flight.retry_at = Some(now.millis.saturating_add(self.config.pace.retry_ms));
                    Stage::Signing(flight)
                }
            }
            other => other,
        };
    }

    fn note_persisted(&mut self, head: Head, out: &mut Vec<Output>) {
        self.stage = match std::mem::replace(&mut self.stage, Stage::Idle) {
            Stage::PersistingNote(flight, note) if flight.flush.head == head => {
                self.signed = Some(head);
                for ticket in &flight.flush.tickets {
                    self.finish(*ticket, head.size, out);
                }
                out.push(Output::Announce { checkpoint: note, first: flight.flush.first, before: flight.flush.before });
                Stage::Idle
            }
            other => other,
        };
    }

    fn finish(&mut self, ticket: Ticket, size: TreeSize, out: &mut Vec<Output>) {
        let Some(waiting) = self.waiting.remove(&ticket) else { return };
        self.outstanding = self.outstanding.saturating_sub(waiting.leaves);
        if let (false, WaitingState::Flushing { first, .. }) = (waiting.answered, waiting.state) {
            out.push(Output::Answer { ticket, answer: Answer::Signed { first, size } });
        }
    }

    fn failed(&mut self, now: Moment, step: Step, out: &mut Vec<Output>) {
        if step == Step::FenceConflict {
            self.stage = Stage::Halted;
            self.gate.close_for_good();
            return out.push(Output::Halted);
        }
        if let Step::Queue(ticket) = step {
            return self.queue_failed(ticket, out);
        }
        let at = now.millis.saturating_add(self.config.pace.retry_ms);
        let flight = match (&mut self.stage, step) {
            (Stage::Persisting(flight), Step::Persist)
            | (Stage::Fencing(flight), Step::Fence)
            | (Stage::Signing(flight), Step::Sign)
            | (Stage::PersistingNote(flight, _), Step::PersistNote) => flight,
            _ => return,
        };
        flight.retry_at = Some(at);
    }

    /// The caller is told; the leaves stay in the lane and may still be written.
    fn queue_failed(&mut self, ticket: Ticket, out: &mut Vec<Output>) {
        let Some(waiting) = self.waiting.get_mut(&ticket) else { return };
        if waiting.state == WaitingState::Queueing {
            waiting.state = WaitingState::Volatile;
        }
        if !waiting.answered {
            waiting.answered = true;
            out.push(Output::Answer { ticket, answer: Answer::Unavailable });
        }
    }

    fn peer_head(&mut self, now: Moment, hub: HubId, view: PeerView, out: &mut Vec<Output>) {
        if self.gate.is_open() {
            return self.peer_head_after_opening(hub, view, out);
        }
        match self.gate.peer_head(hub, view) {
            GateVerdict::Wait => {}
            GateVerdict::Open(opening) => self.open(now, opening, out),
            GateVerdict::Restored(head) => out.push(Output::Restored { hub, head }),
            GateVerdict::Diverged(head) => out.push(Output::Diverged { hub, head }),
        }
    }

    /// Heads are announced only after their note is persisted, so a peer that is ahead proves a restore that the gate
    /// could not see. Nothing more is signed; the executor pulls the log back and starts a new writer.
    fn peer_head_after_opening(&mut self, hub: HubId, view: PeerView, out: &mut Vec<Output>) {
        let command = match view {
            PeerView::Nothing => return,
            PeerView::Contradicts(head) => Output::Diverged { hub, head },
            PeerView::Head(head) => match self.signed {
                Some(signed) if head == signed || head.size < signed.size => return,
                Some(signed) if head.size == signed.size => Output::Diverged { hub, head },
                _ => Output::Restored { hub, head },
            },
        };
        self.stage = Stage::Halted;
        self.gate.close_for_good();
        out.push(command);
    }

    fn open(&mut self, now: Moment, opening: GateOpening, out: &mut Vec<Output>) {
        if self.gate.open() {
            out.push(Output::GateOpened(opening));
            self.begin(now, out);
        }
    }

    /// The first signature of this run is the pending head's, if there is one.
    fn begin(&mut self, now: Moment, out: &mut Vec<Output>) {
        let pending = match &self.stage {
            Stage::Fencing(flight) => Some(flight.flush.head),
            _ => None,
        };
        match pending {
            Some(head) => out.push(self.fence_command(head)),
            None => self.start_flush_if_due(now, out),
        }
    }

    fn tick(&mut self, now: Moment, out: &mut Vec<Output>) {
        if let Some(opening) = self.gate.tick(now) {
            self.open(now, opening, out);
        }
        self.repeat_failed(now, out);
        self.answer_late(now, out);
    }

    fn repeat_failed(&mut self, now: Moment, out: &mut Vec<Output>) {
        let Some(flight) = self.in_flight_mut() else { return };
        if flight.retry_at.is_none_or(|at| at > now.millis) {
            return;
        }
        flight.retry_at = None;
        let command = match &self.stage {
            Stage::Persisting(flight) => Output::Persist(flight.flush.clone()),
            Stage::Fencing(flight) => self.fence_command(flight.flush.head),
            Stage::Signing(flight) => self.sign_command(now, flight.flush.head),
            Stage::PersistingNote(_, note) => Output::PersistNote(note.clone()),
            Stage::Idle | Stage::Halted => return,
        };
        out.push(command);
    }

    /// Whoever waited `sign_wait` gets the best true answer.
    fn answer_late(&mut self, now: Moment, out: &mut Vec<Output>) {
        for (ticket, waiting) in &mut self.waiting {
            if waiting.answered || waiting.since.saturating_add(self.config.pace.sign_wait_ms) > now.millis {
                continue;
            }
            let answer = match waiting.state {
                WaitingState::Flushing { first, persisted: true } => Answer::Pending { first },
                // The disk did not take it in time.
                WaitingState::Flushing { persisted: false, .. } | WaitingState::Queueing => Answer::Unavailable,
                WaitingState::Queued => Answer::Queued,
                WaitingState::Volatile => {
                    waiting.state = WaitingState::Queueing;
                    waiting.since = now.millis;
                    out.push(Output::Queue(*ticket));
                    continue;
                }
            };
            waiting.answered = true;
            out.push(Output::Answer { ticket: *ticket, answer });
        }
    }

    fn in_flight(&self) -> Option<&InFlight> {
        match &self.stage {
            Stage::Persisting(f) | Stage::Fencing(f) | Stage::Signing(f) | Stage::PersistingNote(f, _) => Some(f),
            Stage::Idle | Stage::Halted => None,
        }
    }

    fn in_flight_mut(&mut self) -> Option<&mut InFlight> {
        match &mut self.stage {
            Stage::Persisting(f) | Stage::Fencing(f) | Stage::Signing(f) | Stage::PersistingNote(f, _) => Some(f),
            Stage::Idle | Stage::Halted => None,
        }
    }
}

#[cfg(test)]
#[path = "crash_tests.rs"]
mod crash_tests;
#[cfg(test)]
#[path = "tests.rs"]
mod tests;
