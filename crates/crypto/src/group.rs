//! Encrypts and opens the documents of sharing groups (`protocol-spec/05-membership.md` section 8).
//!
//! The document key serves one document, so the AES-GCM nonce is zero. A non-member's stanza opens to zeros: exclusion
//! and failure are told apart by the recipient, and by nobody else.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use cresset_protocol::ids::{ConsortiumId, UnixSeconds};
use cresset_protocol::membership::group::{
    GroupFault, SealedDocument, StanzaRecipient, document_aad, plan_stanzas, stanza_info,
};
use cresset_protocol::membership::roster::{GroupDocument, GroupEntry, RosterBody};
use cresset_protocol::suite::Suite;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::kem::{EncryptionKeyPair, HpkeError, hpke_open, hpke_seal};
use crate::random::{RandomnessError, random_secret};

const KEY_BYTES: usize = 32;

/// Encrypts a document for the hubs in standing and the officers of `body`, whose `groups` may still be incomplete.
///
/// # Errors
/// [`GroupError::Fault`] if a member is unknown or a hub has no key; [`GroupError::Randomness`].
pub fn encrypt_group_document(
    body: &RosterBody,
    consortium: &ConsortiumId,
    document: &GroupDocument,
    sealed_at: UnixSeconds,
) -> Result<GroupEntry, GroupError> {
    let key = random_secret::<KEY_BYTES>()?;
    let excluded = [0u8; KEY_BYTES];
    let mut stanzas = Vec::new();
    for plan in plan_stanzas(body, document, sealed_at)? {
        let info = stanza_info(Suite::Hybrid2026, consortium, &document.id, document.version, &plan.recipient);
        let secret = if plan.entitled { key.as_slice() } else { &excluded };
        stanzas.push(hpke_seal(&plan.key, &info, &[], secret)?);
    }
    let mut ciphertext = document.to_padded()?;
    let aad = Aad::from(document_aad(consortium, &document.id, document.version));
    cipher(key.as_slice())?
        .seal_in_place_append_tag(zero_nonce(), aad, &mut ciphertext)
        .map_err(|_| GroupError::Encrypt)?;
    let stanzas = stanzas.iter().map(Vec::as_slice).collect();
    let sealed = SealedDocument { sealed_at, stanzas, ciphertext: &ciphertext }.to_bytes()?;
    Ok(GroupEntry { id: document.id, version: document.version, commitment: document.commitment(), document: sealed })
}

/// Opens a document as `recipient` with the key pair that was in force when it was encrypted. `None`: not a member.
///
/// # Errors
/// [`GroupError::NoStanza`] if the roster has no stanza for the recipient; otherwise what is wrong with the document.
pub fn open_group_document(
    body: &RosterBody,
    consortium: &ConsortiumId,
    entry: &GroupEntry,
    recipient: &StanzaRecipient,
    pair: &EncryptionKeyPair,
) -> Result<Option<GroupDocument>, GroupError> {
    let sealed = SealedDocument::parse(&entry.document)?;
    let stanza = stanza_position(body, recipient).and_then(|at| sealed.stanzas.get(at)).ok_or(GroupError::NoStanza)?;
    let info = stanza_info(Suite::Hybrid2026, consortium, &entry.id, entry.version, recipient);
    let key = hpke_open(pair, &info, &[], stanza)?;
    if key.iter().all(|byte| *byte == 0) {
        return Ok(None);
    }
    let mut plaintext = Zeroizing::new(sealed.ciphertext.to_vec());
    let aad = Aad::from(document_aad(consortium, &entry.id, entry.version));
    let opened =
        cipher(&key)?.open_in_place(zero_nonce(), aad, plaintext.as_mut_slice()).map_err(|_| GroupError::Open)?;
    Ok(Some(GroupDocument::from_padded(opened, entry)?))
}

/// When a document was encrypted: tells a hub which of its encryption keys to use.
///
/// # Errors
/// [`GroupFault::Layout`].
pub fn encrypted_at(entry: &GroupEntry) -> Result<UnixSeconds, GroupError> {
    Ok(SealedDocument::parse(&entry.document)?.sealed_at)
}

fn stanza_position(body: &RosterBody, recipient: &StanzaRecipient) -> Option<usize> {
    let mut in_standing = body.hubs.iter().filter(|hub| hub.status.in_standing());
    match recipient {
        StanzaRecipient::Hub(id) => in_standing.position(|hub| hub.id == *id),
        StanzaRecipient::Officer(role) => {
            let officer = body.officers.iter().position(|officer| officer.role == *role)?;
            Some(in_standing.count() + officer)
        }
    }
}

fn cipher(key: &[u8]) -> Result<LessSafeKey, GroupError> {
    Ok(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).map_err(|_| GroupError::Open)?))
}

fn zero_nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}

/// Why a group document cannot be encrypted or opened.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum GroupError {
    /// Layout, padding, commitment or members.
    #[error(transparent)]
    Fault(#[from] GroupFault),
    /// A stanza.
    #[error("group stanza: {0}")]
    Hpke(#[from] HpkeError),
    /// No randomness.
    #[error(transparent)]
    Randomness(#[from] RandomnessError),
    /// The roster has no stanza for this recipient.
    #[error("this roster has no stanza for the recipient")]
    NoStanza,
    /// Encryption failed inside the library.
    #[error("the group document cannot be encrypted")]
    Encrypt,
    /// Wrong key or changed bytes.
    #[error("the group document does not open")]
    Open,
}

#[cfg(test)]
#[path = "group_tests.rs"]
mod tests;
