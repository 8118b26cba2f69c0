//! MISP events end to end: parse, commit, disclose, verify, rebuild.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cresset_interop::misp::MispFormat;
use cresset_interop::{Format, ParseError, Parsed, Warning};
use cresset_protocol::ids::GroupId;
use cresset_protocol::object::attribute_tree::{AttributeSeed, AttributeTree};
use cresset_protocol::object::cti::{CtiObject, Unit, UnitKind};
use cresset_protocol::object::marking::{HeldReason, IdentifierRole, Marking, Tlp};
use cresset_protocol::object::publish_share::{PublishShare, PublishedObject};
use cresset_protocol::object::view::{VerifiedView, ViewPayload, verify};
use cresset_protocol::suite::Suite;
use serde_json::Value;

/// Everything a recipient does with a view of these units.
fn receive(object: &CtiObject, keep: &dyn Fn(&Unit) -> bool) -> VerifiedView {
    let tree = AttributeTree::build(object, AttributeSeed::new([1; 32])).unwrap();
    let strictest = object.units.iter().map(|unit| unit.marking.clone()).reduce(|a, b| a.merge(&b)).unwrap();
    let published = PublishedObject {
        uuid: object.uuid,
        version: object.version,
        object_root: tree.object_root(),
        padded_count: tree.padded_count(),
        media_type: object.media_type.clone(),
    };
    let share = PublishShare::new(Suite::Hybrid2026, published, strictest);
    let bytes = tree.view(&|_, unit| keep(unit)).unwrap().to_bytes();
    verify(&ViewPayload::from_bytes(&bytes).unwrap(), &PublishShare::from_bytes(&share.to_bytes()).unwrap()).unwrap()
}

fn rebuilt(object: &CtiObject, keep: &dyn Fn(&Unit) -> bool) -> Value {
    serde_json::from_slice(&MispFormat.rebuild(&receive(object, keep)).unwrap()).unwrap()
}

fn parse(json: Value) -> Parsed {
    MispFormat.parse_one(json.to_string().as_bytes()).unwrap()
}

fn event(fields: Value) -> Value {
    let mut event = serde_json::json!({
        "uuid": "0b1c2d3e-0000-4000-8000-000000000001", "timestamp": "1790000000", "info": "x", "date": "2026-09-21",
    });
    event.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    serde_json::json!({ "Event": event })
}

fn attribute(number: u8, fields: Value) -> Value {
    let mut attribute = serde_json::json!({
        "uuid": format!("0b1c2d3e-0000-4000-8000-0000000001{number:02x}"), "type": "ip-dst", "category": "Network activity",
        "value": format!("192.0.2.{number}"),
    });
    attribute.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    attribute
}

fn tagged(label: &str) -> Value {
    serde_json::json!({ "Tag": [{ "name": label }] })
}

fn unit_with_value<'o>(object: &'o CtiObject, value: &str) -> &'o Unit {
    let token = format!("\"{value}\"");
    object.units.iter().find(|unit| unit.attributes.iter().any(|attribute| attribute.value == token)).unwrap()
}

fn shared() -> PathBuf {
    std::env::var("CRESSET_TEST_DATA")
        .map_or_else(|_| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from)
}

fn files_under(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files_under(&path, out) } else { out.push(path) }
    }
}

/// The members of a document that hold one event each.
fn events_in(document: &Value) -> Vec<Value> {
    match document.get("response").unwrap_or(document) {
        Value::Array(members) => members.clone(),
        one => vec![one.clone()],
    }
}

#[test]
fn every_file_of_the_misp_corpus_rebuilds_equal_or_is_refused_precisely() {
    let mut files = Vec::new();
    files_under(&shared().join("corpus/misp"), &mut files);
    files.sort();
    let (mut parsed_files, mut events, mut units, mut refused) = (0, 0, 0, std::collections::BTreeMap::new());
    for file in &files {
        let bytes = std::fs::read(file).unwrap();
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        match MispFormat.parse_all(&bytes) {
            Ok(parsed) => {
                let originals = events_in(&serde_json::from_slice(&bytes).unwrap());
                assert_eq!(parsed.len(), originals.len(), "{name}");
                for (parsed, original) in parsed.iter().zip(&originals) {
                    assert_eq!(&rebuilt(&parsed.object, &|_| true), original, "{name}");
                    assert!(MispFormat.losses(&receive(&parsed.object, &|_| true)).is_empty());
                    events += 1;
                    units += parsed.object.units.len();
                }
                parsed_files += 1;
            }
            Err(reason) => {
                let reason = std::error::Error::source(&reason)
                    .map_or_else(|| reason.to_string(), |source| format!("{reason}: {source}"));
                refused.entry(reason).or_insert_with(Vec::new).push(name);
            }
        }
    }
    println!("{} files: {parsed_files} parsed ({events} events, {units} units)", files.len());
    for (reason, names) in &refused {
        println!("refused, {reason}: {}", names.join(", "));
    }
    let refused: usize = refused.values().map(Vec::len).sum();
    assert_eq!((files.len(), parsed_files, events, refused), (68, 27, 28, 41));
}

