//! The audit bundle: names and contents of the files that a hub exports and `cresset-audit` replays offline.
//!
//! Per log the static layout of C2SP tlog-tiles, with what that layout has no place for beside it. Pure functions: who
//! reads and writes files is not here.

use minicbor::{Decode, Encode};
use thiserror::Error;

use crate::codec::{self, CodecError};
use crate::domain;
use crate::ids::{ConsortiumId, LeafIndex, LogId, PolicyDigest, RosterVersion, TreeSize, UnixSeconds};
use crate::limits::{BUNDLE_FILES_MAX, BUNDLE_MANIFEST_BYTES_MAX};
use crate::log::checkpoint::Origin;
use crate::log::leaf::{LEAF_BYTES, Leaf, LeafError};
use crate::log::record::Opening;
use crate::log::tile::{TILE_WIDTH, TileId, number_path};

/// Path of the bundle's manifest, the one file that it does not list.
pub const MANIFEST_PATH: &str = "manifest.cbor";
/// Version of the layout.
pub const LAYOUT_VERSION: u16 = 1;

/// Path of a signed roster version.
pub fn roster_path(version: RosterVersion) -> String {
    format!("roster/{:08}.cbor", version.0)
}

/// Path of a policy bundle.
pub fn policy_path(digest: &PolicyDigest) -> String {
    format!("policy/{digest}.cbor")
}

/// Paths of one log, all below `logs/<log id>/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogPaths(pub LogId);

impl LogPaths {
    /// Note of the newest checkpoint.
    pub fn checkpoint(&self) -> String {
        self.under("checkpoint")
    }

    /// Note of an earlier checkpoint.
    pub fn checkpoint_at(&self, size: TreeSize) -> String {
        self.under(&format!("checkpoints/{:015}", size.0))
    }

    /// A tile with its width.
    pub fn tile(&self, tile: TileId, width: u64) -> String {
        self.under(&tile.path(width))
    }

    /// Leaves `[256 n, 256 n + width)`, u16-length-prefixed.
    pub fn leaves(&self, n: u64, width: u64) -> String {
        self.under(&format!("tile/entries/{}", number_path(n, width)))
    }

    /// What stands beside those leaves: a [`Sidecar`].
    pub fn sidecar(&self, n: u64, width: u64) -> String {
        self.under(&format!("beside/{}", number_path(n, width)))
    }

    /// Audit part of one leaf: an encoded `AuditPart`.
    pub fn audit(&self, index: LeafIndex) -> String {
        self.under(&format!("audit/{:015}.cbor", index.0))
    }

    /// An observation of this log by another hub, or evidence against it.
    pub fn evidence(&self, number: u64) -> String {
        self.under(&format!("evidence/{number:06}.cbor"))
    }

    fn under(&self, path: &str) -> String {
        format!("logs/{}/{path}", self.0)
    }
}

/// The bundles of 256 leaves of a log of this size: number and width of each.
pub fn leaf_bundles(size: TreeSize) -> impl Iterator<Item = (u64, u64)> {
    (0..size.0.div_ceil(TILE_WIDTH)).map(move |n| (n, (size.0 - n * TILE_WIDTH).min(TILE_WIDTH)))
}

/// Encodes leaves as a tlog-tiles entry bundle: each with its length in two bytes, big-endian, in front.
pub fn encode_leaves(leaves: &[Leaf]) -> Vec<u8> {
    let mut out = Vec::with_capacity(leaves.len() * (2 + LEAF_BYTES));
    for leaf in leaves {
        out.extend_from_slice(&(LEAF_BYTES as u16).to_be_bytes());
        out.extend_from_slice(&leaf.to_bytes());
    }
    out
}

