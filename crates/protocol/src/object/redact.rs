//! Redaction by anyone who holds a view: needs no key and can only remove.

use crate::ids::NodeHash;
use crate::object::attribute_tree::AttributeTree;
use crate::object::cti::{Attribute, Unit};
use crate::object::publish_share::PublishShare;
use crate::object::tree_leaf::parent;
use crate::object::view::{DisclosedLeaf, RedactedPart, ViewError, ViewPayload, ViewUnit, disclosed_leaves, verify};

/// Keeps the units that `keep` names and leaves hashes in place of the others.
///
/// # Errors
/// A payload that does not verify against the share is not worth redacting; [`ViewError::Empty`] where nothing is kept.
pub fn redact(
    payload: &ViewPayload,
    share: &PublishShare,
    keep: &dyn Fn(&Unit) -> bool,
) -> Result<ViewPayload, ViewError> {
    redact_attributes(payload, share, &|unit, _| keep(unit))
}

/// As [`redact`], attribute by attribute; a unit without any attribute left goes with them.
///
/// # Errors
/// As [`redact`].
pub fn redact_attributes(
    payload: &ViewPayload,
    share: &PublishShare,
    keep: &dyn Fn(&Unit, Option<&Attribute>) -> bool,
) -> Result<ViewPayload, ViewError> {
    let verified = verify(payload, share)?;
    let opened;
    let (source, units) = match &payload.full {
        Some(full) => {
            let tree = AttributeTree::from_units(verified.units(), full.native_digest, full.seed.clone())?;
            let everything_kept = verified.units().iter().all(|unit| kept_whole(unit, keep));
            if everything_kept {
                return Ok(payload.clone());
            }
            opened = tree.open_all();
            (&opened, opened.claimed_units()?)
        }
        None => (payload, verified.units().to_vec()),
    };
    remove(source, &units, share, keep)
}

fn kept_whole(unit: &Unit, keep: &dyn Fn(&Unit, Option<&Attribute>) -> bool) -> bool {
    keep(unit, None) && unit.attributes.iter().all(|attribute| keep(unit, Some(attribute)))
}

fn remove(
    source: &ViewPayload,
    units: &[Unit],
    share: &PublishShare,
    keep: &dyn Fn(&Unit, Option<&Attribute>) -> bool,
) -> Result<ViewPayload, ViewError> {
    let leaves = disclosed_leaves(source, units, share.padded_count)?;
    let mut flags = Vec::with_capacity(leaves.len());
    let mut kept_units = Vec::new();
    for (unit, wire) in units.iter().zip(&source.units) {
        let mut wanted: Vec<bool> = unit.attributes.iter().map(|attribute| keep(unit, Some(attribute))).collect();
        let stays = keep(unit, None) && (wanted.is_empty() || wanted.contains(&true));
        wanted.iter_mut().for_each(|wanted| *wanted &= stays);
        flags.push(stays);
        flags.extend_from_slice(&wanted);
        if stays {
            let leaves = wire.leaves.iter().zip(&wanted).filter(|(_, wanted)| **wanted).map(|(leaf, _)| leaf.clone());
            kept_units.push((&unit.marking, ViewUnit { leaves: leaves.collect(), ..wire.clone() }));
        }
    }
    if kept_units.is_empty() {
        return Err(ViewError::Empty);
    }
    let marked: Vec<(&DisclosedLeaf, bool)> = leaves.iter().zip(flags).collect();
    let old_rest = source.redacted.as_ref().map_or(&[][..], |part| part.rest.as_slice());
    let mut shrink = Shrink { old: old_rest.iter(), new: Vec::new() };
    shrink.node(share.depth(), 0, &marked)?;
    shrink.new.sort_unstable_by_key(|(start, _)| *start);
    let rest = shrink.new.into_iter().map(|(_, hash)| hash).collect();
    Ok(ViewPayload::redacted(kept_units.into_iter(), RedactedPart { rest }))
}

/// Walks the old tree and gathers the hashes that the smaller view needs, with the leaf that each starts at.
struct Shrink<'a> {
    old: std::slice::Iter<'a, NodeHash>,
    new: Vec<(u64, NodeHash)>,
}

impl Shrink<'_> {
    /// Hash of a node, and whether anything under it stays.
    fn node(
        &mut self,
        level: u8,
        index: u64,
        inside: &[(&DisclosedLeaf, bool)],
    ) -> Result<(NodeHash, bool), ViewError> {
        match (inside, level.checked_sub(1)) {
            ([], _) => Ok((self.old.next().copied().ok_or(ViewError::RestCount)?, false)),
            ([(leaf, kept)], None) => Ok((leaf.hash, *kept)),
            (_, None) => Err(ViewError::Index),
            (_, Some(below)) => {
                let middle = (index * 2 + 1) << below;
                let (left, right) = inside.split_at(inside.partition_point(|(leaf, _)| leaf.index < middle));
                let (left, left_stays) = self.node(below, index * 2, left)?;
                let (right, right_stays) = self.node(below, index * 2 + 1, right)?;
                match (left_stays, right_stays) {
                    (true, false) => self.new.push((middle, right)),
                    (false, true) => self.new.push((index << level, left)),
                    _ => {}
                }
                Ok((parent(&left, &right), left_stays || right_stays))
            }
        }
    }
}
