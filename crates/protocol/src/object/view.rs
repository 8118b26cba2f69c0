//! View payloads: what one audience gets of an object, and how a recipient checks it against the PUBLISH.
//!
//! A full copy ships the seed and all units in document order; the recipient rebuilds the whole tree. A redacted copy
//! ships disclosed units with their salts, and hashes of the largest subtrees that hold nothing disclosed.

use std::collections::{BTreeMap, BTreeSet};

use minicbor::bytes::ByteArray;
use minicbor::{Decode, Decoder, Encode, Encoder, decode, encode};
use thiserror::Error;

use crate::codec::{self, CodecError};
use crate::ids::{NodeHash, ObjectRoot, ObjectUuid};
use crate::limits::{ATTRIBUTES_MAX, OBJECT_BYTES_MAX, PATH_STEPS_MAX, UNIT_TYPE_BYTES_MAX};
use crate::object::attribute_tree::AttributeTree;
use crate::object::cti::{Attribute, Path, Unit, UnitKind};
use crate::object::layout::{ObjectError, SYSTEM_LEAVES};
use crate::object::marking::{Marking, MarkingError};
use crate::object::publish_share::PublishShare;
use crate::object::tree_leaf::{AttributeSeed, LeafContent, LeafHasher, SALT_BYTES, parent};

/// The payload of an envelope that carries a view.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ViewPayload {
    /// Distinct markings of the units, in order of first use.
    #[n(0)]
    pub(crate) markings: Vec<Marking>,
    /// Full copy: in document order. Redacted copy: by index.
    #[n(1)]
    pub(crate) units: Vec<ViewUnit>,
    /// Full copy only.
    #[n(2)]
    pub(crate) full: Option<FullPart>,
    /// Redacted copy only.
    #[n(3)]
    pub(crate) redacted: Option<RedactedPart>,
}

/// What makes a copy full.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct FullPart {
    #[n(0)]
    pub(crate) seed: AttributeSeed,
    #[cbor(n(1), with = "minicbor::bytes")]
    pub(crate) native_digest: [u8; 32],
}

/// What completes a redacted copy.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct RedactedPart {
    /// From left to right.
    #[n(0)]
    pub(crate) rest: Vec<NodeHash>,
}

#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct ViewUnit {
    #[n(0)]
    pub(crate) kind: UnitKind,
    #[n(1)]
    pub(crate) type_name: String,
    #[n(2)]
    pub(crate) uuid: Option<ObjectUuid>,
    /// Number in the table of markings.
    #[n(3)]
    pub(crate) marking: u32,
    /// Steps that all its paths begin with.
    #[n(4)]
    pub(crate) prefix: Path,
    #[n(5)]
    pub(crate) leaves: Vec<ViewLeaf>,
    #[n(6)]
    pub(crate) opening: Option<UnitOpening>,
}

/// Opens the unit's own leaf in a redacted copy.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct UnitOpening {
    #[n(0)]
    pub(crate) index: u64,
    #[n(1)]
    pub(crate) salt: ByteArray<SALT_BYTES>,
    /// Attributes of the whole unit, disclosed or not.
    #[n(2)]
    pub(crate) attributes: u32,
}

/// On the wire: [tail, value] in a full copy, [tail, value, offset in the unit, salt] in a redacted one.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct ViewLeaf {
    pub(crate) tail: Path,
    pub(crate) value: String,
    pub(crate) opened: Option<(u32, ByteArray<SALT_BYTES>)>,
}

