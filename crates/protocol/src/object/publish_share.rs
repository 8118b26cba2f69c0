//! The share part of a PUBLISH: what every recipient of a view may know about the object.

use minicbor::{Decode, Encode};
use thiserror::Error;

use crate::codec::{self, CodecError};
use crate::ids::{LogId, NodeHash, ObjectRoot, ObjectUuid, ObjectVersion, UnixSeconds};
use crate::limits::{
    ATTRIBUTE_TREE_LEAVES_MAX, MARKING_TEXT_BYTES_MAX, MEDIA_TYPE_BYTES_MAX, PARENTS_MAX, SHARE_BYTES_MAX,
};
use crate::log::leaf::LeafKind;
use crate::object::marking::{Marking, MarkingError};
use crate::suite::Suite;

/// Share of a PUBLISH record (also of a PRIVATE one that publishes by direct delivery).
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct PublishShare {
    /// The record's real kind: always that of PUBLISH.
    #[n(0)]
    kind: u8,
    /// Algorithms.
    #[n(1)]
    pub suite: Suite,
    /// The object.
    #[n(2)]
    pub uuid: ObjectUuid,
    /// Its version.
    #[n(3)]
    pub version: ObjectVersion,
    /// Root of its attribute tree: the same in every view of this version.
    #[n(4)]
    pub object_root: ObjectRoot,
    /// Leaves of that tree, padding included; its depth is the binary logarithm.
    #[n(5)]
    pub padded_count: u64,
    /// Media type of the native document.
    #[n(6)]
    pub media_type: String,
    /// Strictest marking of this view.
    #[n(7)]
    pub marking: Marking,
    /// When holders must have destroyed their copies.
    #[n(8)]
    pub retention: Option<UnixSeconds>,
    /// Purpose of processing.
    #[n(9)]
    pub purpose: Option<String>,
    /// Lawful basis of processing.
    #[n(10)]
    pub lawful_basis: Option<String>,
    /// Leaves that the object derives from, as far as the recipients may know them; absent when there is none.
    #[n(11)]
    pub parents: Option<Vec<ParentRef>>,
}

/// A leaf of some log that an object derives from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(map)]
pub struct ParentRef {
    /// The log.
    #[n(0)]
    pub log: LogId,
    /// Hash of the leaf in it.
    #[n(1)]
    pub leaf: NodeHash,
}

/// What the tree and the object contribute to a share.
#[derive(Clone, Debug)]
pub struct PublishedObject {
    /// The object.
    pub uuid: ObjectUuid,
    /// Its version.
    pub version: ObjectVersion,
    /// Root of its attribute tree.
    pub object_root: ObjectRoot,
    /// Leaves of that tree.
    pub padded_count: u64,
    /// Media type of the native document.
    pub media_type: String,
}

impl PublishShare {
    /// A share without retention, purpose or parents; set these fields where they apply.
    pub fn new(suite: Suite, object: PublishedObject, view_marking: Marking) -> Self {
        Self {
            kind: LeafKind::Publish.code(),
            suite,
            uuid: object.uuid,
            version: object.version,
            object_root: object.object_root,
            padded_count: object.padded_count,
            media_type: object.media_type,
            retention: view_marking.destroy_by,
            purpose: view_marking.purpose.clone(),
            lawful_basis: view_marking.lawful_basis.clone(),
            marking: view_marking,
            parents: None,
        }
    }

    /// The canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Decodes and checks a share from outside.
    ///
    /// # Errors
    /// Anything that is not the canonical encoding of a share within its limits.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PublishShareError> {
        let share: Self = codec::decode(bytes, SHARE_BYTES_MAX)?;
        share.check()?;
        Ok(share)
    }

    /// Levels of the attribute tree above its leaves.
    pub fn depth(&self) -> u8 {
        self.padded_count.trailing_zeros() as u8
    }

    fn check(&self) -> Result<(), PublishShareError> {
        if self.kind != LeafKind::Publish.code() {
            return Err(PublishShareError::Kind(self.kind));
        }
        if !self.padded_count.is_power_of_two() || self.padded_count > ATTRIBUTE_TREE_LEAVES_MAX {
            return Err(PublishShareError::PaddedCount(self.padded_count));
        }
        if self.media_type.len() > MEDIA_TYPE_BYTES_MAX {
            return Err(PublishShareError::TooLong { field: "media_type" });
        }
        let long = |text: &Option<String>| text.as_ref().is_some_and(|text| text.len() > MARKING_TEXT_BYTES_MAX);
        if long(&self.purpose) {
            return Err(PublishShareError::TooLong { field: "purpose" });
        }
        if long(&self.lawful_basis) {
            return Err(PublishShareError::TooLong { field: "lawful_basis" });
        }
        match self.parents.as_deref() {
            Some([]) => return Err(PublishShareError::Parents(0)),
            Some(parents) if parents.len() > PARENTS_MAX => return Err(PublishShareError::Parents(parents.len())),
            _ => {}
        }
        Ok(self.marking.check_limits()?)
    }
}

/// Bytes that are no share of a PUBLISH.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PublishShareError {
    /// Not canonical, or of another shape.
    #[error("share of a PUBLISH cannot be read")]
    Codec(#[from] CodecError),
    /// Share of another kind of record.
    #[error("share of record kind {0}, not of a PUBLISH")]
    Kind(u8),
    /// A leaf count that no tree has.
    #[error("padded count {0} is no power of two up to {ATTRIBUTE_TREE_LEAVES_MAX}")]
    PaddedCount(u64),
    /// A text that is too long.
    #[error("share field `{field}` is too long")]
    TooLong {
        /// The field.
        field: &'static str,
    },
    /// None in a list that is present, or too many.
    #[error("share names {0} parents where 1 to {PARENTS_MAX} are allowed")]
    Parents(usize),
    /// A marking beyond its limits.
    #[error(transparent)]
    Marking(#[from] MarkingError),
}
