//! Private keys in memory, on aws-lc: the whole of a file store, and the ML-DSA half of a token that has none.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::rand::{SystemRandom, fill};
use aws_lc_rs::signature::{
    ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair, ML_DSA_65_SIGNING, ML_DSA_87_SIGNING, PqdsaKeyPair,
};
use cresset_protocol::signing::{
    MlDsa65PublicKey, MlDsa65Signature, MlDsa87PublicKey, MlDsa87Signature, P384PublicKey,
};
use zeroize::Zeroizing;

use crate::error::KeyStoreError;
use crate::kind::KeyKind;

/// Longest secret that can be wrapped, in bytes: key material, not data.
pub(crate) const SECRET_BYTES_MAX: usize = 64 << 10;
/// First byte of a wrapped secret, on a token or in software: AES-256-GCM, then nonce, ciphertext and tag.
pub(crate) const WRAP_VERSION: u8 = 1;
/// Length of an ML-DSA seed and of an AES-256 key.
const SEED_BYTES: usize = 32;

/// A private key. aws-lc cleanses its key objects when they are freed.
pub(crate) enum SoftwareKey {
    P384(EcdsaKeyPair),
    MlDsa65(PqdsaKeyPair),
    MlDsa87(PqdsaKeyPair),
    Wrapping(LessSafeKey),
}

/// Makes the stored form of a fresh key: PKCS#8 for P-384, the seed for ML-DSA, the key itself for AES.
pub(crate) fn generate_secret(kind: KeyKind) -> Result<Zeroizing<Vec<u8>>, KeyStoreError> {
    if kind == KeyKind::P384 {
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &SystemRandom::new())
            .map_err(|_| failed("key generation"))?;
        return Ok(Zeroizing::new(document.as_ref().to_vec()));
    }
    let mut seed = Zeroizing::new(vec![0; SEED_BYTES]);
    fill(&mut seed).map_err(|_| failed("random bytes"))?;
    Ok(seed)
}

impl SoftwareKey {
    /// Loads the stored form; `None` when the bytes are no key of the kind.
    pub(crate) fn from_secret(kind: KeyKind, secret: &[u8]) -> Option<Self> {
        Some(match kind {
            KeyKind::P384 => Self::P384(EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, secret).ok()?),
            KeyKind::MlDsa65 => Self::MlDsa65(PqdsaKeyPair::from_seed(&ML_DSA_65_SIGNING, secret).ok()?),
            KeyKind::MlDsa87 => Self::MlDsa87(PqdsaKeyPair::from_seed(&ML_DSA_87_SIGNING, secret).ok()?),
            KeyKind::Wrapping => Self::Wrapping(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, secret).ok()?)),
        })
    }

    pub(crate) fn p384(&self) -> Option<P384PublicKey> {
        let Self::P384(pair) = self else { return None };
        P384PublicKey::try_from(pair.public_key().as_ref()).ok()
    }

    pub(crate) fn ml_dsa_65(&self) -> Option<MlDsa65PublicKey> {
        let Self::MlDsa65(pair) = self else { return None };
        MlDsa65PublicKey::try_from(pair.public_key().as_ref()).ok()
    }

    pub(crate) fn ml_dsa_87(&self) -> Option<MlDsa87PublicKey> {
        let Self::MlDsa87(pair) = self else { return None };
        MlDsa87PublicKey::try_from(pair.public_key().as_ref()).ok()
    }

    /// A raw signature, not yet checked. `None` for a wrapping key.
    pub(crate) fn sign(&self, message: &[u8]) -> Option<Result<Vec<u8>, KeyStoreError>> {
        match self {
            Self::P384(pair) => {
                let signature = pair.sign(&SystemRandom::new(), message);
                Some(signature.map(|s| s.as_ref().to_vec()).map_err(|_| failed("signing")))
            }
            Self::MlDsa65(pair) => Some(sign_pq(pair, message, MlDsa65Signature::LEN)),
            Self::MlDsa87(pair) => Some(sign_pq(pair, message, MlDsa87Signature::LEN)),
            Self::Wrapping(_) => None,
        }
    }

    /// Wraps a secret. `None` unless this is a wrapping key.
    pub(crate) fn wrap(&self, context: &[u8], secret: &[u8]) -> Option<Result<Vec<u8>, KeyStoreError>> {
        let Self::Wrapping(key) = self else { return None };
        Some(seal(key, context, secret))
    }

    /// Unwraps a secret; the inner `None` means that it is not authentic. `None` unless this is a wrapping key.
    pub(crate) fn unwrap(&self, context: &[u8], wrapped: &WrappedParts<'_>) -> Option<Option<Zeroizing<Vec<u8>>>> {
        let Self::Wrapping(key) = self else { return None };
        let mut buffer = Zeroizing::new(wrapped.ciphertext.to_vec());
        let nonce = Nonce::assume_unique_for_key(wrapped.nonce);
        let opened = key.open_in_place(nonce, Aad::from(context), &mut buffer).ok().map(|plain| plain.len());
        Some(opened.map(|len| {
            buffer.truncate(len);
            buffer
        }))
    }
}

