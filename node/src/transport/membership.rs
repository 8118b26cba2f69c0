//! What the transport asks of the roster: who may connect, with which keys, and who is behind.

use std::collections::BTreeMap;
use std::sync::Arc;

use cresset_protocol::ids::{ConsortiumId, Country, HubId, RosterDigest, RosterVersion, SpkiDigest};
use cresset_protocol::membership::roster::{Endpoint, HubStatus, RosterBody, VersionRange};
use cresset_protocol::signing::MlDsa65PublicKey;
use cresset_protocol::suite::Suite;
use libp2p::PeerId;
use libp2p::multihash::Multihash;
use rustls::pki_types::{CertificateDer, TrustAnchor};
use tokio::sync::watch;

/// Always the newest snapshot; one task owns the sending half.
pub type MembershipReader = watch::Receiver<Arc<Membership>>;

/// Protocol versions that this build speaks.
pub const SUPPORTED_VERSIONS: VersionRange = VersionRange { min: 1, max: 1 };

/// Immutable view of one accepted roster version, indexed for the transport.
#[derive(Debug)]
pub struct Membership {
    /// The consortium.
    pub consortium: ConsortiumId,
    /// Suite whose algorithms this consortium's hubs speak between them.
    pub suite: Suite,
    /// Version of the roster.
    pub version: RosterVersion,
    /// Digest of the roster.
    pub digest: RosterDigest,
    /// Protocol versions that both this build and the roster accept.
    pub versions: VersionRange,
    hubs: BTreeMap<HubId, Member>,
    by_key: BTreeMap<SpkiDigest, HubId>,
    anchors: Vec<TrustAnchor<'static>>,
}

/// One hub as the transport sees it.
#[derive(Clone, Debug)]
pub struct Member {
    /// Identity.
    pub hub: HubId,
    /// Member State.
    pub country: Country,
    /// DNS name, the one SAN of its certificate.
    pub domain: String,
    /// Standing.
    pub status: HubStatus,
    /// Accepted TLS keys.
    pub tls_keys: Vec<SpkiDigest>,
    /// Key of the hello.
    pub authentication_key: MlDsa65PublicKey,
    /// Where to dial.
    pub endpoints: Vec<Endpoint>,
}

impl Membership {
    /// Indexes an already verified roster. `root` is the consortium's root certificate in DER.
    ///
    /// # Errors
    /// [`MembershipError`] if the root is not the one that the roster names, or nothing is spoken in common.
    pub fn new(
        consortium: ConsortiumId,
        digest: RosterDigest,
        roster: &RosterBody,
        root: &CertificateDer<'_>,
    ) -> Result<Self, MembershipError> {
        if sha256(root) != roster.root_certificate {
            return Err(MembershipError::WrongRoot);
        }
        let anchor = webpki::anchor_from_trusted_cert(root).map_err(|_| MembershipError::BadRoot)?;
        let suite = *roster.suites.first().ok_or(MembershipError::NoSuite)?;
        let versions = intersect(SUPPORTED_VERSIONS, roster.versions)
            .ok_or(MembershipError::NoCommonVersion { min: roster.versions.min, max: roster.versions.max })?;
        let hubs: BTreeMap<_, _> = roster.hubs.iter().map(|hub| (hub.id, Member::from_entry(hub))).collect();
        let by_key = hubs.values().flat_map(|hub| hub.tls_keys.iter().map(|key| (*key, hub.hub))).collect();
        Ok(Self {
            consortium,
            suite,
            version: roster.version,
            digest,
            versions,
            hubs,
            by_key,
            anchors: vec![anchor.to_owned()],
        })
    }

    /// The hub that holds a TLS key, whatever its standing.
    pub fn by_key(&self, key: &SpkiDigest) -> Option<&Member> {
        self.by_key.get(key).and_then(|hub| self.hubs.get(hub))
    }

    /// A hub by id, whatever its standing.
    pub fn hub(&self, hub: &HubId) -> Option<&Member> {
        self.hubs.get(hub)
    }

    /// Hubs that may connect, in ascending hub id.
    pub fn admitted(&self) -> impl Iterator<Item = &Member> {
        self.hubs.values().filter(|hub| hub.may_connect())
    }

    pub(crate) fn anchors(&self) -> &[TrustAnchor<'static>] {
        &self.anchors
    }
}

impl Member {
    fn from_entry(entry: &cresset_protocol::membership::roster::HubEntry) -> Self {
        Self {
            hub: entry.id,
            country: entry.country,
            domain: entry.domain.clone(),
            status: entry.status,
            tls_keys: entry.tls_keys.clone(),
            authentication_key: entry.authentication_key.clone(),
            endpoints: entry.endpoints.clone(),
        }
    }

    /// Active hubs in full, suspended ones in a limited session: they must learn of their reinstatement.
    pub fn may_connect(&self) -> bool {
        matches!(self.status, HubStatus::Active | HubStatus::Suspended)
    }
}

/// The libp2p peer id of a TLS key: its SPKI digest as a SHA-256 multihash.
pub fn peer_id(key: &SpkiDigest) -> PeerId {
    let multihash = Multihash::wrap(SHA2_256, key.as_bytes()).expect("32 bytes fit a multihash of 64");
    PeerId::from_multihash(multihash).expect("SHA-256 multihashes are peer ids")
}

/// Undoes [`peer_id`].
pub fn key_of_peer(peer: &PeerId) -> Option<SpkiDigest> {
    let multihash: &Multihash<64> = peer.as_ref();
    (multihash.code() == SHA2_256).then(|| SpkiDigest::try_from(multihash.digest()).ok()).flatten()
}

/// Multicodec of SHA-256.
const SHA2_256: u64 = 0x12;

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    use aws_lc_rs::digest;
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    out
}

fn intersect(a: VersionRange, b: VersionRange) -> Option<VersionRange> {
    let common = VersionRange { min: a.min.max(b.min), max: a.max.min(b.max) };
    (common.min <= common.max).then_some(common)
}

/// Why a roster and a root certificate make no membership.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MembershipError {
    /// Not the certificate whose digest the roster holds.
    #[error("the root certificate is not the one that the roster names")]
    WrongRoot,
    /// Named by the roster, and yet no usable trust anchor.
    #[error("the root certificate cannot be parsed")]
    BadRoot,
    /// The roster lists no suite.
    #[error("the roster names no suite")]
    NoSuite,
    /// This build is too old or too new.
    #[error("the roster accepts protocol versions {min} to {max}, none of which this build speaks")]
    NoCommonVersion {
        /// Lowest accepted.
        min: u16,
        /// Highest accepted.
        max: u16,
    },
}
