//! Release plans: which units go to which hub, and which rule held the others.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cresset_protocol::ids::{Country, GroupId, HubId, ObjectUuid, ObjectVersion, UnixSeconds};
use cresset_protocol::membership::roster::HubStatus;
use cresset_protocol::object::cti::{Attribute, CtiObject, UnitKind};
use cresset_protocol::object::marking::{Marking, Tlp};
use thiserror::Error;

use crate::decision::Rule;
use crate::engine::Engine;
use crate::input::{CarrierScope, Lane, Situation};
use crate::obligation::Obligation;
use crate::release::{ReleaseAudit, ReleaseError};

mod table;

/// A possible recipient: one row of a roster snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// Identity.
    pub hub: HubId,
    /// Member State.
    pub country: Country,
    /// Jurisdiction.
    pub jurisdiction: Country,
    /// DNS name, for people; decides nothing.
    pub domain: String,
    /// Standing.
    pub status: HubStatus,
    /// Roster roles.
    pub roles: BTreeSet<String>,
    /// Sharing groups that the origin knows it to be in.
    pub groups: BTreeSet<GroupId>,
}

/// What the person who publishes asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addressing {
    /// `--group`.
    pub groups: BTreeSet<GroupId>,
    /// `--to`.
    pub to: BTreeSet<HubId>,
    /// `--only`.
    pub only: bool,
}

/// Who publishes, when and how urgently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The hub that publishes; never a recipient of its own.
    pub hub: HubId,
    /// Its Member State.
    pub country: Country,
    /// When.
    pub now: UnixSeconds,
    /// How urgently.
    pub lane: Lane,
}

/// How a view travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Carriage {
    /// Encrypted for an audience, announced and relayed.
    Audience,
    /// Direct delivery only: it holds TLP:RED.
    Direct,
}

/// One payload and the hubs that get it. Every hub gets at most one view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedView {
    /// Hubs, ascending.
    pub hubs: Vec<HubId>,
    /// Indices of the units in the object, ascending; the container is among them.
    pub units: Vec<u32>,
    /// How it travels.
    pub carriage: Carriage,
    /// Who may carry its ciphertext: the narrowest answer of its units.
    pub relay: CarrierScope,
    /// Strictest marking of the view.
    pub marking: Marking,
    /// What must be done, by unit; units without obligations are absent.
    pub obligations: BTreeMap<u32, BTreeSet<Obligation>>,
}

impl PlannedView {
    /// Whether the view discloses this attribute of this unit.
    pub fn discloses(&self, unit: u32, attribute: &Attribute) -> bool {
        self.units.binary_search(&unit).is_ok()
            && !self.obligations.get(&unit).into_iter().flatten().any(|obligation| obligation.drops(attribute))
    }
}

/// A unit that a hub does not get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldUnit {
    /// Index of the unit in the object.
    pub unit: u32,
    /// The rules that held it, the one that speaks first in front. Never empty.
    pub rules: Vec<Arc<Rule>>,
}

/// What one hub gets and does not get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubPlan {
    /// The hub.
    pub hub: HubId,
    /// Its Member State.
    pub country: Country,
    /// Its DNS name.
    pub domain: String,
    /// Indices of the units that it gets, ascending.
    pub released: Vec<u32>,
    /// Units that it does not get, ascending.
    pub held: Vec<HeldUnit>,
    /// Index into [`ReleasePlan::views`]; none if it gets nothing.
    pub view: Option<usize>,
}

/// What a unit is, for people; never a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedUnit {
    /// Kind.
    pub kind: UnitKind,
    /// Type in the format's words.
    pub type_name: String,
    /// Its effective marking.
    pub marking: Marking,
}

/// The plan of one publish call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleasePlan {
    /// The object.
    pub object: ObjectUuid,
    /// Its version.
    pub version: ObjectVersion,
    /// Its units in document order.
    pub units: Vec<PlannedUnit>,
    /// Payloads, ascending by their first hub.
    pub views: Vec<PlannedView>,
    /// Every possible recipient, ascending by hub id.
    pub hubs: Vec<HubPlan>,
    /// The record that an auditor re-evaluates.
    pub audit: ReleaseAudit,
}

impl ReleasePlan {
    /// Whether no hub gets anything.
    pub fn releases_nothing(&self) -> bool {
        self.views.is_empty()
    }
}

/// Rule that holds a unit whose container the hub does not get.
pub const CONTAINER_HELD: &str = "container-held";

