use cresset_protocol::object::cti::{PathStep, Unit};
use cresset_protocol::object::marking::{HeldReason, IdentifierRole};

use super::*;
use crate::bundle::{Layer, PolicyBundle};
use crate::render;
use crate::replay::{BundleSet, Replayed, replay};

const GROUP: GroupId = GroupId([7; 16]);
const AT: HubId = HubId([1; 16]);
const EE: HubId = HubId([2; 16]);
const LU: HubId = HubId([3; 16]);
const FI: HubId = HubId([4; 16]);

fn origin() -> Origin {
    Origin { hub: AT, country: Country::parse("AT").unwrap(), now: UnixSeconds(1_790_000_000), lane: Lane::Normal }
}

fn recipient(hub: HubId, country: &str, groups: &[GroupId]) -> Recipient {
    Recipient {
        hub,
        country: Country::parse(country).unwrap(),
        jurisdiction: Country::parse(country).unwrap(),
        domain: format!("hub.{}.example", country.to_lowercase()),
        status: HubStatus::Active,
        roles: BTreeSet::new(),
        groups: groups.iter().copied().collect(),
    }
}

fn recipients() -> Vec<Recipient> {
    vec![
        recipient(AT, "AT", &[GROUP]),
        recipient(EE, "EE", &[GROUP]),
        recipient(LU, "LU", &[]),
        recipient(FI, "FI", &[]),
    ]
}

fn unit(kind: UnitKind, type_name: &str, marking: Marking) -> Unit {
    Unit { kind, type_name: type_name.to_owned(), uuid: None, marking, attributes: Vec::new() }
}

fn attribute(marking: Marking) -> Unit {
    unit(UnitKind::Attribute, "ip-dst", marking)
}

/// A GREEN event with one unit of every sort.
fn event() -> CtiObject {
    let green = Marking::new(Tlp::Green);
    object(
        green.clone(),
        vec![
            attribute(green.clone()),
            attribute(green.clone()),
            attribute(Marking::new(Tlp::Amber)),
            attribute(Marking::new(Tlp::Red)),
            attribute(Marking::unlabelled()),
            attribute(Marking { identifier_role: Some(IdentifierRole::Victim), ..green }),
            attribute(Marking::held(HeldReason::LookAlikeLabel)),
        ],
    )
}

fn object(container: Marking, units: Vec<Unit>) -> CtiObject {
    let mut all = vec![unit(UnitKind::Container, "event", container.clone())];
    all.extend(units);
    CtiObject {
        uuid: ObjectUuid([9; 16]),
        version: ObjectVersion(5),
        media_type: "application/vnd.misp.event+json".to_owned(),
        marking: container,
        units: all,
        native_digest: [0; 32],
    }
}

fn plan(object: &CtiObject, addressing: &Addressing) -> ReleasePlan {
    plan_release(&Engine::baseline().unwrap(), object, &recipients(), addressing, &origin()).unwrap()
}

fn to_lu_and_group() -> Addressing {
    Addressing { groups: BTreeSet::from([GROUP]), to: BTreeSet::from([LU]), only: false }
}

fn hub(plan: &ReleasePlan, hub: HubId) -> &HubPlan {
    plan.hubs.iter().find(|plan| plan.hub == hub).unwrap()
}

fn held(plan: &ReleasePlan, id: HubId) -> Vec<(u32, String)> {
    hub(plan, id).held.iter().map(|held| (held.unit, held.rules[0].id.clone())).collect()
}

#[test]
fn a_red_unit_in_a_green_event_goes_to_the_named_hub_only() {
    let plan = plan(&event(), &to_lu_and_group());
    assert_eq!(plan.hubs.iter().map(|h| h.hub).collect::<Vec<_>>(), [EE, LU, FI], "the origin is no recipient");
    assert_eq!(hub(&plan, LU).released, [0, 1, 2, 3, 4, 5]);
    assert_eq!(hub(&plan, EE).released, [0, 1, 2, 3, 5]);
    assert_eq!(hub(&plan, FI).released, [0, 1, 2]);
    assert_eq!(held(&plan, LU), [(6, "victim-stays-national".into()), (7, "look-alike-label".into())]);
    let fi = [
        "amber-not-addressed",
        "red-not-named",
        "unlabelled-not-addressed",
        "victim-stays-national",
        "look-alike-label",
    ];
    assert_eq!(held(&plan, FI), (3..).zip(fi.map(String::from)).collect::<Vec<_>>());
}

