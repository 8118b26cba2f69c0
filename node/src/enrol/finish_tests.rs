//! From a request to an enrolled hub, with a welcome that is right, and with one thing wrong in it at a time.

use cresset_crypto::{EncryptionKeyPair, encryption_key_id, hpke_seal};
use cresset_protocol::codec;
use cresset_protocol::ids::{Country, HubId, RosterVersion, UnixSeconds};
use cresset_protocol::limits::ROSTER_GRACE_SECONDS;
use cresset_protocol::membership::chain::RosterFile;
use cresset_protocol::membership::digest::{consortium_id, p384_spki_digest, roster_digest, roster_signing_bytes};
use cresset_protocol::membership::enrolment::CheckedRequest;
use cresset_protocol::membership::roster::{
    HubEntry, HubStatus, Officer, PqCustody, RosterBody, RosterSignature, SignedRoster, VersionRange,
};
use cresset_protocol::membership::welcome::{CertificateDer, Welcome, WelcomeContent};
use cresset_protocol::signing::{OfficerKeys, OfficerSignatures};
use cresset_protocol::suite::Suite;
use cresset_token::{FileConfig, FileKeyStore, KeyName, KeyStore, KeyStoreConfig};

use super::EnrolError;
use super::finish::finish;
use super::request::{Order, designation, endpoint, make};
use crate::config::{Api, Config, Log, Metrics, Network, Storage};
use crate::home::Home;
use crate::transport::fixture::{Consortium, NOW, hub_params};

const DOMAIN: &str = "at.hub.example";
const ROLE: &str = "officer-1";
/// The officers decide an hour after the request.
const LATER: UnixSeconds = UnixSeconds(NOW.0 + 3_600);

/// A consortium of one officer, and a hub that has made its request.
struct Scene {
    home: Home,
    keys: FileKeyStore,
    authority: Consortium,
    officer: FileKeyStore,
    founding: RosterBody,
    request: CheckedRequest,
    _directory: tempfile::TempDir,
}

/// What the officers put together, open to be spoilt.
struct Bundle {
    entry: HubEntry,
    body: RosterBody,
    certificates: Vec<Vec<u8>>,
}

fn name(name: &str) -> KeyName {
    KeyName::new(name).unwrap()
}

fn scene() -> Scene {
    let directory = tempfile::tempdir().unwrap();
    let authority = Consortium::found(0);
    let officer = FileKeyStore::open(directory.path().join("officer")).unwrap();
    let officer_keys = OfficerKeys {
        p384: officer.generate_p384(&name("officer-p384")).unwrap(),
        ml_dsa_87: officer.generate_ml_dsa_87(&name("officer-ml-dsa")).unwrap(),
    };
    let encryption = EncryptionKeyPair::generate().unwrap().public().clone();
    let founding = RosterBody {
        version: RosterVersion(0),
        name: "Test".into(),
        nonce: [7; 32],
        consortium: None,
        predecessors: Vec::new(),
        issued: NOW,
        expires: UnixSeconds(NOW.0 + 365 * 86_400),
        officers: vec![Officer { role: ROLE.into(), keys: officer_keys, encryption }],
        quorum: 1,
        suites: vec![Suite::Hybrid2026],
        root_certificate: authority.roster.root_certificate,
        hubs: Vec::new(),
        groups: Vec::new(),
        policy: None,
        versions: VersionRange { min: 1, max: 1 },
        exceptions: Vec::new(),
    };
    let config = Config {
        data_dir: directory.path().join("data"),
        keys: KeyStoreConfig::File(FileConfig { directory: directory.path().join("hub") }),
        network: Network::default(),
        api: Api::default(),
        metrics: Metrics::default(),
        log: Log::default(),
        storage: Storage::default(),
    };
    let home = Home::new(&config);
    home.create().unwrap();
    home.set_consortium(&consortium_id(&codec::encode(&founding))).unwrap();
    let keys = FileKeyStore::open(directory.path().join("hub")).unwrap();
    let (_, request) = make(&home, &keys, order(), NOW).unwrap();
    Scene { home, keys, authority, officer, founding, request, _directory: directory }
}

fn order() -> Order {
    Order {
        country: Country::parse("AT").unwrap(),
        jurisdiction: Country::parse("AT").unwrap(),
        domain: DOMAIN.into(),
        endpoints: vec![endpoint("at.hub.example:7443").unwrap()],
        designation: designation(b"the act"),
        recovery_key: EncryptionKeyPair::generate().unwrap().public().clone(),
    }
}

