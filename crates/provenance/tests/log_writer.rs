//! The writer thread over a real database, fence and file keys.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail loudly")]

mod support;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use cresset_protocol::codec;
use cresset_protocol::ids::{HubId, LeafIndex, RosterVersion, TreeSize, UnixSeconds};
use cresset_protocol::log::bundle::{BundleManifest, LogPaths, MANIFEST_PATH, decode_leaves};
use cresset_protocol::log::checkpoint::SignedCheckpoint;
use cresset_protocol::log::merkle::{prove_inclusion, verify_inclusion};
use cresset_protocol::log::record::{AuditPart, Blinding};
use cresset_protocol::log::writer::{Pace, PeerView};
use cresset_protocol::membership::roster::PqCustody;
use cresset_protocol::signing::{
    MlDsa65PublicKey, MlDsa65Signature, MlDsa87PublicKey, MlDsa87Signature, P384PublicKey, P384Signature,
};
use cresset_provenance::export::{BundleScope, LogSelection, OpeningSelection};
use cresset_provenance::log_writer::Lane;
use cresset_provenance::own_log::PublishKey;
use cresset_provenance::queues::Delivery;
use cresset_provenance::{AppendAnswer, NewLeaf, Store, StoreError, WriterEvent};
use cresset_token::{KeyName, KeyStore, KeyStoreError};
use zeroize::Zeroizing;

use support::{CONSORTIUM, LOG, brisk, keys, opening, origin, private, public, publish, store, writer, writer_with};

fn leaves(range: std::ops::Range<u64>) -> Vec<NewLeaf> {
    range.map(|n| NewLeaf::bare(private(n))).collect()
}

/// The newest note verifies with both keys and signs the tree on disk.
fn check_log(dir: &Path, store: &Store) {
    let (_, keys) = keys(dir);
    let head = store.head(&LOG).unwrap().unwrap();
    let note = SignedCheckpoint::open(&head.note, &origin(), &keys, &cresset_crypto::Verifier).unwrap();
    assert_eq!((note.checkpoint.size, note.checkpoint.root), (head.head.size, head.head.root));
    assert_eq!(store.frontier(&LOG).unwrap().root(), head.head.root);
}

#[test]
fn an_append_is_signed_stored_provable_and_announced() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let (writer, events) = writer(dir.path(), &store, 1);
    let mut batch = leaves(0..3);
    batch.push(NewLeaf::bare(public(3)));
    batch.push(NewLeaf {
        opening: Some(opening(4)),
        audit: Some(AuditPart { r2: Blinding::new([1; 32]), audit: b"why".to_vec() }),
        envelope: Some(vec![8; 600]),
        deliveries: vec![Delivery {
            to: HubId([4; 16]),
            index: None,
            body: b"red".to_vec(),
            attempts: 0,
            next_try: UnixSeconds(0),
        }],
        ..NewLeaf::bare(publish(4))
    });
    let AppendAnswer::Signed { first, size } = writer.append_and_wait(batch, Lane::Urgent) else { panic!() };
    assert_eq!((first, size), (LeafIndex(0), TreeSize(5)));
    check_log(dir.path(), &store);
    let tree = store.tree(&LOG).unwrap();
    let proof = prove_inclusion(&tree, LeafIndex(4), size).unwrap();
    let root = store.head(&LOG).unwrap().unwrap().head.root;
    verify_inclusion(&publish(4).leaf.hash(), LeafIndex(4), size, &proof, &root).unwrap();
    assert_eq!(store.opening(&LOG, LeafIndex(4)).unwrap(), Some(opening(4)));
    assert_eq!(store.audit_part(&LOG, LeafIndex(4)).unwrap().unwrap().audit, b"why");
    let header = publish(4).leaf.binding.0.into();
    assert_eq!(store.envelope(&header).unwrap().unwrap(), vec![8; 600]);
    assert_eq!(store.deliveries(9).unwrap()[0].1.index, Some(LeafIndex(4)));
    let flush = events.iter().find_map(|event| match event {
        WriterEvent::FlushSigned(flush) => Some(flush),
        _ => None,
    });
    let flush = flush.unwrap();
    assert_eq!((flush.first, flush.entries.len(), flush.before.size()), (LeafIndex(0), 5, TreeSize(0)));
    assert_eq!(flush.entries[3], public(3));
}

