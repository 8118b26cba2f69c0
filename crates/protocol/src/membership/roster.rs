//! The roster: who belongs, with which keys, since when (`protocol-spec/05-membership.md`).
//!
//! No personal data: officers and contacts are role ids.

use std::collections::BTreeSet;

use minicbor::{Decode, Encode};

use crate::ids::{
    ConsortiumId, Country, GroupId, HubId, LogId, PolicyDigest, RosterDigest, RosterVersion, SpkiDigest, UnixSeconds,
};
use crate::signing::{EncryptionPublicKey, LogKeys, MlDsa65PublicKey, OfficerKeys, OfficerSignatures};
use crate::suite::Suite;

/// Body of one roster version: what officers sign.
///
/// Version 0 founds the consortium and names no hub, log, group or policy; its digest is the consortium id.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct RosterBody {
    /// Ascends by exactly one.
    #[n(0)]
    pub version: RosterVersion,
    /// Name of the consortium, for people.
    #[n(1)]
    pub name: String,
    /// Version 0: 32 random bytes, so that two consortia never collide. Repeated in every version.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub nonce: [u8; 32],
    /// The consortium id; absent in version 0, whose digest it is.
    #[n(3)]
    pub consortium: Option<ConsortiumId>,
    /// Digests of the predecessor; one, or both twins of a disputed version. Empty in version 0.
    #[n(4)]
    pub predecessors: Vec<RosterDigest>,
    /// When it was issued.
    #[n(5)]
    pub issued: UnixSeconds,
    /// When it expires.
    #[n(6)]
    pub expires: UnixSeconds,
    /// Officers, by role id.
    #[n(7)]
    pub officers: Vec<Officer>,
    /// Officers whose signatures make the next version valid; more than half of them.
    #[n(8)]
    pub quorum: u32,
    /// Suites accepted between members.
    #[n(9)]
    pub suites: Vec<Suite>,
    /// SHA-256 of the root certificate's DER.
    #[cbor(n(10), with = "minicbor::bytes")]
    pub root_certificate: [u8; 32],
    /// Hubs in ascending hub id.
    #[n(11)]
    pub hubs: Vec<HubEntry>,
    /// Groups in ascending group id.
    #[n(12)]
    pub groups: Vec<GroupEntry>,
    /// Digest of the consortium's policy bundle.
    #[n(13)]
    pub policy: Option<PolicyDigest>,
    /// Lowest and highest protocol version accepted.
    #[n(14)]
    pub versions: VersionRange,
    /// Why one country has more than one active hub, where it has.
    #[n(15)]
    pub exceptions: Vec<String>,
}

/// Inclusive range of protocol versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct VersionRange {
    /// Lowest.
    #[n(0)]
    pub min: u16,
    /// Highest.
    #[n(1)]
    pub max: u16,
}

/// An officer of the consortium.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Officer {
    /// Role id, for example `officer-1`; never a name.
    #[n(0)]
    pub role: String,
    /// Signature keys.
    #[n(1)]
    pub keys: OfficerKeys,
    /// HPKE key: officers read group documents.
    #[n(2)]
    pub encryption: EncryptionPublicKey,
}

/// Standing of a hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum HubStatus {
    /// Full member.
    #[n(0)]
    Active,
    /// Temporarily without rights.
    #[n(1)]
    Suspended,
    /// Removed; its logs stay verifiable.
    #[n(2)]
    Removed,
    /// Left in order.
    #[n(3)]
    Left,
}

/// Where post-quantum signature keys live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum PqCustody {
    /// On the token.
    #[n(0)]
    Token,
    /// In software, wrapped by a token key.
    #[n(1)]
    Software,
}

