//! All logs, own and mirrored: registering, committing verified leaves with their head, reading back.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::PoisonError;

use cresset_protocol::ids::{HeaderDigest, LeafIndex, LogId, NodeHash, TreeSize, UnixSeconds};
use cresset_protocol::limits::PACKAGE_LEAVES;
use cresset_protocol::log::entry::Entry;
use cresset_protocol::log::leaf::{LEAF_BYTES, Leaf};
use cresset_protocol::log::merkle::Frontier;
use cresset_protocol::log::writer::Head;
use minicbor::{Decode, Encode};

use crate::db::{Batch, Db};
use crate::error::{Result, StoreError};
use crate::queues::{Awaits, InboxEntry};
use crate::schema::{Cf, Key, LocalLog, last_number};
use crate::store::Store;
use crate::tree::{Edges, LogTree};

/// A log that the store knows.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct LogRecord {
    #[n(0)]
    number: u32,
    /// Its id.
    #[n(1)]
    pub id: LogId,
    /// Its origin.
    #[n(2)]
    pub origin: String,
    /// Canonical bytes of its manifest.
    #[cbor(n(3), with = "minicbor::bytes")]
    pub manifest: Vec<u8>,
}

/// A verified head with the note that proves it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct StoredHead {
    /// Size and root.
    #[n(0)]
    pub head: Head,
    /// Time stamp of both signature lines.
    #[n(1)]
    pub timestamp: UnixSeconds,
    /// The note.
    #[n(2)]
    pub note: String,
}

/// Leaves per stored bundle.
const BUNDLE_LEAVES: u64 = PACKAGE_LEAVES;
const HEAD_SIGNED: u8 = 0;
pub(crate) const HEAD_PENDING: u8 = 1;

impl Store {
    /// Makes a log known. Repeating it is harmless.
    ///
    /// # Errors
    /// [`StoreError::Foreign`] if the id is known under another origin or manifest.
    pub fn register_log(&self, id: &LogId, origin: &str, manifest: &[u8]) -> Result<()> {
        let _commit = self.lock_commit();
        if let Some(known) = self.db.get_row::<LogRecord>(Cf::Log, id)? {
            let same = known.origin == origin && known.manifest == manifest;
            return if same { Ok(()) } else { Err(StoreError::Foreign { what: "log of this id" }) };
        }
        let mut numbers = self.logs.write().unwrap_or_else(PoisonError::into_inner);
        let number = numbers.values().map(|log| log.0 + 1).max().unwrap_or(0);
        let record = LogRecord { number, id: *id, origin: origin.to_owned(), manifest: manifest.to_vec() };
        let mut batch = self.db.batch();
        batch.put_row(Cf::Log, id, &record);
        batch.commit()?;
        numbers.insert(*id, LocalLog(number));
        Ok(())
    }

    /// All known logs, by id.
    ///
    /// # Errors
    /// The database's.
    pub fn logs(&self) -> Result<Vec<LogRecord>> {
        load_records(&self.db)
    }

    /// One log.
    ///
    /// # Errors
    /// [`StoreError::UnknownLog`].
    pub fn log(&self, id: &LogId) -> Result<LogRecord> {
        self.db.get_row(Cf::Log, id)?.ok_or(StoreError::UnknownLog { log: *id })
    }

    /// Leaves stored of a log.
    ///
    /// # Errors
    /// [`StoreError::UnknownLog`] or the database's.
    pub fn log_size(&self, id: &LogId) -> Result<TreeSize> {
        Ok(self.edges(self.number(id)?)?.size())
    }

    /// Frontier over all stored leaves, recomputed from the right-edge tiles.
    ///
    /// # Errors
    /// [`StoreError::UnknownLog`] or the database's.
    pub fn frontier(&self, id: &LogId) -> Result<Frontier> {
        self.edges(self.number(id)?)?.frontier()
    }

