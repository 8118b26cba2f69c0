//! Rosters for tests, signed with keyed hashes in place of signatures.

use sha2::{Digest, Sha256};

use super::VerifiedRoster;
use super::digest::{consortium_id, p384_spki_digest, roster_digest, roster_signing_bytes};
use super::enrolment::{DESIGNATION, EnrolmentBody, EnrolmentRequest, Evidence, Possession, possession_bytes};
use super::roster::*;
use super::verify::verify_founding;
use crate::codec;
use crate::ids::*;
use crate::log::checkpoint::Origin;
use crate::log::manifest::LogManifest;
use crate::signing::*;
use crate::suite::Suite;

pub(super) const NOW: UnixSeconds = UnixSeconds(1_790_000_000);
pub(super) const OFFICERS: [&str; 3] = ["officer-1", "officer-2", "officer-3"];

/// Accepts keyed hashes as signatures.
pub(super) struct FakeVerifier;

impl SignatureVerifier for FakeVerifier {
    fn verify_p384(&self, key: &P384PublicKey, message: &[u8], signature: &P384Signature) -> bool {
        signature.as_bytes() == stretch::<96>(key.as_bytes(), message)
    }
    fn verify_ml_dsa_65(&self, key: &MlDsa65PublicKey, message: &[u8], signature: &MlDsa65Signature) -> bool {
        signature.as_bytes() == stretch::<3309>(key.as_bytes(), message)
    }
    fn verify_ml_dsa_87(&self, key: &MlDsa87PublicKey, message: &[u8], signature: &MlDsa87Signature) -> bool {
        signature.as_bytes() == stretch::<4627>(key.as_bytes(), message)
    }
}

fn stretch<const N: usize>(key: &[u8], message: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    for (i, chunk) in out.chunks_mut(32).enumerate() {
        let block = Sha256::new_with_prefix(key).chain_update(message).chain_update([i as u8]).finalize();
        chunk.copy_from_slice(&block[..chunk.len()]);
    }
    out
}

pub(super) fn officer(role: &str) -> Officer {
    let keys = OfficerKeys {
        p384: stretch(b"p384", role.as_bytes()).into(),
        ml_dsa_87: stretch(b"mldsa87", role.as_bytes()).into(),
    };
    Officer { role: role.to_owned(), keys, encryption: stretch(b"hpke", role.as_bytes()).into() }
}

pub(super) fn officer_signatures(role: &str, message: &[u8]) -> OfficerSignatures {
    let keys = officer(role).keys;
    OfficerSignatures {
        p384: stretch(keys.p384.as_bytes(), message).into(),
        ml_dsa_87: stretch(keys.ml_dsa_87.as_bytes(), message).into(),
    }
}

pub(super) fn founding_body() -> RosterBody {
    RosterBody {
        version: RosterVersion(0),
        name: "Test CBCH".to_owned(),
        nonce: [7; 32],
        consortium: None,
        predecessors: Vec::new(),
        issued: NOW,
        expires: UnixSeconds(NOW.0 + 86_400 * 365),
        officers: OFFICERS.map(officer).to_vec(),
        quorum: 2,
        suites: vec![Suite::Hybrid2026],
        root_certificate: [9; 32],
        hubs: Vec::new(),
        groups: Vec::new(),
        policy: None,
        versions: VersionRange { min: 1, max: 1 },
        exceptions: Vec::new(),
    }
}

pub(super) fn sign(body: &RosterBody, roles: &[&str]) -> SignedRoster {
    let bytes = codec::encode(body);
    let consortium = body.consortium.unwrap_or_else(|| consortium_id(&bytes));
    let message = roster_signing_bytes(&consortium, body.version, &roster_digest(&bytes));
    let signature =
        |role: &&str| RosterSignature { role: (*role).to_owned(), signatures: officer_signatures(role, &message) };
    SignedRoster { body: bytes, signatures: roles.iter().map(signature).collect() }
}

pub(super) fn founding() -> VerifiedRoster {
    let signed = sign(&founding_body(), &OFFICERS);
    verify_founding(&consortium_id(&signed.body), &signed, &FakeVerifier).unwrap()
}

