//! The test vectors under `protocol-spec/vectors`, computed anew from fixed inputs.
//!
//! `CRESSET_WRITE_VECTORS=1 cargo test -p cresset-spec-tests` writes them; a changed vector is a changed protocol.

#![allow(clippy::unwrap_used, reason = "what cannot be read or computed is a failed test")]

use cresset_crypto::Verifier;
use cresset_protocol::codec::{self, Canonical};
use cresset_protocol::envelope::{
    Addressing, EnvelopeHeader, HeaderTerms, Relay, SegmentDigests, StanzaTerms, header_digest_of_wire, padme,
};
use cresset_protocol::ids::{
    AudienceId, Binding, Commitment, ConsortiumId, GrantSerial, HubId, KeyCommitment, KeyPeriod, LeafIndex, LogId,
    ObjectUuid, ObjectVersion, RosterDigest, RosterVersion, SegmentRoot, TreeSize, UnixSeconds,
};
use cresset_protocol::log::checkpoint::{Checkpoint, LONG_ID_ML_DSA_65, LONG_ID_P384, Origin, SignedCheckpoint};
use cresset_protocol::log::leaf::{Leaf, LeafFlags, LeafKind, WithdrawReason};
use cresset_protocol::log::manifest::LogManifest;
use cresset_protocol::log::merkle::{Frontier, MemoryTree, prove_consistency, prove_inclusion};
use cresset_protocol::log::note::KeyHint;
use cresset_protocol::log::record::{AuditPart, Blinding, Opening, empty_audit};
use cresset_protocol::object::attribute_tree::{AttributeSeed, AttributeTree};
use cresset_protocol::object::cti::{Attribute, CtiObject, PathStep, Unit, UnitKind};
use cresset_protocol::object::marking::{Marking, Tlp};
use cresset_protocol::object::publish_share::{PublishShare, PublishedObject};
use cresset_protocol::object::view::{ViewPayload, verify};
use cresset_protocol::signing::{LogKeys, LogSignatures, MlDsa65PublicKey, P384PublicKey};
use cresset_protocol::suite::Suite;
use cresset_spec_tests::{check_vectors, hex, text, unhex};
use serde_json::{Value, json};

const CONSORTIUM: ConsortiumId = ConsortiumId([1; 32]);
const LOG: LogId = LogId([2; 32]);
const TIME: UnixSeconds = UnixSeconds(1_790_000_000);

#[test]
fn leaves() {
    let plain = LeafFlags::default();
    let header = LeafFlags { header_follows: true, ..plain };
    let urgent = LeafFlags { urgent: true, ..header };
    let withdraw = LeafFlags { withdraw: Some(WithdrawReason::PersonalData), ..plain };
    let cases = [
        (LeafKind::Genesis, plain),
        (LeafKind::Heads, plain),
        (LeafKind::Publish, header),
        (LeafKind::Publish, urgent),
        (LeafKind::KeyGrant, header),
        (LeafKind::Withdraw, withdraw),
        (LeafKind::Private, plain),
    ];
    let valid: Vec<Value> = cases
        .into_iter()
        .map(|(kind, flags)| {
            let leaf = Leaf { kind, flags, time: TIME, commitment: Commitment([3; 32]), binding: Binding([4; 32]) };
            assert_eq!(Leaf::from_bytes(&leaf.to_bytes()), Ok(leaf));
            json!({
                "kind": kind.name(), "flags": flags.bits(), "time": TIME.0, "c": hex(leaf.commitment),
                "x": hex(leaf.binding), "leaf": hex(leaf.to_bytes()), "leaf_hash": hex(leaf.hash()),
            })
        })
        .collect();
    let good = unhex(valid[2]["leaf"].as_str().unwrap());
    let refused: Vec<Value> = [(0, 0x44), (4, 99), (5, 1), (6, 0x01), (6, 0x10), (7, 0x05), (7, 0x00), (4, 32)]
        .into_iter()
        .map(|(at, octet): (usize, u8)| {
            let mut leaf = good.clone();
            leaf[at] = octet;
            json!({ "leaf": hex(&leaf), "reason": Leaf::from_bytes(&leaf).unwrap_err().to_string() })
        })
        .collect();
    check_vectors("leaf.json", &json!({ "chapter": "2.3", "valid": valid, "refused": refused }));
}