#[test]
fn red_makes_a_view_direct_and_each_hub_gets_one_view() {
    let plan = plan(&event(), &to_lu_and_group());
    let carriage: Vec<_> = plan.views.iter().map(|v| (v.hubs.clone(), v.carriage, v.relay, v.marking.tlp)).collect();
    assert_eq!(
        carriage,
        [
            (vec![EE], Carriage::Audience, CarrierScope::Eea, Tlp::AmberStrict),
            (vec![LU], Carriage::Direct, CarrierScope::Nobody, Tlp::Red),
            (vec![FI], Carriage::Audience, CarrierScope::Eea, Tlp::Green),
        ]
    );
    for (at, view) in plan.views.iter().enumerate() {
        for id in &view.hubs {
            assert_eq!((hub(&plan, *id).view, &hub(&plan, *id).released), (Some(at), &view.units));
        }
    }
}

#[test]
fn hubs_that_get_the_same_share_a_view() {
    let plan = plan(&event(), &Addressing::default());
    assert_eq!(plan.views.len(), 1);
    assert_eq!(plan.views[0].hubs, [EE, LU, FI]);
}

#[test]
fn a_held_container_holds_everything() {
    let strict = object(Marking::new(Tlp::AmberStrict), vec![attribute(Marking::new(Tlp::Green))]);
    let to_lu = Addressing { to: BTreeSet::from([LU]), ..Addressing::default() };
    let planned = plan(&strict, &to_lu);
    assert_eq!(hub(&planned, LU).released, [0, 1]);
    assert!(planned.units[1].marking.tlp == Tlp::AmberStrict, "a unit is never weaker than its container");
    assert_eq!(hub(&planned, FI).view, None);

    // The parser marks the container unit itself more strictly than the object: the rest cannot go without it.
    let mut odd = object(Marking::new(Tlp::Green), vec![attribute(Marking::new(Tlp::Green))]);
    odd.units[0].marking = Marking::new(Tlp::Red);
    let planned = plan(&odd, &Addressing::default());
    assert!(planned.releases_nothing());
    assert_eq!(held(&planned, FI), [(0, "red-not-named".into()), (1, CONTAINER_HELD.into())]);
    assert!(render::to_text(&planned).contains("hint: "));
}

#[test]
fn only_keeps_green_from_everybody_else() {
    let only = Addressing { to: BTreeSet::from([LU]), only: true, ..Addressing::default() };
    let plan = plan(&event(), &only);
    assert_eq!(plan.views.len(), 1);
    assert_eq!(plan.views[0].hubs, [LU]);
    assert!(held(&plan, FI).iter().any(|(_, rule)| rule == "only-addressed"));
}

#[test]
fn an_exercise_is_shared_as_one() {
    let exercise = Marking { exercise: Some(true), ..Marking::new(Tlp::Green) };
    let whole = object(exercise.clone(), vec![attribute(exercise.clone())]);
    assert_eq!(hub(&plan(&whole, &Addressing::default()), FI).released, [0, 1]);
    let mixed = object(Marking::new(Tlp::Green), vec![attribute(exercise)]);
    assert_eq!(held(&plan(&mixed, &Addressing::default()), FI), [(1, "exercise-mixed".into())]);
}

#[test]
fn attribution_goes_where_the_marking_says_so() {
    let quiet = Marking { strip_attribution: Some(true), ..Marking::new(Tlp::Green) };
    let plan = plan(&object(quiet, vec![]), &Addressing::default());
    let key = |key: &str| PathStep::Key(key.to_owned());
    let source = Attribute { path: vec![key("Event"), key("Orgc"), key("name")], value: "\"x\"".into() };
    let info = Attribute { path: vec![key("Event"), key("info")], value: "\"x\"".into() };
    assert!(!plan.views[0].discloses(0, &source) && plan.views[0].discloses(0, &info));
    assert!(!plan.views[0].discloses(1, &info), "a unit outside the view discloses nothing");
}

