//! Slot leaves: what a hub states about other hubs' objects, once per fixed interval, also when it is nothing.
//!
//! The leaf commits to a Merkle root over salted statements, padded to a power of two and ordered by hash, so that
//! neither time nor number nor order tells anything. Each owner gets the statements about its own objects with paths.

use hmac::{Hmac, Mac};
use minicbor::{Decode, Encode};
use sha2::Sha256;
use thiserror::Error;

use crate::codec::{self, CodecError};
use crate::domain;
use crate::ids::{ConsortiumId, LeafIndex, LogId, NodeHash, TreeSize, UnixSeconds};
use crate::limits::{
    PROOF_HASHES_MAX, SHARE_BYTES_MAX, SLOT_AUDIT_BYTES_MAX, SLOT_RECEIPT_BYTES_MAX, SLOT_STATEMENTS_MAX,
};
use crate::log::kinds::{KindTag, RecordKind};
use crate::log::leaf::Leaf;
use crate::log::merkle::{MemoryTree, MerkleError, ProveError, leaf_hash, prove_inclusion, verify_inclusion};
use crate::log::public::{EraseCause, ErasedExtent};
use crate::log::record::{Blinding, Opening, OpeningError};
use crate::suite::Suite;

/// A leaf of another log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(map)]
pub struct LeafRef {
    /// The log.
    #[n(0)]
    pub log: LogId,
    /// Index in it.
    #[n(1)]
    pub index: LeafIndex,
    /// Leaf hash, so that the statement holds whatever the log becomes.
    #[n(2)]
    pub leaf: NodeHash,
}

/// What the hub did with an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum Outcome {
    /// Opened, checked, admitted, stored.
    #[n(0)]
    Admitted,
    /// Held for review.
    #[n(1)]
    Held,
    /// Refused by the hub's own policy.
    #[n(2)]
    RefusedByPolicy,
    /// Refused because it does not verify.
    #[n(3)]
    RefusedInvalid,
}

/// One statement to one owner.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(flat)]
pub enum Statement {
    /// An object was received.
    #[n(0)]
    Receive {
        /// The PUBLISH, or the PRIVATE leaf of a direct delivery.
        #[n(0)]
        target: LeafRef,
        /// What became of it.
        #[n(1)]
        outcome: Outcome,
        /// When.
        #[n(2)]
        at: UnixSeconds,
        /// Rule or fault in a word, where the outcome is not admission.
        #[n(3)]
        reason: Option<String>,
    },
    /// An object was destroyed, or is kept on a named ground.
    #[n(1)]
    Erase {
        /// The leaf of the object.
        #[n(0)]
        target: LeafRef,
        /// What is gone.
        #[n(1)]
        extent: ErasedExtent,
        /// Why.
        #[n(2)]
        cause: EraseCause,
        /// When.
        #[n(3)]
        at: UnixSeconds,
        /// Legal ground on which a copy is kept all the same.
        #[n(4)]
        kept_on: Option<String>,
    },
    /// A withdrawal or an alert was noted.
    #[n(2)]
    Ack {
        /// The leaf that is acknowledged.
        #[n(0)]
        target: LeafRef,
        /// When.
        #[n(1)]
        at: UnixSeconds,
    },
}

impl Statement {
    /// The leaf that it is about.
    pub const fn target(&self) -> &LeafRef {
        match self {
            Self::Receive { target, .. } | Self::Erase { target, .. } | Self::Ack { target, .. } => target,
        }
    }
}

/// Share of a slot leaf. X of the leaf is the header digest of the slot's opening backup.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct SlotShare {
    /// Kind.
    #[n(0)]
    pub kind: KindTag<{ RecordKind::Slot.code() }>,
    /// Suite.
    #[n(1)]
    pub suite: Suite,
    /// First second of the slot.
    #[n(2)]
    pub start: UnixSeconds,
    /// Root over the statements.
    #[n(3)]
    pub root: NodeHash,
    /// Statements and padding: a power of two.
    #[n(4)]
    pub padded_count: u64,
}