#[test]
fn records() {
    let cases = [
        ("empty audit part", LeafKind::Private, CONSORTIUM, LOG, b"share".to_vec(), Vec::new()),
        ("audit part", LeafKind::Private, CONSORTIUM, LOG, b"share".to_vec(), b"audit".to_vec()),
        ("another kind", LeafKind::Policy, CONSORTIUM, LOG, b"share".to_vec(), b"audit".to_vec()),
        ("another log", LeafKind::Private, CONSORTIUM, LogId([9; 32]), b"share".to_vec(), b"audit".to_vec()),
        ("another consortium", LeafKind::Private, ConsortiumId([9; 32]), LOG, b"share".to_vec(), b"audit".to_vec()),
    ];
    let records: Vec<Value> = cases
        .into_iter()
        .map(|(name, kind, consortium, log, share, audit)| {
            let (r, r2) = (Blinding::new([7; 32]), Blinding::new([8; 32]));
            let inner_mac = match audit.is_empty() {
                true => empty_audit(r2).inner_mac(),
                false => AuditPart { r2, audit: audit.clone() }.inner_mac(),
            };
            let opening = Opening { r, share: share.clone(), inner_mac };
            let commitment = opening.commitment(&consortium, &log, kind, LeafFlags::default());
            json!({
                "name": name, "consortium_id": hex(consortium), "log_id": hex(log), "kind": kind.code(), "flags": 0,
                "share": hex(share), "audit": hex(audit), "r": hex([7; 32]), "r2": hex([8; 32]),
                "inner_mac": hex(inner_mac), "c": hex(commitment), "opening": hex(codec::encode(&opening)),
            })
        })
        .collect();
    check_vectors("record.json", &json!({ "chapter": "2.4", "records": records }));
}

#[test]
fn manifest_and_log_id() {
    let manifest = Canonical::new(LogManifest {
        consortium: CONSORTIUM,
        hub: HubId([5; 16]),
        origin: Origin::parse("hub.at.example/prov/1").unwrap(),
        keys: keys(),
        prologue: None,
        created: TIME,
    });
    check_vectors(
        "manifest.json",
        &json!({
            "chapter": "2.2", "manifest": hex(manifest.bytes()), "log_id": hex(LogManifest::log_id(&manifest)),
        }),
    );
}

/// Octets of the right length; no key of anybody.
fn keys() -> LogKeys {
    LogKeys { p384: [3; 97].into(), ml_dsa_65: [4; 1952].into() }
}

#[test]
fn trees_and_checkpoints() {
    let leaf = |n: u8| Leaf {
        kind: LeafKind::Private,
        flags: LeafFlags::default(),
        time: TIME,
        commitment: Commitment([n; 32]),
        binding: Binding([n; 32]),
    };
    let (mut tree, mut frontier, mut sizes) = (MemoryTree::new(), Frontier::new(), Vec::new());
    for n in 0..9u8 {
        tree.append(leaf(n).hash());
        frontier.append(leaf(n).hash());
        let hashes: Vec<String> = frontier.hashes().iter().map(hex).collect();
        sizes.push(
            json!({ "size": n + 1, "leaf": hex(leaf(n).to_bytes()), "frontier": hashes, "root": hex(frontier.root()) }),
        );
    }
    let inclusion = prove_inclusion(&tree, LeafIndex(4), TreeSize(9)).unwrap();
    let consistency = prove_consistency(&tree, TreeSize(6), TreeSize(9)).unwrap();
    let origin = Origin::parse("hub.at.example/prov/1").unwrap();
    let hint = |long_id, key: &[u8]| hex(KeyHint::of(origin.as_str(), long_id, key).0);
    let checkpoint = Checkpoint { origin: origin.clone(), size: TreeSize(9), root: frontier.root() };
    let signatures = LogSignatures { p384: [0x0d; 96].into(), ml_dsa_65: [0x0e; 3309].into() };
    let signed = SignedCheckpoint { checkpoint: checkpoint.clone(), timestamp: TIME, signatures };
    let note = signed.to_note(&keys());
    assert_eq!(SignedCheckpoint::parse(&note, &origin, &keys()), Ok(signed));
    check_vectors(
        "tree.json",
        &json!({
            "chapter": "2.8, 2.9",
            "sizes": sizes,
            "inclusion": { "index": 4, "size": 9, "proof": inclusion.iter().map(hex).collect::<Vec<_>>() },
            "consistency": { "from": 6, "to": 9, "proof": consistency.iter().map(hex).collect::<Vec<_>>() },
            "checkpoint": {
                "text": checkpoint.to_text(), "time": TIME.0, "signed_octets": hex(checkpoint.bytes_to_sign(TIME)),
                "p384_key_id": hint(LONG_ID_P384, &[3; 97]), "ml_dsa_65_key_id": hint(LONG_ID_ML_DSA_65, &[4; 1952]),
                "note": note, "signatures": "placeholders of the right length",
            },
        }),
    );
}

