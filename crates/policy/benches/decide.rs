//! Decisions, cached and not; a plan of 100 marking classes x 30 hubs; its replay.

use std::collections::BTreeSet;
use std::hint::black_box;

use cresset_policy::{
    Addressing, BundleSet, DecisionInput, Engine, HubPrincipal, Lane, MarkingClass, Recipient, Situation, plan,
    plan_release, replay,
};
use cresset_protocol::ids::{Country, HubId, ObjectUuid, ObjectVersion, UnixSeconds};
use cresset_protocol::membership::roster::HubStatus;
use cresset_protocol::object::cti::{CtiObject, Unit, UnitKind};
use cresset_protocol::object::marking::{Marking, Tlp};
use criterion::{Criterion, criterion_group, criterion_main};

const NOW: UnixSeconds = UnixSeconds(1_790_000_000);

fn country(code: &str) -> Country {
    Country::parse(code).expect("two capitals")
}

fn input() -> DecisionInput {
    let hub = HubPrincipal {
        hub: HubId([2; 16]),
        country: country("LU"),
        jurisdiction: country("LU"),
        status: HubStatus::Active,
        roles: BTreeSet::new(),
        groups: BTreeSet::new(),
        named: false,
    };
    DecisionInput::release(MarkingClass::from(&Marking::new(Tlp::Green)), hub, Situation::new(NOW, country("AT")))
}

fn recipients() -> Vec<Recipient> {
    let recipient = |n: u8| Recipient {
        hub: HubId([n; 16]),
        country: country("LU"),
        jurisdiction: country("LU"),
        domain: "hub.lu.example".to_owned(),
        status: HubStatus::Active,
        roles: BTreeSet::new(),
        groups: BTreeSet::new(),
    };
    (1..=30).map(recipient).collect()
}

/// 100 marking classes, ten units of each.
fn object() -> CtiObject {
    let marking = |n: usize| Marking { purpose: Some(format!("p{}", n % 100)), ..Marking::new(Tlp::ALL[n % 4]) };
    let unit = |n: usize| Unit {
        kind: if n == 0 { UnitKind::Container } else { UnitKind::Attribute },
        type_name: "ip-dst".to_owned(),
        uuid: None,
        marking: marking(n),
        attributes: Vec::new(),
    };
    CtiObject {
        uuid: ObjectUuid([1; 16]),
        version: ObjectVersion(1),
        media_type: "application/vnd.misp.event+json".to_owned(),
        marking: Marking::new(Tlp::Clear),
        units: (0..1000).map(unit).collect(),
        native_digest: [0; 32],
    }
}

fn decisions(c: &mut Criterion) {
    let engine = Engine::baseline().expect("the shipped baseline loads");
    let input = input();
    c.bench_function("policy/decide_cached", |b| b.iter(|| engine.decide(black_box(&input))));
    c.bench_function("policy/decide_uncached", |b| b.iter(|| engine.evaluate(black_box(&input))));
    c.bench_function("policy/load_baseline", |b| b.iter(Engine::baseline));
}

fn plans(c: &mut Criterion) {
    let engine = Engine::baseline().expect("the shipped baseline loads");
    let (object, recipients) = (object(), recipients());
    let origin = plan::Origin { hub: HubId([99; 16]), country: country("AT"), now: NOW, lane: Lane::Normal };
    let planned = || plan_release(&engine, &object, &recipients, &Addressing::default(), &origin).expect("plannable");
    c.bench_function("policy/plan_100_classes_30_hubs", |b| b.iter(planned));
    let (audit, bundles) = (planned().audit, BundleSet::with_baseline());
    c.bench_function("policy/replay_3000_decisions", |b| b.iter(|| replay(black_box(&audit), &bundles)));
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).measurement_time(std::time::Duration::from_secs(2));
    targets = decisions, plans
}
criterion_main!(benches);
