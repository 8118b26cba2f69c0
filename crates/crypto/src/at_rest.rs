//! AES-256-GCM for what a hub stores: data keys of objects, and secrets under a wrapping key.
//!
//! Nonces are random and travel in front. A data key encrypts one object, a wrapping key far fewer than 2^32 secrets.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use cresset_protocol::domain::{self, Domain};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::random::{RandomnessError, random_bytes, random_secret};

const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;

/// What encryption at rest adds to a plaintext: nonce and tag.
pub const AT_REST_OVERHEAD: usize = NONCE_BYTES + TAG_BYTES;

/// A random key for one stored object. Destroying it erases the object.
#[derive(Clone)]
pub struct DataKey(Zeroizing<[u8; 32]>);

impl DataKey {
    /// A new key.
    ///
    /// # Errors
    /// [`AtRestError::Randomness`].
    pub fn generate() -> Result<Self, AtRestError> {
        Ok(Self(random_secret()?))
    }

    /// Restores an unwrapped key.
    ///
    /// # Errors
    /// [`AtRestError::Open`] unless it has 32 bytes.
    pub fn from_secret_bytes(bytes: &[u8]) -> Result<Self, AtRestError> {
        let mut key = Zeroizing::new([0; 32]);
        if bytes.len() != key.len() {
            return Err(AtRestError::Open);
        }
        key.copy_from_slice(bytes);
        Ok(Self(key))
    }

    /// The key, for wrapping.
    pub fn secret_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Encrypts; `context` (which record this is) must be given again to decrypt.
    ///
    /// # Errors
    /// [`AtRestError::Randomness`].
    pub fn encrypt(&self, context: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, AtRestError> {
        encrypt(&self.0, domain::AT_REST, context, plaintext)
    }

    /// Undoes [`DataKey::encrypt`].
    ///
    /// # Errors
    /// [`AtRestError::Open`] for another key, context or any changed byte.
    pub fn decrypt(&self, context: &[u8], stored: &[u8]) -> Result<Zeroizing<Vec<u8>>, AtRestError> {
        decrypt(&self.0, domain::AT_REST, context, stored)
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey(..)")
    }
}

/// Wraps a secret under a 32-byte key that is held in software (a token wraps by itself).
///
/// # Errors
/// [`AtRestError::Randomness`].
pub fn wrap(key: &[u8; 32], context: &[u8], secret: &[u8]) -> Result<Vec<u8>, AtRestError> {
    encrypt(key, domain::KEY_WRAP, context, secret)
}

/// Undoes [`wrap`].
///
/// # Errors
/// [`AtRestError::Open`] for another key, context or any changed byte.
pub fn unwrap(key: &[u8; 32], context: &[u8], wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, AtRestError> {
    decrypt(key, domain::KEY_WRAP, context, wrapped)
}

/// Encrypts one zero block under a zero nonce, for the self-test.
pub(crate) fn known_answer(key: &DataKey) -> Option<Vec<u8>> {
    let mut block = [0; 16];
    let nonce = Nonce::assume_unique_for_key([0; NONCE_BYTES]);
    let tag = cipher(&key.0).ok()?.seal_in_place_separate_tag(nonce, Aad::empty(), &mut block).ok()?;
    Some([&block, tag.as_ref()].concat())
}

fn encrypt(key: &[u8; 32], label: Domain, context: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, AtRestError> {
    let nonce = random_bytes::<NONCE_BYTES>()?;
    let mut out = Vec::with_capacity(AT_REST_OVERHEAD + plaintext.len());
    out.extend_from_slice(&nonce);
    out.extend_from_slice(plaintext);
    let body = out.get_mut(NONCE_BYTES..).unwrap_or_default();
    let tag = cipher(key)?
        .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(label.message(&[context])), body)
        .map_err(|_| AtRestError::Encrypt)?;
    out.extend_from_slice(tag.as_ref());
    Ok(out)
}

fn decrypt(key: &[u8; 32], label: Domain, context: &[u8], stored: &[u8]) -> Result<Zeroizing<Vec<u8>>, AtRestError> {
    let (nonce, rest) = stored.split_first_chunk::<NONCE_BYTES>().ok_or(AtRestError::Open)?;
    let (ciphertext, tag) = rest.split_last_chunk::<TAG_BYTES>().ok_or(AtRestError::Open)?;
    let mut out = Zeroizing::new(vec![0; ciphertext.len()]);
    cipher(key)?
        .open_separate_gather(
            Nonce::assume_unique_for_key(*nonce),
            Aad::from(label.message(&[context])),
            ciphertext,
            tag,
            out.as_mut_slice(),
        )
        .map_err(|_| AtRestError::Open)?;
    Ok(out)
}

fn cipher(key: &[u8; 32]) -> Result<LessSafeKey, AtRestError> {
    UnboundKey::new(&AES_256_GCM, key).map(LessSafeKey::new).map_err(|_| AtRestError::Encrypt)
}

/// Why encryption at rest refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AtRestError {
    /// Encryption failed inside the library.
    #[error("encryption at rest failed")]
    Encrypt,
    /// Wrong key, wrong context or changed bytes.
    #[error("stored ciphertext does not open with this key in this context")]
    Open,
    /// No randomness.
    #[error(transparent)]
    Randomness(#[from] RandomnessError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_opens_again_and_nothing_else_does() {
        let key = DataKey::generate().unwrap();
        let stored = key.encrypt(b"object 1", b"plain").unwrap();
        assert_eq!(stored.len(), 5 + AT_REST_OVERHEAD);
        let restored = DataKey::from_secret_bytes(key.secret_bytes()).unwrap();
        assert_eq!(restored.decrypt(b"object 1", &stored).unwrap().as_slice(), b"plain");
        assert_eq!(key.decrypt(b"object 2", &stored).unwrap_err(), AtRestError::Open);
        assert_eq!(DataKey::generate().unwrap().decrypt(b"object 1", &stored).unwrap_err(), AtRestError::Open);
        // The same key and context, but for another purpose.
        assert_eq!(unwrap(key.secret_bytes(), b"object 1", &stored).unwrap_err(), AtRestError::Open);
        for at in 0..stored.len() {
            let mut flipped = stored.clone();
            flipped[at] ^= 0x80;
            assert_eq!(key.decrypt(b"object 1", &flipped).unwrap_err(), AtRestError::Open, "byte {at}");
            assert_eq!(key.decrypt(b"object 1", &stored[..at]).unwrap_err(), AtRestError::Open, "cut at {at}");
        }
    }

    #[test]
    fn wrapped_secrets_open_again() {
        let wrapped = wrap(&[7; 32], b"context", b"secret").unwrap();
        assert_eq!(unwrap(&[7; 32], b"context", &wrapped).unwrap().as_slice(), b"secret");
        assert_ne!(wrapped, wrap(&[7; 32], b"context", b"secret").unwrap(), "nonces are random");
    }

    #[test]
    fn debug_shows_no_key() {
        assert_eq!(format!("{:?}", DataKey::from_secret_bytes(&[1; 32]).unwrap()), "DataKey(..)");
    }
}
