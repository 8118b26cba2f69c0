//! Enrolment: a hub's request with its proofs of possession (`protocol-spec/05-membership.md` section 6).

use minicbor::{Decode, Encode};
use thiserror::Error;

use super::digest::p384_spki_digest;
use super::roster::{EncryptionKeyEntry, Endpoint, HubEntry, HubStatus, LogEntry, LogKeyPeriod, PqCustody};
use super::snapshot::VerifiedRoster;
use super::syntax::{is_domain, is_name};
use crate::codec::{self, Canonical, CodecError};
use crate::domain;
use crate::ids::{ConsortiumId, Country, HubId, LogId, UnixSeconds};
use crate::limits::{
    CERTIFICATE_BYTES_MAX, CLOCK_SKEW_SECONDS_MAX, ENDPOINTS_PER_HUB_MAX, ENROLMENT_BYTES_MAX, ENROLMENT_SECONDS_MAX,
    EVIDENCE_MAX, KEYS_PER_HUB_MAX,
};
use crate::log::manifest::LogManifest;
use crate::signing::{
    EncryptionPublicKey, LogSignatures, MlDsa65PublicKey, MlDsa65Signature, P384PublicKey, P384Signature,
    SignatureVerifier,
};

/// Evidence that every request needs: the act by which the Member State designated the hub.
pub const DESIGNATION: &str = "designation-act";

/// What a hub asks for.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct EnrolmentBody {
    /// The consortium to join.
    #[n(0)]
    pub consortium: ConsortiumId,
    /// Identity that the hub has drawn: 16 random bytes.
    #[n(1)]
    pub hub: HubId,
    /// Member State.
    #[n(2)]
    pub country: Country,
    /// Jurisdiction for relay decisions.
    #[n(3)]
    pub jurisdiction: Country,
    /// DNS name.
    #[n(4)]
    pub domain: String,
    /// How to reach it.
    #[n(5)]
    pub endpoints: Vec<Endpoint>,
    /// When it was made; the request lives 14 days.
    #[n(6)]
    pub created: UnixSeconds,
    /// TLS key.
    #[n(7)]
    pub tls_key: P384PublicKey,
    /// PKCS#10 request over the same key, DER. Only its key and its signature count.
    #[cbor(n(8), with = "minicbor::bytes")]
    pub csr: Vec<u8>,
    /// Authentication key of the hello.
    #[n(9)]
    pub authentication_key: MlDsa65PublicKey,
    /// Canonical bytes of the [`LogManifest`] of the log that the hub brings.
    #[cbor(n(10), with = "minicbor::bytes")]
    pub log_manifest: Vec<u8>,
    /// Encryption keys, a year's worth if the hub likes.
    #[n(11)]
    pub encryption_keys: Vec<EncryptionKeyEntry>,
    /// Offline recovery key.
    #[n(12)]
    pub recovery_key: EncryptionPublicKey,
    /// Where post-quantum signature keys live.
    #[n(13)]
    pub pq: PqCustody,
    /// Vetting evidence by digest.
    #[n(14)]
    pub evidence: Vec<Evidence>,
}

/// A document that was checked outside the protocol, by digest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(map)]
pub struct Evidence {
    /// What it is, for example `designation-act`.
    #[n(0)]
    pub kind: String,
    /// SHA-256 of the document.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub digest: [u8; 32],
}

/// Proofs of possession: every signing key over the request digest.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Possession {
    /// TLS key.
    #[n(0)]
    pub tls: P384Signature,
    /// Authentication key; it names the encryption keys by signing the body.
    #[n(1)]
    pub authentication: MlDsa65Signature,
    /// Log keys.
    #[n(2)]
    pub log: LogSignatures,
}

/// The request file.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct EnrolmentRequest {
    /// Canonical bytes of an [`EnrolmentBody`].
    #[cbor(n(0), with = "minicbor::bytes")]
    pub body: Vec<u8>,
    /// Proofs of possession.
    #[n(1)]
    pub possession: Possession,
}

/// A request whose form, proofs and age have been checked. Its fitness for a roster is [`CheckedRequest::check_against`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedRequest {
    body: EnrolmentBody,
    manifest: Canonical<LogManifest>,
    digest: [u8; 32],
}

impl EnrolmentBody {
    /// Digest of the request: what is signed for possession and approved by officers.
    pub fn digest(&self) -> [u8; 32] {
        request_digest(&codec::encode(self))
    }

