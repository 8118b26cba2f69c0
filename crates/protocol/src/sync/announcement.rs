//! What gossip carries: one flush of one log, verifiable without local state (`protocol-spec/09-sync.md`, "Announcement").

use minicbor::{Decode, Encode};
use thiserror::Error;

use crate::codec::{self, CodecError};
use crate::envelope::EnvelopeHeader;
use crate::ids::{LeafIndex, LogId, NodeHash, TreeSize};
use crate::limits::{
    FLUSH_LEAVES_MAX, FRAME_BYTES_MAX, INLINE_ENVELOPE_BYTES_MAX, INLINE_TOTAL_BYTES_MAX, PROOF_HASHES_MAX,
};
use crate::log::checkpoint::SignedCheckpoint;
use crate::log::entry::{CheckedEntry, Entry, EntryError};
use crate::log::merkle::Frontier;
use crate::signing::SignatureVerifier;
use crate::sync::directory::{Directory, NoteRefused};

/// One flush: a checkpoint and the entries that lead up to it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Announcement {
    /// The log.
    #[n(0)]
    pub log: LogId,
    /// Canonical note of the checkpoint.
    #[n(1)]
    pub note: String,
    /// Index of the first entry.
    #[n(2)]
    pub first: LeafIndex,
    /// Frontier of the tree before the first entry, as in [`Frontier::hashes`].
    #[n(3)]
    pub frontier: Vec<NodeHash>,
    /// The entries, up to the checkpoint's size.
    #[n(4)]
    pub entries: Vec<Entry>,
    /// Envelopes of URGENT entries, ascending by index.
    #[n(5)]
    pub inline: Vec<InlineEnvelope>,
}

/// An envelope that rides along.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct InlineEnvelope {
    /// The leaf that it belongs to.
    #[n(0)]
    pub index: LeafIndex,
    /// Its bytes.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub bytes: Vec<u8>,
}

/// An announcement that holds for anybody who knows the roster.
#[derive(Clone, Debug)]
pub struct VerifiedAnnouncement {
    /// The log.
    pub log: LogId,
    /// The checkpoint, both signatures verified.
    pub checkpoint: SignedCheckpoint,
    /// Frontier of the tree before the first entry.
    pub frontier: Frontier,
    /// The entries, each checked against its leaf.
    pub entries: Vec<CheckedEntry>,
    /// Inline envelopes, each checked against its header.
    pub inline: Vec<InlineEnvelope>,
}

