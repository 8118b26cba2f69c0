use cresset_protocol::ids::{Country, GroupId, HubId, UnixSeconds};
use cresset_protocol::membership::roster::HubStatus;
use cresset_protocol::object::marking::{HeldReason, IdentifierRole, Tlp};

use super::*;
use crate::bundle::Layer;
use crate::input::{Client, ClientKind, HubPrincipal};

mod reference;

const NOW: UnixSeconds = UnixSeconds(1_790_000_000);
const GROUP: GroupId = GroupId([7; 16]);

fn country(code: &str) -> Country {
    Country::parse(code).unwrap()
}

fn hub() -> HubPrincipal {
    HubPrincipal {
        hub: HubId([2; 16]),
        country: country("LU"),
        jurisdiction: country("LU"),
        status: HubStatus::Active,
        roles: BTreeSet::new(),
        groups: BTreeSet::new(),
        named: false,
    }
}

fn named() -> HubPrincipal {
    HubPrincipal { named: true, ..hub() }
}

fn situation() -> Situation {
    Situation::new(NOW, country("AT"))
}

fn national(policies: &str) -> Result<Engine, EngineError> {
    overlay(Layer::National, policies)
}

fn overlay(layer: Layer, policies: &str) -> Result<Engine, EngineError> {
    Engine::with_bundles(&[PolicyBundle::baseline(), PolicyBundle::overlay("test", 1, layer, policies)])
}

fn release(engine: &Engine, marking: &Marking, hub: HubPrincipal, situation: Situation) -> Arc<Decision> {
    engine.decide(&DecisionInput::release(MarkingClass::from(marking), hub, situation))
}

/// The TLP table of the policy chapter, as a golden text.
#[test]
fn the_tlp_matrix_is_as_specified() {
    let engine = Engine::baseline().unwrap();
    let held = Marking::held(HeldReason::LookAlikeLabel);
    let markings = Tlp::ALL.map(Marking::new).into_iter().chain([Marking::unlabelled(), held]);
    let in_group = HubPrincipal { groups: BTreeSet::from([GROUP]), ..hub() };
    let third_country = HubPrincipal { country: country("CH"), jurisdiction: country("CH"), ..hub() };
    let to_group = Situation { addressed_groups: BTreeSet::from([GROUP]), ..situation() };
    let only = Situation { only: true, ..situation() };
    let cells: [(&str, HubPrincipal, Situation); 6] = [
        ("hub", hub(), situation()),
        ("named", named(), situation()),
        ("in the group addressed", in_group, to_group.clone()),
        ("outside the group addressed", hub(), to_group),
        ("third country", third_country, situation()),
        ("not addressed, --only", hub(), only),
    ];
    let mut out = String::new();
    for marking in markings {
        let label = match (marking.held, marking.tlp_is_default) {
            (Some(_), _) => "look-alike",
            (_, Some(true)) => "unlabelled",
            _ => marking.tlp.label(),
        };
        for (who, hub, situation) in &cells {
            let decision = release(&engine, &marking, hub.clone(), situation.clone());
            let sign = if decision.is_permit() { "goes" } else { "held" };
            out += &format!("{label:16} | {who:27} | {sign} {}\n", decision.rule().unwrap().id);
        }
    }
    assert_eq!(out, include_str!("tests/matrix.golden"), "got:\n{out}");
}

#[test]
fn serving_follows_the_right_column_of_the_table() {
    let engine = Engine::baseline().unwrap();
    let client = |kind, cleared, need_to_know| Client { kind, cleared, need_to_know };
    let clients = [
        Client::ORGANISATION,
        client(ClientKind::Person, false, true),
        client(ClientKind::Person, true, true),
        client(ClientKind::Constituent, true, false),
        client(ClientKind::Constituent, true, true),
        client(ClientKind::Public, true, true),
    ];
    let expected = [
        (Tlp::Clear, [true, true, true, true, true, true]),
        (Tlp::Green, [true, true, true, true, true, false]),
        (Tlp::Amber, [true, true, true, false, true, false]),
        (Tlp::AmberStrict, [true, true, true, false, false, false]),
        (Tlp::Red, [false, false, true, false, false, false]),
    ];
    for (tlp, row) in expected {
        for (client, permitted) in clients.into_iter().zip(row) {
            let input = DecisionInput::serve(MarkingClass::from(&Marking::new(tlp)), client, situation());
            let decision = engine.decide(&input);
            assert_eq!(decision.is_permit(), permitted, "{tlp} to {client:?}");
            assert_ne!(decision.rule().unwrap().id, DEFAULT_DENY, "{tlp} to {client:?}");
        }
    }
}

