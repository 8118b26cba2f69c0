//! Where the units of an object stand in its attribute tree.
//!
//! Leaves 0 and 1 are the system region (native digest, document order). Every distinct marking has one region: a whole
//! subtree of 2^k leaves, so that a copy without this marking shows one hash and learns nothing but 2^k. Regions stand
//! by ascending size, then by first appearance, each at the next multiple of its size.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::codec::encode;
use crate::limits::{ATTRIBUTES_MAX, PATH_STEPS_MAX, UNIT_TYPE_BYTES_MAX};
use crate::object::cti::{Path, Unit};
use crate::object::marking::MarkingError;

/// Leaves of the system region.
pub(crate) const SYSTEM_LEAVES: u64 = 2;

/// The layout of one object: a function of its units alone.
pub(crate) struct Layout {
    /// Encoded markings by class, in order of first appearance.
    pub(crate) markings: Vec<Vec<u8>>,
    /// Class of each unit.
    pub(crate) classes: Vec<usize>,
    /// Index of each unit's first leaf.
    pub(crate) positions: Vec<u64>,
    /// Document order as runs of (region, units in a row); regions count from 0 in tree order.
    pub(crate) order: Vec<(u32, u32)>,
    /// Leaves of the whole tree, a power of two.
    pub(crate) leaves: u64,
}

impl Layout {
    /// Lays units out.
    ///
    /// # Errors
    /// An object beyond its limits.
    pub(crate) fn of(units: &[Unit]) -> Result<Self, ObjectError> {
        check(units)?;
        let (markings, classes) = classify(units);
        let mut used = vec![0u64; markings.len()];
        let offsets: Vec<u64> =
            units.iter().zip(&classes).map(|(unit, class)| reserve(&mut used, *class, unit)).collect();
        let (starts, ranks, leaves) = place_regions(&used);
        let at = |table: &[u64], class: usize| table.get(class).copied().unwrap_or_default();
        let positions = offsets.iter().zip(&classes).map(|(offset, class)| at(&starts, *class) + offset).collect();
        let order = runs(classes.iter().map(|class| ranks.get(*class).copied().unwrap_or_default()));
        Ok(Self { markings, classes, positions, order, leaves })
    }

    /// Encoded marking of a unit.
    pub(crate) fn marking_of(&self, unit: usize) -> &[u8] {
        self.classes.get(unit).and_then(|class| self.markings.get(*class)).map_or(&[], Vec::as_slice)
    }
}

fn check(units: &[Unit]) -> Result<(), ObjectError> {
    let leaves: usize = units.iter().map(|unit| unit.attributes.len() + 1).sum();
    if leaves > ATTRIBUTES_MAX {
        return Err(ObjectError::TooManyAttributes { leaves });
    }
    for unit in units {
        unit.marking.check_limits()?;
        if unit.type_name.len() > UNIT_TYPE_BYTES_MAX {
            return Err(ObjectError::TypeNameTooLong { len: unit.type_name.len() });
        }
        if let Some(deep) = unit.attributes.iter().find(|attribute| attribute.path.len() > PATH_STEPS_MAX) {
            return Err(ObjectError::PathTooDeep { steps: deep.path.len() });
        }
    }
    let mut paths: Vec<&Path> =
        units.iter().flat_map(|unit| &unit.attributes).map(|attribute| &attribute.path).collect();
    paths.sort_unstable();
    match paths.windows(2).any(|pair| matches!(pair, [a, b] if a == b)) {
        true => Err(ObjectError::DuplicatePath),
        false => Ok(()),
    }
}

fn classify(units: &[Unit]) -> (Vec<Vec<u8>>, Vec<usize>) {
    let mut known = BTreeMap::new();
    let mut markings: Vec<Vec<u8>> = Vec::new();
    let classes = units.iter().map(|unit| {
        *known.entry(&unit.marking).or_insert_with(|| {
            markings.push(encode(&unit.marking));
            markings.len() - 1
        })
    });
    let classes = classes.collect();
    (markings, classes)
}

fn reserve(used: &mut [u64], class: usize, unit: &Unit) -> u64 {
    let Some(next) = used.get_mut(class) else { return 0 };
    let offset = *next;
    *next += 1 + unit.attributes.len() as u64;
    offset
}

/// Start and rank of each class's region, and the leaves of the tree.
fn place_regions(used: &[u64]) -> (Vec<u64>, Vec<u32>, u64) {
    let mut by_size: Vec<(u64, usize)> = used.iter().map(|used| used.next_power_of_two()).zip(0..).collect();
    by_size.sort_unstable();
    let (mut starts, mut ranks, mut end) = (vec![0; used.len()], vec![0; used.len()], SYSTEM_LEAVES);
    for (rank, (size, class)) in (0..).zip(by_size) {
        let start = end.next_multiple_of(size);
        end = start + size;
        if let (Some(slot), Some(ranked)) = (starts.get_mut(class), ranks.get_mut(class)) {
            (*slot, *ranked) = (start, rank);
        }
    }
    (starts, ranks, end.next_power_of_two())
}

fn runs(ranks: impl Iterator<Item = u32>) -> Vec<(u32, u32)> {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for rank in ranks {
        match runs.last_mut() {
            Some((last, length)) if *last == rank => *length += 1,
            _ => runs.push((rank, 1)),
        }
    }
    runs
}

/// An object that no attribute tree can hold.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ObjectError {
    /// More attributes than the limit.
    #[error("object has {leaves} attributes and units where at most {ATTRIBUTES_MAX} are allowed")]
    TooManyAttributes {
        /// Attributes and units together.
        leaves: usize,
    },
    /// Two attributes at one place.
    #[error("two attributes have the same path")]
    DuplicatePath,
    /// A path that is too deep.
    #[error("attribute path has {steps} steps where at most {PATH_STEPS_MAX} are allowed")]
    PathTooDeep {
        /// Its steps.
        steps: usize,
    },
    /// A type name that is too long.
    #[error("unit type name has {len} bytes where at most {UNIT_TYPE_BYTES_MAX} are allowed")]
    TypeNameTooLong {
        /// Its length.
        len: usize,
    },
    /// A marking beyond its limits.
    #[error(transparent)]
    Marking(#[from] MarkingError),
}
