//! The envelope header: what everybody may know about an envelope, and what its leaf binds.

use thiserror::Error;

use super::padding::padme;
use super::segments::{BodyLayout, LayoutError, SegmentDigests};
use super::wire::{self, Extensions, HeaderMap};
use crate::codec::CodecError;
use crate::domain;
use crate::ids::{
    AudienceId, Binding, ConsortiumId, GrantSerial, HeaderDigest, KeyCommitment, KeyPeriod, LogId, RosterDigest,
    RosterVersion, SegmentRoot,
};
use crate::limits::{OBJECT_BYTES_MAX, SEGMENT_BYTES, STANZAS_MAX};
use crate::log::leaf::Leaf;
use crate::suite::Suite;

/// A complete header. Its digest is X of the leaf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvelopeHeader {
    terms: HeaderTerms,
    commitment: KeyCommitment,
    segment_root: SegmentRoot,
    extensions: Extensions,
}

/// Everything in a header that is known before the first byte is encrypted: the *prefix*.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderTerms {
    /// Consortium; implied by the log on the wire.
    pub consortium: ConsortiumId,
    /// Log in which the leaf stands; implied on the wire.
    pub log: LogId,
    /// Suite code. Kept as a number: an unknown suite replicates, it only does not open.
    pub suite: u16,
    /// Who may pass the envelope on.
    pub relay: Relay,
    /// For whom, and how the key gets there.
    pub addressing: Addressing,
    /// Salt of the key derivation.
    pub salt: [u8; 32],
    /// Length of the padded plaintext.
    pub padded_bytes: u64,
}

/// How recipients come by the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Addressing {
    /// Under an audience key that an earlier grant carried.
    Audience {
        /// The audience.
        audience: AudienceId,
    },
    /// Carries a new audience key to its members, and its share under that key.
    Grant {
        /// The audience that the granted key opens.
        audience: AudienceId,
        /// Serial of the grant in its log.
        serial: GrantSerial,
        /// The stanzas in front.
        stanzas: StanzaTerms,
    },
    /// Under a key of its own, carried by stanzas in front.
    Direct {
        /// The stanzas in front.
        stanzas: StanzaTerms,
    },
}

/// Against which roster the stanzas were made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StanzaTerms {
    /// Roster version.
    pub roster_version: RosterVersion,
    /// Roster digest.
    pub roster_digest: RosterDigest,
    /// Period of the encryption keys used.
    pub period: KeyPeriod,
    /// How many stanzas.
    pub count: u16,
}

/// The three kinds of header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum EnvelopeKind {
    /// [`Addressing::Audience`].
    Audience = 1,
    /// [`Addressing::Grant`].
    Grant = 2,
    /// [`Addressing::Direct`].
    Direct = 3,
}

/// Who may pass an envelope on: set by the origin's policy, obeyed by every holder that inlines, fetches or serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(u8)]
pub enum Relay {
    /// Nobody but the origin.
    Nobody = 0,
    /// Hubs whose jurisdiction in the roster is in the EU or EEA.
    #[default]
    Europe = 1,
    /// All members.
    Members = 2,
}

impl Relay {
    /// Looks a byte up.
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Nobody),
            1 => Some(Self::Europe),
            2 => Some(Self::Members),
            _ => None,
        }
    }
}

impl Addressing {
    /// The kind.
    pub const fn kind(&self) -> EnvelopeKind {
        match self {
            Self::Audience { .. } => EnvelopeKind::Audience,
            Self::Grant { .. } => EnvelopeKind::Grant,
            Self::Direct { .. } => EnvelopeKind::Direct,
        }
    }

    /// The audience, except for direct envelopes.
    pub const fn audience(&self) -> Option<&AudienceId> {
        match self {
            Self::Audience { audience } | Self::Grant { audience, .. } => Some(audience),
            Self::Direct { .. } => None,
        }
    }

    /// What is said about stanzas, where there are any.
    pub const fn stanzas(&self) -> Option<&StanzaTerms> {
        match self {
            Self::Grant { stanzas, .. } | Self::Direct { stanzas } => Some(stanzas),
            Self::Audience { .. } => None,
        }
    }
}

impl HeaderTerms {
    /// The prefix: the header's map without key commitment and segment root. AAD of every segment and part of the key
    /// derivation.
    pub fn prefix(&self) -> Vec<u8> {
        wire::encode_map(&self.to_map(Form::Prefix), &Extensions::default())
    }

    /// Adds what is known after encryption.
    ///
    /// # Errors
    /// [`HeaderError::Padded`] or [`HeaderError::Stanzas`] if the terms could not be received.
    pub fn complete(self, commitment: KeyCommitment, segment_root: SegmentRoot) -> Result<EnvelopeHeader, HeaderError> {
        self.check()?;
        Ok(EnvelopeHeader { terms: self, commitment, segment_root, extensions: Extensions::default() })
    }