/// Decides for every recipient and marking class, and groups the outcome into views.
///
/// # Errors
/// An object without units, a hub named with `--to` that is no possible recipient, or a table too large to log.
pub fn plan_release(
    engine: &Engine,
    object: &CtiObject,
    recipients: &[Recipient],
    addressing: &Addressing,
    origin: &Origin,
) -> Result<ReleasePlan, PlanError> {
    let recipients: BTreeMap<HubId, &Recipient> =
        recipients.iter().filter(|r| r.hub != origin.hub).map(|r| (r.hub, r)).collect();
    if let Some(hub) = addressing.to.iter().find(|hub| !recipients.contains_key(hub)) {
        return Err(PlanError::UnknownHub(*hub));
    }
    let units = planned_units(object)?;
    let table = table::decide(engine, object, &units, &recipients, addressing, situation(addressing, origin))?;
    let views = views(&table.audit, &units);
    let hubs = table.hub_plans(engine, &recipients, &views);
    Ok(ReleasePlan { object: object.uuid, version: object.version, units, views, hubs, audit: table.audit })
}

/// Every unit under its effective marking: nothing is weaker than the container, whatever the parser said.
fn planned_units(object: &CtiObject) -> Result<Vec<PlannedUnit>, PlanError> {
    match object.units.first() {
        Some(container) if container.kind == UnitKind::Container => {}
        _ => return Err(PlanError::NoContainer),
    }
    let floor = container_floor(&object.marking);
    let planned = object.units.iter().map(|unit| PlannedUnit {
        kind: unit.kind,
        type_name: unit.type_name.clone(),
        marking: unit.marking.merge(&floor),
    });
    Ok(planned.collect())
}

/// What the container imposes on its units. A TLP that nobody stated binds only units that state none themselves, and
/// those have the same default from the parser.
fn container_floor(container: &Marking) -> Marking {
    if container.tlp_is_default == Some(true) {
        Marking { tlp: Tlp::Clear, tlp_is_default: None, ..container.clone() }
    } else {
        container.clone()
    }
}

fn situation(addressing: &Addressing, origin: &Origin) -> Situation {
    Situation {
        lane: origin.lane,
        only: addressing.only,
        addressed_groups: addressing.groups.clone(),
        ..Situation::new(origin.now, origin.country)
    }
}

fn views(audit: &ReleaseAudit, units: &[PlannedUnit]) -> Vec<PlannedView> {
    let mut views: Vec<PlannedView> =
        audit.groups_of_recipients().into_iter().map(|(classes, hubs)| view(audit, units, &classes, hubs)).collect();
    views.sort_by(|a, b| a.hubs.cmp(&b.hubs));
    views
}

fn view(
    audit: &ReleaseAudit,
    units: &[PlannedUnit],
    classes: &BTreeMap<u32, BTreeSet<Obligation>>,
    hubs: Vec<HubId>,
) -> PlannedView {
    let members = (0u32..).zip(audit.unit_classes()).filter(|(_, class)| classes.contains_key(class));
    let (mut indices, mut obligations) = (Vec::new(), BTreeMap::new());
    // Every distinct marking counts: units of one class may still differ in what decides nothing, such as a stated role.
    let mut markings = BTreeSet::new();
    for ((index, class), unit) in members.map(|m| (m, units.get(m.0 as usize))) {
        indices.push(index);
        markings.extend(unit.map(|unit| &unit.marking));
        if let Some(duties) = classes.get(&class).filter(|duties| !duties.is_empty()) {
            obligations.insert(index, duties.clone());
        }
    }
    let marking = markings.into_iter().cloned().reduce(|a, b| a.merge(&b)).unwrap_or_else(|| Marking::new(Tlp::Red));
    let relay = classes.keys().filter_map(|class| audit.relay.get(*class as usize)).min().copied();
    let carriage = if marking.tlp == Tlp::Red { Carriage::Direct } else { Carriage::Audience };
    PlannedView { hubs, units: indices, carriage, relay: relay.unwrap_or(CarrierScope::Nobody), marking, obligations }
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The first unit is no container.
    #[error("the object's first unit is not its container")]
    NoContainer,
    /// `--to` names nobody.
    #[error("hub `{0}` is not in the roster, or is this hub itself")]
    UnknownHub(HubId),
    /// The decision table cannot be logged.
    #[error("the decisions on this object do not fit one record; hint: publish it in parts")]
    TooLarge(#[source] ReleaseError),
}

#[cfg(test)]
mod tests;