/// A wrapped secret taken apart.
pub(crate) struct WrappedParts<'a> {
    pub(crate) nonce: [u8; NONCE_LEN],
    /// Ciphertext and tag.
    pub(crate) ciphertext: &'a [u8],
}

impl<'a> WrappedParts<'a> {
    /// Takes a wrapped secret apart, checking length and version.
    pub(crate) fn parse(wrapped: &'a [u8]) -> Result<Self, KeyStoreError> {
        let bad = KeyStoreError::BadLength { len: wrapped.len() };
        let Some((&WRAP_VERSION, rest)) = wrapped.split_first() else { return Err(bad) };
        let Some((nonce, ciphertext)) = rest.split_first_chunk() else { return Err(bad) };
        let tag_len = AES_256_GCM.tag_len();
        if ciphertext.len() <= tag_len || ciphertext.len() > SECRET_BYTES_MAX + tag_len {
            return Err(bad);
        }
        Ok(Self { nonce: *nonce, ciphertext })
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        [&[WRAP_VERSION][..], &self.nonce, self.ciphertext].concat()
    }
}

/// Refuses empty secrets, which tokens treat differently, and lengths that are data rather than key material.
pub(crate) fn check_wrap_lengths(context: &[u8], secret: &[u8]) -> Result<(), KeyStoreError> {
    match context.len().max(secret.len()) {
        len if len > SECRET_BYTES_MAX || secret.is_empty() => Err(KeyStoreError::BadLength { len: secret.len() }),
        _ => Ok(()),
    }
}

/// A fresh nonce. A wrapping key seals a handful of secrets a month, far from the bound on random nonces.
pub(crate) fn random_nonce() -> Result<[u8; NONCE_LEN], KeyStoreError> {
    let mut nonce = [0; NONCE_LEN];
    fill(&mut nonce).map_err(|_| failed("random bytes"))?;
    Ok(nonce)
}

fn seal(key: &LessSafeKey, context: &[u8], secret: &[u8]) -> Result<Vec<u8>, KeyStoreError> {
    let nonce = random_nonce()?;
    // Room for the tag, so that the plaintext is never moved and left behind.
    let mut buffer = Zeroizing::new(Vec::with_capacity(secret.len() + AES_256_GCM.tag_len()));
    buffer.extend_from_slice(secret);
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(context), &mut *buffer)
        .map_err(|_| failed("wrapping"))?;
    Ok(WrappedParts { nonce, ciphertext: &buffer }.to_bytes())
}

fn sign_pq(pair: &PqdsaKeyPair, message: &[u8], len: usize) -> Result<Vec<u8>, KeyStoreError> {
    let mut signature = vec![0; len];
    let written = pair.sign(message, &mut signature).map_err(|_| failed("signing"))?;
    signature.truncate(written);
    Ok(signature)
}

fn failed(what: &'static str) -> KeyStoreError {
    KeyStoreError::Library { what }
}
