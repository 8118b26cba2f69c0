//! The audit part of a RELEASE: what was decided, on which inputs, deduplicated by class.

use std::collections::{BTreeMap, BTreeSet};

use cresset_protocol::codec::{self, CodecError};
use cresset_protocol::ids::{HubId, ObjectUuid, ObjectVersion, PolicyDigest};
use cresset_protocol::limits::{ATTRIBUTES_MAX, HUBS_MAX, RELEASE_AUDIT_BYTES_MAX};
use minicbor::{Decode, Encode};
use thiserror::Error;

use crate::decision::Outcome;
use crate::input::{CarrierScope, DecisionInput, HubPrincipal, MarkingClass, Situation};
use crate::obligation::Obligation;

/// The whole decision table of one publish call.
///
/// The decision on (marking class m, recipient r) is `decisions[m * recipients.len() + r]`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ReleaseAudit {
    /// [`crate::engine::ENGINE_VERSION`] of the evaluator.
    #[n(0)]
    pub engine: String,
    /// SHA-256 of the Cedar schema.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub schema: [u8; 32],
    /// Bundles in force, baseline first.
    #[n(2)]
    pub bundles: Vec<PolicyDigest>,
    /// The object.
    #[n(3)]
    pub object: ObjectUuid,
    /// Its version.
    #[n(4)]
    pub version: ObjectVersion,
    /// The circumstances, the same for every decision.
    #[n(5)]
    pub situation: Situation,
    /// Hubs that the caller named with `--to`.
    #[n(6)]
    pub named: BTreeSet<HubId>,
    /// Marking classes, strictly ascending by their canonical bytes; each occurs in `units`.
    #[n(7)]
    pub classes: Vec<MarkingClass>,
    /// Class of every unit in document order, run by run; the first unit is the container.
    #[n(8)]
    pub units: Vec<UnitRun>,
    /// Possible recipients, ascending by hub id.
    #[n(9)]
    pub recipients: Vec<HubPrincipal>,
    /// Distinct answers, in order of first use.
    #[n(10)]
    pub answers: Vec<Answer>,
    /// Index into `answers` for every marking class and recipient.
    #[n(11)]
    pub decisions: Vec<u32>,
    /// Who may carry ciphertext, for every marking class.
    #[n(12)]
    pub relay: Vec<CarrierScope>,
}

/// Consecutive units of one class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct UnitRun {
    /// How many; at least one.
    #[n(0)]
    pub count: u32,
    /// Index into `classes`; differs from the preceding run's.
    #[n(1)]
    pub class: u32,
}

/// A decision without its input.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(map)]
pub struct Answer {
    /// Permit or forbid.
    #[n(0)]
    pub outcome: Outcome,
    /// Ids of the rules that decided, the one that speaks first in front.
    #[n(1)]
    pub rules: Vec<String>,
    /// What was to be done.
    #[n(2)]
    pub obligations: BTreeSet<Obligation>,
}

impl ReleaseAudit {
    /// The canonical bytes.
    ///
    /// # Errors
    /// A table beyond [`RELEASE_AUDIT_BYTES_MAX`].
    pub fn to_bytes(&self) -> Result<Vec<u8>, ReleaseError> {
        let bytes = codec::encode(self);
        if bytes.len() > RELEASE_AUDIT_BYTES_MAX {
            return Err(ReleaseError::TooLarge { len: bytes.len() });
        }
        Ok(bytes)
    }