/// Decodes an entry bundle.
///
/// # Errors
/// A prefix other than 80, a truncated or malformed leaf, or more than 256 of them.
pub fn decode_leaves(bytes: &[u8]) -> Result<Vec<Leaf>, BundleError> {
    let mut leaves = Vec::with_capacity(bytes.len() / (2 + LEAF_BYTES));
    let mut rest = bytes;
    while !rest.is_empty() {
        let (len, after) = rest.split_first_chunk::<2>().ok_or(BundleError::Truncated)?;
        let len = usize::from(u16::from_be_bytes(*len));
        let (leaf, after) = after.split_at_checked(len).ok_or(BundleError::Truncated)?;
        leaves.push(Leaf::from_bytes(leaf)?);
        rest = after;
    }
    if leaves.len() as u64 > TILE_WIDTH { Err(BundleError::Count(leaves.len())) } else { Ok(leaves) }
}

/// What stands beside 256 leaves: headers, and the openings that the bundle has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Sidecar {
    /// In ascending position.
    #[n(0)]
    pub items: Vec<SidecarItem>,
}

/// What stands beside one leaf.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct SidecarItem {
    /// Position of the leaf in its bundle of 256.
    #[n(0)]
    pub position: u8,
    /// Envelope header in wire form.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub header: Option<Vec<u8>>,
    /// Opening: of a public kind, or a private one that the exporting hub knows.
    #[n(2)]
    pub opening: Option<Opening>,
}

impl Sidecar {
    /// Largest encoding: every leaf with header and opening.
    pub const BYTES_MAX: usize = TILE_WIDTH as usize * crate::limits::ENTRY_BYTES_MAX;

    /// The one encoding.
    pub fn to_bytes(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Decodes and checks the order.
    ///
    /// # Errors
    /// Not canonical, out of order, or an item without content.
    pub fn decode(bytes: &[u8]) -> Result<Self, BundleError> {
        let sidecar: Self = codec::decode(bytes, Self::BYTES_MAX)?;
        let ascending = sidecar.items.windows(2).all(|pair| matches!(pair, [a, b] if a.position < b.position));
        let filled = sidecar.items.iter().all(|item| item.header.is_some() || item.opening.is_some());
        if ascending && filled { Ok(sidecar) } else { Err(BundleError::Sidecar) }
    }

    /// What stands beside the leaf at this position.
    pub fn get(&self, position: u8) -> Option<&SidecarItem> {
        self.items.binary_search_by_key(&position, |item| item.position).ok().and_then(|at| self.items.get(at))
    }
}

/// The manifest: what the bundle is about, and a digest of every other file in it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct BundleManifest {
    /// [`LAYOUT_VERSION`].
    #[n(0)]
    pub layout: u16,
    /// The consortium.
    #[n(1)]
    pub consortium: ConsortiumId,
    /// When it was exported.
    #[n(2)]
    pub created: UnixSeconds,
    /// Logs in ascending id; the exporting hub's own is the one with private openings.
    #[n(3)]
    pub logs: Vec<BundledLog>,
    /// Files in ascending path.
    #[n(4)]
    pub files: Vec<BundledFile>,
}

#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
struct SealedManifest {
    #[cbor(n(0), with = "minicbor::bytes")]
    manifest: Vec<u8>,
    #[cbor(n(1), with = "minicbor::bytes")]
    digest: [u8; 32],
}

/// One log of a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct BundledLog {
    /// The log.
    #[n(0)]
    pub log: LogId,
    /// Its origin.
    #[n(1)]
    pub origin: Origin,
    /// Leaves in the bundle: the size of its newest checkpoint.
    #[n(2)]
    pub size: TreeSize,
    /// Whether it is the exporting hub's own.
    #[n(3)]
    pub own: bool,
}

/// One file of a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct BundledFile {
    /// Path with `/`, relative to the bundle.
    #[n(0)]
    pub path: String,
    /// Length in bytes.
    #[n(1)]
    pub bytes: u64,
    /// Digest under the bundle's domain.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub digest: [u8; 32],
}

