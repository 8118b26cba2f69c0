//! The engine: bundles in force, evaluation, cache.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use cedar_policy::{Authorizer, Decision as CedarDecision, PolicySet, Response, Schema};
use cresset_protocol::codec;
use cresset_protocol::ids::PolicyDigest;
use cresset_protocol::object::marking::Marking;
use thiserror::Error;

use crate::bundle::PolicyBundle;
use crate::cedar::{Vocabulary, embargoed, expired};
use crate::decision::{DEFAULT_DENY, Decision, EVALUATION_FAILED, Outcome, Rule};
use crate::input::{CarrierScope, DecisionInput, MarkingClass, Principal, Question, Situation};
use crate::obligation::Obligation;

mod load;

/// Name and version of the evaluator, as recorded. Another text means: not replayable here.
pub const ENGINE_VERSION: &str = "cedar-policy/4.14 cresset-policy/1";

/// Decisions kept; a full cache is emptied, which costs one evaluation each and never an answer.
pub const DECISIONS_CACHED_MAX: usize = 1 << 16;

/// The bundles in force and what they answer.
pub struct Engine {
    /// By action, so that a question meets its own rules only: Cedar evaluates every policy of a set.
    policies: BTreeMap<&'static str, PolicySet>,
    schema: Schema,
    rules: BTreeMap<String, Arc<Rule>>,
    obligations: BTreeMap<String, Obligation>,
    bundles: Vec<PolicyDigest>,
    schema_digest: [u8; 32],
    clock_matters: bool,
    vocabulary: Vocabulary,
    cache: RwLock<HashMap<Vec<u8>, Arc<Decision>>>,
}

impl Engine {
    /// The baseline alone.
    ///
    /// # Errors
    /// Never for the baseline that this program ships; a test loads it.
    pub fn baseline() -> Result<Self, EngineError> {
        Self::with_bundles(&[PolicyBundle::baseline()])
    }

    /// A baseline and, above it, at most one consortium and one national bundle, in this order.
    ///
    /// # Errors
    /// A bundle that does not parse, does not validate against its schema, lacks `@id` or `@words`, repeats an id, names an
    /// unknown obligation, or could widen what the layers below allow.
    pub fn with_bundles(bundles: &[PolicyBundle]) -> Result<Self, EngineError> {
        load::engine(bundles)
    }

    /// Digests of the bundles in force, baseline first.
    pub fn bundles(&self) -> &[PolicyDigest] {
        &self.bundles
    }

    /// SHA-256 of the schema.
    pub fn schema_digest(&self) -> [u8; 32] {
        self.schema_digest
    }

    /// A rule by its id.
    pub fn rule(&self, id: &str) -> Option<&Arc<Rule>> {
        self.rules.get(id)
    }

    /// Every rule, by id.
    pub fn rules(&self) -> impl Iterator<Item = &Arc<Rule>> {
        self.rules.values()
    }

    /// Answers, from the cache where the same question was asked before.
    pub fn decide(&self, input: &DecisionInput) -> Arc<Decision> {
        let key = self.cache_key(input);
        let cached = self.cache.read().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        cached.unwrap_or_else(|| {
            let decision = Arc::new(self.evaluate(input));
            let mut cache = self.cache.write().unwrap_or_else(PoisonError::into_inner);
            if cache.len() >= DECISIONS_CACHED_MAX {
                cache.clear();
            }
            cache.insert(key, decision.clone());
            decision
        })
    }

    /// Answers without the cache.
    pub fn evaluate(&self, input: &DecisionInput) -> Decision {
        self.evaluate_checked(input, None)
    }

    /// The widest class of hubs that may carry ciphertext of this marking class.
    pub fn relay(&self, marking: &MarkingClass, situation: &Situation) -> CarrierScope {
        let may_carry = |scope: CarrierScope| {
            let principal = Principal::Carrier(scope);
            let (marking, situation) = (marking.clone(), situation.clone());
            self.decide(&DecisionInput { question: Question::Relay, marking, principal, situation }).is_permit()
        };
        // All members include the EU and EEA ones, so the wide answer needs both.
        match (may_carry(CarrierScope::Eea), may_carry(CarrierScope::All)) {
            (false, _) => CarrierScope::Nobody,
            (true, false) => CarrierScope::Eea,
            (true, true) => CarrierScope::All,
        }
    }

    /// [`Engine::relay`] for a marking.
    pub fn relay_of(&self, marking: &Marking, situation: &Situation) -> CarrierScope {
        self.relay(&MarkingClass::from(marking), situation)
    }

    fn evaluate_checked(&self, input: &DecisionInput, schema: Option<&Schema>) -> Decision {
        if !question_fits(input) {
            return self.refusal(BTreeSet::from([EVALUATION_FAILED]));
        }
        let Some(response) = self.ask(input, input.question.action(), schema) else {
            return self.refusal(BTreeSet::from([EVALUATION_FAILED]));
        };
        let reasons: BTreeSet<&str> = response.diagnostics().reason().map(AsRef::<str>::as_ref).collect();
        match response.decision() {
            CedarDecision::Deny if reasons.is_empty() => self.refusal(BTreeSet::from([DEFAULT_DENY])),
            CedarDecision::Deny => self.refusal(reasons),
            CedarDecision::Allow => self.permission(input, reasons, schema),
        }
    }