#[test]
fn each_reason_to_hold_has_its_rule() {
    let engine = Engine::baseline().unwrap();
    let green = || Marking::new(Tlp::Green);
    let check = |marking: Marking, hub: HubPrincipal, expected: &str| {
        let decision = release(&engine, &marking, hub, situation());
        assert!(!decision.is_permit(), "{expected}");
        assert_eq!(decision.rule().unwrap().id, expected);
    };
    let role = |role| Marking { identifier_role: Some(role), ..green() };
    check(role(IdentifierRole::Victim), named(), "victim-stays-national");
    check(role(IdentifierRole::Bystander), named(), "bystander-stays-national");
    check(role(IdentifierRole::Unknown), named(), "unknown-role-review");
    check(Marking::held(HeldReason::UnknownRole), named(), "unknown-role-review");
    check(Marking::held(HeldReason::UnknownLabel), named(), "unknown-label");
    check(Marking::held(HeldReason::LookAlikeLabel), named(), "look-alike-label");
    check(Marking::held(HeldReason::Classified), named(), "classified");
    check(Marking { classification: Some("x".into()), ..green() }, named(), "classified");
    check(Marking { not_before: Some(UnixSeconds(NOW.0 + 1)), ..green() }, named(), "embargo");
    check(Marking { destroy_by: Some(NOW), ..green() }, named(), "expired");
    check(Marking { exercise: Some(true), ..green() }, named(), "exercise-mixed");
    check(Marking { groups: Some(BTreeSet::from([GROUP])), ..green() }, named(), "outside-group");
    check(Marking { groups: Some(BTreeSet::new()), ..green() }, named(), "outside-group");
    let lu = BTreeSet::from([country("LU")]);
    check(Marking { not_releasable_to: Some(lu.clone()), ..green() }, named(), "not-releasable-to-country");
    let ee = BTreeSet::from([country("EE")]);
    check(Marking { releasable_to: Some(ee), ..green() }, named(), "releasable-elsewhere-only");
    let us = BTreeSet::from([HubId([2; 16])]);
    check(Marking { not_releasable_to_hubs: Some(us), ..green() }, named(), "not-releasable-to-hub");
    for status in [HubStatus::Suspended, HubStatus::Removed, HubStatus::Left] {
        check(green(), HubPrincipal { status, ..named() }, "not-active");
    }
    let fine =
        Marking { releasable_to: Some(lu), not_before: Some(NOW), destroy_by: Some(UnixSeconds(NOW.0 + 1)), ..green() };
    assert!(release(&engine, &fine, hub(), situation()).is_permit());
}

#[test]
fn a_victim_may_go_to_a_hub_of_the_same_country() {
    let engine = Engine::baseline().unwrap();
    let victim = Marking { identifier_role: Some(IdentifierRole::Victim), ..Marking::new(Tlp::Green) };
    let neighbour = HubPrincipal { country: country("AT"), ..hub() };
    assert!(release(&engine, &victim, neighbour, situation()).is_permit());
}

#[test]
fn a_sharing_group_addresses_amber_and_nothing_stricter() {
    let engine = Engine::baseline().unwrap();
    let member = HubPrincipal { groups: BTreeSet::from([GROUP]), ..hub() };
    let of_group = |tlp| Marking { groups: Some(BTreeSet::from([GROUP])), ..Marking::new(tlp) };
    assert!(release(&engine, &of_group(Tlp::Amber), member.clone(), situation()).is_permit());
    for tlp in [Tlp::AmberStrict, Tlp::Red] {
        assert!(!release(&engine, &of_group(tlp), member.clone(), situation()).is_permit(), "{tlp}");
    }
    let only = Situation { only: true, ..situation() };
    assert!(!release(&engine, &of_group(Tlp::Amber), member, only).is_permit());
}

