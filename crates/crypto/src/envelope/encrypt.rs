//! Making envelopes.

use aws_lc_rs::digest::{SHA256, digest};
use cresset_protocol::codec::{self, CodecError};
use cresset_protocol::domain;
use cresset_protocol::envelope::{
    Addressing, Content, ContentError, EnvelopeHeader, HeaderError, HeaderTerms, KeyGrantShare, LayoutError, Plaintext,
    Relay, STANZA_KEY_BYTES, SegmentDigests, Stanza, StanzaTerms, direct_context, grant_context,
};
use cresset_protocol::ids::{ConsortiumId, HubId, KeyPeriod, LogId, RosterDigest, RosterVersion};
use cresset_protocol::limits::STANZAS_MAX;
use cresset_protocol::log::record::Opening;
use cresset_protocol::signing::EncryptionPublicKey;
use cresset_protocol::suite::Suite;
use thiserror::Error;

use super::cipher::encrypt_segments;
use super::keys::{AudienceKey, KeyDerivationError, ObjectKey};
use crate::kem::{HpkeError, encrypt_stanza};
use crate::random::{RandomnessError, random_secret};

/// What is to be encrypted, and where its leaf will stand.
#[derive(Clone, Copy)]
pub struct Draft<'a> {
    /// Consortium.
    pub consortium: &'a ConsortiumId,
    /// The origin's log.
    pub log: &'a LogId,
    /// Who may pass the envelope on.
    pub relay: Relay,
    /// Opening of the leaf: share, blinding and inner MAC travel inside.
    pub opening: &'a Opening,
    /// The view; empty for a grant.
    pub payload: &'a [u8],
}

/// An envelope ready for its leaf: X is `header.digest()`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncryptedEnvelope {
    /// The header.
    pub header: EnvelopeHeader,
    /// Stanzas if any, then segments.
    pub body: Vec<u8>,
}

/// A hub of the roster, and whether it gets the key or zeros.
#[derive(Clone, Copy, Debug)]
pub struct Recipient<'a> {
    /// The hub.
    pub hub: HubId,
    /// Its encryption key of the period.
    pub key: &'a EncryptionPublicKey,
    /// Whether it is in the audience. A suspended hub is not.
    pub member: bool,
}

/// The roster and period that stanzas are made against.
#[derive(Clone, Copy, Debug)]
pub struct RosterTerms {
    /// Roster version.
    pub version: RosterVersion,
    /// Roster digest.
    pub digest: RosterDigest,
    /// Period of the hubs' encryption keys.
    pub period: KeyPeriod,
}

/// To whom a direct envelope goes.
#[derive(Clone, Copy, Debug)]
pub enum DirectRecipients<'a> {
    /// Every active hub of the roster in ascending id, only members getting the key: hides who and how many.
    Padded(&'a [Recipient<'a>]),
    /// Exactly these keys: TLP:RED, which only they receive, and backups.
    Named(&'a [EncryptionPublicKey]),
}

/// Encrypts a view under an audience key.
///
/// # Errors
/// [`EncryptError`].
pub fn encrypt_for_audience(draft: &Draft<'_>, audience: &AudienceKey) -> Result<EncryptedEnvelope, EncryptError> {
    let addressing = Addressing::Audience { audience: *audience.id() };
    encrypt(draft, addressing, audience.secret_bytes(), &*random_secret::<32>()?, |_| Ok(Vec::new()))
}

