//! Tiles of a log: appending leaf hashes, recomputing the frontier, serving nodes for proofs.
//!
//! A tile holds 256 hashes of one level; level L of tiles is level 8·L of the tree (C2SP tlog-tiles). Full tiles never
//! change; the one tile per level that is not full yet, the *edge*, is rewritten with every commit.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use cresset_protocol::ids::{NodeHash, TreeSize};
use cresset_protocol::log::merkle::{Frontier, NodeSource, node_hash};
use cresset_protocol::log::tile::{self, TILE_HEIGHT, TILE_LEVEL_MAX};

use crate::db::{Batch, Db};
use crate::error::{Result, StoreError};
use crate::schema::{Cf, Key, LocalLog};

/// Hashes per tile.
const TILE_WIDTH: usize = tile::TILE_WIDTH as usize;

/// The right edge of a log's tiles: enough to append and to know the frontier.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Edges {
    levels: Vec<Vec<NodeHash>>,
    size: u64,
}

impl Edges {
    pub(crate) fn load(db: &Db, log: LocalLog) -> Result<Self> {
        let mut edges = Self::default();
        for level in 0..=TILE_LEVEL_MAX {
            let Some(bytes) = db.get(Cf::Edge, Key::log(log).then_byte(level))? else { break };
            let hashes = parse_hashes(&bytes).filter(|hashes| hashes.len() < TILE_WIDTH);
            let hashes = hashes.ok_or(StoreError::Inconsistent { what: "edge" })?;
            edges.size += (hashes.len() as u64) << (u32::from(level) * u32::from(TILE_HEIGHT));
            edges.levels.push(hashes);
        }
        Ok(edges)
    }

    pub(crate) fn size(&self) -> TreeSize {
        TreeSize(self.size)
    }

    /// Appends leaf hashes and writes full tiles and edges into `batch`.
    pub(crate) fn append(&mut self, batch: &mut Batch<'_>, log: LocalLog, leaves: impl Iterator<Item = NodeHash>) {
        for leaf in leaves {
            self.push(batch, log, leaf);
        }
        for (level, hashes) in (0u8..).zip(&self.levels) {
            batch.put(Cf::Edge, Key::log(log).then_byte(level), concat(hashes));
        }
    }

    /// The compact range over all leaves.
    pub(crate) fn frontier(&self) -> Result<Frontier> {
        let mut hashes = Vec::new();
        for level in self.levels.iter().rev() {
            let mut rest = level.as_slice();
            while let Some((perfect, after)) =
                rest.len().checked_ilog2().and_then(|bits| rest.split_at_checked(1 << bits))
            {
                hashes.push(perfect_root(perfect));
                rest = after;
            }
        }
        Frontier::from_parts(self.size(), hashes).map_err(|_| StoreError::Inconsistent { what: "edge" })
    }

    fn push(&mut self, batch: &mut Batch<'_>, log: LocalLog, leaf: NodeHash) {
        self.size += 1;
        let mut carried = Some(leaf);
        let mut complete = self.size;
        for level in 0u8.. {
            let Some(hash) = carried.take() else { return };
            if self.levels.len() <= usize::from(level) {
                self.levels.push(Vec::new());
            }
            let Some(hashes) = self.levels.get_mut(usize::from(level)) else { return };
            hashes.push(hash);
            complete >>= TILE_HEIGHT;
            if hashes.len() == TILE_WIDTH {
                batch.put(Cf::Tile, tile_key(log, level, complete - 1), concat(hashes));
                carried = Some(perfect_root(hashes));
                hashes.clear();
            }
        }
    }
}

/// Nodes of one log as they stood when it was created; full tiles are read when needed and kept.
pub struct LogTree<'a> {
    db: &'a Db,
    log: LocalLog,
    edges: Edges,
    tiles: RefCell<BTreeMap<(u8, u64), Rc<ExpandedTile>>>,
    fault: RefCell<Option<StoreError>>,
}

impl<'a> LogTree<'a> {
    pub(crate) fn new(db: &'a Db, log: LocalLog, edges: Edges) -> Self {
        Self { db, log, edges, tiles: RefCell::default(), fault: RefCell::default() }
    }

    /// Leaves of the tree.
    pub fn size(&self) -> TreeSize {
        self.edges.size()
    }

    /// Why a node was not there, if reading failed.
    pub fn take_fault(&self) -> Option<StoreError> {
        self.fault.borrow_mut().take()
    }

