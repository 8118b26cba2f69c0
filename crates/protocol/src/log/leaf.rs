//! The 80-byte leaf and the entry that carries it (`protocol-spec/02-log.md`).

use std::fmt;

use minicbor::{Decode, Encode};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::ids::{Binding, Commitment, NodeHash, UnixSeconds};

/// First bytes of every leaf.
pub const LEAF_MAGIC: [u8; 4] = *b"CRL1";
/// Length of a leaf in bytes.
pub const LEAF_BYTES: usize = 80;

/// What a leaf says. PRIVATE hides everything that peers need not know; its share names the real kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum LeafKind {
    /// First leaf of a log: its manifest. Written twice, so that no inclusion path is empty.
    Genesis = 1,
    /// A log or encryption key changed, as the roster said.
    KeyEpoch = 2,
    /// A policy bundle came into force.
    Policy = 3,
    /// A roster version was accepted.
    Roster = 4,
    /// Heads of all other logs.
    Heads = 5,
    /// Proof that some log forked.
    Evidence = 6,
    /// The log ends.
    Close = 7,
    /// The log continues a predecessor.
    Continues = 8,
    /// An opening or payload of one's own was destroyed.
    Erase = 9,
    /// A view of an object; X is its envelope header.
    Publish = 16,
    /// Audience keys for their members; X is the grant's header.
    KeyGrant = 17,
    /// The owner takes a leaf back; X is the target's leaf hash.
    Withdraw = 18,
    /// Anything else.
    Private = 32,
}

impl LeafKind {
    /// Every kind, in ascending order.
    pub const ALL: [Self; 13] = [
        Self::Genesis,
        Self::KeyEpoch,
        Self::Policy,
        Self::Roster,
        Self::Heads,
        Self::Evidence,
        Self::Close,
        Self::Continues,
        Self::Erase,
        Self::Publish,
        Self::KeyGrant,
        Self::Withdraw,
        Self::Private,
    ];

    /// The byte on the wire.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// Looks a byte up.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }

    /// Whether the opening replicates to all members with the leaf.
    pub const fn opening_is_public(self) -> bool {
        (self as u8) < Self::Publish as u8
    }

    /// Whether flag bit 0 must be set (PUBLISH, KEYGRANT), must be clear (`None` leaves it open: never today).
    pub const fn has_header(self) -> bool {
        matches!(self, Self::Publish | Self::KeyGrant)
    }

    /// Upper-case name as in the specification.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Genesis => "GENESIS",
            Self::KeyEpoch => "KEY_EPOCH",
            Self::Policy => "POLICY",
            Self::Roster => "ROSTER",
            Self::Heads => "HEADS",
            Self::Evidence => "EVIDENCE",
            Self::Close => "CLOSE",
            Self::Continues => "CONTINUES",
            Self::Erase => "ERASE",
            Self::Publish => "PUBLISH",
            Self::KeyGrant => "KEYGRANT",
            Self::Withdraw => "WITHDRAW",
            Self::Private => "PRIVATE",
        }
    }
}

/// Why an owner withdraws; bits 8-11 of the flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum WithdrawReason {
    /// Error or false positive.
    Error = 1,
    /// Personal data.
    PersonalData = 2,
    /// Source protection.
    SourceProtection = 3,
    /// Legal order.
    LegalOrder = 4,
}

impl WithdrawReason {
    /// Every reason.
    pub const ALL: [Self; 4] = [Self::Error, Self::PersonalData, Self::SourceProtection, Self::LegalOrder];
}

/// The flags of a leaf. Only the combinations that the specification names exist as values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeafFlags {
    /// Bit 0: an envelope header follows in the entry.
    pub header_follows: bool,
    /// Bit 1: the URGENT lane.
    pub urgent: bool,
    /// Bits 8-11, WITHDRAW only.
    pub withdraw: Option<WithdrawReason>,
}

const FLAG_HEADER: u16 = 1 << 0;
const FLAG_URGENT: u16 = 1 << 1;
const WITHDRAW_SHIFT: u16 = 8;

impl LeafFlags {
    /// The two bytes on the wire.
    pub fn bits(self) -> u16 {
        let reason = self.withdraw.map_or(0, |reason| (reason as u16) << WITHDRAW_SHIFT);
        reason | if self.header_follows { FLAG_HEADER } else { 0 } | if self.urgent { FLAG_URGENT } else { 0 }
    }

    fn from_bits(bits: u16) -> Option<Self> {
        let code = (bits >> WITHDRAW_SHIFT) as u8;
        let withdraw = WithdrawReason::ALL.into_iter().find(|reason| *reason as u8 == code);
        let flags = Self { header_follows: bits & FLAG_HEADER != 0, urgent: bits & FLAG_URGENT != 0, withdraw };
        (flags.bits() == bits).then_some(flags)
    }
}

/// One leaf of a log: what is hashed into the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Leaf {
    /// What it says.
    pub kind: LeafKind,
    /// How to treat it.
    pub flags: LeafFlags,
    /// When the origin wrote it, by the origin's clock.
    pub time: UnixSeconds,
    /// Commitment C to consortium, log, kind, flags and record.
    pub commitment: Commitment,
    /// Binding X: header digest, target, heads root or noise, by kind.
    pub binding: Binding,
}