#[test]
fn an_inner_label_is_never_weakened_by_the_event_nor_the_other_way_round() {
    let check = |outer: &str, inner: &str, expected: Tlp| {
        let mut fields = tagged(outer);
        fields["Attribute"] = serde_json::json!([attribute(1, tagged(inner))]);
        let object = parse(event(fields)).object;
        assert_eq!(unit_with_value(&object, "192.0.2.1").marking.tlp, expected, "{outer} {inner}");
    };
    check("tlp:green", "tlp:red", Tlp::Red);
    check("tlp:amber", "tlp:clear", Tlp::Amber);
    check("tlp:clear", "misp:tool=\"x\"", Tlp::Clear);
}

#[test]
fn an_object_between_event_and_attribute_counts_too() {
    let inner = attribute(1, serde_json::json!({ "distribution": "5" }));
    let group = serde_json::json!({ "uuid": "22222222-2222-4222-8222-222222222222", "name": "secret club" });
    let object = serde_json::json!({
        "uuid": "0b1c2d3e-0000-4000-8000-000000000301", "name": "domain-ip", "distribution": "4", "SharingGroup": group,
        "Attribute": [inner],
    });
    let mut fields = tagged("tlp:green");
    fields["Object"] = serde_json::json!([object]);
    let parsed = parse(event(fields));
    let expected = GroupId(*uuid_bytes("22222222222242228222222222222222"));
    let unit = unit_with_value(&parsed.object, "192.0.2.1");
    assert_eq!((unit.kind, unit.marking.groups.clone()), (UnitKind::Attribute, Some([expected].into())));
    // Outsiders get neither the name of the sharing group nor anything else that is limited to it.
    let outside = rebuilt(&parsed.object, &|unit| unit.marking.groups.is_none()).to_string();
    assert!(!outside.contains("secret club") && !outside.contains("192.0.2.1"), "{outside}");
}

fn uuid_bytes(hex: &str) -> &'static [u8; 16] {
    let bytes = data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap();
    Box::leak(Box::new(bytes.try_into().unwrap()))
}

#[test]
fn unlabelled_means_amber_strict_by_default_only_where_nobody_states_a_label() {
    let fields =
        serde_json::json!({ "Attribute": [attribute(1, serde_json::json!({})), attribute(2, tagged("tlp:green"))] });
    let object = parse(event(fields)).object;
    assert_eq!(object.marking, Marking::unlabelled());
    assert_eq!(unit_with_value(&object, "192.0.2.1").marking.tlp, Tlp::AmberStrict);
    assert_eq!(unit_with_value(&object, "192.0.2.1").marking.tlp_is_default, Some(true));
    let green = &unit_with_value(&object, "192.0.2.2").marking;
    assert_eq!((green.tlp, green.tlp_is_default), (Tlp::Green, None));
}

#[test]
fn what_is_local_to_one_server_is_never_released() {
    let mut fields = tagged("tlp:clear");
    fields["event_creator_email"] = "analyst@example.org".into();
    fields["RelatedEvent"] = serde_json::json!([{ "Event": { "id": "5", "info": "somebody else's", "uuid": "0b1c2d3e-0000-4000-8000-00000000ffff" } }]);
    fields["Attribute"] = serde_json::json!([
        attribute(
            1,
            serde_json::json!({ "Tag": [{ "name": "case-4711", "local": 1 }, { "name": "shared", "local": 0 }] })
        ),
        attribute(2, serde_json::json!({ "distribution": "0" })),
    ]);
    let object = parse(event(fields)).object;
    let released =
        rebuilt(&object, &|unit| unit.marking.groups.as_ref().is_none_or(|groups| !groups.is_empty())).to_string();
    for hidden in ["analyst@example.org", "somebody else's", "case-4711", "192.0.2.2"] {
        assert!(!released.contains(hidden), "{hidden} in {released}");
    }
    assert!(released.contains("192.0.2.1") && released.contains("shared"));
}

