//! HPKE (RFC 9180 base mode) with the hybrid KEM ML-KEM-1024 + P-384 of draft-ietf-hpke-pq, HKDF-SHA-384, AES-256-GCM.
//!
//! The only module that names the `hpke` crate: a second implementation of P-384 and ML-KEM beside aws-lc, on the path
//! of secrets. Base mode does not authenticate the sender; inclusion of the leaf does.

use std::convert::Infallible;
use std::fmt;

use cresset_protocol::envelope::{STANZA_KEY_BYTES, Stanza};
use cresset_protocol::ids::EncryptionKeyId;
use cresset_protocol::signing::EncryptionPublicKey;
use hpke::rand_core::{TryCryptoRng, TryRng};
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable, aead::AesGcm256, kdf::HkdfSha384, kem::MlKem1024P384};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::random::{self, RandomnessError, random_secret};

type PrivateKey = <MlKem1024P384 as Kem>::PrivateKey;
type PublicKey = <MlKem1024P384 as Kem>::PublicKey;
type EncappedKey = <MlKem1024P384 as Kem>::EncappedKey;

/// Length of the stored secret: the seed from which both private keys are expanded.
pub(crate) const SEED_BYTES: usize = 32;

/// A hub's (or an officer's) key pair for receiving secrets.
pub struct EncryptionKeyPair {
    private: PrivateKey,
    public: EncryptionPublicKey,
}

impl EncryptionKeyPair {
    /// Makes a new pair.
    ///
    /// # Errors
    /// [`HpkeError::Randomness`].
    pub fn generate() -> Result<Self, HpkeError> {
        Self::from_secret_bytes(random_secret::<SEED_BYTES>()?.as_slice())
    }

    /// Restores a pair from its stored seed.
    ///
    /// # Errors
    /// [`HpkeError::PrivateKey`] if it is not a 32-byte seed.
    pub fn from_secret_bytes(seed: &[u8]) -> Result<Self, HpkeError> {
        let private = PrivateKey::from_bytes(seed).map_err(|_| HpkeError::PrivateKey)?;
        let public = MlKem1024P384::sk_to_pk(&private).to_bytes();
        let public = EncryptionPublicKey::try_from(public.as_slice()).map_err(|_| HpkeError::PrivateKey)?;
        Ok(Self { private, public })
    }

    /// The seed, for wrapping at rest.
    pub fn to_secret_bytes(&self) -> Zeroizing<[u8; SEED_BYTES]> {
        let mut out = Zeroizing::new([0; SEED_BYTES]);
        self.private.write_exact(out.as_mut_slice());
        out
    }

    /// The public half.
    pub fn public(&self) -> &EncryptionPublicKey {
        &self.public
    }
}

impl fmt::Debug for EncryptionKeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncryptionKeyPair").field("public", &self.public).finish_non_exhaustive()
    }
}

/// Identifier of an encryption key: SHA-256 of the public key.
pub fn encryption_key_id(key: &EncryptionPublicKey) -> EncryptionKeyId {
    cresset_protocol::envelope::encryption_key_id(key)
}

