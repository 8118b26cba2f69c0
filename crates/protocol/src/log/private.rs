//! Shares and audit parts of records whose opening stays private. Objects' own are with `object` and `envelope`.

use minicbor::{Decode, Encode};

use crate::codec::{self, CodecError};
use crate::ids::{
    Commitment, LeafIndex, LogId, NodeHash, ObjectUuid, ObjectVersion, PolicyDigest, RosterDigest, RosterVersion,
};
use crate::limits::{AUDIT_BYTES_MAX, SHARE_BYTES_MAX};
use crate::log::kinds::{KindTag, RecordKind};
use crate::log::leaf::WithdrawReason;
use crate::object::marking::Marking;
use crate::suite::Suite;

/// RELEASE: one call to publish, with the whole decision table in its audit part.
///
/// Written before the leaves that it permits, so that their audit parts can name it by its commitment.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ReleaseShare {
    /// Kind.
    #[n(0)]
    pub kind: KindTag<{ RecordKind::Release.code() }>,
    /// Suite.
    #[n(1)]
    pub suite: Suite,
    /// The object.
    #[n(2)]
    pub uuid: ObjectUuid,
    /// Its version.
    #[n(3)]
    pub version: ObjectVersion,
    /// Roster version against which it was decided.
    #[n(4)]
    pub roster_version: RosterVersion,
    /// Its digest.
    #[n(5)]
    pub roster_digest: RosterDigest,
    /// Policy bundles in force, in order of evaluation.
    #[n(6)]
    pub bundles: Vec<PolicyDigest>,
    /// Views that were published.
    #[n(7)]
    pub views: u32,
    /// SHA-256 of the audit part's bytes, under which the auditor finds it.
    #[cbor(n(8), with = "minicbor::bytes")]
    pub audit_digest: [u8; 32],
}

/// Audit part of a PUBLISH.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct PublishAudit {
    /// Commitment of the RELEASE that permits it: a leaf of the same log at a lower index.
    #[n(0)]
    pub release: Commitment,
    /// Strictest marking of the whole object, which the view's recipients need not know.
    #[n(1)]
    pub strictest: Marking,
}

/// WITHDRAW: the owner takes a view back. X (or, behind a PRIVATE leaf, `target_leaf`) is the target's leaf hash.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct WithdrawShare {
    /// Kind.
    #[n(0)]
    pub kind: KindTag<{ RecordKind::Withdraw.code() }>,
    /// Suite.
    #[n(1)]
    pub suite: Suite,
    /// Index of the target, in this log or in one that it continues.
    #[n(2)]
    pub target: LeafIndex,
    /// Leaf hash of the target.
    #[n(3)]
    pub target_leaf: NodeHash,
    /// The log of the target, if it is not this one.
    #[n(4)]
    pub target_log: Option<LogId>,
    /// Why; equals the leaf's flags where the leaf shows it.
    #[n(5)]
    pub reason: WithdrawCode,
}

/// A [`WithdrawReason`] on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WithdrawCode(pub WithdrawReason);

impl<C> Encode<C> for WithdrawCode {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.u8(self.0 as u8)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for WithdrawCode {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        let at = d.position();
        let code = d.u8()?;
        let reason = WithdrawReason::ALL.into_iter().find(|reason| *reason as u8 == code);
        reason.map(Self).ok_or_else(|| minicbor::decode::Error::message("unknown reason of a withdrawal").at(at))
    }
}

macro_rules! share_bytes {
    ($($name:ty: $limit:expr;)*) => {$(
        impl $name {
            /// The canonical bytes.
            pub fn to_bytes(&self) -> Vec<u8> {
                codec::encode(self)
            }

            /// Decodes canonical bytes.
            ///
            /// # Errors
            /// Anything but the one encoding.
            pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
                codec::decode(bytes, $limit)
            }
        }
    )*};
}

share_bytes! {
    ReleaseShare: SHARE_BYTES_MAX;
    WithdrawShare: SHARE_BYTES_MAX;
    PublishAudit: AUDIT_BYTES_MAX;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn withdraw() -> WithdrawShare {
        WithdrawShare {
            kind: KindTag,
            suite: Suite::Hybrid2026,
            target: LeafIndex(7),
            target_leaf: NodeHash([1; 32]),
            target_log: None,
            reason: WithdrawCode(WithdrawReason::PersonalData),
        }
    }

    fn release() -> ReleaseShare {
        ReleaseShare {
            kind: KindTag,
            suite: Suite::Hybrid2026,
            uuid: ObjectUuid([1; 16]),
            version: ObjectVersion(2),
            roster_version: RosterVersion(3),
            roster_digest: RosterDigest([4; 32]),
            bundles: vec![PolicyDigest([5; 32])],
            views: 3,
            audit_digest: [6; 32],
        }
    }

    #[test]
    fn private_shares_name_their_kind_first() {
        assert_eq!(RecordKind::of_share(&withdraw().to_bytes()), Some(RecordKind::Withdraw));
        assert_eq!(RecordKind::of_share(&release().to_bytes()), Some(RecordKind::Release));
        assert_eq!(WithdrawShare::decode(&withdraw().to_bytes()), Ok(withdraw()));
        assert_eq!(ReleaseShare::decode(&release().to_bytes()), Ok(release()));
    }

    #[test]
    fn a_share_of_another_kind_or_reason_does_not_decode() {
        assert!(WithdrawShare::decode(&release().to_bytes()).is_err());
        let mut bytes = withdraw().to_bytes();
        *bytes.last_mut().unwrap() = 9;
        assert!(WithdrawShare::decode(&bytes).is_err());
    }
}