    /// The log's nodes, for proofs.
    ///
    /// # Errors
    /// [`StoreError::UnknownLog`] or the database's.
    pub fn tree(&self, id: &LogId) -> Result<LogTree<'_>> {
        let number = self.number(id)?;
        Ok(LogTree::new(&self.db, number, self.edges(number)?))
    }

    /// Newest verified head. It may be ahead of the stored leaves of a mirror.
    ///
    /// # Errors
    /// [`StoreError::UnknownLog`] or the database's.
    pub fn head(&self, id: &LogId) -> Result<Option<StoredHead>> {
        let number = self.number(id)?;
        self.db.get_row(Cf::Head, Key::log(number).then_byte(HEAD_SIGNED))
    }

    /// Stores a verified head of a mirror before it is used. A head that is not larger than the last one is ignored.
    ///
    /// # Errors
    /// [`StoreError::UnknownLog`] or the database's.
    pub fn commit_head(&self, id: &LogId, head: &StoredHead) -> Result<()> {
        let _commit = self.lock_commit();
        let number = self.number(id)?;
        let mut batch = self.db.batch();
        if self.put_head(&mut batch, id, number, head)? { batch.commit() } else { Ok(()) }
    }

    /// Commits verified, contiguous leaves of a mirror, optionally with the head that proves them, in one synced batch:
    /// leaves, headers, public openings, tiles, indexes, head, and an inbox row for each leaf in `awaited`.
    ///
    /// # Errors
    /// [`StoreError::NotContiguous`]; [`StoreError::RootMismatch`] if `head` has the resulting size and another root.
    pub fn commit_mirror(
        &self,
        id: &LogId,
        first: LeafIndex,
        entries: &[Entry],
        head: Option<&StoredHead>,
        awaited: &[LeafIndex],
    ) -> Result<TreeSize> {
        let _commit = self.lock_commit();
        let number = self.number(id)?;
        let mut batch = self.db.batch();
        let rows: Vec<&Entry> = entries.iter().collect();
        let edges = self.put_entries(&mut batch, number, first, &rows)?;
        if let Some(head) = head {
            if head.head.size == edges.size() && head.head.root != edges.frontier()?.root() {
                return Err(StoreError::RootMismatch { size: head.head.size });
            }
            self.put_head(&mut batch, id, number, head)?;
        }
        // In the same batch: a crash can lose neither the leaf nor the knowledge that its envelope is still to come.
        for index in awaited {
            batch.put_row(Cf::Inbox, Key::leaf(number, *index), &InboxEntry::new(Awaits::Envelope));
        }
        batch.commit()?;
        let size = edges.size();
        self.set_edges(number, edges);
        Ok(size)
    }

    /// The note of a head that was stored for exactly this size.
    ///
    /// # Errors
    /// [`StoreError::UnknownLog`] or the database's.
    pub fn checkpoint(&self, id: &LogId, size: TreeSize) -> Result<Option<StoredHead>> {
        self.db.get_row(Cf::Checkpoint, Key::log(self.number(id)?).then_number(size.0))
    }

    /// Stored heads from a size on, ascending, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError::UnknownLog`] or the database's.
    pub fn checkpoints(&self, id: &LogId, from: TreeSize, limit: usize) -> Result<Vec<StoredHead>> {
        let prefix = Key::log(self.number(id)?);
        let start = Key::log(self.number(id)?).then_number(from.0);
        let rows = self.db.scan(Cf::Checkpoint, prefix.as_ref(), Some(start.as_ref()));
        rows.take(limit).map(|row| crate::db::decode_row(Cf::Checkpoint, &row?.1)).collect()
    }

    /// Entries of a range, with public openings. Ends early at the end of the log.
    ///
    /// # Errors
    /// [`StoreError::UnknownLog`], [`StoreError::Inconsistent`] for damaged rows, or the database's.
    pub fn entries(&self, id: &LogId, range: Range<u64>) -> Result<Vec<Entry>> {
        let number = self.number(id)?;
        let end = range.end.min(self.edges(number)?.size().0);
        let mut out = Vec::new();
        let mut at = range.start;
        while at < end {
            let bundle = at / BUNDLE_LEAVES;
            let stop = end.min((bundle + 1) * BUNDLE_LEAVES);
            let rows = self.stored_bundle(number, bundle)?;
            for index in at..stop {
                let stored = usize::try_from(index % BUNDLE_LEAVES).ok().and_then(|row| rows.get(row));
                let stored = stored.ok_or(StoreError::Inconsistent { what: "bundle" })?;
                out.push(self.complete_entry(number, LeafIndex(index), stored)?);
            }
            at = stop;
        }
        Ok(out)
    }

    /// One entry.
    ///
    /// # Errors
    /// [`StoreError::OutOfRange`] and those of [`Store::entries`].
    pub fn entry(&self, id: &LogId, index: LeafIndex) -> Result<Entry> {
        let size = self.log_size(id)?;
        let entries = self.entries(id, index.0..index.0.saturating_add(1))?;
        entries.into_iter().next().ok_or(StoreError::OutOfRange { index, size })
    }

    /// Where a leaf hash stands in a log.
    ///
    /// # Errors
    /// [`StoreError::UnknownLog`] or the database's.
    pub fn index_of(&self, id: &LogId, leaf: &NodeHash) -> Result<Option<LeafIndex>> {
        let key = Key::log(self.number(id)?).then(leaf.as_bytes());
        Ok(self.db.get(Cf::LeafIndex, key)?.as_deref().and_then(last_number).map(LeafIndex))
    }

    /// Which leaf an envelope header belongs to.
    ///
    /// # Errors
    /// The database's.
    pub fn locate_header(&self, header: &HeaderDigest) -> Result<Option<(LogId, LeafIndex)>> {
        let Some(row) = self.db.get(Cf::HeaderIndex, header)? else { return Ok(None) };
        let inconsistent = StoreError::Inconsistent { what: "header index" };
        let (Some(number), Some(index)) = (row.first_chunk::<4>(), last_number(&row)) else { return Err(inconsistent) };
        let id = self.id_of(LocalLog(u32::from_be_bytes(*number))).ok_or(inconsistent)?;
        Ok(Some((id, LeafIndex(index))))
    }
}

