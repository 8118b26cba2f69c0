//! Appending 1 kB objects through the writer thread: leaf, opening, envelope and object, as a publish stores them. The limit
//! measured beside it is signing alone, which is what one hybrid signature per object would cost.
#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark fails loudly and has no users")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::channel;

use cresset_protocol::ids::{LeafIndex, ObjectRoot, ObjectUuid, ObjectVersion, UnixSeconds};
use cresset_protocol::log::writer::Pace;
use cresset_protocol::signing::LogKeys;
use cresset_provenance::log_writer::Lane;
use cresset_provenance::objects::{NewObject, ObjectRecord, ObjectRef, ObjectStanding};
use cresset_provenance::{AppendAnswer, NewLeaf};
use cresset_token::{
    InitToken, KeyStore, Pin, PinSource, Pkcs11Config, Pkcs11KeyStore, TokenSelector, init_token,
    softtoken_configuration,
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use zeroize::Zeroizing;

use support::{HUB, LOG, keys, name, opening, publish, store, writer_with};

/// Objects of one publish call.
const CALL: u64 = 256;
/// Objects of one measured round: several flushes.
const ROUND: u64 = 8 * CALL;

/// Without the token bucket, which would be all that a latency shows.
fn bench_pace() -> Pace {
    Pace { urgent_burst: 1_000_000, urgent_per_second: 1_000_000, ..Pace::default() }
}

fn new_leaf(n: u64) -> NewLeaf {
    let record = ObjectRecord {
        object: ObjectRef {
            uuid: ObjectUuid(u128::from(n).to_be_bytes()),
            version: ObjectVersion(1),
            log: LOG,
            index: LeafIndex(0),
        },
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
    NewLeaf {
        opening: Some(opening(n)),
        envelope: Some(vec![n as u8; 1_024]),
        object: Some(object),
        ..NewLeaf::bare(publish(n))
    }
}

/// Appends [`ROUND`] objects a round, signed by the given store; beside it one hybrid signature per object, alone.
fn append(c: &mut Criterion, group: &str, dir: &Path, keys: &Arc<dyn KeyStore>, log_keys: LogKeys) {
    let store = store(dir);
    let (writer, _events) = writer_with(dir, &store, 1, Arc::clone(keys), log_keys, bench_pace());
    let mut next = 0;
    let mut group = c.benchmark_group(group);
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
    group.throughput(Throughput::Elements(1));
    group.bench_function("urgent_single", |b| {
        b.iter(|| {
            next += 1;
            let answer = writer.append_and_wait(vec![new_leaf(next)], Lane::Urgent);
            assert!(matches!(answer, AppendAnswer::Signed { .. }));
        });
    });
    group.bench_function("signing_alone", |b| {
        b.iter(|| {
            keys.sign_p384(&name("log-p384"), &[0; 120]).unwrap();
            keys.sign_ml_dsa_65(&name("log-ml-dsa"), &[0; 120]).unwrap();
        });
    });
    group.finish();
}

fn with_file_keys(c: &mut Criterion) {
    let dir = tempfile::tempdir().unwrap();
    let (key_store, log_keys) = keys(dir.path());
    append(c, "append_file_keys", dir.path(), &key_store, log_keys);
}

/// With `CRESSET_SOFTTOKEN` naming the module. Its configuration must be in the environment before the process starts, so
/// that the benchmark runs itself once more.
fn with_softtoken(c: &mut Criterion) {
    let Some(module) = std::env::var_os("CRESSET_SOFTTOKEN").map(PathBuf::from) else {
        return eprintln!(
            "SKIPPED: append_softtoken (set CRESSET_SOFTTOKEN to the module that testnet/softtoken/build.sh made)"
        );
    };
    let dir = tempfile::tempdir().unwrap();
    if std::env::var_os("KRYOPTIC_CONF").is_none() {
        let conf = dir.path().join("token.conf");
        std::fs::write(&conf, softtoken_configuration(&[(1, dir.path().join("token.sqlite"))])).unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap());
        let status = child.args(["--bench", "append_softtoken"]).env("KRYOPTIC_CONF", conf).status().unwrap();
        return assert!(status.success());
    }
    let pin = |text: &str| Pin::new(text.to_owned().into()).unwrap();
    let (so_pin, user_pin) = (pin("12345678"), pin("87654321"));
    init_token(&InitToken { module: &module, slot: None, label: "hub", so_pin: &so_pin, user_pin: &user_pin }).unwrap();
    let config = Pkcs11Config {
        module,
        token: TokenSelector::Label("hub".into()),
        pin: PinSource::file("/dev/null"),
        profile: None,
        software_keys: None,
        sessions: None,
    };
    let token = Pkcs11KeyStore::open(&config, user_pin).unwrap();
    let log_keys = LogKeys {
        p384: token.generate_p384(&name("log-p384")).unwrap(),
        ml_dsa_65: token.generate_ml_dsa_65(&name("log-ml-dsa")).unwrap(),
    };
    let token: Arc<dyn KeyStore> = Arc::new(token);
    append(c, "append_softtoken", dir.path(), &token, log_keys);
}

/// The child runs the token's part only.
fn all(c: &mut Criterion) {
    if std::env::var_os("KRYOPTIC_CONF").is_none() {
        with_file_keys(c);
    }
    with_softtoken(c);
}

criterion_group!(benches, all);
criterion_main!(benches);