/// Audit part of a slot leaf: from it the auditor builds the slot again and compares the share.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct SlotAudit {
    /// Seed of the salts.
    #[n(0)]
    pub seed: Blinding,
    /// The statements, in the order in which they were given to [`Slot::build`].
    #[n(1)]
    pub statements: Vec<Statement>,
}

impl SlotAudit {
    /// The canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Decodes canonical bytes.
    ///
    /// # Errors
    /// Anything but the one encoding, or over the limit.
    pub fn decode(bytes: &[u8]) -> Result<Self, SlotError> {
        Ok(codec::decode(bytes, SLOT_AUDIT_BYTES_MAX)?)
    }

    /// The slot that begins at `start`.
    ///
    /// # Errors
    /// As [`Slot::build`].
    pub fn slot(&self, start: UnixSeconds) -> Result<Slot, SlotError> {
        Slot::build(start, &self.seed, self.statements.clone())
    }
}

/// A slot being closed: its statements with salts and their tree.
#[derive(Clone, Debug)]
pub struct Slot {
    start: UnixSeconds,
    tree: MemoryTree,
    placed: Vec<Placed>,
}

#[derive(Clone, Debug)]
struct Placed {
    index: LeafIndex,
    salt: [u8; 32],
    statement: Statement,
}

impl Slot {
    /// Builds the tree. `seed` is 32 secret random bytes; it determines every salt, so it is kept with the audit part.
    ///
    /// # Errors
    /// [`SlotError::Count`] over the limit.
    pub fn build(start: UnixSeconds, seed: &Blinding, statements: Vec<Statement>) -> Result<Self, SlotError> {
        if statements.len() > SLOT_STATEMENTS_MAX {
            return Err(SlotError::Count(statements.len()));
        }
        let padded = statements.len().next_power_of_two();
        let mut statements = statements.into_iter();
        let mut leaves: Vec<(NodeHash, [u8; 32], Option<Statement>)> = (0..padded as u64)
            .map(|number| {
                let salt = derive_salt(seed, number);
                match statements.next() {
                    Some(statement) => (statement_hash(&salt, &codec::encode(&statement)), salt, Some(statement)),
                    None => (statement_hash(&salt, &[]), salt, None),
                }
            })
            .collect();
        leaves.sort_unstable_by_key(|(hash, _, _)| *hash);
        let tree = leaves.iter().map(|(hash, _, _)| *hash).collect();
        let placed = (0..)
            .map(LeafIndex)
            .zip(leaves)
            .filter_map(|(index, (_, salt, statement))| statement.map(|statement| Placed { index, salt, statement }))
            .collect();
        Ok(Self { start, tree, placed })
    }

    /// The share of the slot leaf.
    pub fn share(&self, suite: Suite) -> SlotShare {
        let (root, padded_count) = (self.tree.root(), self.tree.size().0);
        SlotShare { kind: KindTag, suite, start: self.start, root, padded_count }
    }

    /// The statements about leaves of one log, for its owner. `None` if there are none.
    ///
    /// # Errors
    /// [`SlotError::Prove`] never happens for a slot that was built; it is passed on all the same.
    pub fn statements_about(&self, log: &LogId) -> Result<Option<Vec<ProvenStatement>>, SlotError> {
        let prove = |placed: &Placed| {
            let path = prove_inclusion(&self.tree, placed.index, self.tree.size())?;
            Ok(ProvenStatement { index: placed.index, salt: placed.salt, statement: placed.statement.clone(), path })
        };
        let about = self.placed.iter().filter(|placed| placed.statement.target().log == *log);
        let proven: Vec<ProvenStatement> = about.map(prove).collect::<Result<_, ProveError>>()?;
        Ok((!proven.is_empty()).then_some(proven))
    }
}