/// Encrypts an audience key to its members, and the share of the grant under it.
///
/// `draft.opening.share` is the encoded [`KeyGrantShare`]; `recipients` holds every active hub in ascending id.
///
/// # Errors
/// [`EncryptError`].
pub fn encrypt_grant(
    draft: &Draft<'_>,
    roster: &RosterTerms,
    recipients: &[Recipient<'_>],
    audience: &AudienceKey,
) -> Result<EncryptedEnvelope, EncryptError> {
    let stanzas = stanza_terms(roster, recipients.len())?;
    check_order(recipients)?;
    let serial = audience.serial();
    let addressing = Addressing::Grant { audience: *audience.id(), serial, stanzas };
    let share: KeyGrantShare = codec::decode(&draft.opening.share, KeyGrantShare::BYTES_MAX)?;
    let members = recipients.iter().filter(|recipient| recipient.member).map(|recipient| recipient.hub);
    if !grant_share_fits(&share, &addressing, Suite::Hybrid2026.code()) || !share.members.iter().copied().eq(members) {
        return Err(EncryptError::GrantShare);
    }
    encrypt(draft, addressing, audience.secret_bytes(), &*random_secret::<32>()?, |terms| {
        let context = |recipient: &Recipient<'_>| grant_context(terms, &stanzas, serial, &recipient.hub);
        padded_stanzas(recipients, audience.secret_bytes(), context)
    })
}

/// Encrypts a view under a key of its own to the recipients.
///
/// # Errors
/// [`EncryptError`].
pub fn encrypt_direct(
    draft: &Draft<'_>,
    roster: &RosterTerms,
    recipients: DirectRecipients<'_>,
) -> Result<EncryptedEnvelope, EncryptError> {
    let count = match recipients {
        DirectRecipients::Padded(hubs) => hubs.len(),
        DirectRecipients::Named(keys) => keys.len(),
    };
    let stanzas = stanza_terms(roster, count)?;
    let key = random_secret::<STANZA_KEY_BYTES>()?;
    encrypt(draft, Addressing::Direct { stanzas }, &key, &*random_secret::<32>()?, |terms| match recipients {
        DirectRecipients::Padded(hubs) => {
            check_order(hubs)?;
            padded_stanzas(hubs, &key, |recipient| direct_context(terms, &stanzas, recipient.key))
        }
        DirectRecipients::Named(keys) => {
            let stanza = |recipient| Ok(encrypt_stanza(recipient, &direct_context(terms, &stanzas, recipient), &key)?);
            keys.iter().map(stanza).collect()
        }
    })
}

/// The order of computation: nothing earlier refers to anything later.
pub(super) fn encrypt(
    draft: &Draft<'_>,
    addressing: Addressing,
    key: &[u8; 32],
    random: &[u8; 32],
    make_stanzas: impl FnOnce(&HeaderTerms) -> Result<Vec<Stanza>, EncryptError>,
) -> Result<EncryptedEnvelope, EncryptError> {
    let plaintext = plaintext(draft)?;
    let terms = HeaderTerms {
        consortium: *draft.consortium,
        log: *draft.log,
        suite: Suite::Hybrid2026.code(),
        relay: draft.relay,
        addressing,
        salt: salt(random, key, &plaintext),
        padded_bytes: plaintext.padded().len() as u64,
    };
    let prefix = terms.prefix();
    let keys = ObjectKey::derive(key, &terms.salt, &prefix)?.envelope_keys()?;
    let layout = terms.layout();
    let stanzas = make_stanzas(&terms)?;
    let mut body = Vec::with_capacity(usize::try_from(layout.body_bytes()).map_err(|_| EncryptError::Cipher)?);
    for stanza in &stanzas {
        body.extend_from_slice(stanza.as_bytes());
    }
    encrypt_segments(&keys.key, &prefix, plaintext.padded(), &mut body).ok_or(EncryptError::Cipher)?;
    let root = SegmentDigests::of_body(&layout, &body)?.root();
    Ok(EncryptedEnvelope { header: terms.complete(keys.commitment, root)?, body })
}

fn plaintext(draft: &Draft<'_>) -> Result<Plaintext, EncryptError> {
    let content = Content {
        share: &draft.opening.share,
        blinding: draft.opening.r.as_bytes(),
        inner_mac: &draft.opening.inner_mac,
        payload: draft.payload,
    };
    Ok(content.to_plaintext()?)
}

/// Fresh randomness, the key and the content together: even a generator that repeats itself (a virtual machine restored
/// from a snapshot) gives two contents two salts, and so two keys.
fn salt(random: &[u8; 32], key: &[u8; 32], plaintext: &Plaintext) -> [u8; 32] {
    let content = digest(&SHA256, plaintext.content());
    domain::SALT.digest(&[random, key, content.as_ref()])
}

fn padded_stanzas(
    recipients: &[Recipient<'_>],
    key: &[u8; STANZA_KEY_BYTES],
    context: impl Fn(&Recipient<'_>) -> Vec<u8>,
) -> Result<Vec<Stanza>, EncryptError> {
    let outside = [0; STANZA_KEY_BYTES];
    let stanza = |recipient: &Recipient<'_>| {
        let secret = if recipient.member { key } else { &outside };
        Ok(encrypt_stanza(recipient.key, &context(recipient), secret)?)
    };
    recipients.iter().map(stanza).collect()
}

fn check_order(recipients: &[Recipient<'_>]) -> Result<(), EncryptError> {
    if recipients.is_sorted_by(|a, b| a.hub < b.hub) { Ok(()) } else { Err(EncryptError::Order) }
}

fn stanza_terms(roster: &RosterTerms, count: usize) -> Result<StanzaTerms, EncryptError> {
    match u16::try_from(count) {
        Ok(count) if count > 0 && usize::from(count) <= STANZAS_MAX => Ok(StanzaTerms {
            roster_version: roster.version,
            roster_digest: roster.digest,
            period: roster.period,
            count,
        }),
        _ => Err(EncryptError::Recipients(count)),
    }
}

/// Whether a grant's share says what its header says.
pub(super) fn grant_share_fits(share: &KeyGrantShare, addressing: &Addressing, suite: u16) -> bool {
    match addressing {
        Addressing::Grant { audience, serial, stanzas } => {
            share.suite == suite
                && share.audience == *audience
                && share.serial == *serial
                && share.roster_version == stanzas.roster_version
        }
        _ => false,
    }
}

/// Why an envelope could not be made.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EncryptError {
    /// No recipient, or too many.
    #[error("{0} recipients for one envelope")]
    Recipients(usize),
    /// Recipients not in strictly ascending hub id.
    #[error("recipients are not in ascending hub id")]
    Order,
    /// The share of a grant does not describe it.
    #[error("share of the grant does not describe it")]
    GrantShare,
    /// The share of a grant is not one.
    #[error("share of the grant cannot be decoded")]
    Codec(#[from] CodecError),
    /// Too large.
    #[error("content does not fit an envelope")]
    Content(#[from] ContentError),
    /// The header would be refused.
    #[error("header would be refused")]
    Header(#[from] HeaderError),
    /// Body and header do not agree.
    #[error("body does not fit its header")]
    Layout(#[from] LayoutError),
    /// A recipient's key is invalid, or encryption to it failed.
    #[error("cannot encrypt to a recipient")]
    Stanza(#[from] HpkeError),
    /// Key derivation failed.
    #[error("cannot derive keys")]
    Keys(#[from] KeyDerivationError),
    /// The cipher failed inside the library.
    #[error("encryption failed")]
    Cipher,
    /// No randomness.
    #[error(transparent)]
    Randomness(#[from] RandomnessError),
}
