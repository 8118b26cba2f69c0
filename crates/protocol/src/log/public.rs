//! Shares of public kinds: what a log tells every member about itself.
//!
//! Every share is a map with its kind under key 0 and its suite under key 1.

use minicbor::{Decode, Encode};
use thiserror::Error;

use crate::codec::{self, CodecError};
use crate::ids::{
    Binding, KeyPeriod, LeafIndex, LogId, NodeHash, PolicyDigest, RosterDigest, RosterVersion, TreeSize, UnixSeconds,
};
use crate::limits::{HEADS_PER_LEAF_MAX, LOG_MANIFEST_BYTES_MAX, SHARE_BYTES_MAX};
use crate::log::checkpoint::Origin;
use crate::log::evidence::EvidenceShare;
use crate::log::heads::LogHead;
use crate::log::kinds::{KindTag, RecordKind};
use crate::log::leaf::{Leaf, LeafKind};
use crate::log::manifest::{EndReason, log_id_of};
use crate::signing::LogKeys;
use crate::suite::Suite;

/// GENESIS: the log's manifest. Leaves 0 and 1 differ in `copy` only.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct GenesisShare {
    /// Kind.
    #[n(0)]
    pub kind: KindTag<{ RecordKind::Genesis.code() }>,
    /// Suite.
    #[n(1)]
    pub suite: Suite,
    /// 0 or 1, the index of the leaf.
    #[n(2)]
    pub copy: u8,
    /// Canonical bytes of the manifest; their digest is the log id.
    #[cbor(n(3), with = "minicbor::bytes")]
    pub manifest: Vec<u8>,
}

/// KEY_EPOCH: from here on the log is signed, or its hub addressed, with another key of the roster.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct KeyEpochShare {
    /// Kind.
    #[n(0)]
    pub kind: KindTag<{ RecordKind::KeyEpoch.code() }>,
    /// Suite.
    #[n(1)]
    pub suite: Suite,
    /// Roster version that names the key.
    #[n(2)]
    pub roster_version: RosterVersion,
    /// Its digest.
    #[n(3)]
    pub roster_digest: RosterDigest,
    /// Log keys that sign from the next checkpoint on, if it is they that change.
    #[n(4)]
    pub log_keys: Option<LogKeys>,
    /// Encryption-key period in use from now on, if it is that which changes.
    #[n(5)]
    pub encryption_period: Option<KeyPeriod>,
}

/// POLICY: a bundle came into force here.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct PolicyShare {
    /// Kind.
    #[n(0)]
    pub kind: KindTag<{ RecordKind::Policy.code() }>,
    /// Suite.
    #[n(1)]
    pub suite: Suite,
    /// The bundles in force from now on, in order of evaluation.
    #[n(2)]
    pub bundles: Vec<PolicyDigest>,
    /// Name and version of the engine that evaluates them.
    #[n(3)]
    pub engine: String,
}

/// ROSTER: a version was accepted here.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct RosterShare {
    /// Kind.
    #[n(0)]
    pub kind: KindTag<{ RecordKind::Roster.code() }>,
    /// Suite.
    #[n(1)]
    pub suite: Suite,
    /// The version.
    #[n(2)]
    pub version: RosterVersion,
    /// Its digest.
    #[n(3)]
    pub digest: RosterDigest,
    /// After a lost quorum: digest of the officer set that this hub accepts, as its statement gives it.
    #[cbor(n(4), with = "minicbor::bytes")]
    pub new_officers: Option<[u8; 32]>,
}

/// HEADS: logs that grew since the last HEADS leaf. X is the root over the heads of *all* other logs.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct HeadsShare {
    /// Kind.
    #[n(0)]
    pub kind: KindTag<{ RecordKind::Heads.code() }>,
    /// Suite.
    #[n(1)]
    pub suite: Suite,
    /// Changed heads in ascending log id; each was verified with both signatures and for consistency.
    #[n(2)]
    pub heads: Vec<LogHead>,
    /// Roster version in force here.
    #[n(3)]
    pub roster_version: RosterVersion,
    /// Its digest.
    #[n(4)]
    pub roster_digest: RosterDigest,
}

