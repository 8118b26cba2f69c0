//! Encrypted envelopes by header digest, one's own and those kept for others, with retention and erasure.

use cresset_protocol::ids::{HeaderDigest, UnixSeconds};
use minicbor::{Decode, Encode};

use crate::db::Batch;
use crate::error::{Result, StoreError};
use crate::schema::{Cf, Key};
use crate::store::Store;

/// Why an envelope is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum EnvelopeHolding {
    /// Published here: kept until ERASE.
    #[n(0)]
    Own,
    /// Of another hub: kept until its retention ends.
    #[n(1)]
    Foreign,
    /// Destroyed after a WITHDRAW or ERASE: never taken or served again.
    #[n(2)]
    Erased,
}

/// Standing of an envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct EnvelopeStanding {
    /// Why it is held, or that it was erased.
    #[n(0)]
    pub holding: EnvelopeHolding,
    /// Bytes.
    #[n(1)]
    pub len: u64,
    /// When a foreign one is dropped.
    #[n(2)]
    pub expires: Option<UnixSeconds>,
}

impl Store {
    /// Keeps a foreign envelope, checked against its header, until `expires`.
    ///
    /// # Errors
    /// [`StoreError::Erased`] if a WITHDRAW or ERASE named it.
    pub fn put_foreign_envelope(&self, header: &HeaderDigest, bytes: &[u8], expires: UnixSeconds) -> Result<()> {
        let _commit = self.lock_commit();
        match self.envelope_standing(header)?.map(|standing| standing.holding) {
            Some(EnvelopeHolding::Erased) => return Err(StoreError::Erased),
            Some(_) => return Ok(()),
            None => {}
        }
        let mut batch = self.db.batch();
        let standing =
            EnvelopeStanding { holding: EnvelopeHolding::Foreign, len: bytes.len() as u64, expires: Some(expires) };
        batch.put(Cf::Envelope, header, bytes);
        batch.put_row(Cf::EnvelopeMeta, header, &standing);
        batch.put(Cf::EnvelopeExpiry, Key::number(expires.0).then(header.as_bytes()), []);
        batch.commit()
    }

    /// An envelope's bytes.
    ///
    /// # Errors
    /// The database's.
    pub fn envelope(&self, header: &HeaderDigest) -> Result<Option<Vec<u8>>> {
        self.db.get(Cf::Envelope, header)
    }

    /// Whether and why an envelope is held.
    ///
    /// # Errors
    /// The database's.
    pub fn envelope_standing(&self, header: &HeaderDigest) -> Result<Option<EnvelopeStanding>> {
        self.db.get_row(Cf::EnvelopeMeta, header)
    }

    /// Destroys an envelope for good, held or not yet seen: it is never fetched, stored or served again.
    ///
    /// # Errors
    /// The database's.
    pub fn erase_envelope(&self, header: &HeaderDigest) -> Result<()> {
        let _commit = self.lock_commit();
        let mut batch = self.db.batch();
        if let Some(expires) = self.envelope_standing(header)?.and_then(|standing| standing.expires) {
            batch.delete(Cf::EnvelopeExpiry, Key::number(expires.0).then(header.as_bytes()));
        }
        batch.delete(Cf::Envelope, header);
        let standing = EnvelopeStanding { holding: EnvelopeHolding::Erased, len: 0, expires: None };
        batch.put_row(Cf::EnvelopeMeta, header, &standing);
        batch.commit()?;
        self.db.compact(Cf::Envelope, header.as_bytes());
        Ok(())
    }

    /// Drops foreign envelopes whose retention has ended, at most `limit`; returns how many. They may come back.
    ///
    /// # Errors
    /// The database's.
    pub fn expire_envelopes(&self, now: UnixSeconds, limit: usize) -> Result<usize> {
        let _commit = self.lock_commit();
        let mut batch = self.db.batch();
        let mut dropped = 0;
        for row in self.db.scan(Cf::EnvelopeExpiry, &[], None).take(limit) {
            let (key, _) = row?;
            let (Some((expires, digest)), true) = (key.split_first_chunk::<8>(), key.len() == 8 + HeaderDigest::LEN)
            else {
                return Err(StoreError::Inconsistent { what: "envelope expiry" });
            };
            if u64::from_be_bytes(*expires) > now.0 {
                break;
            }
            batch.delete(Cf::Envelope, digest);
            batch.delete(Cf::EnvelopeMeta, digest);
            batch.delete(Cf::EnvelopeExpiry, &key);
            dropped += 1;
        }
        batch.commit_unsynced()?;
        Ok(dropped)
    }

    pub(crate) fn put_own_envelope(batch: &mut Batch<'_>, header: impl AsRef<[u8]> + Copy, bytes: &[u8]) {
        let standing = EnvelopeStanding { holding: EnvelopeHolding::Own, len: bytes.len() as u64, expires: None };
        batch.put(Cf::Envelope, header, bytes);
        batch.put_row(Cf::EnvelopeMeta, header, &standing);
    }
}
