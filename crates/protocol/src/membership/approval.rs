//! Officers' decisions about an enrolment request.

use std::collections::BTreeSet;

use minicbor::{Decode, Encode};
use thiserror::Error;

use super::enrolment::CheckedRequest;
use super::snapshot::VerifiedRoster;
use super::syntax::is_reason;
use crate::codec::{self, CodecError};
use crate::domain;
use crate::ids::{ConsortiumId, UnixSeconds};
use crate::limits::{CLOCK_SKEW_SECONDS_MAX, STATEMENT_BYTES_MAX};
use crate::signing::{OfficerSignatures, SignatureVerifier};

/// What the officer decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Verdict {
    /// The hub may join.
    #[n(0)]
    Approve,
    /// It may not.
    #[n(1)]
    Reject,
}

/// One officer's decision.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ApprovalBody {
    /// Where.
    #[n(0)]
    pub consortium: ConsortiumId,
    /// Digest of the request.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub request: [u8; 32],
    /// Decision.
    #[n(2)]
    pub verdict: Verdict,
    /// Why; needed to reject.
    #[n(3)]
    pub reason: Option<String>,
    /// When.
    #[n(4)]
    pub issued: UnixSeconds,
    /// Role id of the officer.
    #[n(5)]
    pub role: String,
}

/// A decision as it travels between officers.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Approval {
    /// Canonical bytes of an [`ApprovalBody`].
    #[cbor(n(0), with = "minicbor::bytes")]
    pub body: Vec<u8>,
    /// Both halves of the officer's signature.
    #[n(1)]
    pub signatures: OfficerSignatures,
}

/// A request that a quorum of the officers approved and that fits the roster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApprovedRequest {
    request: CheckedRequest,
    approved_by: Vec<String>,
}

impl ApprovalBody {
    /// What the officer signs: label, canonical body.
    pub fn signing_bytes(&self) -> Vec<u8> {
        signing_bytes(&codec::encode(self))
    }

    /// Attaches the officer's signature.
    pub fn sign_with(self, signatures: OfficerSignatures) -> Approval {
        Approval { body: codec::encode(&self), signatures }
    }
}

impl Approval {
    /// Canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Parses a decision from outside. Nothing is verified yet.
    ///
    /// # Errors
    /// Not canonical, or too large.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ApprovalError> {
        Ok(codec::decode(bytes, STATEMENT_BYTES_MAX)?)
    }

    /// Verifies the signature against the roster's officers.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn verify(
        &self,
        roster: &VerifiedRoster,
        now: UnixSeconds,
        verifier: &dyn SignatureVerifier,
    ) -> Result<ApprovalBody, ApprovalError> {
        let body: ApprovalBody = codec::decode(&self.body, STATEMENT_BYTES_MAX)?;
        if body.consortium != roster.consortium() {
            return Err(ApprovalError::Consortium);
        }
        if body.issued.0 > now.0.saturating_add(CLOCK_SKEW_SECONDS_MAX) {
            return Err(ApprovalError::FromTheFuture);
        }
        let reason_fits = body.reason.as_deref().map_or(body.verdict == Verdict::Approve, is_reason);
        if !reason_fits {
            return Err(ApprovalError::Reason);
        }
        let officer = roster.body().officers.iter().find(|officer| officer.role == body.role);
        let officer = officer.ok_or_else(|| ApprovalError::UnknownOfficer(body.role.clone()))?;
        if !officer.keys.verify(verifier, &signing_bytes(&self.body), &self.signatures) {
            return Err(ApprovalError::BadSignature(body.role));
        }
        Ok(body)
    }
}

impl CheckedRequest {
    /// Counts the officers' decisions. A rejection among them stops the request until the officer withdraws it by not
    /// handing it in: it is for people to settle, not to outvote.
    ///
    /// # Errors
    /// The first decision that does not verify, a rejection, too few approvals, or a clash with the roster.
    pub fn approve(
        self,
        approvals: &[Approval],
        roster: &VerifiedRoster,
        now: UnixSeconds,
        verifier: &dyn SignatureVerifier,
    ) -> Result<ApprovedRequest, ApprovalError> {
        self.check_age(now).map_err(ApprovalError::Request)?;
        self.check_against(roster).map_err(ApprovalError::Request)?;
        let mut roles = BTreeSet::new();
        for approval in approvals {
            let body = approval.verify(roster, now, verifier)?;
            if body.request != *self.digest() {
                return Err(ApprovalError::OtherRequest(body.role));
            }
            if body.issued.0.saturating_add(CLOCK_SKEW_SECONDS_MAX) < self.body().created.0 {
                return Err(ApprovalError::OtherRequest(body.role));
            }
            if body.verdict == Verdict::Reject {
                return Err(ApprovalError::Rejected { role: body.role, reason: body.reason.unwrap_or_default() });
            }
            roles.insert(body.role);
        }
        let needed = roster.body().quorum as usize;
        if roles.len() < needed {
            return Err(ApprovalError::Quorum { count: roles.len(), needed });
        }
        Ok(ApprovedRequest { request: self, approved_by: roles.into_iter().collect() })
    }
}

impl ApprovedRequest {
    /// The request.
    pub fn request(&self) -> &CheckedRequest {
        &self.request
    }

    /// Roles of the officers who approved, ascending.
    pub fn approved_by(&self) -> &[String] {
        &self.approved_by
    }
}

fn signing_bytes(body: &[u8]) -> Vec<u8> {
    domain::APPROVAL.message(&[body])
}

/// Why a decision, or a set of them, does not admit a hub.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ApprovalError {
    /// Not canonical.
    #[error("approval: {0}")]
    Codec(#[from] CodecError),
    /// The request itself is not fit.
    #[error(transparent)]
    Request(super::enrolment::EnrolmentError),
    /// Another consortium's.
    #[error("approval of another consortium")]
    Consortium,
    /// About another request.
    #[error("approval of `{0}` is about another request")]
    OtherRequest(String),
    /// Dated after our clock.
    #[error("approval is dated after our clock")]
    FromTheFuture,
    /// A rejection without, or with a badly formed, reason.
    #[error("decision gives no well-formed reason")]
    Reason,
    /// Signed by no officer.
    #[error("`{0}` is no officer")]
    UnknownOfficer(String),
    /// One or both halves fail.
    #[error("signature of `{0}` does not verify")]
    BadSignature(String),
    /// An officer has rejected.
    #[error("`{role}` has rejected the request: {reason}")]
    Rejected {
        /// Who.
        role: String,
        /// Why.
        reason: String,
    },
    /// Too few approvals.
    #[error("{count} officers have approved, {needed} are needed")]
    Quorum {
        /// Distinct officers.
        count: usize,
        /// Quorum of the roster.
        needed: usize,
    },
}