#[test]
fn attribution_is_an_obligation_of_what_goes_and_of_nothing_else() {
    let engine = Engine::baseline().unwrap();
    let quiet = |tlp| Marking { strip_attribution: Some(true), ..Marking::new(tlp) };
    let goes = release(&engine, &quiet(Tlp::Green), hub(), situation());
    assert!(goes.is_permit());
    assert_eq!(goes.obligations, BTreeSet::from([Obligation::StripAttribution]));
    let held = release(&engine, &quiet(Tlp::Red), hub(), situation());
    assert!(!held.is_permit() && held.obligations.is_empty());
}

#[test]
fn admission_holds_what_should_not_have_come() {
    let engine = Engine::baseline().unwrap();
    let ask = |marking: &Marking, from: HubPrincipal, situation: Situation| {
        let decision = engine.decide(&DecisionInput::admit(MarkingClass::from(marking), from, situation));
        (decision.is_permit(), decision.rule().unwrap().id.clone())
    };
    let no = |rule: &str| (false, rule.to_owned());
    let green = Marking::new(Tlp::Green);
    assert!(ask(&green, hub(), situation()).0);
    assert_eq!(
        ask(&green, HubPrincipal { status: HubStatus::Suspended, ..hub() }, situation()),
        no("admit-not-active")
    );
    assert_eq!(ask(&Marking::new(Tlp::Red), hub(), situation()), no("admit-red-direct"));
    assert!(ask(&Marking::new(Tlp::Red), hub(), Situation { direct: true, ..situation() }).0);
    assert_eq!(
        ask(&Marking { classification: Some("x".into()), ..green.clone() }, hub(), situation()),
        no("admit-classified")
    );
    let not_us = Marking { not_releasable_to: Some(BTreeSet::from([country("AT")])), ..green.clone() };
    assert_eq!(ask(&not_us, hub(), situation()), no("admit-not-for-us"));
    let grouped = Marking { groups: Some(BTreeSet::from([GROUP])), ..green.clone() };
    assert_eq!(ask(&grouped, hub(), situation()), no("admit-outside-group"));
    assert!(ask(&grouped, hub(), Situation { own_groups: BTreeSet::from([GROUP]), ..situation() }).0);
    assert_eq!(ask(&Marking { destroy_by: Some(NOW), ..green }, hub(), situation()), no("admit-expired"));
}

#[test]
fn only_the_owner_withdraws() {
    let engine = Engine::baseline().unwrap();
    let ask = |owner| {
        let input = DecisionInput::withdraw(
            MarkingClass::from(&Marking::new(Tlp::Green)),
            hub(),
            Situation { owner, ..situation() },
        );
        engine.decide(&input).is_permit()
    };
    assert!(ask(true) && !ask(false));
}

#[test]
fn ciphertext_stays_in_the_eea_unless_the_consortium_agrees_otherwise() {
    let widened = r#"@id("relay-all-clear") @words("TLP:CLEAR may be carried by every member")
        permit (principal, action == Action::"relay", resource) when { resource.tlp == "CLEAR" };"#;
    let (plain, wide) = (Engine::baseline().unwrap(), overlay(Layer::Consortium, widened).unwrap());
    let check = |engine: &Engine, tlp, expected| {
        assert_eq!(engine.relay_of(&Marking::new(tlp), &situation()), expected, "{tlp}");
    };
    for tlp in Tlp::ALL {
        check(&plain, tlp, if tlp == Tlp::Red { CarrierScope::Nobody } else { CarrierScope::Eea });
    }
    check(&wide, Tlp::Clear, CarrierScope::All);
    check(&wide, Tlp::Green, CarrierScope::Eea);
    check(&wide, Tlp::Red, CarrierScope::Nobody);
    assert!(matches!(national(widened), Err(EngineError::Widens { .. })));
}