#[test]
fn a_repeated_publish_is_answered_with_the_first_index() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let (writer, _events) = writer(dir.path(), &store, 1);
    let keyed = || vec![NewLeaf { publish_key: Some(PublishKey([1; 32])), ..NewLeaf::bare(private(1)) }];
    let first = writer.append_and_wait(keyed(), Lane::Urgent);
    assert!(matches!(first, AppendAnswer::Signed { first: LeafIndex(0), .. }));
    let again = writer.append_and_wait(keyed(), Lane::Urgent);
    assert!(matches!(again, AppendAnswer::Repeated { first: Some(LeafIndex(0)) }), "{again:?}");
    assert_eq!(store.log_size(&LOG).unwrap(), TreeSize(1));
}

#[test]
fn a_restart_continues_where_the_log_ended() {
    let dir = tempfile::tempdir().unwrap();
    for run in 0..3u64 {
        let store = store(dir.path());
        let (writer, _events) = writer(dir.path(), &store, 1);
        let answer = writer.append_and_wait(leaves(run * 300..run * 300 + 300), Lane::Normal);
        assert!(matches!(answer, AppendAnswer::Signed { first, .. } if first.0 == run * 300), "{answer:?}");
        check_log(dir.path(), &store);
    }
}

#[test]
fn while_gated_a_publish_is_durable_and_signed_after_the_gate_opens_in_the_next_run() {
    let dir = tempfile::tempdir().unwrap();
    {
        let store = store(dir.path());
        let (writer, events) = writer(dir.path(), &store, 3);
        assert!(matches!(events.recv().unwrap(), WriterEvent::AskPeers));
        let keyed = vec![NewLeaf { publish_key: Some(PublishKey([1; 32])), ..NewLeaf::bare(private(1)) }];
        assert!(matches!(writer.append_and_wait(keyed, Lane::Urgent), AppendAnswer::Queued));
        assert_eq!(store.publish_state(&PublishKey([1; 32])).unwrap().unwrap().index, None);
        assert_eq!(store.log_size(&LOG).unwrap(), TreeSize(0));
    }
    let store = store(dir.path());
    let (writer, events) = writer(dir.path(), &store, 3);
    writer.peer_head(HubId([9; 16]), PeerView::Nothing);
    let signed =
        events.iter().any(|event| matches!(event, WriterEvent::FlushSigned(flush) if flush.entries.len() == 1));
    assert!(signed);
    assert_eq!(store.publish_state(&PublishKey([1; 32])).unwrap().unwrap().index, Some(LeafIndex(0)));
    check_log(dir.path(), &store);
}

#[test]
fn a_second_writer_of_the_log_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let (_writer, _events) = writer(dir.path(), &store, 1);
    let fence = cresset_provenance::fence::Fence::open(&dir.path().join("fence"), &origin());
    assert!(matches!(fence, Err(StoreError::Locked { .. })));
}

/// A key store that refuses to sign while `away` is set.
struct Flaky {
    inner: Arc<dyn KeyStore>,
    away: Arc<AtomicBool>,
}

impl Flaky {
    fn check(&self) -> Result<(), KeyStoreError> {
        if self.away.load(Ordering::SeqCst) { Err(KeyStoreError::NotFound { name: "away".into() }) } else { Ok(()) }
    }
}

