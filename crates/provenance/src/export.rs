//! Exporting an audit bundle: a directory that `cresset-audit` replays without this hub.
//!
//! The layout is `cresset_protocol::log::bundle`'s; the manifest, which digests every other file, is written last, so that
//! an interrupted export is no bundle.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use cresset_protocol::codec;
use cresset_protocol::ids::{ConsortiumId, LeafIndex, LogId, RosterVersion, TreeSize, UnixSeconds};
use cresset_protocol::log::bundle::{
    BundleManifest, BundledFile, BundledLog, LAYOUT_VERSION, LogPaths, MANIFEST_PATH, Sidecar, SidecarItem,
    encode_leaves, leaf_bundles, policy_path, roster_path,
};
use cresset_protocol::log::checkpoint::Origin;
use cresset_protocol::log::leaf::Leaf;
use cresset_protocol::log::record::Opening;
use cresset_protocol::log::tile::{TILE_WIDTH, tiles_of};

use crate::error::{Result, StoreError};
use crate::logs::{LogRecord, StoredHead};
use crate::store::Store;

/// What goes into a bundle.
#[derive(Clone, Debug)]
pub struct BundleScope {
    /// The consortium.
    pub consortium: ConsortiumId,
    /// The hub's own log.
    pub own: LogId,
    /// Logs to export.
    pub logs: LogSelection,
    /// What of the own log's openings is shown.
    pub openings: OpeningSelection,
    /// Signed rosters, as they came.
    pub rosters: Vec<(RosterVersion, Vec<u8>)>,
    /// Time of the export.
    pub created: UnixSeconds,
}

/// Which logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogSelection {
    /// Own and mirrored.
    All,
    /// These.
    Only(BTreeSet<LogId>),
}

/// Which private openings of the own log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpeningSelection {
    /// All that are held, with their audit parts: for the hub's auditor.
    Private,
    /// None.
    PublicOnly,
}

/// Rows read from the database at a time.
const ROWS_PER_READ: usize = 1_024;

impl Store {
    /// Writes a bundle into `dir`, which must be empty or absent; returns its manifest.
    ///
    /// Logs without a checkpoint over their stored leaves are left out: there is nothing to audit in them.
    ///
    /// # Errors
    /// [`StoreError::Foreign`] if `dir` is not empty, I/O errors, the database's.
    pub fn export_bundle(&self, dir: &Path, scope: &BundleScope) -> Result<BundleManifest> {
        let mut writer = BundleWriter::create(dir)?;
        let mut logs = Vec::new();
        for record in self.logs()? {
            let selected = match &scope.logs {
                LogSelection::All => true,
                LogSelection::Only(ids) => ids.contains(&record.id),
            };
            if !selected {
                continue;
            }
            if let Some(log) = self.export_log(&mut writer, &record, scope)? {
                logs.push(log);
            }
        }
        for (version, roster) in &scope.rosters {
            writer.add(&roster_path(*version), roster)?;
        }
        for (digest, bundle) in self.policies()? {
            writer.add(&policy_path(&digest), &bundle)?;
        }
        writer.finish(scope, logs)
    }

    fn export_log(
        &self,
        writer: &mut BundleWriter,
        record: &LogRecord,
        scope: &BundleScope,
    ) -> Result<Option<BundledLog>> {
        let heads = self.heads_over_stored_leaves(&record.id)?;
        let Some(newest) = heads.last() else { return Ok(None) };
        let size = newest.head.size;
        let own = record.id == scope.own;
        let paths = LogPaths(record.id);
        for head in &heads {
            writer.add(&paths.checkpoint_at(head.head.size), head.note.as_bytes())?;
        }
        writer.add(&paths.checkpoint(), newest.note.as_bytes())?;
        self.export_tiles(writer, record, size)?;
        let shows_private = own && scope.openings == OpeningSelection::Private;
        let private = if shows_private { self.private_openings(&record.id, size)? } else { BTreeMap::new() };
        self.export_leaves(writer, record, size, &private)?;
        if shows_private {
            self.export_audit_parts(writer, record, size)?;
        }
        for (number, (_, evidence)) in (0u64..).zip(self.evidence(&record.id)?) {
            writer.add(&paths.evidence(number), &evidence)?;
        }
        let origin = Origin::parse(&record.origin).map_err(|_| StoreError::Inconsistent { what: "log" })?;
        Ok(Some(BundledLog { log: record.id, origin, size, own }))
    }

    /// Heads whose leaves are all here, ascending. A mirror may hold a newer head than leaves.
    fn heads_over_stored_leaves(&self, log: &LogId) -> Result<Vec<StoredHead>> {
        let stored = self.log_size(log)?;
        let mut heads = Vec::new();
        let mut from = TreeSize(0);
        loop {
            let page = self.checkpoints(log, from, ROWS_PER_READ)?;
            let Some(last) = page.last() else { return Ok(heads) };
            from = TreeSize(last.head.size.0 + 1);
            heads.extend(page.into_iter().filter(|head| head.head.size <= stored));
        }
    }

