//! The hello: post-quantum, mutual authentication of two hubs over an established TLS session
//! (`protocol-spec/07-transport.md`). Pure: bytes in, bytes and values out; [`super::handshake`] does the I/O.
//!
//! TLS proves possession of a P-384 key; the hello proves possession of the ML-DSA-65 key that the roster lists for the
//! same hub, over the exporter of this very session. Both must hold. Each step consumes the state before it, so no step
//! can be left out or repeated.

use cresset_protocol::codec::{self, CodecError};
use cresset_protocol::domain;
use cresset_protocol::ids::{ConsortiumId, HubId, RosterDigest, RosterVersion, SpkiDigest};
use cresset_protocol::limits::HELLO_FRAME_BYTES_MAX;
use cresset_protocol::membership::roster::{HubStatus, VersionRange};
use cresset_protocol::signing::{MlDsa65PublicKey, MlDsa65Signature, SignatureVerifier};
use cresset_protocol::suite::Suite;
use minicbor::{Decode, Encode};
use std::sync::Arc;
use thiserror::Error;

use super::membership::{Membership, sha256};

/// Length of the TLS exporter value that both signatures cover.
pub const EXPORTER_BYTES: usize = 48;
/// Label of the TLS exporter.
pub const EXPORTER_LABEL: &[u8] = b"EXPORTER-cresset-hello-1";

/// Which end of the connection signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Role {
    /// Opened the TCP connection, TLS client.
    Dialer = 0,
    /// Accepted it, TLS server.
    Listener = 1,
}

impl Role {
    fn peer(self) -> Self {
        match self {
            Self::Dialer => Self::Listener,
            Self::Listener => Self::Dialer,
        }
    }
}

/// First frame: who speaks, and where their roster stands.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct HelloBody {
    /// Suite of the signatures and of the session.
    #[n(0)]
    pub suite: Suite,
    /// The consortium.
    #[n(1)]
    pub consortium: ConsortiumId,
    /// The speaker.
    #[n(2)]
    pub hub: HubId,
    /// Protocol versions that the speaker accepts.
    #[n(3)]
    pub versions: VersionRange,
    /// Version of the speaker's roster.
    #[n(4)]
    pub roster_version: RosterVersion,
    /// Digest of the speaker's roster.
    #[n(5)]
    pub roster_digest: RosterDigest,
}

/// Second frame: the proof, or why there is none.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct HelloProof {
    /// ML-DSA-65 signature; absent in a refusal.
    #[n(0)]
    pub signature: Option<MlDsa65Signature>,
    /// Refusal code; absent in a proof.
    #[n(1)]
    pub refusal: Option<u8>,
}

/// A hello in which our body is ready to be sent.
pub struct Hello {
    session: Session,
}

/// A hello in which the peer's body was read and agrees with ours.
pub struct HelloAgreed {
    session: Session,
    peer_body_digest: [u8; 32],
    peer: Authenticated,
}

struct Session {
    membership: Arc<Membership>,
    role: Role,
    exporter: [u8; EXPORTER_BYTES],
    own_hub: HubId,
    own_key: SpkiDigest,
    peer_key: SpkiDigest,
    body: Vec<u8>,
}

/// What a finished hello says of the peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authenticated {
    /// The hub at the other end.
    pub hub: HubId,
    /// Its TLS key in this session.
    pub key: SpkiDigest,
    /// Protocol version of this session: the highest that both accept.
    pub version: u16,
    /// How its roster stands to ours.
    pub roster: RosterRelation,
    /// Version of its roster.
    pub roster_version: RosterVersion,
    /// Digest of its roster.
    pub roster_digest: RosterDigest,
    /// The key that its proof verified under.
    pub authentication_key: MlDsa65PublicKey,
    /// Whether the session speaks only the roster protocol: rosters differ, or the peer is suspended.
    pub limited: bool,
}

/// How a peer's roster stands to one's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RosterRelation {
    /// The same roster.
    Same,
    /// The peer has an older one.
    PeerBehind,
    /// The peer has a newer one.
    PeerAhead,
    /// One version, two digests: one of us holds a twin.
    Disputed,
}

impl Hello {
    /// Starts a hello over a TLS session whose peer showed `peer_key`. Returns the first frame to send.
    pub fn start(
        membership: Arc<Membership>,
        role: Role,
        exporter: [u8; EXPORTER_BYTES],
        own_hub: HubId,
        own_key: SpkiDigest,
        peer_key: SpkiDigest,
    ) -> (Self, Vec<u8>) {
        let body = codec::encode(&HelloBody {
            suite: membership.suite,
            consortium: membership.consortium,
            hub: own_hub,
            versions: membership.versions,
            roster_version: membership.version,
            roster_digest: membership.digest,
        });
        let session = Session { membership, role, exporter, own_hub, own_key, peer_key, body: body.clone() };
        (Self { session }, body)
    }

