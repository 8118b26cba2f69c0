//! A consortium of four hubs that share one event, all in memory.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests and benches use parts of it, and fail loudly"
)]

pub mod log;
pub mod signers;
pub mod story;

use std::collections::{BTreeMap, BTreeSet};

use cresset_audit::source::InMemory;
use cresset_crypto::Verifier;
use cresset_policy::PolicyBundle;
use cresset_protocol::codec;
use cresset_protocol::ids::{ConsortiumId, Country, HubId, KeyPeriod, RosterVersion, SpkiDigest, UnixSeconds};
use cresset_protocol::log::bundle::{
    BundleManifest, BundledFile, LAYOUT_VERSION, MANIFEST_PATH, policy_path, roster_path,
};
use cresset_protocol::membership::chain::RosterChain;
use cresset_protocol::membership::digest::{consortium_id, roster_digest, roster_signing_bytes};
use cresset_protocol::membership::roster::{
    EncryptionKeyEntry, HubEntry, HubStatus, LogEntry, LogKeyPeriod, Officer, PqCustody, RosterBody, RosterSignature,
    SignedRoster, VersionRange,
};
use cresset_protocol::signing::{EncryptionPublicKey, MlDsa65PublicKey};
use cresset_protocol::suite::Suite;

use log::{Log, START};
use signers::Signer;

pub const COUNTRIES: [&str; 4] = ["AT", "LU", "EE", "FI"];

pub struct Consortium {
    pub id: ConsortiumId,
    pub officers: Vec<Signer>,
    pub rosters: Vec<SignedRoster>,
}

impl Consortium {
    pub fn found() -> Self {
        let officers: Vec<Signer> = (0..3).map(|_| Signer::officer()).collect();
        let body = RosterBody {
            version: RosterVersion(0),
            name: "test consortium".to_owned(),
            nonce: [9; 32],
            consortium: None,
            predecessors: Vec::new(),
            issued: UnixSeconds(START - 1_000),
            expires: UnixSeconds(START + 86_400),
            officers: (0u8..)
                .zip(&officers)
                .map(|(n, signer)| Officer {
                    role: format!("officer-{n}"),
                    keys: signer.officer_keys(),
                    encryption: EncryptionPublicKey::from([200 + n; 1665]),
                })
                .collect(),
            quorum: 2,
            suites: vec![Suite::Hybrid2026],
            root_certificate: [1; 32],
            hubs: Vec::new(),
            groups: Vec::new(),
            policy: None,
            versions: VersionRange { min: 1, max: 1 },
            exceptions: Vec::new(),
        };
        let id = consortium_id(&codec::encode(&body));
        let mut consortium = Self { id, officers, rosters: Vec::new() };
        consortium.rosters.push(consortium.sign(&body, 3));
        consortium
    }

    pub fn sign(&self, body: &RosterBody, officers: usize) -> SignedRoster {
        let bytes = codec::encode(body);
        let message = roster_signing_bytes(&self.id, body.version, &roster_digest(&bytes));
        let signatures = self.officers.iter().enumerate().take(officers);
        let signatures = signatures
            .map(|(n, signer)| RosterSignature {
                role: format!("officer-{n}"),
                signatures: signer.sign_officer(&message),
            })
            .collect();
        SignedRoster { body: bytes, signatures }
    }

    /// The next version with these logs, of one hub each.
    pub fn admit(&mut self, logs: &[&[&Log]]) {
        let before: RosterBody = codec::decode(&self.rosters.last().unwrap().body, 1 << 20).unwrap();
        let body = RosterBody {
            version: RosterVersion(before.version.0 + 1),
            consortium: Some(self.id),
            predecessors: vec![roster_digest(&self.rosters.last().unwrap().body)],
            issued: UnixSeconds(before.issued.0 + 1),
            hubs: (0u8..).zip(logs).map(|(n, logs)| hub_entry(n, logs)).collect(),
            ..before
        };
        let signed = self.sign(&body, 2);
        self.rosters.push(signed);
    }

    pub fn chain(&self) -> RosterChain {
        let mut chain = RosterChain::found(&self.id, &self.rosters[0], &Verifier).unwrap();
        for roster in &self.rosters[1..] {
            chain.accept(roster, UnixSeconds(START + 3_600), &Verifier).unwrap();
        }
        chain
    }

    /// A bundle of these logs: (log, size, own).
    pub fn bundle(&self, logs: &[(&Log, u64, bool)]) -> InMemory {
        let mut files = BTreeMap::new();
        for (number, roster) in (0..).zip(&self.rosters) {
            files.insert(roster_path(RosterVersion(number)), codec::encode(roster));
        }
        let policy = PolicyBundle::baseline();
        files.insert(policy_path(&policy.digest()), policy.to_bytes());
        for (log, size, own) in logs {
            log.files(*size, *own, &mut files);
        }
        let mut listed: Vec<_> = logs.iter().map(|(log, size, own)| log.listed(*size, *own)).collect();
        listed.sort_by_key(|listed| listed.log);
        let manifest = BundleManifest {
            layout: LAYOUT_VERSION,
            consortium: self.id,
            created: UnixSeconds(START + 600),
            logs: listed,
            files: files.iter().map(|(path, content)| BundledFile::of(path, content)).collect(),
        };
        files.insert(MANIFEST_PATH.to_owned(), manifest.to_bytes());
        InMemory(files)
    }
}

pub fn hub_id(n: u8) -> HubId {
    HubId([n + 1; 16])
}

pub fn domain(n: u8) -> String {
    format!("hub.{}.example", COUNTRIES[usize::from(n)].to_lowercase())
}

fn hub_entry(n: u8, logs: &[&Log]) -> HubEntry {
    let country = Country::parse(COUNTRIES[usize::from(n)]).unwrap();
    HubEntry {
        id: hub_id(n),
        country,
        jurisdiction: country,
        domain: domain(n),
        status: HubStatus::Active,
        roles: BTreeSet::new(),
        tls_keys: vec![SpkiDigest([n + 1; 32])],
        authentication_key: MlDsa65PublicKey::from([n + 1; 1952]),
        logs: logs
            .iter()
            .map(|log| LogEntry {
                id: log.id,
                origin: log.origin.to_string(),
                keys: vec![LogKeyPeriod { from: UnixSeconds(START), until: None, keys: log.signer.log_keys() }],
            })
            .collect(),
        encryption_keys: vec![EncryptionKeyEntry {
            period: KeyPeriod(1),
            active_from: UnixSeconds(START),
            key: EncryptionPublicKey::from([100 + n; 1665]),
        }],
        recovery_key: EncryptionPublicKey::from([50 + n; 1665]),
        endpoints: Vec::new(),
        pq: PqCustody::Software,
    }
}

/// Digests files anew after a change, as a forger would.
pub fn reseal(bundle: &mut InMemory) {
    let mut manifest = BundleManifest::decode(&bundle.0[MANIFEST_PATH]).unwrap();
    manifest.files = bundle
        .0
        .iter()
        .filter(|(path, _)| *path != MANIFEST_PATH)
        .map(|(path, content)| BundledFile::of(path, content))
        .collect();
    bundle.0.insert(MANIFEST_PATH.to_owned(), manifest.to_bytes());
}

/// Changes the manifest, as a forger would.
pub fn with_manifest(bundle: &mut InMemory, change: impl FnOnce(&mut BundleManifest)) {
    let mut manifest = BundleManifest::decode(&bundle.0[MANIFEST_PATH]).unwrap();
    change(&mut manifest);
    bundle.0.insert(MANIFEST_PATH.to_owned(), manifest.to_bytes());
}
