//! The tree of one log: leaves streamed into a compact range, every tile compared, and look-ups in tiles that were.

use std::cell::RefCell;

use cresset_protocol::ids::{LeafIndex, NodeHash, TreeSize};
use cresset_protocol::log::bundle::LogPaths;
use cresset_protocol::log::leaf::LEAF_BYTES;
use cresset_protocol::log::merkle::{Frontier, MerkleError, leaf_hash, root_of, root_over};
use cresset_protocol::log::tile::{TILE_LEVEL_MAX, TILE_WIDTH, TileId, TileNodes};
use thiserror::Error;

use crate::bundle::{Bundle, BundleFault};

/// Builds the tree tile by tile. Memory: one row of at most 256 hashes for every tile level.
pub(crate) struct TreeBuilder<'a> {
    bundle: &'a Bundle<'a>,
    paths: LogPaths,
    rows: Vec<Row>,
    /// Over complete tiles of level 0: a tree over their roots is a tree over their leaves.
    complete: Frontier,
    /// Over the leaves of the tile in hand.
    open: Frontier,
}

#[derive(Default)]
struct Row {
    tile: u64,
    hashes: Vec<NodeHash>,
}

impl<'a> TreeBuilder<'a> {
    pub(crate) fn new(bundle: &'a Bundle<'a>, paths: LogPaths) -> Self {
        let rows = (0..=TILE_LEVEL_MAX).map(|_| Row::default()).collect();
        Self { bundle, paths, rows, complete: Frontier::new(), open: Frontier::new() }
    }

    /// Leaves so far.
    pub(crate) fn size(&self) -> u64 {
        self.complete.size().0 * TILE_WIDTH + self.open.size().0
    }

    /// Appends a leaf and returns its hash; a tile that it completes is compared.
    pub(crate) fn append(&mut self, leaf: &[u8]) -> Result<NodeHash, TreeFault> {
        let hash = leaf_hash(leaf);
        self.open.append(hash);
        if let Some(row) = self.rows.first_mut() {
            row.hashes.push(hash);
        }
        if self.open.size().0 == TILE_WIDTH {
            // 256 leaves make one perfect subtree: its root is all that is left of them.
            let root = self.open.root();
            self.open = Frontier::new();
            self.complete.append(root);
            self.close(0, root)?;
        }
        Ok(hash)
    }

    /// Root over the leaves so far.
    pub(crate) fn root(&self) -> Result<NodeHash, TreeFault> {
        let hashes = [self.complete.hashes(), self.open.hashes()].concat();
        Ok(Frontier::from_parts(TreeSize(self.size()), hashes)?.root())
    }

    /// Compares the partial tiles at the end of the log.
    pub(crate) fn finish(&self) -> Result<(), TreeFault> {
        for (level, row) in (0u8..).zip(&self.rows) {
            if !row.hashes.is_empty() {
                self.compare(level, row)?;
            }
        }
        Ok(())
    }

    /// Hash of an earlier leaf, out of the tile in hand or one that was compared.
    pub(crate) fn earlier(&self, index: LeafIndex) -> Option<NodeHash> {
        let position = usize::try_from(index.0 % TILE_WIDTH).ok()?;
        let row = self.rows.first()?;
        if row.tile == index.0 / TILE_WIDTH {
            return row.hashes.get(position).copied();
        }
        let tile = TileId { level: 0, index: index.0 / TILE_WIDTH };
        read_tile(self.bundle, self.paths, tile, TILE_WIDTH)?.get(position).copied()
    }

    fn close(&mut self, level: u8, root: NodeHash) -> Result<(), TreeFault> {
        let Some(row) = self.rows.get_mut(usize::from(level)) else { return Ok(()) };
        let full = std::mem::take(row);
        row.tile = full.tile + 1;
        self.compare(level, &full)?;
        let Some(above) = self.rows.get_mut(usize::from(level) + 1) else { return Ok(()) };
        above.hashes.push(root);
        if above.hashes.len() as u64 == TILE_WIDTH {
            let root = root_over(&above.hashes);
            self.close(level + 1, root)?;
        }
        Ok(())
    }

