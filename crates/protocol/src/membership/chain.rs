//! The chain of accepted rosters, from version 0, and what happens when a version has a twin.

use std::collections::BTreeMap;
use std::sync::Arc;

use minicbor::{Decode, Encode};
use thiserror::Error;

use super::digest::roster_digest;
use super::roster::{HubStatus, RosterBody, SignedRoster};
use super::snapshot::{Validity, VerifiedRoster};
use super::verify::{RosterError, verify_founding, verify_next, verify_resolution};
use crate::codec::{self, CodecError};
use crate::ids::{ConsortiumId, HubId, RosterDigest, RosterVersion, UnixSeconds};
use crate::limits::{ROSTER_BYTES_MAX, ROSTER_CHAIN_BYTES_MAX, ROSTER_CHAIN_MAX};
use crate::signing::SignatureVerifier;

/// Verified rosters from version 0 on, and a quorum-valid twin of the newest where one has shown up.
#[derive(Clone, Debug)]
pub struct RosterChain {
    founding: Arc<VerifiedRoster>,
    later: Vec<Arc<VerifiedRoster>>,
    /// The other half of each version that had a twin: whoever follows the chain must see both to judge a resolution.
    others: BTreeMap<RosterVersion, Arc<VerifiedRoster>>,
    twin: Option<TwinEvidence>,
}

/// Proof that the officers signed two rosters of one version: both bodies, both quorums. Anyone can check it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct TwinEvidence {
    /// The twin with the lower digest.
    #[n(0)]
    pub first: SignedRoster,
    /// The other.
    #[n(1)]
    pub second: SignedRoster,
}

/// What accepting a roster did.
#[derive(Clone, Debug)]
pub enum Accepted {
    /// It is the newest version now.
    Newer(Arc<VerifiedRoster>),
    /// It was known.
    Known,
    /// It is a twin: alarm, keep and pass on the evidence. A twin of the newest version leaves only the common
    /// predecessor and the removals of either in force; one of an older version does not change the chain.
    Twin(TwinEvidence),
}

/// A chain as a file or a message: signed rosters in ascending version, from 0 or from wherever the reader stands. A twin
/// follows the one that was accepted first.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct RosterFile {
    /// The rosters.
    #[n(0)]
    pub rosters: Vec<SignedRoster>,
}

impl RosterChain {
    /// Starts from version 0 and the consortium id.
    ///
    /// # Errors
    /// As [`verify_founding`].
    pub fn found(
        consortium: &ConsortiumId,
        founding: &SignedRoster,
        verifier: &dyn SignatureVerifier,
    ) -> Result<Self, RosterError> {
        let founding = Arc::new(verify_founding(consortium, founding, verifier)?);
        Ok(Self { founding, later: Vec::new(), others: BTreeMap::new(), twin: None })
    }

    /// Verifies a whole file from version 0 on. If its newest version has a twin in it, so has the chain.
    ///
    /// # Errors
    /// [`ChainError::Empty`], or the first roster that is refused.
    pub fn verify_file(
        consortium: &ConsortiumId,
        file: &RosterFile,
        now: UnixSeconds,
        verifier: &dyn SignatureVerifier,
    ) -> Result<Self, ChainError> {
        let (founding, later) = file.rosters.split_first().ok_or(ChainError::Empty)?;
        let mut chain = Self::found(consortium, founding, verifier)
            .map_err(|source| ChainError::Refused { position: 0, source })?;
        for (position, signed) in later.iter().enumerate() {
            let refused = |source| ChainError::Refused { position: position + 1, source };
            chain.accept(signed, now, verifier).map_err(refused)?;
        }
        Ok(chain)
    }

