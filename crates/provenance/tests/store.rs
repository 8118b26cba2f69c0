//! The store's promises: what is committed reads back after a reopen, what is erased is gone, what is wrong is refused.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail loudly")]

mod support;

use cresset_protocol::ids::{
    AudienceId, GrantSerial, HeaderDigest, HubId, LeafIndex, LogId, NodeHash, ObjectRoot, ObjectUuid, ObjectVersion,
    TreeSize, UnixSeconds,
};
use cresset_protocol::log::entry::Entry;
use cresset_protocol::log::merkle::{
    MemoryTree, prove_consistency, prove_inclusion, verify_consistency, verify_inclusion,
};
use cresset_protocol::log::writer::Head;
use cresset_provenance::envelopes::EnvelopeHolding;
use cresset_provenance::erasure::DataKeys;
use cresset_provenance::keys::AudienceKeyInfo;
use cresset_provenance::logs::StoredHead;
use cresset_provenance::objects::{NewObject, ObjectRecord, ObjectRef, ObjectStanding};
use cresset_provenance::peers::Observation;
use cresset_provenance::queues::{Awaits, Delivery, InboxEntry};
use cresset_provenance::store::Identity;
use cresset_provenance::{Store, StoreError, StoreOptions};
use zeroize::Zeroizing;

use support::{CONSORTIUM, HUB, LOG, keys, name, private, public, publish, store};

const MIRROR: LogId = LogId([9; 32]);

fn mixed(n: u64) -> Entry {
    match n % 3 {
        0 => private(n),
        1 => public(n),
        _ => publish(n),
    }
}

fn stored_head(tree: &MemoryTree, size: u64) -> StoredHead {
    let root = cresset_protocol::log::merkle::root_of(tree, TreeSize(size)).unwrap();
    StoredHead { head: Head { size: TreeSize(size), root }, timestamp: UnixSeconds(1), note: format!("note {size}") }
}

/// Commits in uneven portions across bundle and tile borders; everything is compared with a tree in memory.
#[test]
fn mirrored_leaves_read_back_and_prove_after_a_reopen() {
    let dir = tempfile::tempdir().unwrap();
    let mut memory = MemoryTree::new();
    let mut all = Vec::new();
    {
        let store = store(dir.path());
        store.register_log(&MIRROR, "lu.example/prov/1", b"m").unwrap();
        let mut at = 0u64;
        for portion in [1u64, 2, 250, 3, 1, 255, 256, 700, 512, 20] {
            let entries: Vec<_> = (at..at + portion).map(mixed).collect();
            entries.iter().for_each(|entry| memory.append(entry.leaf.hash()));
            let head = stored_head(&memory, at + portion);
            let size = store.commit_mirror(&MIRROR, LeafIndex(at), &entries, Some(&head), &[]).unwrap();
            assert_eq!(size, TreeSize(at + portion));
            assert_eq!(store.frontier(&MIRROR).unwrap().root(), head.head.root);
            all.extend(entries);
            at += portion;
        }
    }
    let store = store(dir.path());
    let size = TreeSize(all.len() as u64);
    assert_eq!(store.log_size(&MIRROR).unwrap(), size);
    assert_eq!(store.entries(&MIRROR, 0..size.0).unwrap(), all);
    assert_eq!(store.entries(&MIRROR, 200..600).unwrap(), all[200..600]);
    assert_eq!(store.entries(&MIRROR, size.0 - 1..size.0 + 9).unwrap().len(), 1);
    let tree = store.tree(&MIRROR).unwrap();
    let root = store.head(&MIRROR).unwrap().unwrap().head.root;
    for index in [0, 255, 256, 511, 1_023, 1_024, size.0 - 1] {
        let hash = all[index as usize].leaf.hash();
        let proof = prove_inclusion(&tree, LeafIndex(index), size).unwrap();
        verify_inclusion(&hash, LeafIndex(index), size, &proof, &root).unwrap();
        assert_eq!(store.index_of(&MIRROR, &hash).unwrap(), Some(LeafIndex(index)));
        let old = TreeSize(index + 1);
        let proof = prove_consistency(&tree, old, size).unwrap();
        let old_root = stored_head(&memory, old.0).head.root;
        verify_consistency(old, &old_root, size, &root, &proof).unwrap();
        assert_eq!(tree.frontier_at(old).unwrap().root(), old_root);
    }
    let header = HeaderDigest(publish(2).leaf.binding.0);
    assert_eq!(store.locate_header(&header).unwrap(), Some((MIRROR, LeafIndex(2))));
    assert_eq!(store.checkpoints(&MIRROR, TreeSize(0), 100).unwrap().len(), 10);
    assert_eq!(store.checkpoint(&MIRROR, TreeSize(3)).unwrap().unwrap().note, "note 3");
    assert_eq!(store.checkpoint(&MIRROR, TreeSize(4)).unwrap(), None);
}

