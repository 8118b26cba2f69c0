//! An officer's signing journal: never two digests for one roster version.
//!
//! Lost: the guard is gone, so restore it from backup or note the highest signed version by hand. Edited: the officer may
//! be led to sign a twin, which every hub then reports as evidence.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use cresset_protocol::codec;
use cresset_protocol::ids::{RosterDigest, RosterVersion};
use minicbor::{Decode, Encode};

use crate::error::PkiError;
use crate::files;

const FILE: &str = "signing-journal.cbor";
/// Beside the journal, which is replaced whole at each entry and so cannot carry a lock itself.
const LOCK_FILE: &str = "signing-journal.lock";
const JOURNAL_BYTES_MAX: usize = 1 << 20;

#[derive(Debug, Default, Encode, Decode)]
#[cbor(map)]
struct JournalFile {
    #[n(0)]
    signed: Vec<Signed>,
}

#[derive(Debug, Encode, Decode)]
#[cbor(array)]
struct Signed {
    #[n(0)]
    version: RosterVersion,
    #[n(1)]
    digest: RosterDigest,
}

/// What an officer has signed so far. While it is open no other process can open it.
#[derive(Debug)]
pub(crate) struct Journal {
    _lock: File,
    path: PathBuf,
    signed: BTreeMap<RosterVersion, RosterDigest>,
}

impl Journal {
    /// Opens the journal in an officer's directory, waiting for another process that has it open. There is none before
    /// the first signature.
    pub(crate) fn open(directory: &Path) -> Result<Self, PkiError> {
        let lock = lock(directory.join(LOCK_FILE))?;
        let path = directory.join(FILE);
        let mut signed = BTreeMap::new();
        match files::read(&path, JOURNAL_BYTES_MAX) {
            Ok(bytes) => {
                let file: JournalFile = codec::decode(&bytes, JOURNAL_BYTES_MAX)?;
                signed.extend(file.signed.iter().map(|entry| (entry.version, entry.digest)));
            }
            // Only a journal that is surely absent is an empty one.
            Err(PkiError::Read { source, .. }) if source.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        Ok(Self { _lock: lock, path, signed })
    }

    /// Notes the digest durably before it is signed. Signing the same digest again is allowed.
    pub(crate) fn commit(&mut self, version: RosterVersion, digest: RosterDigest) -> Result<(), PkiError> {
        match self.signed.get(&version) {
            Some(signed) if *signed == digest => return Ok(()),
            Some(signed) => return Err(PkiError::SecondDigest { version, signed: *signed }),
            None => {}
        }
        self.signed.insert(version, digest);
        let entry = |(version, digest): (&RosterVersion, &RosterDigest)| Signed { version: *version, digest: *digest };
        let file = JournalFile { signed: self.signed.iter().map(entry).collect() };
        files::write_secret(&self.path, &codec::encode(&file))
    }
}

/// Ends when the file is closed, by whatever means the process ends.
fn lock(path: PathBuf) -> Result<File, PkiError> {
    let opened = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
    let locked = opened.and_then(|file| file.lock().map(|()| file));
    locked.map_err(|source| PkiError::Write { path, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_journal_is_locked_until_it_is_dropped() {
        let directory = tempfile::tempdir().unwrap();
        let journal = Journal::open(directory.path()).unwrap();
        let other = File::open(directory.path().join(LOCK_FILE)).unwrap();
        assert!(other.try_lock().is_err());
        drop(journal);
        other.try_lock().unwrap();
    }

    #[test]
    fn a_journal_that_is_there_and_cannot_be_read_is_not_an_empty_one() {
        let directory = tempfile::tempdir().unwrap();
        // A link to itself: there, and yet opening it fails.
        std::os::unix::fs::symlink(FILE, directory.path().join(FILE)).unwrap();
        assert!(matches!(Journal::open(directory.path()), Err(PkiError::Read { .. })));
    }

    #[test]
    fn a_second_digest_of_one_version_is_refused_after_reopening() {
        let directory = tempfile::tempdir().unwrap();
        let version = RosterVersion(4);
        Journal::open(directory.path()).unwrap().commit(version, RosterDigest([1; 32])).unwrap();
        let mut journal = Journal::open(directory.path()).unwrap();
        journal.commit(version, RosterDigest([1; 32])).unwrap();
        let refused = journal.commit(version, RosterDigest([2; 32]));
        assert!(matches!(refused, Err(PkiError::SecondDigest { .. })));
        journal.commit(RosterVersion(5), RosterDigest([2; 32])).unwrap();
    }
}
