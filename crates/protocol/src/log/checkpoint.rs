//! Checkpoints: a log's size and root, and the note with which its two keys sign them.
//!
//! Text as in C2SP tlog-checkpoint, without extension lines; both lines sign the `cosigned_message` of C2SP
//! tlog-cosignature for the range from 0, so that one pair of signatures is a log's and a cosigner's at once.

use std::fmt;

use minicbor::{Decode, Decoder, Encode, Encoder, decode, encode};
use thiserror::Error;

use crate::ids::{NodeHash, TreeSize, UnixSeconds};
use crate::limits::{DOMAIN_BYTES_MAX, ORIGIN_BYTES_MAX, TREE_SIZE_MAX};
use crate::log::note::{KeyHint, Note, NoteSyntaxError, SignatureLine, decode_base64};
use crate::signing::{LogKeys, LogSignatures, MlDsa65Signature, P384Signature, SignatureVerifier};

/// Long identifier of our ECDSA P-384 lines.
pub const LONG_ID_P384: &str = "cresset.invalid/log-ecdsa-p384/1";
/// Long identifier of our ML-DSA-65 lines.
pub const LONG_ID_ML_DSA_65: &str = "cresset.invalid/log-ml-dsa-65/1";

const COSIGNED_LABEL: &[u8; 12] = b"subtree/v1\n\0";
const GENERATION_SEPARATOR: &str = "/prov/";

/// Name of a log generation: `<hub domain>/prov/<generation>`; also the name of its keys in notes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    text: String,
    domain_len: usize,
    generation: u32,
}

impl Origin {
    /// Builds an origin from its parts.
    ///
    /// # Errors
    /// [`OriginError`] if the domain is not one.
    pub fn new(domain: &str, generation: u32) -> Result<Self, OriginError> {
        Self::parse(&format!("{domain}{GENERATION_SEPARATOR}{generation}"))
    }

    /// Parses the one text of an origin: lower-case DNS name, decimal generation from 1 without leading zeroes.
    ///
    /// # Errors
    /// [`OriginError`] for anything else.
    pub fn parse(text: &str) -> Result<Self, OriginError> {
        let error = || OriginError(text.chars().take(ORIGIN_BYTES_MAX).collect());
        let (domain, number) = text.split_once(GENERATION_SEPARATOR).ok_or_else(error)?;
        let generation: u32 = number.parse().map_err(|_| error())?;
        let canonical = generation >= 1 && generation.to_string() == number;
        if !canonical || text.len() > ORIGIN_BYTES_MAX || !is_domain(domain) {
            return Err(error());
        }
        Ok(Self { text: text.to_owned(), domain_len: domain.len(), generation })
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The hub's DNS name.
    pub fn domain(&self) -> &str {
        self.text.get(..self.domain_len).unwrap_or_default()
    }

    /// The generation, from 1.
    pub const fn generation(&self) -> u32 {
        self.generation
    }

    /// The origin of the next generation.
    ///
    /// # Errors
    /// [`OriginError`] after the last number.
    pub fn next_generation(&self) -> Result<Self, OriginError> {
        let next = self.generation.checked_add(1).ok_or_else(|| OriginError(self.text.clone()))?;
        Self::new(self.domain(), next)
    }
}

fn is_domain(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= DOMAIN_BYTES_MAX && text.split('.').all(label)
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Origin({})", self.text)
    }
}

impl std::str::FromStr for Origin {
    type Err = OriginError;
    fn from_str(text: &str) -> Result<Self, OriginError> {
        Self::parse(text)
    }
}

impl<C> Encode<C> for Origin {
    fn encode<W: encode::Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), encode::Error<W::Error>> {
        e.str(&self.text)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for Origin {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, decode::Error> {
        let at = d.position();
        Self::parse(d.str()?).map_err(|e| decode::Error::message(e).at(at))
    }
}

/// Text that is no origin.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is not a log origin (`<domain>/prov/<generation>`)")]
pub struct OriginError(String);

/// What a log says about itself at one moment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Checkpoint {
    /// Which log.
    pub origin: Origin,
    /// How many leaves.
    pub size: TreeSize,
    /// Root over them.
    pub root: NodeHash,
}

