//! Appending 1 kB objects through the writer thread, signed with file keys: leaf, opening, envelope and object, as a
//! publish stores them. The limit measured beside it is signing alone, once per object.
#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark fails loudly and has no users")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::sync::mpsc::channel;

use cresset_protocol::ids::{LeafIndex, ObjectRoot, ObjectUuid, ObjectVersion, UnixSeconds};
use cresset_provenance::log_writer::Lane;
use cresset_provenance::objects::{NewObject, ObjectRecord, ObjectRef, ObjectStanding};
use cresset_provenance::{AppendAnswer, NewLeaf};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use zeroize::Zeroizing;

use support::{HUB, LOG, keys, name, opening, publish, store, writer};

/// Objects of one publish call.
const CALL: u64 = 256;
/// Objects of one measured round: several flushes.
const ROUND: u64 = 8 * CALL;

fn new_leaf(n: u64) -> NewLeaf {
    let record = ObjectRecord {
        object: ObjectRef { uuid: ObjectUuid(u128::from(n).to_be_bytes()), version: ObjectVersion(1), log: LOG, index: LeafIndex(0) },
        origin: HUB,
        standing: ObjectStanding::Own,
        stored: UnixSeconds(n),
        object_root: ObjectRoot([1; 32]),
        header: None,
        format: "misp".into(),
        title: "beacon".into(),
        marking: vec![1],
        units: 1,
        data_key: None,
        observables: Vec::new(),
        retain_until: None,
    };
    let observables = vec![format!("198.51.{}.{}", n / 256 % 256, n % 256)];
    let object = NewObject { record, payload: Zeroizing::new(vec![n as u8; 1_024]), observables };
    NewLeaf { opening: Some(opening(n)), envelope: Some(vec![n as u8; 1_024]), object: Some(object), ..NewLeaf::bare(publish(n)) }
}

fn append(c: &mut Criterion) {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let (writer, _events) = writer(dir.path(), &store, 1);
    let mut next = 0;
    let mut group = c.benchmark_group("append");
    group.sample_size(10).throughput(Throughput::Elements(ROUND));
    group.bench_function("objects_1kb", |b| {
        b.iter(|| {
            let (sender, answers) = channel();
            for _ in 0..ROUND / CALL {
                let leaves = (next..next + CALL).map(new_leaf).collect();
                next += CALL;
                let sender = sender.clone();
                writer.append(leaves, Lane::Normal, Box::new(move |answer| drop(sender.send(answer))));
            }
            drop(sender);
            assert!(answers.iter().all(|answer| matches!(answer, AppendAnswer::Signed { .. })));
        });
    });
    let (key_store, _) = keys(dir.path());
    group.throughput(Throughput::Elements(1));
    group.bench_function("signing_alone", |b| {
        b.iter(|| {
            key_store.sign_p384(&name("log-p384"), &[0; 120]).unwrap();
            key_store.sign_ml_dsa_65(&name("log-ml-dsa"), &[0; 120]).unwrap();
        });
    });
    group.finish();
}

criterion_group!(benches, append);
criterion_main!(benches);