    fn export_tiles(&self, writer: &mut BundleWriter, record: &LogRecord, size: TreeSize) -> Result<()> {
        let tree = self.tree(&record.id)?;
        for (tile, width) in tiles_of(size) {
            let hashes = tree.tile(tile.level, tile.index)?.ok_or(StoreError::Inconsistent { what: "tile" })?;
            let hashes = usize::try_from(width).ok().and_then(|width| hashes.get(..width));
            let hashes = hashes.ok_or(StoreError::Inconsistent { what: "tile" })?;
            let bytes: Vec<u8> = hashes.iter().flat_map(|hash| hash.0).collect();
            writer.add(&LogPaths(record.id).tile(tile, width), &bytes)?;
        }
        Ok(())
    }

    fn private_openings(&self, log: &LogId, size: TreeSize) -> Result<BTreeMap<u64, Opening>> {
        let mut out = BTreeMap::new();
        let mut from = LeafIndex(0);
        loop {
            let page = self.openings(log, from, ROWS_PER_READ)?;
            let Some((last, _)) = page.last() else { return Ok(out) };
            from = LeafIndex(last.0 + 1);
            out.extend(
                page.into_iter().map(|(index, opening)| (index.0, opening)).filter(|(index, _)| *index < size.0),
            );
        }
    }

    fn export_leaves(
        &self,
        writer: &mut BundleWriter,
        record: &LogRecord,
        size: TreeSize,
        private: &BTreeMap<u64, Opening>,
    ) -> Result<()> {
        let paths = LogPaths(record.id);
        for (number, width) in leaf_bundles(size) {
            let start = number * TILE_WIDTH;
            let entries = self.entries(&record.id, start..start + width)?;
            let leaves: Vec<Leaf> = entries.iter().map(|entry| entry.leaf).collect();
            writer.add(&paths.leaves(number, width), &encode_leaves(&leaves))?;
            let mut items = Vec::new();
            for (position, entry) in (0u8..=u8::MAX).zip(entries) {
                let private = private.get(&(start + u64::from(position))).cloned();
                let item = SidecarItem { position, header: entry.header, opening: entry.opening.or(private) };
                if item.header.is_some() || item.opening.is_some() {
                    items.push(item);
                }
            }
            if !items.is_empty() {
                writer.add(&paths.sidecar(number, width), &Sidecar { items }.to_bytes())?;
            }
        }
        Ok(())
    }

    fn export_audit_parts(&self, writer: &mut BundleWriter, record: &LogRecord, size: TreeSize) -> Result<()> {
        let mut from = LeafIndex(0);
        loop {
            // One at a time: the audit part of a RELEASE may have megabytes.
            let page = self.audit_parts(&record.id, from, 1)?;
            let Some((index, audit)) = page.first().filter(|(index, _)| index.0 < size.0) else { return Ok(()) };
            writer.add(&LogPaths(record.id).audit(*index), &codec::encode(audit))?;
            from = LeafIndex(index.0 + 1);
        }
    }
}

/// Writes files below one directory and remembers their digests.
struct BundleWriter {
    dir: PathBuf,
    files: BTreeMap<String, BundledFile>,
}

impl BundleWriter {
    fn create(dir: &Path) -> Result<Self> {
        std::fs::create_dir_all(dir).map_err(StoreError::io(dir))?;
        let occupied = std::fs::read_dir(dir).map_err(StoreError::io(dir))?.next().is_some();
        if occupied {
            return Err(StoreError::Foreign { what: "file in the directory to export to" });
        }
        Ok(Self { dir: dir.to_owned(), files: BTreeMap::new() })
    }

    fn add(&mut self, path: &str, content: &[u8]) -> Result<()> {
        self.write(path, content)?;
        self.files.insert(path.to_owned(), BundledFile::of(path, content));
        Ok(())
    }

    fn write(&self, path: &str, content: &[u8]) -> Result<()> {
        // Paths are of our own making; a component that leads elsewhere would be a bug worth stopping at.
        let plain = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
        let full = self.dir.join(path);
        let parent = full.parent().filter(|_| plain).ok_or(StoreError::Inconsistent { what: "bundle path" })?;
        std::fs::create_dir_all(parent).map_err(StoreError::io(parent))?;
        std::fs::write(&full, content).map_err(StoreError::io(&full))
    }

    fn finish(self, scope: &BundleScope, logs: Vec<BundledLog>) -> Result<BundleManifest> {
        let manifest = BundleManifest {
            layout: LAYOUT_VERSION,
            consortium: scope.consortium,
            created: scope.created,
            logs,
            files: self.files.values().cloned().collect(),
        };
        self.write(MANIFEST_PATH, &manifest.to_bytes())?;
        Ok(manifest)
    }
}