#[test]
fn a_mirror_refuses_gaps_repetitions_and_wrong_roots() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    store.register_log(&MIRROR, "lu.example/prov/1", b"m").unwrap();
    let commit = |first: u64, head: Option<&StoredHead>| {
        store.commit_mirror(&MIRROR, LeafIndex(first), &[private(first)], head, &[])
    };
    assert!(matches!(commit(1, None), Err(StoreError::NotContiguous { .. })));
    let wrong = StoredHead {
        head: Head { size: TreeSize(1), root: NodeHash([0; 32]) },
        timestamp: UnixSeconds(0),
        note: String::new(),
    };
    assert!(matches!(commit(0, Some(&wrong)), Err(StoreError::RootMismatch { .. })));
    assert_eq!(store.log_size(&MIRROR).unwrap(), TreeSize(0));
    commit(0, None).unwrap();
    assert!(matches!(commit(0, None), Err(StoreError::NotContiguous { .. })));
    let unknown = store.log_size(&LogId([77; 32]));
    assert!(matches!(unknown, Err(StoreError::UnknownLog { .. })));
    let other = store.register_log(&MIRROR, "lu.example/prov/1", b"other");
    assert!(matches!(other, Err(StoreError::Foreign { .. })));
    assert!(matches!(store.entry(&MIRROR, LeafIndex(1)), Err(StoreError::OutOfRange { .. })));
}

#[test]
fn a_head_never_goes_back() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    store.register_log(&MIRROR, "lu.example/prov/1", b"m").unwrap();
    let head = |size: u64| StoredHead {
        head: Head { size: TreeSize(size), root: NodeHash([size as u8; 32]) },
        timestamp: UnixSeconds(0),
        note: String::new(),
    };
    store.commit_head(&MIRROR, &head(5)).unwrap();
    store.commit_head(&MIRROR, &head(4)).unwrap();
    assert_eq!(store.head(&MIRROR).unwrap(), Some(head(5)));
}

#[test]
fn opening_a_database_names_what_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let absent = Store::open(&dir.path().join("db"), &StoreOptions::default());
    assert!(matches!(absent, Err(StoreError::Absent { .. })));
    let first = store(dir.path());
    let second = Store::open(&dir.path().join("db"), &StoreOptions::default());
    assert!(matches!(second, Err(StoreError::Locked { .. })), "{:?}", second.err());
    let foreign = first.bind(&Identity { consortium: CONSORTIUM, hub: HubId([8; 16]), log: LOG });
    assert!(matches!(foreign, Err(StoreError::Foreign { what: "hub" })));
}

/// A byte is flipped in the middle of every table file: reading says so instead of serving it.
#[test]
fn a_damaged_file_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    {
        let store = store(dir.path());
        let entries: Vec<_> = (0..3_000).map(private).collect();
        store.register_log(&MIRROR, "lu.example/prov/1", b"m").unwrap();
        store.commit_mirror(&MIRROR, LeafIndex(0), &entries, None, &[]).unwrap();
    }
    // A clean reopen moves the write-ahead log into table files.
    drop(store(dir.path()));
    let mut flipped = 0;
    for file in std::fs::read_dir(dir.path().join("db")).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "sst") {
            let mut bytes = std::fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            std::fs::write(&path, bytes).unwrap();
            flipped += 1;
        }
    }
    assert!(flipped > 0);
    let outcome = Store::open(&dir.path().join("db"), &StoreOptions::default())
        .and_then(|store| store.entries(&MIRROR, 0..3_000).map(drop));
    assert!(matches!(outcome, Err(StoreError::Damaged { .. })), "{outcome:?}");
}

