//! Digests of membership and the bytes that officers sign.

use sha2::{Digest, Sha256};

use crate::domain;
use crate::ids::{ConsortiumId, RosterDigest, RosterVersion, SpkiDigest};
use crate::signing::P384PublicKey;

/// DER of an `id-ecPublicKey` SubjectPublicKeyInfo on secp384r1 up to the point: all of it but the key is constant.
const P384_SPKI_PREFIX: [u8; 23] = [
    0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00,
    0x22, 0x03, 0x62, 0x00,
];

/// Digest of a roster body's canonical bytes.
pub fn roster_digest(body: &[u8]) -> RosterDigest {
    RosterDigest(domain::ROSTER.digest(&[body]))
}

/// Consortium id: digest of the canonical body of version 0.
pub fn consortium_id(founding_body: &[u8]) -> ConsortiumId {
    ConsortiumId(domain::CONSORTIUM.digest(&[founding_body]))
}

/// What an officer signs for a roster version: label, consortium id, version (8 bytes, big-endian), digest.
pub fn roster_signing_bytes(consortium: &ConsortiumId, version: RosterVersion, digest: &RosterDigest) -> Vec<u8> {
    domain::ROSTER_SIGNATURE.message(&[consortium.as_bytes(), &version.0.to_be_bytes(), digest.as_bytes()])
}

/// DER SubjectPublicKeyInfo of a P-384 key (120 bytes).
pub fn p384_spki(key: &P384PublicKey) -> Vec<u8> {
    let mut der = P384_SPKI_PREFIX.to_vec();
    der.extend_from_slice(key.as_bytes());
    der
}

/// SHA-256 of a P-384 key's SubjectPublicKeyInfo.
pub fn p384_spki_digest(key: &P384PublicKey) -> SpkiDigest {
    SpkiDigest(Sha256::digest(p384_spki(key)).into())
}
