//! Signatures of the simulation: a hash keyed with the public key, so that a thousand hubs cost no lattice arithmetic.
//! Nobody in the simulation computes another hub's signature.

use cresset_protocol::signing::{
    LogKeys, LogSignatures, MlDsa65PublicKey, MlDsa65Signature, MlDsa87PublicKey, MlDsa87Signature, P384PublicKey,
    P384Signature, SignatureVerifier,
};
use sha2::{Digest, Sha256};

/// Verifies them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyedHash;

/// Key pair of a simulated log.
pub(crate) fn log_keys(hub: u64) -> LogKeys {
    let p384: [u8; 97] = stretch(&[&hub.to_be_bytes(), b"p384"]);
    let ml_dsa_65: [u8; 1952] = stretch(&[&hub.to_be_bytes(), b"ml-dsa-65"]);
    LogKeys { p384: p384.into(), ml_dsa_65: ml_dsa_65.into() }
}

/// Signs as the holder of the keys.
pub(crate) fn sign(keys: &LogKeys, message: &[u8]) -> LogSignatures {
    let p384: [u8; 96] = stretch(&[keys.p384.as_bytes(), message]);
    let ml_dsa_65: [u8; 3309] = stretch(&[keys.ml_dsa_65.as_bytes(), message]);
    LogSignatures { p384: p384.into(), ml_dsa_65: ml_dsa_65.into() }
}

impl SignatureVerifier for KeyedHash {
    fn verify_p384(&self, key: &P384PublicKey, message: &[u8], signature: &P384Signature) -> bool {
        stretch::<96>(&[key.as_bytes(), message]) == signature.as_bytes()
    }

    fn verify_ml_dsa_65(&self, key: &MlDsa65PublicKey, message: &[u8], signature: &MlDsa65Signature) -> bool {
        stretch::<3309>(&[key.as_bytes(), message]) == signature.as_bytes()
    }

    fn verify_ml_dsa_87(&self, key: &MlDsa87PublicKey, message: &[u8], signature: &MlDsa87Signature) -> bool {
        stretch::<4627>(&[key.as_bytes(), message]) == signature.as_bytes()
    }
}

/// One digest, repeated to the length of the real thing: sizes on the simulated wire stay true.
fn stretch<const N: usize>(parts: &[&[u8]]) -> [u8; N] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    let digest = hash.finalize();
    let mut out = [0; N];
    for (byte, value) in out.iter_mut().zip(digest.iter().cycle()) {
        *byte = *value;
    }
    out
}
