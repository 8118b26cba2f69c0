use super::{Frontier, MerkleError, empty_root, is_subtree, left_size, node_hash};
use crate::ids::{LeafIndex, NodeHash, TreeSize};
use crate::limits::TREE_SIZE_MAX;

/// Gives out hashes of perfect subtrees: the node at `level` (0 = leaves) and `index` covers the leaves
/// `[index << level, (index + 1) << level)`.
pub trait NodeSource {
    /// The node's hash, if all its leaves are there.
    fn node(&self, level: u8, index: u64) -> Option<NodeHash>;
}

/// Why a proof cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProveError {
    /// The question makes no sense.
    #[error(transparent)]
    Merkle(#[from] MerkleError),
    /// The source lacks a node that the tree must have.
    #[error("node {index} of level {level} is missing")]
    Missing {
        /// Level, 0 for leaves.
        level: u8,
        /// Index within the level.
        index: u64,
    },
}

/// Hash of the subtree `[start, end)`.
///
/// # Errors
/// Not a subtree, or a missing node.
pub fn subtree_hash(nodes: &dyn NodeSource, start: u64, end: u64) -> Result<NodeHash, ProveError> {
    if end > TREE_SIZE_MAX || !is_subtree(start, end) {
        return Err(MerkleError::NoSubtree { start, end, size: end }.into());
    }
    if start == end { Ok(empty_root()) } else { range_hash(nodes, start, end) }
}

/// Root of the first `size` leaves.
///
/// # Errors
/// A missing node.
pub fn root_of(nodes: &dyn NodeSource, size: TreeSize) -> Result<NodeHash, ProveError> {
    subtree_hash(nodes, 0, size.0)
}

/// Proof that a leaf is in the tree of `size`.
///
/// # Errors
/// An index outside the tree, or a missing node.
pub fn prove_inclusion(nodes: &dyn NodeSource, index: LeafIndex, size: TreeSize) -> Result<Vec<NodeHash>, ProveError> {
    prove_subtree_inclusion(nodes, index, 0..size.0)
}

/// Proof that a leaf is in the subtree.
///
/// # Errors
/// Not a subtree, an index outside it, or a missing node.
pub fn prove_subtree_inclusion(
    nodes: &dyn NodeSource,
    index: LeafIndex,
    subtree: std::ops::Range<u64>,
) -> Result<Vec<NodeHash>, ProveError> {
    let (mut start, mut end) = (subtree.start, subtree.end);
    if end > TREE_SIZE_MAX || !is_subtree(start, end) {
        return Err(MerkleError::NoSubtree { start, end, size: end }.into());
    }
    if !subtree.contains(&index.0) {
        return Err(MerkleError::IndexOutside { index: index.0, start, end }.into());
    }
    let mut from_root = Vec::new();
    while end - start > 1 {
        let middle = start + left_size(end - start);
        if index.0 < middle {
            from_root.push(range_hash(nodes, middle, end)?);
            end = middle;
        } else {
            from_root.push(range_hash(nodes, start, middle)?);
            start = middle;
        }
    }
    from_root.reverse();
    Ok(from_root)
}

/// Proof that the tree of `old_size` is a prefix of the tree of `new_size`.
///
/// # Errors
/// Sizes out of order, or a missing node.
pub fn prove_consistency(
    nodes: &dyn NodeSource,
    old_size: TreeSize,
    new_size: TreeSize,
) -> Result<Vec<NodeHash>, ProveError> {
    if old_size.0 == 0 || old_size > new_size {
        return Err(MerkleError::SizeOrder { from: old_size.0, to: new_size.0 }.into());
    }
    prove_subtree_consistency(nodes, 0..old_size.0, new_size)
}

/// Proof that a subtree is part of the tree of `size`.
///
/// # Errors
/// Not a subtree of that tree, or a missing node.
pub fn prove_subtree_consistency(
    nodes: &dyn NodeSource,
    subtree: std::ops::Range<u64>,
    size: TreeSize,
) -> Result<Vec<NodeHash>, ProveError> {
    let (start, end) = (subtree.start, subtree.end);
    if size.0 > TREE_SIZE_MAX || end > size.0 || !is_subtree(start, end) {
        return Err(MerkleError::NoSubtree { start, end, size: size.0 }.into());
    }
    if start == end {
        return Ok(Vec::new());
    }
    descend(nodes, subtree, size.0, SeedPlace::Omitted)
}