    /// Decodes and checks a record.
    ///
    /// # Errors
    /// Anything but the canonical encoding of a consistent table.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ReleaseError> {
        let audit: Self = codec::decode(bytes, RELEASE_AUDIT_BYTES_MAX)?;
        audit.check()?;
        Ok(audit)
    }

    /// Number of units.
    pub fn unit_count(&self) -> u64 {
        self.units.iter().map(|run| u64::from(run.count)).sum()
    }

    /// Class of every unit, in document order.
    pub fn unit_classes(&self) -> impl Iterator<Item = u32> + '_ {
        self.units.iter().flat_map(|run| (0..run.count).map(|_| run.class))
    }

    /// Class of the container.
    pub fn container_class(&self) -> Option<u32> {
        self.units.first().map(|run| run.class)
    }

    /// The logged answer for a class and a recipient, by their indices.
    pub fn answer(&self, class: u32, recipient: usize) -> Option<&Answer> {
        let at = usize::try_from(class).ok()?.checked_mul(self.recipients.len())?.checked_add(recipient)?;
        let answer = *self.decisions.get(at)?;
        self.answers.get(usize::try_from(answer).ok()?)
    }

    /// The input of one decision, rebuilt.
    pub fn input(&self, class: u32, recipient: usize) -> Option<DecisionInput> {
        let marking = self.classes.get(usize::try_from(class).ok()?)?.clone();
        let hub = self.recipients.get(recipient)?.clone();
        Some(DecisionInput::release(marking, hub, self.situation.clone()))
    }

    /// Classes that a recipient gets: none unless the container is among them, for nothing can be rebuilt without it.
    pub fn released_classes(&self, recipient: usize) -> BTreeSet<u32> {
        let permitted = |class: &u32| self.answer(*class, recipient).is_some_and(|a| a.outcome == Outcome::Permit);
        match self.container_class() {
            Some(container) if permitted(&container) => {
                (0..u32::try_from(self.classes.len()).unwrap_or(u32::MAX)).filter(permitted).collect()
            }
            _ => BTreeSet::new(),
        }
    }

    /// Recipients by what they get: (released classes, obligations by class) -> hubs. Empty sets are left out.
    pub fn groups_of_recipients(&self) -> BTreeMap<BTreeMap<u32, BTreeSet<Obligation>>, Vec<HubId>> {
        let mut groups: BTreeMap<_, Vec<HubId>> = BTreeMap::new();
        for (at, recipient) in self.recipients.iter().enumerate() {
            let released: BTreeMap<u32, BTreeSet<Obligation>> = self
                .released_classes(at)
                .into_iter()
                .map(|class| (class, self.answer(class, at).map(|a| a.obligations.clone()).unwrap_or_default()))
                .collect();
            if !released.is_empty() {
                groups.entry(released).or_default().push(recipient.hub);
            }
        }
        groups
    }

    /// Checks that the table is complete, in order and within its limits.
    ///
    /// # Errors
    /// The first fault.
    pub fn check(&self) -> Result<(), ReleaseError> {
        let fault = |fault| Err(ReleaseError::Inconsistent(fault));
        let encoded: Vec<Vec<u8>> = self.classes.iter().map(MarkingClass::to_bytes).collect();
        if !encoded.windows(2).all(|pair| matches!(pair, [a, b] if a < b)) {
            return fault("marking classes do not strictly ascend");
        }
        if !self.recipients.windows(2).all(|pair| matches!(pair, [a, b] if a.hub < b.hub)) {
            return fault("recipients do not strictly ascend");
        }
        if self.recipients.len() > HUBS_MAX {
            return fault("too many recipients");
        }
        if self.recipients.iter().any(|recipient| recipient.named != self.named.contains(&recipient.hub)) {
            return fault("a recipient's `named` does not follow from the hubs named");
        }
        self.check_units()?;
        if self.decisions.len() != self.classes.len() * self.recipients.len() || self.relay.len() != self.classes.len()
        {
            return fault("not one decision for every marking class and recipient");
        }
        self.check_answers()
    }

    fn check_units(&self) -> Result<(), ReleaseError> {
        let fault = |fault| Err(ReleaseError::Inconsistent(fault));
        let used: BTreeSet<u32> = self.units.iter().map(|run| run.class).collect();
        if !used.iter().copied().eq(0..u32::try_from(self.classes.len()).unwrap_or(u32::MAX)) {
            return fault("units and marking classes do not match");
        }
        let canonical = self.units.windows(2).all(|pair| matches!(pair, [a, b] if a.class != b.class));
        if !canonical || self.units.iter().any(|run| run.count == 0) {
            return fault("unit runs are not the shortest form");
        }
        if self.unit_count() == 0 || self.unit_count() > ATTRIBUTES_MAX as u64 {
            return fault("number of units out of bounds");
        }
        Ok(())
    }

    /// Answers stand in order of first use, each once.
    fn check_answers(&self) -> Result<(), ReleaseError> {
        let fault = |fault| Err(ReleaseError::Inconsistent(fault));
        let mut next = 0;
        for answer in &self.decisions {
            if *answer > next {
                return fault("answers are not in order of first use");
            }
            next += u32::from(*answer == next);
        }
        if usize::try_from(next).ok() != Some(self.answers.len()) {
            return fault("an answer is never used");
        }
        if self.answers.iter().collect::<BTreeSet<_>>().len() != self.answers.len() {
            return fault("an answer stands twice");
        }
        Ok(())
    }
}

/// Why a record is no decision table.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ReleaseError {
    /// Not canonical.
    #[error("release record cannot be decoded")]
    Codec(#[from] CodecError),
    /// Too large to log.
    #[error("release record has {len} bytes where at most {RELEASE_AUDIT_BYTES_MAX} are allowed")]
    TooLarge {
        /// Its size.
        len: usize,
    },
    /// Decodable, but no complete table.
    #[error("release record is inconsistent: {0}")]
    Inconsistent(&'static str),
}