    /// Frontier over the first `size` leaves.
    ///
    /// # Errors
    /// A tile that cannot be read, or a size beyond the tree.
    pub fn frontier_at(&self, size: TreeSize) -> Result<Frontier> {
        let absent = || self.take_fault().unwrap_or(StoreError::Inconsistent { what: "tile" });
        if size > self.size() {
            return Err(absent());
        }
        let mut hashes = Vec::new();
        let mut start = 0u64;
        for level in (0..48u8).rev().filter(|level| size.0 >> level & 1 == 1) {
            hashes.push(self.node(level, start >> level).ok_or_else(absent)?);
            start += 1 << level;
        }
        Frontier::from_parts(size, hashes).map_err(|_| StoreError::Inconsistent { what: "tile" })
    }

    /// The hashes of a tile, full or not, as the static layout serves it.
    ///
    /// # Errors
    /// The database's.
    pub fn tile(&self, level: u8, number: u64) -> Result<Option<Vec<NodeHash>>> {
        Ok(self.expanded(level, number)?.map(|tile| tile.levels.first().cloned().unwrap_or_default()))
    }

    fn expanded(&self, level: u8, number: u64) -> Result<Option<Rc<ExpandedTile>>> {
        if let Some(tile) = self.tiles.borrow().get(&(level, number)) {
            return Ok(Some(Rc::clone(tile)));
        }
        let full_tiles = self.edges.size.checked_shr((u32::from(level) + 1) * u32::from(TILE_HEIGHT)).unwrap_or(0);
        let hashes = if number < full_tiles {
            let bytes = self.db.get(Cf::Tile, tile_key(self.log, level, number))?;
            let hashes = bytes.as_deref().and_then(parse_hashes).filter(|hashes| hashes.len() == TILE_WIDTH);
            hashes.ok_or(StoreError::Inconsistent { what: "tile" })?
        } else {
            match self.edges.levels.get(usize::from(level)) {
                Some(hashes) if number == full_tiles && !hashes.is_empty() => hashes.clone(),
                _ => return Ok(None),
            }
        };
        let tile = Rc::new(ExpandedTile::new(hashes));
        self.tiles.borrow_mut().insert((level, number), Rc::clone(&tile));
        Ok(Some(tile))
    }
}

impl NodeSource for LogTree<'_> {
    fn node(&self, level: u8, index: u64) -> Option<NodeHash> {
        let (tile_level, inner) = (level / TILE_HEIGHT, level % TILE_HEIGHT);
        let per_tile = TILE_WIDTH as u64 >> inner;
        match self.expanded(tile_level, index / per_tile) {
            Ok(tile) => {
                let row = usize::try_from(index % per_tile).ok()?;
                tile?.levels.get(usize::from(inner))?.get(row).copied()
            }
            Err(fault) => {
                *self.fault.borrow_mut() = Some(fault);
                None
            }
        }
    }
}

/// A tile with its inner nodes, so that a thousand proofs hash each tile once.
struct ExpandedTile {
    levels: Vec<Vec<NodeHash>>,
}

impl ExpandedTile {
    fn new(hashes: Vec<NodeHash>) -> Self {
        let mut levels = vec![hashes];
        while let Some(below) = levels.last().filter(|below| below.len() > 1) {
            levels.push(pair_up(below));
        }
        Self { levels }
    }
}

/// Roots of the complete pairs.
fn pair_up(hashes: &[NodeHash]) -> Vec<NodeHash> {
    let (pairs, _) = hashes.as_chunks::<2>();
    pairs.iter().map(|[left, right]| node_hash(left, right)).collect()
}

/// Root over a power of two of hashes.
fn perfect_root(hashes: &[NodeHash]) -> NodeHash {
    let mut row = pair_up(hashes);
    while row.len() > 1 {
        row = pair_up(&row);
    }
    row.first().or(hashes.first()).copied().unwrap_or(NodeHash([0; 32]))
}

fn tile_key(log: LocalLog, level: u8, number: u64) -> Key {
    Key::log(log).then_byte(level).then_number(number)
}

fn parse_hashes(bytes: &[u8]) -> Option<Vec<NodeHash>> {
    let (hashes, rest) = bytes.as_chunks::<32>();
    rest.is_empty().then(|| hashes.iter().map(|hash| NodeHash(*hash)).collect())
}

fn concat(hashes: &[NodeHash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.0).collect()
}
