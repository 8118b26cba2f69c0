//! Plans for people (`publish --dry-run`) and for programs (`--json`).

use std::collections::BTreeMap;
use std::fmt::Write as _;

use cresset_protocol::object::cti::UnitKind;
use serde::Serialize;

use crate::decision::Rule;
use crate::obligation::Obligation;
use crate::plan::{Carriage, HubPlan, PlannedUnit, ReleasePlan};

/// A plan as a program reads it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlanJson {
    /// UUID of the object.
    pub object: String,
    /// Its version.
    pub version: u64,
    /// Its units.
    pub units: Vec<UnitJson>,
    /// Payloads.
    pub views: Vec<ViewJson>,
    /// Every possible recipient.
    pub hubs: Vec<HubJson>,
}

/// One unit; never a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UnitJson {
    /// Position in the object, from 0.
    pub unit: usize,
    /// Kind.
    pub kind: &'static str,
    /// Type in the format's words.
    #[serde(rename = "type")]
    pub type_name: String,
    /// TLP label.
    pub tlp: &'static str,
    /// Nobody stated the label.
    pub tlp_is_default: bool,
    /// PAP label.
    pub pap: &'static str,
}

/// One payload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ViewJson {
    /// Hub ids.
    pub hubs: Vec<String>,
    /// `audience` or `direct`.
    pub carriage: &'static str,
    /// Who may carry its ciphertext.
    pub relay: &'static str,
    /// Its strictest TLP label.
    pub tlp: &'static str,
    /// Positions of its units.
    pub units: Vec<u32>,
    /// What is done to units before they go, by position.
    pub obligations: BTreeMap<u32, Vec<Obligation>>,
}

/// One hub.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HubJson {
    /// Hub id.
    pub hub: String,
    /// Member State.
    pub country: String,
    /// DNS name.
    pub domain: String,
    /// Index of its view.
    pub view: Option<usize>,
    /// Positions of the units that it gets.
    pub released: Vec<u32>,
    /// What it does not get, by the rule that speaks first.
    pub held: Vec<HeldJson>,
}

/// Units held by one rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HeldJson {
    /// The rule.
    pub rule: Rule,
    /// Other rules that would have held some of them as well.
    pub also: Vec<String>,
    /// Positions of the units.
    pub units: Vec<u32>,
}

/// The plan for programs.
pub fn to_json(plan: &ReleasePlan) -> PlanJson {
    PlanJson {
        object: plan.object.hyphenated(),
        version: plan.version.0,
        units: plan.units.iter().enumerate().map(unit_json).collect(),
        views: plan.views.iter().map(view_json).collect(),
        hubs: plan.hubs.iter().map(hub_json).collect(),
    }
}

/// The plan for people: per hub which units go and which rule held the others.
pub fn to_text(plan: &ReleasePlan) -> String {
    let mut out = String::new();
    let total = plan.units.len();
    let reached = plan.hubs.iter().filter(|hub| hub.view.is_some()).count();
    let _ = writeln!(
        out,
        "{} version {}: {total} units, {} marking classes; {reached} of {} hubs get something, in {} views",
        plan.object.hyphenated(),
        plan.version,
        plan.audit.classes.len(),
        plan.hubs.len(),
        plan.views.len(),
    );
    for hub in &plan.hubs {
        hub_text(&mut out, plan, hub);
    }
    if plan.releases_nothing() {
        let _ = writeln!(out, "\nnothing is released\nhint: address hubs with --to or --group");
    }
    out
}

/// The name of a kind of unit.
pub fn kind_name(kind: UnitKind) -> &'static str {
    match kind {
        UnitKind::Container => "container",
        UnitKind::Attribute => "attribute",
        UnitKind::Object => "object",
        UnitKind::Tag => "tag",
        _ => "other",
    }
}

fn hub_text(out: &mut String, plan: &ReleasePlan, hub: &HubPlan) {
    let total = plan.units.len();
    let _ = writeln!(
        out,
        "\n{} {} gets {} of {total} units{}",
        hub.country,
        hub.domain,
        hub.released.len(),
        how(plan, hub)
    );
    if !hub.released.is_empty() {
        let _ = writeln!(out, "  goes {:>5}  {}", hub.released.len(), types(plan, &hub.released));
    }
    for held in held_by_rule(hub) {
        let _ = writeln!(out, "  held {:>5}  {}: {}", held.units.len(), held.rule.id, held.rule.words);
        let _ = writeln!(out, "              {}", types(plan, &held.units));
    }
}

