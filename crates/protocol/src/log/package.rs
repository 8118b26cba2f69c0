//! Packages: how logs replicate. Up to 256 entries with the proof that the log up to their end is a prefix of a
//! checkpoint, so that each package verifies and commits alone.

use minicbor::{Decode, Encode};
use thiserror::Error;

use crate::codec::{self, CodecError};
use crate::ids::{ConsortiumId, LeafIndex, LogId, NodeHash, TreeSize};
use crate::limits::{FRAME_BYTES_MAX, PACKAGE_LEAVES, PROOF_HASHES_MAX};
use crate::log::checkpoint::Checkpoint;
use crate::log::entry::{CheckedEntry, Entry, EntryError};
use crate::log::merkle::{
    Frontier, MerkleError, NodeSource, ProveError, prove_consistency, verify_subtree_consistency,
};

/// Room left in a frame for the map, the proof and the array head.
const OVERHEAD_BYTES: usize = 64 + PROOF_HASHES_MAX * 34;

/// Consecutive entries of one log.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Package {
    /// Index of the first entry.
    #[n(0)]
    pub start: LeafIndex,
    /// The entries: at least one, and none beyond the next multiple of 256.
    #[n(1)]
    pub entries: Vec<Entry>,
    /// Consistency proof from the tree that ends with the last entry to the checkpoint; empty if they are the same.
    #[n(2)]
    pub proof: Vec<NodeHash>,
}

/// What a verified package leaves behind, to be stored in one batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedPackage {
    /// The entries.
    pub entries: Vec<CheckedEntry>,
    /// Compact range after the last of them.
    pub frontier: Frontier,
}

impl Package {
    /// Where a package that begins at `start` ends in a log of `size`: at the next multiple of 256, or at the size.
    pub fn end_after(start: LeafIndex, size: TreeSize) -> u64 {
        (start.0 / PACKAGE_LEAVES + 1).saturating_mul(PACKAGE_LEAVES).min(size.0)
    }

    /// How many of these entries fit one frame, at least one.
    pub fn fitting(entries: &[Entry]) -> usize {
        let mut room = FRAME_BYTES_MAX - OVERHEAD_BYTES;
        let fits = |entry: &&Entry| {
            let needed = codec::encode(*entry).len();
            let fits = needed <= room;
            room = room.saturating_sub(needed);
            fits
        };
        entries.iter().take_while(fits).count().max(1)
    }

    /// Packs entries for somebody who holds a checkpoint of `size`; takes as many as fit.
    ///
    /// # Errors
    /// No entries, entries beyond `size`, or a missing node.
    pub fn pack(
        start: LeafIndex,
        mut entries: Vec<Entry>,
        size: TreeSize,
        nodes: &dyn NodeSource,
    ) -> Result<Self, PackageError> {
        let room = Self::end_after(start, size).saturating_sub(start.0);
        entries.truncate(usize::try_from(room).unwrap_or(usize::MAX));
        entries.truncate(Self::fitting(&entries));
        let end = start.0 + entries.len() as u64;
        if entries.is_empty() {
            return Err(PackageError::Count(0));
        }
        Ok(Self { start, entries, proof: prove_consistency(nodes, TreeSize(end), size)? })
    }

    /// The one encoding.
    pub fn to_bytes(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Decodes a package; nothing in it is verified yet.
    ///
    /// # Errors
    /// Not canonical, over a limit, or across a multiple of 256.
    pub fn decode(bytes: &[u8]) -> Result<Self, PackageError> {
        let package: Self = codec::decode(bytes, FRAME_BYTES_MAX)?;
        let count = package.entries.len();
        let room = PACKAGE_LEAVES - package.start.0 % PACKAGE_LEAVES;
        if count == 0 || count as u64 > room {
            return Err(PackageError::Count(count));
        }
        if package.proof.len() > PROOF_HASHES_MAX {
            return Err(MerkleError::ProofLength.into());
        }
        Ok(package)
    }

    /// Verifies every entry against its leaf, and the leaves between `frontier` (the verified log so far) and a verified
    /// checkpoint.
    ///
    /// # Errors
    /// A [`PackageError`] names what does not fit; then nothing of the package may be used.
    pub fn verify(
        self,
        consortium: &ConsortiumId,
        log: &LogId,
        frontier: &Frontier,
        checkpoint: &Checkpoint,
    ) -> Result<VerifiedPackage, PackageError> {
        if self.start.0 != frontier.size().0 {
            return Err(PackageError::Start { expected: frontier.size().0, found: self.start.0 });
        }
        let end = self.start.0.saturating_add(self.entries.len() as u64);
        if end > checkpoint.size.0 {
            return Err(PackageError::BeyondCheckpoint { end, size: checkpoint.size.0 });
        }
        // Leaves first: once they are known to be the log's, a bad header or opening is the origin's doing or damage on
        // the way, and costs no more than the comparison.
        let mut after = frontier.clone();
        for entry in &self.entries {
            after.append(entry.leaf.hash());
        }
        verify_subtree_consistency(0..end, &after.root(), checkpoint.size, &checkpoint.root, &self.proof)?;
        let check = |(at, entry): (u64, Entry)| {
            let index = LeafIndex(self.start.0 + at);
            entry.check(consortium, log).map_err(|source| PackageError::Entry { index, source })
        };
        let entries = (0..).zip(self.entries).map(check).collect::<Result<_, _>>()?;
        Ok(VerifiedPackage { entries, frontier: after })
    }
}

/// Why a package is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PackageError {
    /// Not canonical, or not a package.
    #[error("malformed package")]
    Codec(#[from] CodecError),
    /// No entries, too many, or across a multiple of 256.
    #[error("package of {0} entries")]
    Count(usize),
    /// Not the continuation of what is there.
    #[error("package starts at {found}, not at {expected}")]
    Start {
        /// Size of the verified log.
        expected: u64,
        /// Start of the package.
        found: u64,
    },
    /// More entries than the checkpoint has.
    #[error("package ends at {end}, beyond the checkpoint's {size} leaves")]
    BeyondCheckpoint {
        /// End of the package.
        end: u64,
        /// Size of the checkpoint.
        size: u64,
    },
    /// The leaves are not the checkpoint's.
    #[error("leaves do not lead to the checkpoint")]
    Merkle(#[from] MerkleError),
    /// An entry does not fit its leaf.
    #[error("entry {index} does not fit its leaf")]
    Entry {
        /// Which.
        index: LeafIndex,
        /// How.
        source: EntryError,
    },
    /// The proof cannot be made.
    #[error("no consistency proof")]
    Prove(#[from] ProveError),
}

#[cfg(test)]
#[path = "package_tests.rs"]
mod tests;
