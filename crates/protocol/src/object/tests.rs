//! Attribute tree, views and redaction: what must verify, and one test per way of being wrong.

use proptest::prelude::*;

use crate::ids::{GroupId, LogId, NodeHash, ObjectUuid, ObjectVersion};
use crate::limits::{MARKING_TEXT_BYTES_MAX, PARENTS_MAX};
use crate::object::attribute_tree::{AttributeSeed, AttributeTree};
use crate::object::cti::{Attribute, CtiObject, PathStep, Unit, UnitKind};
use crate::object::layout::ObjectError;
use crate::object::marking::{Marking, Tlp};
use crate::object::publish_share::{ParentRef, PublishShare, PublishShareError, PublishedObject};
use crate::object::redact::{redact, redact_attributes};
use crate::object::tree_leaf::{LeafContent, LeafHasher, Salts};
use crate::object::view::{ViewError, ViewPayload, verify};
use crate::suite::Suite;

fn marking(tlp: Tlp) -> Marking {
    Marking::new(tlp)
}

fn unit(number: u8, tlp: Tlp, attributes: u32) -> Unit {
    let attribute = |i| Attribute {
        path: vec![PathStep::Key("Event".into()), PathStep::Uuid([number; 16]), PathStep::Key(format!("f{i}"))],
        value: format!("\"v{number}-{i}\""),
    };
    Unit {
        kind: UnitKind::Attribute,
        type_name: "ip-dst".into(),
        uuid: Some(ObjectUuid([number; 16])),
        marking: marking(tlp),
        attributes: (0..attributes).map(attribute).collect(),
    }
}

fn object(units: Vec<Unit>) -> CtiObject {
    CtiObject {
        uuid: ObjectUuid([7; 16]),
        version: ObjectVersion(1),
        media_type: "application/vnd.misp.event+json".into(),
        marking: marking(Tlp::Clear),
        units,
        native_digest: [9; 32],
    }
}

fn sample() -> CtiObject {
    object(vec![
        unit(1, Tlp::Clear, 3),
        unit(2, Tlp::Red, 2),
        unit(3, Tlp::Clear, 4),
        unit(4, Tlp::Green, 5),
        unit(5, Tlp::Red, 0),
        unit(6, Tlp::Green, 1),
    ])
}

fn seed() -> AttributeSeed {
    AttributeSeed::new([3; 32])
}

fn share_of(object: &CtiObject, view_tlp: Tlp) -> PublishShare {
    let tree = AttributeTree::build(object, seed()).unwrap();
    let published = PublishedObject {
        uuid: object.uuid,
        version: object.version,
        object_root: tree.object_root(),
        padded_count: tree.padded_count(),
        media_type: object.media_type.clone(),
    };
    PublishShare::new(Suite::Hybrid2026, published, marking(view_tlp))
}

fn green_view(object: &CtiObject) -> ViewPayload {
    let tree = AttributeTree::build(object, seed()).unwrap();
    tree.view(&|_, unit| unit.marking.tlp <= Tlp::Green).unwrap()
}

/// Applies a change to an otherwise good green view and expects exactly this refusal.
fn refused(change: impl FnOnce(&mut ViewPayload), expected: ViewError) {
    let object = sample();
    let mut payload = green_view(&object);
    change(&mut payload);
    assert_eq!(verify(&payload, &share_of(&object, Tlp::Green)).unwrap_err(), expected);
}

#[test]
fn a_full_copy_verifies_and_keeps_document_order() {
    let object = sample();
    let tree = AttributeTree::build(&object, seed()).unwrap();
    let bytes = tree.full_view().to_bytes();
    let view = verify(&ViewPayload::from_bytes(&bytes).unwrap(), &share_of(&object, Tlp::Red)).unwrap();
    assert!(view.is_full());
    assert_eq!(view.units(), object.units);
    assert_eq!(view.native_digest(), Some(&[9; 32]));
}

#[test]
fn a_view_of_every_unit_is_a_full_copy() {
    let object = sample();
    let tree = AttributeTree::build(&object, seed()).unwrap();
    assert!(tree.view(&|_, _| true).unwrap().is_full());
}