impl Scene {
    fn sign(&self, body: &RosterBody) -> SignedRoster {
        let bytes = codec::encode(body);
        let consortium = consortium_id(&codec::encode(&self.founding));
        let message = roster_signing_bytes(&consortium, body.version, &roster_digest(&bytes));
        let signatures = OfficerSignatures {
            p384: self.officer.sign_p384(&name("officer-p384"), &message).unwrap(),
            ml_dsa_87: self.officer.sign_ml_dsa_87(&name("officer-ml-dsa"), &message).unwrap(),
        };
        SignedRoster { body: bytes, signatures: vec![RosterSignature { role: ROLE.into(), signatures }] }
    }

    fn bundle(&self) -> Bundle {
        let founding = codec::encode(&self.founding);
        let body = RosterBody {
            version: RosterVersion(1),
            consortium: Some(consortium_id(&founding)),
            predecessors: vec![roster_digest(&founding)],
            issued: LATER,
            ..self.founding.clone()
        };
        let leaf = self.authority.issue(&hub_params(DOMAIN), self.request.body().tls_key.as_bytes());
        let certificates = [&leaf, &self.authority.issuing, &self.authority.root].map(|der| der.to_vec()).to_vec();
        Bundle { entry: self.request.to_hub_entry(), body, certificates }
    }

    fn welcome(&self, bundle: Bundle) -> Welcome {
        let body = RosterBody { hubs: vec![bundle.entry], ..bundle.body };
        let rosters = RosterFile { rosters: vec![self.sign(&self.founding), self.sign(&body)] };
        let certificates = bundle.certificates.into_iter().map(CertificateDer).collect();
        let content = WelcomeContent { certificates, rosters };
        let asked = self.request.body();
        let recipient = &asked.encryption_keys[0].key;
        let (consortium, hub, key) = (asked.consortium, asked.hub, encryption_key_id(recipient));
        let info = Welcome::info(Suite::Hybrid2026, &consortium, &hub, &key);
        Welcome { consortium, hub, key, sealed: hpke_seal(recipient, &info, &[], &content.to_bytes()).unwrap() }
    }

    /// Finishes with a bundle in which one thing is wrong.
    fn refused(&self, spoil: impl FnOnce(&mut Bundle)) -> EnrolError {
        let mut bundle = self.bundle();
        spoil(&mut bundle);
        let error = finish(&self.home, &self.keys, &self.welcome(bundle).to_bytes(), LATER).unwrap_err();
        assert!(self.home.certificates().is_err(), "something was stored in spite of {error}");
        error
    }
}

#[test]
fn a_request_and_its_welcome_make_a_member() {
    let scene = scene();
    let welcome = scene.welcome(scene.bundle()).to_bytes();
    let roster = finish(&scene.home, &scene.keys, &welcome, LATER).unwrap();
    assert_eq!((roster.version().0, roster.active_hubs().count()), (1, 1));
    assert_eq!(scene.home.certificates().unwrap().chain.len(), 2);
    // Again, as after a lost answer: nothing changes.
    assert_eq!(finish(&scene.home, &scene.keys, &welcome, LATER).unwrap().digest(), roster.digest());
}

#[test]
fn a_second_request_uses_the_same_identity_and_keys() {
    let scene = scene();
    let (_, again) = make(&scene.home, &scene.keys, order(), LATER).unwrap();
    let (first, again) = (scene.request.body(), again.body());
    assert_eq!((first.hub, &first.log_manifest), (again.hub, &again.log_manifest));
    assert_eq!((&first.tls_key, &first.encryption_keys), (&again.tls_key, &again.encryption_keys));
    let other = Order { domain: "lu.hub.example".into(), ..order() };
    assert!(matches!(make(&scene.home, &scene.keys, other, LATER), Err(EnrolError::OtherDomain { .. })));
    scene.keys.destroy(&name("log-p384")).unwrap();
    scene.keys.generate_p384(&name("log-p384")).unwrap();
    assert!(matches!(make(&scene.home, &scene.keys, order(), LATER), Err(EnrolError::OtherLogKeys(_))));
}