/// Shared by mirrors and the own log.
impl Store {
    pub(crate) fn number(&self, id: &LogId) -> Result<LocalLog> {
        let numbers = self.logs.read().unwrap_or_else(PoisonError::into_inner);
        numbers.get(id).copied().ok_or(StoreError::UnknownLog { log: *id })
    }

    pub(crate) fn id_of(&self, number: LocalLog) -> Option<LogId> {
        let numbers = self.logs.read().unwrap_or_else(PoisonError::into_inner);
        numbers.iter().find(|(_, known)| **known == number).map(|(id, _)| *id)
    }

    pub(crate) fn edges(&self, number: LocalLog) -> Result<Edges> {
        let mut cache = self.edges.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(edges) = cache.get(&number) {
            return Ok(edges.clone());
        }
        let edges = Edges::load(&self.db, number)?;
        cache.insert(number, edges.clone());
        Ok(edges)
    }

    pub(crate) fn set_edges(&self, number: LocalLog, edges: Edges) {
        self.edges.lock().unwrap_or_else(PoisonError::into_inner).insert(number, edges);
    }

    /// Puts leaves, headers, public openings, tiles and indexes into the batch and returns the edges after them.
    pub(crate) fn put_entries(
        &self,
        batch: &mut Batch<'_>,
        number: LocalLog,
        first: LeafIndex,
        entries: &[&Entry],
    ) -> Result<Edges> {
        let mut edges = self.edges(number)?;
        if edges.size().0 != first.0 {
            return Err(StoreError::NotContiguous { offered: first, size: edges.size() });
        }
        let hashes: Vec<NodeHash> = entries.iter().map(|entry| entry.leaf.hash()).collect();
        for ((index, entry), hash) in (first.0..).zip(entries).zip(&hashes) {
            batch.put(Cf::LeafIndex, Key::log(number).then(hash.as_bytes()), index.to_be_bytes());
            if entry.header.is_some() {
                batch.put(Cf::HeaderIndex, entry.leaf.binding, Key::leaf(number, LeafIndex(index)));
            }
            if let Some(opening) = &entry.opening {
                batch.put_row(Cf::Opening, Key::leaf(number, LeafIndex(index)), opening);
            }
        }
        self.put_bundles(batch, number, first.0, entries)?;
        edges.append(batch, number, hashes.into_iter());
        Ok(edges)
    }

    /// Full bundles become one row each; the rest stays as single rows until its bundle is full.
    fn put_bundles(&self, batch: &mut Batch<'_>, number: LocalLog, first: u64, entries: &[&Entry]) -> Result<()> {
        let open_start = first - first % BUNDLE_LEAVES;
        let end = first + entries.len() as u64;
        let mut rows = entries.iter().map(|entry| stored_bytes(entry));
        if end - open_start < BUNDLE_LEAVES {
            for (index, row) in (first..).zip(rows) {
                batch.put(Cf::Tail, Key::leaf(number, LeafIndex(index)), row);
            }
            return Ok(());
        }
        let mut bundle = self.tail(number, open_start..first)?;
        for index in open_start..first {
            batch.delete(Cf::Tail, Key::leaf(number, LeafIndex(index)));
        }
        for index in first..end {
            bundle.extend(rows.next());
            if (index + 1) % BUNDLE_LEAVES == 0 {
                batch.put(Cf::Bundle, Key::log(number).then_number(index / BUNDLE_LEAVES), frame(&bundle));
                bundle.clear();
            }
        }
        let rest_start = end - bundle.len() as u64;
        for (index, row) in (rest_start..).zip(bundle) {
            batch.put(Cf::Tail, Key::leaf(number, LeafIndex(index)), row);
        }
        Ok(())
    }

