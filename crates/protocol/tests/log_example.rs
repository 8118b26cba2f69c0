//! The worked example of `protocol-spec/02-log.md`: every value is computed here and looked up in the chapter.

#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

use cresset_protocol::codec;
use cresset_protocol::ids::{Binding, ConsortiumId, LogId, NodeHash, PolicyDigest, TreeSize, UnixSeconds};
use cresset_protocol::log::checkpoint::{Checkpoint, LONG_ID_ML_DSA_65, LONG_ID_P384, Origin};
use cresset_protocol::log::entry::Entry;
use cresset_protocol::log::heads::{HeadsTable, LogHead};
use cresset_protocol::log::kinds::{KINDS, KindTag};
use cresset_protocol::log::leaf::{Leaf, LeafFlags, LeafKind};
use cresset_protocol::log::merkle::Frontier;
use cresset_protocol::log::note::KeyHint;
use cresset_protocol::log::public::PolicyShare;
use cresset_protocol::log::record::{Blinding, Opening, empty_audit};
use cresset_protocol::suite::Suite;

const CHAPTER: &str = include_str!("../../../protocol-spec/02-log.md");
const CONSORTIUM: ConsortiumId = ConsortiumId([1; 32]);
const LOG: LogId = LogId([2; 32]);

#[test]
fn every_value_of_the_example_is_in_the_chapter() {
    let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
    let share = PolicyShare {
        kind: KindTag,
        suite: Suite::Hybrid2026,
        bundles: vec![PolicyDigest([5; 32])],
        engine: "cedar 4".into(),
    };
    let inner_mac = empty_audit(Blinding::new([8; 32])).inner_mac();
    let opening = Opening { r: Blinding::new([7; 32]), share: codec::encode(&share), inner_mac };
    let (kind, flags) = (LeafKind::Policy, LeafFlags::default());
    let commitment = opening.commitment(&CONSORTIUM, &LOG, kind, flags);
    let time = UnixSeconds(1_790_000_000);
    let leaf = Leaf { kind, flags, time, commitment, binding: Binding([0; 32]) };
    let entry = Entry { leaf, header: None, opening: Some(opening.clone()) };
    entry.clone().check(&CONSORTIUM, &LOG).unwrap();

    let mut frontier = Frontier::new();
    for _ in 0..3 {
        frontier.append(leaf.hash());
    }
    let origin = Origin::parse("hub.at.example/prov/1").unwrap();
    let hint = |long_id, key: &[u8]| KeyHint::of(origin.as_str(), long_id, key).0;
    let (p384, ml_dsa) = (hint(LONG_ID_P384, &[3; 97]), hint(LONG_ID_ML_DSA_65, &[4; 1952]));
    let checkpoint = Checkpoint { origin, size: TreeSize(3), root: frontier.root() };
    let head = |log: u8, size| LogHead { log: LogId([log; 32]), size: TreeSize(size), root: NodeHash([log; 32]) };
    let heads: HeadsTable = [head(3, 10), head(4, 20)].into_iter().collect();

    let mut missing = Vec::new();
    for (name, value) in [
        ("share", hex(&opening.share)),
        ("inner MAC", hex(&inner_mac)),
        ("C", hex(commitment.as_bytes())),
        ("leaf", hex(&leaf.to_bytes())),
        ("leaf hash", hex(leaf.hash().as_bytes())),
        ("entry", hex(&codec::encode(&entry))),
        ("frontier", frontier.hashes().iter().map(|h| hex(&h.0)).collect::<Vec<_>>().join(" ")),
        ("root", hex(frontier.root().as_bytes())),
        ("text", checkpoint.to_text().replace('\n', "\\n")),
        ("signed", hex(checkpoint.bytes_to_sign(time).as_bytes())),
        ("P-384 id", hex(&p384)),
        ("ML-DSA id", hex(&ml_dsa)),
        ("heads root", hex(heads.root().as_bytes())),
    ] {
        let line = format!("{name:<11} {value}");
        missing.extend((!CHAPTER.lines().any(|found| found == line)).then_some(line));
    }
    assert!(missing.is_empty(), "not in the chapter:\n{}", missing.join("\n"));
}

#[test]
fn the_table_of_kinds_is_that_of_the_chapter() {
    let mut missing = Vec::new();
    for rule in KINDS {
        let row = format!(
            "| {} | {:?} | {} | {:?} | {:?} | {:?} |",
            rule.kind.code(),
            rule.kind,
            rule.leaf,
            rule.binding,
            rule.opening,
            rule.erasable
        );
        missing.extend((!CHAPTER.lines().any(|found| found == row)).then_some(row));
    }
    assert!(missing.is_empty(), "not in the chapter:\n{}", missing.join("\n"));
}
