//! Group documents: commitment, padding and the layout of the encrypted form. Ciphers are `cresset-crypto`'s.
//!
//! Encrypted form: time of encryption 8, stanza count 2, stanzas of [`STANZA_BYTES`] each, ciphertext of
//! [`PLAINTEXT_BYTES`] + 16. One stanza per hub in standing (ascending hub id), then per officer (ascending role):
//! members and officers find the document key in theirs, everyone else 32 zero bytes. Every document of a roster has
//! the same length, so neither members nor their number show.

use thiserror::Error;

use super::roster::{GroupDocument, GroupEntry, RosterBody};
use super::syntax::is_name;
use crate::codec::{self, CodecError};
use crate::domain;
use crate::ids::{ConsortiumId, GroupId, HubId, UnixSeconds};
use crate::limits::{GROUP_DOCUMENT_BYTES_MAX, GROUP_MEMBERS_MAX};
use crate::signing::EncryptionPublicKey;
use crate::suite::Suite;

/// HPKE encapsulation 1665, encrypted key 32, tag 16.
pub const STANZA_BYTES: usize = 1_713;
/// Padded plaintext: length 4, dCBOR of the document, zeros. Room for [`GROUP_MEMBERS_MAX`] members.
pub const PLAINTEXT_BYTES: usize = 5 << 10;
/// Authentication tag of AES-256-GCM.
pub const TAG_BYTES: usize = 16;

const HEAD_BYTES: usize = 8 + 2;
const LENGTH_BYTES: usize = 4;

/// Length of every group document of a roster with so many stanzas.
pub const fn document_len(stanzas: usize) -> usize {
    HEAD_BYTES + stanzas * STANZA_BYTES + PLAINTEXT_BYTES + TAG_BYTES
}

/// Who a stanza is encrypted to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StanzaRecipient {
    /// A hub in standing.
    Hub(HubId),
    /// An officer by role.
    Officer(String),
}

/// One stanza to make: recipient, key, and whether it learns the document key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StanzaPlan {
    /// To whom.
    pub recipient: StanzaRecipient,
    /// Encryption key in force at the time of encryption.
    pub key: EncryptionPublicKey,
    /// Member of the group, or officer.
    pub entitled: bool,
}

/// The stanzas of a document under a roster body, in their order.
///
/// # Errors
/// [`GroupFault::NoKey`] if a hub has no encryption key in force at `at`; [`GroupFault::UnknownMember`] if a member is no
/// hub in standing.
pub fn plan_stanzas(
    body: &RosterBody,
    document: &GroupDocument,
    at: UnixSeconds,
) -> Result<Vec<StanzaPlan>, GroupFault> {
    let in_standing = || body.hubs.iter().filter(|hub| hub.status.in_standing());
    if let Some(stranger) = document.members.iter().find(|id| !in_standing().any(|hub| hub.id == **id)) {
        return Err(GroupFault::UnknownMember(*stranger));
    }
    let mut plan = Vec::new();
    for hub in in_standing() {
        let key = hub.encryption_key_at(at).ok_or(GroupFault::NoKey(hub.id))?;
        let entitled = document.members.contains(&hub.id);
        plan.push(StanzaPlan { recipient: StanzaRecipient::Hub(hub.id), key: key.key.clone(), entitled });
    }
    for officer in &body.officers {
        let recipient = StanzaRecipient::Officer(officer.role.clone());
        plan.push(StanzaPlan { recipient, key: officer.encryption.clone(), entitled: true });
    }
    Ok(plan)
}

/// HPKE info of one stanza: label, suite (2 bytes), consortium id, group id, group version (8), recipient (kind byte 0 and
/// hub id, or kind byte 1 and role).
pub fn stanza_info(
    suite: Suite,
    consortium: &ConsortiumId,
    group: &GroupId,
    version: u64,
    recipient: &StanzaRecipient,
) -> Vec<u8> {
    let (kind, name): (u8, &[u8]) = match recipient {
        StanzaRecipient::Hub(id) => (0, id.as_bytes()),
        StanzaRecipient::Officer(role) => (1, role.as_bytes()),
    };
    domain::GROUP_STANZA.message(&[
        &suite.code().to_be_bytes(),
        consortium.as_bytes(),
        group.as_bytes(),
        &version.to_be_bytes(),
        &[kind],
        name,
    ])
}

/// Associated data of the document's ciphertext: label, consortium id, group id, group version (8).
pub fn document_aad(consortium: &ConsortiumId, group: &GroupId, version: u64) -> Vec<u8> {
    domain::GROUP.message(&[consortium.as_bytes(), group.as_bytes(), &version.to_be_bytes()])
}

impl GroupDocument {
    /// Commitment in the roster: digest of the canonical document, whose salt hides it.
    pub fn commitment(&self) -> [u8; 32] {
        domain::GROUP.digest(&[&codec::encode(self)])
    }