/// CLOSE: the last leaf of a log.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct CloseShare {
    /// Kind.
    #[n(0)]
    pub kind: KindTag<{ RecordKind::Close.code() }>,
    /// Suite.
    #[n(1)]
    pub suite: Suite,
    /// Why.
    #[n(2)]
    pub reason: EndReason,
    /// The log that goes on, if any.
    #[n(3)]
    pub successor: Option<LogId>,
}

/// CONTINUES: the third leaf of a later generation.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ContinuesShare {
    /// Kind.
    #[n(0)]
    pub kind: KindTag<{ RecordKind::Continues.code() }>,
    /// Suite.
    #[n(1)]
    pub suite: Suite,
    /// The generation before.
    #[n(2)]
    pub log: LogId,
    /// Its origin.
    #[n(3)]
    pub origin: Origin,
    /// Its last size that counts.
    #[n(4)]
    pub size: TreeSize,
    /// The root at that size.
    #[n(5)]
    pub root: NodeHash,
    /// Why it ended.
    #[n(6)]
    pub reason: EndReason,
    /// The roster version that lists this log: its quorum is what makes the succession valid.
    #[n(7)]
    pub roster_version: RosterVersion,
    /// Its digest.
    #[n(8)]
    pub roster_digest: RosterDigest,
}

/// ERASE: the origin destroyed an opening or payload of its own. X is the target's leaf hash.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct EraseShare {
    /// Kind.
    #[n(0)]
    pub kind: KindTag<{ RecordKind::Erase.code() }>,
    /// Suite.
    #[n(1)]
    pub suite: Suite,
    /// Index of the target, in this log or in one that it continues.
    #[n(2)]
    pub target: LeafIndex,
    /// The log of the target, if it is not this one.
    #[n(3)]
    pub target_log: Option<LogId>,
    /// What is gone.
    #[n(4)]
    pub extent: ErasedExtent,
    /// Why.
    #[n(5)]
    pub cause: EraseCause,
    /// When it was destroyed.
    #[n(6)]
    pub erased: UnixSeconds,
}

/// What an erasure destroyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum ErasedExtent {
    /// The payload: object and envelope.
    #[n(0)]
    Payload,
    /// Payload and opening: the leaf is noise from now on.
    #[n(1)]
    PayloadAndOpening,
}

/// Why something was destroyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum EraseCause {
    /// Its owner withdrew it.
    #[n(0)]
    Withdrawn,
    /// Its retention ended.
    #[n(1)]
    Retention,
    /// A data subject's right.
    #[n(2)]
    DataSubject,
    /// A court or authority ordered it.
    #[n(3)]
    LegalOrder,
    /// The hub leaves the consortium.
    #[n(4)]
    Leaving,
}

/// The share of a public leaf, decoded by the leaf's kind.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PublicShare {
    /// GENESIS.
    Genesis(GenesisShare),
    /// KEY_EPOCH.
    KeyEpoch(KeyEpochShare),
    /// POLICY.
    Policy(PolicyShare),
    /// ROSTER.
    Roster(RosterShare),
    /// HEADS.
    Heads(HeadsShare),
    /// EVIDENCE.
    Evidence(Box<EvidenceShare>),
    /// CLOSE.
    Close(CloseShare),
    /// CONTINUES.
    Continues(ContinuesShare),
    /// ERASE.
    Erase(EraseShare),
}

impl PublicShare {
    /// Decodes the share of a public leaf and checks what it says against the leaf as far as the leaf alone can tell.
    ///
    /// # Errors
    /// A [`ShareError`] names what does not fit.
    pub fn decode(leaf: &Leaf, log: &LogId, share: &[u8]) -> Result<Self, ShareError> {
        let decoded = match leaf.kind {
            LeafKind::Genesis => Self::Genesis(of(leaf, share)?),
            LeafKind::KeyEpoch => Self::KeyEpoch(of(leaf, share)?),
            LeafKind::Policy => Self::Policy(of(leaf, share)?),
            LeafKind::Roster => Self::Roster(of(leaf, share)?),
            LeafKind::Heads => Self::Heads(of(leaf, share)?),
            LeafKind::Evidence => Self::Evidence(Box::new(of(leaf, share)?)),
            LeafKind::Close => Self::Close(of(leaf, share)?),
            LeafKind::Continues => Self::Continues(of(leaf, share)?),
            LeafKind::Erase => Self::Erase(of(leaf, share)?),
            other => return Err(ShareError::NotPublic(other)),
        };
        decoded.check(leaf, log)?;
        Ok(decoded)
    }

