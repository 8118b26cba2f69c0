//! The loop of the writer thread: messages in, commands out, nothing else decides.

use std::collections::{BTreeMap, VecDeque};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use cresset_protocol::ids::{LeafIndex, LogId, UnixSeconds};
use cresset_protocol::log::checkpoint::{Checkpoint, SignedCheckpoint};
use cresset_protocol::log::entry::Entry;
use cresset_protocol::log::merkle::Frontier;
use cresset_protocol::log::writer::{
    Answer, BootId, Durability, FenceValue, Flush, Head, Input, Lane, Moment, Output, Resume, Step, Ticket, Writer,
    WriterConfig,
};
use cresset_protocol::signing::LogKeys;

use super::signer::{Outcome, Signers};
use super::{AppendAnswer, FlushSigned, LogWriterConfig, Message, Reply, WriterEvent, WriterStatus};
use crate::error::{Result, StoreError};
use crate::fence::Fence;
use crate::logs::StoredHead;
use crate::own_log::{Intake, PreparedLeaf, PublishKey};
use crate::store::Store;

pub(crate) struct Executor {
    store: Arc<Store>,
    fence: Fence,
    signers: Signers,
    events: Box<dyn Fn(WriterEvent) + Send>,
    status: Arc<Mutex<WriterStatus>>,
    clock: Arc<dyn Fn() -> UnixSeconds + Send + Sync>,
    started: Instant,
    log: LogId,
    keys: LogKeys,
    writer: Writer,
    todo: VecDeque<Output>,
    next_ticket: u64,
    appends: BTreeMap<Ticket, Held>,
    keyed: BTreeMap<PublishKey, Ticket>,
    signing: Option<(Checkpoint, UnixSeconds)>,
    sign_ms: u64,
    flushed: Option<Vec<Entry>>,
    halted: bool,
}

/// An append on its way.
struct Held {
    leaves: Vec<PreparedLeaf>,
    lane: Lane,
    replies: Vec<Reply>,
    intake: Option<u64>,
}

/// Longest sleep, so that a stopped clock elsewhere cannot stop the thread.
const NAP_MAX: Duration = Duration::from_secs(1);

impl Executor {
    pub(crate) fn new(
        store: Arc<Store>,
        fence: Fence,
        config: LogWriterConfig,
        signers: Signers,
        events: Box<dyn Fn(WriterEvent) + Send>,
        status: Arc<Mutex<WriterStatus>>,
    ) -> Result<Self> {
        let state = store.own_state(&config.log)?;
        let resume =
            Resume { frontier: state.frontier, signed: state.signed, pending: state.pending, fence: fence.read()? };
        let intakes = store.intakes()?;
        let started = Instant::now();
        let writer_config = WriterConfig {
            origin: config.origin,
            keys: config.keys.clone(),
            boot: boot_id()?,
            active_hubs: config.active_hubs,
            pace: config.pace,
            verifier: Arc::new(cresset_crypto::Verifier),
        };
        let now = Moment { wall: (config.clock)(), millis: 0 };
        let (writer, first) = Writer::start(writer_config, resume, now);
        let mut executor = Self {
            store,
            fence,
            signers,
            events,
            status,
            clock: config.clock,
            started,
            log: config.log,
            keys: config.keys,
            writer,
            todo: first.into(),
            next_ticket: 0,
            appends: BTreeMap::new(),
            keyed: BTreeMap::new(),
            signing: None,
            sign_ms: 0,
            flushed: None,
            halted: false,
        };
        for (number, intake) in intakes {
            executor.take_intake(number, intake);
        }
        executor.publish_status();
        Ok(executor)
    }

    pub(crate) fn run(mut self, inbox: &Receiver<Message>) {
        loop {
            self.drain();
            self.publish_status();
            match inbox.recv_timeout(self.nap()) {
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(message) => self.handle(message),
                Err(RecvTimeoutError::Timeout) => self.step(Input::Tick),
            }
        }
    }

    fn handle(&mut self, message: Message) {
        match message {
            Message::Append { leaves, lane, reply } => self.append(leaves, lane, reply),
            Message::PeerHead { hub, view } => self.step(Input::PeerHead { hub, view }),
            Message::RosterChanged { keys, active_hubs } => {
                self.keys = (*keys).clone();
                self.writer.roster_changed(*keys, active_hubs);
            }
            Message::Override => self.step(Input::Override),
            Message::Half(half) => {
                if let Some(outcome) = self.signers.take(half) {
                    self.signed(outcome);
                }
            }
            Message::Stop => {}
        }
        // A busy channel must not starve deadlines.
        if self.writer.next_wakeup().is_some_and(|at| at <= self.millis()) {
            self.step(Input::Tick);
        }
    }