/// The successor of `prev`, unchanged but for version, lineage and what `change` does.
pub(super) fn next_body(prev: &VerifiedRoster, change: impl FnOnce(&mut RosterBody)) -> RosterBody {
    let mut body = prev.body().clone();
    body.version = RosterVersion(prev.version().0 + 1);
    body.consortium = Some(prev.consortium());
    body.predecessors = vec![prev.digest()];
    change(&mut body);
    body
}

pub(super) fn hub(number: u8, country: &str) -> HubEntry {
    let name = format!("hub{number}");
    let domain = format!("{}.hub.example", country.to_lowercase());
    let key = |label: &str| stretch::<97>(label.as_bytes(), name.as_bytes()).into();
    let keys = LogKeys { p384: key("log"), ml_dsa_65: stretch(b"log65", name.as_bytes()).into() };
    let encryption = |label: &[u8]| stretch::<1665>(label, name.as_bytes()).into();
    HubEntry {
        id: HubId([number; 16]),
        country: Country::parse(country).unwrap(),
        jurisdiction: Country::parse(country).unwrap(),
        domain: domain.clone(),
        status: HubStatus::Active,
        roles: Default::default(),
        tls_keys: vec![p384_spki_digest(&key("tls"))],
        authentication_key: stretch(b"auth65", name.as_bytes()).into(),
        logs: vec![LogEntry {
            id: LogId([number; 32]),
            origin: format!("{domain}/prov/1"),
            keys: vec![LogKeyPeriod { from: NOW, until: None, keys }],
        }],
        encryption_keys: (0..2)
            .map(|period| EncryptionKeyEntry {
                period: KeyPeriod(period),
                active_from: UnixSeconds(NOW.0 + period * 86_400 * 30),
                key: encryption(&[period as u8]),
            })
            .collect(),
        recovery_key: encryption(b"recovery"),
        endpoints: vec![Endpoint { network: "internet".to_owned(), host: domain, port: 7443 }],
        pq: PqCustody::Token,
    }
}

/// Three hubs in version 1.
pub(super) fn with_hubs(prev: &VerifiedRoster) -> RosterBody {
    next_body(prev, |body| body.hubs = vec![hub(1, "AT"), hub(2, "EE"), hub(3, "LU")])
}

pub(super) fn enrolment_body(consortium: ConsortiumId) -> EnrolmentBody {
    let entry = hub(9, "FI");
    EnrolmentBody {
        consortium,
        hub: entry.id,
        country: entry.country,
        jurisdiction: entry.jurisdiction,
        domain: entry.domain.clone(),
        endpoints: entry.endpoints.clone(),
        created: NOW,
        tls_key: stretch::<97>(b"tls", b"hub9").into(),
        csr: vec![0x30, 0],
        authentication_key: entry.authentication_key.clone(),
        log_manifest: manifest(consortium, &entry),
        encryption_keys: entry.encryption_keys.clone(),
        recovery_key: entry.recovery_key,
        pq: entry.pq,
        evidence: vec![Evidence { kind: DESIGNATION.to_owned(), digest: [3; 32] }],
    }
}

fn manifest(consortium: ConsortiumId, entry: &HubEntry) -> Vec<u8> {
    codec::encode(&LogManifest {
        consortium,
        hub: entry.id,
        origin: Origin::parse(&entry.logs[0].origin).unwrap(),
        keys: entry.logs[0].keys[0].keys.clone(),
        prologue: None,
        created: NOW,
    })
}

/// Changes the manifest inside a request.
pub(super) fn with_manifest(body: &mut EnrolmentBody, change: impl FnOnce(&mut LogManifest)) {
    let mut manifest = LogManifest::decode(&body.log_manifest).unwrap().into_value();
    change(&mut manifest);
    body.log_manifest = codec::encode(&manifest);
}

pub(super) fn possession(body: &EnrolmentBody) -> Possession {
    let message = possession_bytes(&body.digest());
    let log = LogManifest::decode(&body.log_manifest).unwrap().into_value().keys;
    Possession {
        tls: stretch(body.tls_key.as_bytes(), &message).into(),
        authentication: stretch(body.authentication_key.as_bytes(), &message).into(),
        log: LogSignatures {
            p384: stretch(log.p384.as_bytes(), &message).into(),
            ml_dsa_65: stretch(log.ml_dsa_65.as_bytes(), &message).into(),
        },
    }
}

pub(super) fn enrolment(body: &EnrolmentBody) -> EnrolmentRequest {
    body.with_possession(possession(body))
}