    /// The sizes of the body's parts.
    pub fn layout(&self) -> BodyLayout {
        let stanzas = self.addressing.stanzas().map_or(0, |stanzas| stanzas.count);
        BodyLayout::new(usize::from(stanzas), self.padded_bytes)
    }

    fn check(&self) -> Result<(), HeaderError> {
        if self.padded_bytes > OBJECT_BYTES_MAX || padme(self.padded_bytes) != Some(self.padded_bytes) {
            return Err(HeaderError::Padded(self.padded_bytes));
        }
        match self.addressing.stanzas() {
            Some(stanzas) if stanzas.count == 0 || usize::from(stanzas.count) > STANZAS_MAX => {
                Err(HeaderError::Stanzas(stanzas.count))
            }
            _ => Ok(()),
        }
    }

    fn to_map(&self, form: Form<'_>) -> HeaderMap {
        let stanzas = self.addressing.stanzas();
        let (implied, sealed) = match form {
            Form::Full(header) => (true, Some(header)),
            Form::Wire(header) => (false, Some(header)),
            Form::Prefix => (true, None),
        };
        HeaderMap {
            consortium: implied.then_some(self.consortium),
            log: implied.then_some(self.log),
            kind: self.addressing.kind() as u8,
            suite: self.suite,
            relay: self.relay as u8,
            audience: self.addressing.audience().copied(),
            serial: match self.addressing {
                Addressing::Grant { serial, .. } => Some(serial),
                _ => None,
            },
            roster_version: stanzas.map(|stanzas| stanzas.roster_version),
            roster_digest: stanzas.map(|stanzas| stanzas.roster_digest),
            period: stanzas.map(|stanzas| stanzas.period),
            stanzas: stanzas.map(|stanzas| stanzas.count),
            salt: self.salt,
            padded_bytes: self.padded_bytes,
            segment_bytes: SEGMENT_BYTES,
            commitment: sealed.map(|header| header.commitment),
            segment_root: sealed.map(|header| header.segment_root),
        }
    }
}

impl EnvelopeHeader {
    /// The terms.
    pub fn terms(&self) -> &HeaderTerms {
        &self.terms
    }

    /// The kind.
    pub fn kind(&self) -> EnvelopeKind {
        self.terms.addressing.kind()
    }

    /// The suite.
    ///
    /// # Errors
    /// [`HeaderError::UnknownSuite`]: such an envelope is kept and passed on, not opened.
    pub fn suite(&self) -> Result<Suite, HeaderError> {
        Suite::from_code(self.terms.suite).ok_or(HeaderError::UnknownSuite(self.terms.suite))
    }

    /// Commitment to the envelope key.
    pub fn commitment(&self) -> &KeyCommitment {
        &self.commitment
    }

    /// Root over stanzas and segments.
    pub fn segment_root(&self) -> &SegmentRoot {
        &self.segment_root
    }

    /// The prefix, extensions included. See [`HeaderTerms::prefix`].
    pub fn prefix(&self) -> Vec<u8> {
        wire::encode_map(&self.terms.to_map(Form::Prefix), &self.extensions)
    }

    /// The full form, which is digested.
    pub fn to_bytes(&self) -> Vec<u8> {
        wire::encode_map(&self.terms.to_map(Form::Full(self)), &self.extensions)
    }

    /// The wire form: consortium and log id left out, because the log in whose entry it stands implies them.
    pub fn to_wire(&self) -> Vec<u8> {
        wire::encode_map(&self.terms.to_map(Form::Wire(self)), &self.extensions)
    }

    /// Parses the wire form of a header that arrived with a leaf of `log`.
    ///
    /// # Errors
    /// A [`HeaderError`] names what is wrong. An unknown suite is not.
    pub fn from_wire(bytes: &[u8], consortium: &ConsortiumId, log: &LogId) -> Result<Self, HeaderError> {
        let (map, extensions) = wire::decode_map(bytes)?;
        if map.consortium.is_some() || map.log.is_some() {
            return Err(HeaderError::ImpliedKey);
        }
        Self::from_map(&map, extensions, *consortium, *log)
    }

