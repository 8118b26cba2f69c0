//! Known-answer self-test: every primitive of the suite, as the product calls it, before the first use.
//!
//! The vectors stand beside this file; `examples/self_test_vectors.rs` makes them.

use aws_lc_rs::digest::{SHA256, SHA384, digest};
use aws_lc_rs::signature::{KeyPair, ML_DSA_65_SIGNING, ML_DSA_87_SIGNING, PqdsaKeyPair};
use cresset_protocol::domain;
use cresset_protocol::signing::{
    MlDsa65PublicKey, MlDsa65Signature, MlDsa87PublicKey, MlDsa87Signature, P384PublicKey, P384Signature,
    SignatureVerifier,
};
use thiserror::Error;

use crate::at_rest::DataKey;
use crate::kdf::hkdf;
use crate::kem::{EncryptionKeyPair, hpke_open, hpke_seal};
use crate::verify::Verifier;

/// Runs every known answer, and for each verification and decryption one wrong input that must be refused.
///
/// # Errors
/// Names the primitive that failed. A program must then not start.
pub fn self_test() -> Result<(), SelfTestError> {
    for (primitive, passes) in [
        ("SHA-256 and SHA-384", hashes as fn() -> Option<bool>),
        ("HKDF-SHA-384", key_derivation),
        ("AES-256-GCM", cipher),
        ("ECDSA P-384", p384),
        ("ML-DSA-65", ml_dsa_65),
        ("ML-DSA-87", ml_dsa_87),
        ("HPKE MlKem1024P384", hpke),
    ] {
        if passes() != Some(true) {
            return Err(SelfTestError { primitive });
        }
    }
    Ok(())
}

/// A primitive does not give its known answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("cryptographic self-test failed: {primitive}")]
pub struct SelfTestError {
    /// Which.
    pub primitive: &'static str,
}

/// Seed of every key below. Known to all: these keys protect nothing.
const SEED: [u8; 32] = [0x5e; 32];

const P384_KEY: &[u8] = include_bytes!("p384.public");
const P384_SIGNATURE: &[u8] = include_bytes!("p384.signature");
const ML_DSA_65_SIGNATURE: &[u8] = include_bytes!("ml-dsa-65.signature");
const ML_DSA_87_SIGNATURE: &[u8] = include_bytes!("ml-dsa-87.signature");
const HPKE_SEALED: &[u8] = include_bytes!("hpke.sealed");

fn message() -> &'static [u8] {
    domain::SELF_TEST.as_bytes()
}

/// FIPS 180-4 examples for "abc".
fn hashes() -> Option<bool> {
    let sha256 = [0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23];
    let sha384 = [0xcb, 0x00, 0x75, 0x3f, 0x45, 0xa3, 0x5e, 0x8b, 0xb5, 0xa0, 0x3d, 0x69, 0x9a, 0xc6, 0x50, 0x07];
    Some(digest(&SHA256, b"abc").as_ref().starts_with(&sha256) && digest(&SHA384, b"abc").as_ref().starts_with(&sha384))
}

/// HKDF-SHA-384 of 22 times 0x0b, salt 00..0c, info f0..f9 (the inputs of RFC 5869 test case 1).
fn key_derivation() -> Option<bool> {
    let salt = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
    let info = [0xf0, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9];
    let expected = [
        0x9b, 0x50, 0x97, 0xa8, 0x60, 0x38, 0xb8, 0x05, 0x30, 0x90, 0x76, 0xa4, 0x4b, 0x3a, 0x9f, 0x38, 0x06, 0x3e,
        0x25, 0xb5, 0x16, 0xdc, 0xbf, 0x36, 0x9f, 0x39, 0x4c, 0xfa, 0xb4, 0x36, 0x85, 0xf7, 0x48, 0xb6, 0x45, 0x77,
        0x63, 0xe4, 0xf0, 0x20, 0x4f, 0xc5,
    ];
    Some(*hkdf::<42>(&[0x0b; 22], &salt, &[&info])? == expected)
}

/// Test case 14 of the GCM submission: zero key, nonce and block.
fn cipher() -> Option<bool> {
    let key = DataKey::from_secret_bytes(&[0; 32]).ok()?;
    let known = crate::at_rest::known_answer(&key)?;
    let expected = [
        0xce, 0xa7, 0x40, 0x3d, 0x4d, 0x60, 0x6b, 0x6e, 0x07, 0x4e, 0xc5, 0xd3, 0xba, 0xf3, 0x9d, 0x18, 0xd0, 0xd1,
        0xc8, 0xa7, 0x99, 0x99, 0x6b, 0xf0, 0x26, 0x5b, 0x98, 0xb5, 0xd4, 0x8a, 0xb9, 0x19,
    ];
    let stored = key.encrypt(b"context", message()).ok()?;
    Some(
        known == expected
            && key.decrypt(b"context", &stored).ok()?.as_slice() == message()
            && key.decrypt(b"other", &stored).is_err(),
    )
}

fn p384() -> Option<bool> {
    let key = P384PublicKey::try_from(P384_KEY).ok()?;
    let signature = P384Signature::try_from(P384_SIGNATURE).ok()?;
    Some(Verifier.verify_p384(&key, message(), &signature) && !Verifier.verify_p384(&key, b"other", &signature))
}

fn ml_dsa_65() -> Option<bool> {
    let pair = PqdsaKeyPair::from_seed(&ML_DSA_65_SIGNING, &SEED).ok()?;
    let key = MlDsa65PublicKey::try_from(pair.public_key().as_ref()).ok()?;
    let signature = MlDsa65Signature::try_from(ML_DSA_65_SIGNATURE).ok()?;
    Some(
        Verifier.verify_ml_dsa_65(&key, message(), &signature)
            && !Verifier.verify_ml_dsa_65(&key, b"other", &signature),
    )
}

fn ml_dsa_87() -> Option<bool> {
    let pair = PqdsaKeyPair::from_seed(&ML_DSA_87_SIGNING, &SEED).ok()?;
    let key = MlDsa87PublicKey::try_from(pair.public_key().as_ref()).ok()?;
    let signature = MlDsa87Signature::try_from(ML_DSA_87_SIGNATURE).ok()?;
    Some(
        Verifier.verify_ml_dsa_87(&key, message(), &signature)
            && !Verifier.verify_ml_dsa_87(&key, b"other", &signature),
    )
}

fn hpke() -> Option<bool> {
    let pair = EncryptionKeyPair::from_secret_bytes(&SEED).ok()?;
    let opened = hpke_open(&pair, message(), b"", HPKE_SEALED).ok()?;
    let fresh = hpke_seal(pair.public(), message(), b"", b"fresh").ok()?;
    Some(
        opened.as_slice() == SEED
            && hpke_open(&pair, b"other", b"", HPKE_SEALED).is_err()
            && hpke_open(&pair, message(), b"", &fresh).ok()?.as_slice() == b"fresh",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_known_answers_hold() {
        assert_eq!(self_test(), Ok(()));
    }
}