#[test]
fn a_roster_that_lists_something_else_is_refused() {
    let scene = scene();
    let stranger = FileKeyStore::open(scene._directory.path().join("stranger")).unwrap();
    let tls = p384_spki_digest(&stranger.generate_p384(&name("tls")).unwrap());
    let authentication = stranger.generate_ml_dsa_65(&name("auth")).unwrap();
    let encryption = EncryptionKeyPair::generate().unwrap().public().clone();
    let mismatch = |spoil: &dyn Fn(&mut HubEntry)| match scene.refused(|bundle| spoil(&mut bundle.entry)) {
        EnrolError::Mismatch(what) => what,
        error => panic!("{error}"),
    };
    assert_eq!(mismatch(&|entry| entry.tls_keys = vec![tls]), "TLS key");
    // Ours and another: somebody else could speak for this hub.
    let and_another = |entry: &mut HubEntry| {
        entry.tls_keys.push(tls);
        entry.tls_keys.sort_unstable();
    };
    assert_eq!(mismatch(&and_another), "TLS key");
    assert_eq!(mismatch(&|entry| entry.authentication_key = authentication.clone()), "authentication key");
    assert_eq!(mismatch(&|entry| entry.encryption_keys[0].key = encryption.clone()), "encryption key");
    assert_eq!(mismatch(&|entry| entry.logs[0].id.0[0] ^= 1), "log");
    // With the origin alone changed the roster itself is invalid.
    let elsewhere = |entry: &mut HubEntry| {
        entry.domain = "lu.hub.example".into();
        entry.logs[0].origin = "lu.hub.example/prov/1".into();
    };
    assert_eq!(mismatch(&elsewhere), "domain");
    assert_eq!(mismatch(&|entry| entry.pq = PqCustody::Token), "custody of post-quantum keys");
}

#[test]
fn a_hub_that_is_not_active_is_no_member() {
    let scene = scene();
    let suspended = scene.refused(|bundle| bundle.entry.status = HubStatus::Suspended);
    assert!(matches!(suspended, EnrolError::NotActive(_)), "{suspended}");
    let other = scene.refused(|bundle| bundle.entry.id = HubId([9; 16]));
    assert!(matches!(other, EnrolError::NotActive(_)), "{other}");
}

#[test]
fn an_expired_roster_is_refused() {
    let scene = scene();
    let mut bundle = scene.bundle();
    bundle.body.expires = UnixSeconds(LATER.0 + 1);
    let welcome = scene.welcome(bundle).to_bytes();
    // Within its grace a roster still counts.
    let long_after = UnixSeconds(LATER.0 + 2 + ROSTER_GRACE_SECONDS);
    let expired = finish(&scene.home, &scene.keys, &welcome, long_after).unwrap_err();
    assert!(matches!(expired, EnrolError::Expired(_)), "{expired}");
}

#[test]
fn an_unsigned_change_of_the_roster_is_refused() {
    let scene = scene();
    let error = scene.refused(|bundle| bundle.body.nonce = [8; 32]);
    assert!(matches!(error, EnrolError::Chain(_)), "{error}");
}

#[test]
fn certificates_that_peers_would_refuse_are_refused() {
    let scene = scene();
    let key = scene.request.body().tls_key.as_bytes().to_vec();
    let leaf = |domain: &str, point: &[u8]| scene.authority.issue(&hub_params(domain), point).to_vec();
    let stranger = FileKeyStore::open(scene._directory.path().join("stranger")).unwrap();
    let foreign = stranger.generate_p384(&name("tls")).unwrap();
    let elsewhere = Consortium::found(0);

    let error = scene.refused(|bundle| bundle.certificates[0] = leaf("lu.hub.example", &key));
    assert!(matches!(error, EnrolError::Certificate(_)), "{error}");
    let error = scene.refused(|bundle| bundle.certificates[0] = leaf(DOMAIN, foreign.as_bytes()));
    assert!(matches!(error, EnrolError::Mismatch("TLS key in the certificate")), "{error}");
    let error = scene.refused(|bundle| bundle.certificates[0] = elsewhere.issue(&hub_params(DOMAIN), &key).to_vec());
    assert!(matches!(error, EnrolError::Certificate(_)), "{error}");
    let error = scene.refused(|bundle| bundle.certificates[2] = elsewhere.root.to_vec());
    assert!(matches!(error, EnrolError::Membership(_)), "{error}");
    let error = scene.refused(|bundle| drop(bundle.certificates.pop()));
    assert!(matches!(error, EnrolError::CertificateCount(2)), "{error}");
}

#[test]
fn a_welcome_for_somebody_else_is_refused() {
    let scene = scene();
    let refused = |spoil: &dyn Fn(&mut Welcome)| {
        let mut welcome = scene.welcome(scene.bundle());
        spoil(&mut welcome);
        finish(&scene.home, &scene.keys, &welcome.to_bytes(), LATER).unwrap_err()
    };
    assert!(matches!(refused(&|welcome| welcome.consortium.0[0] ^= 1), EnrolError::OtherConsortium { .. }));
    assert!(matches!(refused(&|welcome| welcome.hub.0[0] ^= 1), EnrolError::OtherHub { .. }));
    assert!(matches!(refused(&|welcome| welcome.key.0[0] ^= 1), EnrolError::NoSuchKey(_)));
    assert!(matches!(refused(&|welcome| *welcome.sealed.last_mut().unwrap() ^= 1), EnrolError::Hpke(_)));
    assert!(matches!(finish(&scene.home, &scene.keys, b"welcome", LATER), Err(EnrolError::Codec(_))));
}