#[test]
fn an_overlay_can_only_tighten() {
    let permit = r#"@id("mine") @words("x") permit (principal, action == Action::"release", resource);"#;
    assert!(matches!(national(permit), Err(EngineError::Widens { .. })));
    assert!(matches!(overlay(Layer::Consortium, permit), Err(EngineError::Widens { .. })));
    let any = r#"@id("mine") @words("x") permit (principal, action, resource);"#;
    assert!(matches!(national(any), Err(EngineError::Widens { .. })));
    let lifts = r#"@id("mine") @words("x") forbid (principal, action == Action::"oblige", resource);"#;
    assert!(matches!(national(lifts), Err(EngineError::Widens { .. })));
    let tight = r#"@id("not-to-lu") @words("our law: not to LU")
        forbid (principal, action == Action::"release", resource) when { principal.country == "LU" };"#;
    let decision = release(&national(tight).unwrap(), &Marking::new(Tlp::Clear), hub(), situation());
    assert_eq!((decision.is_permit(), decision.words()), (false, "our law: not to LU"));
}

#[test]
fn bad_bundles_are_refused_by_name() {
    let text = |policies: &str| matches!(national(policies), Err(EngineError::Text { .. }));
    assert!(text("permit (principal"), "syntax");
    assert!(
        text(
            r#"@id("a") @words("x") forbid (principal, action == Action::"release", resource) when { resource.colour == "RED" };"#
        ),
        "unknown attribute"
    );
    assert!(
        text(r#"@id("a") @words("x") forbid (principal == ?principal, action == Action::"release", resource);"#),
        "template"
    );
    let annotation = |policies: &str| matches!(national(policies), Err(EngineError::Annotation { .. }));
    let forbid = r#"forbid (principal, action == Action::"release", resource) when { context.only };"#;
    assert!(annotation(&format!("@words(\"x\") {forbid}")), "no id");
    assert!(annotation(&format!("@id(\"A b\") @words(\"x\") {forbid}")), "id with capitals");
    assert!(annotation(&format!("@id(\"a\") {forbid}")), "no words");
    assert!(annotation(&format!("@id(\"a\") @words(\"x\") @rank(\"high\") {forbid}")), "rank");
    assert!(annotation(&format!("@id(\"tlp-red\") @words(\"x\") {forbid}")), "id of the baseline");
    assert!(annotation(&format!("@id(\"default-deny\") @words(\"x\") {forbid}")), "built-in id");
    assert!(
        annotation(&format!("@id(\"a\") @words(\"x\") @obligation(\"strip-attribution\") {forbid}")),
        "obligation on a forbid"
    );
    let oblige = r#"@words("x") permit (principal, action == Action::"oblige", resource);"#;
    assert!(annotation(&format!("@id(\"a\") @obligation(\"wash\") {oblige}")), "unknown obligation");
    assert!(annotation(&format!("@id(\"a\") {oblige}")), "oblige without an obligation");
    let other_schema =
        PolicyBundle { schema: "entity A;".into(), ..PolicyBundle::overlay("t", 1, Layer::National, "") };
    assert!(matches!(Engine::with_bundles(&[PolicyBundle::baseline(), other_schema]), Err(EngineError::Schema { .. })));
    let base = PolicyBundle::baseline;
    let own = PolicyBundle { policies: "permit (principal, action, resource);".into(), ..base() };
    assert!(matches!(Engine::with_bundles(&[own]), Err(EngineError::Baseline)));
    let nat = || PolicyBundle::overlay("t", 1, Layer::National, "");
    let con = || PolicyBundle::overlay("t", 1, Layer::Consortium, "");
    for bundles in [vec![], vec![nat()], vec![base(), base()], vec![base(), nat(), con()], vec![base(), nat(), nat()]] {
        assert!(matches!(Engine::with_bundles(&bundles), Err(EngineError::Layers)));
    }
    assert!(Engine::with_bundles(&[base(), con(), nat()]).is_ok());
}

#[test]
fn a_rule_that_fails_to_evaluate_refuses() {
    // Cedar skips a policy that overflows; skipping a forbid would release.
    let overflow = r#"@id("sum") @words("x")
        forbid (principal, action == Action::"release", resource) when { context.now + 9223372036854775807 == 0 };"#;
    let decision = release(&national(overflow).unwrap(), &Marking::new(Tlp::Clear), hub(), situation());
    assert_eq!((decision.is_permit(), decision.rule().unwrap().id.as_str()), (false, EVALUATION_FAILED));
}

#[test]
fn a_question_about_the_wrong_principal_is_refused() {
    let engine = Engine::baseline().unwrap();
    let input = DecisionInput {
        principal: Principal::Carrier(CarrierScope::Eea),
        ..DecisionInput::release(MarkingClass::from(&Marking::new(Tlp::Clear)), hub(), situation())
    };
    assert!(!engine.decide(&input).is_permit());
}

#[test]
fn the_cache_never_outlives_what_time_changes() {
    let engine = Engine::baseline().unwrap();
    let embargo = Marking { not_before: Some(NOW), ..Marking::new(Tlp::Green) };
    let at = |engine: &Engine, now: u64| {
        release(engine, &embargo, hub(), Situation { now: UnixSeconds(now), ..situation() }).is_permit()
    };
    assert!(!at(&engine, NOW.0 - 1) && at(&engine, NOW.0) && !at(&engine, NOW.0 - 2));
    assert_eq!(engine.cache.read().unwrap().len(), 2, "the clock itself is not in the key");
    let clocked = national(
        r#"@id("old") @words("x") forbid (principal, action == Action::"release", resource) when { context.now > 1790000005 };"#,
    );
    let clocked = clocked.unwrap();
    assert!(at(&clocked, NOW.0 + 5) && !at(&clocked, NOW.0 + 6), "a policy that reads the clock gets it");
    assert!(!engine.clock_matters && clocked.clock_matters);
}

#[test]
fn inputs_and_entities_fit_the_schema() {
    let engine = Engine::baseline().unwrap();
    for seed in 0..500 {
        let case = reference::case(seed);
        let checked = engine.evaluate_checked(&case, Some(engine.schema()));
        assert_eq!(checked, engine.evaluate(&case), "seed {seed}");
        assert!(checked.rules.iter().all(|rule| rule.id != EVALUATION_FAILED), "seed {seed}");
    }
}

/// The example of the policy chapter of the specification.
#[test]
fn the_specified_example_has_these_bytes() {
    let input = DecisionInput::release(MarkingClass::from(&Marking::new(Tlp::Amber)), named(), situation());
    let hex: String = input.to_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let spec = include_str!("../../../../protocol-spec/06-policy.md");
    assert!(spec.replace(['\n', ' '], "").contains(&hex), "the specification's example should read {hex}");
    let digest: String = input.digest().iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(spec.contains(&digest), "the specification's example digest should read {digest}");
    let baseline = PolicyBundle::baseline();
    assert!(spec.contains(&baseline.digest().to_string()), "baseline digest {}", baseline.digest());
}

#[test]
fn every_rule_of_the_baseline_stands_in_the_specification() {
    let spec = include_str!("../../../../protocol-spec/06-policy.md");
    for rule in Engine::baseline().unwrap().rules() {
        assert!(spec.contains(&format!("`{}`", rule.id)), "{}", rule.id);
    }
}

#[test]
fn an_input_has_one_encoding() {
    for seed in 0..500 {
        let case = reference::case(seed);
        let bytes = case.to_bytes();
        assert_eq!(codec::decode::<DecisionInput>(&bytes, 1 << 16).as_ref(), Ok(&case), "seed {seed}");
    }
    let plain = MarkingClass::from(&Marking::new(Tlp::Green));
    let spelt_out =
        Marking { exercise: Some(false), not_releasable_to: Some(BTreeSet::new()), ..Marking::new(Tlp::Green) };
    assert_eq!(plain, MarkingClass::from(&spelt_out));
}

/// 100,000 seeded cases against an evaluator that shares no code and no rule text with the engine.
#[test]
fn random_cases_agree_with_the_reference() {
    let engine = Engine::baseline().unwrap();
    let again = Engine::baseline().unwrap();
    let mut permitted = 0;
    for seed in 0..100_000 {
        let case = reference::case(seed);
        let decision = engine.decide(&case);
        assert_eq!(decision.is_permit(), reference::may_leave(&case), "seed {seed}: {case:?}");
        assert_ne!(decision.rule().unwrap().id, DEFAULT_DENY, "seed {seed}: a held unit without a reason");
        if seed % 50 == 0 {
            assert_eq!(*decision, again.evaluate(&case), "seed {seed}");
        }
        permitted += u32::from(decision.is_permit());
    }
    assert!((5_000..95_000).contains(&permitted), "the cases say little: {permitted} permitted");
}
