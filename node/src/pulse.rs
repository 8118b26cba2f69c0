//! The heartbeat's leaves: HEADS over all other logs, and the slot leaf with this hub's statements.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cresset_crypto::random_bytes;
use cresset_protocol::ids::{Binding, UnixSeconds};
use cresset_protocol::limits::{HEADS_PER_LEAF_MAX, SLOT_STATEMENTS_MAX};
use cresset_protocol::log::heads::{HeadsTable, LogHead};
use cresset_protocol::log::kinds::KindTag;
use cresset_protocol::log::leaf::LeafKind;
use cresset_protocol::log::public::{HeadsShare, PublicShare};
use cresset_protocol::log::record::Blinding;
use cresset_protocol::log::slot::{Slot, SlotAudit, Statement};
use cresset_protocol::suite::Suite;
use cresset_protocol::sync::heartbeat::{Due, Heartbeat};
use cresset_provenance::log_writer::Lane;
use cresset_provenance::{AppendAnswer, NewLeaf, StoreError};
use tokio::sync::mpsc;

use crate::parts::Parts;
use crate::records::{LeafMaker, record};
use crate::replicate::statement;

/// How often it is asked what is due.
const TICK: Duration = Duration::from_secs(1);
/// Name of the cursor that holds the start of the last slot written.
const LAST_SLOT: &str = "pulse/last-slot";
/// Heartbeat leaves that wait for the writer.
const OVERDUE_MAX: usize = 16;
/// Leaves read at a time when the own log's HEADS are collected at start.
const ENTRIES_PER_READ: u64 = 1_024;

/// Heads as this hub's HEADS leaves have named them so far.
pub(crate) struct Pulse {
    parts: Arc<Parts>,
    table: Mutex<HeadsTable>,
}

impl Pulse {
    /// Collects what the own log's HEADS leaves say.
    pub(crate) fn resume(parts: Arc<Parts>) -> Result<Self, StoreError> {
        let mut table = HeadsTable::new();
        let size = parts.store.log_size(&parts.log)?.0;
        let mut at = 0;
        while at < size {
            let end = (at + ENTRIES_PER_READ).min(size);
            for entry in parts.store.entries(&parts.log, at..end)? {
                let opening = entry.opening.as_ref().filter(|_| entry.leaf.kind == LeafKind::Heads);
                let share =
                    opening.and_then(|opening| PublicShare::decode(&entry.leaf, &parts.log, &opening.share).ok());
                if let Some(PublicShare::Heads(share)) = share {
                    share.heads.into_iter().for_each(|head| {
                        table.advance(head);
                    });
                }
            }
            at = end;
        }
        Ok(Self { parts, table: Mutex::new(table) })
    }

    /// Beats for as long as the node runs.
    pub(crate) async fn run(self, mut noteworthy: mpsc::Receiver<()>) {
        let last_slot = self.parts.store.cursor(LAST_SLOT).ok().flatten();
        let last_slot = last_slot.and_then(|bytes| Some(UnixSeconds(u64::from_be_bytes(bytes.try_into().ok()?))));
        let mut heartbeat = Heartbeat::resume(None, last_slot);
        let mut overdue = VecDeque::new();
        let mut tick = tokio::time::interval(TICK);
        loop {
            tokio::select! {
                Some(()) = noteworthy.recv() => heartbeat.noteworthy_change(self.parts.now()),
                _ = tick.tick() => {
                    // While the gate is closed nothing may be signed: what is due waits here, not in the writer's queue.
                    for due in heartbeat.tick(self.parts.now()) {
                        if !overdue.contains(&due) {
                            overdue.push_back(due);
                        }
                    }
                    overdue.truncate(OVERDUE_MAX);
                    if self.parts.writer.status().gate_open {
                        self.write_overdue(&mut overdue);
                    }
                }
            }
        }
    }

    fn write_overdue(&self, overdue: &mut VecDeque<Due>) {
        while let Some(due) = overdue.front().copied() {
            let done = tokio::task::block_in_place(|| match due {
                Due::Heads => self.heads(),
                Due::Slot { start } => self.slot(start),
            });
            if let Err(error) = done {
                return tracing::warn!(?due, %error, "a heartbeat leaf waits");
            }
            overdue.pop_front();
        }
    }

    /// Writes a HEADS leaf with the heads that moved since the last one.
    fn heads(&self) -> Result<(), PulseError> {
        let snapshot = self.parts.membership.snapshot();
        // X covers what HEADS leaves name, so the table moves only when the leaf is durable.
        let mut held = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let mut table = held.clone();
        let mut moved = Vec::new();
        for record in self.parts.store.logs()?.into_iter().filter(|record| record.id != self.parts.log) {
            let size = self.parts.store.log_size(&record.id)?;
            let head = self.parts.store.head(&record.id)?.filter(|head| head.head.size == size);
            let Some(head) = head else { continue };
            let head = LogHead { log: record.id, size: head.head.size, root: head.head.root };
            if moved.len() < HEADS_PER_LEAF_MAX && table.advance(head) {
                moved.push(head);
            }
        }
        let share = PublicShare::Heads(HeadsShare {
            kind: KindTag,
            suite: Suite::Hybrid2026,
            heads: moved,
            roster_version: snapshot.roster.version(),
            roster_digest: snapshot.roster.digest(),
        });
        let leaf = self.maker().public(&share, table.root())?;
        self.append(leaf)?;
        *held = table;
        Ok(())
    }

    /// Writes the slot leaf: everything that this hub has to state about others' leaves, and padding.
    fn slot(&self, start: UnixSeconds) -> Result<(), PulseError> {
        let queued = self.parts.store.statements(SLOT_STATEMENTS_MAX)?;
        let statements: Vec<Statement> = queued.iter().filter_map(|(_, bytes)| statement(bytes)).collect();
        let seed = Blinding::new(random_bytes()?);
        let slot = Slot::build(start, &seed, statements.clone())?;
        let share = cresset_protocol::codec::encode(&slot.share(Suite::Hybrid2026));
        // The auditor builds the slot again; each owner gets its own statements, with paths.
        let audit = SlotAudit { seed, statements }.to_bytes();
        let leaf = self.maker().private(record(share, audit)?, Binding(random_bytes()?));
        self.append(NewLeaf { statements: queued.into_iter().map(|(number, _)| number).collect(), ..leaf })?;
        self.parts.store.set_cursor(LAST_SLOT, &start.0.to_be_bytes())?;
        Ok(())
    }

    fn maker(&self) -> LeafMaker<'_> {
        LeafMaker { consortium: &self.parts.consortium, log: &self.parts.log, time: self.parts.now(), urgent: false }
    }

    fn append(&self, leaf: NewLeaf) -> Result<(), PulseError> {
        match self.parts.writer.append_and_wait(vec![leaf], Lane::Normal) {
            AppendAnswer::Signed { .. } | AppendAnswer::Pending { .. } => Ok(()),
            answer => Err(PulseError::NotWritten(format!("{answer:?}"))),
        }
    }
}

/// Why a heartbeat leaf is not written.
#[derive(Debug, thiserror::Error)]
enum PulseError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Randomness(#[from] cresset_crypto::RandomnessError),
    #[error("the writer says {0}")]
    NotWritten(String),
    #[error(transparent)]
    Slot(#[from] cresset_protocol::log::slot::SlotError),
}
