//! The attribute tree: a salted Merkle tree over all attributes of one object version.
//!
//! The origin builds it once; every view of the version discloses a part of the same tree, under the same root.

use crate::ids::{NodeHash, ObjectRoot};
use crate::object::cti::{Attribute, CtiObject, Path, Unit};
use crate::object::layout::{Layout, ObjectError};
use crate::object::marking::Marking;
pub use crate::object::tree_leaf::AttributeSeed;
use crate::object::tree_leaf::{LeafContent, LeafHasher, Salt, Salts, parent};
use crate::object::view::{FullPart, RedactedPart, UnitOpening, ViewError, ViewLeaf, ViewPayload, ViewUnit};

/// All nodes of the tree, with what is needed to disclose any part of it.
pub struct AttributeTree<'a> {
    units: &'a [Unit],
    native_digest: [u8; 32],
    seed: AttributeSeed,
    salts: Salts,
    layout: Layout,
    /// Level 0 are the leaves; the last level is the root alone.
    levels: Vec<Vec<NodeHash>>,
}

impl<'a> AttributeTree<'a> {
    /// Commits to an object under a fresh seed.
    ///
    /// # Errors
    /// An [`ObjectError`] for an object beyond its limits or with two attributes at one place.
    pub fn build(object: &'a CtiObject, seed: AttributeSeed) -> Result<Self, ObjectError> {
        Self::from_units(&object.units, object.native_digest, seed)
    }

    /// As [`AttributeTree::build`], from the parts that a full copy carries.
    ///
    /// # Errors
    /// As [`AttributeTree::build`].
    pub fn from_units(units: &'a [Unit], native_digest: [u8; 32], seed: AttributeSeed) -> Result<Self, ObjectError> {
        let layout = Layout::of(units)?;
        let salts = Salts::new(&seed);
        let leaves = hash_leaves(units, &native_digest, &salts, &layout);
        Ok(Self { units, native_digest, seed, salts, layout, levels: raise(leaves) })
    }

    /// The root that a PUBLISH commits to.
    pub fn object_root(&self) -> ObjectRoot {
        let root = self.levels.last().and_then(|level| level.first());
        ObjectRoot(root.expect("a tree has at least the system leaves").0)
    }

    /// Leaves, padding included: a power of two.
    pub fn padded_count(&self) -> u64 {
        self.layout.leaves
    }

    /// Levels above the leaves.
    pub fn depth(&self) -> u8 {
        self.layout.leaves.trailing_zeros() as u8
    }

    /// A payload that discloses everything: it ships the seed.
    pub fn full_view(&self) -> ViewPayload {
        let units = (0..self.units.len()).filter_map(|unit| self.view_unit(unit, Disclosure::Full));
        ViewPayload::full(units, FullPart { seed: self.seed.clone(), native_digest: self.native_digest })
    }

    /// A payload that discloses the units that `keep` names by their number in the object; all of them make it full.
    ///
    /// # Errors
    /// [`ViewError::Empty`] where nothing is kept.
    pub fn view(&self, keep: &dyn Fn(usize, &Unit) -> bool) -> Result<ViewPayload, ViewError> {
        let kept: Vec<usize> =
            self.units.iter().enumerate().filter(|(i, unit)| keep(*i, unit)).map(|(i, _)| i).collect();
        if kept.is_empty() {
            return Err(ViewError::Empty);
        }
        if kept.len() == self.units.len() {
            return Ok(self.full_view());
        }
        Ok(self.open(kept))
    }

    /// Every unit with its salts and no seed: the form that redaction starts from.
    pub(crate) fn open_all(&self) -> ViewPayload {
        self.open((0..self.units.len()).collect())
    }

    fn open(&self, mut kept: Vec<usize>) -> ViewPayload {
        kept.sort_unstable_by_key(|unit| self.layout.positions.get(*unit));
        let ranges: Vec<(u64, u64)> = kept.iter().filter_map(|unit| self.range(*unit)).collect();
        let mut rest = Vec::new();
        self.cover(self.depth(), 0, &ranges, &mut rest);
        let units = kept.into_iter().filter_map(|unit| self.view_unit(unit, Disclosure::Redacted));
        ViewPayload::redacted(units, RedactedPart { rest })
    }

    /// First leaf of a unit and the one after its last.
    fn range(&self, unit: usize) -> Option<(u64, u64)> {
        let start = *self.layout.positions.get(unit)?;
        Some((start, start + 1 + self.units.get(unit)?.attributes.len() as u64))
    }

