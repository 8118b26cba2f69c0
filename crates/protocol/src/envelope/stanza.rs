//! Stanzas, and the contexts to which keys are bound.

use std::fmt;

use sha2::{Digest, Sha256};

use super::header::{HeaderTerms, StanzaTerms};
use crate::domain;
use crate::ids::{ConsortiumId, EncryptionKeyId, GrantSerial, HubId, LogId};
use crate::signing::{EncryptionPublicKey, WrongLength};

/// Length of the key inside a stanza.
pub const STANZA_KEY_BYTES: usize = 32;
/// Encapsulated key, encrypted key, tag.
pub const STANZA_BYTES: usize = EncryptionPublicKey::LEN + STANZA_KEY_BYTES + 16;

/// A key encrypted for one recipient, or 32 zero bytes for a hub outside the audience: all stanzas look alike.
#[derive(Clone, PartialEq, Eq)]
pub struct Stanza(Box<[u8; STANZA_BYTES]>);

impl Stanza {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_slice()
    }
}

impl TryFrom<&[u8]> for Stanza {
    type Error = WrongLength;

    fn try_from(bytes: &[u8]) -> Result<Self, WrongLength> {
        let wrong = WrongLength { what: "Stanza", len: bytes.len(), expected: STANZA_BYTES };
        bytes.try_into().map(|bytes| Self(Box::new(bytes))).map_err(|_| wrong)
    }
}

impl fmt::Debug for Stanza {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stanza(..)")
    }
}

/// Position of a hub's stanza: stanzas of a grant, and of a direct envelope that is padded, stand in ascending hub id.
pub fn stanza_position(hubs: &[HubId], hub: &HubId) -> Option<usize> {
    hubs.binary_search(hub).ok()
}

/// Identifier of an encryption key: SHA-256 of the public key.
pub fn encryption_key_id(key: &EncryptionPublicKey) -> EncryptionKeyId {
    EncryptionKeyId(Sha256::digest(key.as_bytes()).into())
}

/// HPKE info of a grant's stanza: label || suite || consortium || log || roster digest || serial || recipient.
pub fn grant_context(terms: &HeaderTerms, stanzas: &StanzaTerms, serial: GrantSerial, recipient: &HubId) -> Vec<u8> {
    domain::GRANT.message(&[
        &terms.suite.to_be_bytes(),
        terms.consortium.as_bytes(),
        terms.log.as_bytes(),
        stanzas.roster_digest.as_bytes(),
        &serial.0.to_be_bytes(),
        recipient.as_bytes(),
    ])
}

/// HPKE info of a direct envelope's stanza: label || suite || consortium || log || roster digest || recipient key id.
///
/// The recipient is named by key, not by hub: recovery and auditor keys belong to no active hub.
pub fn direct_context(terms: &HeaderTerms, stanzas: &StanzaTerms, recipient: &EncryptionPublicKey) -> Vec<u8> {
    domain::DIRECT.message(&[
        &terms.suite.to_be_bytes(),
        terms.consortium.as_bytes(),
        terms.log.as_bytes(),
        stanzas.roster_digest.as_bytes(),
        encryption_key_id(recipient).as_bytes(),
    ])
}

/// HKDF info of an audience id: label || consortium || log || serial of the grant.
pub fn audience_context(consortium: &ConsortiumId, log: &LogId, serial: GrantSerial) -> Vec<u8> {
    domain::AUDIENCE.message(&[consortium.as_bytes(), log.as_bytes(), &serial.0.to_be_bytes()])
}