    fn append(&mut self, leaves: Vec<PreparedLeaf>, lane: Lane, reply: Reply) {
        let keys: Vec<PublishKey> = leaves.iter().filter_map(|leaf| leaf.publish_key).collect();
        // A repetition is harmless only as a whole: an append that brings one new view is appended, all of it.
        let mut accepted_before = None;
        let mut repeated = 0;
        for key in &keys {
            if let Some(held) = self.keyed.get(key).and_then(|ticket| self.appends.get_mut(ticket)) {
                return held.replies.push(reply);
            }
            match self.store.publish_state(key) {
                Ok(None) => {}
                Ok(Some(state)) => {
                    repeated += 1;
                    accepted_before = accepted_before.or(Some(state.index));
                }
                Err(fault) => return reply(AppendAnswer::Refused(Arc::new(fault))),
            }
        }
        if let Some(first) = accepted_before.filter(|_| repeated == keys.len()) {
            return reply(AppendAnswer::Repeated { first });
        }
        let ticket = self.ticket();
        self.keyed.extend(keys.into_iter().map(|key| (key, ticket)));
        self.hold(ticket, Held { leaves, lane, replies: vec![reply], intake: None }, Durability::Volatile);
    }

    fn take_intake(&mut self, number: u64, intake: Intake) {
        let ticket = self.ticket();
        let lane = intake.lane();
        let held = Held { leaves: intake.leaves, lane, replies: Vec::new(), intake: Some(number) };
        self.hold(ticket, held, Durability::Queued);
    }

    fn hold(&mut self, ticket: Ticket, held: Held, durability: Durability) {
        let input = Input::Append {
            ticket,
            lane: held.lane,
            leaves: held.leaves.iter().map(|leaf| leaf.entry.leaf.hash()).collect(),
            announced_bytes: held.leaves.iter().map(|leaf| announced_bytes(&leaf.entry)).sum(),
            durability,
        };
        self.appends.insert(ticket, held);
        self.step(input);
    }

    fn ticket(&mut self) -> Ticket {
        self.next_ticket += 1;
        Ticket(self.next_ticket)
    }

    fn step(&mut self, input: Input) {
        let now = Moment { wall: (self.clock)(), millis: self.millis() };
        self.todo.extend(self.writer.step(now, input));
    }

    /// Carries out commands until none is left.
    fn drain(&mut self) {
        while let Some(output) = self.todo.pop_front() {
            match output {
                Output::Queue(ticket) => self.queue(ticket),
                Output::Persist(flush) => self.persist(flush),
                Output::Fence { old, new } => self.move_fence(old, new),
                Output::Sign { checkpoint, timestamp } => self.sign(checkpoint, timestamp),
                Output::PersistNote(note) => self.persist_note(&note),
                Output::Answer { ticket, answer } => self.answer(ticket, answer),
                Output::Announce { checkpoint, first, before } => self.announce(checkpoint, first, before),
                Output::AskPeers => (self.events)(WriterEvent::AskPeers),
                Output::GateOpened(opening) => (self.events)(WriterEvent::GateOpened(opening)),
                Output::Restored { hub, head } => (self.events)(WriterEvent::Restored { hub, head }),
                Output::Diverged { hub, head } => (self.events)(WriterEvent::Diverged { hub, head }),
                Output::Halted => {
                    self.halted = true;
                    (self.events)(WriterEvent::Halted);
                }
            }
        }
    }

    fn queue(&mut self, ticket: Ticket) {
        let Some(held) = self.appends.get_mut(&ticket) else { return };
        let intake = Intake { urgent: held.lane == Lane::Urgent, leaves: held.leaves.clone() };
        match self.store.queue_intake(&intake) {
            Ok(number) => {
                held.intake = Some(number);
                self.step(Input::Queued(ticket));
            }
            Err(fault) => self.storage_trouble(fault, Step::Queue(ticket)),
        }
    }

    fn persist(&mut self, flush: Flush) {
        let held = flush.tickets.iter().filter_map(|ticket| self.appends.get(ticket));
        let mut leaves: Vec<&PreparedLeaf> = Vec::new();
        let mut intakes = Vec::new();
        for held in held {
            leaves.extend(&held.leaves);
            intakes.extend(held.intake);
        }
        match self.store.persist_flush(&self.log, flush.first, &leaves, flush.head, &intakes) {
            Ok(()) => {
                self.flushed = Some(leaves.into_iter().map(|leaf| leaf.entry.clone()).collect());
                for ticket in &flush.tickets {
                    self.release_leaves(*ticket);
                }
                self.step(Input::Persisted(flush.head));
            }
            Err(fault) => self.storage_trouble(fault, Step::Persist),
        }
    }

    /// What is persisted needs no memory; the ticket stays while somebody waits for its answer.
    fn release_leaves(&mut self, ticket: Ticket) {
        let Some(held) = self.appends.get_mut(&ticket) else { return };
        for key in held.leaves.drain(..).filter_map(|leaf| leaf.publish_key) {
            self.keyed.remove(&key);
        }
        if held.replies.is_empty() {
            self.appends.remove(&ticket);
        }
    }

