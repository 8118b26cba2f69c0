use super::{MerkleError, empty_root, node_hash};
use crate::ids::{NodeHash, TreeSize};
use crate::limits::TREE_SIZE_MAX;

/// Compact range from leaf 0: hashes of the perfect subtrees that make up the tree, largest (leftmost) first.
///
/// One per bit of the size, so at most 48 hashes stand for any history; appending needs nothing else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    hashes: Vec<NodeHash>,
}

impl Frontier {
    /// The frontier of the empty tree.
    pub const fn new() -> Self {
        Self { size: 0, hashes: Vec::new() }
    }

    /// Takes a size and its hashes as they came from disk or a peer. Only the root shows whether they are true.
    ///
    /// # Errors
    /// A size over the limit, or a number of hashes that does not fit the size.
    pub fn from_parts(size: TreeSize, hashes: Vec<NodeHash>) -> Result<Self, MerkleError> {
        if size.0 > TREE_SIZE_MAX {
            return Err(MerkleError::SizeOverLimit(size.0));
        }
        if hashes.len() != size.0.count_ones() as usize {
            return Err(MerkleError::ProofLength);
        }
        Ok(Self { size: size.0, hashes })
    }

    /// Number of leaves.
    pub const fn size(&self) -> TreeSize {
        TreeSize(self.size)
    }

    /// The perfect subtrees, leftmost first.
    pub fn hashes(&self) -> &[NodeHash] {
        &self.hashes
    }

    /// Appends one leaf hash.
    pub fn append(&mut self, leaf: NodeHash) {
        let mut hash = leaf;
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.hashes.pop() {
                hash = node_hash(&left, &hash);
            }
        }
        self.hashes.push(hash);
        self.size += 1;
    }

    /// Root of the tree.
    pub fn root(&self) -> NodeHash {
        let mut from_right = self.hashes.iter().rev();
        let Some(last) = from_right.next() else { return empty_root() };
        from_right.fold(*last, |right, left| node_hash(left, &right))
    }
}