    /// Parses the full form.
    ///
    /// # Errors
    /// A [`HeaderError`] names what is wrong. An unknown suite is not.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, HeaderError> {
        let (map, extensions) = wire::decode_map(bytes)?;
        let (Some(consortium), Some(log)) = (map.consortium, map.log) else {
            return Err(HeaderError::Keys);
        };
        Self::from_map(&map, extensions, consortium, log)
    }

    /// X of a leaf with this header: SHA-256(label || full form).
    pub fn digest(&self) -> HeaderDigest {
        HeaderDigest(domain::ENVELOPE.digest(&[&self.to_bytes()]))
    }

    /// Checks that `leaf` binds this header.
    ///
    /// # Errors
    /// [`HeaderError::NotBound`].
    pub fn check_bound_by(&self, leaf: &Leaf) -> Result<(), HeaderError> {
        if leaf.binding == Binding(self.digest().0) { Ok(()) } else { Err(HeaderError::NotBound) }
    }

    /// Checks a whole body against the header, without any key, and cuts it into stanza block and segments.
    ///
    /// # Errors
    /// A [`LayoutError`]: the body is not the one that the header names.
    pub fn check_body<'a>(&self, body: &'a [u8]) -> Result<(&'a [u8], &'a [u8]), LayoutError> {
        let layout = self.terms.layout();
        let parts = layout.split(body)?;
        if SegmentDigests::of_body(&layout, body)?.root() != self.segment_root {
            return Err(LayoutError::Root);
        }
        Ok(parts)
    }

    fn from_map(
        map: &HeaderMap,
        extensions: Extensions,
        consortium: ConsortiumId,
        log: LogId,
    ) -> Result<Self, HeaderError> {
        let (Some(commitment), Some(segment_root)) = (map.commitment, map.segment_root) else {
            return Err(HeaderError::Keys);
        };
        if map.segment_bytes != SEGMENT_BYTES {
            return Err(HeaderError::SegmentBytes(map.segment_bytes));
        }
        let terms = HeaderTerms {
            consortium,
            log,
            suite: map.suite,
            relay: Relay::from_code(map.relay).ok_or(HeaderError::Relay(map.relay))?,
            addressing: addressing(map)?,
            salt: map.salt,
            padded_bytes: map.padded_bytes,
        };
        terms.check()?;
        Ok(Self { terms, commitment, segment_root, extensions })
    }
}

/// X of a leaf from its header in wire form, also where this version cannot read the header: replication goes on.
///
/// # Errors
/// [`HeaderError`] if the bytes are no canonical map without keys 0 and 1.
pub fn header_digest_of_wire(wire: &[u8], consortium: &ConsortiumId, log: &LogId) -> Result<HeaderDigest, HeaderError> {
    wire::full_from_wire(wire, consortium, log).map(|full| HeaderDigest(domain::ENVELOPE.digest(&[&full])))
}

enum Form<'a> {
    Full(&'a EnvelopeHeader),
    Wire(&'a EnvelopeHeader),
    Prefix,
}

/// Each kind has exactly its keys.
fn addressing(map: &HeaderMap) -> Result<Addressing, HeaderError> {
    let stanzas = match (map.roster_version, map.roster_digest, map.period, map.stanzas) {
        (Some(roster_version), Some(roster_digest), Some(period), Some(count)) => {
            Some(StanzaTerms { roster_version, roster_digest, period, count })
        }
        (None, None, None, None) => None,
        _ => return Err(HeaderError::Keys),
    };
    match (map.kind, map.audience, map.serial, stanzas) {
        (1, Some(audience), None, None) => Ok(Addressing::Audience { audience }),
        (2, Some(audience), Some(serial), Some(stanzas)) => Ok(Addressing::Grant { audience, serial, stanzas }),
        (3, None, None, Some(stanzas)) => Ok(Addressing::Direct { stanzas }),
        (1..=3, ..) => Err(HeaderError::Keys),
        (kind, ..) => Err(HeaderError::UnknownKind(kind)),
    }
}

/// Why bytes are no header, or a header not the leaf's.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// Not canonical.
    #[error("header is not canonical")]
    Codec(#[from] CodecError),
    /// Not a map.
    #[error("header is not a map")]
    NotAMap,
    /// A header on the wire states its consortium or log itself.
    #[error("header on the wire names a consortium or log")]
    ImpliedKey,
    /// Keys that the kind does not have, or lacks.
    #[error("header keys do not fit its kind")]
    Keys,
    /// A kind that this version does not know.
    #[error("unknown envelope kind {0}")]
    UnknownKind(u8),
    /// A suite that this version does not know.
    #[error("unknown suite {0}")]
    UnknownSuite(u16),
    /// A relay rule that this version does not know.
    #[error("unknown relay rule {0}")]
    Relay(u8),
    /// Not a padded length, or beyond the limit.
    #[error("{0} is no admissible padded length")]
    Padded(u64),
    /// Another segment size than the suite's.
    #[error("segments of {0} bytes")]
    SegmentBytes(u32),
    /// No stanza, or too many.
    #[error("{0} stanzas")]
    Stanzas(u16),
    /// The leaf binds another header.
    #[error("leaf does not bind this header")]
    NotBound,
}

#[cfg(test)]
#[path = "header_tests.rs"]
mod tests;