    /// Verifies and takes in one roster: the next version, one already held, a twin of any version, or the version that
    /// resolves twins, both of which must be held.
    ///
    /// # Errors
    /// Anything else, with the rule that it breaks; the chain is then unchanged.
    pub fn accept(
        &mut self,
        signed: &SignedRoster,
        now: UnixSeconds,
        verifier: &dyn SignatureVerifier,
    ) -> Result<Accepted, RosterError> {
        let digest = roster_digest(&signed.body);
        if self.by_digest(&digest).is_some() {
            return Ok(Accepted::Known);
        }
        let body: RosterBody = codec::decode(&signed.body, ROSTER_BYTES_MAX)?;
        if body.predecessors.len() == 2 {
            return self.resolve(signed, now, verifier);
        }
        let current = self.current();
        if body.version <= current.version() && body.version.0 > 0 {
            return self.accept_twin(&body, signed, now, verifier);
        }
        let next = Arc::new(verify_next(&current, signed, now, verifier)?);
        // A successor of one twin alone would let whoever made the twins carry on.
        if self.twin.is_some() {
            return Err(RosterError::UnresolvedTwin(current.version()));
        }
        self.later.push(Arc::clone(&next));
        Ok(Accepted::Newer(next))
    }

    /// The newest accepted version. With a twin about, callers honour [`RosterChain::removed_by_either_twin`] too, and
    /// give no rights that the common predecessor did not give.
    pub fn current(&self) -> Arc<VerifiedRoster> {
        Arc::clone(self.later.last().unwrap_or(&self.founding))
    }

    /// Version 0.
    pub fn founding(&self) -> &Arc<VerifiedRoster> {
        &self.founding
    }

    /// The roster whose membership counts: the newest, or the common predecessor while twins are unresolved.
    pub fn effective(&self) -> Arc<VerifiedRoster> {
        if self.twin.is_none() {
            return self.current();
        }
        let before = self.later.len().checked_sub(2).and_then(|index| self.later.get(index));
        Arc::clone(before.unwrap_or(&self.founding))
    }

    /// A version by number; of twins the one accepted first.
    pub fn version(&self, version: RosterVersion) -> Option<&Arc<VerifiedRoster>> {
        self.iter().find(|roster| roster.version() == version)
    }

    /// A version by digest.
    pub fn by_digest(&self, digest: &RosterDigest) -> Option<&Arc<VerifiedRoster>> {
        self.iter().find(|roster| roster.digest() == *digest)
    }

    /// All rosters, ascending by version, each twin after the one accepted first: what a reader needs to verify the chain.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<VerifiedRoster>> {
        let accepted = std::iter::once(&self.founding).chain(&self.later);
        accepted.flat_map(|roster| std::iter::once(roster).chain(self.others.get(&roster.version())))
    }

    /// Evidence of an unresolved twin.
    pub fn twin(&self) -> Option<&TwinEvidence> {
        self.twin.as_ref()
    }

    /// Hubs active in the effective roster that one of two unresolved twins no longer lists as active.
    pub fn removed_by_either_twin(&self) -> Vec<HubId> {
        let Some(evidence) = &self.twin else { return Vec::new() };
        let bodies: Vec<RosterBody> = [&evidence.first, &evidence.second]
            .iter()
            .filter_map(|signed| codec::decode(&signed.body, ROSTER_BYTES_MAX).ok())
            .collect();
        let active = |body: &RosterBody, id: &HubId| {
            body.hubs.iter().any(|hub| hub.id == *id && hub.status == HubStatus::Active)
        };
        let effective = self.effective();
        let ids = effective.active_hubs().map(|hub| hub.id);
        ids.filter(|id| !bodies.iter().all(|body| active(body, id))).collect()
    }

    /// First contact: the chain is unexpired, and a majority of its own hubs names the same newest digest.
    ///
    /// # Errors
    /// [`ChainError::Expired`] or [`ChainError::NoMajority`].
    pub fn check_first_contact(&self, named_by: &[(HubId, RosterDigest)], now: UnixSeconds) -> Result<(), ChainError> {
        let current = self.current();
        if current.validity(now) != Validity::Current {
            return Err(ChainError::Expired(current.version()));
        }
        let active = current.active_hubs().count();
        let agreeing = current
            .active_hubs()
            .filter(|hub| named_by.iter().any(|(id, digest)| *id == hub.id && *digest == current.digest()))
            .count();
        if agreeing * 2 > active { Ok(()) } else { Err(ChainError::NoMajority { agreeing, active }) }
    }

    /// The chain as a file.
    pub fn to_file(&self) -> RosterFile {
        RosterFile { rosters: self.iter().map(|roster| roster.signed().clone()).collect() }
    }

    /// Two valid successors of one version prove misuse whenever they show up. Only the first twin of the newest version
    /// changes what is in force: an older one was followed by the quorum long since.
    fn accept_twin(
        &mut self,
        body: &RosterBody,
        signed: &SignedRoster,
        now: UnixSeconds,
        verifier: &dyn SignatureVerifier,
    ) -> Result<Accepted, RosterError> {
        let parent = body.predecessors.first().and_then(|digest| self.by_digest(digest));
        let parent = parent.cloned().ok_or(RosterError::Predecessor)?;
        // After twins only a version that names both is valid, so a successor of one of them proves nothing.
        if self.others.contains_key(&parent.version()) {
            return Err(RosterError::UnresolvedTwin(parent.version()));
        }
        let other = verify_next(&parent, signed, now, verifier)?;
        let held = self.version(other.version()).ok_or(RosterError::Predecessor)?;
        let evidence = TwinEvidence::new(held.signed().clone(), other.signed().clone());
        if other.version() == self.current().version() && self.twin.is_none() {
            self.others.insert(other.version(), Arc::new(other));
            self.twin = Some(evidence.clone());
        }
        Ok(Accepted::Twin(evidence))
    }

    /// Takes in the version that names both twins. Both must be held: the succession from a twin unseen cannot be judged,
    /// and a made-up second digest must not stand in for a successor signed by the newest officers.
    fn resolve(
        &mut self,
        signed: &SignedRoster,
        now: UnixSeconds,
        verifier: &dyn SignatureVerifier,
    ) -> Result<Accepted, RosterError> {
        let current = self.current();
        let other = self.twin.as_ref().and_then(|_| self.others.get(&current.version()));
        let other = other.ok_or(RosterError::Predecessor)?;
        let next = Arc::new(verify_resolution(&self.effective(), [&current, other], signed, now, verifier)?);
        self.later.push(Arc::clone(&next));
        self.twin = None;
        Ok(Accepted::Newer(next))
    }
}

