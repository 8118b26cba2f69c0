//! Coordinates of C2SP tlog-tiles: 256 hashes of one height, stored and served as one file.

use thiserror::Error;

use crate::ids::{NodeHash, TreeSize};
use crate::limits::TREE_SIZE_MAX;
use crate::log::merkle::{NodeSource, node_hash};

/// Hashes in a full tile.
pub const TILE_WIDTH: u64 = 256;
/// Tree levels that one tile spans.
pub const TILE_HEIGHT: u8 = 8;
/// Highest tile level of a tree of [`TREE_SIZE_MAX`] leaves.
pub const TILE_LEVEL_MAX: u8 = 6;

/// Place of a tile: its hash `i` is the root of the perfect subtree number `index * 256 + i` of height `8 * level`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TileId {
    /// Tile level, 0 for leaf hashes.
    pub level: u8,
    /// Index within the level.
    pub index: u64,
}

impl TileId {
    /// Number of hashes that the tile has in a tree of `size` leaves: 0 (absent) to 256 (full).
    pub fn width_in(self, size: TreeSize) -> u64 {
        let hashes = size.0.checked_shr(u32::from(self.level) * u32::from(TILE_HEIGHT)).unwrap_or(0);
        hashes.saturating_sub(self.index.saturating_mul(TILE_WIDTH)).min(TILE_WIDTH)
    }

    /// The path below a log's prefix: `tile/<L>/<N>`, and `.p/<W>` for a partial tile.
    pub fn path(self, width: u64) -> String {
        format!("tile/{}/{}", self.level, number_path(self.index, width))
    }

    /// Reads a path back: the tile and its width.
    ///
    /// # Errors
    /// [`TilePathError`] for anything but the one path of a tile.
    pub fn parse_path(path: &str) -> Result<(Self, u64), TilePathError> {
        let error = || TilePathError(path.chars().take(64).collect());
        let (level, number) = path.strip_prefix("tile/").and_then(|rest| rest.split_once('/')).ok_or_else(error)?;
        let level: u8 = level.parse().map_err(|_| error())?;
        let (index, width) = parse_number_path(number).ok_or_else(error)?;
        let tile = Self { level, index };
        if level > TILE_LEVEL_MAX || tile.path(width) != path { Err(error()) } else { Ok((tile, width)) }
    }
}

/// `<N>[.p/<W>]` of tlog-tiles: three digits an element, all but the last with an `x` in front.
pub fn number_path(index: u64, width: u64) -> String {
    let mut path = format!("{:03}", index % 1000);
    let mut rest = index / 1000;
    while rest > 0 {
        path = format!("x{:03}/{path}", rest % 1000);
        rest /= 1000;
    }
    if width < TILE_WIDTH {
        path.push_str(&format!(".p/{width}"));
    }
    path
}

/// Reads `<N>[.p/<W>]` back.
pub fn parse_number_path(path: &str) -> Option<(u64, u64)> {
    let (number, width) = match path.split_once(".p/") {
        Some((number, width)) => (number, width.parse().ok().filter(|w| (1..TILE_WIDTH).contains(w))?),
        None => (path, TILE_WIDTH),
    };
    let mut index = 0u64;
    for element in number.split('/') {
        let digits = element.strip_prefix('x').unwrap_or(element);
        let value: u64 = digits.parse().ok().filter(|_| digits.len() == 3)?;
        index = index.checked_mul(1000)?.checked_add(value)?;
    }
    (index <= TREE_SIZE_MAX && number_path(index, width) == path).then_some((index, width))
}

/// Every tile of a tree with its width, lowest level first.
pub fn tiles_of(size: TreeSize) -> impl Iterator<Item = (TileId, u64)> {
    (0..=TILE_LEVEL_MAX).flat_map(move |level| {
        (0..).map(move |index| TileId { level, index }).map_while(move |tile| {
            let width = tile.width_in(size);
            (width > 0).then_some((tile, width))
        })
    })
}

/// Answers for every node out of tiles, partial ones included.
pub struct TileNodes<F> {
    tile: F,
}

impl<F: Fn(TileId) -> Option<Vec<NodeHash>>> TileNodes<F> {
    /// `tile` gives as many hashes of a tile as there are.
    pub const fn new(tile: F) -> Self {
        Self { tile }
    }
}

