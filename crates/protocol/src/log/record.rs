//! Records: what a leaf commits to, and the opening that shows it.
//!
//! C = HMAC-SHA-256(r, label || consortium id || log id || kind || flags || SHA-256(share) || inner MAC), with
//! inner MAC = HMAC-SHA-256(r2, audit). A leaf copied into another log does not open there; without r it is noise.

use std::fmt;

use hmac::{Hmac, Mac};
use minicbor::{Decode, Decoder, Encode, Encoder, decode, encode};
use sha2::{Digest, Sha256};
use thiserror::Error;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::domain;
use crate::ids::{Commitment, ConsortiumId, LogId};
use crate::limits::{RELEASE_AUDIT_BYTES_MAX, SHARE_BYTES_MAX};
use crate::log::leaf::{Leaf, LeafFlags, LeafKind};

/// 32 random bytes that hide what a commitment covers. Destroying them turns the leaf into noise.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Blinding([u8; 32]);

impl Blinding {
    /// Takes 32 random bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for Blinding {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for Blinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Blinding(..)")
    }
}

impl<C> Encode<C> for Blinding {
    fn encode<W: encode::Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), encode::Error<W::Error>> {
        e.bytes(&self.0)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for Blinding {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, decode::Error> {
        let at = d.position();
        let bytes = d.bytes()?.try_into().map_err(|_| decode::Error::message("blinding is not 32 bytes").at(at))?;
        Ok(Self(bytes))
    }
}

/// Shows what a leaf says: the share part, its blinding and the MAC of the audit part.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct Opening {
    /// Blinding of the commitment.
    #[n(0)]
    pub r: Blinding,
    /// Canonical bytes of the share part: what recipients may know.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub share: Vec<u8>,
    /// MAC of the audit part, which stays with the hub and its auditor. Always there, also over nothing.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub inner_mac: [u8; 32],
}

impl Opening {
    /// The commitment to this opening in a leaf of that log, kind and flags.
    pub fn commitment(&self, consortium: &ConsortiumId, log: &LogId, kind: LeafKind, flags: LeafFlags) -> Commitment {
        let share = Sha256::digest(&self.share);
        let label = domain::COMMITMENT.as_bytes();
        let flags = flags.bits().to_be_bytes();
        let parts = [label, &consortium.0, &log.0, &[kind.code()], &flags, &share, &self.inner_mac];
        Commitment(hmac(&self.r, &parts))
    }

    /// Checks that this is what `leaf` commits to.
    ///
    /// # Errors
    /// [`OpeningError`] if the share is over its limit or the commitment another.
    pub fn check(&self, consortium: &ConsortiumId, log: &LogId, leaf: &Leaf) -> Result<(), OpeningError> {
        if self.share.len() > SHARE_BYTES_MAX {
            return Err(OpeningError::ShareSize(self.share.len()));
        }
        // The commitment is public, so nothing is learnt from the time that this comparison takes.
        if self.commitment(consortium, log, leaf.kind, leaf.flags) == leaf.commitment {
            Ok(())
        } else {
            Err(OpeningError::Commitment)
        }
    }
}

/// The part of a record that stays at home: blinding and canonical bytes.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct AuditPart {
    /// Blinding of the inner MAC.
    #[n(0)]
    pub r2: Blinding,
    /// Canonical bytes; empty where a kind has no audit part.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub audit: Vec<u8>,
}

impl AuditPart {
    /// The MAC that the opening carries.
    pub fn inner_mac(&self) -> [u8; 32] {
        hmac(&self.r2, &[&self.audit])
    }

    /// Checks that an opening commits to this audit part.
    ///
    /// # Errors
    /// [`OpeningError`] if it is over every limit or not the one.
    pub fn check(&self, opening: &Opening) -> Result<(), OpeningError> {
        if self.audit.len() > RELEASE_AUDIT_BYTES_MAX {
            return Err(OpeningError::AuditSize(self.audit.len()));
        }
        if self.inner_mac() == opening.inner_mac { Ok(()) } else { Err(OpeningError::Audit) }
    }
}

/// The audit part of a record that has none: it still blinds, so that nobody sees which records have one.
pub const fn empty_audit(r2: Blinding) -> AuditPart {
    AuditPart { r2, audit: Vec::new() }
}