/// The one vector that is not computed anew: its keys are gone, so that nobody can sign with them.
#[test]
fn a_signed_note_verifies_and_no_other_octets_do() {
    let vector: Value = serde_json::from_str(&text("protocol-spec/vectors/signed-note.json")).unwrap();
    let string = |key: &str| vector[key].as_str().unwrap();
    let keys = LogKeys {
        p384: P384PublicKey::try_from(unhex(string("p384_public_key")).as_slice()).unwrap(),
        ml_dsa_65: MlDsa65PublicKey::try_from(unhex(string("ml_dsa_65_public_key")).as_slice()).unwrap(),
    };
    let origin = Origin::parse(string("origin")).unwrap();
    let signed = SignedCheckpoint::parse(string("note"), &origin, &keys).unwrap();
    assert_eq!(signed.verify(&keys, &Verifier), Ok(()));
    let (size, time) = (vector["size"].as_u64().unwrap(), vector["time"].as_u64().unwrap());
    assert_eq!((signed.checkpoint.size, signed.timestamp), (TreeSize(size), UnixSeconds(time)));
    assert_eq!(hex(signed.checkpoint.root), string("root"));
    for other in [
        SignedCheckpoint { timestamp: UnixSeconds(time + 1), ..signed.clone() },
        SignedCheckpoint {
            checkpoint: Checkpoint { size: TreeSize(size + 1), ..signed.checkpoint.clone() },
            ..signed.clone()
        },
        SignedCheckpoint {
            signatures: LogSignatures { p384: [1; 96].into(), ..signed.signatures.clone() },
            ..signed.clone()
        },
        SignedCheckpoint {
            signatures: LogSignatures { ml_dsa_65: [1; 3309].into(), ..signed.signatures.clone() },
            ..signed.clone()
        },
    ] {
        assert!(other.verify(&keys, &Verifier).is_err());
    }
}