impl ViewPayload {
    /// The canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Decodes a payload from outside; only [`verify`] makes it trustworthy.
    ///
    /// # Errors
    /// Anything but a canonical payload.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ViewError> {
        Ok(codec::decode(bytes, OBJECT_BYTES_MAX as usize)?)
    }

    /// Whether it claims to disclose everything.
    pub fn is_full(&self) -> bool {
        self.full.is_some()
    }

    /// The version's seed, of a full copy: lets its owner make further views under the same root.
    pub fn seed(&self) -> Option<&AttributeSeed> {
        self.full.as_ref().map(|full| &full.seed)
    }

    /// Units that it discloses.
    pub fn unit_count(&self) -> usize {
        self.units.len()
    }

    pub(crate) fn full<'a>(units: impl Iterator<Item = (&'a Marking, ViewUnit)>, full: FullPart) -> Self {
        let (markings, units) = tabulate(units);
        Self { markings, units, full: Some(full), redacted: None }
    }

    pub(crate) fn redacted<'a>(units: impl Iterator<Item = (&'a Marking, ViewUnit)>, part: RedactedPart) -> Self {
        let (markings, units) = tabulate(units);
        Self { markings, units, full: None, redacted: Some(part) }
    }

    /// The units as they stand in the object, marking table resolved. Checks limits, not authenticity.
    pub(crate) fn claimed_units(&self) -> Result<Vec<Unit>, ViewError> {
        if self.units.is_empty() {
            return Err(ViewError::Empty);
        }
        let attributes: usize = self.units.iter().map(|unit| unit.leaves.len() + 1).sum();
        if attributes > ATTRIBUTES_MAX {
            return Err(ViewError::TooMany(attributes));
        }
        self.check_markings()?;
        self.units.iter().map(|unit| self.claimed_unit(unit)).collect()
    }

    fn claimed_unit(&self, unit: &ViewUnit) -> Result<Unit, ViewError> {
        if unit.type_name.len() > UNIT_TYPE_BYTES_MAX {
            return Err(ViewError::TypeName(unit.type_name.len()));
        }
        let attributes = unit.leaves.iter().map(|leaf| {
            let path: Path = unit.prefix.iter().chain(&leaf.tail).cloned().collect();
            match path.len() {
                0..=PATH_STEPS_MAX => Ok(Attribute { path, value: leaf.value.clone() }),
                steps => Err(ViewError::Path(steps)),
            }
        });
        Ok(Unit {
            kind: unit.kind,
            type_name: unit.type_name.clone(),
            uuid: unit.uuid,
            marking: self.marking_of(unit)?.clone(),
            attributes: attributes.collect::<Result<_, _>>()?,
        })
    }

    fn marking_of(&self, unit: &ViewUnit) -> Result<&Marking, ViewError> {
        self.markings.get(unit.marking as usize).ok_or(ViewError::MarkingTable)
    }

    /// One table per payload content: distinct, in order of first use, all used.
    fn check_markings(&self) -> Result<(), ViewError> {
        let mut next = 0;
        for unit in &self.units {
            if unit.marking > next {
                return Err(ViewError::MarkingTable);
            }
            next = next.max(unit.marking + 1);
        }
        let distinct: BTreeSet<&Marking> = self.markings.iter().collect();
        if next as usize != self.markings.len() || distinct.len() != self.markings.len() {
            return Err(ViewError::MarkingTable);
        }
        Ok(self.markings.iter().try_for_each(Marking::check_limits)?)
    }
}

fn tabulate<'a>(units: impl Iterator<Item = (&'a Marking, ViewUnit)>) -> (Vec<Marking>, Vec<ViewUnit>) {
    let mut known: BTreeMap<&Marking, u32> = BTreeMap::new();
    let mut table = Vec::new();
    let numbered = units.map(|(marking, unit)| {
        let number = *known.entry(marking).or_insert_with(|| {
            table.push(marking.clone());
            (table.len() - 1) as u32
        });
        ViewUnit { marking: number, ..unit }
    });
    let units = numbered.collect();
    (table, units)
}

/// A view whose every part is proven to belong to the published object.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifiedView {
    share: PublishShare,
    units: Vec<Unit>,
    native_digest: Option<[u8; 32]>,
}

impl VerifiedView {
    /// The share that it was verified against.
    pub fn share(&self) -> &PublishShare {
        &self.share
    }

    /// Its units: of a full copy in document order, else in tree order (document order within each marking).
    pub fn units(&self) -> &[Unit] {
        &self.units
    }

    /// Whether nothing is missing.
    pub fn is_full(&self) -> bool {
        self.native_digest.is_some()
    }

    /// Digest of the native bytes at the origin; full copies only.
    pub fn native_digest(&self) -> Option<&[u8; 32]> {
        self.native_digest.as_ref()
    }
}

