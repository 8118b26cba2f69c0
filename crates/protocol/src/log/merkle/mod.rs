//! The Merkle tree of RFC 9162 section 2.1 over SHA-256: compact range, proofs and their verification.
//!
//! Subtrees `[start, end)` follow draft-ietf-plants-merkle-tree-certs: `start` is a multiple of the smallest power of
//! two that is not below `end - start`, so that a subtree's hash is the hash of a tree over those leaves alone.

mod frontier;
mod prove;
mod verify;

use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::ids::NodeHash;

pub use frontier::Frontier;
pub use prove::{
    MemoryTree, NodeSource, ProveError, covering_subtrees, prove_consistency, prove_explicit_consistency,
    prove_inclusion, prove_subtree_consistency, prove_subtree_inclusion, root_of, subtree_hash,
};
pub use verify::{
    explicit_consistency_roots, root_from_inclusion, verify_consistency, verify_inclusion, verify_subtree_consistency,
    verify_subtree_inclusion,
};

/// Hash of an inner node: SHA-256(0x01 || left || right).
pub fn node_hash(left: &NodeHash, right: &NodeHash) -> NodeHash {
    let mut hash = Sha256::new_with_prefix([1u8]);
    hash.update(left.0);
    hash.update(right.0);
    NodeHash(hash.finalize().into())
}

/// Hash of arbitrary leaf data: SHA-256(0x00 || data).
pub fn leaf_hash(data: &[u8]) -> NodeHash {
    NodeHash(Sha256::new_with_prefix([0u8]).chain_update(data).finalize().into())
}

/// Root of the tree without leaves: SHA-256 of nothing.
pub fn empty_root() -> NodeHash {
    NodeHash(Sha256::digest([]).into())
}

/// Whether `[start, end)` is a subtree: not reversed, and aligned to its own rounded-up size. May be empty.
pub fn is_subtree(start: u64, end: u64) -> bool {
    match end.checked_sub(start) {
        Some(0) => true,
        Some(len) => len.checked_next_power_of_two().is_some_and(|unit| start.is_multiple_of(unit)),
        None => false,
    }
}

/// Root over the given leaf hashes.
pub fn root_over(leaves: &[NodeHash]) -> NodeHash {
    let mut frontier = Frontier::new();
    for leaf in leaves {
        frontier.append(*leaf);
    }
    frontier.root()
}

/// Largest power of two below `n`, the size of the left child; `n` is at least 2.
fn left_size(n: u64) -> u64 {
    n.next_power_of_two() / 2
}

/// Why a proof or a frontier is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MerkleError {
    /// Larger than any tree that this protocol handles.
    #[error("tree size {0} is over the limit")]
    SizeOverLimit(u64),
    /// The leaf is not in the tree or subtree.
    #[error("leaf {index} is not in [{start}, {end})")]
    IndexOutside {
        /// Leaf index.
        index: u64,
        /// First leaf of the subtree.
        start: u64,
        /// End of the subtree, exclusive.
        end: u64,
    },
    /// Not a subtree, or not one of a tree of this size.
    #[error("[{start}, {end}) is no subtree of a tree of {size} leaves")]
    NoSubtree {
        /// First leaf.
        start: u64,
        /// End, exclusive.
        end: u64,
        /// Size of the tree.
        size: u64,
    },
    /// A consistency proof from a larger tree, or from the empty tree, which proves nothing.
    #[error("no consistency proof leads from size {from} to size {to}")]
    SizeOrder {
        /// Older size.
        from: u64,
        /// Newer size.
        to: u64,
    },
    /// Too few or too many hashes for the sizes.
    #[error("wrong number of hashes")]
    ProofLength,
    /// The hashes do not lead to the older root or the subtree's hash.
    #[error("proof does not lead to the older root")]
    OldRoot,
    /// The hashes do not lead to the root.
    #[error("proof does not lead to the root")]
    Root,
}

#[cfg(test)]
mod tests;