    fn permission(&self, input: &DecisionInput, reasons: BTreeSet<&str>, schema: Option<&Schema>) -> Decision {
        let mut obligations = BTreeSet::new();
        let mut ids = reasons;
        let asked = if input.question == Question::Release { self.ask(input, load::OBLIGE, schema) } else { None };
        match &asked {
            Some(response) => {
                let named = response.diagnostics().reason().map(AsRef::<str>::as_ref);
                for id in named {
                    obligations.extend(self.obligations.get(id).copied());
                    ids.insert(id);
                }
            }
            None if input.question == Question::Release => return self.refusal(BTreeSet::from([EVALUATION_FAILED])),
            None => {}
        }
        Decision { outcome: Outcome::Permit, rules: self.ranked(ids), obligations }
    }

    /// `None` when any policy failed: Cedar skips such a policy, and a skipped `forbid` would widen.
    fn ask(&self, input: &DecisionInput, action: &'static str, schema: Option<&Schema>) -> Option<Response> {
        let (request, entities) = self.vocabulary.request(input, action, schema).ok()?;
        let response = Authorizer::new().is_authorized(&request, self.policies.get(action)?, &entities);
        let complete = response.diagnostics().errors().next().is_none();
        complete.then_some(response)
    }

    fn refusal(&self, ids: BTreeSet<&str>) -> Decision {
        Decision { outcome: Outcome::Forbid, rules: self.ranked(ids), obligations: BTreeSet::new() }
    }

    fn ranked(&self, ids: BTreeSet<&str>) -> Vec<Arc<Rule>> {
        let mut rules: Vec<_> = ids.into_iter().filter_map(|id| self.rules.get(id).cloned()).collect();
        rules.sort_by(|a, b| (a.rank, &a.id).cmp(&(b.rank, &b.id)));
        rules
    }

    /// The canonical input, with the clock reduced to what it changes: unless a policy reads `context.now`, that is whether
    /// the embargo is over and whether the retention has ended.
    fn cache_key(&self, input: &DecisionInput) -> Vec<u8> {
        let now = input.situation.now;
        let phase = (embargoed(&input.marking, &input.situation), expired(&input.marking, &input.situation));
        let s = &input.situation;
        codec::encode(&(
            (input.question, &input.marking, &input.principal, phase, self.clock_matters.then_some(now)),
            (s.lane, s.only, &s.addressed_groups, s.own_country, &s.own_groups),
            (s.exercise, s.direct, s.owner),
        ))
    }

    /// The schema in force.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("bundles", &self.bundles)
            .field("rules", &self.rules.len())
            .finish_non_exhaustive()
    }
}

/// A principal of the kind that the question is about.
fn question_fits(input: &DecisionInput) -> bool {
    matches!(
        (input.question, &input.principal),
        (Question::Release | Question::Admit | Question::Withdraw, Principal::Hub(_))
            | (Question::Relay, Principal::Carrier(_))
            | (Question::Serve, Principal::Client(_))
    )
}

/// Why bundles do not make an engine.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EngineError {
    /// Not exactly one baseline first, then ascending layers.
    #[error("bundles must be one baseline, then at most one consortium and one national bundle")]
    Layers,
    /// Written for another schema than the baseline's.
    #[error("bundle `{bundle}` is written for another schema than the baseline's")]
    Schema {
        /// The bundle.
        bundle: String,
    },
    /// A baseline other than the one that this program ships.
    #[error("the baseline is not one that this program knows")]
    Baseline,
    /// Cedar refused the text.
    #[error("bundle `{bundle}`: {reason}")]
    Text {
        /// The bundle.
        bundle: String,
        /// Cedar's words, with the position.
        reason: String,
    },
    /// An annotation is missing or wrong.
    #[error("bundle `{bundle}`, policy `{policy}`: {fault}")]
    Annotation {
        /// The bundle.
        bundle: String,
        /// The policy.
        policy: String,
        /// What is wrong.
        fault: &'static str,
    },
    /// A layer above the baseline could widen.
    #[error(
        "bundle `{bundle}`, policy `{policy}`: a layer above the baseline may only forbid (naming its actions), or oblige"
    )]
    Widens {
        /// The bundle.
        bundle: String,
        /// The policy.
        policy: String,
    },
    /// An input that Cedar does not take.
    #[error("cedar refused an input: {0}")]
    Input(String),
}

impl EngineError {
    pub(crate) fn cedar(error: impl std::fmt::Display) -> Self {
        Self::Input(error.to_string())
    }
}

#[cfg(test)]
mod tests;
