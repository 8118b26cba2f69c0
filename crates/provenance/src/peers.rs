//! What peers are known to hold, evidence against logs, policy bundles, and the local access log.

use cresset_protocol::ids::{HubId, LogId, PolicyDigest, TreeSize, UnixSeconds};
use cresset_protocol::log::writer::Head;
use minicbor::{Decode, Encode};

use crate::db::{decode_row, next_number};
use crate::error::{Result, StoreError};
use crate::schema::{Cf, Key, last_number};
use crate::store::Store;

/// Head of a log as a hub last reported or confirmed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Observation {
    /// The head.
    #[n(0)]
    pub head: Head,
    /// When it was heard.
    #[n(1)]
    pub heard: UnixSeconds,
    /// Index of the HEADS leaf that confirms it, in that hub's log; absent while only reported.
    #[n(2)]
    pub confirmed_by: Option<u64>,
}

impl Store {
    /// Notes what a hub holds of a log. Not synced: it is heard again.
    ///
    /// # Errors
    /// [`StoreError::UnknownLog`] or the database's.
    pub fn put_observation(&self, hub: &HubId, log: &LogId, observation: &Observation) -> Result<()> {
        let key = Key::hub(hub).then(&self.number(log)?.0.to_be_bytes());
        let mut batch = self.db.batch();
        batch.put_row(Cf::Observation, key, observation);
        batch.commit_unsynced()
    }

    /// What a hub holds of a log.
    ///
    /// # Errors
    /// [`StoreError::UnknownLog`] or the database's.
    pub fn observation(&self, hub: &HubId, log: &LogId) -> Result<Option<Observation>> {
        self.db.get_row(Cf::Observation, Key::hub(hub).then(&self.number(log)?.0.to_be_bytes()))
    }

    /// All observations of a log.
    ///
    /// # Errors
    /// [`StoreError::UnknownLog`] or the database's.
    pub fn observations(&self, log: &LogId) -> Result<Vec<(HubId, Observation)>> {
        let number = self.number(log)?.0.to_be_bytes();
        let mut out = Vec::new();
        for row in self.db.scan(Cf::Observation, &[], None) {
            let (key, value) = row?;
            if !key.ends_with(&number) {
                continue;
            }
            let hub =
                key.first_chunk::<{ HubId::LEN }>().copied().ok_or(StoreError::Inconsistent { what: "observation" })?;
            out.push((HubId(hub), decode_row(Cf::Observation, &value)?));
        }
        Ok(out)
    }

    /// Keeps fork evidence, one per log and size.
    ///
    /// # Errors
    /// [`StoreError::UnknownLog`] or the database's.
    pub fn put_evidence(&self, log: &LogId, size: TreeSize, evidence: &[u8]) -> Result<()> {
        let key = Key::log(self.number(log)?).then_number(size.0);
        if self.db.contains(Cf::Evidence, &key)? {
            return Ok(());
        }
        let mut batch = self.db.batch();
        batch.put(Cf::Evidence, key, evidence);
        batch.commit()
    }

    /// Evidence against a log, by size.
    ///
    /// # Errors
    /// [`StoreError::UnknownLog`] or the database's.
    pub fn evidence(&self, log: &LogId) -> Result<Vec<(TreeSize, Vec<u8>)>> {
        let prefix = Key::log(self.number(log)?);
        let rows = self.db.scan(Cf::Evidence, prefix.as_ref(), None);
        rows.map(|row| row.map(|(key, value)| (TreeSize(last_number(&key).unwrap_or_default()), value.into_vec())))
            .collect()
    }

    /// Keeps a policy bundle.
    ///
    /// # Errors
    /// The database's.
    pub fn put_policy(&self, digest: &PolicyDigest, bundle: &[u8]) -> Result<()> {
        let mut batch = self.db.batch();
        batch.put(Cf::Policy, digest, bundle);
        batch.commit()
    }

    /// A policy bundle.
    ///
    /// # Errors
    /// The database's.
    pub fn policy(&self, digest: &PolicyDigest) -> Result<Option<Vec<u8>>> {
        self.db.get(Cf::Policy, digest)
    }

    /// All policy bundles, by digest.
    ///
    /// # Errors
    /// The database's.
    pub fn policies(&self) -> Result<Vec<(PolicyDigest, Vec<u8>)>> {
        let rows = self.db.scan(Cf::Policy, &[], None);
        rows.map(|row| {
            let (key, value) = row?;
            let digest = PolicyDigest::try_from(&*key).map_err(|_| StoreError::Inconsistent { what: "policy" })?;
            Ok((digest, value.into_vec()))
        })
        .collect()
    }

    /// Appends to the local access log. Not synced: it must not slow reading down.
    ///
    /// # Errors
    /// The database's.
    pub fn put_access(&self, entry: &[u8]) -> Result<()> {
        let _commit = self.lock_commit();
        let mut batch = self.db.batch();
        let number = next_number(&self.db, &mut batch, "access")?;
        batch.put(Cf::Access, Key::number(number), entry);
        batch.commit_unsynced()
    }

    /// Entries of the local access log from a number on, at most `limit`.
    ///
    /// # Errors
    /// The database's.
    pub fn accesses(&self, from: u64, limit: usize) -> Result<Vec<(u64, Vec<u8>)>> {
        let start = Key::number(from);
        let rows = self.db.scan(Cf::Access, &[], Some(start.as_ref())).take(limit);
        rows.map(|row| row.map(|(key, value)| (last_number(&key).unwrap_or_default(), value.into_vec()))).collect()
    }
}
