//! The own log as the writer's commands change it: flushes, notes, the durable queue, and what a restart finds.

use cresset_protocol::ids::{LeafIndex, LogId, TreeSize};
use cresset_protocol::log::entry::Entry;
use cresset_protocol::log::merkle::Frontier;
use cresset_protocol::log::record::{AuditPart, Opening};
use cresset_protocol::log::writer::{Head, Lane, Pending};
use minicbor::{Decode, Encode};

use crate::db::{Batch, decode_row, next_number};
use crate::error::{Result, StoreError};
use crate::logs::{HEAD_PENDING, StoredHead};
use crate::objects::{EncryptedObject, ObjectRecord, ObjectRef, put_object};
use crate::queues::{Delivery, outbox_key};
use crate::schema::{Cf, Key, LocalLog, last_number};
use crate::store::Store;

/// Makes a repeated publish harmless: a digest over object, version and view, chosen by the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(transparent)]
pub struct PublishKey(#[cbor(with = "minicbor::bytes")] pub [u8; 32]);

/// What became of a leaf with a [`PublishKey`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct PublishState {
    /// Its index; absent while it is in the durable queue.
    #[n(0)]
    pub index: Option<LeafIndex>,
}

/// A leaf with everything that becomes durable together with it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct PreparedLeaf {
    #[n(0)]
    pub(crate) entry: Entry,
    #[n(1)]
    pub(crate) opening: Option<Opening>,
    #[n(2)]
    pub(crate) audit: Option<AuditPart>,
    #[cbor(n(3), with = "minicbor::bytes")]
    pub(crate) envelope: Option<Vec<u8>>,
    #[n(4)]
    pub(crate) object: Option<EncryptedObject>,
    #[n(5)]
    pub(crate) deliveries: Vec<Delivery>,
    #[n(6)]
    pub(crate) publish_key: Option<PublishKey>,
    #[n(7)]
    pub(crate) statements: Vec<u64>,
}

/// Leaves of one append in the durable queue.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct Intake {
    #[n(0)]
    pub(crate) urgent: bool,
    #[n(1)]
    pub(crate) leaves: Vec<PreparedLeaf>,
}

impl Intake {
    pub(crate) fn lane(&self) -> Lane {
        if self.urgent { Lane::Urgent } else { Lane::Normal }
    }
}

/// The head that was persisted and is not signed yet.
#[derive(Encode, Decode)]
#[cbor(map)]
struct PendingRow {
    #[n(0)]
    head: Head,
    #[n(1)]
    first: LeafIndex,
}

/// The own log as it stands on disk.
pub(crate) struct OwnState {
    pub(crate) frontier: Frontier,
    pub(crate) signed: Option<Head>,
    pub(crate) pending: Option<Pending>,
}

impl Store {
    /// What became of a publish.
    ///
    /// # Errors
    /// The database's.
    pub fn publish_state(&self, key: &PublishKey) -> Result<Option<PublishState>> {
        self.db.get_row(Cf::PublishKey, key.0)
    }

    pub(crate) fn own_state(&self, log: &LogId) -> Result<OwnState> {
        let number = self.number(log)?;
        let frontier = self.edges(number)?.frontier()?;
        let signed = self.head(log)?.map(|stored| stored.head);
        let row: Option<PendingRow> = self.db.get_row(Cf::Head, pending_key(number))?;
        let pending = match row {
            Some(row) => {
                let before = self.tree(log)?.frontier_at(TreeSize(row.first.0))?;
                Some(Pending { head: row.head, before })
            }
            None => None,
        };
        let newest = pending.as_ref().map(|pending| pending.head).or(signed);
        let agrees = match newest {
            Some(head) => head.size == frontier.size() && head.root == frontier.root(),
            None => frontier.size() == TreeSize(0),
        };
        if !agrees {
            return Err(StoreError::Inconsistent { what: "head of the own log" });
        }
        Ok(OwnState { frontier, signed, pending })
    }

