//! Replay of leaves without openings on one core, beside the SHA-256 work that no replay can avoid, in the same run.
//!
//! The floor hashes what a replay must: every file once against its digest, every leaf, every inner node.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "benches fail loudly")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::hint::black_box;
use std::time::{Duration, Instant};

use cresset_audit::demand::{Demand, Fraction};
use cresset_audit::replay::{Request, replay};
use cresset_audit::source::InMemory;
use cresset_protocol::ids::ConsortiumId;
use cresset_protocol::log::merkle::{leaf_hash, node_hash};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sha2::{Digest, Sha256};

use support::story::Story;

const LEAVES: u64 = 100_000;

fn leaves_without_openings(c: &mut Criterion) {
    let mut story = Story::begin();
    let more = LEAVES - story.logs[0].size();
    story.logs[0].noise(more);
    story.logs[0].checkpoint();
    let bundle = story.consortium.bundle(&[(&story.logs[0], LEAVES, false)]);
    let consortium = story.consortium.id;
    let mut group = c.benchmark_group("replay");
    group.sample_size(10).throughput(Throughput::Elements(LEAVES));
    group.bench_function("leaves without openings", |b| b.iter(|| run(&bundle, consortium)));
    group.bench_function("sha-256 floor", |b| b.iter(|| floor(&bundle)));
    group.finish();
    let (ours, floor) = (fastest(|| run(&bundle, consortium)), fastest(|| floor(&bundle)));
    println!(
        "replay: {:.0} leaves/s on one core; SHA-256 floor {:.0} leaves/s; ratio {:.2}",
        rate(ours),
        rate(floor),
        ours.as_secs_f64() / floor.as_secs_f64()
    );
}

fn run(bundle: &InMemory, consortium: ConsortiumId) {
    let report = replay(&Request {
        sources: vec![bundle],
        consortium: Some(consortium),
        demand: Demand::Fraction(Fraction::Majority),
        public_only: true,
        until: None,
        hubs: Vec::new(),
    });
    assert_eq!(report.verdict, "SIGNED-ONLY", "{}", report.to_text());
}

fn floor(bundle: &InMemory) {
    for content in bundle.0.values() {
        black_box(Sha256::digest(content));
    }
    let leaf = [7u8; 80];
    let mut hash = leaf_hash(&leaf);
    for _ in 0..LEAVES {
        hash = node_hash(&hash, &leaf_hash(black_box(&leaf)));
    }
    black_box(hash);
}

fn fastest(mut run: impl FnMut()) -> Duration {
    let timed = (0..5).map(|_| {
        let start = Instant::now();
        run();
        start.elapsed()
    });
    timed.min().unwrap()
}

fn rate(time: Duration) -> f64 {
    LEAVES as f64 / time.as_secs_f64()
}

criterion_group!(benches, leaves_without_openings);
criterion_main!(benches);