    /// X of the leaf that carries this share, where the share alone determines it.
    pub fn binding(&self) -> Option<Binding> {
        match self {
            Self::Genesis(share) => Some(Binding(log_id_of(&share.manifest).0)),
            Self::Heads(_) | Self::Erase(_) => None,
            _ => Some(Binding([0; 32])),
        }
    }

    /// The leaf kind for this share.
    pub const fn leaf_kind(&self) -> LeafKind {
        match self {
            Self::Genesis(_) => LeafKind::Genesis,
            Self::KeyEpoch(_) => LeafKind::KeyEpoch,
            Self::Policy(_) => LeafKind::Policy,
            Self::Roster(_) => LeafKind::Roster,
            Self::Heads(_) => LeafKind::Heads,
            Self::Evidence(_) => LeafKind::Evidence,
            Self::Close(_) => LeafKind::Close,
            Self::Continues(_) => LeafKind::Continues,
            Self::Erase(_) => LeafKind::Erase,
        }
    }

    /// The canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Genesis(share) => codec::encode(share),
            Self::KeyEpoch(share) => codec::encode(share),
            Self::Policy(share) => codec::encode(share),
            Self::Roster(share) => codec::encode(share),
            Self::Heads(share) => codec::encode(share),
            Self::Evidence(share) => codec::encode(share.as_ref()),
            Self::Close(share) => codec::encode(share),
            Self::Continues(share) => codec::encode(share),
            Self::Erase(share) => codec::encode(share),
        }
    }

    fn check(&self, leaf: &Leaf, log: &LogId) -> Result<(), ShareError> {
        if self.binding().is_some_and(|binding| binding != leaf.binding) {
            return Err(ShareError::Binding(leaf.kind));
        }
        match self {
            Self::Genesis(share) if share.copy > 1 || share.manifest.len() > LOG_MANIFEST_BYTES_MAX => {
                Err(ShareError::Genesis)
            }
            Self::Genesis(_) if leaf.binding.0 != log.0 => Err(ShareError::OtherLog),
            Self::KeyEpoch(share) if share.log_keys.is_none() && share.encryption_period.is_none() => {
                Err(ShareError::NothingChanges)
            }
            Self::Heads(share) => share.check(log),
            _ => Ok(()),
        }
    }
}

fn of<T: Encode<()> + for<'b> Decode<'b, ()>>(leaf: &Leaf, share: &[u8]) -> Result<T, ShareError> {
    codec::decode(share, SHARE_BYTES_MAX).map_err(|error| ShareError::Codec(leaf.kind, error))
}

impl HeadsShare {
    fn check(&self, own: &LogId) -> Result<(), ShareError> {
        let ascending = self.heads.windows(2).all(|pair| matches!(pair, [a, b] if a.log < b.log));
        let foreign = self.heads.iter().all(|head| head.log != *own);
        if ascending && foreign && self.heads.len() <= HEADS_PER_LEAF_MAX { Ok(()) } else { Err(ShareError::Heads) }
    }
}

/// Why the share of a public leaf is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ShareError {
    /// Not the share of this kind.
    #[error("malformed {0} share")]
    Codec(LeafKind, #[source] CodecError),
    /// A kind whose share is not public.
    #[error("{0} has no public share")]
    NotPublic(LeafKind),
    /// X is not what the share says.
    #[error("binding of the {0} leaf does not fit its share")]
    Binding(LeafKind),
    /// Neither the first nor the second leaf of a log.
    #[error("GENESIS share is out of bounds")]
    Genesis,
    /// The manifest of another log.
    #[error("GENESIS names another log")]
    OtherLog,
    /// A KEY_EPOCH without a key.
    #[error("KEY_EPOCH changes nothing")]
    NothingChanges,
    /// Heads out of order, doubled, too many, or the log's own.
    #[error("HEADS are out of order, too many, or name their own log")]
    Heads,
}

#[cfg(test)]
#[path = "public_tests.rs"]
mod tests;
