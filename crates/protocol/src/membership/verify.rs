//! Verification of one roster version after another (`protocol-spec/05-membership.md` section 4).

use std::collections::BTreeMap;

use thiserror::Error;

use super::digest::{consortium_id, roster_digest, roster_signing_bytes};
use super::roster::{HubStatus, LogEntry, LogKeyPeriod, Officer, RosterBody, SignedRoster};
use super::rules::{RosterFault, check_body};
use super::snapshot::VerifiedRoster;
use crate::codec::{self, CodecError};
use crate::ids::{ConsortiumId, HubId, RosterVersion, UnixSeconds};
use crate::limits::{CLOCK_SKEW_SECONDS_MAX, OFFICERS_MAX, ROSTER_BYTES_MAX};
use crate::signing::SignatureVerifier;

/// Verifies version 0 against a consortium id from out of band. Every officer must have signed it: each shows possession.
///
/// # Errors
/// The first rule that is broken.
pub fn verify_founding(
    expected: &ConsortiumId,
    signed: &SignedRoster,
    verifier: &dyn SignatureVerifier,
) -> Result<VerifiedRoster, RosterError> {
    let body = decode_body(signed)?;
    if body.version.0 != 0 {
        return Err(RosterError::Version { expected: RosterVersion(0), found: body.version });
    }
    let consortium = consortium_id(&signed.body);
    if consortium != *expected {
        return Err(RosterError::Consortium { expected: *expected, found: consortium });
    }
    check_body(&body)?;
    let digest = roster_digest(&signed.body);
    let all = body.officers.len();
    check_quorum(signed, &roster_signing_bytes(&consortium, body.version, &digest), &body.officers, all, verifier)?;
    Ok(VerifiedRoster::new(body, signed.clone(), digest, consortium))
}

/// Verifies the direct successor of `prev`. Expiry is not judged here, so that a chain verifies at any later time: see
/// [`VerifiedRoster::validity`].
///
/// # Errors
/// The first rule that is broken.
pub fn verify_next(
    prev: &VerifiedRoster,
    signed: &SignedRoster,
    now: UnixSeconds,
    verifier: &dyn SignatureVerifier,
) -> Result<VerifiedRoster, RosterError> {
    let body = decode_body(signed)?;
    if body.predecessors.len() != 1 {
        return Err(RosterError::Predecessor);
    }
    verify_successor(prev, &[prev], body, signed, now, verifier)
}

/// Verifies the version that resolves twins: it names exactly both as predecessors, continues both, and is signed by the
/// quorum of their common predecessor `common`, never by a quorum that only one twin put in place.
///
/// # Errors
/// The first rule that is broken.
pub fn verify_resolution(
    common: &VerifiedRoster,
    twins: [&VerifiedRoster; 2],
    signed: &SignedRoster,
    now: UnixSeconds,
    verifier: &dyn SignatureVerifier,
) -> Result<VerifiedRoster, RosterError> {
    let body = decode_body(signed)?;
    let mut digests = twins.map(VerifiedRoster::digest);
    digests.sort_unstable();
    let children = twins.iter().all(|twin| twin.body().predecessors == [common.digest()]);
    if body.predecessors != digests || !children {
        return Err(RosterError::Predecessor);
    }
    verify_successor(common, &twins, body, signed, now, verifier)
}

/// Checks a body that nobody has signed yet as a successor of `prev`: what officers' tools do before they sign.
///
/// # Errors
/// The first rule that is broken.
pub fn check_unsigned(prev: &VerifiedRoster, body: &[u8], now: UnixSeconds) -> Result<RosterBody, RosterError> {
    let body: RosterBody = codec::decode(body, ROSTER_BYTES_MAX)?;
    if body.predecessors.len() != 1 {
        return Err(RosterError::Predecessor);
    }
    check_successor(prev.consortium(), &[prev], &body, now)?;
    Ok(body)
}

/// `authority` is the roster whose officers decide, `parents` those that the body must continue.
fn verify_successor(
    authority: &VerifiedRoster,
    parents: &[&VerifiedRoster],
    body: RosterBody,
    signed: &SignedRoster,
    now: UnixSeconds,
    verifier: &dyn SignatureVerifier,
) -> Result<VerifiedRoster, RosterError> {
    let consortium = authority.consortium();
    check_successor(consortium, parents, &body, now)?;
    let digest = roster_digest(&signed.body);
    let message = roster_signing_bytes(&consortium, body.version, &digest);
    let old = authority.body();
    check_quorum(signed, &message, &old.officers, old.quorum as usize, verifier)?;
    Ok(VerifiedRoster::new(body, signed.clone(), digest, consortium))
}

fn check_successor(
    consortium: ConsortiumId,
    parents: &[&VerifiedRoster],
    body: &RosterBody,
    now: UnixSeconds,
) -> Result<(), RosterError> {
    for parent in parents {
        let expected = RosterVersion(parent.version().0.saturating_add(1));
        if body.version != expected {
            return Err(RosterError::Version { expected, found: body.version });
        }
    }
    if let Some(found) = body.consortium.filter(|found| *found != consortium) {
        return Err(RosterError::Consortium { expected: consortium, found });
    }
    if !parents.iter().all(|parent| body.predecessors.contains(&parent.digest())) {
        return Err(RosterError::Predecessor);
    }
    check_body(body)?;
    if body.issued.0 > now.0.saturating_add(CLOCK_SKEW_SECONDS_MAX) {
        return Err(RosterError::FromTheFuture { issued: body.issued, now });
    }
    parents.iter().try_for_each(|parent| check_succession(parent.body(), body))
}