#[test]
fn a_foreign_group_is_nobodys_business() {
    let mut all = recipients();
    all[1].groups.insert(GroupId([8; 16]));
    let plan = plan_release(&Engine::baseline().unwrap(), &event(), &all, &to_lu_and_group(), &origin()).unwrap();
    assert_eq!(plan.audit.recipients[0].groups, BTreeSet::from([GROUP]));
}

#[test]
fn what_cannot_be_planned_is_refused() {
    let ask = |object: &CtiObject, to| {
        let addressing = Addressing { to: BTreeSet::from([to]), ..Addressing::default() };
        plan_release(&Engine::baseline().unwrap(), object, &recipients(), &addressing, &origin())
    };
    assert_eq!(ask(&event(), AT).unwrap_err(), PlanError::UnknownHub(AT));
    assert_eq!(ask(&event(), HubId([99; 16])).unwrap_err(), PlanError::UnknownHub(HubId([99; 16])));
    let mut headless = event();
    headless.units.remove(0);
    assert_eq!(ask(&headless, LU).unwrap_err(), PlanError::NoContainer);
    headless.units.clear();
    assert_eq!(ask(&headless, LU).unwrap_err(), PlanError::NoContainer);
    // Ten thousand sorts of unit make a table beyond the limit; it must not be cut short in silence.
    let many = (0..30_000).map(|n| {
        let text = format!("{n:0>200}");
        attribute(Marking { purpose: Some(text), ..Marking::new(Tlp::Green) })
    });
    let huge = object(Marking::new(Tlp::Green), many.collect());
    assert!(matches!(ask(&huge, LU), Err(PlanError::TooLarge(_))));
}

#[test]
fn the_plan_for_people_reads_well() {
    let text = render::to_text(&plan(&event(), &to_lu_and_group()));
    assert_eq!(text, include_str!("tests/plan.golden"), "got:\n{text}");
}

#[test]
fn the_plan_for_programs_holds_the_same() {
    let json = serde_json::to_value(render::to_json(&plan(&event(), &to_lu_and_group()))).unwrap();
    assert_eq!(json["hubs"][2]["held"][0]["rule"]["id"], "look-alike-label");
    assert_eq!(json["hubs"][2]["held"][0]["units"], serde_json::json!([7]));
    assert_eq!(json["views"][1]["carriage"], "direct");
    assert_eq!(json["units"][4]["tlp"], "TLP:RED");
}

#[test]
fn the_same_plan_twice_has_the_same_bytes() {
    let mut backwards = recipients();
    backwards.reverse();
    let engine = Engine::baseline().unwrap();
    let other = plan_release(&engine, &event(), &backwards, &to_lu_and_group(), &origin()).unwrap();
    let first = plan(&event(), &to_lu_and_group());
    assert_eq!(first.audit.to_bytes(), other.audit.to_bytes());
    assert_eq!(first, other);
}

#[test]
fn an_auditor_confirms_an_honest_record() {
    let audit = plan(&event(), &to_lu_and_group()).audit;
    let read = ReleaseAudit::from_bytes(&audit.to_bytes().unwrap()).unwrap();
    assert_eq!(read, audit);
    let expected = audit.classes.len() * (audit.recipients.len() + 1);
    assert_eq!(replay(&read, &BundleSet::with_baseline()), Replayed::Confirmed { decisions: expected });
}