impl KeyStore for Flaky {
    fn pq_custody(&self) -> PqCustody {
        self.inner.pq_custody()
    }
    fn generate_p384(&self, name: &KeyName) -> Result<P384PublicKey, KeyStoreError> {
        self.inner.generate_p384(name)
    }
    fn generate_ml_dsa_65(&self, name: &KeyName) -> Result<MlDsa65PublicKey, KeyStoreError> {
        self.inner.generate_ml_dsa_65(name)
    }
    fn generate_ml_dsa_87(&self, name: &KeyName) -> Result<MlDsa87PublicKey, KeyStoreError> {
        self.inner.generate_ml_dsa_87(name)
    }
    fn generate_wrapping(&self, name: &KeyName) -> Result<(), KeyStoreError> {
        self.inner.generate_wrapping(name)
    }
    fn p384(&self, name: &KeyName) -> Result<P384PublicKey, KeyStoreError> {
        self.inner.p384(name)
    }
    fn ml_dsa_65(&self, name: &KeyName) -> Result<MlDsa65PublicKey, KeyStoreError> {
        self.inner.ml_dsa_65(name)
    }
    fn ml_dsa_87(&self, name: &KeyName) -> Result<MlDsa87PublicKey, KeyStoreError> {
        self.inner.ml_dsa_87(name)
    }
    fn sign_p384(&self, name: &KeyName, message: &[u8]) -> Result<P384Signature, KeyStoreError> {
        self.check()?;
        self.inner.sign_p384(name, message)
    }
    fn sign_ml_dsa_65(&self, name: &KeyName, message: &[u8]) -> Result<MlDsa65Signature, KeyStoreError> {
        self.check()?;
        self.inner.sign_ml_dsa_65(name, message)
    }
    fn sign_ml_dsa_87(&self, name: &KeyName, message: &[u8]) -> Result<MlDsa87Signature, KeyStoreError> {
        self.inner.sign_ml_dsa_87(name, message)
    }
    fn wrap(&self, name: &KeyName, context: &[u8], secret: &[u8]) -> Result<Vec<u8>, KeyStoreError> {
        self.inner.wrap(name, context, secret)
    }
    fn unwrap(&self, name: &KeyName, context: &[u8], wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyStoreError> {
        self.inner.unwrap(name, context, wrapped)
    }
    fn destroy(&self, name: &KeyName) -> Result<(), KeyStoreError> {
        self.inner.destroy(name)
    }
}

/// Does not wait long for a token that does not come back.
fn impatient() -> Pace {
    Pace { sign_wait_ms: 200, ..brisk() }
}

/// The token is away: the first publish is Pending, the second Queued; the node dies; the next run signs both.
#[test]
fn an_absent_token_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    {
        let store = store(dir.path());
        let (inner, log_keys) = keys(dir.path());
        let flaky = Arc::new(Flaky { inner, away: Arc::new(AtomicBool::new(true)) });
        let (writer, events) = writer_with(dir.path(), &store, 1, flaky, log_keys, impatient());
        let first = writer.append_and_wait(leaves(0..1), Lane::Urgent);
        assert!(matches!(first, AppendAnswer::Pending { first: LeafIndex(0) }), "{first:?}");
        let second = writer.append_and_wait(leaves(1..2), Lane::Urgent);
        assert!(matches!(second, AppendAnswer::Queued), "{second:?}");
        assert!(events.try_iter().any(|event| matches!(event, WriterEvent::TokenTrouble(_))));
    }
    let store = store(dir.path());
    let (_writer, events) = writer(dir.path(), &store, 1);
    let sizes: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            WriterEvent::FlushSigned(flush) => Some((flush.checkpoint.checkpoint.size.0, flush.entries.len())),
            _ => None,
        })
        .take(2)
        .collect();
    assert_eq!(sizes, [(1, 1), (2, 1)]);
    check_log(dir.path(), &store);
}

