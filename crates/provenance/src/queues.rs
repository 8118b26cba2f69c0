//! Work that survives a restart: inbox, outbox, slot statements, review, cursors.

use cresset_protocol::ids::{HubId, LeafIndex, LogId, UnixSeconds};
use minicbor::{Decode, Encode};

use crate::db::{decode_row, next_number};
use crate::error::{Result, StoreError};
use crate::schema::{Cf, Key, LocalLog, last_number};
use crate::store::Store;

/// What a mirrored leaf still needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Awaits {
    /// The envelope's bytes.
    #[n(0)]
    Envelope,
    /// The audience key or its grant.
    #[n(1)]
    Key,
    /// Opening and the ingress decision.
    #[n(2)]
    Opening,
}

/// A leaf that is not dealt with yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct InboxEntry {
    /// What it needs.
    #[n(0)]
    pub awaits: Awaits,
    /// Attempts so far.
    #[n(1)]
    pub attempts: u32,
    /// When to try again.
    #[n(2)]
    pub next_try: UnixSeconds,
}

impl InboxEntry {
    /// A leaf that has just come.
    pub const fn new(awaits: Awaits) -> Self {
        Self { awaits, attempts: 0, next_try: UnixSeconds(0) }
    }
}

/// Something to hand to one hub directly, until it acknowledges.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Delivery {
    /// To whom.
    #[n(0)]
    pub to: HubId,
    /// Own leaf that it belongs to; set by the store when it is queued together with its leaf.
    #[n(1)]
    pub index: Option<LeafIndex>,
    /// What to send.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub body: Vec<u8>,
    /// Attempts so far.
    #[n(3)]
    pub attempts: u32,
    /// When to try again.
    #[n(4)]
    pub next_try: UnixSeconds,
}

/// Number of a delivery, statement or review entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct QueueNumber(pub u64);

impl Store {
    /// Changes the state of a leaf in the inbox. Not synced: an older state only means one more try.
    ///
    /// # Errors
    /// [`StoreError::UnknownLog`] or the database's.
    pub fn put_inbox(&self, log: &LogId, index: LeafIndex, entry: &InboxEntry) -> Result<()> {
        let mut batch = self.db.batch();
        batch.put_row(Cf::Inbox, Key::leaf(self.number(log)?, index), entry);
        batch.commit_unsynced()
    }

    /// State of a leaf in the inbox.
    ///
    /// # Errors
    /// [`StoreError::UnknownLog`] or the database's.
    pub fn inbox_entry(&self, log: &LogId, index: LeafIndex) -> Result<Option<InboxEntry>> {
        self.db.get_row(Cf::Inbox, Key::leaf(self.number(log)?, index))
    }

    /// Makes up to `limit` leaves of a log that await the same thing due at once.
    ///
    /// # Errors
    /// [`StoreError::UnknownLog`] or the database's.
    pub fn wake_inbox(&self, log: &LogId, awaits: Awaits, limit: usize) -> Result<()> {
        let prefix = Key::log(self.number(log)?);
        let mut batch = self.db.batch();
        for row in self.db.scan(Cf::Inbox, prefix.as_ref(), None).take(limit) {
            let (key, value) = row?;
            let entry: InboxEntry = decode_row(Cf::Inbox, &value)?;
            if entry.awaits == awaits {
                batch.put_row(Cf::Inbox, &key, &InboxEntry { next_try: UnixSeconds(0), ..entry });
            }
        }
        batch.commit_unsynced()
    }

    /// Takes a leaf out of the inbox.
    ///
    /// # Errors
    /// [`StoreError::UnknownLog`] or the database's.
    pub fn remove_inbox(&self, log: &LogId, index: LeafIndex) -> Result<()> {
        let mut batch = self.db.batch();
        batch.delete(Cf::Inbox, Key::leaf(self.number(log)?, index));
        batch.commit_unsynced()
    }

    /// Inbox entries that are due, in log order, at most `limit`.
    ///
    /// # Errors
    /// The database's.
    pub fn due_inbox(&self, now: UnixSeconds, limit: usize) -> Result<Vec<(LogId, LeafIndex, InboxEntry)>> {
        let mut out = Vec::new();
        for row in self.db.scan(Cf::Inbox, &[], None) {
            if out.len() == limit {
                break;
            }
            let (key, value) = row?;
            let entry: InboxEntry = decode_row(Cf::Inbox, &value)?;
            let number = key.first_chunk::<4>().map(|bytes| LocalLog(u32::from_be_bytes(*bytes)));
            let log = number.and_then(|number| self.id_of(number));
            let (Some(log), Some(index)) = (log, last_number(&key)) else {
                return Err(StoreError::Inconsistent { what: "inbox" });
            };
            if entry.next_try <= now {
                out.push((log, LeafIndex(index), entry));
            }
        }
        Ok(out)
    }

    /// Queues a delivery.
    ///
    /// # Errors
    /// The database's.
    pub fn put_delivery(&self, delivery: &Delivery) -> Result<QueueNumber> {
        let _commit = self.lock_commit();
        let mut batch = self.db.batch();
        let number = next_number(&self.db, &mut batch, "outbox")?;
        batch.put_row(Cf::Outbox, outbox_key(&delivery.to, number), delivery);
        batch.commit()?;
        Ok(QueueNumber(number))
    }

