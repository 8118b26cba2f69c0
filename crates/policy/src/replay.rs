//! Re-evaluation of logged decisions, for the auditor.

use std::collections::BTreeMap;

use cresset_protocol::ids::{HubId, PolicyDigest};

use crate::bundle::PolicyBundle;
use crate::engine::{ENGINE_VERSION, Engine};
use crate::release::{Answer, ReleaseAudit};

/// Bundles by digest: what an auditor has at hand.
#[derive(Clone, Debug, Default)]
pub struct BundleSet(BTreeMap<PolicyDigest, PolicyBundle>);

impl BundleSet {
    /// The baseline that this program ships, and nothing else.
    pub fn with_baseline() -> Self {
        let mut set = Self::default();
        set.insert(PolicyBundle::baseline());
        set
    }

    /// Adds a bundle under its own digest.
    pub fn insert(&mut self, bundle: PolicyBundle) -> PolicyDigest {
        let digest = bundle.digest();
        self.0.insert(digest, bundle);
        digest
    }

    /// Looks a bundle up.
    pub fn get(&self, digest: &PolicyDigest) -> Option<&PolicyBundle> {
        self.0.get(digest)
    }

    /// The engine that these digests name.
    ///
    /// # Errors
    /// The reason, in words: a bundle is missing, or does not load here.
    pub fn engine(&self, digests: &[PolicyDigest]) -> Result<Engine, String> {
        let bundle =
            |digest| self.get(digest).cloned().ok_or_else(|| format!("policy bundle `{digest}` is not at hand"));
        let bundles: Vec<PolicyBundle> = digests.iter().map(bundle).collect::<Result<_, _>>()?;
        Engine::with_bundles(&bundles).map_err(|e| e.to_string())
    }
}

/// Verdict on one record.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Replayed {
    /// Every decision comes out as logged.
    Confirmed {
        /// Decisions evaluated.
        decisions: usize,
    },
    /// A decision comes out differently: the first of them.
    Differs {
        /// Index of the marking class.
        class: u32,
        /// The recipient; none for the relay decision of the class.
        hub: Option<HubId>,
        /// What was logged.
        logged: String,
        /// What comes out.
        found: String,
    },
    /// The record contradicts itself.
    Malformed {
        /// How.
        reason: String,
    },
    /// It could not be evaluated here. Never a pass.
    NotReplayed {
        /// Why.
        reason: String,
    },
}

/// Evaluates every decision of a record again, with the bundles that it names.
pub fn replay(audit: &ReleaseAudit, bundles: &BundleSet) -> Replayed {
    if let Err(error) = audit.check() {
        return Replayed::Malformed { reason: error.to_string() };
    }
    if audit.engine != ENGINE_VERSION {
        return Replayed::NotReplayed { reason: format!("decided by engine `{}`", audit.engine) };
    }
    match bundles.engine(&audit.bundles) {
        Ok(engine) if engine.schema_digest() != audit.schema => {
            Replayed::Malformed { reason: "the schema is not that of the bundles".to_owned() }
        }
        Ok(engine) => replay_with(audit, &engine),
        Err(reason) => Replayed::NotReplayed { reason },
    }
}

/// [`replay`] with an engine that is known to hold the record's bundles, so that many records share it.
fn replay_with(audit: &ReleaseAudit, engine: &Engine) -> Replayed {
    let mut decisions = 0;
    for (class, marking) in (0u32..).zip(&audit.classes) {
        for (at, recipient) in audit.recipients.iter().enumerate() {
            let (Some(input), Some(logged)) = (audit.input(class, at), audit.answer(class, at)) else {
                return Replayed::Malformed { reason: "a decision is missing".to_owned() };
            };
            let found = Answer::from(engine.decide(&input).as_ref());
            if found != *logged {
                return Replayed::Differs {
                    class,
                    hub: Some(recipient.hub),
                    logged: logged.to_string(),
                    found: found.to_string(),
                };
            }
            decisions += 1;
        }
        let found = engine.relay(marking, &audit.situation);
        let logged = audit.relay.get(class as usize).copied();
        if logged != Some(found) {
            let logged = logged.map_or("nothing", |scope| scope.words()).to_owned();
            return Replayed::Differs { class, hub: None, logged, found: found.words().to_owned() };
        }
        decisions += 1;
    }
    Replayed::Confirmed { decisions }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} by {}", self.outcome, self.rules.join(", "))?;
        let duties: Vec<&str> = self.obligations.iter().map(|duty| duty.name()).collect();
        if duties.is_empty() { Ok(()) } else { write!(f, " with {}", duties.join(", ")) }
    }
}