#[test]
fn any_subset_of_units_verifies_and_shows_nothing_else() {
    let object = sample();
    let tree = AttributeTree::build(&object, seed()).unwrap();
    for mask in 1u32..(1 << object.units.len()) - 1 {
        let payload = tree.view(&|i, _| mask & (1 << i) != 0).unwrap();
        let bytes = payload.to_bytes();
        let view = verify(&ViewPayload::from_bytes(&bytes).unwrap(), &share_of(&object, Tlp::Red)).unwrap();
        for (i, unit) in object.units.iter().enumerate() {
            assert_eq!(view.units().contains(unit), mask & (1 << i) != 0, "mask {mask:b} unit {i}");
        }
    }
}

#[test]
fn redaction_of_any_view_gives_the_same_bytes_as_the_origin_would() {
    let object = sample();
    let tree = AttributeTree::build(&object, seed()).unwrap();
    let share = share_of(&object, Tlp::Red);
    let clear = tree.view(&|_, unit| unit.marking.tlp == Tlp::Clear).unwrap();
    let keep_clear = |unit: &Unit| unit.marking.tlp == Tlp::Clear;
    assert_eq!(redact(&tree.full_view(), &share, &keep_clear).unwrap(), clear);
    assert_eq!(redact(&green_view(&object), &share, &keep_clear).unwrap(), clear);
    assert_eq!(redact(&tree.full_view(), &share, &|_| true).unwrap(), tree.full_view());
    assert_eq!(redact(&clear, &share, &|_| false).unwrap_err(), ViewError::Empty);
}

#[test]
fn single_attributes_can_be_redacted_and_the_rest_verifies() {
    let object = sample();
    let share = share_of(&object, Tlp::Red);
    let tree = AttributeTree::build(&object, seed()).unwrap();
    let smaller = redact_attributes(&tree.full_view(), &share, &|_, attribute| {
        attribute.is_none_or(|attribute| attribute.value != "\"v4-2\"")
    });
    let view = verify(&smaller.unwrap(), &share).unwrap();
    let values = |units: &[Unit]| units.iter().map(|unit| unit.attributes.len()).sum::<usize>();
    assert_eq!(values(view.units()), values(&object.units) - 1);
}

#[test]
fn redacted_bytes_hold_no_hidden_value_and_no_seed() {
    let bytes = green_view(&sample()).to_bytes();
    let holds = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
    assert!(holds(b"v1-0") && !holds(b"v2-0") && !holds(&[3; 32]) && !holds(&[9; 32]));
}

#[test]
fn an_altered_value_is_refused() {
    refused(|payload| payload.units[0].leaves[0].value.push('x'), ViewError::Root);
}

#[test]
fn a_weaker_marking_is_refused() {
    let weaken = |payload: &mut ViewPayload| {
        let green = payload.markings.iter_mut().find(|marking| marking.tlp == Tlp::Green).unwrap();
        green.pap = crate::object::marking::Pap::Clear;
    };
    refused(weaken, ViewError::Root);
}

#[test]
fn a_unit_moved_to_another_known_marking_is_refused() {
    let swap = |payload: &mut ViewPayload| payload.markings.reverse();
    refused(swap, ViewError::Root);
}

#[test]
fn an_altered_path_kind_type_uuid_or_count_is_refused() {
    refused(|payload| payload.units[1].prefix[0] = PathStep::Key("Other".into()), ViewError::Root);
    refused(|payload| payload.units[1].kind = UnitKind::Tag, ViewError::Root);
    refused(|payload| payload.units[1].type_name = "domain".into(), ViewError::Root);
    refused(|payload| payload.units[1].uuid = None, ViewError::Root);
    refused(|payload| payload.units.last_mut().unwrap().opening.as_mut().unwrap().attributes += 1, ViewError::Root);
}

#[test]
fn a_wrong_salt_is_refused() {
    refused(|payload| payload.units[0].opening.as_mut().unwrap().salt[0] ^= 1, ViewError::Root);
    refused(|payload| payload.units[0].leaves[0].opened.as_mut().unwrap().1[31] ^= 1, ViewError::Root);
}