#[test]
fn envelope_headers() {
    let stanzas = StanzaTerms {
        roster_version: RosterVersion(7),
        roster_digest: RosterDigest([8; 32]),
        period: KeyPeriod(9),
        count: 3,
    };
    let audience = AudienceId([3; 32]);
    let headers: Vec<Value> = [
        ("audience", Addressing::Audience { audience }, Relay::Europe),
        ("grant", Addressing::Grant { audience, serial: GrantSerial(11), stanzas }, Relay::Members),
        ("direct", Addressing::Direct { stanzas }, Relay::Nobody),
    ]
    .into_iter()
    .map(|(kind, addressing, relay)| {
        let terms = HeaderTerms {
            consortium: CONSORTIUM, log: LOG, suite: 1, relay, addressing, salt: [4; 32], padded_bytes: 1_024,
        };
        let layout = terms.layout();
        let body: Vec<u8> = (0..layout.body_bytes()).map(|i| i as u8).collect();
        let root: SegmentRoot = SegmentDigests::of_body(&layout, &body).unwrap().root();
        let header = terms.complete(KeyCommitment([5; 32]), root).unwrap();
        assert!(header.check_body(&body).is_ok());
        assert_eq!(EnvelopeHeader::from_wire(&header.to_wire(), &CONSORTIUM, &LOG), Ok(header.clone()));
        assert_eq!(header_digest_of_wire(&header.to_wire(), &CONSORTIUM, &LOG), Ok(header.digest()));
        json!({
            "kind": kind, "wire": hex(header.to_wire()), "full": hex(header.to_bytes()), "prefix": hex(header.prefix()),
            "x": hex(header.digest()), "body_octets": body.len(), "body": "octet i is i mod 256", "segment_root": hex(root),
        })
    })
    .collect();
    let lengths = [0, 1, 511, 512, 513, 1_000, 1_025, 65_536, 65_537, 1_000_000, 100_000_000];
    let padding: Vec<Value> = lengths.iter().map(|len| json!({ "octets": len, "padded": padme(*len) })).collect();
    check_vectors(
        "envelope.json",
        &json!({
            "chapter": "3.3, 3.4, 3.5", "consortium_id": hex(CONSORTIUM), "log_id": hex(LOG), "headers": headers,
            "padding": padding,
        }),
    );
}

fn object() -> CtiObject {
    let unit = |number: u8, kind, tlp, attributes: u32| Unit {
        kind,
        type_name: if kind == UnitKind::Container { "event".into() } else { "ip-dst".into() },
        uuid: (number > 0).then_some(ObjectUuid([number; 16])),
        marking: Marking::new(tlp),
        attributes: (0..attributes)
            .map(|i| Attribute {
                path: match number {
                    0 => vec![PathStep::Key(format!("f{i}"))],
                    _ => vec![
                        PathStep::Key("Attribute".into()),
                        PathStep::Uuid([number; 16]),
                        PathStep::Key(format!("f{i}")),
                    ],
                },
                value: format!("\"v{number}-{i}\""),
            })
            .collect(),
    };
    CtiObject {
        uuid: ObjectUuid([7; 16]),
        version: ObjectVersion(TIME.0),
        media_type: "application/vnd.misp.event+json".into(),
        marking: Marking::new(Tlp::Clear),
        units: vec![
            unit(0, UnitKind::Container, Tlp::Clear, 2),
            unit(1, UnitKind::Attribute, Tlp::Clear, 3),
            unit(2, UnitKind::Attribute, Tlp::Red, 2),
            unit(3, UnitKind::Attribute, Tlp::Green, 4),
        ],
        native_digest: [9; 32],
    }
}

#[test]
fn attribute_trees_and_views() {
    let object = object();
    let tree = AttributeTree::build(&object, AttributeSeed::new([3; 32])).unwrap();
    let share = |marking: Tlp| {
        let published = PublishedObject {
            uuid: object.uuid,
            version: object.version,
            object_root: tree.object_root(),
            padded_count: tree.padded_count(),
            media_type: object.media_type.clone(),
        };
        PublishShare::new(Suite::Hybrid2026, published, Marking::new(marking))
    };
    let full = tree.full_view();
    let redacted = tree.view(&|_, unit| unit.marking.tlp != Tlp::Red).unwrap();
    let views: Vec<Value> = [("full", full, Tlp::Red), ("without the RED unit", redacted, Tlp::Green)]
        .into_iter()
        .map(|(name, payload, tlp)| {
            let share = share(tlp);
            let bytes = payload.to_bytes();
            let again = ViewPayload::from_bytes(&bytes).unwrap();
            let verified = verify(&again, &share).unwrap();
            json!({
                "name": name, "share": hex(share.to_bytes()), "payload": hex(bytes), "units": verified.units().len(),
                "full": verified.is_full(),
            })
        })
        .collect();
    check_vectors(
        "object.json",
        &json!({
            "chapter": "4.3, 4.4, 4.5",
            "seed": hex([3; 32]),
            "native_digest": hex([9; 32]),
            "object_root": hex(tree.object_root()),
            "padded_count": tree.padded_count(),
            "views": views,
        }),
    );
}