    /// Hashes of the largest subtrees without a disclosed leaf, from left to right.
    fn cover(&self, level: u8, index: u64, disclosed: &[(u64, u64)], out: &mut Vec<NodeHash>) {
        let (start, end) = (index << level, (index + 1) << level);
        let from = disclosed.partition_point(|(_, stop)| *stop <= start);
        let inside = disclosed.get(from..).unwrap_or_default();
        match inside.first() {
            Some((first, _)) if *first < end => {
                if let Some(below) = level.checked_sub(1) {
                    self.cover(below, index * 2, inside, out);
                    self.cover(below, index * 2 + 1, inside, out);
                }
            }
            _ => out.extend(self.levels.get(usize::from(level)).and_then(|nodes| nodes.get(index as usize))),
        }
    }

    fn view_unit(&self, number: usize, disclosure: Disclosure) -> Option<(&'a Marking, ViewUnit)> {
        let unit = self.units.get(number)?;
        let index = *self.layout.positions.get(number)?;
        let prefix = common_prefix(unit);
        let opening = (disclosure == Disclosure::Redacted).then(|| UnitOpening {
            index,
            salt: self.salts.at(index).into(),
            attributes: unit.attributes.len() as u32,
        });
        let leaf = |(offset, attribute): (u32, &Attribute)| ViewLeaf {
            tail: attribute.path.get(prefix.len()..).unwrap_or_default().to_vec(),
            value: attribute.value.clone(),
            opened: (disclosure == Disclosure::Redacted)
                .then(|| (offset, self.salts.at(index + 1 + u64::from(offset)).into())),
        };
        let view = ViewUnit {
            kind: unit.kind,
            type_name: unit.type_name.clone(),
            uuid: unit.uuid,
            marking: 0,
            leaves: (0..).zip(&unit.attributes).map(leaf).collect(),
            prefix,
            opening,
        };
        Some((&unit.marking, view))
    }
}

impl std::fmt::Debug for AttributeTree<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AttributeTree({}, {} units, {} leaves)", self.object_root(), self.units.len(), self.padded_count())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Disclosure {
    Full,
    Redacted,
}

/// The steps that all attributes of a unit share, at most up to the last container.
fn common_prefix(unit: &Unit) -> Path {
    let Some((first, rest)) = unit.attributes.split_first() else { return Vec::new() };
    let mut shared = first.path.len().saturating_sub(1);
    for attribute in rest {
        let same = first.path.iter().zip(&attribute.path).take_while(|(a, b)| a == b).count();
        shared = shared.min(same);
    }
    first.path.get(..shared).unwrap_or_default().to_vec()
}

fn hash_leaves(units: &[Unit], native_digest: &[u8; 32], salts: &Salts, layout: &Layout) -> Vec<NodeHash> {
    let mut hasher = LeafHasher::default();
    let mut leaves: Vec<Option<NodeHash>> = vec![None; layout.leaves as usize];
    let mut put = |index: u64, content: &LeafContent<'_>| {
        let salt: Salt = salts.at(index);
        if let Some(slot) = leaves.get_mut(index as usize) {
            *slot = Some(hasher.hash(&salt, index, content));
        }
    };
    put(0, &LeafContent::Native(native_digest));
    put(1, &LeafContent::Order(&layout.order));
    for (number, (unit, start)) in units.iter().zip(&layout.positions).enumerate() {
        let marking = layout.marking_of(number);
        put(*start, &unit_leaf(unit, marking));
        for (attribute, index) in unit.attributes.iter().zip(start + 1..) {
            let (prefix, tail) = (attribute.path.as_slice(), [].as_slice());
            put(index, &LeafContent::Attribute { marking, prefix, tail, value: &attribute.value });
        }
    }
    let pad = |(index, leaf): (u64, Option<NodeHash>)| match leaf {
        Some(leaf) => leaf,
        None => hasher.hash(&salts.at(index), index, &LeafContent::Padding),
    };
    (0..).zip(leaves).map(pad).collect()
}

fn unit_leaf<'a>(unit: &'a Unit, marking: &'a [u8]) -> LeafContent<'a> {
    let attributes = unit.attributes.len() as u32;
    LeafContent::Unit { marking, kind: unit.kind, type_name: &unit.type_name, uuid: unit.uuid, attributes }
}

/// All levels above the leaves, the number of which is a power of two.
fn raise(leaves: Vec<NodeHash>) -> Vec<Vec<NodeHash>> {
    let mut levels = vec![leaves];
    while let Some(below) = levels.last().filter(|level| level.len() > 1) {
        let pair = |pair: &[NodeHash]| match pair {
            [left, right] => Some(parent(left, right)),
            _ => None,
        };
        let level = below.chunks_exact(2).filter_map(pair).collect();
        levels.push(level);
    }
    levels
}