impl TwinEvidence {
    fn new(a: SignedRoster, b: SignedRoster) -> Self {
        if roster_digest(&a.body) < roster_digest(&b.body) {
            Self { first: a, second: b }
        } else {
            Self { first: b, second: a }
        }
    }

    /// Checks evidence from anywhere: two different successors of `parent`, each valid.
    ///
    /// # Errors
    /// [`RosterError`] of the half that is no valid successor, or [`RosterError::Predecessor`] if both are the same.
    pub fn verify(
        &self,
        parent: &VerifiedRoster,
        now: UnixSeconds,
        verifier: &dyn SignatureVerifier,
    ) -> Result<(), RosterError> {
        if roster_digest(&self.first.body) >= roster_digest(&self.second.body) {
            return Err(RosterError::Predecessor);
        }
        verify_next(parent, &self.first, now, verifier)?;
        verify_next(parent, &self.second, now, verifier)?;
        Ok(())
    }
}

impl RosterFile {
    /// Canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Parses a file. Nothing in it is verified yet.
    ///
    /// # Errors
    /// Not canonical, too large, or too many versions.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ChainError> {
        let file: Self = codec::decode(bytes, ROSTER_CHAIN_BYTES_MAX)?;
        if file.rosters.len() > ROSTER_CHAIN_MAX {
            return Err(ChainError::TooLong(file.rosters.len()));
        }
        Ok(file)
    }
}

/// Why a chain is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ChainError {
    /// Not canonical.
    #[error("roster file: {0}")]
    Codec(#[from] CodecError),
    /// No roster at all.
    #[error("roster file is empty")]
    Empty,
    /// More versions than a chain may have.
    #[error("roster file has {0} versions where at most {ROSTER_CHAIN_MAX} are allowed")]
    TooLong(usize),
    /// One roster is refused.
    #[error("roster at position {position}: {source}")]
    Refused {
        /// Position in the file.
        position: usize,
        /// Why.
        source: RosterError,
    },
    /// Expired at first contact.
    #[error("roster version {0} has expired")]
    Expired(RosterVersion),
    /// Too few of its own hubs name it.
    #[error("only {agreeing} of {active} active hubs name this roster")]
    NoMajority {
        /// Hubs that name it.
        agreeing: usize,
        /// Active hubs.
        active: usize,
    },
}