/// One hub as the consortium knows it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct HubEntry {
    /// Identity.
    #[n(0)]
    pub id: HubId,
    /// Member State.
    #[n(1)]
    pub country: Country,
    /// Jurisdiction for relay decisions (EU or EEA member state, else another code).
    #[n(2)]
    pub jurisdiction: Country,
    /// DNS name; first part of its logs' origins and SAN of its certificate.
    #[n(3)]
    pub domain: String,
    /// Standing.
    #[n(4)]
    pub status: HubStatus,
    /// Roster roles (`coordinator`, `auditor`...).
    #[n(5)]
    pub roles: BTreeSet<String>,
    /// Accepted TLS keys; more than one during a rotation.
    #[n(6)]
    pub tls_keys: Vec<SpkiDigest>,
    /// Authentication key of the hello.
    #[n(7)]
    pub authentication_key: MlDsa65PublicKey,
    /// Logs in ascending generation; the last one is written.
    #[n(8)]
    pub logs: Vec<LogEntry>,
    /// Encryption keys in ascending period.
    #[n(9)]
    pub encryption_keys: Vec<EncryptionKeyEntry>,
    /// Offline recovery key.
    #[n(10)]
    pub recovery_key: EncryptionPublicKey,
    /// How to reach it.
    #[n(11)]
    pub endpoints: Vec<Endpoint>,
    /// Where its post-quantum signature keys live.
    #[n(12)]
    pub pq: PqCustody,
}

/// One log generation of a hub.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct LogEntry {
    /// Log id.
    #[n(0)]
    pub id: LogId,
    /// `<domain>/prov/<generation>`.
    #[n(1)]
    pub origin: String,
    /// Keys, in ascending key period.
    #[n(2)]
    pub keys: Vec<LogKeyPeriod>,
}

/// Keys of a log from a moment on.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct LogKeyPeriod {
    /// First time stamp that a checkpoint signed with these keys may carry.
    #[n(0)]
    pub from: UnixSeconds,
    /// End of the period, exclusive; open for the current keys.
    #[n(1)]
    pub until: Option<UnixSeconds>,
    /// The pair.
    #[n(2)]
    pub keys: LogKeys,
}

/// An encryption key with its activation date; a year's worth may be pre-approved.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct EncryptionKeyEntry {
    /// Number of the period.
    #[n(0)]
    pub period: crate::ids::KeyPeriod,
    /// First moment of use.
    #[n(1)]
    pub active_from: UnixSeconds,
    /// HPKE public key.
    #[n(2)]
    pub key: EncryptionPublicKey,
}

/// An address of a hub on one network.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Endpoint {
    /// Network label, for example `internet` or `testa`.
    #[n(0)]
    pub network: String,
    /// IP literal or DNS name.
    #[n(1)]
    pub host: String,
    /// TCP port.
    #[n(2)]
    pub port: u16,
}

/// A sharing group: opaque to everyone but its members and the officers.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct GroupEntry {
    /// Identity.
    #[n(0)]
    pub id: GroupId,
    /// Ascends with each change.
    #[n(1)]
    pub version: u64,
    /// Salted commitment to the plaintext document.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub commitment: [u8; 32],
    /// Encrypted document with one stanza per hub and officer, members or not (all the same size).
    #[cbor(n(3), with = "minicbor::bytes")]
    pub document: Vec<u8>,
}

/// Plaintext of a group document.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct GroupDocument {
    /// Identity, repeated so that a document cannot be swapped.
    #[n(0)]
    pub id: GroupId,
    /// Version, repeated likewise.
    #[n(1)]
    pub version: u64,
    /// Name, for members.
    #[n(2)]
    pub name: String,
    /// Members in ascending hub id.
    #[n(3)]
    pub members: BTreeSet<HubId>,
    /// From when on members may ask for history.
    #[n(4)]
    pub history_from: UnixSeconds,
    /// Salt of the commitment.
    #[cbor(n(5), with = "minicbor::bytes")]
    pub salt: [u8; 32],
}

/// An officer's signature over a roster digest.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct RosterSignature {
    /// Role id of the signer.
    #[n(0)]
    pub role: String,
    /// Both halves.
    #[n(1)]
    pub signatures: OfficerSignatures,
}

/// A roster body's canonical bytes with its signatures: what travels.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct SignedRoster {
    /// Canonical bytes of a [`RosterBody`].
    #[cbor(n(0), with = "minicbor::bytes")]
    pub body: Vec<u8>,
    /// Signatures in ascending role id.
    #[n(1)]
    pub signatures: Vec<RosterSignature>,
}