    /// Reads the peer's first frame. Nothing in it is authentic yet.
    ///
    /// # Errors
    /// [`HelloError`] names the first disagreement.
    pub fn on_body(self, frame: &[u8]) -> Result<HelloAgreed, HelloError> {
        let membership = &self.session.membership;
        let body: HelloBody = codec::decode(frame, HELLO_FRAME_BYTES_MAX)?;
        if body.suite != membership.suite {
            return Err(HelloError::Suite);
        }
        if body.consortium != membership.consortium {
            return Err(HelloError::Consortium { offered: body.consortium });
        }
        let member = membership.hub(&body.hub).ok_or(HelloError::UnknownHub { hub: body.hub })?;
        if body.hub == self.session.own_hub || self.session.peer_key == self.session.own_key {
            return Err(HelloError::Reflected);
        }
        // The certificate proved this key; it must be the named hub's and no other's.
        if !member.tls_keys.contains(&self.session.peer_key) {
            return Err(HelloError::KeyOfAnother { hub: body.hub });
        }
        if !member.may_connect() {
            return Err(HelloError::NotAdmitted { hub: body.hub });
        }
        let version = agree(membership.versions, body.versions)
            .ok_or(HelloError::Versions { min: body.versions.min, max: body.versions.max })?;
        let roster = relate(membership, &body);
        let limited = roster != RosterRelation::Same || member.status != HubStatus::Active;
        let peer = Authenticated {
            hub: body.hub,
            key: self.session.peer_key,
            version,
            roster,
            roster_version: body.roster_version,
            roster_digest: body.roster_digest,
            authentication_key: member.authentication_key.clone(),
            limited,
        };
        Ok(HelloAgreed { peer_body_digest: sha256(frame), peer, session: self.session })
    }
}

impl HelloAgreed {
    /// The bytes that our authentication key signs.
    pub fn message_to_sign(&self) -> Vec<u8> {
        let s = &self.session;
        let (own, peer) = ((&s.own_hub, &s.own_key), (&self.peer.hub, &s.peer_key));
        s.message(s.role, own, peer, &sha256(&s.body))
    }

    /// Our second frame.
    pub fn proof(signature: MlDsa65Signature) -> Vec<u8> {
        codec::encode(&HelloProof { signature: Some(signature), refusal: None })
    }

    /// Reads the peer's second frame; from here on the peer is who its body says.
    ///
    /// # Errors
    /// [`HelloError::Refused`] if the peer refuses us, [`HelloError::Signature`] if its proof does not hold.
    pub fn on_proof(self, frame: &[u8], verifier: &dyn SignatureVerifier) -> Result<Authenticated, HelloError> {
        let proof: HelloProof = codec::decode(frame, HELLO_FRAME_BYTES_MAX)?;
        let signature = match (proof.signature, proof.refusal) {
            (Some(signature), None) => signature,
            (None, Some(code)) => return Err(HelloError::Refused { reason: refusal_text(code) }),
            _ => return Err(HelloError::Proof),
        };
        let s = &self.session;
        let (own, peer) = ((&s.own_hub, &s.own_key), (&self.peer.hub, &s.peer_key));
        let message = s.message(s.role.peer(), peer, own, &self.peer_body_digest);
        if verifier.verify_ml_dsa_65(&self.peer.authentication_key, &message, &signature) {
            Ok(self.peer)
        } else {
            Err(HelloError::Signature { hub: self.peer.hub })
        }
    }
}

impl Authenticated {
    /// Whether the hello's outcome still holds under a membership that may be newer than the one it was judged by. If not,
    /// the connection ends and the hubs meet again. A session outlives a mere advance of our roster: the peer follows.
    pub fn stands(&self, membership: &Membership) -> bool {
        let Some(member) = membership.hub(&self.hub) else { return false };
        let admitted = member.may_connect()
            && member.tls_keys.contains(&self.key)
            && member.authentication_key == self.authentication_key
            && (membership.versions.min..=membership.versions.max).contains(&self.version);
        let active = member.status == HubStatus::Active;
        let shown = (self.roster_version, self.roster_digest);
        let same = shown == (membership.version, membership.digest);
        let full_is_wrong = !active || (self.roster_version >= membership.version && !same);
        // Limited for its standing alone, or for a roster that has become ours: a new hello would give a full session.
        let limited_is_wrong = active && (self.roster == RosterRelation::Same || same);
        admitted && !(if self.limited { limited_is_wrong } else { full_is_wrong })
    }
}

