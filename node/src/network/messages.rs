//! What hubs say to each other inside a session (`protocol-spec/07-transport.md`), as wire types.
//!
//! Packages, notes and envelopes ride inside as the bytes that their own chapters define; this module neither reads nor
//! verifies them.

use cresset_protocol::ids::{HeaderDigest, LeafIndex, LogId, NodeHash, RosterDigest, RosterVersion, TreeSize};
use cresset_protocol::log::leaf::Leaf;
use cresset_protocol::membership::roster::SignedRoster;
use minicbor::{Decode, Encode};

/// Request of `/cresset/log/1`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum LogRequest {
    /// The newest note of every log that the peer holds, its own first.
    #[n(0)]
    Heads,
    /// The newest note of one log.
    #[n(1)]
    Checkpoint(#[n(0)] LogId),
    /// Proof that one tree of a log is a prefix of another.
    #[n(2)]
    Consistency(#[n(0)] ConsistencyRequest),
}

/// Two sizes of one log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ConsistencyRequest {
    /// The log.
    #[n(0)]
    pub log: LogId,
    /// The smaller tree.
    #[n(1)]
    pub from: TreeSize,
    /// The larger tree.
    #[n(2)]
    pub to: TreeSize,
}

/// Answer of `/cresset/log/1`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum LogResponse {
    /// To [`LogRequest::Heads`].
    #[n(0)]
    Heads(#[n(0)] Vec<Head>),
    /// To [`LogRequest::Checkpoint`].
    #[n(1)]
    Checkpoint(#[n(0)] Head),
    /// To [`LogRequest::Consistency`].
    #[n(2)]
    Consistency(#[n(0)] Vec<NodeHash>),
    /// No answer, and why.
    #[n(3)]
    Refused(#[n(0)] Refusal),
}

/// A signed note of a log.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Head {
    /// The log.
    #[n(0)]
    pub log: LogId,
    /// Canonical note, C2SP form.
    #[n(1)]
    pub note: String,
}

/// Request of `/cresset/roster/1`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum RosterRequest {
    /// The versions after this one, ascending.
    #[n(0)]
    After(#[n(0)] RosterVersion),
    /// Newer versions than the peer's, ascending.
    #[n(1)]
    Push(#[n(0)] Vec<SignedRoster>),
}

/// Answer of `/cresset/roster/1`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum RosterResponse {
    /// To [`RosterRequest::After`]; as many as fit, at least one if there is one.
    #[n(0)]
    Rosters(#[n(0)] Vec<SignedRoster>),
    /// To [`RosterRequest::Push`]: where the roster stands now.
    #[n(1)]
    Standing(#[n(0)] RosterStanding),
    /// No answer, and why.
    #[n(2)]
    Refused(#[n(0)] Refusal),
}

/// A hub's newest accepted roster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct RosterStanding {
    /// Its version.
    #[n(0)]
    pub version: RosterVersion,
    /// Its digest.
    #[n(1)]
    pub digest: RosterDigest,
}

/// First frame of `/cresset/entries/1`: asks for packages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct EntriesRequest {
    /// The log.
    #[n(0)]
    pub log: LogId,
    /// First index wanted.
    #[n(1)]
    pub from: LeafIndex,
    /// End, exclusive.
    #[n(2)]
    pub to: LeafIndex,
    /// Size of the tree that the packages' proofs lead to.
    #[n(3)]
    pub head: TreeSize,
}

/// First frame of `/cresset/envelopes/1`: asks for ranges of envelopes.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct EnvelopesRequest {
    /// The ranges, answered in this order.
    #[n(0)]
    pub ranges: Vec<EnvelopeRange>,
}

/// A range of one envelope's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct EnvelopeRange {
    /// Digest of its header.
    #[n(0)]
    pub header: HeaderDigest,
    /// First byte.
    #[n(1)]
    pub offset: u64,
    /// Bytes wanted at most.
    #[n(2)]
    pub length: u64,
}

/// Frame before the bytes of one range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct RangeHead {
    /// Size of the whole envelope; absent if refused.
    #[n(0)]
    pub total: Option<u64>,
    /// Bytes that follow.
    #[n(1)]
    pub length: u64,
    /// Why there are none.
    #[n(2)]
    pub refusal: Option<Refusal>,
}

/// First frame of `/cresset/deliver/1`: a leaf for its recipient, with everything that proves it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct DeliveryHead {
    /// The origin's log.
    #[n(0)]
    pub log: LogId,
    /// The leaf's index.
    #[n(1)]
    pub index: LeafIndex,
    /// The leaf.
    #[n(2)]
    pub leaf: Leaf,
    /// Envelope header in wire form.
    #[cbor(n(3), with = "minicbor::bytes")]
    pub header: Vec<u8>,
    /// Note of a checkpoint that covers the leaf.
    #[n(4)]
    pub note: String,
    /// Inclusion proof of the leaf under that checkpoint.
    #[n(5)]
    pub proof: Vec<NodeHash>,
    /// Envelope bytes that follow. Zero: too large for a delivery, to be fetched in ranges.
    #[n(6)]
    pub envelope_bytes: u64,
}

/// A delivery as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Its first frame.
    pub head: DeliveryHead,
    /// The envelope; empty if it is to be fetched.
    pub envelope: Vec<u8>,
}

/// Answer to a delivery. Provable receipts are slot leaves; this only empties the sender's outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum DeliveryAck {
    /// Durable at the recipient.
    #[n(0)]
    Stored,
    /// Was there before.
    #[n(1)]
    Known,
    /// Durable, and the envelope is to be fetched.
    #[n(2)]
    WillFetch,
}

/// Why a request is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, thiserror::Error)]
#[cbor(index_only)]
pub enum Refusal {
    /// No such log, checkpoint, entries or envelope here.
    #[n(0)]
    #[error("the peer does not hold it")]
    NotFound,
    /// Beyond a limit, or contradictory.
    #[n(1)]
    #[error("the peer finds the request invalid")]
    Invalid,
    /// Over the peer's budget for us, or the peer is overloaded.
    #[n(2)]
    #[error("the peer is busy")]
    Busy,
    /// The header's relay rule or the recipient list forbids it.
    #[n(3)]
    #[error("the peer may not hand it to us")]
    NotAllowed,
    /// What was sent does not verify.
    #[n(4)]
    #[error("the peer found that it does not verify")]
    DoesNotVerify,
    /// The peer failed; worth another try.
    #[n(5)]
    #[error("the peer failed")]
    Failed,
}

#[cfg(test)]
#[path = "messages_tests.rs"]
mod tests;