#[test]
fn a_token_that_comes_back_signs_in_the_same_run() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let (inner, log_keys) = keys(dir.path());
    let away = Arc::new(AtomicBool::new(true));
    let flaky = Arc::new(Flaky { inner, away: Arc::clone(&away) });
    let (writer, events) = writer_with(dir.path(), &store, 1, flaky, log_keys, impatient());
    writer.append(leaves(0..1), Lane::Urgent, Box::new(drop));
    assert!(events.iter().any(|event| matches!(event, WriterEvent::TokenTrouble(_))));
    away.store(false, Ordering::SeqCst);
    let signed = events.recv_timeout(Duration::from_secs(10)).into_iter().chain(events.iter());
    assert!(signed.into_iter().any(|event| matches!(event, WriterEvent::FlushSigned(_))));
}

/// Many callers at once: every answer is true, indexes are distinct, one root covers all.
#[test]
fn concurrent_callers_share_flushes() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let (writer, _events) = writer(dir.path(), &store, 1);
    let barrier = Barrier::new(8);
    let mut firsts: Vec<u64> = std::thread::scope(|scope| {
        let call = |caller: u64| {
            let (writer, barrier) = (&writer, &barrier);
            scope.spawn(move || {
                barrier.wait();
                let start = caller * 1_000;
                (0..10u64)
                    .map(|call| {
                        match writer.append_and_wait(leaves(start + call * 3..start + call * 3 + 3), Lane::Urgent) {
                            AppendAnswer::Signed { first, .. } => first.0,
                            other => panic!("{other:?}"),
                        }
                    })
                    .collect::<Vec<_>>()
            })
        };
        let threads: Vec<_> = (0..8).map(call).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    firsts.sort_unstable();
    assert_eq!(firsts, (0..80).map(|n| n * 3).collect::<Vec<_>>());
    check_log(dir.path(), &store);
    assert!(store.checkpoints(&LOG, TreeSize(0), 1_000).unwrap().len() < 80, "every call had a signature of its own");
}

#[test]
fn an_exported_bundle_lists_every_file_and_reads_back() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let (writer, _events) = writer(dir.path(), &store, 1);
    writer.append_and_wait(leaves(0..300), Lane::Urgent);
    let audited = NewLeaf {
        opening: Some(opening(300)),
        audit: Some(AuditPart { r2: Blinding::new([1; 32]), audit: vec![5; 9_000] }),
        ..NewLeaf::bare(publish(300))
    };
    writer.append_and_wait(vec![audited, NewLeaf::bare(public(301))], Lane::Urgent);
    let scope = |openings| BundleScope {
        consortium: CONSORTIUM,
        own: LOG,
        logs: LogSelection::All,
        openings,
        rosters: vec![(RosterVersion(0), b"roster".to_vec())],
        created: UnixSeconds(7),
    };
    let out = dir.path().join("bundle");
    let manifest = store.export_bundle(&out, &scope(OpeningSelection::Private)).unwrap();
    assert_eq!(BundleManifest::decode(&std::fs::read(out.join(MANIFEST_PATH)).unwrap()).unwrap(), manifest);
    for file in &manifest.files {
        assert!(file.matches(&std::fs::read(out.join(&file.path)).unwrap()), "{}", file.path);
    }
    let paths = LogPaths(LOG);
    let rest = std::fs::read(out.join(paths.leaves(1, 46))).unwrap();
    assert_eq!(decode_leaves(&rest).unwrap()[44], publish(300).leaf);
    let audit: AuditPart =
        codec::decode(&std::fs::read(out.join(paths.audit(LeafIndex(300)))).unwrap(), 1 << 20).unwrap();
    assert_eq!(audit.audit, vec![5; 9_000]);
    let again = store.export_bundle(&out, &scope(OpeningSelection::Private));
    assert!(matches!(again, Err(StoreError::Foreign { .. })));
    let public_only = store.export_bundle(&dir.path().join("public"), &scope(OpeningSelection::PublicOnly)).unwrap();
    assert!(public_only.file(&paths.audit(LeafIndex(300))).is_none());
}