#[test]
fn a_leaf_at_another_index_is_refused() {
    let swap_values = |payload: &mut ViewPayload| payload.units[0].leaves.swap(0, 1);
    refused(swap_values, ViewError::Index);
    let swap_units = |payload: &mut ViewPayload| {
        payload.units.swap(0, 1);
        payload.markings = vec![marking(Tlp::Clear), marking(Tlp::Green)];
        if payload.units[0].marking == 1 {
            payload.units.iter_mut().for_each(|unit| unit.marking = 1 - unit.marking);
            payload.markings.reverse();
        }
    };
    refused(swap_units, ViewError::Index);
    let beyond_the_unit = |payload: &mut ViewPayload| {
        let unit = &mut payload.units[0];
        let last = unit.leaves.last_mut().unwrap().opened.as_mut().unwrap();
        last.0 += 1;
    };
    refused(beyond_the_unit, ViewError::Index);
    refused(|payload| payload.units[0].opening.as_mut().unwrap().index = 0, ViewError::Index);
    refused(|payload| payload.units[0].opening.as_mut().unwrap().index = u64::MAX, ViewError::Index);
}

#[test]
fn an_added_attribute_or_unit_is_refused() {
    let add = |payload: &mut ViewPayload| {
        let mut extra = payload.units[0].leaves[0].clone();
        extra.tail = vec![PathStep::Key("extra".into())];
        extra.opened.as_mut().unwrap().0 = 1000;
        payload.units[0].leaves.push(extra);
    };
    refused(add, ViewError::Index);
    let add_unit = |payload: &mut ViewPayload| {
        let mut extra = payload.units.last().unwrap().clone();
        extra.opening.as_mut().unwrap().index += 2;
        extra.prefix[1] = PathStep::Uuid([99; 16]);
        payload.units.push(extra);
    };
    let object = sample();
    let mut payload = green_view(&object);
    add_unit(&mut payload);
    assert!(verify(&payload, &share_of(&object, Tlp::Green)).is_err());
}

#[test]
fn two_attributes_at_one_place_are_refused() {
    let duplicate = |payload: &mut ViewPayload| {
        let tail = payload.units[0].leaves[0].tail.clone();
        payload.units[0].leaves[1].tail = tail;
    };
    refused(duplicate, ViewError::Object(ObjectError::DuplicatePath));
    let mut twice = sample();
    twice.units.push(twice.units[0].clone());
    assert_eq!(AttributeTree::build(&twice, seed()).unwrap_err(), ObjectError::DuplicatePath);
}

#[test]
fn a_missing_surplus_or_altered_hash_is_refused() {
    refused(|payload| payload.redacted.as_mut().unwrap().rest.truncate(1), ViewError::RestCount);
    refused(|payload| payload.redacted.as_mut().unwrap().rest.push(NodeHash([0; 32])), ViewError::RestCount);
    refused(|payload| payload.redacted.as_mut().unwrap().rest[0].0[0] ^= 1, ViewError::Root);
}

#[test]
fn a_payload_of_mixed_form_is_refused() {
    refused(|payload| payload.redacted = None, ViewError::Form);
    refused(|payload| payload.units[0].opening = None, ViewError::Form);
    refused(|payload| payload.units[0].leaves[0].opened = None, ViewError::Form);
    let object = sample();
    let full = AttributeTree::build(&object, seed()).unwrap().full_view();
    let open = |change: &dyn Fn(&mut ViewPayload)| {
        let mut payload = full.clone();
        change(&mut payload);
        assert_eq!(verify(&payload, &share_of(&object, Tlp::Red)).unwrap_err(), ViewError::Form);
    };
    open(&|payload| payload.units[0].opening = green_view(&object).units[0].opening.clone());
    open(&|payload| payload.redacted = green_view(&object).redacted);
}

#[test]
fn a_table_of_markings_has_one_form() {
    refused(|payload| payload.markings.push(marking(Tlp::Red)), ViewError::MarkingTable);
    refused(|payload| payload.units[0].marking = 1, ViewError::MarkingTable);
    refused(|payload| payload.markings[1] = payload.markings[0].clone(), ViewError::MarkingTable);
    refused(|payload| payload.units.clear(), ViewError::Empty);
}