fn object(n: u64) -> NewObject {
    let record = ObjectRecord {
        object: ObjectRef { uuid: ObjectUuid([n as u8; 16]), version: ObjectVersion(1), log: LOG, index: LeafIndex(n) },
        origin: HUB,
        standing: ObjectStanding::Admitted,
        stored: UnixSeconds(100 + n),
        object_root: ObjectRoot([1; 32]),
        header: None,
        format: "misp".into(),
        title: format!("canary-title-{n}"),
        marking: vec![1],
        units: 3,
        data_key: None,
        observables: Vec::new(),
        retain_until: None,
    };
    let payload = Zeroizing::new(format!("canary-payload-{n}").into_bytes());
    NewObject { record, payload, observables: vec![format!("198.51.100.{n}"), "beacon.example.org".into()] }
}

#[test]
fn objects_are_found_opened_and_erased_for_good() {
    let dir = tempfile::tempdir().unwrap();
    let name_of = |n: u64| object(n).record.object;
    {
        let store = store(dir.path());
        store.put_objects((0..5).map(object).collect()).unwrap();
        assert_eq!(store.payload(&name_of(3)).unwrap().unwrap().as_slice(), b"canary-payload-3");
        assert_eq!(store.search("198.51.100.", 10).unwrap().len(), 5);
        assert_eq!(store.search("198.51.100.2", 10).unwrap()[0].1.title, "canary-title-2");
        assert_eq!(store.search("beacon.example.org", 3).unwrap().len(), 3);
        assert_eq!(store.objects_since(UnixSeconds(103), 10).unwrap().len(), 2);
        store.set_object_standing(&name_of(1), ObjectStanding::Held).unwrap();
        assert_eq!(store.object_versions(&ObjectUuid([1; 16])).unwrap()[0].standing, ObjectStanding::Held);
        store.erase_object(&name_of(3)).unwrap();
        store.erase_object(&name_of(3)).unwrap();
        assert!(matches!(store.payload(&name_of(3)), Err(StoreError::Erased)));
        assert_eq!(store.search("198.51.100.3", 10).unwrap().len(), 0);
        assert_eq!(store.object(&name_of(3)).unwrap().unwrap().title, "");
    }
    let store = store(dir.path());
    assert_eq!(store.payload(&name_of(4)).unwrap().unwrap().as_slice(), b"canary-payload-4");
    assert!(matches!(store.payload(&name_of(3)), Err(StoreError::Erased)));
    // Payloads are never on disk in the clear.
    for file in std::fs::read_dir(dir.path().join("db")).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(14).any(|window| window == b"canary-payload"));
    }
}

#[test]
fn data_keys_of_an_erased_object_do_not_come_back_with_the_database() {
    let dir = tempfile::tempdir().unwrap();
    let (key_store, _) = keys(dir.path());
    let data_keys = DataKeys::open(&dir.path().join("erase"), &*key_store, &name("wrap")).unwrap();
    let sealed = data_keys.encrypt(&[(b"a", b"one"), (b"b", b"two")]).unwrap();
    let [(first, one), (second, two)] = &sealed[..] else { panic!() };
    assert_eq!(data_keys.decrypt(*first, b"a", one).unwrap().as_slice(), b"one");
    assert!(matches!(data_keys.decrypt(*first, b"b", one), Err(StoreError::DataKeys { .. })));
    assert!(matches!(data_keys.decrypt(*first, b"a", two), Err(StoreError::DataKeys { .. })));
    data_keys.destroy(&[*first]).unwrap();
    drop(data_keys);
    let data_keys = DataKeys::open(&dir.path().join("erase"), &*key_store, &name("wrap")).unwrap();
    assert!(matches!(data_keys.decrypt(*first, b"a", one), Err(StoreError::Erased)));
    assert_eq!(data_keys.decrypt(*second, b"b", two).unwrap().as_slice(), b"two");
    // An id is never given twice.
    assert_eq!(data_keys.encrypt(&[(b"c", b"three")]).unwrap()[0].0.0, 2);
}