impl BundledFile {
    /// Describes a file.
    pub fn of(path: &str, content: &[u8]) -> Self {
        Self { path: path.to_owned(), bytes: content.len() as u64, digest: file_digest(content) }
    }

    /// Whether this is the content described.
    pub fn matches(&self, content: &[u8]) -> bool {
        self.bytes == content.len() as u64 && self.digest == file_digest(content)
    }
}

/// SHA-256(label || content).
pub fn file_digest(content: &[u8]) -> [u8; 32] {
    domain::BUNDLE.digest(&[content])
}

impl BundleManifest {
    /// The one encoding: `[canonical manifest, its digest]`. The seal shows damage of the one file that no other digests;
    /// against forgery it proves no more than any list of digests does.
    pub fn to_bytes(&self) -> Vec<u8> {
        let manifest = codec::encode(self);
        let digest = file_digest(&manifest);
        codec::encode(&SealedManifest { manifest, digest })
    }

    /// Decodes a manifest and checks seal, order, paths and version.
    ///
    /// # Errors
    /// A [`BundleError`]; among others for a path that could lead out of the bundle.
    pub fn decode(bytes: &[u8]) -> Result<Self, BundleError> {
        let sealed: SealedManifest = codec::decode(bytes, BUNDLE_MANIFEST_BYTES_MAX)?;
        if sealed.digest != file_digest(&sealed.manifest) {
            return Err(BundleError::Seal);
        }
        let manifest: Self = codec::decode(&sealed.manifest, BUNDLE_MANIFEST_BYTES_MAX)?;
        if manifest.layout != LAYOUT_VERSION {
            return Err(BundleError::Layout(manifest.layout));
        }
        if manifest.files.len() > BUNDLE_FILES_MAX {
            return Err(BundleError::Count(manifest.files.len()));
        }
        if let Some(file) = manifest.files.iter().find(|file| !is_plain_path(&file.path)) {
            return Err(BundleError::Path(file.path.clone()));
        }
        let files = manifest.files.windows(2).all(|pair| matches!(pair, [a, b] if a.path < b.path));
        let logs = manifest.logs.windows(2).all(|pair| matches!(pair, [a, b] if a.log < b.log));
        if files && logs { Ok(manifest) } else { Err(BundleError::Order) }
    }

    /// Looks a file up.
    pub fn file(&self, path: &str) -> Option<&BundledFile> {
        self.files.binary_search_by(|file| file.path.as_str().cmp(path)).ok().and_then(|at| self.files.get(at))
    }
}

/// Relative, of plain names only: nothing that any file system could take for a way up or a device.
fn is_plain_path(path: &str) -> bool {
    let plain = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'.' || b == b'-')
    };
    path != MANIFEST_PATH && path.len() <= PATH_BYTES_MAX && path.split('/').all(plain)
}

const PATH_BYTES_MAX: usize = 160;

/// Why a file of a bundle is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BundleError {
    /// Not canonical, or not what it should be.
    #[error("malformed bundle file")]
    Codec(#[from] CodecError),
    /// An entry bundle ends inside an entry.
    #[error("entry bundle is truncated")]
    Truncated,
    /// Not a leaf.
    #[error("malformed leaf in an entry bundle")]
    Leaf(#[from] LeafError),
    /// More than allowed.
    #[error("{0} items are over the limit")]
    Count(usize),
    /// Positions out of order, or an item with nothing in it.
    #[error("sidecar items are out of order or empty")]
    Sidecar,
    /// A layout that this version does not know.
    #[error("unknown bundle layout {0}")]
    Layout(u16),
    /// A path with anything but plain names.
    #[error("`{0}` is no path of a bundle")]
    Path(String),
    /// The manifest was altered after it was made.
    #[error("manifest is not the one that was sealed")]
    Seal,
    /// Files or logs out of order or doubled.
    #[error("manifest is out of order")]
    Order,
}

#[cfg(test)]
#[path = "bundle_tests.rs"]
mod tests;