impl Announcement {
    /// The one encoding.
    pub fn to_bytes(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// The log that the bytes claim to be of, read before anything is verified so that its budget can be charged.
    pub fn peek_log(bytes: &[u8]) -> Option<LogId> {
        let mut decoder = minicbor::Decoder::new(bytes);
        decoder.map().ok().flatten()?;
        (decoder.u8().ok()? == 0).then_some(())?;
        LogId::try_from(decoder.bytes().ok()?).ok()
    }

    /// Checks everything that needs no local state: cheap checks first, the signatures last.
    ///
    /// # Errors
    /// [`AnnouncementError::is_invalid_for_anybody`] tells a lie from a thing that this node does not know (yet).
    pub fn verify(
        bytes: &[u8],
        directory: &Directory,
        verifier: &dyn SignatureVerifier,
    ) -> Result<VerifiedAnnouncement, AnnouncementError> {
        let this: Self = codec::decode(bytes, FRAME_BYTES_MAX)?;
        let known = directory.log(&this.log).ok_or(AnnouncementError::UnknownLog(this.log))?;
        if this.entries.is_empty() || this.entries.len() > FLUSH_LEAVES_MAX || this.frontier.len() > PROOF_HASHES_MAX {
            return Err(AnnouncementError::Count);
        }
        let note = known.parse_note(&this.note)?;
        let frontier =
            Frontier::from_parts(TreeSize(this.first.0), this.frontier).map_err(|_| AnnouncementError::Frontier)?;
        let mut after = frontier.clone();
        let mut entries = Vec::with_capacity(this.entries.len());
        for entry in this.entries {
            after.append(entry.leaf.hash());
            entries.push(entry.check(directory.consortium(), &this.log)?);
        }
        if after.size() != note.checkpoint.size || after.root() != note.checkpoint.root {
            return Err(AnnouncementError::Root);
        }
        check_inline(&this.inline, this.first, &entries)?;
        let checkpoint = known.verify_note(note, verifier)?;
        Ok(VerifiedAnnouncement { log: this.log, checkpoint, frontier, entries, inline: this.inline })
    }
}

/// Chooses what rides along: envelopes of URGENT entries in index order, up to the limits. `envelope` looks bytes up, and
/// gives none where the relay rule forbids gossip.
pub fn choose_inline(
    first: LeafIndex,
    entries: &[Entry],
    mut envelope: impl FnMut(LeafIndex, &Entry) -> Option<Vec<u8>>,
) -> Vec<InlineEnvelope> {
    let mut inline = Vec::new();
    let mut total = 0;
    for (index, entry) in (first.0..).map(LeafIndex).zip(entries) {
        if !entry.leaf.flags.urgent || entry.header.is_none() {
            continue;
        }
        let Some(bytes) = envelope(index, entry).filter(|bytes| bytes.len() <= INLINE_ENVELOPE_BYTES_MAX) else {
            continue;
        };
        if total + bytes.len() > INLINE_TOTAL_BYTES_MAX {
            break;
        }
        total += bytes.len();
        inline.push(InlineEnvelope { index, bytes });
    }
    inline
}

fn check_inline(
    inline: &[InlineEnvelope],
    first: LeafIndex,
    entries: &[CheckedEntry],
) -> Result<(), AnnouncementError> {
    let total: usize = inline.iter().map(|envelope| envelope.bytes.len()).sum();
    let ascending = inline.windows(2).all(|pair| matches!(pair, [a, b] if a.index < b.index));
    if total > INLINE_TOTAL_BYTES_MAX || !ascending {
        return Err(AnnouncementError::Inline);
    }
    for envelope in inline {
        let at = envelope.index.0.checked_sub(first.0).and_then(|at| usize::try_from(at).ok());
        let entry = at.and_then(|at| entries.get(at)).ok_or(AnnouncementError::Inline)?;
        let header: &EnvelopeHeader = entry.header().ok_or(AnnouncementError::Inline)?;
        let fits = envelope.bytes.len() <= INLINE_ENVELOPE_BYTES_MAX && entry.leaf().flags.urgent;
        if !fits || header.check_body(&envelope.bytes).is_err() {
            return Err(AnnouncementError::Inline);
        }
    }
    Ok(())
}

/// Why an announcement is not used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AnnouncementError {
    /// Not canonical, or not an announcement.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// No roster that this node knows names the log.
    #[error("unknown log {0}")]
    UnknownLog(LogId),
    /// The note is refused.
    #[error(transparent)]
    Note(#[from] NoteRefused),
    /// No entries, too many, or too many hashes.
    #[error("entry or frontier count out of bounds")]
    Count,
    /// The frontier does not fit the first index.
    #[error("frontier does not fit the first index")]
    Frontier,
    /// An entry does not fit its leaf.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// Frontier and leaves do not give the signed root.
    #[error("leaves do not hash to the signed root")]
    Root,
    /// An inline envelope is out of place, too large, or not the one that its header names.
    #[error("inline envelope does not fit its leaf")]
    Inline,
}

impl AnnouncementError {
    /// Whether every member with any roster must refuse it. The sender of such a message is at fault; otherwise this
    /// node's roster may merely be older or newer than the sender's.
    pub fn is_invalid_for_anybody(&self) -> bool {
        !matches!(self, Self::UnknownLog(_) | Self::Note(NoteRefused::UnknownKeys))
    }
}
