//! The key schedule: audience key -> object key -> envelope key and key commitment.

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use cresset_protocol::domain;
use cresset_protocol::envelope::{EnvelopeHeader, audience_context};
use cresset_protocol::ids::{AudienceId, ConsortiumId, GrantSerial, KeyCommitment, LogId};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::kdf::{hkdf, hkdf_expand};
use crate::random::{RandomnessError, random_secret};

/// K_aud of one grant, with the identifier that follows from it.
///
/// The identifier is always recomputed, so a key cannot be stored under a name that is not its own.
#[derive(Clone)]
pub struct AudienceKey {
    key: Zeroizing<[u8; 32]>,
    serial: GrantSerial,
    id: AudienceId,
}

impl AudienceKey {
    /// A new key for the grant with this serial.
    ///
    /// # Errors
    /// [`KeyDerivationError`].
    pub fn generate(consortium: &ConsortiumId, log: &LogId, serial: GrantSerial) -> Result<Self, KeyDerivationError> {
        Self::from_key(random_secret()?, consortium, log, serial)
    }

    /// Restores a stored key.
    ///
    /// # Errors
    /// [`KeyDerivationError`]; also for anything but 32 bytes.
    pub fn from_secret_bytes(
        bytes: &[u8],
        consortium: &ConsortiumId,
        log: &LogId,
        serial: GrantSerial,
    ) -> Result<Self, KeyDerivationError> {
        let mut key = Zeroizing::new([0; 32]);
        if bytes.len() != key.len() {
            return Err(KeyDerivationError::Length);
        }
        key.copy_from_slice(bytes);
        Self::from_key(key, consortium, log, serial)
    }

    pub(super) fn from_key(
        key: Zeroizing<[u8; 32]>,
        consortium: &ConsortiumId,
        log: &LogId,
        serial: GrantSerial,
    ) -> Result<Self, KeyDerivationError> {
        let context = audience_context(consortium, log, serial);
        let id = hkdf::<32>(key.as_slice(), &[], &[&context]).ok_or(KeyDerivationError::Derivation)?;
        Ok(Self { key, serial, id: AudienceId(*id) })
    }

    /// The audience's identifier.
    pub fn id(&self) -> &AudienceId {
        &self.id
    }

    /// Serial of the grant that carries the key.
    pub fn serial(&self) -> GrantSerial {
        self.serial
    }

    /// The key, for wrapping at rest.
    pub fn secret_bytes(&self) -> &[u8; 32] {
        &self.key
    }

    /// K_obj of one envelope, to be revealed in a complaint. Opens nothing else.
    ///
    /// # Errors
    /// [`KeyDerivationError`].
    pub fn object_key(&self, header: &EnvelopeHeader) -> Result<ObjectKey, KeyDerivationError> {
        ObjectKey::derive(&self.key, &header.terms().salt, &header.prefix())
    }
}

impl fmt::Debug for AudienceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AudienceKey").field("id", &self.id).field("serial", &self.serial).finish_non_exhaustive()
    }
}

/// K_obj: opens exactly one envelope.
#[derive(Clone)]
pub struct ObjectKey(Zeroizing<[u8; 32]>);

impl ObjectKey {
    pub(super) fn derive(key: &[u8; 32], salt: &[u8; 32], prefix: &[u8]) -> Result<Self, KeyDerivationError> {
        let info = [domain::OBJECT_KEY.as_bytes(), prefix];
        hkdf::<32>(key, salt, &info).map(Self).ok_or(KeyDerivationError::Derivation)
    }

    /// Takes a revealed key.
    pub fn from_revealed_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The key, for revealing.
    pub fn reveal(&self) -> &[u8; 32] {
        &self.0
    }

    /// K_env and the commitment to it.
    pub(super) fn envelope_keys(&self) -> Result<EnvelopeKeys, KeyDerivationError> {
        let okm =
            hkdf_expand::<64>(&self.0, &[domain::ENVELOPE_KEY.as_bytes()]).ok_or(KeyDerivationError::Derivation)?;
        let (key, commitment) = okm.split_first_chunk::<32>().ok_or(KeyDerivationError::Derivation)?;
        let commitment = KeyCommitment::try_from(commitment).map_err(|_| KeyDerivationError::Derivation)?;
        Ok(EnvelopeKeys { key: Zeroizing::new(*key), commitment })
    }
}

impl fmt::Debug for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ObjectKey(..)")
    }
}

/// What encrypts one envelope.
pub(super) struct EnvelopeKeys {
    pub(super) key: Zeroizing<[u8; 32]>,
    pub(super) commitment: KeyCommitment,
}

impl EnvelopeKeys {
    /// AES-GCM alone commits to no key: one ciphertext can be made to open differently under two. This does.
    pub(super) fn fit(&self, header: &EnvelopeHeader) -> bool {
        verify_slices_are_equal(self.commitment.as_bytes(), header.commitment().as_bytes()).is_ok()
    }
}

/// Why a key could not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyDerivationError {
    /// Not 32 bytes.
    #[error("an audience key has 32 bytes")]
    Length,
    /// Key derivation failed inside the library.
    #[error("key derivation failed")]
    Derivation,
    /// No randomness.
    #[error(transparent)]
    Randomness(#[from] RandomnessError),
}