    /// Puts the request together.
    pub fn with_possession(&self, possession: Possession) -> EnrolmentRequest {
        EnrolmentRequest { body: codec::encode(self), possession }
    }
}

/// What the signing keys of a hub sign to show possession: label, request digest. The only exception to the dedication of
/// log and authentication keys.
pub fn possession_bytes(request_digest: &[u8; 32]) -> Vec<u8> {
    domain::POSSESSION.message(&[request_digest])
}

impl EnrolmentRequest {
    /// Canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Parses a request file. Nothing is checked yet.
    ///
    /// # Errors
    /// Not canonical, or too large.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, EnrolmentError> {
        Ok(codec::decode(bytes, ENROLMENT_BYTES_MAX)?)
    }

    /// Checks form, age and every proof of possession.
    ///
    /// The PKCS#10 request inside is X.509 matter: `cresset-pki` checks that it is over the same key.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(
        &self,
        consortium: &ConsortiumId,
        now: UnixSeconds,
        verifier: &dyn SignatureVerifier,
    ) -> Result<CheckedRequest, EnrolmentError> {
        let body: EnrolmentBody = codec::decode(&self.body, ENROLMENT_BYTES_MAX)?;
        if body.consortium != *consortium {
            return Err(EnrolmentError::Consortium { expected: *consortium, found: body.consortium });
        }
        check_form(&body)?;
        check_age(body.created, now)?;
        let manifest = check_manifest(&body)?;
        let digest = request_digest(&self.body);
        let message = possession_bytes(&digest);
        let proofs = [
            ("tls", verifier.verify_p384(&body.tls_key, &message, &self.possession.tls)),
            (
                "authentication",
                verifier.verify_ml_dsa_65(&body.authentication_key, &message, &self.possession.authentication),
            ),
            ("log", manifest.value().keys.verify(verifier, &message, &self.possession.log)),
        ];
        match proofs.iter().find(|(_, verifies)| !verifies) {
            Some((key, _)) => Err(EnrolmentError::Possession(key)),
            None => Ok(CheckedRequest { body, manifest, digest }),
        }
    }
}

impl CheckedRequest {
    /// The request.
    pub fn body(&self) -> &EnrolmentBody {
        &self.body
    }

    /// The manifest of the log that the hub brings.
    pub fn manifest(&self) -> &LogManifest {
        self.manifest.value()
    }

    /// Its log id.
    pub fn log_id(&self) -> LogId {
        LogManifest::log_id(&self.manifest)
    }

    /// Its digest.
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// Whether it is still alive.
    ///
    /// # Errors
    /// [`EnrolmentError::Expired`] after 14 days.
    pub fn check_age(&self, now: UnixSeconds) -> Result<(), EnrolmentError> {
        check_age(self.body.created, now)
    }

    /// Whether it could join this roster: new id, domain and keys, and no active hub of its country.
    ///
    /// # Errors
    /// [`EnrolmentError::Taken`], or that the country has an active hub.
    pub fn check_against(&self, roster: &VerifiedRoster) -> Result<(), EnrolmentError> {
        let (body, log) = (&self.body, self.manifest());
        let taken = |what| Err(EnrolmentError::Taken(what));
        if roster.hub(&body.hub).is_some() {
            return taken("hub id");
        }
        if roster.hub_by_domain(&body.domain).is_some_and(|hub| hub.status.in_standing()) {
            return taken("domain");
        }
        if roster.log(&self.log_id()).is_some() || roster.log_by_origin(log.origin.as_str()).is_some() {
            return taken("log");
        }
        if roster.hub_by_spki(&p384_spki_digest(&body.tls_key)).is_some() {
            return taken("tls key");
        }
        let offered: Vec<_> = body.encryption_keys.iter().map(|key| &key.key).chain([&body.recovery_key]).collect();
        for hub in roster.hubs() {
            if hub.authentication_key == body.authentication_key {
                return taken("authentication key");
            }
            let held = hub.encryption_keys.iter().map(|key| &key.key).chain([&hub.recovery_key]);
            if held.into_iter().any(|key| offered.contains(&key)) {
                return taken("encryption key");
            }
            let mut periods = hub.logs.iter().flat_map(|log| &log.keys);
            if periods.any(|p| p.keys.p384 == log.keys.p384 || p.keys.ml_dsa_65 == log.keys.ml_dsa_65) {
                return taken("log key");
            }
        }
        Ok(())
    }