fn hmac(key: &Blinding, parts: &[&[u8]]) -> [u8; 32] {
    // The one-block key makes this infallible; an error could only come from a MAC with a fixed key size.
    let mut mac = Hmac::<Sha256>::new_from_slice(&key.0).expect("HMAC takes keys of any length");
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

/// Why an opening or audit part is not the leaf's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OpeningError {
    /// Share part over its limit.
    #[error("share part of {0} bytes is over the limit")]
    ShareSize(usize),
    /// Audit part over its limit.
    #[error("audit part of {0} bytes is over the limit")]
    AuditSize(usize),
    /// Another record, another log, or another leaf.
    #[error("opening does not give the leaf's commitment")]
    Commitment,
    /// Another audit part.
    #[error("audit part does not give the opening's inner MAC")]
    Audit,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Binding, UnixSeconds};

    const CONSORTIUM: ConsortiumId = ConsortiumId([1; 32]);
    const LOG: LogId = LogId([2; 32]);

    fn audit() -> AuditPart {
        AuditPart { r2: Blinding::new([4; 32]), audit: b"why".to_vec() }
    }

    fn opening() -> Opening {
        Opening { r: Blinding::new([3; 32]), share: b"what".to_vec(), inner_mac: audit().inner_mac() }
    }

    fn leaf() -> Leaf {
        let (kind, flags) = (LeafKind::Policy, LeafFlags::default());
        let commitment = opening().commitment(&CONSORTIUM, &LOG, kind, flags);
        Leaf { kind, flags, time: UnixSeconds(5), commitment, binding: Binding([0; 32]) }
    }

    #[test]
    fn an_opening_opens_its_leaf_and_nothing_else() {
        let check = |change: fn(&mut Opening, &mut Leaf), consortium, log, expected| {
            let (mut opening, mut leaf) = (opening(), leaf());
            change(&mut opening, &mut leaf);
            assert_eq!(opening.check(&consortium, &log, &leaf), expected);
        };
        let wrong = Err(OpeningError::Commitment);
        check(|_, _| (), CONSORTIUM, LOG, Ok(()));
        check(|_, _| (), ConsortiumId([9; 32]), LOG, wrong);
        check(|_, _| (), CONSORTIUM, LogId([9; 32]), wrong);
        check(|_, leaf| leaf.kind = LeafKind::Roster, CONSORTIUM, LOG, wrong);
        check(|_, leaf| leaf.flags.urgent = true, CONSORTIUM, LOG, wrong);
        check(|opening, _| opening.r = Blinding::new([9; 32]), CONSORTIUM, LOG, wrong);
        check(|opening, _| opening.share.push(0), CONSORTIUM, LOG, wrong);
        check(|opening, _| opening.inner_mac = [9; 32], CONSORTIUM, LOG, wrong);
        let large = Err(OpeningError::ShareSize(SHARE_BYTES_MAX + 1));
        check(|opening, _| opening.share = vec![0; SHARE_BYTES_MAX + 1], CONSORTIUM, LOG, large);
        // The time is under the leaf hash only: a record can be committed before its leaf is placed.
        check(|_, leaf| leaf.time = UnixSeconds(6), CONSORTIUM, LOG, Ok(()));
    }

    #[test]
    fn an_audit_part_fits_its_opening_and_nothing_else() {
        assert_eq!(audit().check(&opening()), Ok(()));
        assert_eq!(empty_audit(Blinding::new([4; 32])).check(&opening()), Err(OpeningError::Audit));
        let other = AuditPart { r2: Blinding::new([5; 32]), ..audit() };
        assert_eq!(other.check(&opening()), Err(OpeningError::Audit));
        let large = AuditPart { audit: vec![0; RELEASE_AUDIT_BYTES_MAX + 1], ..audit() };
        assert_eq!(large.check(&opening()), Err(OpeningError::AuditSize(RELEASE_AUDIT_BYTES_MAX + 1)));
    }

    #[test]
    fn blinding_never_prints() {
        assert_eq!(format!("{:?}", Blinding::new([7; 32])), "Blinding(..)");
    }
}
