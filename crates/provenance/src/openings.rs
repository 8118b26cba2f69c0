//! Openings and audit parts: what leaves commit to. Both are erasable; the tree verifies without them.

use cresset_protocol::ids::{LeafIndex, LogId};
use cresset_protocol::log::record::{AuditPart, Opening};

use crate::db::decode_row;
use crate::error::Result;
use crate::schema::{Cf, Key, last_number};
use crate::store::Store;

impl Store {
    /// Stores an opening that was checked against its leaf.
    ///
    /// # Errors
    /// [`crate::StoreError::UnknownLog`] or the database's.
    pub fn put_opening(&self, log: &LogId, index: LeafIndex, opening: &Opening) -> Result<()> {
        let mut batch = self.db.batch();
        batch.put_row(Cf::Opening, Key::leaf(self.number(log)?, index), opening);
        batch.commit()
    }

    /// The opening of a leaf, if it is held.
    ///
    /// # Errors
    /// [`crate::StoreError::UnknownLog`] or the database's.
    pub fn opening(&self, log: &LogId, index: LeafIndex) -> Result<Option<Opening>> {
        self.db.get_row(Cf::Opening, Key::leaf(self.number(log)?, index))
    }

    /// The audit part of an own leaf, if it is held.
    ///
    /// # Errors
    /// [`crate::StoreError::UnknownLog`] or the database's.
    pub fn audit_part(&self, log: &LogId, index: LeafIndex) -> Result<Option<AuditPart>> {
        self.db.get_row(Cf::Audit, Key::leaf(self.number(log)?, index))
    }

    /// Openings from an index on, ascending, at most `limit`.
    ///
    /// # Errors
    /// [`crate::StoreError::UnknownLog`] or the database's.
    pub fn openings(&self, log: &LogId, from: LeafIndex, limit: usize) -> Result<Vec<(LeafIndex, Opening)>> {
        self.indexed_rows(Cf::Opening, log, from, limit)
    }

    /// Audit parts from an index on, ascending, at most `limit`.
    ///
    /// # Errors
    /// [`crate::StoreError::UnknownLog`] or the database's.
    pub fn audit_parts(&self, log: &LogId, from: LeafIndex, limit: usize) -> Result<Vec<(LeafIndex, AuditPart)>> {
        self.indexed_rows(Cf::Audit, log, from, limit)
    }

    /// Destroys opening and audit part of a leaf and rewrites the files that held them. Whether the kind may be erased
    /// is the caller's to check; the ERASE leaf comes first.
    ///
    /// # Errors
    /// [`crate::StoreError::UnknownLog`] or the database's.
    pub fn erase_opening(&self, log: &LogId, index: LeafIndex) -> Result<()> {
        let number = self.number(log)?;
        let mut batch = self.db.batch();
        batch.delete(Cf::Opening, Key::leaf(number, index));
        batch.delete(Cf::Audit, Key::leaf(number, index));
        batch.commit()?;
        self.db.compact(Cf::Opening, Key::leaf(number, index).as_ref());
        self.db.compact(Cf::Audit, Key::leaf(number, index).as_ref());
        Ok(())
    }

    fn indexed_rows<T>(&self, cf: Cf, log: &LogId, from: LeafIndex, limit: usize) -> Result<Vec<(LeafIndex, T)>>
    where
        T: minicbor::Encode<()> + for<'b> minicbor::Decode<'b, ()>,
    {
        let number = self.number(log)?;
        let start = Key::leaf(number, from);
        let rows = self.db.scan(cf, Key::log(number).as_ref(), Some(start.as_ref())).take(limit);
        rows.map(|row| {
            let (key, value) = row?;
            Ok((LeafIndex(last_number(&key).unwrap_or_default()), decode_row(cf, &value)?))
        })
        .collect()
    }
}
