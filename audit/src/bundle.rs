//! An opened bundle: its manifest is sound, and exactly the files that it lists are there.

use cresset_policy::bundle::BUNDLE_BYTES_MAX as POLICY_BYTES_MAX;
use cresset_protocol::ids::{LogId, PolicyDigest, TreeSize};
use cresset_protocol::limits::{
    BUNDLE_FILES_MAX, BUNDLE_MANIFEST_BYTES_MAX, NOTE_BYTES_MAX, RELEASE_AUDIT_BYTES_MAX, ROSTER_FRAME_BYTES_MAX,
    SHARE_BYTES_MAX,
};
use cresset_protocol::log::bundle::{BundleError, BundleManifest, BundledLog, MANIFEST_PATH, Sidecar, file_digest};
use cresset_protocol::log::leaf::LEAF_BYTES;
use cresset_protocol::log::tile::{TILE_WIDTH, TileId, parse_number_path};
use thiserror::Error;

use crate::source::{Source, SourceError};

/// A bundle whose every file is the one that its manifest digests.
pub struct Bundle<'s> {
    source: &'s dyn Source,
    manifest: BundleManifest,
    digest: [u8; 32],
}

impl<'s> Bundle<'s> {
    /// Opens a bundle: manifest, list of files, digest of every file.
    ///
    /// # Errors
    /// A [`BundleFault`] names the first thing that is not as the manifest says.
    pub fn open(source: &'s dyn Source) -> Result<Self, BundleFault> {
        let bytes = source.read(MANIFEST_PATH, BUNDLE_MANIFEST_BYTES_MAX)?;
        let manifest = BundleManifest::decode(&bytes)?;
        if manifest.logs.iter().filter(|log| log.own).count() > 1 {
            return Err(BundleFault::TwoOwners);
        }
        let found = source.paths(BUNDLE_FILES_MAX + 1)?;
        if let Some(surplus) = found.iter().find(|path| *path != MANIFEST_PATH && manifest.file(path).is_none()) {
            return Err(BundleFault::Surplus(surplus.clone()));
        }
        let bundle = Self { source, digest: file_digest(&bytes), manifest };
        for file in &bundle.manifest.files {
            if !found.contains(&file.path) {
                return Err(BundleFault::Missing(file.path.clone()));
            }
            bundle.read(&file.path)?;
        }
        Ok(bundle)
    }

    /// The manifest.
    pub fn manifest(&self) -> &BundleManifest {
        &self.manifest
    }

    /// Digest of the manifest file: the bundle's name.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// A listed file, digested anew at every read, since it may have changed. `None` if the bundle has none of this path.
    ///
    /// # Errors
    /// A [`BundleFault`] if it is not what the manifest says.
    pub fn read(&self, path: &str) -> Result<Option<Vec<u8>>, BundleFault> {
        let Some(file) = self.manifest.file(path) else { return Ok(None) };
        let max = self.bytes_max(path).ok_or_else(|| BundleFault::Unknown(path.to_owned()))?;
        let content = self.source.read(path, max)?;
        if file.matches(&content) { Ok(Some(content)) } else { Err(BundleFault::Digest(path.to_owned())) }
    }

    /// A listed file that must be there.
    ///
    /// # Errors
    /// As [`Bundle::read`], and [`BundleFault::Missing`].
    pub fn require(&self, path: &str) -> Result<Vec<u8>, BundleFault> {
        self.read(path)?.ok_or_else(|| BundleFault::Missing(path.to_owned()))
    }

    /// Listed paths that begin so, ascending.
    pub fn below<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a str> {
        let from = self.manifest.files.partition_point(|file| file.path.as_str() < prefix);
        let files = self.manifest.files.get(from..).unwrap_or_default();
        files.iter().map(|file| file.path.as_str()).take_while(move |path| path.starts_with(prefix))
    }

    /// The limit for a path of the layout; `None` for anything else, so that nothing rides along unverified.
    fn bytes_max(&self, path: &str) -> Option<usize> {
        let (top, rest) = path.split_once('/')?;
        match top {
            "roster" => numbered(rest, 8).then_some(ROSTER_FRAME_BYTES_MAX),
            "policy" => PolicyDigest::from_hex(rest.strip_suffix(".cbor")?).ok().map(|_| POLICY_BYTES_MAX),
            "logs" => {
                let (id, rest) = rest.split_once('/')?;
                let log = self.log(&LogId::from_hex(id).ok()?)?;
                bytes_max_in_log(rest, log.size)
            }
            _ => None,
        }
    }

    fn log(&self, id: &LogId) -> Option<&BundledLog> {
        self.manifest.logs.binary_search_by_key(id, |log| log.log).ok().and_then(|at| self.manifest.logs.get(at))
    }
}

fn bytes_max_in_log(path: &str, size: TreeSize) -> Option<usize> {
    let in_log = |number: &str| {
        let (n, width) = parse_number_path(number)?;
        (TileId { level: 0, index: n }.width_in(size) == width).then_some(())
    };
    if path == "checkpoint" {
        return Some(NOTE_BYTES_MAX);
    }
    if let Some(number) = path.strip_prefix("tile/entries/") {
        return in_log(number).map(|()| TILE_WIDTH as usize * (2 + LEAF_BYTES));
    }
    if let Ok((tile, width)) = TileId::parse_path(path) {
        return (tile.width_in(size) == width).then_some(TILE_WIDTH as usize * 32);
    }
    let (kind, number) = path.split_once('/')?;
    match kind {
        "checkpoints" => {
            let covered = number.len() == 15 && number.parse::<u64>().is_ok_and(|at| at <= size.0);
            covered.then_some(NOTE_BYTES_MAX)
        }
        "beside" => in_log(number).map(|()| Sidecar::BYTES_MAX),
        "audit" => {
            let covered = numbered(number, 15) && number.get(..15)?.parse::<u64>().is_ok_and(|at| at < size.0);
            covered.then_some(RELEASE_AUDIT_BYTES_MAX + AUDIT_FRAME_BYTES)
        }
        "evidence" => numbered(number, 6).then_some(SHARE_BYTES_MAX),
        _ => None,
    }
}

/// Array head, blinding and length around the bytes of an audit part.
pub(crate) const AUDIT_FRAME_BYTES: usize = 64;

fn numbered(name: &str, digits: usize) -> bool {
    let number = name.strip_suffix(".cbor");
    number.is_some_and(|number| number.len() == digits && number.bytes().all(|b| b.is_ascii_digit()))
}

/// Why a directory is no sound bundle.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BundleFault {
    /// A file cannot be had.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The manifest, or another file of the layout, is malformed.
    #[error(transparent)]
    Layout(#[from] BundleError),
    /// Listed, but not there.
    #[error("`{0}` is missing")]
    Missing(String),
    /// There, but not listed.
    #[error("`{0}` is not listed in the manifest")]
    Surplus(String),
    /// Listed, but no part of the layout, or not of a log of this size.
    #[error("`{0}` has no place in a bundle like this")]
    Unknown(String),
    /// Not the content that was digested.
    #[error("`{0}` is not the file that the manifest digests")]
    Digest(String),
    /// One bundle is of one hub.
    #[error("two logs claim to be the exporting hub's own")]
    TwoOwners,
}
