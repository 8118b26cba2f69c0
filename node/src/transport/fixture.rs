//! A consortium for tests: a root, an issuing CA, and hubs with real keys in key files.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use cresset_protocol::ids::{ConsortiumId, Country, HubId, RosterDigest, RosterVersion, SpkiDigest, UnixSeconds};
use cresset_protocol::membership::roster::{Endpoint, HubEntry, HubStatus, PqCustody, RosterBody, VersionRange};
use cresset_protocol::suite::Suite;
use cresset_token::file::FileKeyStore;
use cresset_token::keystore::{KeyName, KeyStore};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P384_SHA384, PublicKeyData, SignatureAlgorithm, date_time_ymd,
};
use rustls::pki_types::CertificateDer;
use tokio::sync::watch;

use super::{Clock, Identity, Membership, MembershipReader, TlsIdentity, handshake, spki_digest, tls};

/// The time of all tests, within every certificate's validity (January 2027).
pub(crate) const NOW: UnixSeconds = UnixSeconds(1_800_000_000);

pub(crate) struct Consortium {
    pub(crate) root: CertificateDer<'static>,
    pub(crate) issuing: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
    pub(crate) hubs: Vec<TestHub>,
    pub(crate) roster: RosterBody,
}

pub(crate) struct TestHub {
    pub(crate) id: HubId,
    pub(crate) keys: Arc<dyn KeyStore>,
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: SpkiDigest,
    _directory: tempfile::TempDir,
}

pub(crate) fn name(name: &str) -> KeyName {
    KeyName::new(name).unwrap()
}

pub(crate) fn clock() -> Clock {
    Arc::new(|| NOW)
}

impl Consortium {
    /// `n` active hubs named `hub-0.example` and so on.
    pub(crate) fn found(n: u8) -> Self {
        let root_key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
        let root_params = ca_params("root");
        let root = root_params.self_signed(&root_key).unwrap().der().clone();
        let root_issuer = Issuer::new(root_params, root_key);
        let issuing_key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
        let issuing_params = ca_params("issuing");
        let issuing = issuing_params.signed_by(&issuing_key, &root_issuer).unwrap().der().clone();
        let issuer = Issuer::new(issuing_params, issuing_key);
        let roster = founding_roster(super::membership::sha256(&root));
        let mut this = Self { root, issuing, issuer, hubs: Vec::new(), roster };
        for index in 0..n {
            this.enrol(index);
        }
        this
    }

    /// Makes a hub and enters it into the roster.
    pub(crate) fn enrol(&mut self, index: u8) {
        let directory = tempfile::tempdir().unwrap();
        let keys = FileKeyStore::open(directory.path().join("keys")).unwrap();
        let tls_key = keys.generate_p384(&name("tls")).unwrap();
        let authentication_key = keys.generate_ml_dsa_65(&name("auth")).unwrap();
        let domain = format!("hub-{index}.example");
        let chain = vec![self.issue(&hub_params(&domain), tls_key.as_bytes()), self.issuing.clone()];
        let key = spki_digest(&chain[0]).unwrap();
        let id = HubId([index + 1; 16]);
        self.roster.hubs.push(HubEntry {
            id,
            country: Country::parse("AT").unwrap(),
            jurisdiction: Country::parse("AT").unwrap(),
            domain,
            status: HubStatus::Active,
            roles: BTreeSet::new(),
            tls_keys: vec![key],
            authentication_key,
            logs: vec![],
            encryption_keys: vec![],
            recovery_key: [0; 1665].into(),
            endpoints: vec![],
            pq: PqCustody::Software,
        });
        self.hubs.push(TestHub { id, keys: Arc::new(keys), chain, key, _directory: directory });
    }

    /// A certificate for a P-384 point, by the issuing CA.
    pub(crate) fn issue(&self, params: &CertificateParams, point: &[u8]) -> CertificateDer<'static> {
        params.signed_by(&Point(point.to_vec()), &self.issuer).unwrap().der().clone()
    }

    /// A snapshot of the roster as it stands in `self`, under a digest made of its version.
    pub(crate) fn membership(&self) -> Membership {
        self.membership_of(&self.roster, ConsortiumId([7; 32]))
    }

    pub(crate) fn membership_of(&self, roster: &RosterBody, consortium: ConsortiumId) -> Membership {
        let mut digest = [9; 32];
        digest[..8].copy_from_slice(&roster.version.0.to_be_bytes());
        Membership::new(consortium, RosterDigest(digest), roster, &self.root).unwrap()
    }

    pub(crate) fn reader(&self) -> (watch::Sender<Arc<Membership>>, MembershipReader) {
        watch::channel(Arc::new(self.membership()))
    }

    pub(crate) fn identity(&self, hub: usize) -> Identity {
        let hub = &self.hubs[hub];
        Identity {
            hub: hub.id,
            tls: TlsIdentity { chain: hub.chain.clone(), keys: hub.keys.clone(), key: name("tls") },
            keys: hub.keys.clone(),
            authentication_key: name("auth"),
        }
    }

    pub(crate) fn set_endpoint(&mut self, hub: usize, address: SocketAddr) {
        self.roster.hubs[hub].endpoints =
            vec![Endpoint { network: "internet".into(), host: address.ip().to_string(), port: address.port() }];
    }

    /// The handshaker of a hub that believes in `membership`.
    pub(crate) fn handshaker(&self, hub: usize, membership: Membership) -> handshake::Handshaker {
        // The last value stays readable when the sender is gone.
        let (_, reader) = watch::channel(Arc::new(membership));
        let identity = self.identity(hub);
        handshake::Handshaker {
            own_key: identity.tls.spki_digest().unwrap(),
            configs: tls::TlsConfigs::new(&identity.tls, reader.clone(), clock()).unwrap(),
            membership: reader,
            hub: identity.hub,
            keys: identity.keys,
            authentication_key: identity.authentication_key,
            verifier: Arc::new(cresset_crypto::Verifier),
        }
    }
}

/// The hub profile; tests spoil one field at a time.
pub(crate) fn hub_params(domain: &str) -> CertificateParams {
    let mut params = dated(CertificateParams::new(vec![domain.to_owned()]).unwrap());
    params.distinguished_name.push(DnType::CommonName, domain);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    params
}

fn ca_params(common_name: &str) -> CertificateParams {
    let mut params = dated(CertificateParams::new(vec![]).unwrap());
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn dated(mut params: CertificateParams) -> CertificateParams {
    params.not_before = date_time_ymd(2026, 1, 1);
    params.not_after = date_time_ymd(2028, 1, 1);
    params
}

fn founding_roster(root_certificate: [u8; 32]) -> RosterBody {
    RosterBody {
        version: RosterVersion(5),
        name: "test".into(),
        nonce: [1; 32],
        consortium: Some(ConsortiumId([7; 32])),
        predecessors: vec![],
        issued: NOW,
        expires: UnixSeconds(NOW.0 + 1_000_000),
        officers: vec![],
        quorum: 2,
        suites: vec![Suite::Hybrid2026],
        root_certificate,
        hubs: vec![],
        groups: vec![],
        policy: None,
        versions: VersionRange { min: 1, max: 1 },
        exceptions: vec![],
    }
}

struct Point(Vec<u8>);

impl PublicKeyData for Point {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P384_SHA384
    }
}
