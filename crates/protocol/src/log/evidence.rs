//! Evidence of a fork: two checkpoints of one log, each with both signatures, that no single log can have made.

use minicbor::{Decode, Encode};
use thiserror::Error;

use crate::ids::{LogId, NodeHash};
use crate::limits::PROOF_HASHES_MAX;
use crate::log::checkpoint::{NoteError, Origin, SignedCheckpoint};
use crate::log::kinds::{KindTag, RecordKind};
use crate::log::merkle::{MerkleError, explicit_consistency_roots};
use crate::signing::{LogKeys, SignatureVerifier};
use crate::suite::Suite;

/// EVIDENCE: transferable, judged by anybody who knows the log's keys.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct EvidenceShare {
    /// Kind.
    #[n(0)]
    pub kind: KindTag<{ RecordKind::Evidence.code() }>,
    /// Suite.
    #[n(1)]
    pub suite: Suite,
    /// The log that forked.
    #[n(2)]
    pub log: LogId,
    /// Note of the smaller checkpoint (of either, for equal sizes).
    #[n(3)]
    pub older: String,
    /// Note of the larger one.
    #[n(4)]
    pub newer: String,
    /// Consistency transcript with explicit seed from the older size to the newer root; empty for equal sizes.
    #[n(5)]
    pub transcript: Vec<NodeHash>,
}

/// The two checkpoints that contradict each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvenFork {
    /// The smaller one.
    pub older: SignedCheckpoint,
    /// The larger one.
    pub newer: SignedCheckpoint,
}

impl EvidenceShare {
    /// Verifies that the log's keys of *one* period signed both notes and that they contradict each other.
    ///
    /// # Errors
    /// An [`EvidenceError`] says why this convicts nobody.
    pub fn verify(
        &self,
        origin: &Origin,
        keys: &LogKeys,
        verifier: &dyn SignatureVerifier,
    ) -> Result<ProvenFork, EvidenceError> {
        if self.transcript.len() > PROOF_HASHES_MAX {
            return Err(MerkleError::ProofLength.into());
        }
        let older = SignedCheckpoint::open(&self.older, origin, keys, verifier)?;
        let newer = SignedCheckpoint::open(&self.newer, origin, keys, verifier)?;
        let (old, new) = (&older.checkpoint, &newer.checkpoint);
        let contradiction = if old.size == new.size {
            if !self.transcript.is_empty() {
                return Err(MerkleError::ProofLength.into());
            }
            old.root != new.root
        } else {
            // The transcript shows which prefix the newer root commits to; a fork if that is not what was signed.
            let (prefix, whole) = explicit_consistency_roots(old.size, new.size, &self.transcript)?;
            if whole != new.root {
                return Err(MerkleError::Root.into());
            }
            prefix != old.root
        };
        if contradiction { Ok(ProvenFork { older, newer }) } else { Err(EvidenceError::Consistent) }
    }
}

/// Why evidence convicts nobody.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EvidenceError {
    /// A note is not the log's.
    #[error("a note of the evidence is refused")]
    Note(#[from] NoteError),
    /// The transcript does not lead to the newer root.
    #[error("transcript does not lead to the newer checkpoint")]
    Merkle(#[from] MerkleError),
    /// Both checkpoints are of one history.
    #[error("the two checkpoints do not contradict each other")]
    Consistent,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::TreeSize;
    use crate::log::checkpoint::Checkpoint;
    use crate::log::checkpoint::tests::{DigestVerifier, keys, sign};
    use crate::log::merkle::{MemoryTree, leaf_hash, prove_explicit_consistency};

    fn origin() -> Origin {
        Origin::parse("hub.at.example/prov/1").unwrap()
    }

    /// A history that agrees with every other up to `agree` leaves.
    fn tree(name: &str, agree: u64, size: u64) -> MemoryTree {
        (0..size).map(|i| leaf_hash(format!("{} {i}", if i < agree { "same" } else { name }).as_bytes())).collect()
    }

    fn evidence(older: &MemoryTree, newer: &MemoryTree) -> EvidenceShare {
        let note = |tree: &MemoryTree, time| {
            let checkpoint = Checkpoint { origin: origin(), size: tree.size(), root: tree.root() };
            sign(checkpoint, time, &keys(1)).to_note(&keys(1))
        };
        let transcript = match older.size() == newer.size() {
            true => Vec::new(),
            false => prove_explicit_consistency(newer, older.size(), newer.size()).unwrap(),
        };
        let (older, newer) = (note(older, 100), note(newer, 200));
        EvidenceShare { kind: KindTag, suite: Suite::Hybrid2026, log: LogId([1; 32]), older, newer, transcript }
    }

    fn verify(share: &EvidenceShare) -> Result<ProvenFork, EvidenceError> {
        share.verify(&origin(), &keys(1), &DigestVerifier)
    }

    #[test]
    fn two_histories_are_a_fork_at_any_sizes() {
        for (agree, old, new) in [(5, 8, 8), (5, 8, 13), (0, 1, 2), (7, 8, 1000), (6, 7, 8)] {
            let share = evidence(&tree("a", agree, old), &tree("b", agree, new));
            let fork = verify(&share).unwrap();
            assert_eq!((fork.older.checkpoint.size, fork.newer.checkpoint.size), (TreeSize(old), TreeSize(new)));
            assert!(crate::codec::encode(&share).len() < 12_000);
        }
    }

    #[test]
    fn one_history_is_no_fork() {
        for (old, new) in [(8, 8), (8, 13), (1, 1000)] {
            let share = evidence(&tree("a", 0, old), &tree("a", 0, new));
            assert_eq!(verify(&share), Err(EvidenceError::Consistent), "{old} {new}");
        }
    }

    #[test]
    fn every_wrong_evidence_is_refused_by_name() {
        let (old, new) = (tree("a", 5, 8), tree("b", 5, 13));
        let check = |change: &dyn Fn(&mut EvidenceShare), expected: EvidenceError| {
            let mut share = evidence(&old, &new);
            change(&mut share);
            assert_eq!(verify(&share), Err(expected));
        };
        check(&|e| e.transcript[0].0[0] ^= 1, MerkleError::Root.into());
        check(&|e| e.transcript.clear(), MerkleError::ProofLength.into());
        check(&|e| e.transcript = vec![NodeHash([0; 32]); 129], MerkleError::ProofLength.into());
        check(&|e| std::mem::swap(&mut e.older, &mut e.newer), MerkleError::SizeOrder { from: 13, to: 8 }.into());
        check(&|e| e.older = e.older.replacen('8', "9", 1), NoteError::Signature.into());
        let mut equal = evidence(&tree("a", 5, 8), &tree("b", 5, 8));
        equal.transcript.push(NodeHash([0; 32]));
        assert_eq!(verify(&equal), Err(MerkleError::ProofLength.into()));
        let share = evidence(&old, &new);
        assert!(share.verify(&origin(), &keys(2), &DigestVerifier).is_err());
    }
}