    fn move_fence(&mut self, old: Option<FenceValue>, new: FenceValue) {
        match self.fence.compare_and_swap(old.as_ref(), &new) {
            Ok(()) => self.step(Input::Fenced(new.head)),
            Err(fault @ StoreError::FenceConflict { .. }) => self.storage_trouble(fault, Step::FenceConflict),
            Err(fault) => self.storage_trouble(fault, Step::Fence),
        }
    }

    fn sign(&mut self, checkpoint: Checkpoint, timestamp: UnixSeconds) {
        let message = checkpoint.bytes_to_sign(timestamp);
        self.signing = Some((checkpoint, timestamp));
        if !self.signers.sign(message.as_bytes()) {
            self.step(Input::Failed(Step::Sign));
        }
    }

    fn signed(&mut self, (result, took): Outcome) {
        let Some((checkpoint, timestamp)) = self.signing.take() else { return };
        match result {
            Ok(signatures) => {
                self.sign_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
                self.step(Input::Signed(SignedCheckpoint { checkpoint, timestamp, signatures }));
            }
            Err(error) => {
                (self.events)(WriterEvent::TokenTrouble(error));
                self.step(Input::Failed(Step::Sign));
            }
        }
    }

    fn persist_note(&mut self, note: &SignedCheckpoint) {
        let head = Head { size: note.checkpoint.size, root: note.checkpoint.root };
        let stored = StoredHead { head, timestamp: note.timestamp, note: note.to_note(&self.keys) };
        match self.store.persist_note(&self.log, &stored) {
            Ok(()) => self.step(Input::NotePersisted(head)),
            Err(fault) => self.storage_trouble(fault, Step::PersistNote),
        }
    }

    fn answer(&mut self, ticket: Ticket, answer: Answer) {
        let Some(held) = self.appends.get_mut(&ticket) else { return };
        for reply in std::mem::take(&mut held.replies) {
            reply(public_answer(answer));
        }
        let refused = matches!(answer, Answer::Busy | Answer::TooLarge);
        if refused {
            for key in held.leaves.iter().filter_map(|leaf| leaf.publish_key) {
                self.keyed.remove(&key);
            }
        }
        if refused || held.leaves.is_empty() {
            self.appends.remove(&ticket);
        }
    }

    fn announce(&mut self, checkpoint: SignedCheckpoint, first: LeafIndex, before: Frontier) {
        let entries = match self.flushed.take() {
            Some(entries) => entries,
            // A resumed flush was persisted by an earlier run.
            None => match self.store.entries(&self.log, first.0..checkpoint.checkpoint.size.0) {
                Ok(entries) => entries,
                Err(fault) => return (self.events)(WriterEvent::StorageTrouble(fault)),
            },
        };
        let sign_ms = self.sign_ms;
        (self.events)(WriterEvent::FlushSigned(FlushSigned { checkpoint, first, before, entries, sign_ms }));
    }

    fn storage_trouble(&mut self, fault: StoreError, step: Step) {
        (self.events)(WriterEvent::StorageTrouble(fault));
        self.step(Input::Failed(step));
    }

    fn nap(&self) -> Duration {
        let until = self.writer.next_wakeup().map(|at| Duration::from_millis(at.saturating_sub(self.millis())));
        until.unwrap_or(NAP_MAX).min(NAP_MAX)
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn publish_status(&self) {
        let status = WriterStatus {
            gate_open: self.writer.gate_is_open(),
            signed: self.writer.signed_head(),
            outstanding: self.writer.outstanding(),
            halted: self.halted,
        };
        *self.status.lock().unwrap_or_else(PoisonError::into_inner) = status;
    }
}

fn public_answer(answer: Answer) -> AppendAnswer {
    match answer {
        Answer::Signed { first, size } => AppendAnswer::Signed { first, size },
        Answer::Pending { first } => AppendAnswer::Pending { first },
        Answer::Queued => AppendAnswer::Queued,
        Answer::Busy => AppendAnswer::Busy,
        Answer::TooLarge => AppendAnswer::TooLarge,
        Answer::Unavailable => AppendAnswer::Unavailable,
    }
}

/// Size of an entry in an announcement: leaf, header, public opening and CBOR heads.
fn announced_bytes(entry: &Entry) -> usize {
    const FRAMING: usize = 16;
    let opening = entry.opening.as_ref().map_or(0, |opening| opening.share.len() + 2 * 32 + FRAMING);
    cresset_protocol::log::leaf::LEAF_BYTES + FRAMING + entry.header.as_ref().map_or(0, Vec::len) + opening
}

fn boot_id() -> Result<BootId> {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes).map_err(|_| StoreError::Inconsistent { what: "random source" })?;
    Ok(BootId(bytes))
}
