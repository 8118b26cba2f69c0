//! Keeps the specification and the workspace true. Holds nothing but what its tests share.

#![warn(missing_docs)]

use std::path::PathBuf;

/// Root of the workspace.
pub fn workspace() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}