impl Session {
    /// label || suite || consortium || exporter || role || signer's hub || other hub || signer's key || other key ||
    /// SHA-256(signer's body). All parts but the last have fixed lengths, and so has the last.
    fn message(
        &self,
        role: Role,
        signer: (&HubId, &SpkiDigest),
        other: (&HubId, &SpkiDigest),
        body_digest: &[u8; 32],
    ) -> Vec<u8> {
        domain::HELLO.message(&[
            &self.membership.suite.code().to_be_bytes(),
            self.membership.consortium.as_bytes(),
            &self.exporter,
            &[role as u8],
            signer.0.as_bytes(),
            other.0.as_bytes(),
            signer.1.as_bytes(),
            other.1.as_bytes(),
            body_digest,
        ])
    }
}

fn agree(own: VersionRange, peer: VersionRange) -> Option<u16> {
    let highest = own.max.min(peer.max);
    (peer.min <= peer.max && highest >= own.min && highest >= peer.min).then_some(highest)
}

fn relate(own: &Membership, peer: &HelloBody) -> RosterRelation {
    match peer.roster_version.cmp(&own.version) {
        std::cmp::Ordering::Less => RosterRelation::PeerBehind,
        std::cmp::Ordering::Greater => RosterRelation::PeerAhead,
        std::cmp::Ordering::Equal if peer.roster_digest == own.digest => RosterRelation::Same,
        std::cmp::Ordering::Equal => RosterRelation::Disputed,
    }
}

/// Why a hello fails.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HelloError {
    /// A frame that is no hello.
    #[error("malformed hello")]
    Malformed(#[from] CodecError),
    /// The peer speaks another suite.
    #[error("the peer speaks another suite")]
    Suite,
    /// The peer belongs elsewhere.
    #[error("the peer belongs to consortium `{offered}`")]
    Consortium {
        /// Where it says that it belongs.
        offered: ConsortiumId,
    },
    /// Not in our roster.
    #[error("hub `{hub}` is not in the roster")]
    UnknownHub {
        /// The name it gave.
        hub: HubId,
    },
    /// In our roster, and without the right to connect.
    #[error("hub `{hub}` was removed or has left")]
    NotAdmitted {
        /// The hub.
        hub: HubId,
    },
    /// The TLS key of one hub with the name of another.
    #[error("the TLS key of this session is not hub `{hub}`'s")]
    KeyOfAnother {
        /// The name it gave.
        hub: HubId,
    },
    /// We hear ourselves.
    #[error("the peer shows our own identity")]
    Reflected,
    /// No protocol version in common.
    #[error("the peer speaks protocol versions {min} to {max}")]
    Versions {
        /// Its lowest.
        min: u16,
        /// Its highest.
        max: u16,
    },
    /// Neither a signature nor a refusal, or both.
    #[error("the proof holds neither a signature nor a refusal")]
    Proof,
    /// The signature is not the roster key's, or not over this session.
    #[error("the authentication signature of hub `{hub}` does not verify")]
    Signature {
        /// The name it gave.
        hub: HubId,
    },
    /// The peer will not have us.
    #[error("the peer refuses: {reason}")]
    Refused {
        /// In words.
        reason: &'static str,
    },
}

impl HelloError {
    /// The frame that tells the peer why. Says nothing that the peer did not send itself.
    pub fn refusal(&self) -> Vec<u8> {
        codec::encode(&HelloProof { signature: None, refusal: Some(self.code()) })
    }

    fn code(&self) -> u8 {
        match self {
            Self::Malformed(_) | Self::Proof | Self::Refused { .. } => 1,
            Self::Suite => 2,
            Self::Consortium { .. } => 3,
            Self::UnknownHub { .. } | Self::NotAdmitted { .. } => 4,
            Self::KeyOfAnother { .. } | Self::Signature { .. } => 5,
            Self::Reflected => 6,
            Self::Versions { .. } => 7,
        }
    }
}

fn refusal_text(code: u8) -> &'static str {
    match code {
        1 => "it could not read our hello",
        2 => "it speaks another suite",
        3 => "it belongs to another consortium",
        4 => "its roster does not admit us",
        5 => "our keys are not those of its roster",
        6 => "it heard its own identity",
        7 => "no protocol version in common",
        _ => "a reason that this version does not know",
    }
}

#[cfg(test)]
#[path = "hello_tests.rs"]
mod tests;
