//! The decision table behind a plan.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cresset_protocol::ids::{GroupId, HubId};
use cresset_protocol::limits::RELEASE_AUDIT_BYTES_MAX;
use cresset_protocol::object::cti::CtiObject;

use super::{Addressing, CONTAINER_HELD, HeldUnit, HubPlan, PlanError, PlannedUnit, PlannedView, Recipient};
use crate::decision::{Decision, Rule};
use crate::engine::{ENGINE_VERSION, Engine};
use crate::input::{DecisionInput, HubPrincipal, MarkingClass, Situation};
use crate::release::{Answer, ReleaseAudit, ReleaseError, UnitRun};

pub(super) struct Table {
    pub(super) audit: ReleaseAudit,
    decisions: Vec<Arc<Decision>>,
}

pub(super) fn decide(
    engine: &Engine,
    object: &CtiObject,
    units: &[PlannedUnit],
    recipients: &BTreeMap<HubId, &Recipient>,
    addressing: &Addressing,
    situation: Situation,
) -> Result<Table, PlanError> {
    let of_units: Vec<MarkingClass> = units.iter().map(|unit| MarkingClass::from(&unit.marking)).collect();
    // Ascending by canonical bytes: the order of the record.
    let distinct: BTreeSet<&MarkingClass> = of_units.iter().collect();
    let classes: BTreeMap<Vec<u8>, &MarkingClass> =
        distinct.into_iter().map(|class| (class.to_bytes(), class)).collect();
    let numbers: BTreeMap<&MarkingClass, u32> = classes.values().copied().zip(0u32..).collect();
    let exercise = of_units.first().is_some_and(|container| container.exercise == Some(true));
    let situation = Situation { exercise, ..situation };
    let principals = principals(recipients, addressing, &classes);
    check_size(&classes, &principals)?;
    let ask = |class: &MarkingClass, hub: &HubPrincipal| {
        engine.decide(&DecisionInput::release(class.clone(), hub.clone(), situation.clone()))
    };
    let decisions: Vec<Arc<Decision>> =
        classes.values().flat_map(|class| principals.iter().map(|hub| ask(class, hub))).collect();
    let relay = classes.values().map(|class| engine.relay(class, &situation)).collect();
    let (answers, indices) = deduplicate(&decisions);
    let audit = ReleaseAudit {
        engine: ENGINE_VERSION.to_owned(),
        schema: engine.schema_digest(),
        bundles: engine.bundles().to_vec(),
        object: object.uuid,
        version: object.version,
        named: addressing.to.clone(),
        units: runs(of_units.iter().filter_map(|class| numbers.get(class).copied())),
        classes: classes.into_values().cloned().collect(),
        situation,
        recipients: principals,
        answers,
        decisions: indices,
        relay,
    };
    audit.check().and_then(|()| audit.to_bytes()).map_err(PlanError::TooLarge)?;
    Ok(Table { audit, decisions })
}

impl Table {
    pub(super) fn hub_plans(
        &self,
        engine: &Engine,
        recipients: &BTreeMap<HubId, &Recipient>,
        views: &[PlannedView],
    ) -> Vec<HubPlan> {
        let plan = |(at, recipient): (usize, &&Recipient)| self.hub_plan(engine, at, recipient, views);
        recipients.values().enumerate().map(plan).collect()
    }

    fn hub_plan(&self, engine: &Engine, at: usize, recipient: &Recipient, views: &[PlannedView]) -> HubPlan {
        let released = self.audit.released_classes(at);
        let mut plan = HubPlan {
            hub: recipient.hub,
            country: recipient.country,
            domain: recipient.domain.clone(),
            released: Vec::new(),
            held: Vec::new(),
            view: views.iter().position(|view| view.hubs.contains(&recipient.hub)),
        };
        for (unit, class) in (0u32..).zip(self.audit.unit_classes()) {
            if released.contains(&class) {
                plan.released.push(unit);
            } else {
                plan.held.push(HeldUnit { unit, rules: self.reasons(engine, class, at) });
            }
        }
        plan
    }

    /// The rules that held a class; a permitted class is held by its container.
    fn reasons(&self, engine: &Engine, class: u32, recipient: usize) -> Vec<Arc<Rule>> {
        match self.decision(class, recipient) {
            Some(decision) if !decision.is_permit() => decision.rules.clone(),
            _ => engine.rule(CONTAINER_HELD).cloned().into_iter().collect(),
        }
    }

    fn decision(&self, class: u32, recipient: usize) -> Option<&Arc<Decision>> {
        let at = usize::try_from(class).ok()?.checked_mul(self.audit.recipients.len())?.checked_add(recipient)?;
        self.decisions.get(at)
    }
}

/// Refuses before deciding what could not be logged: every class with its bytes, every decision with at least one.
fn check_size(classes: &BTreeMap<Vec<u8>, &MarkingClass>, principals: &[HubPrincipal]) -> Result<(), PlanError> {
    let of_classes: usize = classes.keys().map(Vec::len).sum();
    let len = of_classes + classes.len() * principals.len();
    if len > RELEASE_AUDIT_BYTES_MAX { Err(PlanError::TooLarge(ReleaseError::TooLarge { len })) } else { Ok(()) }
}

/// Recipients as principals, with those of their groups only that bear on this object: the others are nobody's business.
fn principals(
    recipients: &BTreeMap<HubId, &Recipient>,
    addressing: &Addressing,
    classes: &BTreeMap<Vec<u8>, &MarkingClass>,
) -> Vec<HubPrincipal> {
    let marked = classes.values().flat_map(|class| class.groups.iter().flatten());
    let relevant: BTreeSet<GroupId> = addressing.groups.iter().chain(marked).copied().collect();
    let principal = |recipient: &&Recipient| HubPrincipal {
        hub: recipient.hub,
        country: recipient.country,
        jurisdiction: recipient.jurisdiction,
        status: recipient.status,
        roles: recipient.roles.clone(),
        groups: recipient.groups.intersection(&relevant).copied().collect(),
        named: addressing.to.contains(&recipient.hub),
    };
    recipients.values().map(principal).collect()
}

fn deduplicate(decisions: &[Arc<Decision>]) -> (Vec<Answer>, Vec<u32>) {
    let mut numbers: BTreeMap<Answer, u32> = BTreeMap::new();
    let mut answers = Vec::new();
    let indices = decisions.iter().map(|decision| {
        let answer = Answer::from(decision.as_ref());
        let next = u32::try_from(answers.len()).unwrap_or(u32::MAX);
        *numbers.entry(answer).or_insert_with_key(|answer| {
            answers.push(answer.clone());
            next
        })
    });
    let indices = indices.collect();
    (answers, indices)
}

fn runs(classes: impl Iterator<Item = u32>) -> Vec<UnitRun> {
    let mut runs: Vec<UnitRun> = Vec::new();
    for class in classes {
        match runs.last_mut() {
            Some(run) if run.class == class => run.count += 1,
            _ => runs.push(UnitRun { count: 1, class }),
        }
    }
    runs
}

impl From<&Decision> for Answer {
    fn from(decision: &Decision) -> Self {
        Self {
            outcome: decision.outcome,
            rules: decision.rules.iter().map(|rule| rule.id.clone()).collect(),
            obligations: decision.obligations.clone(),
        }
    }
}