#[test]
fn an_altered_full_copy_is_refused() {
    let object = sample();
    let full = AttributeTree::build(&object, seed()).unwrap().full_view();
    let check = |change: &dyn Fn(&mut ViewPayload)| {
        let mut payload = full.clone();
        change(&mut payload);
        assert_eq!(verify(&payload, &share_of(&object, Tlp::Red)).unwrap_err(), ViewError::Root);
    };
    check(&|payload| payload.full.as_mut().unwrap().seed = AttributeSeed::new([4; 32]));
    check(&|payload| payload.full.as_mut().unwrap().native_digest[0] ^= 1);
    check(&|payload| payload.units[5].leaves[0].value.push('x'));
    // Units of different markings in another order: only the order leaf tells.
    check(&|payload| payload.units.swap(4, 5));
}

#[test]
fn a_full_copy_of_another_size_is_refused() {
    let object = sample();
    let mut payload = AttributeTree::build(&object, seed()).unwrap().full_view();
    payload.units.truncate(1);
    payload.markings.truncate(1);
    let share = share_of(&object, Tlp::Red);
    assert!(
        matches!(verify(&payload, &share), Err(ViewError::PaddedCount { expected, .. }) if expected == share.padded_count)
    );
}

#[test]
fn a_share_that_is_weaker_than_its_view_is_refused() {
    let object = sample();
    assert_eq!(
        verify(&green_view(&object), &share_of(&object, Tlp::Clear)).unwrap_err(),
        ViewError::ShareMarkingTooWeak
    );
}

#[test]
fn a_view_of_another_object_or_version_is_refused() {
    let mut other = sample();
    other.units[0].attributes[0].value.push(' ');
    assert_eq!(verify(&green_view(&other), &share_of(&sample(), Tlp::Green)).unwrap_err(), ViewError::Root);
    let mut share = share_of(&sample(), Tlp::Green);
    share.padded_count *= 2;
    assert_eq!(verify(&green_view(&sample()), &share).unwrap_err(), ViewError::RestCount);
}

#[test]
fn a_payload_that_is_cut_anywhere_is_refused() {
    let bytes = green_view(&sample()).to_bytes();
    for len in 0..bytes.len() {
        assert!(ViewPayload::from_bytes(&bytes[..len]).is_err(), "{len} bytes");
    }
}

#[test]
fn no_flipped_byte_of_a_payload_verifies() {
    let object = sample();
    let share = share_of(&object, Tlp::Green);
    let bytes = green_view(&object).to_bytes();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        let refused = ViewPayload::from_bytes(&changed).and_then(|payload| verify(&payload, &share)).is_err();
        assert!(refused, "byte {at}");
    }
}

#[test]
fn hidden_classes_of_equal_bucket_look_alike() {
    // Three or four hidden RED attributes occupy the same region, so that nobody can tell how many are held back.
    let with_red = |attributes| object(vec![unit(1, Tlp::Clear, 3), unit(2, Tlp::Red, attributes)]);
    let view = |object: &CtiObject| {
        let tree = AttributeTree::build(object, seed()).unwrap();
        let payload = tree.view(&|_, unit| unit.marking.tlp == Tlp::Clear).unwrap();
        (tree.padded_count(), payload.to_bytes().len())
    };
    assert_eq!(view(&with_red(4)), view(&with_red(6)));
}

#[test]
fn a_share_round_trips_and_refuses_what_is_out_of_bounds() {
    let good = share_of(&sample(), Tlp::Green);
    assert_eq!(PublishShare::from_bytes(&good.to_bytes()).unwrap(), good);
    let check = |change: &dyn Fn(&mut PublishShare), expected: PublishShareError| {
        let mut share = good.clone();
        change(&mut share);
        assert_eq!(PublishShare::from_bytes(&share.to_bytes()).unwrap_err(), expected);
    };
    check(&|share| share.padded_count = 3, PublishShareError::PaddedCount(3));
    check(&|share| share.padded_count = 1 << 40, PublishShareError::PaddedCount(1 << 40));
    check(&|share| share.parents = Some(vec![]), PublishShareError::Parents(0));
    let parent = ParentRef { log: LogId([0; 32]), leaf: NodeHash([0; 32]) };
    check(&|share| share.parents = Some(vec![parent; PARENTS_MAX + 1]), PublishShareError::Parents(PARENTS_MAX + 1));
    let long = "x".repeat(MARKING_TEXT_BYTES_MAX + 1);
    check(&|share| share.purpose = Some(long.clone()), PublishShareError::TooLong { field: "purpose" });
    check(&|share| share.media_type = long.clone(), PublishShareError::TooLong { field: "media_type" });
    let mut bytes = good.to_bytes();
    assert_eq!(bytes[..3], [0xa8, 0x00, 0x10]);
    bytes[2] = 1;
    assert_eq!(PublishShare::from_bytes(&bytes).unwrap_err(), PublishShareError::Kind(1));
}

