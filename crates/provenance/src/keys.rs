//! Audience keys, wrapped under the key of `erase/` and kept by (log, audience), so that a copied id opens nothing.

use cresset_protocol::ids::{AudienceId, GrantSerial, LogId, UnixSeconds};
use minicbor::{Decode, Encode};
use zeroize::Zeroizing;

use crate::db::decode_row;
use crate::error::{Result, StoreError};
use crate::schema::{Cf, Key};
use crate::store::Store;

/// What the store knows of an audience key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct AudienceKeyInfo {
    /// Serial of the grant in its log.
    #[n(0)]
    pub serial: GrantSerial,
    /// When it was granted.
    #[n(1)]
    pub granted: UnixSeconds,
    /// From when on it is to be destroyed, once rotated.
    #[n(2)]
    pub destroy_after: Option<UnixSeconds>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct AudienceKeyRow {
    #[n(0)]
    info: AudienceKeyInfo,
    #[cbor(n(1), with = "minicbor::bytes")]
    wrapped: Vec<u8>,
}

impl Store {
    /// Keeps an audience key.
    ///
    /// # Errors
    /// [`StoreError::DataKeys`] without data keys, or the database's.
    pub fn put_audience_key(
        &self,
        log: &LogId,
        audience: &AudienceId,
        key: &[u8; 32],
        info: AudienceKeyInfo,
    ) -> Result<()> {
        let context = context(log, audience);
        let wrapped = self.data_keys()?.wrap(&context, key)?;
        let mut batch = self.db.batch();
        batch.put_row(Cf::AudienceKey, &context, &AudienceKeyRow { info, wrapped });
        batch.commit()
    }

    /// An audience key.
    ///
    /// # Errors
    /// [`StoreError::DataKeys`] if it cannot be unwrapped, or the database's.
    pub fn audience_key(
        &self,
        log: &LogId,
        audience: &AudienceId,
    ) -> Result<Option<(Zeroizing<[u8; 32]>, AudienceKeyInfo)>> {
        let context = context(log, audience);
        let Some(row) = self.db.get_row::<AudienceKeyRow>(Cf::AudienceKey, &context)? else { return Ok(None) };
        let key = self.data_keys()?.unwrap(&context, &row.wrapped)?;
        let mut out = Zeroizing::new([0; 32]);
        let bytes: &[u8; 32] =
            key.as_slice().try_into().map_err(|_| StoreError::Inconsistent { what: "audience key" })?;
        out.copy_from_slice(bytes);
        Ok(Some((out, row.info)))
    }

    /// Audiences of a log, with what is known of their keys.
    ///
    /// # Errors
    /// The database's.
    pub fn audiences(&self, log: &LogId) -> Result<Vec<(AudienceId, AudienceKeyInfo)>> {
        let rows = self.db.scan(Cf::AudienceKey, log.as_bytes(), None);
        rows.map(|row| {
            let (key, value) = row?;
            let inconsistent = StoreError::Inconsistent { what: "audience key" };
            let audience = key.last_chunk::<{ AudienceId::LEN }>().copied().map(AudienceId).ok_or(inconsistent)?;
            Ok((audience, decode_row::<AudienceKeyRow>(Cf::AudienceKey, &value)?.info))
        })
        .collect()
    }

    /// Marks a rotated key for destruction.
    ///
    /// # Errors
    /// The database's.
    pub fn retire_audience_key(&self, log: &LogId, audience: &AudienceId, destroy_after: UnixSeconds) -> Result<()> {
        let _commit = self.lock_commit();
        let key = context(log, audience);
        let Some(mut row) = self.db.get_row::<AudienceKeyRow>(Cf::AudienceKey, &key)? else { return Ok(()) };
        row.info.destroy_after = Some(destroy_after);
        let mut batch = self.db.batch();
        batch.put_row(Cf::AudienceKey, &key, &row);
        batch.commit()
    }

    /// Destroys an audience key.
    ///
    /// # Errors
    /// The database's.
    pub fn destroy_audience_key(&self, log: &LogId, audience: &AudienceId) -> Result<()> {
        let key = context(log, audience);
        let mut batch = self.db.batch();
        batch.delete(Cf::AudienceKey, &key);
        batch.commit()?;
        self.db.compact(Cf::AudienceKey, &key);
        Ok(())
    }
}

fn context(log: &LogId, audience: &AudienceId) -> Vec<u8> {
    Key::bytes(log.as_bytes()).then(audience.as_bytes()).as_ref().to_vec()
}
