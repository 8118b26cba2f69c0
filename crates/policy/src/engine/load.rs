//! Turning bundles into an engine: parse, validate, annotate, and refuse what could widen.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, RwLock};

use cedar_policy::{
    ActionConstraint, Effect, EntityUid, Policy, PolicyId, PolicySet, Schema, ValidationMode, Validator,
};
use serde_json::Value;

use super::{Engine, EngineError};
use crate::bundle::{Layer, PolicyBundle};
use crate::cedar::Vocabulary;
use crate::decision::Rule;
use crate::obligation::Obligation;

/// Action that carries obligations.
pub(super) const OBLIGE: &str = "oblige";
const RELAY: &str = "relay";
/// Every action of the schema.
const ACTIONS: [&str; 6] = ["release", OBLIGE, RELAY, "admit", "serve", "withdraw"];
/// Rules without a rank speak after the ranked ones.
const RANK_DEFAULT: u32 = 1_000;

pub(super) fn engine(bundles: &[PolicyBundle]) -> Result<Engine, EngineError> {
    let baseline = check_layers(bundles)?;
    let (schema, _warnings) = Schema::from_cedarschema_str(&baseline.schema).map_err(|e| text(baseline, e))?;
    let vocabulary = Vocabulary::new()?;
    let mut loading = Loading {
        policies: ACTIONS.into_iter().map(|action| (action, PolicySet::new())).collect(),
        rules: Rule::built_in().into_iter().map(|rule| (rule.id.clone(), Arc::new(rule))).collect(),
        obligations: BTreeMap::new(),
        clock_matters: false,
        vocabulary: &vocabulary,
        validator: Validator::new(schema.clone()),
    };
    for bundle in bundles {
        loading.add(bundle)?;
    }
    let Loading { policies, rules, obligations, clock_matters, .. } = loading;
    Ok(Engine {
        policies,
        rules,
        obligations,
        clock_matters,
        schema,
        bundles: bundles.iter().map(PolicyBundle::digest).collect(),
        schema_digest: baseline.schema_digest(),
        vocabulary,
        cache: RwLock::new(HashMap::new()),
    })
}

/// Exactly one baseline, ours, first; the layers above it ascend; all share its schema.
fn check_layers(bundles: &[PolicyBundle]) -> Result<&PolicyBundle, EngineError> {
    let baseline = bundles.first().filter(|bundle| bundle.layer == Layer::Baseline).ok_or(EngineError::Layers)?;
    let ascending = bundles.windows(2).all(|pair| matches!(pair, [a, b] if a.layer < b.layer));
    if !ascending {
        return Err(EngineError::Layers);
    }
    // Nobody but the program may say what the fixed rules are.
    if *baseline != PolicyBundle::baseline() {
        return Err(EngineError::Baseline);
    }
    match bundles.iter().find(|bundle| bundle.schema != baseline.schema) {
        Some(bundle) => Err(EngineError::Schema { bundle: bundle.name.clone() }),
        None => Ok(baseline),
    }
}

struct Loading<'a> {
    policies: BTreeMap<&'static str, PolicySet>,
    rules: BTreeMap<String, Arc<Rule>>,
    obligations: BTreeMap<String, Obligation>,
    clock_matters: bool,
    vocabulary: &'a Vocabulary,
    validator: Validator,
}