fn how(plan: &ReleasePlan, hub: &HubPlan) -> String {
    let Some((number, view)) = hub.view.and_then(|at| Some((at + 1, plan.views.get(at)?))) else {
        return String::new();
    };
    let shared = match view.hubs.len() {
        1 => String::new(),
        hubs => format!(" shared by {hubs} hubs"),
    };
    let stripped = if view.obligations.is_empty() { "" } else { ", attribution removed" };
    match view.carriage {
        Carriage::Audience => format!(": view {number}{shared}, relayed by {}{stripped}", view.relay.words()),
        Carriage::Direct => format!(": view {number}{shared}, direct delivery only{stripped}"),
    }
}

/// `3 ip-dst (#1-3), 1 url (#7)`: positions count from 0, the container's.
fn types(plan: &ReleasePlan, units: &[u32]) -> String {
    let mut by_type: BTreeMap<(UnitKind, &str), Vec<u32>> = BTreeMap::new();
    for index in units {
        if let Some(PlannedUnit { kind, type_name, .. }) = plan.units.get(*index as usize) {
            by_type.entry((*kind, type_name)).or_default().push(*index);
        }
    }
    let words = by_type.iter().map(|((kind, name), units)| match kind {
        UnitKind::Container => format!("the container (#{})", ranges(units)),
        UnitKind::Attribute => format!("{} {name} (#{})", units.len(), ranges(units)),
        kind => format!("{} {} {name} (#{})", units.len(), kind_name(*kind), ranges(units)),
    });
    words.collect::<Vec<_>>().join(", ")
}

fn ranges(units: &[u32]) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for unit in units {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == *unit => *last = *unit,
            _ => ranges.push((*unit, *unit)),
        }
    }
    let word = |(first, last): (u32, u32)| if first == last { first.to_string() } else { format!("{first}-{last}") };
    ranges.into_iter().map(word).collect::<Vec<_>>().join(",")
}

/// What a hub does not get, by the rule that speaks first, most important rule first.
fn held_by_rule(hub: &HubPlan) -> Vec<HeldJson> {
    let mut by_rule: BTreeMap<(u32, &str), HeldJson> = BTreeMap::new();
    for held in &hub.held {
        let Some((first, others)) = held.rules.split_first() else { continue };
        let entry = by_rule.entry((first.rank, &first.id)).or_insert_with(|| HeldJson {
            rule: first.as_ref().clone(),
            also: Vec::new(),
            units: Vec::new(),
        });
        entry.units.push(held.unit);
        entry.also.extend(others.iter().map(|rule| rule.id.clone()));
    }
    let mut held: Vec<HeldJson> = by_rule.into_values().collect();
    for entry in &mut held {
        entry.also.sort();
        entry.also.dedup();
    }
    held
}

fn unit_json((unit, planned): (usize, &PlannedUnit)) -> UnitJson {
    UnitJson {
        unit,
        kind: kind_name(planned.kind),
        type_name: planned.type_name.clone(),
        tlp: planned.marking.tlp.label(),
        tlp_is_default: planned.marking.tlp_is_default == Some(true),
        pap: planned.marking.pap.label(),
    }
}

fn view_json(view: &crate::plan::PlannedView) -> ViewJson {
    ViewJson {
        hubs: view.hubs.iter().map(ToString::to_string).collect(),
        carriage: match view.carriage {
            Carriage::Audience => "audience",
            Carriage::Direct => "direct",
        },
        relay: view.relay.words(),
        tlp: view.marking.tlp.label(),
        units: view.units.clone(),
        obligations: view.obligations.iter().map(|(unit, duties)| (*unit, duties.iter().copied().collect())).collect(),
    }
}

fn hub_json(hub: &HubPlan) -> HubJson {
    HubJson {
        hub: hub.hub.to_string(),
        country: hub.country.to_string(),
        domain: hub.domain.clone(),
        view: hub.view,
        released: hub.released.clone(),
        held: held_by_rule(hub),
    }
}