#[test]
fn a_look_alike_label_on_the_event_holds_everything() {
    let mut fields = tagged("tlр:clear");
    fields["Attribute"] = serde_json::json!([attribute(1, tagged("tlp:clear"))]);
    let parsed = parse(event(fields));
    assert!(
        parsed
            .object
            .units
            .iter()
            .all(|unit| unit.marking.held == Some(HeldReason::LookAlikeLabel) && unit.marking.tlp == Tlp::Red)
    );
    assert!(matches!(&parsed.warnings[..], [Warning::HeldLabel { place, .. }] if place == "event"));
}

#[test]
fn a_victim_is_marked_as_one() {
    let victim = attribute(1, serde_json::json!({ "category": "Targeting data", "type": "target-org" }));
    let object = parse(event(serde_json::json!({ "Attribute": [victim, attribute(2, serde_json::json!({}))] }))).object;
    let role = |value| unit_with_value(&object, value).marking.identifier_role;
    assert_eq!(role("192.0.2.1"), Some(IdentifierRole::Victim));
    assert_eq!(role("192.0.2.2"), Some(IdentifierRole::Attacker));
}

#[test]
fn a_redacted_copy_keeps_identity_and_order_and_shows_no_gap() {
    let labels = ["tlp:clear", "tlp:red", "tlp:clear", "tlp:red", "tlp:clear"];
    let without_uuid = |(number, label): (u8, &&str)| {
        let mut attribute = attribute(number, tagged(label));
        attribute.as_object_mut().unwrap().remove("uuid");
        attribute
    };
    let attributes: Vec<Value> = (1..).zip(&labels).map(without_uuid).collect();
    let parsed = parse(event(serde_json::json!({ "Attribute": attributes })));
    let view = receive(&parsed.object, &|unit| unit.marking.tlp == Tlp::Clear);
    let document: Value = serde_json::from_slice(&MispFormat.rebuild(&view).unwrap()).unwrap();
    let values: Vec<_> =
        document["Event"]["Attribute"].as_array().unwrap().iter().map(|one| one["value"].as_str().unwrap()).collect();
    assert_eq!(values, ["192.0.2.1", "192.0.2.3", "192.0.2.5"]);
    assert_eq!(document["Event"]["uuid"], "0b1c2d3e-0000-4000-8000-000000000001");
    assert_eq!(document["Event"]["timestamp"], "1790000000");
    assert_eq!(document["Event"].as_object().unwrap().len(), 3);
}

#[test]
fn members_with_one_uuid_and_of_two_classes_stay_apart() {
    let mut twin = attribute(1, tagged("tlp:red"));
    twin["value"] = "192.0.2.99".into();
    let original =
        event(serde_json::json!({ "Attribute": [attribute(1, tagged("tlp:clear")), twin, [], 5, {}, "x", null] }));
    let parsed = parse(original.clone());
    assert_eq!(rebuilt(&parsed.object, &|_| true), original);
}

#[test]
fn numbers_and_strings_survive_token_by_token() {
    let text = r#"{"Event":{"uuid":"0b1c2d3e-0000-4000-8000-000000000001","info":"\u00e9\/<","timestamp":17,"x":[1.0,1e2,[[]],{}],"big":10000000000000000000000001}}"#;
    let object = MispFormat.parse(text.as_bytes()).unwrap();
    assert_eq!(String::from_utf8(MispFormat.rebuild(&receive(&object, &|_| true)).unwrap()).unwrap(), text);
    assert_eq!(object.version.0, 17);
}

