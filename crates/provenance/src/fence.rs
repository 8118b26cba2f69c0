//! The fence: one small file per log generation, outside the database, that remembers the newest head which may have been
//! signed. It catches a database that was restored from a backup or lost its synced tail.
//!
//! The file has two slots that are written in turn, so that a torn write leaves the former value, and a move costs one
//! data sync and no change of metadata.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};
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

/// Content of a slot.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
struct Slot {
    #[n(0)]
    origin: Origin,
    #[n(1)]
    value: FenceValue,
    /// Ascends with every move; the slot with the larger one counts.
    #[n(2)]
    sequence: u64,
}

const SLOT_BYTES: usize = 512;
const DIGEST_BYTES: usize = 32;
const LENGTH_BYTES: usize = 2;
const CONTENT_BYTES_MAX: usize = SLOT_BYTES - DIGEST_BYTES - LENGTH_BYTES;

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
        Ok(self.newest()?.map(|slot| slot.value))
    }

    /// Replaces `old` by `new` and waits until it is on disk. Repeating a move that failed half-way is harmless.
    ///
    /// # Errors
    /// [`StoreError::FenceConflict`] if the file holds another value than `old`.
    pub fn compare_and_swap(&self, old: Option<&FenceValue>, new: &FenceValue) -> Result<()> {
        let newest = self.newest()?;
        let current = newest.as_ref().map(|slot| &slot.value);
        // An earlier attempt may have moved the fence and failed to sync it: the new value names this very run.
        if current != old && current != Some(new) {
            return Err(StoreError::FenceConflict { path: self.file.clone() });
        }
        let sequence = newest.as_ref().map_or(0, |slot| slot.sequence + 1);
        let slot = Slot { origin: self.origin.clone(), value: *new, sequence };
        let offset = (sequence % 2) * SLOT_BYTES as u64;
        let result = match newest {
            Some(_) => options().open(&self.file).and_then(|file| {
                file.write_all_at(&encode_slot(&slot), offset)?;
                file.sync_data()
            }),
            None => self.create(&slot),
        };
        result.map_err(StoreError::io(&self.file))
    }

    /// The file appears with its first slot or not at all: half a file would keep the next run from starting.
    fn create(&self, slot: &Slot) -> std::io::Result<()> {
        let temporary = self.file.with_extension("new");
        let file = options().create(true).truncate(true).open(&temporary)?;
        file.set_len(2 * SLOT_BYTES as u64)?;
        file.write_all_at(&encode_slot(slot), 0)?;
        file.sync_all()?;
        std::fs::rename(&temporary, &self.file)?;
        // The new name itself must survive a power cut.
        File::open(&self.dir)?.sync_all()
    }

    fn newest(&self) -> Result<Option<Slot>> {
        let bytes = match std::fs::read(&self.file) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::io(&self.file)(error)),
        };
        let (slots, rest) = bytes.as_chunks::<SLOT_BYTES>();
        if slots.len() != 2 || !rest.is_empty() {
            return Err(StoreError::Inconsistent { what: "fence" });
        }
        // A torn write spoils the older slot only. Two spoilt slots are damage, never an empty fence.
        let newest = slots.iter().filter_map(decode_slot).max_by_key(|slot| slot.sequence);
        let newest = newest.ok_or(StoreError::Inconsistent { what: "fence" })?;
        if newest.origin != self.origin {
            return Err(StoreError::Foreign { what: "fence" });
        }
        Ok(Some(newest))
    }

    /// Path of the file, for doctor and for people.
    pub fn path(&self) -> &Path {
        &self.file
    }
}

/// SHA-256 of the content, its length, the content, zeroes.
fn encode_slot(slot: &Slot) -> [u8; SLOT_BYTES] {
    let content = codec::encode(slot);
    let length = u16::try_from(content.len()).unwrap_or(u16::MAX);
    let parts = [digest(&SHA256, &content).as_ref(), &length.to_be_bytes(), &content].concat();
    let mut out = [0; SLOT_BYTES];
    // An origin has at most 128 bytes, so the content is always shorter than a slot.
    out.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
    out
}

