//! Answers: permit or forbid, by which rules, in words.

use std::collections::BTreeSet;
use std::sync::Arc;

use minicbor::{Decode, Encode};
use serde::Serialize;

use crate::obligation::Obligation;
use crate::plan::CONTAINER_HELD;

/// Permit or forbid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize)]
#[cbor(index_only)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// No.
    #[n(0)]
    Forbid,
    /// Yes, subject to the obligations.
    #[n(1)]
    Permit,
}

/// A rule as people know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// `@id`.
    pub id: String,
    /// `@words`.
    pub words: String,
    /// `@clause`: article of the consortium agreement.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clause: Option<String>,
    /// `@review`: it waits for a person rather than being refused for good.
    pub review: bool,
    /// `@rank`: which rule speaks first when several forbid.
    #[serde(skip)]
    pub rank: u32,
}

/// Rule that speaks when nothing permits and nothing forbids.
pub const DEFAULT_DENY: &str = "default-deny";
/// Rule that speaks when a policy could not be evaluated: an unevaluated `forbid` must not widen anything.
pub const EVALUATION_FAILED: &str = "evaluation-failed";

impl Rule {
    /// The rules that no bundle holds.
    pub(crate) fn built_in() -> [Self; 3] {
        let rule = |id: &str, words: &str, review, rank| Self {
            id: id.to_owned(),
            words: words.to_owned(),
            clause: None,
            review,
            rank,
        };
        [
            rule(DEFAULT_DENY, "no rule permits it", false, u32::MAX),
            rule(EVALUATION_FAILED, "a rule could not be evaluated, so nothing is released", true, 0),
            rule(CONTAINER_HELD, "the object itself is held, and nothing can be read without it", false, u32::MAX),
        ]
    }
}

/// The answer to one decision input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Permit or forbid.
    pub outcome: Outcome,
    /// The rules that decided, the one that speaks first in front. Never empty.
    pub rules: Vec<Arc<Rule>>,
    /// What must be done; empty for a refusal.
    pub obligations: BTreeSet<Obligation>,
}

impl Decision {
    /// Whether it is permitted.
    pub fn is_permit(&self) -> bool {
        self.outcome == Outcome::Permit
    }

    /// The rule that speaks first.
    pub fn rule(&self) -> Option<&Arc<Rule>> {
        self.rules.first()
    }

    /// The answer for people: the words of the rule that speaks first.
    pub fn words(&self) -> &str {
        self.rule().map_or("", |rule| rule.words.as_str())
    }
}
