use super::{MerkleError, empty_root, is_subtree, left_size, node_hash};
use crate::ids::{LeafIndex, NodeHash, TreeSize};
use crate::limits::TREE_SIZE_MAX;

/// Verifies that a leaf is at `index` of the tree with this size and root (RFC 9162 section 2.1.3).
///
/// # Errors
/// A [`MerkleError`] names what does not fit.
pub fn verify_inclusion(
    leaf_hash: &NodeHash,
    index: LeafIndex,
    size: TreeSize,
    proof: &[NodeHash],
    root: &NodeHash,
) -> Result<(), MerkleError> {
    verify_subtree_inclusion(leaf_hash, index, 0..size.0, proof, root)
}

/// The root that an inclusion proof leads to, for a caller that has the root in a signature only.
///
/// # Errors
/// As [`verify_inclusion`], except for the root.
pub fn root_from_inclusion(
    leaf_hash: &NodeHash,
    index: LeafIndex,
    size: TreeSize,
    proof: &[NodeHash],
) -> Result<NodeHash, MerkleError> {
    if size.0 > TREE_SIZE_MAX {
        return Err(MerkleError::SizeOverLimit(size.0));
    }
    if index.0 >= size.0 {
        return Err(MerkleError::IndexOutside { index: index.0, start: 0, end: size.0 });
    }
    climb(leaf_hash, index.0, size.0, proof)
}

/// Verifies that a leaf is at `index` of the log, inside the subtree with this hash.
///
/// # Errors
/// A [`MerkleError`] names what does not fit.
pub fn verify_subtree_inclusion(
    leaf_hash: &NodeHash,
    index: LeafIndex,
    subtree: std::ops::Range<u64>,
    proof: &[NodeHash],
    root: &NodeHash,
) -> Result<(), MerkleError> {
    let (start, end) = (subtree.start, subtree.end);
    if end > TREE_SIZE_MAX {
        return Err(MerkleError::SizeOverLimit(end));
    }
    if !is_subtree(start, end) {
        return Err(MerkleError::NoSubtree { start, end, size: end });
    }
    if !subtree.contains(&index.0) {
        return Err(MerkleError::IndexOutside { index: index.0, start, end });
    }
    if climb(leaf_hash, index.0 - start, end - start, proof)? == *root { Ok(()) } else { Err(MerkleError::Root) }
}

/// Verifies that the tree of `old_size` is a prefix of the tree of `new_size` (RFC 9162 section 2.1.4).
///
/// # Errors
/// A [`MerkleError`] names what does not fit. From size 0 nothing can be proved: refused.
pub fn verify_consistency(
    old_size: TreeSize,
    old_root: &NodeHash,
    new_size: TreeSize,
    new_root: &NodeHash,
    proof: &[NodeHash],
) -> Result<(), MerkleError> {
    if old_size.0 == 0 || old_size > new_size {
        return Err(MerkleError::SizeOrder { from: old_size.0, to: new_size.0 });
    }
    verify_subtree_consistency(0..old_size.0, old_root, new_size, new_root, proof)
}

/// Verifies that a subtree with this hash is part of the tree of `size`.
///
/// The empty subtree is part of every tree that reaches it; its hash is the empty root and its proof has no hashes.
///
/// # Errors
/// A [`MerkleError`] names what does not fit.
pub fn verify_subtree_consistency(
    subtree: std::ops::Range<u64>,
    subtree_hash: &NodeHash,
    size: TreeSize,
    root: &NodeHash,
    proof: &[NodeHash],
) -> Result<(), MerkleError> {
    let (start, end, size) = (subtree.start, subtree.end, size.0);
    if size > TREE_SIZE_MAX {
        return Err(MerkleError::SizeOverLimit(size));
    }
    if end > size || !is_subtree(start, end) {
        return Err(MerkleError::NoSubtree { start, end, size });
    }
    if start == end {
        return match (proof, *subtree_hash == empty_root()) {
            ([], true) => Ok(()),
            ([], false) => Err(MerkleError::OldRoot),
            _ => Err(MerkleError::ProofLength),
        };
    }
    let (old, new) = climb_both(start, end, size, Seed::Known(*subtree_hash), proof)?;
    if old != *subtree_hash {
        return Err(MerkleError::OldRoot);
    }
    if new == *root { Ok(()) } else { Err(MerkleError::Root) }
}

/// Both roots that a consistency transcript *with explicit seed* leads to: of the prefix, and of the whole.
///
/// Unlike the usual proof it does not assume the older root, so it can show that a signed older root is wrong.
///
/// # Errors
/// Sizes out of order or over the limit, or a wrong number of hashes.
pub fn explicit_consistency_roots(
    old_size: TreeSize,
    new_size: TreeSize,
    transcript: &[NodeHash],
) -> Result<(NodeHash, NodeHash), MerkleError> {
    if new_size.0 > TREE_SIZE_MAX {
        return Err(MerkleError::SizeOverLimit(new_size.0));
    }
    if old_size.0 == 0 || old_size > new_size {
        return Err(MerkleError::SizeOrder { from: old_size.0, to: new_size.0 });
    }
    climb_both(0, old_size.0, new_size.0, Seed::InProof, transcript)
}

/// From a leaf to the root of a tree of `size`; the last hash of a proof is the sibling nearest to the root.
fn climb(leaf: &NodeHash, index: u64, size: u64, proof: &[NodeHash]) -> Result<NodeHash, MerkleError> {
    if size == 1 {
        return if proof.is_empty() { Ok(*leaf) } else { Err(MerkleError::ProofLength) };
    }
    let (sibling, rest) = proof.split_last().ok_or(MerkleError::ProofLength)?;
    let left = left_size(size);
    if index < left {
        Ok(node_hash(&climb(leaf, index, left, rest)?, sibling))
    } else {
        Ok(node_hash(sibling, &climb(leaf, index - left, size - left, rest)?))
    }
}

/// Where the hash of the deepest common node comes from.
#[derive(Clone, Copy)]
enum Seed {
    /// It is the subtree's own hash, which the proof therefore omits.
    Known(NodeHash),
    /// It opens the proof.
    InProof,
}

/// Mirrors the construction of a subtree consistency proof: the hashes of the subtree and of the whole tree.
fn climb_both(
    start: u64,
    end: u64,
    size: u64,
    seed: Seed,
    proof: &[NodeHash],
) -> Result<(NodeHash, NodeHash), MerkleError> {
    if start == 0 && end == size {
        return match (seed, proof) {
            (Seed::Known(hash), []) => Ok((hash, hash)),
            (Seed::InProof, [hash]) => Ok((*hash, *hash)),
            _ => Err(MerkleError::ProofLength),
        };
    }
    let (sibling, rest) = proof.split_last().ok_or(MerkleError::ProofLength)?;
    let left = left_size(size);
    if end <= left {
        let (old, new) = climb_both(start, end, left, seed, rest)?;
        Ok((old, node_hash(&new, sibling)))
    } else if left <= start {
        let (old, new) = climb_both(start - left, end - left, size - left, seed, rest)?;
        Ok((old, node_hash(sibling, &new)))
    } else {
        // The subtree contains the whole left child, so it starts at 0 and its own hash is not a node of the tree.
        let (old, new) = climb_both(0, end - left, size - left, Seed::InProof, rest)?;
        Ok((node_hash(sibling, &old), node_hash(sibling, &new)))
    }
}
