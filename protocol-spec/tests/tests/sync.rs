//! Chapter 9 against the code: the example, the constants, the announcement's vector.

#![allow(clippy::unwrap_used, reason = "what cannot be read or computed is a failed test")]

use std::collections::BTreeMap;

use cresset_protocol::codec;
use cresset_protocol::ids::{Binding, ConsortiumId, LeafIndex, LogId, PolicyDigest, TreeSize, UnixSeconds};
use cresset_protocol::limits::FRAME_BYTES_MAX;
use cresset_protocol::log::checkpoint::{Checkpoint, Origin, SignedCheckpoint};
use cresset_protocol::log::entry::Entry;
use cresset_protocol::log::kinds::KindTag;
use cresset_protocol::log::leaf::{Leaf, LeafFlags, LeafKind};
use cresset_protocol::log::merkle::Frontier;
use cresset_protocol::log::public::PolicyShare;
use cresset_protocol::log::record::{Blinding, Opening, empty_audit};
use cresset_protocol::signing::{LogKeys, LogSignatures};
use cresset_protocol::suite::Suite;
use cresset_protocol::sync::announcement::Announcement;
use cresset_protocol::sync::{engine, envelope_queue, heartbeat};
use cresset_spec_tests::{cells, check_vectors, hex, section, text};
use serde_json::json;

const CHAPTER: &str = "protocol-spec/09-sync.md";
const CONSORTIUM: ConsortiumId = ConsortiumId([1; 32]);
const LOG: LogId = LogId([2; 32]);
const TIME: UnixSeconds = UnixSeconds(1_790_000_000);

/// The leaf of the example in 2.1.
fn entry() -> Entry {
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
    let leaf = Leaf { kind, flags, time: TIME, commitment, binding: Binding([0; 32]) };
    Entry { leaf, header: None, opening: Some(opening) }
}

fn announcement() -> Announcement {
    let mut before = Frontier::new();
    before.append(entry().leaf.hash());
    before.append(entry().leaf.hash());
    let mut after = before.clone();
    after.append(entry().leaf.hash());
    let checkpoint =
        Checkpoint { origin: Origin::parse("hub.at.example/prov/1").unwrap(), size: TreeSize(3), root: after.root() };
    let signatures = LogSignatures { p384: [0x0d; 96].into(), ml_dsa_65: [0x0e; 3309].into() };
    let keys = LogKeys { p384: [3; 97].into(), ml_dsa_65: [4; 1952].into() };
    let note = SignedCheckpoint { checkpoint, timestamp: TIME, signatures }.to_note(&keys);
    let frontier = before.hashes().to_vec();
    Announcement { log: LOG, note, first: LeafIndex(2), frontier, entries: vec![entry()], inline: Vec::new() }
}

#[test]
fn every_value_of_the_example_is_in_the_chapter() {
    let (announcement, bytes) = (announcement(), announcement().to_bytes());
    let note = announcement.note.as_bytes();
    let at = bytes.windows(note.len()).position(|window| window == note).unwrap();
    let message_id = sha256(&bytes);
    assert_eq!(note.len(), 4_696);
    let lines = [
        format!("{:<11} {}", "before", hex(&bytes[..at])),
        format!("{:<11} 4,696 octets: the text of 2.1, an empty line, two signature lines", "note"),
        format!("{:<11} {}", "after", hex(&bytes[at + note.len()..])),
        format!("{:<11} {} octets", "together", bytes.len()),
        format!("{:<11} {}", "message id", message_id),
    ];
    let chapter = text(CHAPTER);
    let missing: Vec<&String> = lines.iter().filter(|line| !chapter.lines().any(|found| found == *line)).collect();
    assert!(missing.is_empty(), "not in the chapter:\n{missing:#?}");
    assert_eq!(codec::decode::<Announcement>(&bytes, FRAME_BYTES_MAX).unwrap(), announcement);
    check_vectors(
        "announcement.json",
        &json!({
            "chapter": "9.1",
            "consortium_id": hex(CONSORTIUM),
            "log_id": hex(LOG),
            "announcement": hex(&bytes),
            "note": announcement.note,
            "message_id": message_id,
            "signatures": "placeholders: every rule of 9.3 but the last holds",
        }),
    );
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    hex(sha2::Sha256::digest(bytes))
}

#[test]
fn the_table_of_constants_is_the_codes() {
    let chapter = text(CHAPTER);
    let table: BTreeMap<String, u64> = section(&chapter, "## 9.12")
        .lines()
        .filter_map(cells)
        .filter_map(|row| Some((row[0].clone(), row[1].replace(',', "").parse().ok()?)))
        .collect();
    let code = BTreeMap::from([
        ("HEADS_COMPARE_S", engine::HEADS_COMPARE_S),
        ("CHECKPOINT_BURST", engine::CHECKPOINT_BURST.into()),
        ("CHECKPOINTS_PER_S", engine::CHECKPOINTS_PER_S.into()),
        ("NEIGHBOUR_BURST", engine::NEIGHBOUR_BURST.into()),
        ("QUEUED_MAX", envelope_queue::QUEUED_MAX as u64),
        ("QUEUED_PER_ORIGIN_MAX", envelope_queue::QUEUED_PER_ORIGIN_MAX as u64),
        ("FETCH_STALL_S", engine::FETCH_STALL_S),
        ("FETCHES_PER_PEER_MAX", envelope_queue::FETCHES_PER_PEER_MAX as u64),
        ("BACKOFF_S_MAX", envelope_queue::BACKOFF_S_MAX),
        ("RELAY_RETENTION_S", 7 * 86_400),
        ("HEADS_DUE_S", heartbeat::HEADS_DUE_S),
        ("HEADS_INTERVAL_S", heartbeat::HEADS_INTERVAL_S),
        ("SLOT_S", heartbeat::SLOT_S),
    ]);
    assert_eq!(table, code.into_iter().map(|(name, value)| (name.to_owned(), value)).collect());
    assert!(text("node/src/config.rs").contains("relay_retention_days: 7"));
}