/// A statement with its salt and its path to the slot's root.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ProvenStatement {
    /// Place in the tree.
    #[n(0)]
    pub index: LeafIndex,
    /// Salt.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub salt: [u8; 32],
    /// The statement.
    #[n(2)]
    pub statement: Statement,
    /// Inclusion proof in the slot's tree.
    #[n(3)]
    pub path: Vec<NodeHash>,
}

/// What an owner is given for one slot: the slot leaf's place and opening, and its own statements.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct SlotReceipt {
    /// The log with the slot leaf.
    #[n(0)]
    pub log: LogId,
    /// Index of the slot leaf.
    #[n(1)]
    pub index: LeafIndex,
    /// Opening of the slot leaf; its share tells nothing but start, root and padded count.
    #[n(2)]
    pub opening: Opening,
    /// The statements.
    #[n(3)]
    pub statements: Vec<ProvenStatement>,
}

impl SlotReceipt {
    /// The one encoding.
    pub fn to_bytes(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Decodes a receipt; nothing in it is verified yet.
    ///
    /// # Errors
    /// Not canonical or over the limit.
    pub fn decode(bytes: &[u8]) -> Result<Self, SlotError> {
        Ok(codec::decode(bytes, SLOT_RECEIPT_BYTES_MAX)?)
    }

    /// Verifies the receipt against the slot leaf, which the caller has from its verified mirror of the log, and gives
    /// the statements out.
    ///
    /// # Errors
    /// A [`SlotError`] names what does not fit; then no statement counts.
    pub fn verify(&self, consortium: &ConsortiumId, leaf: &Leaf) -> Result<Vec<&Statement>, SlotError> {
        self.opening.check(consortium, &self.log, leaf)?;
        let share: SlotShare = codec::decode(&self.opening.share, SHARE_BYTES_MAX)?;
        share.check()?;
        self.statements.iter().map(|proven| proven.verify(&share)).collect()
    }
}

impl ProvenStatement {
    /// Verifies the path to the root that a slot's share names.
    ///
    /// # Errors
    /// [`SlotError::Merkle`].
    pub fn verify(&self, share: &SlotShare) -> Result<&Statement, SlotError> {
        if self.path.len() > PROOF_HASHES_MAX {
            return Err(MerkleError::ProofLength.into());
        }
        let hash = statement_hash(&self.salt, &codec::encode(&self.statement));
        verify_inclusion(&hash, self.index, TreeSize(share.padded_count), &self.path, &share.root)?;
        Ok(&self.statement)
    }
}

impl SlotShare {
    fn check(&self) -> Result<(), SlotError> {
        let fits = self.padded_count.is_power_of_two() && self.padded_count <= SLOT_STATEMENTS_MAX as u64;
        if fits { Ok(()) } else { Err(SlotError::PaddedCount(self.padded_count)) }
    }
}

/// Leaf of the slot's tree: SHA-256(0x00 || label || salt || statement); padding has no statement bytes.
fn statement_hash(salt: &[u8; 32], statement: &[u8]) -> NodeHash {
    leaf_hash(&domain::SLOT.message(&[salt, statement]))
}

fn derive_salt(seed: &Blinding, number: u64) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(seed.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(domain::SLOT.as_bytes());
    mac.update(&number.to_be_bytes());
    mac.finalize().into_bytes().into()
}

/// Why a slot cannot be made, or a receipt proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SlotError {
    /// More statements than a slot takes.
    #[error("{0} statements are over the limit of one slot")]
    Count(usize),
    /// The tree lacks a node.
    #[error("no path in the slot's tree")]
    Prove(#[from] ProveError),
    /// Not canonical, or not what it should be.
    #[error("malformed slot share or receipt")]
    Codec(#[from] CodecError),
    /// The opening of another leaf.
    #[error("slot leaf does not open")]
    Opening(#[from] OpeningError),
    /// Not a padded count.
    #[error("{0} is not a padded count of statements")]
    PaddedCount(u64),
    /// A statement is not under the root.
    #[error("statement is not under the slot's root")]
    Merkle(#[from] MerkleError),
}

#[cfg(test)]
#[path = "slot_tests.rs"]
mod tests;