#[test]
fn documents_that_hold_no_single_event_are_refused_with_the_reason() {
    let check = |text: &str, expected: &str| {
        assert_eq!(MispFormat.parse(text.as_bytes()).unwrap_err().to_string(), expected, "{text}")
    };
    check("{}", "no MISP document: neither an `Event` nor the fields of one");
    check("[]", "no MISP document: the list is empty");
    check("5", "no MISP document: a scalar stands alone");
    check("[5]", "no MISP document: a member of the list is not an object");
    check(r#"{"Event":[]}"#, "no MISP document: `Event` is not an object");
    check(r#"{"response":5}"#, "no MISP document: `response` is neither a list nor an event");
    check(r#"{"Event":{"info":"x"}}"#, "event has no usable `uuid`");
    check(r#"{"Event":{"uuid":"not one"}}"#, "event has no usable `uuid`");
    check("<xml/>", "no MISP document: it is XML");
    check("{", "not acceptable as JSON");
    check(r#"{"type":"bundle","objects":[]}"#, "no MISP document: it is a STIX bundle");
    check(r#"{"Note":{"note":"x"}}"#, "no MISP document: it holds elements without their event");
    let two =
        serde_json::json!({ "response": [event(serde_json::json!({})), event(serde_json::json!({}))] }).to_string();
    check(&two, "document holds 2 objects where one is expected");
    assert_eq!(MispFormat.parse_all(two.as_bytes()).unwrap().len(), 2);
    assert!(matches!(MispFormat.parse_all(b"{\"a\":1,\"a\":2}"), Err(ParseError::Json(_))));
}

#[test]
fn a_view_of_another_format_is_not_rebuilt() {
    let mut object = parse(event(serde_json::json!({}))).object;
    object.media_type = "text/plain".into();
    assert!(MispFormat.rebuild(&receive(&object, &|_| true)).is_err());
}

#[test]
fn the_demo_event_has_55_units_under_mixed_markings() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testnet/fixtures/beacon-event.json");
    let bytes = std::fs::read(file).unwrap();
    let parsed = MispFormat.parse_one(&bytes).unwrap();
    let object = &parsed.object;
    assert_eq!(parsed.warnings, []);
    assert_eq!(object.units.len(), 55);
    let count = |wanted: &dyn Fn(&Marking) -> bool| object.units.iter().filter(|unit| wanted(&unit.marking)).count();
    let limited = |marking: &Marking| marking.groups.is_some();
    let counts = [
        count(&|m| m.tlp == Tlp::Red && !limited(m)),
        count(&|m| m.tlp == Tlp::Amber && limited(m)),
        count(&|m| m.tlp == Tlp::Green && m.identifier_role != Some(IdentifierRole::Victim)),
        count(&|m| m.tlp == Tlp::Clear),
        count(&|m| m.tlp_is_default == Some(true) && !limited(m)),
        count(&|m| m.tlp_is_default == Some(true) && limited(m)),
        count(&|m| m.identifier_role == Some(IdentifierRole::Victim)),
    ];
    assert_eq!((counts, counts.iter().sum::<usize>()), ([4, 12, 20, 8, 8, 1, 2], 55));
    assert_eq!(rebuilt(object, &|_| true), serde_json::from_slice::<Value>(&bytes).unwrap());
}

#[test]
fn an_event_of_20_000_attributes_is_handled_in_time() {
    let label = |number: u32| ["tlp:clear", "tlp:green", "tlp:amber", "tlp:red"][number as usize % 4];
    let one = |number: u32| {
        let mut attribute = attribute(0, tagged(label(number)));
        attribute["uuid"] = format!("0b1c2d3e-0000-4000-8000-{number:012x}").into();
        attribute["value"] = format!("host-{number}.example.org").into();
        for field in ["comment", "to_ids", "timestamp", "deleted", "first_seen", "last_seen", "event_id"] {
            attribute[field] = "0".into();
        }
        attribute
    };
    let original = event(serde_json::json!({ "Attribute": (0..20_000).map(one).collect::<Vec<_>>() }));
    let bytes = original.to_string().into_bytes();
    let start = Instant::now();
    let object = MispFormat.parse(&bytes).unwrap();
    let parsed = start.elapsed();
    assert_eq!(rebuilt(&object, &|_| true), original);
    let released = rebuilt(&object, &|unit| unit.marking.tlp <= Tlp::Green);
    assert_eq!(released["Event"]["Attribute"].as_array().unwrap().len(), 10_000);
    println!(
        "{} bytes: parsed in {parsed:?}, committed, disclosed twice and rebuilt in {:?}",
        bytes.len(),
        start.elapsed() - parsed
    );
    assert!(start.elapsed() < Duration::from_secs(60));
}

#[test]
fn a_hostile_event_is_refused_before_it_costs_anything() {
    let start = Instant::now();
    let deep = format!(r#"{{"Event":{}}}"#, r#"{"Object":["#.repeat(200_000));
    assert!(MispFormat.parse(deep.as_bytes()).is_err());
    let wide = format!(
        r#"{{"Event":{{"uuid":"0b1c2d3e-0000-4000-8000-000000000001","Attribute":[{}0]}}}}"#,
        "0,".repeat(2_000_000)
    );
    assert!(MispFormat.parse(wide.as_bytes()).is_err());
    let groups = (0..100)
        .fold(String::new(), |all, _| format!(r#"{{"distribution":"4","Attribute":[{all}]}}"#).replace("[]", "[0]"));
    assert!(MispFormat.parse(format!(r#"{{"Event":{groups}}}"#).as_bytes()).is_err());
    assert!(start.elapsed() < Duration::from_secs(20));
}