impl Leaf {
    /// magic 4, kind 1, reserved 1, flags 2, time 8, C 32, X 32; integers big-endian.
    pub fn to_bytes(&self) -> [u8; LEAF_BYTES] {
        let mut out = Vec::with_capacity(LEAF_BYTES);
        out.extend_from_slice(&LEAF_MAGIC);
        out.extend_from_slice(&[self.kind.code(), 0]);
        out.extend_from_slice(&self.flags.bits().to_be_bytes());
        out.extend_from_slice(&self.time.0.to_be_bytes());
        out.extend_from_slice(self.commitment.as_bytes());
        out.extend_from_slice(self.binding.as_bytes());
        out.try_into().expect("the fields above add up to LEAF_BYTES")
    }

    /// Parses the one encoding of a leaf.
    ///
    /// # Errors
    /// A [`LeafError`] names the first field that is wrong.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, LeafError> {
        let bytes: &[u8; LEAF_BYTES] = bytes.try_into().map_err(|_| LeafError::Length(bytes.len()))?;
        let (magic, rest) = bytes.split_first_chunk::<4>().ok_or(LeafError::Length(bytes.len()))?;
        let (&[kind, reserved], rest) = rest.split_first_chunk().ok_or(LeafError::Length(bytes.len()))?;
        let (flags, rest) = rest.split_first_chunk::<2>().ok_or(LeafError::Length(bytes.len()))?;
        let (time, rest) = rest.split_first_chunk::<8>().ok_or(LeafError::Length(bytes.len()))?;
        let (commitment, binding) = rest.split_first_chunk::<32>().ok_or(LeafError::Length(bytes.len()))?;
        if *magic != LEAF_MAGIC {
            return Err(LeafError::Magic);
        }
        if reserved != 0 {
            return Err(LeafError::Reserved(reserved));
        }
        let kind = LeafKind::from_code(kind).ok_or(LeafError::Kind(kind))?;
        let bits = u16::from_be_bytes(*flags);
        let flags = LeafFlags::from_bits(bits).ok_or(LeafError::Flags { kind, bits })?;
        let leaf = Self {
            kind,
            flags,
            time: UnixSeconds(u64::from_be_bytes(*time)),
            commitment: Commitment(*commitment),
            binding: binding.try_into().map_err(|_| LeafError::Length(bytes.len()))?,
        };
        leaf.check_flags()?;
        Ok(leaf)
    }

    /// Leaf hash of RFC 9162 section 2.1.1: SHA-256(0x00 || leaf).
    pub fn hash(&self) -> NodeHash {
        NodeHash(Sha256::new_with_prefix([0u8]).chain_update(self.to_bytes()).finalize().into())
    }

    fn check_flags(&self) -> Result<(), LeafError> {
        let header_fits = self.flags.header_follows == self.kind.has_header();
        let withdraw_fits = self.flags.withdraw.is_some() == (self.kind == LeafKind::Withdraw);
        if header_fits && withdraw_fits {
            Ok(())
        } else {
            Err(LeafError::Flags { kind: self.kind, bits: self.flags.bits() })
        }
    }
}

impl fmt::Display for LeafKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl<C> Encode<C> for Leaf {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.bytes(&self.to_bytes())?.ok()
    }
}

impl<'b, C> Decode<'b, C> for Leaf {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        let at = d.position();
        Self::from_bytes(d.bytes()?).map_err(|e| minicbor::decode::Error::message(e).at(at))
    }
}

/// Why bytes are no leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LeafError {
    /// Not exactly 80 bytes.
    #[error("a leaf has {LEAF_BYTES} bytes, not {0}")]
    Length(usize),
    /// Not a leaf of this protocol.
    #[error("wrong leaf magic")]
    Magic,
    /// Reserved byte is not zero.
    #[error("reserved byte is {0}")]
    Reserved(u8),
    /// A kind that this version does not know.
    #[error("unknown leaf kind {0}")]
    Kind(u8),
    /// Flags that the kind does not allow.
    #[error("flags {bits:#06x} do not fit a {kind} leaf")]
    Flags {
        /// The leaf's kind.
        kind: LeafKind,
        /// The flags as received.
        bits: u16,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Leaf {
        Leaf {
            kind: LeafKind::Publish,
            flags: LeafFlags { header_follows: true, urgent: true, withdraw: None },
            time: UnixSeconds(1_790_000_000),
            commitment: Commitment([1; 32]),
            binding: Binding([2; 32]),
        }
    }

    #[test]
    fn a_leaf_round_trips_in_80_bytes() {
        assert_eq!(Leaf::from_bytes(&sample().to_bytes()), Ok(sample()));
    }

    #[test]
    fn every_wrong_field_is_refused_by_name() {
        let check = |at: usize, value: u8, expected: LeafError| {
            let mut bytes = sample().to_bytes();
            bytes[at] = value;
            assert_eq!(Leaf::from_bytes(&bytes), Err(expected), "byte {at}");
        };
        check(0, 0, LeafError::Magic);
        check(4, 99, LeafError::Kind(99));
        check(5, 1, LeafError::Reserved(1));
        check(6, 1, LeafError::Flags { kind: LeafKind::Publish, bits: 0x0103 });
        check(6, 0x10, LeafError::Flags { kind: LeafKind::Publish, bits: 0x1003 });
        check(7, 0x04 | 3, LeafError::Flags { kind: LeafKind::Publish, bits: 7 });
        check(7, 0, LeafError::Flags { kind: LeafKind::Publish, bits: 0 });
        check(4, LeafKind::Private.code(), LeafError::Flags { kind: LeafKind::Private, bits: 3 });
        assert_eq!(Leaf::from_bytes(&sample().to_bytes()[1..]), Err(LeafError::Length(79)));
    }
}