    fn compare(&self, level: u8, row: &Row) -> Result<(), TreeFault> {
        let tile = TileId { level, index: row.tile };
        let path = self.paths.tile(tile, row.hashes.len() as u64);
        let bytes = self.bundle.require(&path)?;
        let same = bytes.len() == row.hashes.len() * NodeHash::LEN
            && bytes.chunks_exact(NodeHash::LEN).zip(&row.hashes).all(|(found, hash)| found == hash.0);
        if same { Ok(()) } else { Err(TreeFault::Tile(path)) }
    }
}

/// The raw leaves of an entry bundle that has been decoded before.
pub(crate) fn raw_leaves(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.chunks_exact(2 + LEAF_BYTES).filter_map(|entry| entry.get(2..))
}

/// Nodes of a log that has been replayed, out of its tiles.
pub(crate) struct ReplayedTree<'a> {
    bundle: &'a Bundle<'a>,
    paths: LogPaths,
    size: TreeSize,
    last: RefCell<Vec<(TileId, Vec<NodeHash>)>>,
}

/// Tiles kept at hand: one for every level, and some more.
const TILES_CACHED_MAX: usize = 16;

impl<'a> ReplayedTree<'a> {
    pub(crate) fn new(bundle: &'a Bundle<'a>, paths: LogPaths, size: TreeSize) -> Self {
        Self { bundle, paths, size, last: RefCell::default() }
    }

    /// Root over the first leaves; `None` beyond the log.
    pub(crate) fn root_at(&self, size: TreeSize) -> Option<NodeHash> {
        if size > self.size {
            return None;
        }
        root_of(&TileNodes::new(|tile| self.tile(tile)), size).ok()
    }

    /// Hash of a leaf; `None` beyond the log.
    pub(crate) fn leaf(&self, index: LeafIndex) -> Option<NodeHash> {
        let tile = self.tile(TileId { level: 0, index: index.0 / TILE_WIDTH })?;
        tile.get(usize::try_from(index.0 % TILE_WIDTH).ok()?).copied()
    }

    /// The lowest index of each of these leaf hashes that is in the log.
    pub(crate) fn find(
        &self,
        hashes: &std::collections::BTreeSet<NodeHash>,
    ) -> std::collections::BTreeMap<NodeHash, u64> {
        let mut found = std::collections::BTreeMap::new();
        for number in 0..self.size.0.div_ceil(TILE_WIDTH) {
            let Some(tile) = self.tile(TileId { level: 0, index: number }) else { continue };
            for (position, hash) in (0u64..).zip(tile) {
                if hashes.contains(&hash) {
                    found.entry(hash).or_insert(number * TILE_WIDTH + position);
                }
            }
        }
        found
    }

    fn tile(&self, tile: TileId) -> Option<Vec<NodeHash>> {
        let width = tile.width_in(self.size);
        if width == 0 {
            return None;
        }
        let mut last = self.last.borrow_mut();
        if let Some((_, hashes)) = last.iter().find(|(cached, _)| *cached == tile) {
            return Some(hashes.clone());
        }
        let hashes = read_tile(self.bundle, self.paths, tile, width)?;
        if last.len() >= TILES_CACHED_MAX {
            last.remove(0);
        }
        last.push((tile, hashes.clone()));
        Some(hashes)
    }
}

fn read_tile(bundle: &Bundle<'_>, paths: LogPaths, tile: TileId, width: u64) -> Option<Vec<NodeHash>> {
    let bytes = bundle.require(&paths.tile(tile, width)).ok()?;
    bytes.chunks_exact(NodeHash::LEN).map(|hash| NodeHash::try_from(hash).ok()).collect()
}

/// Why leaves and tiles are no tree.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub(crate) enum TreeFault {
    #[error(transparent)]
    Bundle(#[from] BundleFault),
    #[error("tree cannot be built")]
    Merkle(#[from] MerkleError),
    #[error("tile `{0}` is not that of the leaves")]
    Tile(String),
}