    /// Leaves and everything that belongs to them, tiles, edges, pending head; clears the queue rows they came from.
    pub(crate) fn persist_flush(
        &self,
        log: &LogId,
        first: LeafIndex,
        leaves: &[&PreparedLeaf],
        head: Head,
        intakes: &[u64],
    ) -> Result<()> {
        let _commit = self.lock_commit();
        let number = self.number(log)?;
        let mut batch = self.db.batch();
        let entries: Vec<&Entry> = leaves.iter().map(|leaf| &leaf.entry).collect();
        let edges = self.put_entries(&mut batch, number, first, &entries)?;
        if edges.size() != head.size || edges.frontier()?.root() != head.root {
            return Err(StoreError::RootMismatch { size: head.size });
        }
        for (index, leaf) in (first.0..).zip(leaves) {
            put_companions(&mut batch, number, LeafIndex(index), leaf);
        }
        for intake in intakes {
            batch.delete(Cf::Intake, Key::number(*intake));
        }
        batch.put_row(Cf::Head, pending_key(number), &PendingRow { head, first });
        batch.commit()?;
        self.set_edges(number, edges);
        Ok(())
    }

    pub(crate) fn persist_note(&self, log: &LogId, note: &StoredHead) -> Result<()> {
        let number = self.number(log)?;
        let mut batch = self.db.batch();
        Self::put_own_head(&mut batch, number, note);
        batch.delete(Cf::Head, pending_key(number));
        batch.commit()
    }

    pub(crate) fn queue_intake(&self, intake: &Intake) -> Result<u64> {
        let _commit = self.lock_commit();
        let mut batch = self.db.batch();
        let number = next_number(&self.db, &mut batch, "intake")?;
        batch.put_row(Cf::Intake, Key::number(number), intake);
        for key in intake.leaves.iter().filter_map(|leaf| leaf.publish_key) {
            batch.put_row(Cf::PublishKey, key.0, &PublishState { index: None });
        }
        batch.commit()?;
        Ok(number)
    }

    pub(crate) fn intakes(&self) -> Result<Vec<(u64, Intake)>> {
        let rows = self.db.scan(Cf::Intake, &[], None);
        rows.map(|row| {
            let (key, value) = row?;
            Ok((last_number(&key).unwrap_or_default(), decode_row(Cf::Intake, &value)?))
        })
        .collect()
    }
}

fn put_companions(batch: &mut Batch<'_>, number: LocalLog, index: LeafIndex, leaf: &PreparedLeaf) {
    let key = Key::leaf(number, index);
    if let Some(opening) = &leaf.opening {
        batch.put_row(Cf::Opening, &key, opening);
    }
    if let Some(audit) = &leaf.audit {
        batch.put_row(Cf::Audit, &key, audit);
    }
    if let Some(envelope) = &leaf.envelope {
        Store::put_own_envelope(batch, leaf.entry.leaf.binding, envelope);
    }
    if let Some(object) = &leaf.object {
        let reference = ObjectRef { index, ..object.record.object };
        let record = ObjectRecord { object: reference, ..object.record.clone() };
        put_object(batch, number, &record, &object.ciphertext);
    }
    for (row, delivery) in (0u64..).zip(&leaf.deliveries) {
        // Numbered by leaf and row: above every counter, and needing none within the batch.
        let sequence = DELIVERIES_BY_LEAF | (index.0 << DELIVERY_ROW_BITS) | row;
        let delivery = Delivery { index: Some(index), ..delivery.clone() };
        batch.put_row(Cf::Outbox, outbox_key(&delivery.to, sequence), &delivery);
    }
    for statement in &leaf.statements {
        batch.delete(Cf::Statement, Key::number(*statement));
    }
    if let Some(publish_key) = &leaf.publish_key {
        batch.put_row(Cf::PublishKey, publish_key.0, &PublishState { index: Some(index) });
    }
}

const DELIVERIES_BY_LEAF: u64 = 1 << 63;
/// A leaf has fewer deliveries than this many bits count: one per hub.
const DELIVERY_ROW_BITS: u32 = 12;

fn pending_key(number: LocalLog) -> Key {
    Key::log(number).then_byte(HEAD_PENDING)
}