fn decode_slot(bytes: &[u8; SLOT_BYTES]) -> Option<Slot> {
    let (expected, rest) = bytes.split_first_chunk::<DIGEST_BYTES>()?;
    let (length, rest) = rest.split_first_chunk::<LENGTH_BYTES>()?;
    let content = rest.get(..usize::from(u16::from_be_bytes(*length)))?;
    let intact = digest(&SHA256, content).as_ref() == expected;
    codec::decode(content, CONTENT_BYTES_MAX).ok().filter(|_| intact)
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
    fn a_torn_write_leaves_the_former_value() {
        let dir = tempfile::tempdir().unwrap();
        let fence = Fence::open(dir.path(), &origin("at.example")).unwrap();
        for size in 1..=3 {
            let old = fence.read().unwrap();
            fence.compare_and_swap(old.as_ref(), &value(size)).unwrap();
        }
        let good = std::fs::read(fence.path()).unwrap();
        // The third value is in the first slot again.
        for at in 0..DIGEST_BYTES + LENGTH_BYTES + 40 {
            let mut torn = good.clone();
            torn[at] ^= 0x10;
            std::fs::write(fence.path(), torn).unwrap();
            assert_eq!(fence.read().unwrap(), Some(value(2)), "byte {at}");
        }
        let mut older = good.clone();
        older[SLOT_BYTES] ^= 1;
        std::fs::write(fence.path(), older).unwrap();
        assert_eq!(fence.read().unwrap(), Some(value(3)));
    }

    #[test]
    fn a_damaged_or_foreign_fence_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let fence = Fence::open(dir.path(), &origin("at.example")).unwrap();
        fence.compare_and_swap(None, &value(1)).unwrap();
        let good = std::fs::read(fence.path()).unwrap();
        let spoilt = [&[good[0] ^ 1], &good[1..]].concat();
        for bad in [&good[..good.len() - 1], &[], &spoilt] {
            std::fs::write(fence.path(), bad).unwrap();
            assert!(matches!(fence.read(), Err(StoreError::Inconsistent { what: "fence" })));
        }
        std::fs::write(fence.path(), &good).unwrap();
        drop(fence);
        let other = Fence::open(dir.path(), &origin("lu.example")).unwrap();
        assert!(matches!(other.read(), Err(StoreError::Foreign { what: "fence" })));
    }

    #[test]
    fn the_file_has_the_bytes_of_the_specification() {
        let dir = tempfile::tempdir().unwrap();
        let fence = Fence::open(dir.path(), &origin("at.example")).unwrap();
        let head = Head { size: TreeSize(7), root: NodeHash([7; 32]) };
        fence.compare_and_swap(None, &FenceValue { generation: 1, head, boot: BootId([9; 16]) }).unwrap();
        let content = format!(
            "a3007161742e6578616d706c652f70726f762f3101a3000101a20007015820{}0250{}0200",
            "07".repeat(32),
            "09".repeat(16)
        );
        let bytes = std::fs::read(fence.path()).unwrap();
        let content_bytes = content.len() / 2;
        assert_eq!(bytes.len(), 2 * SLOT_BYTES);
        assert_eq!(bytes[DIGEST_BYTES..DIGEST_BYTES + 2], (content_bytes as u16).to_be_bytes());
        let found = &bytes[DIGEST_BYTES + 2..DIGEST_BYTES + 2 + content_bytes];
        assert_eq!(data_encoding::HEXLOWER.encode(found), content);
        assert!(bytes[DIGEST_BYTES + 2 + content_bytes..].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn a_second_writer_is_refused_at_start() {
        let dir = tempfile::tempdir().unwrap();
        let _first = Fence::open(dir.path(), &origin("at.example")).unwrap();
        assert!(matches!(Fence::open(dir.path(), &origin("at.example")), Err(StoreError::Locked { .. })));
    }
}