    /// Deliveries to one hub, oldest first, at most `limit`.
    ///
    /// # Errors
    /// The database's.
    pub fn deliveries_to(&self, hub: &HubId, limit: usize) -> Result<Vec<(QueueNumber, Delivery)>> {
        self.numbered(Cf::Outbox, hub.as_bytes(), limit)
    }

    /// All deliveries, by hub, at most `limit`.
    ///
    /// # Errors
    /// The database's.
    pub fn deliveries(&self, limit: usize) -> Result<Vec<(QueueNumber, Delivery)>> {
        self.numbered(Cf::Outbox, &[], limit)
    }

    /// Notes an attempt.
    ///
    /// # Errors
    /// The database's.
    pub fn update_delivery(&self, number: QueueNumber, delivery: &Delivery) -> Result<()> {
        let mut batch = self.db.batch();
        batch.put_row(Cf::Outbox, outbox_key(&delivery.to, number.0), delivery);
        batch.commit_unsynced()
    }

    /// Drops an acknowledged delivery.
    ///
    /// # Errors
    /// The database's.
    pub fn finish_delivery(&self, hub: &HubId, number: QueueNumber) -> Result<()> {
        let mut batch = self.db.batch();
        batch.delete(Cf::Outbox, outbox_key(hub, number.0));
        batch.commit()
    }

    /// Keeps a statement for the next slot leaf.
    ///
    /// # Errors
    /// The database's.
    pub fn put_statement(&self, statement: &[u8]) -> Result<QueueNumber> {
        self.put_numbered(Cf::Statement, "statement", statement)
    }

    /// Statements that wait for a slot leaf, oldest first, at most `limit`.
    ///
    /// # Errors
    /// The database's.
    pub fn statements(&self, limit: usize) -> Result<Vec<(QueueNumber, Vec<u8>)>> {
        self.numbered_bytes(Cf::Statement, limit)
    }

    /// Drops statements that a slot leaf has taken. Normally part of that leaf's batch ([`crate::NewLeaf::statements`]).
    ///
    /// # Errors
    /// The database's.
    pub fn remove_statements(&self, numbers: &[QueueNumber]) -> Result<()> {
        let mut batch = self.db.batch();
        for number in numbers {
            batch.delete(Cf::Statement, Key::number(number.0));
        }
        batch.commit()
    }

    /// Holds something for a person.
    ///
    /// # Errors
    /// The database's.
    pub fn put_review(&self, item: &[u8]) -> Result<QueueNumber> {
        self.put_numbered(Cf::Review, "review", item)
    }

    /// Things held for a person, oldest first, at most `limit`.
    ///
    /// # Errors
    /// The database's.
    pub fn reviews(&self, limit: usize) -> Result<Vec<(QueueNumber, Vec<u8>)>> {
        self.numbered_bytes(Cf::Review, limit)
    }

    /// Drops what a person decided.
    ///
    /// # Errors
    /// The database's.
    pub fn finish_review(&self, number: QueueNumber) -> Result<()> {
        let mut batch = self.db.batch();
        batch.delete(Cf::Review, Key::number(number.0));
        batch.commit()
    }

    /// Sets a progress mark. Not synced: work after a mark is repeatable.
    ///
    /// # Errors
    /// The database's.
    pub fn set_cursor(&self, name: &str, value: &[u8]) -> Result<()> {
        let mut batch = self.db.batch();
        batch.put(Cf::Cursor, name, value);
        batch.commit_unsynced()
    }

    /// A progress mark.
    ///
    /// # Errors
    /// The database's.
    pub fn cursor(&self, name: &str) -> Result<Option<Vec<u8>>> {
        self.db.get(Cf::Cursor, name)
    }

    fn put_numbered(&self, cf: Cf, counter: &str, value: &[u8]) -> Result<QueueNumber> {
        let _commit = self.lock_commit();
        let mut batch = self.db.batch();
        let number = next_number(&self.db, &mut batch, counter)?;
        batch.put(cf, Key::number(number), value);
        batch.commit()?;
        Ok(QueueNumber(number))
    }

    fn numbered_bytes(&self, cf: Cf, limit: usize) -> Result<Vec<(QueueNumber, Vec<u8>)>> {
        let rows = self.db.scan(cf, &[], None).take(limit);
        rows.map(|row| row.map(|(key, value)| (QueueNumber(last_number(&key).unwrap_or_default()), value.into_vec())))
            .collect()
    }

    fn numbered<T>(&self, cf: Cf, prefix: &[u8], limit: usize) -> Result<Vec<(QueueNumber, T)>>
    where
        T: minicbor::Encode<()> + for<'b> minicbor::Decode<'b, ()>,
    {
        let rows = self.db.scan(cf, prefix, None).take(limit);
        rows.map(|row| {
            let (key, value) = row?;
            Ok((QueueNumber(last_number(&key).unwrap_or_default()), decode_row(cf, &value)?))
        })
        .collect()
    }
}

pub(crate) fn outbox_key(hub: &HubId, number: u64) -> Key {
    Key::hub(hub).then_number(number)
}