impl<F: Fn(TileId) -> Option<Vec<NodeHash>>> NodeSource for TileNodes<F> {
    fn node(&self, level: u8, index: u64) -> Option<NodeHash> {
        let (tile_level, height) = (level / TILE_HEIGHT, level % TILE_HEIGHT);
        // The node covers 2^height neighbouring hashes of one tile.
        let first = index.checked_shl(u32::from(height)).filter(|first| first >> height == index)?;
        let hashes = (self.tile)(TileId { level: tile_level, index: first / TILE_WIDTH })?;
        let from = usize::try_from(first % TILE_WIDTH).ok()?;
        perfect_root(hashes.get(from..from + (1 << height))?)
    }
}

/// Root over a power of two of neighbouring hashes.
fn perfect_root(hashes: &[NodeHash]) -> Option<NodeHash> {
    match hashes {
        [] => None,
        [one] => Some(*one),
        _ => {
            let (left, right) = hashes.split_at_checked(hashes.len() / 2)?;
            Some(node_hash(&perfect_root(left)?, &perfect_root(right)?))
        }
    }
}

/// A full tile's hash in the tile above.
pub fn tile_root(hashes: &[NodeHash]) -> Option<NodeHash> {
    if hashes.len() as u64 == TILE_WIDTH { perfect_root(hashes) } else { None }
}

/// A path that names no tile.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is no tile path")]
pub struct TilePathError(String);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::LeafIndex;
    use crate::log::merkle::{MemoryTree, leaf_hash, prove_consistency, prove_inclusion};
    use std::collections::BTreeMap;

    #[test]
    fn paths_have_one_form() {
        let check = |path: &str, expected: Option<(u8, u64, u64)>| {
            let found = TileId::parse_path(path).ok().map(|(tile, width)| (tile.level, tile.index, width));
            assert_eq!(found, expected, "{path}");
        };
        check("tile/4/001", Some((4, 1, 256)));
        check("tile/4/001.p/5", Some((4, 1, 5)));
        check("tile/0/x001/x234/067", Some((0, 1_234_067, 256)));
        check("tile/5/x123/x456/078.p/2", Some((5, 123_456_078, 2)));
        for wrong in [
            "tile/7/000",
            "tile/0/1",
            "tile/0/x000/001",
            "tile/0/123/456",
            "tile/0/x001",
            "tile/00/001",
            "tile/0/001.p/0",
            "tile/0/001.p/256",
            "tile/0/001.p/05",
            "tile/-1/001",
            "tile/0/+01",
            "tile/0/001/",
            "tile/0/x999/x999/x999/x999/x999/x999/x999/999",
        ] {
            check(wrong, None);
        }
    }

    // The example of tlog-tiles.
    #[test]
    fn a_tree_of_70000_has_the_tiles_of_the_specification() {
        let tiles: BTreeMap<TileId, u64> = tiles_of(TreeSize(70_000)).collect();
        let partial: Vec<_> = tiles.iter().filter(|(_, w)| **w < 256).map(|(t, w)| (t.level, t.index, *w)).collect();
        assert_eq!(tiles.len(), 273 + 1 + 1 + 1 + 1);
        assert_eq!(partial, [(0, 273, 112), (1, 1, 17), (2, 0, 1)]);
    }

    #[test]
    fn proofs_from_tiles_are_proofs_from_the_tree() {
        let size = 70_000u64;
        let tree: MemoryTree = (0..size).map(|i| leaf_hash(&i.to_be_bytes())).collect();
        let tile = |id: TileId| {
            let width = id.width_in(TreeSize(size));
            (0..width).map(|i| tree.node(id.level * TILE_HEIGHT, id.index * TILE_WIDTH + i)).collect()
        };
        let nodes = TileNodes::new(tile);
        for index in [0, 255, 256, 65_535, 65_536, 69_999] {
            let (a, b) = (LeafIndex(index), TreeSize(size));
            assert_eq!(prove_inclusion(&nodes, a, b), prove_inclusion(&tree, a, b), "{index}");
        }
        for old in [1, 255, 256, 257, 65_536, 69_999, 70_000] {
            let (a, b) = (TreeSize(old), TreeSize(size));
            assert_eq!(prove_consistency(&nodes, a, b), prove_consistency(&tree, a, b), "{old}");
        }
    }
}
