//! What can go wrong with the store.

use std::path::PathBuf;

use cresset_protocol::ids::{LeafIndex, LogId, TreeSize};
use thiserror::Error;

/// Faults of the store.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process has the database open.
    #[error(
        "the database `{path}` is in use by another process\nhint: is `cresset run` active already? one node per data directory"
    )]
    Locked {
        /// Its directory.
        path: PathBuf,
    },
    /// No space left.
    #[error(
        "no space left on the file system of `{path}`\nhint: free some space and restart the node; nothing acknowledged is lost"
    )]
    DiskFull {
        /// Directory on that file system.
        path: PathBuf,
    },
    /// RocksDB found a checksum mismatch or a damaged file.
    #[error("the database is damaged: {detail}\nhint: stop the node, keep the directory, and rebuild it from peers")]
    Damaged {
        /// RocksDB's words.
        detail: String,
    },
    /// Written by a newer version.
    #[error("the database has schema version {found}, this program knows up to {known}\nhint: use the newer program")]
    NewerSchema {
        /// On disk.
        found: u32,
        /// Of this program.
        known: u32,
    },
    /// No database where one was expected.
    #[error("there is no database at `{path}`\nhint: create one with `cresset init`")]
    Absent {
        /// Its directory.
        path: PathBuf,
    },
    /// Any other input or output error.
    #[error("reading or writing `{path}` failed")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The operating system's reason.
        #[source]
        source: std::io::Error,
    },
    /// Any other refusal of RocksDB.
    #[error("the database refused: {detail}")]
    Database {
        /// RocksDB's words.
        detail: String,
    },
    /// A stored row that does not decode, or contradicts another.
    #[error(
        "a stored row is inconsistent: {what}\nhint: run `cresset doctor`; the range can be fetched again from a peer"
    )]
    Inconsistent {
        /// Which.
        what: &'static str,
    },
    /// No log of this id.
    #[error("unknown log `{log}`")]
    UnknownLog {
        /// The id.
        log: LogId,
    },
    /// Leaves offered that do not continue the stored ones.
    #[error("leaves from index {offered} offered where the log has {size}")]
    NotContiguous {
        /// First index offered.
        offered: LeafIndex,
        /// Leaves stored.
        size: TreeSize,
    },
    /// Leaves offered that do not hash to the head that came with them.
    #[error("the leaves do not give the root of their head at size {size}")]
    RootMismatch {
        /// Size of that head.
        size: TreeSize,
    },
    /// A leaf index beyond the stored ones.
    #[error("the log has {size} leaves, index {index} was asked for")]
    OutOfRange {
        /// Asked for.
        index: LeafIndex,
        /// Stored.
        size: TreeSize,
    },
    /// The bytes were destroyed after a WITHDRAW or ERASE and are not taken again.
    #[error("these bytes were erased")]
    Erased,
    /// The data directory belongs to another consortium, hub or log.
    #[error("the data directory holds another {what}")]
    Foreign {
        /// What differs.
        what: &'static str,
    },
    /// The fence holds another value than expected.
    #[error("the fence `{path}` was moved by another writer\nhint: make sure that no second node writes this log")]
    FenceConflict {
        /// The fence file.
        path: PathBuf,
    },
    /// The data-key file or the key that wraps it is wrong.
    #[error("the data keys in `{path}` cannot be unwrapped")]
    DataKeys {
        /// Directory of the data keys.
        path: PathBuf,
    },
    /// The key store refused.
    #[error("the key store refused")]
    KeyStore(#[from] cresset_token::error::KeyStoreError),
}

impl StoreError {
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| match source.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Self::DiskFull { path },
            _ => Self::Io { path, source },
        }
    }
}

/// Result of a store operation.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;
