//! Opening envelopes. Everything that can be refused without a key is refused without a key.

use cresset_protocol::codec;
use cresset_protocol::envelope::{
    Addressing, ContentError, EnvelopeHeader, EnvelopeKind, HeaderError, KeyGrantShare, LayoutError, STANZA_BYTES,
    Stanza, StanzaTerms, direct_context, grant_context, parse_plaintext, stanza_position,
};
use cresset_protocol::ids::{AudienceId, HubId};
use cresset_protocol::log::leaf::{Leaf, LeafKind};
use cresset_protocol::log::record::{Blinding, Opening};
use thiserror::Error;
use zeroize::Zeroizing;

use super::cipher::decrypt_segments;
use super::encrypt::grant_share_fits;
use super::keys::{AudienceKey, KeyDerivationError, ObjectKey};
use crate::kem::{EncryptionKeyPair, open_stanza};

/// What was inside, with its record checked against the leaf's C.
pub struct OpenedEnvelope {
    /// Opening of the leaf.
    pub opening: Opening,
    /// The view; empty for a grant.
    pub payload: Zeroizing<Vec<u8>>,
}

/// A grant that a member opened.
#[derive(Debug)]
pub struct OpenedGrant {
    /// The key, under its recomputed identifier.
    pub audience: AudienceKey,
    /// What the origin says about the audience.
    pub share: KeyGrantShare,
    /// Opening of the KEYGRANT leaf.
    pub opening: Opening,
}

/// Where one's own stanza stands in a direct envelope.
#[derive(Clone, Copy, Debug)]
pub enum StanzaChoice<'a> {
    /// A padded envelope: one stanza per hub of the roster version that the header names.
    Roster {
        /// Its active hubs in ascending id.
        hubs: &'a [HubId],
        /// Oneself.
        me: &'a HubId,
    },
    /// An envelope to named keys: try each stanza.
    Search,
}

/// Opens an envelope under an audience key.
///
/// # Errors
/// [`OpenError`] names the first thing that is wrong.
pub fn open_for_audience(
    header: &EnvelopeHeader,
    leaf: &Leaf,
    body: &[u8],
    audience: &AudienceKey,
) -> Result<OpenedEnvelope, OpenError> {
    let received = Received::check(header, leaf, body)?;
    match header.terms().addressing {
        Addressing::Audience { audience: id } if id == *audience.id() => received.open(&audience.object_key(header)?),
        Addressing::Audience { audience: id } => Err(OpenError::OtherAudience(id)),
        _ => Err(OpenError::Kind(header.kind())),
    }
}

/// Opens a grant: `hubs` are the active hubs, in ascending id, of the roster version that the header names.
///
/// # Errors
/// [`OpenError::NotAddressed`] for a hub outside the audience; otherwise what is wrong with the grant.
pub fn open_grant(
    header: &EnvelopeHeader,
    leaf: &Leaf,
    body: &[u8],
    hubs: &[HubId],
    me: &HubId,
    pair: &EncryptionKeyPair,
) -> Result<OpenedGrant, OpenError> {
    let received = Received::check(header, leaf, body)?;
    let terms = header.terms();
    let Addressing::Grant { audience: id, serial, stanzas } = terms.addressing else {
        return Err(OpenError::Kind(header.kind()));
    };
    if leaf.kind != LeafKind::KeyGrant {
        return Err(OpenError::LeafKind(leaf.kind));
    }
    let stanza = received.stanza_of(hubs, me, &stanzas)?;
    let key = addressed(pair, &grant_context(terms, &stanzas, serial, me), &stanza)?;
    let audience = AudienceKey::from_key(key, &terms.consortium, &terms.log, serial)?;
    if *audience.id() != id {
        return Err(OpenError::GrantedKey);
    }
    let opened = received.open(&audience.object_key(header)?)?;
    let share: KeyGrantShare =
        codec::decode(&opened.opening.share, KeyGrantShare::BYTES_MAX).map_err(|_| OpenError::GrantShare)?;
    if !grant_share_fits(&share, &terms.addressing, terms.suite) || !share.members.contains(me) {
        return Err(OpenError::GrantShare);
    }
    Ok(OpenedGrant { audience, share, opening: opened.opening })
}

/// Opens a direct envelope.
///
/// # Errors
/// [`OpenError::NotAddressed`] if no stanza is for this key; otherwise what is wrong.
pub fn open_direct(
    header: &EnvelopeHeader,
    leaf: &Leaf,
    body: &[u8],
    choice: StanzaChoice<'_>,
    pair: &EncryptionKeyPair,
) -> Result<OpenedEnvelope, OpenError> {
    let received = Received::check(header, leaf, body)?;
    received.open(&received.direct_object_key(choice, pair)?)
}

/// K_obj of a direct envelope, to be revealed in a complaint.
///
/// # Errors
/// As [`open_direct`], short of decryption.
pub fn direct_object_key(
    header: &EnvelopeHeader,
    leaf: &Leaf,
    body: &[u8],
    choice: StanzaChoice<'_>,
    pair: &EncryptionKeyPair,
) -> Result<ObjectKey, OpenError> {
    Received::check(header, leaf, body)?.direct_object_key(choice, pair)
}

/// An envelope whose suite, binding, length and digests are right.
pub(super) struct Received<'a> {
    header: &'a EnvelopeHeader,
    leaf: &'a Leaf,
    stanza_block: &'a [u8],
    segments: &'a [u8],
}