#[test]
fn an_auditor_finds_every_false_record() {
    let honest = plan(&event(), &to_lu_and_group()).audit;
    let check = |what: &str, change: &dyn Fn(&mut ReleaseAudit)| {
        let mut audit = honest.clone();
        change(&mut audit);
        assert_ne!(audit, honest, "{what}");
        replay(&audit, &BundleSet::with_baseline())
    };
    let differs = |verdict| matches!(verdict, Replayed::Differs { .. });
    let malformed = |verdict| matches!(verdict, Replayed::Malformed { .. });
    let skipped = |verdict| matches!(verdict, Replayed::NotReplayed { .. });
    assert!(differs(check("outcome", &|a| a.answers[0].outcome = flip(a.answers[0].outcome))));
    assert!(differs(check("rule", &|a| a.answers[0].rules[0] = "tlp-clear".into())));
    assert!(differs(check("obligation", &|a| {
        let permit = a.answers.iter_mut().find(|a| a.outcome == crate::Outcome::Permit).unwrap();
        permit.obligations.insert(Obligation::StripAttribution);
    })));
    assert!(differs(check("relay", &|a| a.relay[0] = CarrierScope::All)));
    assert!(differs(check("addressing", &|a| a.situation.addressed_groups.clear())));
    assert!(differs(check("status", &|a| a.recipients[0].status = HubStatus::Suspended)));
    assert!(malformed(check("schema", &|a| a.schema[0] ^= 1)));
    assert!(malformed(check("named", &|a| a.named.clear())));
    assert!(malformed(check("missing decision", &|a| a.decisions.truncate(1))));
    assert!(malformed(check("missing relay", &|a| a.relay.truncate(1))));
    assert!(malformed(check("recipient order", &|a| a.recipients.swap(0, 1))));
    assert!(malformed(check("class order", &|a| a.classes.swap(0, 1))));
    assert!(malformed(check("no units", &|a| a.units.clear())));
    assert!(malformed(check("class without unit", &|a| a.units.retain(|run| run.class != 0))));
    assert!(malformed(check("empty run", &|a| a.units[0].count = 0)));
    assert!(malformed(check("unused answer", &|a| {
        let mut answer = a.answers[0].clone();
        answer.rules.push("x".into());
        a.answers.push(answer);
    })));
    assert!(malformed(check("answer index", &|a| a.decisions[0] = 99)));
    assert!(skipped(check("engine", &|a| a.engine = "cedar-policy/9".into())));
    assert!(skipped(check("bundle", &|a| a.bundles[0].0[0] ^= 1)));
    assert!(skipped(check("no bundle", &|a| a.bundles.clear())));
}

#[test]
fn a_record_names_the_bundles_it_needs() {
    let national = PolicyBundle::overlay(
        "national",
        1,
        Layer::National,
        r#"@id("not-to-fi") @words("not to FI") forbid (principal, action == Action::"release", resource) when { principal.country == "FI" };"#,
    );
    let engine = Engine::with_bundles(&[PolicyBundle::baseline(), national.clone()]).unwrap();
    let plan = plan_release(&engine, &event(), &recipients(), &Addressing::default(), &origin()).unwrap();
    assert_eq!(hub(&plan, FI).view, None);
    let mut at_hand = BundleSet::with_baseline();
    assert!(matches!(replay(&plan.audit, &at_hand), Replayed::NotReplayed { .. }));
    at_hand.insert(PolicyBundle::from_bytes(&national.to_bytes()).unwrap());
    assert!(matches!(replay(&plan.audit, &at_hand), Replayed::Confirmed { .. }));
}

#[test]
fn one_flipped_byte_of_a_record_or_bundle_is_found() {
    let plan = plan(&event(), &to_lu_and_group());
    let bytes = plan.audit.to_bytes().unwrap();
    let bundles = BundleSet::with_baseline();
    let at_hand = bundles.engine(&plan.audit.bundles).is_ok();
    assert!(at_hand);
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1;
        // The leaf's commitment catches every flip; this only asks that none is read as the same record.
        assert_ne!(ReleaseAudit::from_bytes(&flipped).ok().as_ref(), Some(&plan.audit), "byte {at}");
    }
    let mut bundle = PolicyBundle::baseline();
    let digest = bundle.digest();
    bundle.policies = bundle.policies.replacen("RED", "REE", 1);
    assert_ne!(bundle.digest(), digest);
}

fn flip(outcome: crate::Outcome) -> crate::Outcome {
    match outcome {
        crate::Outcome::Permit => crate::Outcome::Forbid,
        crate::Outcome::Forbid => crate::Outcome::Permit,
    }
}
