//! An officer's signing journal: never two digests for one roster version.
//!
//! Lost: the guard is gone, so restore it from backup or note the highest signed version by hand. Edited: the officer may
//! be led to sign a twin, which every hub then reports as evidence.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cresset_protocol::codec;
use cresset_protocol::ids::{RosterDigest, RosterVersion};
use minicbor::{Decode, Encode};

use crate::error::PkiError;
use crate::files;

const FILE: &str = "signing-journal.cbor";
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

/// What an officer has signed so far.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    signed: BTreeMap<RosterVersion, RosterDigest>,
}

impl Journal {
    /// Opens the journal in an officer's directory; there is none before the first signature.
    pub(crate) fn open(directory: &Path) -> Result<Self, PkiError> {
        let path = directory.join(FILE);
        let mut signed = BTreeMap::new();
        if path.exists() {
            let file: JournalFile = codec::decode(&files::read(&path, JOURNAL_BYTES_MAX)?, JOURNAL_BYTES_MAX)?;
            signed.extend(file.signed.iter().map(|entry| (entry.version, entry.digest)));
        }
        Ok(Self { path, signed })
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

#[cfg(test)]
mod tests {
    use super::*;

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