#[test]
fn envelopes_expire_and_erased_ones_are_never_taken_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let digest = |n: u8| HeaderDigest([n; 32]);
    for n in 1..=4 {
        store.put_foreign_envelope(&digest(n), &[n; 10_000], UnixSeconds(u64::from(n))).unwrap();
    }
    assert_eq!(store.expire_envelopes(UnixSeconds(2), 100).unwrap(), 2);
    assert_eq!(store.envelope(&digest(2)).unwrap(), None);
    assert_eq!(store.envelope(&digest(3)).unwrap().unwrap(), vec![3; 10_000]);
    store.erase_envelope(&digest(3)).unwrap();
    store.erase_envelope(&digest(9)).unwrap();
    for n in [3, 9] {
        let again = store.put_foreign_envelope(&digest(n), &[1], UnixSeconds(99));
        assert!(matches!(again, Err(StoreError::Erased)));
        assert_eq!(store.envelope_standing(&digest(n)).unwrap().unwrap().holding, EnvelopeHolding::Erased);
    }
    assert_eq!(store.expire_envelopes(UnixSeconds(99), 100).unwrap(), 1);
    assert_eq!(store.envelope_standing(&digest(3)).unwrap().unwrap().holding, EnvelopeHolding::Erased);
}

#[test]
fn queues_keys_and_marks_survive_a_reopen() {
    let dir = tempfile::tempdir().unwrap();
    let info = AudienceKeyInfo { serial: GrantSerial(1), granted: UnixSeconds(5), destroy_after: None };
    let delivery =
        Delivery { to: HubId([4; 16]), index: None, body: b"x".to_vec(), attempts: 0, next_try: UnixSeconds(0) };
    let observation = Observation {
        head: Head { size: TreeSize(3), root: NodeHash([1; 32]) },
        heard: UnixSeconds(2),
        confirmed_by: Some(7),
    };
    {
        let store = store(dir.path());
        store.put_audience_key(&LOG, &AudienceId([1; 32]), &[42; 32], info).unwrap();
        store.put_audience_key(&LOG, &AudienceId([2; 32]), &[43; 32], info).unwrap();
        store.retire_audience_key(&LOG, &AudienceId([2; 32]), UnixSeconds(9)).unwrap();
        store.put_delivery(&delivery).unwrap();
        store
            .put_inbox(&LOG, LeafIndex(5), &InboxEntry { awaits: Awaits::Key, attempts: 0, next_try: UnixSeconds(10) })
            .unwrap();
        store.put_statement(b"s").unwrap();
        store.put_review(b"r").unwrap();
        store.set_cursor("c", b"1").unwrap();
        store.put_observation(&HubId([4; 16]), &LOG, &observation).unwrap();
        store.put_evidence(&LOG, TreeSize(3), b"first").unwrap();
        store.put_evidence(&LOG, TreeSize(3), b"second").unwrap();
        store.put_access(b"a").unwrap();
    }
    let store = store(dir.path());
    assert_eq!(*store.audience_key(&LOG, &AudienceId([1; 32])).unwrap().unwrap().0, [42; 32]);
    assert!(store.audience_key(&LogId([8; 32]), &AudienceId([1; 32])).unwrap().is_none());
    assert_eq!(store.audiences(&LOG).unwrap()[1].1.destroy_after, Some(UnixSeconds(9)));
    store.destroy_audience_key(&LOG, &AudienceId([1; 32])).unwrap();
    assert_eq!(store.audiences(&LOG).unwrap().len(), 1);
    let (number, found) = store.deliveries_to(&HubId([4; 16]), 10).unwrap().remove(0);
    assert_eq!(found, delivery);
    store.finish_delivery(&HubId([4; 16]), number).unwrap();
    assert!(store.deliveries(10).unwrap().is_empty());
    assert!(store.due_inbox(UnixSeconds(9), 10).unwrap().is_empty());
    assert_eq!(store.due_inbox(UnixSeconds(10), 10).unwrap()[0].1, LeafIndex(5));
    store.remove_inbox(&LOG, LeafIndex(5)).unwrap();
    assert!(store.due_inbox(UnixSeconds(10), 10).unwrap().is_empty());
    let (statement, _) = store.statements(10).unwrap().remove(0);
    store.remove_statements(&[statement]).unwrap();
    assert!(store.statements(10).unwrap().is_empty());
    assert_eq!(store.reviews(10).unwrap()[0].1, b"r");
    assert_eq!(store.cursor("c").unwrap().unwrap(), b"1");
    assert_eq!(store.observations(&LOG).unwrap(), [(HubId([4; 16]), observation)]);
    assert_eq!(store.evidence(&LOG).unwrap(), [(TreeSize(3), b"first".to_vec())]);
    assert_eq!(store.accesses(0, 10).unwrap().len(), 1);
}