impl Loading<'_> {
    fn add(&mut self, bundle: &PolicyBundle) -> Result<(), EngineError> {
        let parsed: PolicySet = bundle.policies.parse().map_err(|e: cedar_policy::ParseErrors| text(bundle, e))?;
        if parsed.templates().next().is_some() {
            return Err(text(bundle, "templates are not supported"));
        }
        let result = self.validator.validate(&parsed, ValidationMode::Strict);
        if let Some(error) = result.validation_errors().next() {
            return Err(text(bundle, error));
        }
        for policy in parsed.policies() {
            self.add_policy(bundle, policy)?;
        }
        Ok(())
    }

    fn add_policy(&mut self, bundle: &PolicyBundle, policy: &Policy) -> Result<(), EngineError> {
        let fault = |fault| EngineError::Annotation {
            bundle: bundle.name.clone(),
            policy: policy.annotation("id").map_or_else(|| policy.id().to_string(), str::to_owned),
            fault,
        };
        let id = policy
            .annotation("id")
            .filter(|id| is_rule_id(id))
            .ok_or_else(|| fault("`@id` is missing or is not lower-case letters, digits and hyphens"))?;
        let words = policy.annotation("words").filter(|words| !words.is_empty());
        let rank = policy.annotation("rank").map_or(Ok(RANK_DEFAULT), str::parse);
        let rule = Rule {
            id: id.to_owned(),
            words: words.ok_or_else(|| fault("`@words` is missing"))?.to_owned(),
            clause: policy.annotation("clause").map(str::to_owned),
            review: policy.annotation("review") == Some("true"),
            rank: rank.map_err(|_| fault("`@rank` is not a number"))?,
        };
        self.check_tightens(bundle, policy, id)?;
        if let Some(obligation) = self.obligation(policy).map_err(fault)? {
            self.obligations.insert(id.to_owned(), obligation);
        }
        if self.rules.insert(id.to_owned(), Arc::new(rule)).is_some() {
            return Err(fault("`@id` is used twice"));
        }
        let json = policy.to_json().map_err(|e| text(bundle, e))?;
        self.clock_matters |= reads_clock(&json);
        let policy = policy.new_id(PolicyId::new(id));
        for (action, set) in &mut self.policies {
            if touches(&policy, &self.vocabulary.action(action)) {
                set.add(policy.clone()).map_err(|e| text(bundle, e))?;
            }
        }
        Ok(())
    }

    fn obligation(&self, policy: &Policy) -> Result<Option<Obligation>, &'static str> {
        let obliges = policy.effect() == Effect::Permit && self.is_only_about(policy, OBLIGE);
        match (policy.annotation("obligation"), obliges) {
            (Some(name), true) => {
                Obligation::from_name(name).map(Some).ok_or("`@obligation` names one that nobody performs")
            }
            (None, false) => Ok(None),
            _ => Err("`@obligation` belongs to every `permit` of the action `oblige`, and to nothing else"),
        }
    }

    /// Above the baseline: `forbid`, a `permit` of `oblige` (which asks for more), and for the consortium, which agrees on
    /// jurisdictions, a `permit` of `relay`. A `forbid` that touches `oblige` would lift an obligation.
    fn check_tightens(&self, bundle: &PolicyBundle, policy: &Policy, id: &str) -> Result<(), EngineError> {
        let may = match (bundle.layer, policy.effect()) {
            (Layer::Baseline, _) => true,
            (_, Effect::Forbid) => !touches(policy, &self.vocabulary.action(OBLIGE)),
            (Layer::Consortium, Effect::Permit) => {
                self.is_only_about(policy, OBLIGE) || self.is_only_about(policy, RELAY)
            }
            (Layer::National, Effect::Permit) => self.is_only_about(policy, OBLIGE),
        };
        if may { Ok(()) } else { Err(EngineError::Widens { bundle: bundle.name.clone(), policy: id.to_owned() }) }
    }

    fn is_only_about(&self, policy: &Policy, action: &str) -> bool {
        matches!(policy.action_constraint(), ActionConstraint::Eq(uid) if uid == self.vocabulary.action(action))
    }
}

fn touches(policy: &Policy, action: &EntityUid) -> bool {
    match policy.action_constraint() {
        ActionConstraint::Any => true,
        ActionConstraint::Eq(uid) => uid == *action,
        ActionConstraint::In(uids) => uids.contains(action),
    }
}

fn is_rule_id(id: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !id.is_empty() && id.len() <= 64 && id.chars().all(allowed)
}

/// Whether a policy reads `context.now`, or the context as a whole. Walks Cedar's JSON form of the policy.
fn reads_clock(json: &Value) -> bool {
    match json {
        Value::Object(map) => map.iter().any(|(operator, operand)| match operator.as_str() {
            "Var" => operand == "context",
            "." | "has" => match operand.get("left") {
                Some(left) if is_context(left) => operand.get("attr").is_none_or(|attr| attr == "now"),
                _ => reads_clock(operand),
            },
            _ => reads_clock(operand),
        }),
        Value::Array(items) => items.iter().any(reads_clock),
        _ => false,
    }
}

fn is_context(json: &Value) -> bool {
    json.get("Var").is_some_and(|var| var == "context")
}

fn text(bundle: &PolicyBundle, reason: impl std::fmt::Display) -> EngineError {
    EngineError::Text { bundle: bundle.name.clone(), reason: reason.to_string() }
}