/// What may not change from one version to the next. Officers, quorum, policy, suites and the like may.
fn check_succession(old: &RosterBody, new: &RosterBody) -> Result<(), RosterError> {
    if new.nonce != old.nonce {
        return Err(RosterError::Changed("nonce"));
    }
    if new.issued < old.issued {
        return Err(RosterError::Changed("time of issue, backwards"));
    }
    let entries: BTreeMap<HubId, _> = new.hubs.iter().map(|hub| (hub.id, hub)).collect();
    for hub in &old.hubs {
        let next = entries.get(&hub.id).ok_or(RosterError::HubVanished(hub.id))?;
        if next.country != hub.country {
            return Err(RosterError::Changed("country of a hub"));
        }
        let ended = matches!(hub.status, HubStatus::Removed | HubStatus::Left);
        if ended && next.status != hub.status {
            return Err(RosterError::Revived(hub.id));
        }
        let continued = next.logs.iter().zip(&hub.logs).all(|(log, before)| continues(before, log, old.issued));
        if !continued || next.logs.len() < hub.logs.len() {
            return Err(RosterError::LogHistory(hub.id));
        }
    }
    for group in &old.groups {
        let Some(next) = new.groups.iter().find(|next| next.id == group.id) else { continue };
        if next.version < group.version || (next.version == group.version && next.commitment != group.commitment) {
            return Err(RosterError::Changed("group without a higher version"));
        }
    }
    Ok(())
}

/// Log keys of the past stay: a period may only gain its end, and new periods follow. The end is not before the version
/// that still showed the period open: checkpoints of that time were rightly signed with its keys.
fn continues(old: &LogEntry, new: &LogEntry, old_issued: UnixSeconds) -> bool {
    let same_end = |new: Option<UnixSeconds>, old: Option<UnixSeconds>| match old {
        Some(_) => new == old,
        None => new.is_none_or(|until| until >= old_issued),
    };
    let same_period = |(new, old): (&LogKeyPeriod, &LogKeyPeriod)| {
        new.from == old.from && new.keys == old.keys && same_end(new.until, old.until)
    };
    new.id == old.id
        && new.origin == old.origin
        && new.keys.len() >= old.keys.len()
        && new.keys.iter().zip(&old.keys).all(same_period)
}

/// At least `needed` distinct officers, no stranger, no signature that fails: a body with one bad signature is refused
/// whole, so that every holder of the digest holds the same proof.
fn check_quorum(
    signed: &SignedRoster,
    message: &[u8],
    officers: &[Officer],
    needed: usize,
    verifier: &dyn SignatureVerifier,
) -> Result<(), RosterError> {
    let count = signed.signatures.len();
    if count < needed || count > OFFICERS_MAX {
        return Err(RosterError::Quorum { count, needed });
    }
    let mut last: Option<&str> = None;
    for signature in &signed.signatures {
        if last.is_some_and(|last| last >= signature.role.as_str()) {
            return Err(RosterError::SignatureOrder);
        }
        last = Some(&signature.role);
        let officer = officers.iter().find(|officer| officer.role == signature.role);
        let officer = officer.ok_or_else(|| RosterError::UnknownOfficer(signature.role.clone()))?;
        if !officer.keys.verify(verifier, message, &signature.signatures) {
            return Err(RosterError::BadSignature(signature.role.clone()));
        }
    }
    Ok(())
}

fn decode_body(signed: &SignedRoster) -> Result<RosterBody, RosterError> {
    Ok(codec::decode(&signed.body, ROSTER_BYTES_MAX)?)
}

/// Why a roster version is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RosterError {
    /// Not canonical.
    #[error("roster: {0}")]
    Codec(#[from] CodecError),
    /// The body breaks a rule by itself.
    #[error(transparent)]
    Fault(#[from] RosterFault),
    /// Another version than the next.
    #[error("roster version {found} where {expected} is next")]
    Version {
        /// The next version.
        expected: RosterVersion,
        /// The version offered.
        found: RosterVersion,
    },
    /// Another consortium's.
    #[error("roster of consortium {found}, not {expected}")]
    Consortium {
        /// Ours.
        expected: ConsortiumId,
        /// Theirs.
        found: ConsortiumId,
    },
    /// It does not continue the version that we hold.
    #[error("roster does not name the accepted version as its predecessor")]
    Predecessor,
    /// Issued after our clock.
    #[error("roster is issued at {issued}, after our clock ({now})")]
    FromTheFuture {
        /// Time of issue.
        issued: UnixSeconds,
        /// Our clock.
        now: UnixSeconds,
    },
    /// Something that must stay was changed.
    #[error("roster changes what must stay: {0}")]
    Changed(&'static str),
    /// A hub of the predecessor is missing; removed hubs stay listed so that their logs verify.
    #[error("hub {0} of the predecessor is missing")]
    HubVanished(HubId),
    /// A removed hub, or one that left, has another status.
    #[error("hub {0} was removed or has left and cannot come back under this id")]
    Revived(HubId),
    /// Logs or past log keys of a hub were changed.
    #[error("logs or past log keys of hub {0} were changed")]
    LogHistory(HubId),
    /// Too few signatures, or more than there can be officers.
    #[error("{count} officers have signed, {needed} are needed")]
    Quorum {
        /// Signatures.
        count: usize,
        /// Quorum of the predecessor.
        needed: usize,
    },
    /// Signatures repeat a role or are out of order.
    #[error("signatures do not strictly ascend by role")]
    SignatureOrder,
    /// Signed by a role that the predecessor does not list.
    #[error("`{0}` is no officer of the predecessor")]
    UnknownOfficer(String),
    /// One or both halves fail.
    #[error("signature of `{0}` does not verify")]
    BadSignature(String),
    /// It continues one of two twins; only a version that names both may follow.
    #[error("version {0} has a twin; only a version that names both may follow")]
    UnresolvedTwin(RosterVersion),
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;
