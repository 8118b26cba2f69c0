//! Suspension: one officer's statement that takes a hub's rights for at most 48 hours.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};
use thiserror::Error;

use super::chain::RosterChain;
use super::snapshot::VerifiedRoster;
use super::syntax::is_reason;
use crate::codec::{self, CodecError};
use crate::domain;
use crate::ids::{ConsortiumId, HubId, RosterDigest, UnixSeconds};
use crate::limits::{CLOCK_SKEW_SECONDS_MAX, STATEMENT_BYTES_MAX, SUSPENSION_INTERVAL_SECONDS, SUSPENSION_SECONDS_MAX};
use crate::signing::{OfficerSignatures, SignatureVerifier};

/// What the officer states.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct SuspensionBody {
    /// Where.
    #[n(0)]
    pub consortium: ConsortiumId,
    /// Roster that makes the signer an officer and the hub a member.
    #[n(1)]
    pub roster: RosterDigest,
    /// Whom.
    #[n(2)]
    pub hub: HubId,
    /// When it was stated; in force from then on.
    #[n(3)]
    pub issued: UnixSeconds,
    /// End, exclusive.
    #[n(4)]
    pub until: UnixSeconds,
    /// Why; no personal data.
    #[n(5)]
    pub reason: String,
    /// Role id of the officer.
    #[n(6)]
    pub role: String,
}

/// A suspension as it travels.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct SignedSuspension {
    /// Canonical bytes of a [`SuspensionBody`].
    #[cbor(n(0), with = "minicbor::bytes")]
    pub body: Vec<u8>,
    /// Both halves of the officer's signature.
    #[n(1)]
    pub signatures: OfficerSignatures,
}

/// A suspension whose officer, hub, term and signature have been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedSuspension(SuspensionBody);

impl SuspensionBody {
    /// What the officer signs: label, canonical body.
    pub fn signing_bytes(&self) -> Vec<u8> {
        signing_bytes(&codec::encode(self))
    }

    /// Attaches the officer's signature.
    pub fn sign_with(self, signatures: OfficerSignatures) -> SignedSuspension {
        SignedSuspension { body: codec::encode(&self), signatures }
    }
}

impl SignedSuspension {
    /// Parses a statement from outside.
    ///
    /// # Errors
    /// Not canonical, or too large.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SuspensionError> {
        Ok(codec::decode(bytes, STATEMENT_BYTES_MAX)?)
    }

    /// Verifies the statement against the roster version that it names.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn verify(
        &self,
        chain: &RosterChain,
        now: UnixSeconds,
        verifier: &dyn SignatureVerifier,
    ) -> Result<VerifiedSuspension, SuspensionError> {
        let body: SuspensionBody = codec::decode(&self.body, STATEMENT_BYTES_MAX)?;
        let roster = chain.by_digest(&body.roster).ok_or(SuspensionError::UnknownRoster(body.roster))?;
        // An officer who was voted out since has no say, so the roster that counts must list the same keys. While twins
        // are unresolved that is their common predecessor: neither twin may give or take an officer's say.
        for roster in [roster, &chain.effective()] {
            self.check_officer(&body, roster, verifier)?;
        }
        if body.consortium != roster.consortium() {
            return Err(SuspensionError::Consortium);
        }
        if roster.hub(&body.hub).is_none() {
            return Err(SuspensionError::UnknownHub(body.hub));
        }
        if !is_reason(&body.reason) {
            return Err(SuspensionError::Reason);
        }
        let term = body.until.0.checked_sub(body.issued.0).filter(|term| *term > 0);
        if term.is_none_or(|term| term > SUSPENSION_SECONDS_MAX) {
            return Err(SuspensionError::Term);
        }
        if body.issued.0 > now.0.saturating_add(CLOCK_SKEW_SECONDS_MAX) {
            return Err(SuspensionError::FromTheFuture);
        }
        Ok(VerifiedSuspension(body))
    }

    fn check_officer(
        &self,
        body: &SuspensionBody,
        roster: &VerifiedRoster,
        verifier: &dyn SignatureVerifier,
    ) -> Result<(), SuspensionError> {
        let officer = roster.body().officers.iter().find(|officer| officer.role == body.role);
        let officer = officer.ok_or_else(|| SuspensionError::UnknownOfficer(body.role.clone()))?;
        if officer.keys.verify(verifier, &signing_bytes(&self.body), &self.signatures) {
            Ok(())
        } else {
            Err(SuspensionError::BadSignature(body.role.clone()))
        }
    }
}

impl VerifiedSuspension {
    /// The statement.
    pub fn body(&self) -> &SuspensionBody {
        &self.0
    }
}

/// Suspensions accepted so far: at most one per officer and hub in 30 days.
#[derive(Clone, Debug, Default)]
pub struct Suspensions {
    by_hub: BTreeMap<HubId, Vec<VerifiedSuspension>>,
}

impl Suspensions {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes one in. A repetition of a known statement changes nothing.
    ///
    /// # Errors
    /// [`SuspensionError::TooOften`] if this officer suspended this hub within 30 days before or after.
    pub fn accept(&mut self, suspension: VerifiedSuspension) -> Result<(), SuspensionError> {
        let known = self.by_hub.entry(suspension.0.hub).or_default();
        if known.contains(&suspension) {
            return Ok(());
        }
        let close = |other: &VerifiedSuspension| {
            other.0.role == suspension.0.role
                && other.0.issued.0.abs_diff(suspension.0.issued.0) < SUSPENSION_INTERVAL_SECONDS
        };
        if known.iter().any(close) {
            return Err(SuspensionError::TooOften);
        }
        known.push(suspension);
        Ok(())
    }

    /// The suspension of a hub in force at a moment, the one that lasts longest.
    pub fn in_force(&self, hub: &HubId, now: UnixSeconds) -> Option<&SuspensionBody> {
        let of_hub = self.by_hub.get(hub)?.iter().map(VerifiedSuspension::body);
        of_hub.filter(|body| now < body.until).max_by_key(|body| body.until)
    }
}

fn signing_bytes(body: &[u8]) -> Vec<u8> {
    domain::SUSPENSION.message(&[body])
}

/// Why a suspension is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SuspensionError {
    /// Not canonical.
    #[error("suspension: {0}")]
    Codec(#[from] CodecError),
    /// Another consortium's.
    #[error("suspension of another consortium")]
    Consortium,
    /// It names a roster that we do not hold.
    #[error("suspension names unknown roster {0}")]
    UnknownRoster(RosterDigest),
    /// It names no hub of that roster.
    #[error("suspension names unknown hub {0}")]
    UnknownHub(HubId),
    /// Not longer than 0, or longer than 48 hours.
    #[error("suspension does not end within 48 hours after its issue")]
    Term,
    /// Dated after our clock.
    #[error("suspension is dated after our clock")]
    FromTheFuture,
    /// Reason missing or not well-formed.
    #[error("suspension gives no well-formed reason")]
    Reason,
    /// Signed by no officer.
    #[error("`{0}` is no officer")]
    UnknownOfficer(String),
    /// One or both halves fail.
    #[error("signature of `{0}` does not verify")]
    BadSignature(String),
    /// Twice in 30 days.
    #[error("this officer has suspended this hub within 30 days already")]
    TooOften,
}
