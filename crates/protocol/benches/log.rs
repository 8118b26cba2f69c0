//! Leaf hashing and appending to a frontier: what replay and every mirror do for each leaf.

use std::hint::black_box;

use cresset_protocol::ids::{Binding, Commitment, UnixSeconds};
use cresset_protocol::log::leaf::{Leaf, LeafFlags, LeafKind};
use cresset_protocol::log::merkle::Frontier;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const LEAVES: u64 = 1 << 16;

fn append(c: &mut Criterion) {
    let leaf = |number| Leaf {
        kind: LeafKind::Private,
        flags: LeafFlags::default(),
        time: UnixSeconds(number),
        commitment: Commitment([1; 32]),
        binding: Binding([2; 32]),
    };
    let mut group = c.benchmark_group("log");
    group.throughput(Throughput::Elements(LEAVES));
    group.bench_function("hash_and_append", |b| {
        b.iter(|| {
            let mut frontier = Frontier::new();
            (0..LEAVES).for_each(|number| frontier.append(black_box(leaf(number)).hash()));
            frontier.root()
        });
    });
    group.bench_function("parse_hash_and_append", |b| {
        let encoded: Vec<_> = (0..LEAVES).map(|number| leaf(number).to_bytes()).collect();
        b.iter(|| {
            let mut frontier = Frontier::new();
            encoded
                .iter()
                .filter_map(|bytes| Leaf::from_bytes(bytes).ok())
                .for_each(|leaf| frontier.append(leaf.hash()));
            frontier.root()
        });
    });
    group.finish();
}

criterion_group!(benches, append);
criterion_main!(benches);