/// Encrypts `plaintext` to `key`: encapsulated key (1,665 B) || ciphertext || tag (16 B).
///
/// `info` carries the label and everything the ciphertext must be bound to.
///
/// # Errors
/// [`HpkeError::PublicKey`] if the key is not a valid one; [`HpkeError::Randomness`].
pub fn hpke_seal(key: &EncryptionPublicKey, info: &[u8], aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, HpkeError> {
    let public = PublicKey::from_bytes(key.as_bytes()).map_err(|_| HpkeError::PublicKey)?;
    let mut rng = AwsLcRng { failed: false };
    let (encapped, ciphertext) = hpke::single_shot_seal_with_rng::<AesGcm256, HkdfSha384, MlKem1024P384>(
        &OpModeS::Base,
        &public,
        info,
        plaintext,
        aad,
        &mut rng,
    )
    .map_err(|_| HpkeError::Encrypt)?;
    // What came out of a failed generator must not leave this function.
    if rng.failed {
        return Err(RandomnessError.into());
    }
    let mut out = encapped.to_bytes().to_vec();
    out.extend_from_slice(&ciphertext);
    Ok(out)
}

/// Undoes [`hpke_seal`].
///
/// # Errors
/// [`HpkeError::Open`] for a wrong key, info, aad or any changed byte: they cannot be told apart.
pub fn hpke_open(
    pair: &EncryptionKeyPair,
    info: &[u8],
    aad: &[u8],
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, HpkeError> {
    let (encapped, ciphertext) = sealed.split_at_checked(EncryptionPublicKey::LEN).ok_or(HpkeError::Open)?;
    let encapped = EncappedKey::from_bytes(encapped).map_err(|_| HpkeError::Open)?;
    hpke::single_shot_open::<AesGcm256, HkdfSha384, MlKem1024P384>(
        &OpModeR::Base,
        &pair.private,
        &encapped,
        info,
        ciphertext,
        aad,
    )
    .map(Zeroizing::new)
    .map_err(|_| HpkeError::Open)
}

/// One stanza: a 32-byte key for one recipient.
pub(crate) fn encrypt_stanza(
    key: &EncryptionPublicKey,
    info: &[u8],
    secret: &[u8; STANZA_KEY_BYTES],
) -> Result<Stanza, HpkeError> {
    let bytes = hpke_seal(key, info, &[], secret)?;
    Stanza::try_from(bytes.as_slice()).map_err(|_| HpkeError::Encrypt)
}

/// The 32-byte key of a stanza.
pub(crate) fn open_stanza(
    pair: &EncryptionKeyPair,
    info: &[u8],
    stanza: &Stanza,
) -> Result<Zeroizing<[u8; STANZA_KEY_BYTES]>, HpkeError> {
    let opened = hpke_open(pair, info, &[], stanza.as_bytes())?;
    let mut key = Zeroizing::new([0; STANZA_KEY_BYTES]);
    if opened.len() != key.len() {
        return Err(HpkeError::Open);
    }
    key.copy_from_slice(&opened);
    Ok(key)
}

/// Why HPKE refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HpkeError {
    /// Not a valid public key of this KEM.
    #[error("not a valid encryption public key")]
    PublicKey,
    /// Not a valid private seed.
    #[error("not a valid encryption private key")]
    PrivateKey,
    /// Encryption failed inside the library.
    #[error("encryption to a public key failed")]
    Encrypt,
    /// Wrong key, wrong context or changed bytes.
    #[error("cannot be opened with this key in this context")]
    Open,
    /// No randomness.
    #[error(transparent)]
    Randomness(#[from] RandomnessError),
}

/// aws-lc's generator behind the infallible trait that `hpke` wants: a failure is remembered and reported afterwards.
struct AwsLcRng {
    failed: bool,
}

impl TryRng for AwsLcRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        if random::fill(out).is_err() {
            self.failed = true;
            // Not zero: rejection sampling of a scalar would never end.
            out.fill(1);
        }
        Ok(())
    }
}

impl TryCryptoRng for AwsLcRng {}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed() -> (EncryptionKeyPair, Vec<u8>) {
        let pair = EncryptionKeyPair::generate().unwrap();
        let sealed = hpke_seal(pair.public(), b"info", b"aad", b"secret").unwrap();
        (pair, sealed)
    }

    #[test]
    fn what_is_encrypted_opens_after_the_key_was_stored() {
        let (pair, sealed) = sealed();
        let restored = EncryptionKeyPair::from_secret_bytes(pair.to_secret_bytes().as_slice()).unwrap();
        assert_eq!(restored.public(), pair.public());
        assert_eq!(hpke_open(&restored, b"info", b"aad", &sealed).unwrap().as_slice(), b"secret");
        assert_eq!(sealed.len(), 1665 + 6 + 16);
    }

    #[test]
    fn every_wrong_context_is_refused() {
        let (pair, sealed) = sealed();
        let other = EncryptionKeyPair::generate().unwrap();
        assert_eq!(hpke_open(&other, b"info", b"aad", &sealed).unwrap_err(), HpkeError::Open);
        assert_eq!(hpke_open(&pair, b"other", b"aad", &sealed).unwrap_err(), HpkeError::Open);
        assert_eq!(hpke_open(&pair, b"info", b"other", &sealed).unwrap_err(), HpkeError::Open);
        assert_eq!(hpke_open(&pair, b"info", b"aad", &sealed[1..]).unwrap_err(), HpkeError::Open);
        assert_eq!(hpke_open(&pair, b"info", b"aad", &[]).unwrap_err(), HpkeError::Open);
        for at in [0, 1567, 1568, 1569, 1664, 1665, sealed.len() - 1] {
            let mut flipped = sealed.clone();
            flipped[at] ^= 1;
            assert_eq!(hpke_open(&pair, b"info", b"aad", &flipped).unwrap_err(), HpkeError::Open, "byte {at}");
        }
    }

    #[test]
    fn invalid_keys_are_refused() {
        assert_eq!(hpke_seal(&[0; 1665].into(), b"", b"", b"").unwrap_err(), HpkeError::PublicKey);
        assert_eq!(hpke_seal(&[0xff; 1665].into(), b"", b"", b"").unwrap_err(), HpkeError::PublicKey);
        assert_eq!(EncryptionKeyPair::from_secret_bytes(&[0; 31]).unwrap_err(), HpkeError::PrivateKey);
    }

    #[test]
    fn debug_shows_no_secret() {
        let pair = EncryptionKeyPair::from_secret_bytes(&[0xab; 32]).unwrap();
        assert!(!format!("{pair:?}").contains("abababab") && !format!("{pair:?}").contains("171, 171"));
    }
}
