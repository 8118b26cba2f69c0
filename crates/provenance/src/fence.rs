//! The fence: one small file per log generation, outside the database, that remembers the newest head which may have been
//! signed. It catches a database that was restored from a backup or lost its synced tail.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use cresset_protocol::codec;
use cresset_protocol::log::checkpoint::Origin;
use cresset_protocol::log::writer::FenceValue;
use minicbor::{Decode, Encode};

use crate::error::{Result, StoreError};

/// The fence of one log.
pub struct Fence {
    dir: PathBuf,
    file: PathBuf,
    origin: Origin,
    /// Held while the fence is open, so that a second writer fails at start.
    _lock: File,
}

/// Content of the file.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
struct FenceFile {
    #[n(0)]
    origin: Origin,
    #[n(1)]
    value: FenceValue,
}

/// Largest fence file.
const FENCE_BYTES_MAX: usize = 1_024;

impl Fence {
    /// Opens the fence of a log generation in its directory, which is created.
    ///
    /// # Errors
    /// [`StoreError::Locked`] if another process holds it, or I/O errors.
    pub fn open(dir: &Path, origin: &Origin) -> Result<Self> {
        let generation = origin.generation();
        std::fs::create_dir_all(dir).map_err(StoreError::io(dir))?;
        let lock_path = dir.join(format!("prov-{generation}.lock"));
        let lock = options().create(true).truncate(false).open(&lock_path).map_err(StoreError::io(&lock_path))?;
        lock.try_lock().map_err(|error| match error {
            std::fs::TryLockError::WouldBlock => StoreError::Locked { path: dir.to_owned() },
            std::fs::TryLockError::Error(source) => StoreError::Io { path: lock_path.clone(), source },
        })?;
        let file = dir.join(format!("prov-{generation}.fence"));
        Ok(Self { dir: dir.to_owned(), file, origin: origin.clone(), _lock: lock })
    }

    /// The value on disk.
    ///
    /// # Errors
    /// [`StoreError::Inconsistent`] for a damaged file, [`StoreError::Foreign`] for one of another log.
    pub fn read(&self) -> Result<Option<FenceValue>> {
        let bytes = match std::fs::read(&self.file) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::io(&self.file)(error)),
        };
        let content: FenceFile =
            codec::decode(&bytes, FENCE_BYTES_MAX).map_err(|_| StoreError::Inconsistent { what: "fence" })?;
        if content.origin != self.origin {
            return Err(StoreError::Foreign { what: "fence" });
        }
        Ok(Some(content.value))
    }

    /// Replaces `old` by `new` and waits until it is on disk.
    ///
    /// # Errors
    /// [`StoreError::FenceConflict`] if the file holds another value than `old`.
    pub fn compare_and_swap(&self, old: Option<&FenceValue>, new: &FenceValue) -> Result<()> {
        let current = self.read()?;
        // An earlier attempt may have moved the fence and failed to sync it: the new value names this very run.
        if current.as_ref() != old && current.as_ref() != Some(new) {
            return Err(StoreError::FenceConflict { path: self.file.clone() });
        }
        let content = codec::encode(&FenceFile { origin: self.origin.clone(), value: *new });
        let temporary = self.file.with_extension("new");
        let mut file = options().create(true).truncate(true).open(&temporary).map_err(StoreError::io(&temporary))?;
        file.write_all(&content).and_then(|()| file.sync_all()).map_err(StoreError::io(&temporary))?;
        std::fs::rename(&temporary, &self.file).map_err(StoreError::io(&self.file))?;
        // The rename itself must survive a power cut.
        File::open(&self.dir).and_then(|dir| dir.sync_all()).map_err(StoreError::io(&self.dir))
    }

    /// Path of the file, for doctor and for people.
    pub fn path(&self) -> &Path {
        &self.file
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    options
}

#[cfg(test)]
mod tests {
    use cresset_protocol::ids::{NodeHash, TreeSize};
    use cresset_protocol::log::writer::{BootId, Head};

    use super::*;

    fn origin(domain: &str) -> Origin {
        Origin::new(domain, 1).unwrap()
    }

    fn value(size: u64) -> FenceValue {
        let head = Head { size: TreeSize(size), root: NodeHash([size as u8; 32]) };
        FenceValue { generation: 1, head, boot: BootId([7; 16]) }
    }

    #[test]
    fn a_fence_moves_only_from_the_expected_value() {
        let dir = tempfile::tempdir().unwrap();
        let fence = Fence::open(dir.path(), &origin("at.example")).unwrap();
        assert_eq!(fence.read().unwrap(), None);
        fence.compare_and_swap(None, &value(1)).unwrap();
        assert!(matches!(fence.compare_and_swap(None, &value(2)), Err(StoreError::FenceConflict { .. })));
        assert!(matches!(fence.compare_and_swap(Some(&value(3)), &value(2)), Err(StoreError::FenceConflict { .. })));
        fence.compare_and_swap(Some(&value(1)), &value(2)).unwrap();
        assert_eq!(fence.read().unwrap(), Some(value(2)));
    }

    #[test]
    fn the_file_has_the_bytes_of_the_specification() {
        let dir = tempfile::tempdir().unwrap();
        let fence = Fence::open(dir.path(), &origin("at.example")).unwrap();
        let head = Head { size: TreeSize(7), root: NodeHash([7; 32]) };
        fence.compare_and_swap(None, &FenceValue { generation: 1, head, boot: BootId([9; 16]) }).unwrap();
        let expected = format!(
            "a2007161742e6578616d706c652f70726f762f3101a3000101a20007015820{}0250{}",
            "07".repeat(32),
            "09".repeat(16)
        );
        assert_eq!(data_encoding::HEXLOWER.encode(&std::fs::read(fence.path()).unwrap()), expected);
    }

    #[test]
    fn a_second_writer_is_refused_at_start() {
        let dir = tempfile::tempdir().unwrap();
        let _first = Fence::open(dir.path(), &origin("at.example")).unwrap();
        assert!(matches!(Fence::open(dir.path(), &origin("at.example")), Err(StoreError::Locked { .. })));
    }

    #[test]
    fn a_damaged_or_foreign_fence_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let fence = Fence::open(dir.path(), &origin("at.example")).unwrap();
        fence.compare_and_swap(None, &value(1)).unwrap();
        let good = std::fs::read(fence.path()).unwrap();
        std::fs::write(fence.path(), &good[..good.len() - 1]).unwrap();
        assert!(matches!(fence.read(), Err(StoreError::Inconsistent { what: "fence" })));
        std::fs::write(fence.path(), &good).unwrap();
        drop(fence);
        let other = Fence::open(dir.path(), &origin("lu.example")).unwrap();
        assert!(matches!(other.read(), Err(StoreError::Foreign { what: "fence" })));
    }
}