/// A consistency proof that carries its seed, so that it shows the older root instead of assuming it.
///
/// # Errors
/// Sizes out of order, or a missing node.
pub fn prove_explicit_consistency(
    nodes: &dyn NodeSource,
    old_size: TreeSize,
    new_size: TreeSize,
) -> Result<Vec<NodeHash>, ProveError> {
    if old_size.0 == 0 || old_size > new_size || new_size.0 > TREE_SIZE_MAX {
        return Err(MerkleError::SizeOrder { from: old_size.0, to: new_size.0 }.into());
    }
    descend(nodes, 0..old_size.0, new_size.0, SeedPlace::InProof)
}

/// The one or two subtrees that cover `[start, end)` with fewest surplus leaves on the left; the second may be empty.
pub fn covering_subtrees(start: u64, end: u64) -> (std::ops::Range<u64>, std::ops::Range<u64>) {
    if end.saturating_sub(start) <= 1 {
        return (start..end, end..end);
    }
    let last = end - 1;
    // Everything below the highest bit in which the two ends differ can be split off on the right.
    let split = 63 - (start ^ last).leading_zeros();
    let mask = (1u64 << split) - 1;
    let middle = last & !mask;
    // On the left, the tree can start where the remaining low bits of `start` begin.
    let left_split = 64 - (!start & mask).leading_zeros();
    let left_start = start & !((1u64 << left_split) - 1);
    (left_start..middle, middle..end)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum SeedPlace {
    Omitted,
    InProof,
}

fn descend(
    nodes: &dyn NodeSource,
    subtree: std::ops::Range<u64>,
    size: u64,
    seed: SeedPlace,
) -> Result<Vec<NodeHash>, ProveError> {
    // (low, high) is the node under consideration; the subtree lies inside it all the way down.
    let (mut low, mut high, mut start, mut seed) = (0, size, subtree.start, seed);
    let end = subtree.end;
    let mut from_root = Vec::new();
    while (low, high) != (start, end) {
        let middle = low + left_size(high - low);
        if end <= middle {
            from_root.push(range_hash(nodes, middle, high)?);
            high = middle;
        } else {
            if start < middle {
                seed = SeedPlace::InProof;
                start = middle;
            }
            from_root.push(range_hash(nodes, low, middle)?);
            low = middle;
        }
    }
    if seed == SeedPlace::InProof {
        from_root.push(range_hash(nodes, low, high)?);
    }
    from_root.reverse();
    Ok(from_root)
}

/// Hash over an aligned, non-empty range.
fn range_hash(nodes: &dyn NodeSource, start: u64, end: u64) -> Result<NodeHash, ProveError> {
    let len = end - start;
    if len.is_power_of_two() {
        let level = len.trailing_zeros() as u8;
        let index = start >> level;
        return nodes.node(level, index).ok_or(ProveError::Missing { level, index });
    }
    let middle = start + left_size(len);
    Ok(node_hash(&range_hash(nodes, start, middle)?, &range_hash(nodes, middle, end)?))
}

/// A whole tree in memory, for slots, simulations and tests.
#[derive(Clone, Debug, Default)]
pub struct MemoryTree {
    levels: Vec<Vec<NodeHash>>,
    frontier: Frontier,
}

impl MemoryTree {
    /// The empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends one leaf hash.
    pub fn append(&mut self, leaf: NodeHash) {
        self.frontier.append(leaf);
        let mut hash = leaf;
        for level in 0.. {
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            let Some(row) = self.levels.get_mut(level) else { return };
            row.push(hash);
            match row.as_slice() {
                [.., left, right] if row.len().is_multiple_of(2) => hash = node_hash(left, right),
                _ => return,
            }
        }
    }

    /// Number of leaves.
    pub const fn size(&self) -> TreeSize {
        self.frontier.size()
    }

    /// Root over all leaves.
    pub fn root(&self) -> NodeHash {
        self.frontier.root()
    }

    /// Compact range over all leaves.
    pub const fn frontier(&self) -> &Frontier {
        &self.frontier
    }
}

impl NodeSource for MemoryTree {
    fn node(&self, level: u8, index: u64) -> Option<NodeHash> {
        self.levels.get(usize::from(level))?.get(usize::try_from(index).ok()?).copied()
    }
}

impl FromIterator<NodeHash> for MemoryTree {
    fn from_iter<I: IntoIterator<Item = NodeHash>>(leaves: I) -> Self {
        let mut tree = Self::new();
        leaves.into_iter().for_each(|leaf| tree.append(leaf));
        tree
    }
}
