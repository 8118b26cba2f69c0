//! Heads of other logs: what a HEADS leaf states, and the root over all of them that its X is.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};

use crate::domain;
use crate::ids::{Binding, LogId, NodeHash, TreeSize};
use crate::log::merkle::{leaf_hash, root_over};

/// Size and root of one log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(array)]
pub struct LogHead {
    /// Which log.
    #[n(0)]
    pub log: LogId,
    /// Its size.
    #[n(1)]
    pub size: TreeSize,
    /// Its root.
    #[n(2)]
    pub root: NodeHash,
}

/// The newest head of every other log, as a hub's HEADS leaves have named them so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeadsTable {
    heads: BTreeMap<LogId, (TreeSize, NodeHash)>,
}

impl HeadsTable {
    /// No heads.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a head over. False, without effect, if it is no progress: the same size or a smaller one.
    pub fn advance(&mut self, head: LogHead) -> bool {
        let progress = self.heads.get(&head.log).is_none_or(|(size, _)| *size < head.size);
        if progress {
            self.heads.insert(head.log, (head.size, head.root));
        }
        progress
    }

    /// The head of one log.
    pub fn get(&self, log: &LogId) -> Option<LogHead> {
        self.heads.get(log).map(|(size, root)| LogHead { log: *log, size: *size, root: *root })
    }

    /// All heads in ascending log id.
    pub fn iter(&self) -> impl Iterator<Item = LogHead> + '_ {
        self.heads.iter().map(|(log, (size, root))| LogHead { log: *log, size: *size, root: *root })
    }

    /// X of the HEADS leaf: RFC 9162 root over SHA-256(0x00 || label || log id || size || root), ascending by log id.
    pub fn root(&self) -> Binding {
        let leaves: Vec<NodeHash> = self.iter().map(|head| head_leaf(&head)).collect();
        Binding(root_over(&leaves).0)
    }
}

impl FromIterator<LogHead> for HeadsTable {
    fn from_iter<I: IntoIterator<Item = LogHead>>(heads: I) -> Self {
        let mut table = Self::new();
        heads.into_iter().for_each(|head| {
            table.advance(head);
        });
        table
    }
}

fn head_leaf(head: &LogHead) -> NodeHash {
    leaf_hash(&domain::HEADS.message(&[&head.log.0, &head.size.0.to_be_bytes(), &head.root.0]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(log: u8, size: u64) -> LogHead {
        LogHead { log: LogId([log; 32]), size: TreeSize(size), root: NodeHash([size as u8; 32]) }
    }

    #[test]
    fn the_root_depends_on_the_heads_and_not_on_their_order() {
        let table: HeadsTable = [head(1, 5), head(2, 7)].into_iter().collect();
        let reversed: HeadsTable = [head(2, 7), head(1, 4), head(1, 5)].into_iter().collect();
        assert_eq!(table.root(), reversed.root());
        let other: HeadsTable = [head(1, 5), head(2, 8)].into_iter().collect();
        assert_ne!(table.root(), other.root());
    }

    #[test]
    fn heads_only_grow() {
        let mut table = HeadsTable::new();
        assert!(table.advance(head(1, 5)));
        assert!(!table.advance(head(1, 5)) && !table.advance(head(1, 4)));
        assert_eq!(table.get(&LogId([1; 32])), Some(head(1, 5)));
    }
}