/// Verifies a payload against the share of its PUBLISH.
///
/// # Errors
/// A [`ViewError`] for anything that the originator did not commit to, and for a share whose marking is weaker than
/// that of a unit.
pub fn verify(payload: &ViewPayload, share: &PublishShare) -> Result<VerifiedView, ViewError> {
    let units = payload.claimed_units()?;
    if units.iter().any(|unit| !share.marking.at_least_as_strict_as(&unit.marking)) {
        return Err(ViewError::ShareMarkingTooWeak);
    }
    let (root, leaves, native_digest) = match (&payload.full, &payload.redacted) {
        (Some(full), None) => {
            if payload
                .units
                .iter()
                .any(|unit| unit.opening.is_some() || unit.leaves.iter().any(|leaf| leaf.opened.is_some()))
            {
                return Err(ViewError::Form);
            }
            let tree = AttributeTree::from_units(&units, full.native_digest, full.seed.clone())?;
            (tree.object_root(), tree.padded_count(), Some(full.native_digest))
        }
        (None, Some(part)) => {
            check_distinct_paths(&units)?;
            let disclosed = disclosed_leaves(payload, &units, share.padded_count)?;
            (fold(share.depth(), &disclosed, &part.rest)?, share.padded_count, None)
        }
        _ => return Err(ViewError::Form),
    };
    if leaves != share.padded_count {
        return Err(ViewError::PaddedCount { found: leaves, expected: share.padded_count });
    }
    if root != share.object_root {
        return Err(ViewError::Root);
    }
    Ok(VerifiedView { share: share.clone(), units, native_digest })
}

fn check_distinct_paths(units: &[Unit]) -> Result<(), ViewError> {
    let mut seen = BTreeSet::new();
    match units.iter().flat_map(|unit| &unit.attributes).all(|attribute| seen.insert(&attribute.path)) {
        true => Ok(()),
        false => Err(ViewError::Object(ObjectError::DuplicatePath)),
    }
}

/// A disclosed leaf in its place.
pub(crate) struct DisclosedLeaf {
    pub(crate) index: u64,
    pub(crate) hash: NodeHash,
}

/// Hashes of all disclosed leaves, with strictly ascending indices inside the range that their unit committed to.
pub(crate) fn disclosed_leaves(
    payload: &ViewPayload,
    units: &[Unit],
    total: u64,
) -> Result<Vec<DisclosedLeaf>, ViewError> {
    let mut hasher = LeafHasher::default();
    let encoded: Vec<Vec<u8>> = payload.markings.iter().map(codec::encode).collect();
    let mut out: Vec<DisclosedLeaf> = Vec::new();
    let mut next = SYSTEM_LEAVES;
    for (wire, unit) in payload.units.iter().zip(units) {
        let opening = wire.opening.as_ref().ok_or(ViewError::Form)?;
        let end = opening
            .index
            .checked_add(1 + u64::from(opening.attributes))
            .filter(|end| *end <= total)
            .ok_or(ViewError::Index)?;
        if opening.index < next {
            return Err(ViewError::Index);
        }
        let marking = encoded.get(wire.marking as usize).ok_or(ViewError::MarkingTable)?;
        let own = LeafContent::Unit {
            marking,
            kind: unit.kind,
            type_name: &unit.type_name,
            uuid: unit.uuid,
            attributes: opening.attributes,
        };
        out.push(DisclosedLeaf { index: opening.index, hash: hasher.hash(&opening.salt, opening.index, &own) });
        let mut lowest = opening.index + 1;
        for leaf in &wire.leaves {
            let (offset, salt) = leaf.opened.as_ref().ok_or(ViewError::Form)?;
            let index = opening.index + 1 + u64::from(*offset);
            if index < lowest || index >= end {
                return Err(ViewError::Index);
            }
            lowest = index + 1;
            let content =
                LeafContent::Attribute { marking, prefix: &wire.prefix, tail: &leaf.tail, value: &leaf.value };
            out.push(DisclosedLeaf { index, hash: hasher.hash(salt, index, &content) });
        }
        next = end;
    }
    Ok(out)
}

/// The root over disclosed leaves and the hashes of everything else.
fn fold(depth: u8, disclosed: &[DisclosedLeaf], rest: &[NodeHash]) -> Result<ObjectRoot, ViewError> {
    let mut rest = rest.iter();
    let root = fold_node(depth, 0, disclosed, &mut rest)?;
    match rest.next() {
        None => Ok(ObjectRoot(root.0)),
        Some(_) => Err(ViewError::RestCount),
    }
}

fn fold_node(
    level: u8,
    index: u64,
    inside: &[DisclosedLeaf],
    rest: &mut std::slice::Iter<'_, NodeHash>,
) -> Result<NodeHash, ViewError> {
    match (inside, level.checked_sub(1)) {
        ([], _) => rest.next().copied().ok_or(ViewError::RestCount),
        ([leaf], None) => Ok(leaf.hash),
        (_, None) => Err(ViewError::Index),
        (_, Some(below)) => {
            let middle = (index * 2 + 1) << below;
            let (left, right) = inside.split_at(inside.partition_point(|leaf| leaf.index < middle));
            let left = fold_node(below, index * 2, left, rest)?;
            let right = fold_node(below, index * 2 + 1, right, rest)?;
            Ok(parent(&left, &right))
        }
    }
}

