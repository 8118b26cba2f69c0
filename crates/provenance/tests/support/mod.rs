//! A hub's disk with file keys, for tests and the benchmark.
#![allow(dead_code, reason = "each test file uses a part")]
#![allow(clippy::unwrap_used, reason = "a test helper may fail loudly")]

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use cresset_protocol::ids::{Binding, Commitment, ConsortiumId, HubId, LogId, UnixSeconds};
use cresset_protocol::log::checkpoint::Origin;
use cresset_protocol::log::entry::Entry;
use cresset_protocol::log::leaf::{Leaf, LeafFlags, LeafKind};
use cresset_protocol::log::record::{Blinding, Opening, empty_audit};
use cresset_protocol::log::writer::Pace;
use cresset_protocol::signing::LogKeys;
use cresset_provenance::erasure::DataKeys;
use cresset_provenance::log_writer::{LogKeyNames, LogWriterConfig};
use cresset_provenance::store::Identity;
use cresset_provenance::{LogWriter, Store, StoreOptions, WriterEvent};
use cresset_token::{FileKeyStore, KeyName, KeyStore};

pub(crate) const CONSORTIUM: ConsortiumId = ConsortiumId([1; 32]);
pub(crate) const LOG: LogId = LogId([2; 32]);
pub(crate) const HUB: HubId = HubId([3; 16]);

pub(crate) fn origin() -> Origin {
    Origin::new("at.example", 1).unwrap()
}

pub(crate) fn name(text: &str) -> KeyName {
    KeyName::new(text).unwrap()
}

/// Keys, made at the first call.
pub(crate) fn keys(dir: &Path) -> (Arc<dyn KeyStore>, LogKeys) {
    let store = FileKeyStore::open(dir.join("keys")).unwrap();
    let p384 = store.p384(&name("log-p384")).or_else(|_| store.generate_p384(&name("log-p384"))).unwrap();
    let ml_dsa =
        store.ml_dsa_65(&name("log-ml-dsa")).or_else(|_| store.generate_ml_dsa_65(&name("log-ml-dsa"))).unwrap();
    let _ = store.generate_wrapping(&name("wrap"));
    (Arc::new(store), LogKeys { p384, ml_dsa_65: ml_dsa })
}

pub(crate) fn store(dir: &Path) -> Arc<Store> {
    let store = Store::create(&dir.join("db"), &StoreOptions::default()).unwrap();
    store.register_log(&LOG, origin().as_str(), b"manifest").unwrap();
    store.bind(&Identity { consortium: CONSORTIUM, hub: HUB, log: LOG }).unwrap();
    let (keys, _) = keys(dir);
    store.attach_data_keys(DataKeys::open(&dir.join("erase"), &*keys, &name("wrap")).unwrap());
    Arc::new(store)
}

/// A writer with a short interval, and its events.
pub(crate) fn writer(dir: &Path, store: &Arc<Store>, active_hubs: usize) -> (LogWriter, Receiver<WriterEvent>) {
    let (key_store, keys) = keys(dir);
    writer_with(dir, store, active_hubs, key_store, keys, brisk())
}

/// Short intervals, so that tests need not wait.
pub(crate) fn brisk() -> Pace {
    Pace { normal_interval_ms: 20, retry_ms: 10, ..Pace::default() }
}

pub(crate) fn writer_with(
    dir: &Path,
    store: &Arc<Store>,
    active_hubs: usize,
    key_store: Arc<dyn KeyStore>,
    keys: LogKeys,
    pace: Pace,
) -> (LogWriter, Receiver<WriterEvent>) {
    let config = LogWriterConfig {
        log: LOG,
        origin: origin(),
        keys,
        key_names: LogKeyNames { p384: name("log-p384"), ml_dsa_65: name("log-ml-dsa") },
        active_hubs,
        pace,
        fence_dir: dir.join("fence"),
        clock: Arc::new(|| UnixSeconds(1_800_000_000)),
    };
    let (sender, events) = channel();
    let writer =
        LogWriter::start(Arc::clone(store), key_store, config, Box::new(move |event| drop(sender.send(event))));
    (writer.unwrap(), events)
}

/// A PRIVATE leaf with number `n`.
pub(crate) fn private(n: u64) -> Entry {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&n.to_be_bytes());
    let flags = LeafFlags::default();
    Entry::bare(Leaf {
        kind: LeafKind::Private,
        flags,
        time: UnixSeconds(n),
        commitment: Commitment(bytes),
        binding: Binding([4; 32]),
    })
}

/// A POLICY leaf with its public opening.
pub(crate) fn public(n: u64) -> Entry {
    let (kind, flags) = (LeafKind::Policy, LeafFlags::default());
    let opening = opening(n);
    let commitment = opening.commitment(&CONSORTIUM, &LOG, kind, flags);
    let leaf = Leaf { kind, flags, time: UnixSeconds(n), commitment, binding: Binding([0; 32]) };
    Entry { leaf, header: None, opening: Some(opening) }
}

/// A PUBLISH leaf with a header of 150 bytes.
pub(crate) fn publish(n: u64) -> Entry {
    let mut bytes = [7; 32];
    bytes[..8].copy_from_slice(&n.to_be_bytes());
    let flags = LeafFlags { header_follows: true, ..LeafFlags::default() };
    let leaf = Leaf {
        kind: LeafKind::Publish,
        flags,
        time: UnixSeconds(n),
        commitment: Commitment(bytes),
        binding: Binding(bytes),
    };
    Entry { leaf, header: Some(vec![n as u8; 150]), opening: None }
}

pub(crate) fn opening(n: u64) -> Opening {
    let inner_mac = empty_audit(Blinding::new([5; 32])).inner_mac();
    Opening { r: Blinding::new([6; 32]), share: n.to_be_bytes().to_vec(), inner_mac }
}
