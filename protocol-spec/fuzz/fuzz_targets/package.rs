#![no_main]

use cresset_protocol::ids::{ConsortiumId, LogId, NodeHash, TreeSize};
use cresset_protocol::log::checkpoint::{Checkpoint, Origin};
use cresset_protocol::log::merkle::Frontier;
use cresset_protocol::log::package::Package;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(package) = Package::decode(data) else { return };
    let Ok(origin) = Origin::parse("hub.example/prov/1") else { return };
    let checkpoint = Checkpoint { origin, size: TreeSize(1 << 20), root: NodeHash([7; 32]) };
    // Nobody finds a preimage of this root.
    assert!(package.verify(&ConsortiumId([1; 32]), &LogId([2; 32]), &Frontier::new(), &checkpoint).is_err());
});