    /// The padded plaintext.
    ///
    /// # Errors
    /// [`GroupFault::Content`] for a bad name or too many members.
    pub fn to_padded(&self) -> Result<Vec<u8>, GroupFault> {
        if !is_name(&self.name) || self.members.len() > GROUP_MEMBERS_MAX {
            return Err(GroupFault::Content);
        }
        let bytes = codec::encode(self);
        let len = u32::try_from(bytes.len()).map_err(|_| GroupFault::Content)?;
        let mut padded = len.to_be_bytes().to_vec();
        padded.extend_from_slice(&bytes);
        if padded.len() > PLAINTEXT_BYTES {
            return Err(GroupFault::Content);
        }
        padded.resize(PLAINTEXT_BYTES, 0);
        Ok(padded)
    }

    /// Parses a decrypted document and checks it against its roster entry.
    ///
    /// # Errors
    /// Any departure from padding, encoding, commitment, or the entry's id and version.
    pub fn from_padded(padded: &[u8], entry: &GroupEntry) -> Result<Self, GroupFault> {
        let (len, rest) = padded.split_first_chunk::<LENGTH_BYTES>().ok_or(GroupFault::Padding)?;
        let len = usize::try_from(u32::from_be_bytes(*len)).map_err(|_| GroupFault::Padding)?;
        let (bytes, zeros) = rest.split_at_checked(len).ok_or(GroupFault::Padding)?;
        if padded.len() != PLAINTEXT_BYTES || zeros.iter().any(|byte| *byte != 0) {
            return Err(GroupFault::Padding);
        }
        let document: Self = codec::decode(bytes, PLAINTEXT_BYTES)?;
        if document.commitment() != entry.commitment || document.id != entry.id || document.version != entry.version {
            return Err(GroupFault::Commitment);
        }
        if !is_name(&document.name) || document.members.len() > GROUP_MEMBERS_MAX {
            return Err(GroupFault::Content);
        }
        Ok(document)
    }
}

/// An encrypted document taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedDocument<'a> {
    /// When it was encrypted: chooses each hub's encryption key.
    pub sealed_at: UnixSeconds,
    /// One per recipient.
    pub stanzas: Vec<&'a [u8]>,
    /// Document and tag.
    pub ciphertext: &'a [u8],
}

impl<'a> SealedDocument<'a> {
    /// Takes an encrypted document apart.
    ///
    /// # Errors
    /// [`GroupFault::Layout`] unless every length fits.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, GroupFault> {
        if bytes.len() > GROUP_DOCUMENT_BYTES_MAX {
            return Err(GroupFault::Layout);
        }
        let (sealed_at, rest) = bytes.split_first_chunk::<8>().ok_or(GroupFault::Layout)?;
        let (count, rest) = rest.split_first_chunk::<2>().ok_or(GroupFault::Layout)?;
        let stanzas = usize::from(u16::from_be_bytes(*count));
        let (stanzas, ciphertext) = rest.split_at_checked(stanzas * STANZA_BYTES).ok_or(GroupFault::Layout)?;
        if ciphertext.len() != PLAINTEXT_BYTES + TAG_BYTES {
            return Err(GroupFault::Layout);
        }
        let sealed_at = UnixSeconds(u64::from_be_bytes(*sealed_at));
        Ok(Self { sealed_at, stanzas: stanzas.chunks_exact(STANZA_BYTES).collect(), ciphertext })
    }

    /// Puts it together.
    ///
    /// # Errors
    /// [`GroupFault::Layout`] if a part has the wrong length.
    pub fn to_bytes(&self) -> Result<Vec<u8>, GroupFault> {
        let count = u16::try_from(self.stanzas.len()).map_err(|_| GroupFault::Layout)?;
        let mut out = self.sealed_at.0.to_be_bytes().to_vec();
        out.extend_from_slice(&count.to_be_bytes());
        self.stanzas.iter().for_each(|stanza| out.extend_from_slice(stanza));
        out.extend_from_slice(self.ciphertext);
        SealedDocument::parse(&out)?;
        Ok(out)
    }
}

/// Why a group document is no good.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum GroupFault {
    /// Lengths of the encrypted form do not fit.
    #[error("encrypted group document has the wrong layout")]
    Layout,
    /// Padding or length of the plaintext.
    #[error("group document is badly padded")]
    Padding,
    /// The plaintext is not canonical.
    #[error("group document: {0}")]
    Codec(#[from] CodecError),
    /// It is not what the roster commits to.
    #[error("group document does not match the roster's commitment, id or version")]
    Commitment,
    /// Name or member list outside its limits.
    #[error("group name or member list is outside its limits")]
    Content,
    /// A member that is no hub in standing.
    #[error("member {0} is no hub in standing")]
    UnknownMember(HubId),
    /// A hub without an encryption key in force.
    #[error("hub {0} has no encryption key in force")]
    NoKey(HubId),
}