    fn put_head(&self, batch: &mut Batch<'_>, id: &LogId, number: LocalLog, head: &StoredHead) -> Result<bool> {
        let newer = self.head(id)?.is_none_or(|last| last.head.size < head.head.size);
        if newer {
            batch.put_row(Cf::Head, Key::log(number).then_byte(HEAD_SIGNED), head);
            batch.put_row(Cf::Checkpoint, Key::log(number).then_number(head.head.size.0), head);
        }
        Ok(newer)
    }

    /// Puts the own log's note, which may repeat a size with a newer time.
    pub(crate) fn put_own_head(batch: &mut Batch<'_>, number: LocalLog, head: &StoredHead) {
        batch.put_row(Cf::Head, Key::log(number).then_byte(HEAD_SIGNED), head);
        batch.put_row(Cf::Checkpoint, Key::log(number).then_number(head.head.size.0), head);
    }

    fn stored_bundle(&self, number: LocalLog, bundle: u64) -> Result<Vec<Vec<u8>>> {
        let inconsistent = StoreError::Inconsistent { what: "bundle" };
        match self.db.get(Cf::Bundle, Key::log(number).then_number(bundle))? {
            Some(bytes) => unframe(&bytes).ok_or(inconsistent),
            None => {
                let start = bundle * BUNDLE_LEAVES;
                self.tail(number, start..start + BUNDLE_LEAVES)
            }
        }
    }

    fn tail(&self, number: LocalLog, range: Range<u64>) -> Result<Vec<Vec<u8>>> {
        let prefix = Key::log(number);
        let start = Key::leaf(number, LeafIndex(range.start));
        let mut out = Vec::new();
        for row in self.db.scan(Cf::Tail, prefix.as_ref(), Some(start.as_ref())) {
            let (key, value) = row?;
            if last_number(&key) != Some(range.start + out.len() as u64) || out.len() as u64 >= range.end - range.start
            {
                break;
            }
            out.push(value.into_vec());
        }
        Ok(out)
    }

    fn complete_entry(&self, number: LocalLog, index: LeafIndex, stored: &[u8]) -> Result<Entry> {
        let inconsistent = || StoreError::Inconsistent { what: "entry" };
        let (leaf, header) = stored.split_at_checked(LEAF_BYTES).ok_or_else(inconsistent)?;
        let leaf = Leaf::from_bytes(leaf).map_err(|_| inconsistent())?;
        let header = (!header.is_empty()).then(|| header.to_vec());
        let opening = match leaf.kind.opening_is_public() {
            true => self.db.get_row(Cf::Opening, Key::leaf(number, index))?,
            false => None,
        };
        Ok(Entry { leaf, header, opening })
    }
}

pub(crate) fn load_numbers(db: &Db) -> Result<BTreeMap<LogId, LocalLog>> {
    Ok(load_records(db)?.into_iter().map(|record| (record.id, LocalLog(record.number))).collect())
}

fn load_records(db: &Db) -> Result<Vec<LogRecord>> {
    db.scan(Cf::Log, &[], None).map(|row| crate::db::decode_row(Cf::Log, &row?.1)).collect()
}

/// Leaf, then the header's wire form if there is one.
fn stored_bytes(entry: &Entry) -> Vec<u8> {
    let mut out = entry.leaf.to_bytes().to_vec();
    out.extend_from_slice(entry.header.as_deref().unwrap_or_default());
    out
}

/// u16 length in front of each row, as in C2SP entry bundles.
fn frame(rows: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    for row in rows {
        let len = u16::try_from(row.len()).expect("a leaf and its header are below 1 KiB");
        out.extend_from_slice(&len.to_be_bytes());
        out.extend_from_slice(row);
    }
    out
}

fn unframe(mut bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut out = Vec::new();
    while let Some((len, rest)) = bytes.split_first_chunk::<2>() {
        let (row, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
        out.push(row.to_vec());
        bytes = rest;
    }
    bytes.is_empty().then_some(out)
}