    /// The roster entry that the request asks for.
    pub fn to_hub_entry(&self) -> HubEntry {
        let (body, log) = (&self.body, self.manifest());
        let keys = vec![LogKeyPeriod { from: log.created, until: None, keys: log.keys.clone() }];
        let log = LogEntry { id: self.log_id(), origin: log.origin.as_str().to_owned(), keys };
        HubEntry {
            id: body.hub,
            country: body.country,
            jurisdiction: body.jurisdiction,
            domain: body.domain.clone(),
            status: HubStatus::Active,
            roles: Default::default(),
            tls_keys: vec![p384_spki_digest(&body.tls_key)],
            authentication_key: body.authentication_key.clone(),
            logs: vec![log],
            encryption_keys: body.encryption_keys.clone(),
            recovery_key: body.recovery_key.clone(),
            endpoints: body.endpoints.clone(),
            pq: body.pq,
        }
    }
}

fn request_digest(body: &[u8]) -> [u8; 32] {
    domain::ENROLMENT.digest(&[body])
}

fn check_age(created: UnixSeconds, now: UnixSeconds) -> Result<(), EnrolmentError> {
    if created.0 > now.0.saturating_add(CLOCK_SKEW_SECONDS_MAX) {
        return Err(EnrolmentError::FromTheFuture);
    }
    if now.0.saturating_sub(created.0) >= ENROLMENT_SECONDS_MAX {
        return Err(EnrolmentError::Expired);
    }
    Ok(())
}

/// The log must be this hub's, under this domain, and not start later than the request.
fn check_manifest(body: &EnrolmentBody) -> Result<Canonical<LogManifest>, EnrolmentError> {
    let manifest = LogManifest::decode(&body.log_manifest)?;
    let log = manifest.value();
    let own = log.consortium == body.consortium && log.hub == body.hub && log.origin.domain() == body.domain;
    if own && log.is_coherent() && log.created <= body.created { Ok(manifest) } else { Err(EnrolmentError::Manifest) }
}

/// Limits of the lists and what the roster's own rules would not show; the rest is checked with the roster body.
fn check_form(body: &EnrolmentBody) -> Result<(), EnrolmentError> {
    let fits = !body.csr.is_empty()
        && body.csr.len() <= CERTIFICATE_BYTES_MAX
        && (1..=KEYS_PER_HUB_MAX).contains(&body.encryption_keys.len())
        && body.endpoints.len() <= ENDPOINTS_PER_HUB_MAX
        && body.evidence.len() <= EVIDENCE_MAX;
    if !fits {
        return Err(EnrolmentError::Limits);
    }
    if !is_domain(&body.domain) {
        return Err(EnrolmentError::Domain(body.domain.clone()));
    }
    if body.encryption_keys.first().is_some_and(|key| key.active_from > body.created) {
        return Err(EnrolmentError::NoKeyInForce);
    }
    if body.evidence.iter().any(|evidence| !is_name(&evidence.kind)) {
        return Err(EnrolmentError::Limits);
    }
    if !body.evidence.iter().any(|evidence| evidence.kind == DESIGNATION) {
        return Err(EnrolmentError::NoDesignation);
    }
    Ok(())
}

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EnrolmentError {
    /// Not canonical.
    #[error("enrolment request: {0}")]
    Codec(#[from] CodecError),
    /// Another consortium's.
    #[error("request to join consortium {found}, not {expected}")]
    Consortium {
        /// Ours.
        expected: ConsortiumId,
        /// Theirs.
        found: ConsortiumId,
    },
    /// A list or document outside its limit.
    #[error("a list or document of the request is empty or over its limit")]
    Limits,
    /// Not a DNS name.
    #[error("domain `{0}` is not well-formed")]
    Domain(String),
    /// No designation act among the evidence.
    #[error("evidence `{DESIGNATION}` is missing")]
    NoDesignation,
    /// A manifest of another consortium, hub or domain, with the wrong generation, or from after the request.
    #[error("the log manifest does not belong to this request")]
    Manifest,
    /// The first encryption key becomes active later.
    #[error("no encryption key is in force from the start")]
    NoKeyInForce,
    /// Older than 14 days.
    #[error("request is older than 14 days")]
    Expired,
    /// Dated after our clock.
    #[error("request is dated after our clock")]
    FromTheFuture,
    /// A signature over the request fails.
    #[error("possession of the {0} key is not proven")]
    Possession(&'static str),
    /// Something that must be new is in the roster.
    #[error("the request's {0} is in the roster already")]
    Taken(&'static str),
}
