//! Envelopes of 1 kB on one core, without I/O: the target is 50,000 a second each way.

use std::hint::black_box;

use cresset_crypto::envelope::{AudienceKey, Draft, encrypt_for_audience, open_for_audience};
use cresset_crypto::{EncryptionKeyPair, hpke_open, hpke_seal};
use cresset_protocol::envelope::Relay;
use cresset_protocol::ids::{Binding, ConsortiumId, GrantSerial, LogId, UnixSeconds};
use cresset_protocol::log::leaf::{Leaf, LeafFlags, LeafKind};
use cresset_protocol::log::record::{Blinding, Opening};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn envelopes(criterion: &mut Criterion) {
    let (consortium, log) = (ConsortiumId([1; 32]), LogId([2; 32]));
    let audience = AudienceKey::generate(&consortium, &log, GrantSerial(1)).expect("randomness");
    let opening = Opening { r: Blinding::new([3; 32]), share: vec![4; 200], inner_mac: [5; 32] };
    let payload = vec![6; 1000];
    let draft =
        Draft { consortium: &consortium, log: &log, relay: Relay::Europe, opening: &opening, payload: &payload };
    let envelope = encrypt_for_audience(&draft, &audience).expect("encryption");
    let flags = LeafFlags { header_follows: true, ..LeafFlags::default() };
    let leaf = Leaf {
        kind: LeafKind::Publish,
        flags,
        time: UnixSeconds(1),
        commitment: opening.commitment(&consortium, &log, LeafKind::Publish, flags),
        binding: Binding(envelope.header.digest().0),
    };
    let mut group = criterion.benchmark_group("envelope_1kB");
    group.throughput(Throughput::Elements(1));
    group.bench_function("encrypt", |b| b.iter(|| encrypt_for_audience(black_box(&draft), &audience)));
    group.bench_function("open", |b| {
        b.iter(|| open_for_audience(&envelope.header, &leaf, black_box(&envelope.body), &audience).expect("opens"));
    });
    group.finish();
}

fn stanzas(criterion: &mut Criterion) {
    let pair = EncryptionKeyPair::generate().expect("randomness");
    let sealed = hpke_seal(pair.public(), b"info", b"", &[7; 32]).expect("encryption");
    let mut group = criterion.benchmark_group("stanza");
    group.bench_function("encrypt", |b| b.iter(|| hpke_seal(pair.public(), b"info", b"", black_box(&[7; 32]))));
    group.bench_function("open", |b| b.iter(|| hpke_open(&pair, b"info", b"", black_box(&sealed))));
    group.finish();
}

criterion_group!(benches, envelopes, stanzas);
criterion_main!(benches);
