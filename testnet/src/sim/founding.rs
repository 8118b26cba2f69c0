//! A consortium for the simulator: a roster body with one log per hub. No signatures: the roster is not what is simulated.

use std::collections::BTreeSet;

use cresset_protocol::ids::{ConsortiumId, Country, HubId, LogId, RosterVersion, SpkiDigest, UnixSeconds};
use cresset_protocol::log::checkpoint::Origin;
use cresset_protocol::membership::roster::{
    HubEntry, HubStatus, LogEntry, LogKeyPeriod, PqCustody, RosterBody, VersionRange,
};
use cresset_protocol::signing::{EncryptionPublicKey, LogKeys, MlDsa65PublicKey};
use cresset_protocol::suite::Suite;
use cresset_protocol::sync::directory::Directory;

use super::hub::SimulatedHub;
use super::signature::log_keys;

/// What the world starts from.
pub(crate) struct Founded {
    /// The hubs, none started.
    pub(crate) hubs: Vec<SimulatedHub>,
    /// Their logs.
    pub(crate) directory: Directory,
}

/// Keys of the n-th hub.
pub(crate) fn keys_of(n: usize) -> LogKeys {
    log_keys(n as u64)
}

/// Founds a consortium of `count` hubs.
pub(crate) fn found(count: usize) -> Founded {
    let hubs: Vec<SimulatedHub> =
        (0..count).map(|n| SimulatedHub::new(hub_id(n), log_id(n), origin(n), keys_of(n))).collect();
    let body = RosterBody {
        version: RosterVersion(1),
        name: "simulation".into(),
        nonce: [7; 32],
        consortium: Some(ConsortiumId([9; 32])),
        predecessors: Vec::new(),
        issued: UnixSeconds(0),
        expires: UnixSeconds(u64::MAX),
        officers: Vec::new(),
        quorum: 2,
        suites: vec![Suite::Hybrid2026],
        root_certificate: [0; 32],
        hubs: (0..count).map(hub_entry).collect(),
        groups: Vec::new(),
        policy: None,
        versions: VersionRange { min: 1, max: 1 },
        exceptions: Vec::new(),
    };
    Founded { hubs, directory: Directory::from_roster(ConsortiumId([9; 32]), &body) }
}

fn hub_entry(n: usize) -> HubEntry {
    let country = Country::parse(&format!("{}{}", letter(n / 26), letter(n % 26))).expect("two letters");
    HubEntry {
        id: hub_id(n),
        country,
        jurisdiction: country,
        domain: format!("hub{n}.example"),
        status: HubStatus::Active,
        roles: BTreeSet::new(),
        tls_keys: vec![SpkiDigest([n as u8; 32])],
        authentication_key: MlDsa65PublicKey::from([n as u8; 1952]),
        logs: vec![LogEntry {
            id: log_id(n),
            origin: origin(n).as_str().to_owned(),
            keys: vec![LogKeyPeriod { from: UnixSeconds(0), until: None, keys: keys_of(n) }],
        }],
        encryption_keys: Vec::new(),
        recovery_key: EncryptionPublicKey::from([n as u8; 1665]),
        endpoints: Vec::new(),
        pq: PqCustody::Token,
    }
}

fn letter(n: usize) -> char {
    char::from(b'A' + (n % 26) as u8)
}

fn hub_id(n: usize) -> HubId {
    let mut id = [0; 16];
    id[8..].copy_from_slice(&(n as u64).to_be_bytes());
    HubId(id)
}

fn log_id(n: usize) -> LogId {
    let mut id = [0; 32];
    id[24..].copy_from_slice(&(n as u64).to_be_bytes());
    LogId(id)
}

fn origin(n: usize) -> Origin {
    Origin::new(&format!("hub{n}.example"), 1).expect("a short ASCII domain")
}