impl<'a> Received<'a> {
    pub(super) fn check(header: &'a EnvelopeHeader, leaf: &'a Leaf, body: &'a [u8]) -> Result<Self, OpenError> {
        header.suite()?;
        header.check_bound_by(leaf)?;
        let (stanza_block, segments) = header.check_body(body)?;
        Ok(Self { header, leaf, stanza_block, segments })
    }

    /// Decrypts and checks the record against C.
    pub(super) fn open(&self, key: &ObjectKey) -> Result<OpenedEnvelope, OpenError> {
        let keys = key.envelope_keys()?;
        if !keys.fit(self.header) {
            return Err(OpenError::KeyCommitment);
        }
        let padded = decrypt_segments(&keys.key, &self.header.prefix(), self.segments).ok_or(OpenError::Decrypt)?;
        let content = parse_plaintext(&padded)?;
        let opening = Opening {
            r: Blinding::from(*content.blinding),
            share: content.share.to_vec(),
            inner_mac: *content.inner_mac,
        };
        let terms = self.header.terms();
        opening.check(&terms.consortium, &terms.log, self.leaf).map_err(|_| OpenError::Commitment)?;
        Ok(OpenedEnvelope { opening, payload: Zeroizing::new(content.payload.to_vec()) })
    }

    fn direct_object_key(&self, choice: StanzaChoice<'_>, pair: &EncryptionKeyPair) -> Result<ObjectKey, OpenError> {
        let terms = self.header.terms();
        let Addressing::Direct { stanzas } = terms.addressing else {
            return Err(OpenError::Kind(self.header.kind()));
        };
        let context = direct_context(terms, &stanzas, pair.public());
        let key = match choice {
            StanzaChoice::Roster { hubs, me } => addressed(pair, &context, &self.stanza_of(hubs, me, &stanzas)?)?,
            StanzaChoice::Search => self.search(pair, &context)?,
        };
        Ok(ObjectKey::derive(&key, &terms.salt, &self.header.prefix())?)
    }

    fn stanza_of(&self, hubs: &[HubId], me: &HubId, terms: &StanzaTerms) -> Result<Stanza, OpenError> {
        if hubs.len() != usize::from(terms.count) {
            return Err(OpenError::StanzaCount { found: terms.count, hubs: hubs.len() });
        }
        let position = stanza_position(hubs, me).ok_or(OpenError::NotAddressed)?;
        let stanza = self.stanza_block.chunks_exact(STANZA_BYTES).nth(position).ok_or(OpenError::Stanza)?;
        Stanza::try_from(stanza).map_err(|_| OpenError::Stanza)
    }

    /// Bounded by `STANZAS_MAX` decapsulations.
    fn search(&self, pair: &EncryptionKeyPair, context: &[u8]) -> Result<Zeroizing<[u8; 32]>, OpenError> {
        let stanzas = self.stanza_block.chunks_exact(STANZA_BYTES).filter_map(|bytes| Stanza::try_from(bytes).ok());
        let mut opened = stanzas.filter_map(|stanza| addressed(pair, context, &stanza).ok());
        opened.next().ok_or(OpenError::NotAddressed)
    }
}

/// Opens one's own stanza; zeros mean "not for you", which is no failure of the origin's.
fn addressed(pair: &EncryptionKeyPair, context: &[u8], stanza: &Stanza) -> Result<Zeroizing<[u8; 32]>, OpenError> {
    let key = open_stanza(pair, context, stanza).map_err(|_| OpenError::Stanza)?;
    if key.iter().fold(0, |all, byte| all | byte) == 0 {
        return Err(OpenError::NotAddressed);
    }
    Ok(key)
}

impl std::fmt::Debug for OpenedEnvelope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenedEnvelope").field("payload_bytes", &self.payload.len()).finish_non_exhaustive()
    }
}

/// Why an envelope does not open.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Unknown suite, or a header that the leaf does not bind.
    #[error("header refused")]
    Header(#[from] HeaderError),
    /// Not the body that the header names.
    #[error("body refused")]
    Layout(#[from] LayoutError),
    /// Another kind of envelope than this call opens.
    #[error("envelope is of kind {0:?}")]
    Kind(EnvelopeKind),
    /// A grant in a leaf that is no KEYGRANT.
    #[error("grant in a {0} leaf")]
    LeafKind(LeafKind),
    /// For another audience than the key's.
    #[error("envelope is for audience `{0}`")]
    OtherAudience(AudienceId),
    /// This hub is not among the recipients.
    #[error("not addressed to this hub")]
    NotAddressed,
    /// The number of stanzas is not the number of active hubs.
    #[error("{found} stanzas for {hubs} active hubs")]
    StanzaCount {
        /// Stanzas in the envelope.
        found: u16,
        /// Active hubs in the roster version.
        hubs: usize,
    },
    /// The stanza does not open with this key.
    #[error("stanza does not open with this key")]
    Stanza,
    /// The granted key does not have the audience id of the header.
    #[error("granted key is not the audience's")]
    GrantedKey,
    /// The share of the grant contradicts its header.
    #[error("share of the grant contradicts its header")]
    GrantShare,
    /// The key is not the one that the header commits to.
    #[error("key does not fit the key commitment")]
    KeyCommitment,
    /// A segment does not decrypt.
    #[error("segments do not decrypt")]
    Decrypt,
    /// The plaintext is malformed.
    #[error("plaintext refused")]
    Content(#[from] ContentError),
    /// The record inside is not what the leaf commits to.
    #[error("record does not fit the leaf's commitment")]
    Commitment,
    /// Key derivation failed.
    #[error("cannot derive keys")]
    Keys(#[from] KeyDerivationError),
}