impl Checkpoint {
    /// The note text: origin, size and root, a line each.
    pub fn to_text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, data_encoding::BASE64.encode(&self.root.0))
    }

    /// Parses the one text of a checkpoint. Extension lines are refused: the signatures would not cover them.
    ///
    /// # Errors
    /// [`NoteError::Checkpoint`] or [`NoteError::Origin`].
    pub fn from_text(text: &str) -> Result<Self, NoteError> {
        let mut lines = text.strip_suffix('\n').ok_or(NoteError::Checkpoint)?.split('\n');
        let (Some(origin), Some(size), Some(root), None) = (lines.next(), lines.next(), lines.next(), lines.next())
        else {
            return Err(NoteError::Checkpoint);
        };
        let origin = Origin::parse(origin)?;
        let number: u64 = size.parse().map_err(|_| NoteError::Checkpoint)?;
        if number.to_string() != size || number > TREE_SIZE_MAX {
            return Err(NoteError::Checkpoint);
        }
        let root = decode_base64(root).ok_or(NoteError::Checkpoint)?;
        let root = NodeHash::try_from(root.as_slice()).map_err(|_| NoteError::Checkpoint)?;
        Ok(Self { origin, size: TreeSize(number), root })
    }

    /// What both keys sign: C2SP `cosigned_message` with the origin as cosigner name, for the leaves from 0.
    pub fn bytes_to_sign(&self, timestamp: UnixSeconds) -> CheckpointBytesToSign {
        let origin = self.origin.as_str().as_bytes();
        // An origin has at most 128 bytes.
        let origin_len = u8::try_from(origin.len()).unwrap_or(u8::MAX);
        let mut out = Vec::with_capacity(COSIGNED_LABEL.len() + 2 * (1 + origin.len()) + 3 * 8 + NodeHash::LEN);
        out.extend_from_slice(COSIGNED_LABEL);
        out.push(origin_len);
        out.extend_from_slice(origin);
        out.extend_from_slice(&timestamp.0.to_be_bytes());
        out.push(origin_len);
        out.extend_from_slice(origin);
        out.extend_from_slice(&0u64.to_be_bytes());
        out.extend_from_slice(&self.size.0.to_be_bytes());
        out.extend_from_slice(&self.root.0);
        CheckpointBytesToSign(out)
    }
}

/// The message under both signatures of a checkpoint. Log keys sign nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointBytesToSign(Vec<u8>);

impl CheckpointBytesToSign {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for CheckpointBytesToSign {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// A checkpoint with the two signatures of its log. That they verify is for [`SignedCheckpoint::verify`] to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCheckpoint {
    /// What is signed.
    pub checkpoint: Checkpoint,
    /// When, by the log's clock; under both signatures.
    pub timestamp: UnixSeconds,
    /// Both halves.
    pub signatures: LogSignatures,
}

impl SignedCheckpoint {
    /// The note: three lines of text, a blank line, the ECDSA line, the ML-DSA line.
    pub fn to_note(&self, keys: &LogKeys) -> String {
        let name = self.checkpoint.origin.as_str();
        let line = |hint, signature: &[u8]| {
            let payload = [&self.timestamp.0.to_be_bytes()[..], signature].concat();
            SignatureLine { name, hint, payload }.to_text()
        };
        let (p384, ml_dsa) = hints(name, keys);
        let mut note = self.checkpoint.to_text();
        note.push('\n');
        note.push_str(&line(p384, self.signatures.p384.as_bytes()));
        note.push_str(&line(ml_dsa, self.signatures.ml_dsa_65.as_bytes()));
        note
    }

    /// Parses a note of the log named `expected_origin` under one key period, without verifying the signatures.
    ///
    /// Lines of unknown keys are passed over, as signed-note demands; [`SignedCheckpoint::to_note`] leaves them out.
    ///
    /// # Errors
    /// A [`NoteError`]; among others if either line is missing, doubled, or dated differently from the other.
    pub fn parse(note: &str, expected_origin: &Origin, keys: &LogKeys) -> Result<Self, NoteError> {
        let note = Note::parse(note)?;
        let checkpoint = Checkpoint::from_text(note.text)?;
        if checkpoint.origin != *expected_origin {
            return Err(NoteError::OtherLog(checkpoint.origin));
        }
        let (p384, ml_dsa) = hints(expected_origin.as_str(), keys);
        let (time, p384) = the_line(&note, expected_origin, p384)?;
        let (other_time, ml_dsa) = the_line(&note, expected_origin, ml_dsa)?;
        if time != other_time {
            return Err(NoteError::Timestamps);
        }
        let signatures = LogSignatures {
            p384: P384Signature::try_from(p384).map_err(|_| NoteError::SignatureLength)?,
            ml_dsa_65: MlDsa65Signature::try_from(ml_dsa).map_err(|_| NoteError::SignatureLength)?,
        };
        Ok(Self { checkpoint, timestamp: time, signatures })
    }

