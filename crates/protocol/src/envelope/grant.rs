//! The share of a KEYGRANT: what members of an audience know about it.

use std::collections::BTreeSet;

use minicbor::{Decode, Encode};

use crate::ids::{AudienceId, GrantSerial, HubId, RosterVersion, UnixSeconds};
use crate::log::kinds::{KindTag, RecordKind};

/// Share of a KEYGRANT leaf, readable by the audience only.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct KeyGrantShare {
    /// KEYGRANT, as every share says first.
    #[n(0)]
    pub kind: KindTag<{ RecordKind::KeyGrant.code() }>,
    /// Suite code.
    #[n(1)]
    pub suite: u16,
    /// The audience that the granted key opens.
    #[n(2)]
    pub audience: AudienceId,
    /// Serial of the grant.
    #[n(3)]
    pub serial: GrantSerial,
    /// Roster version against which the members were chosen.
    #[n(4)]
    pub roster_version: RosterVersion,
    /// Members, the origin among them: a complaint goes to these.
    #[n(5)]
    pub members: BTreeSet<HubId>,
    /// The origin encrypts nothing under the key from this time on.
    #[n(6)]
    pub use_until: UnixSeconds,
    /// Audience that this one replaces, if it is a rotation.
    #[n(7)]
    pub replaces: Option<AudienceId>,
}

impl KeyGrantShare {
    /// Largest encoding: 256 members of 17 bytes and the fixed fields.
    pub const BYTES_MAX: usize = 5 << 10;
}