/// Why a payload is not what the originator published.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ViewError {
    /// Not canonical, or of another shape.
    #[error("view payload cannot be read")]
    Codec(#[from] CodecError),
    /// Nothing is disclosed.
    #[error("view discloses nothing")]
    Empty,
    /// More attributes than the limit.
    #[error("view has {0} attributes and units where at most {ATTRIBUTES_MAX} are allowed")]
    TooMany(usize),
    /// A path that is too deep.
    #[error("attribute path has {0} steps where at most {PATH_STEPS_MAX} are allowed")]
    Path(usize),
    /// A type name that is too long.
    #[error("unit type name has {0} bytes where at most {UNIT_TYPE_BYTES_MAX} are allowed")]
    TypeName(usize),
    /// Markings that repeat, are unused, missing or out of order.
    #[error("table of markings is not in its one form")]
    MarkingTable,
    /// A marking beyond its limits.
    #[error(transparent)]
    Marking(#[from] MarkingError),
    /// Mixed parts of a full and a redacted copy.
    #[error("view is neither a full nor a redacted copy")]
    Form,
    /// An index that is out of order, outside its unit or outside the tree.
    #[error("leaf index out of order or out of range")]
    Index,
    /// Too few or too many hashes for the rest of the tree.
    #[error("number of hashes does not fit the disclosed leaves")]
    RestCount,
    /// A full copy of another size.
    #[error("attribute tree has {found} leaves where the share says {expected}")]
    PaddedCount {
        /// Leaves of the tree as rebuilt.
        found: u64,
        /// Leaves as published.
        expected: u64,
    },
    /// Something was altered, added, moved or marked differently.
    #[error("view does not belong to the published object: root differs")]
    Root,
    /// The share claims a weaker marking than a unit has.
    #[error("share is marked weaker than a unit of its view")]
    ShareMarkingTooWeak,
    /// A full copy of an object that no tree can hold, or two attributes at one place.
    #[error(transparent)]
    Object(#[from] ObjectError),
}

impl std::fmt::Debug for ViewPayload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let form = if self.is_full() { "full" } else { "redacted" };
        write!(f, "ViewPayload({form}, {} units)", self.units.len())
    }
}

impl std::fmt::Debug for VerifiedView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let form = if self.is_full() { "full" } else { "redacted" };
        write!(f, "VerifiedView({}, {form}, {} units)", self.share.uuid, self.units.len())
    }
}

impl<C> Encode<C> for ViewLeaf {
    fn encode<W: encode::Write>(&self, e: &mut Encoder<W>, ctx: &mut C) -> Result<(), encode::Error<W::Error>> {
        e.array(if self.opened.is_some() { 4 } else { 2 })?;
        self.tail.encode(e, ctx)?;
        e.str(&self.value)?;
        if let Some((offset, salt)) = &self.opened {
            e.u32(*offset)?.bytes(&salt[..])?;
        }
        Ok(())
    }
}

impl<'b, C> Decode<'b, C> for ViewLeaf {
    fn decode(d: &mut Decoder<'b>, ctx: &mut C) -> Result<Self, decode::Error> {
        let at = d.position();
        let members = d.array()?;
        let tail = Path::decode(d, ctx)?;
        let value = d.str()?.to_owned();
        let opened = match members {
            Some(2) => None,
            Some(4) => Some((d.u32()?, ByteArray::decode(d, ctx)?)),
            _ => return Err(decode::Error::message("a leaf of a view has 2 or 4 members").at(at)),
        };
        Ok(Self { tail, value, opened })
    }
}

impl<C> Encode<C> for AttributeSeed {
    fn encode<W: encode::Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), encode::Error<W::Error>> {
        e.bytes(self.expose())?.ok()
    }
}

impl<'b, C> Decode<'b, C> for AttributeSeed {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, decode::Error> {
        let at = d.position();
        let bytes = d.bytes()?.try_into().map_err(|_| decode::Error::message("a seed has 32 bytes").at(at))?;
        Ok(Self::new(bytes))
    }
}