    /// Verifies both signatures.
    ///
    /// # Errors
    /// [`NoteError::Signature`] if either half fails.
    pub fn verify(&self, keys: &LogKeys, verifier: &dyn SignatureVerifier) -> Result<(), NoteError> {
        let message = self.checkpoint.bytes_to_sign(self.timestamp);
        if keys.verify(verifier, message.as_bytes(), &self.signatures) { Ok(()) } else { Err(NoteError::Signature) }
    }

    /// Parses and verifies in one step.
    ///
    /// # Errors
    /// As [`SignedCheckpoint::parse`] and [`SignedCheckpoint::verify`].
    pub fn open(
        note: &str,
        expected_origin: &Origin,
        keys: &LogKeys,
        verifier: &dyn SignatureVerifier,
    ) -> Result<Self, NoteError> {
        let signed = Self::parse(note, expected_origin, keys)?;
        signed.verify(keys, verifier)?;
        Ok(signed)
    }

    /// What a note claims before any key is known: its checkpoint and the time stamp of its ML-DSA-65 line, with which
    /// to look the key period up.
    ///
    /// # Errors
    /// A [`NoteError`] if the note is malformed or has no line of that length under its own origin.
    pub fn claims(note: &str) -> Result<(Checkpoint, UnixSeconds), NoteError> {
        let note = Note::parse(note)?;
        let checkpoint = Checkpoint::from_text(note.text)?;
        let own = |line: &&SignatureLine<'_>| {
            line.name == checkpoint.origin.as_str() && line.payload.len() == 8 + MlDsa65Signature::LEN
        };
        let line = note.lines.iter().find(own).ok_or(NoteError::MissingLine)?;
        let (time, _) = split_payload(&line.payload)?;
        Ok((checkpoint, time))
    }
}

fn hints(name: &str, keys: &LogKeys) -> (KeyHint, KeyHint) {
    (
        KeyHint::of(name, LONG_ID_P384, keys.p384.as_bytes()),
        KeyHint::of(name, LONG_ID_ML_DSA_65, keys.ml_dsa_65.as_bytes()),
    )
}

/// The one line of a known key: its time stamp and signature.
fn the_line<'n>(note: &'n Note<'_>, origin: &Origin, hint: KeyHint) -> Result<(UnixSeconds, &'n [u8]), NoteError> {
    let mut of_key = note.lines.iter().filter(|line| line.name == origin.as_str() && line.hint == hint);
    match (of_key.next(), of_key.next()) {
        (Some(line), None) => split_payload(&line.payload),
        (None, _) => Err(NoteError::MissingLine),
        (Some(_), Some(_)) => Err(NoteError::DoubledLine),
    }
}

fn split_payload(payload: &[u8]) -> Result<(UnixSeconds, &[u8]), NoteError> {
    let (time, signature) = payload.split_first_chunk::<8>().ok_or(NoteError::SignatureLength)?;
    Ok((UnixSeconds(u64::from_be_bytes(*time)), signature))
}

/// Why a note is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NoteError {
    /// Not a signed note.
    #[error("not a signed note")]
    Syntax(#[from] NoteSyntaxError),
    /// Not the three lines of a checkpoint.
    #[error("note text is not a checkpoint of three lines")]
    Checkpoint,
    /// The first line is no origin.
    #[error("checkpoint names no valid origin")]
    Origin(#[from] OriginError),
    /// The checkpoint of another log.
    #[error("checkpoint is of `{0}`")]
    OtherLog(Origin),
    /// The line of one of the two keys is missing.
    #[error("signature line of a log key is missing")]
    MissingLine,
    /// Two lines of one key.
    #[error("two signature lines of one log key")]
    DoubledLine,
    /// A signature of the wrong length.
    #[error("signature has the wrong length")]
    SignatureLength,
    /// The two lines carry different times.
    #[error("the two signature lines carry different time stamps")]
    Timestamps,
    /// A signature does not verify.
    #[error("a checkpoint signature does not verify")]
    Signature,
}

#[cfg(test)]
#[path = "checkpoint_tests.rs"]
pub(crate) mod tests;