#[test]
fn the_example_of_the_specification_is_true() {
    let mut container = unit(0, Tlp::Clear, 1);
    container.kind = UnitKind::Container;
    container.type_name = "event".into();
    container.uuid = None;
    container.attributes = vec![Attribute { path: vec![PathStep::Key("info".into())], value: "\"x\"".into() }];
    let units = [container];
    let tree = AttributeTree::from_units(&units, [9; 32], seed()).unwrap();
    let marking = crate::codec::encode(&units[0].marking);
    let salts = Salts::new(&seed());
    let own = LeafContent::Unit {
        marking: &marking,
        kind: UnitKind::Container,
        type_name: "event",
        uuid: None,
        attributes: 1,
    };
    let path = &units[0].attributes[0].path;
    let attribute = LeafContent::Attribute { marking: &marking, prefix: path, tail: &[], value: "\"x\"" };
    let mut hasher = LeafHasher::default();
    let hash = hasher.hash(&salts.at(2), 2, &own);
    let leaf_2 = hasher.last_leaf().to_vec();
    hasher.hash(&salts.at(3), 3, &attribute);
    let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
    let spec = include_str!("../../../../protocol-spec/04-object.md");
    let lines = [
        format!("salt_2       {}", hex(&salts.at(2))),
        format!("leaf 2       {}", hex(&leaf_2)),
        format!("leaf hash 2  {hash}"),
        format!("leaf 3       {}", hex(hasher.last_leaf())),
        format!("object root  {}", tree.object_root()),
    ];
    for line in &lines {
        assert!(spec.contains(line.as_str()), "the specification should say:\n{}", lines.join("\n"));
    }
    assert_eq!(tree.padded_count(), 4);
}

fn arbitrary_units() -> impl Strategy<Value = Vec<Unit>> {
    let one = (0usize..5, 0u32..9, any::<bool>());
    proptest::collection::vec(one, 1..20).prop_map(|shapes| {
        let build = |(number, (tlp, attributes, grouped)): (u8, (usize, u32, bool))| {
            let mut unit = unit(number, Tlp::ALL[tlp], attributes);
            unit.marking.groups = grouped.then(|| [GroupId([5; 16])].into());
            unit
        };
        (0..).zip(shapes).map(build).collect()
    })
}

proptest! {
    #[test]
    fn every_subset_of_any_object_verifies_and_redacts_further(units in arbitrary_units(), mask: u32, second: u32) {
        let object = object(units);
        let tree = AttributeTree::build(&object, seed()).unwrap();
        let mut share = share_of(&object, Tlp::Red);
        share.marking = object.units.iter().fold(share.marking, |all, unit| all.merge(&unit.marking));
        let number = |unit: &Unit| u32::from(unit.uuid.unwrap().0[0]);
        let Ok(payload) = tree.view(&|i, _| mask & (1 << i) != 0) else { return Ok(()) };
        let view = verify(&payload, &share).unwrap();
        prop_assert_eq!(view.units().len(), payload.unit_count());
        let both = |unit: &Unit| mask & second & (1 << number(unit)) != 0;
        match (redact(&payload, &share, &both), tree.view(&|_, unit| both(unit))) {
            (Ok(further), Ok(direct)) => prop_assert_eq!(further, direct),
            (Err(ViewError::Empty), Err(ViewError::Empty)) => {}
            other => prop_assert!(false, "{:?}", other),
        }
    }
}
