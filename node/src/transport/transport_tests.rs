//! Handshakes over real TLS: in memory, and against OpenSSL over loopback TCP.

use std::process::{Command, Stdio};

use cresset_protocol::ids::RosterVersion;
use cresset_protocol::limits::HELLO_FRAME_BYTES_MAX;
use cresset_protocol::membership::roster::HubStatus;
use futures::AsyncWriteExt;
use futures_rustls::{TlsConnector, TlsStream};
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose, date_time_ymd};
use rustls::ClientConfig;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{self, kx_group};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio::io::{DuplexStream, duplex};
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt};

use super::fixture::{Consortium, NOW, hub_params, name};
use super::handshake::Handshaker;
use super::signer::TokenKey;
use super::verifier::PeerVerifier;
use super::*;

type Wire = Compat<DuplexStream>;
type Outcome = Result<(Authenticated, TlsStream<Wire>), HandshakeError>;

fn wire() -> (Wire, Wire) {
    let (a, b) = duplex(64 << 10);
    (a.compat(), b.compat())
}

async fn meet(dialer: &Handshaker, listener: &Handshaker) -> (Outcome, Outcome) {
    let (a, b) = wire();
    tokio::join!(dialer.run(a, Role::Dialer), listener.run(b, Role::Listener))
}

impl Handshaker {
    async fn run<S>(&self, stream: S, role: Role) -> Result<(Authenticated, TlsStream<S>), HandshakeError>
    where
        S: futures::AsyncRead + futures::AsyncWrite + Unpin + Send,
    {
        match role {
            Role::Dialer => self.dial(stream).await,
            Role::Listener => self.answer(self.client_hello(stream).await?).await,
        }
    }
}

fn group_of(tls: &TlsStream<Wire>) -> u16 {
    tls.get_ref().1.negotiated_key_exchange_group().unwrap().name().into()
}

/// The whole chain of causes, as an operator would read it.
fn words(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

fn refused(outcome: Outcome) -> String {
    match outcome {
        Ok((peer, _)) => panic!("accepted {peer:?}"),
        Err(error) => words(&error),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hubs_authenticate_over_the_hybrid_group() {
    let consortium = Consortium::found(2);
    let (dialer, listener) =
        (consortium.handshaker(0, consortium.membership()), consortium.handshaker(1, consortium.membership()));
    let (a, b) = meet(&dialer, &listener).await;
    let ((peer_of_a, tls_a), (peer_of_b, tls_b)) = (a.unwrap(), b.unwrap());
    assert_eq!((peer_of_a.hub, peer_of_b.hub), (consortium.hubs[1].id, consortium.hubs[0].id));
    assert!(!peer_of_a.limited && !peer_of_b.limited);
    assert_eq!((group_of(&tls_a), group_of(&tls_b)), (kx::GROUP_CODE, kx::GROUP_CODE));
    assert_eq!(kx::GROUP_CODE, 0x11ed);
    let cipher = tls_a.get_ref().1.negotiated_cipher_suite().unwrap().suite();
    assert_eq!(cipher, rustls::CipherSuite::TLS13_AES_256_GCM_SHA384);
}

/// A member with valid keys and certificate whose TLS offers other groups.
async fn dial_with_groups(groups: Vec<&'static dyn rustls::crypto::SupportedKxGroup>) -> String {
    let consortium = Consortium::found(2);
    let listener = consortium.handshaker(1, consortium.membership());
    let identity = consortium.identity(0);
    let key = CertifiedKey::new(identity.tls.chain, Arc::new(TokenKey::new(identity.tls.keys, name("tls"))));
    let provider = CryptoProvider { kx_groups: groups, ..aws_lc_rs::default_provider() };
    let (_sender, reader) = consortium.reader();
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(PeerVerifier::new(reader))
        .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(key)));
    config.alpn_protocols = vec![ALPN.to_vec()];
    let (a, b) = wire();
    let dialling = TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("hub.invalid").unwrap(), a);
    let (dialled, listened) = tokio::join!(dialling, listener.run(b, Role::Listener));
    assert!(dialled.is_err());
    refused(listened)
}

#[tokio::test(flavor = "multi_thread")]
async fn classical_and_other_hybrid_groups_are_refused() {
    for groups in [
        vec![kx_group::X25519, kx_group::SECP256R1, kx_group::SECP384R1],
        vec![kx_group::X25519MLKEM768],
        vec![kx_group::MLKEM1024],
    ] {
        let text = dial_with_groups(groups).await;
        assert!(text.contains("NoKxGroupsInCommon"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn openssl_cannot_complete_a_handshake() {
    if Command::new("openssl").arg("version").stdout(Stdio::null()).status().is_err() {
        eprintln!("skipped: there is no `openssl` here");
        return;
    }
    let consortium = Consortium::found(2);
    let listener = consortium.handshaker(1, consortium.membership());
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap().to_string();
    for version in ["-tls1_3", "-tls1_2"] {
        let address = address.clone();
        let client = tokio::task::spawn_blocking(move || {
            let arguments = ["s_client", "-connect", &address, version, "-alpn", "cresset/1"];
            Command::new("openssl").args(arguments).stdin(Stdio::null()).output().unwrap()
        });
        let (stream, _) = socket.accept().await.unwrap();
        assert!(listener.run(stream.compat(), Role::Listener).await.is_err(), "{version}");
        let output = client.await.unwrap();
        assert!(!output.status.success(), "{version}");
        assert!(String::from_utf8_lossy(&output.stdout).contains("(NONE)"), "{version}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_the_roster_does_not_list_is_refused() {
    let mut consortium = Consortium::found(3);
    let stranger = consortium.handshaker(2, consortium.membership());
    consortium.roster.hubs.truncate(2);
    let listener = consortium.handshaker(1, consortium.membership());
    let (_, listened) = meet(&stranger, &listener).await;
    assert!(refused(listened).contains("not in the roster"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_hub_is_refused_on_both_sides() {
    let mut consortium = Consortium::found(2);
    let removed = consortium.handshaker(0, consortium.membership());
    consortium.roster.hubs[0].status = HubStatus::Removed;
    let member = consortium.handshaker(1, consortium.membership());
    let (_, listened) = meet(&removed, &member).await;
    assert!(refused(listened).contains("removed"));
    let (dialled, _) = meet(&member, &removed).await;
    assert!(refused(dialled).contains("removed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_departure_from_the_certificate_profile_is_refused() {
    type Spoil = fn(&mut CertificateParams);
    let cases: [(Spoil, &str); 8] = [
        (|p| p.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained), "a CA's"),
        (
            |p| p.subject_alt_names = CertificateParams::new(vec!["other.example".into()]).unwrap().subject_alt_names,
            "domain",
        ),
        (|p| p.subject_alt_names.extend(p.subject_alt_names.clone()), "domain"),
        (|p| p.not_after = date_time_ymd(2026, 2, 1), "not in force"),
        (|p| p.not_before = date_time_ymd(2027, 12, 1), "not in force"),
        (|p| drop(p.extended_key_usages.pop()), "extended key usage"),
        (|p| p.extended_key_usages.push(ExtendedKeyUsagePurpose::CodeSigning), "extended key usage"),
        (|p| p.key_usages.push(KeyUsagePurpose::KeyCertSign), "key usage"),
    ];
    for (spoil, expected) in cases {
        let mut consortium = Consortium::found(2);
        let mut params = hub_params("hub-0.example");
        spoil(&mut params);
        let point = consortium.hubs[0].keys.p384(&name("tls")).unwrap();
        consortium.hubs[0].chain[0] = consortium.issue(&params, point.as_bytes());
        let (dialer, listener) =
            (consortium.handshaker(0, consortium.membership()), consortium.handshaker(1, consortium.membership()));
        let (_, listened) = meet(&dialer, &listener).await;
        let text = refused(listened);
        assert!(text.contains(expected), "`{expected}` not in `{text}`");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_to_another_root_or_without_its_issuer_is_refused() {
    let mut consortium = Consortium::found(2);
    let rogue = Consortium::found(1);
    let listener = consortium.handshaker(1, consortium.membership());
    let point = consortium.hubs[0].keys.p384(&name("tls")).unwrap();
    let forged = vec![rogue.issue(&hub_params("hub-0.example"), point.as_bytes()), rogue.issuing.clone()];
    let alone = vec![consortium.hubs[0].chain[0].clone()];
    let surplus: Vec<CertificateDer<'static>> =
        consortium.hubs[0].chain.iter().cloned().chain((0..4).map(|_| consortium.issuing.clone())).collect();
    for (chain, expected) in [(forged, "root"), (alone, "root"), (surplus, "too long")] {
        consortium.hubs[0].chain = chain;
        let dialer = consortium.handshaker(0, consortium.membership());
        let (_, listened) = meet(&dialer, &listener).await;
        let text = refused(listened);
        assert!(text.contains(expected), "`{expected}` not in `{text}`");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_authentication_key_is_refused_and_the_dialer_learns_why() {
    let mut consortium = Consortium::found(2);
    let dialer = consortium.handshaker(0, consortium.membership());
    // The TLS key was stolen, the authentication key was not.
    consortium.roster.hubs[0].authentication_key = consortium.roster.hubs[1].authentication_key.clone();
    let listener = consortium.handshaker(1, consortium.membership());
    let (dialled, listened) = meet(&dialer, &listener).await;
    assert!(refused(listened).contains("does not verify"));
    assert!(refused(dialled).contains("the peer refuses: our keys are not those of its roster"));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_consortium_is_refused() {
    let consortium = Consortium::found(2);
    let elsewhere = consortium.membership_of(&consortium.roster, cresset_protocol::ids::ConsortiumId([8; 32]));
    let dialer = consortium.handshaker(0, elsewhere);
    let listener = consortium.handshaker(1, consortium.membership());
    let (dialled, listened) = meet(&dialer, &listener).await;
    assert!(refused(listened).contains("consortium"));
    assert!(refused(dialled).contains("consortium"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_roster_gives_a_limited_session_on_both_sides() {
    let mut consortium = Consortium::found(2);
    let stale = consortium.handshaker(0, consortium.membership());
    consortium.roster.version = RosterVersion(6);
    let current = consortium.handshaker(1, consortium.membership());
    let (a, b) = meet(&stale, &current).await;
    let (a, b) = (a.unwrap().0, b.unwrap().0);
    assert_eq!((a.roster, a.limited), (RosterRelation::PeerAhead, true));
    assert_eq!((b.roster, b.limited), (RosterRelation::PeerBehind, true));
}

/// A connection that says nothing is dropped long before the limit of a handshake, and takes no place meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_silent_connection_takes_no_place_and_ends_soon() {
    let consortium = Consortium::found(2);
    let listener = consortium.handshaker(1, consortium.membership());
    let places = places::Places::new();
    let endpoint = ConnectedPoint::Listener {
        local_addr: "/ip4/192.0.2.1/tcp/1".parse().unwrap(),
        send_back_addr: "/ip4/192.0.2.2/tcp/2".parse().unwrap(),
    };
    let start = std::time::Instant::now();
    let (_silent, stream) = wire();
    let outcome = authenticate(&listener, &places, stream, &endpoint).await;
    assert!(matches!(outcome, Err(HandshakeError::TimedOut)));
    assert!(start.elapsed() < Duration::from_secs(HANDSHAKE_SECONDS_MAX));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_oversized_hello_frame_is_refused_before_it_is_read() {
    let consortium = Consortium::found(2);
    let (dialer, listener) =
        (consortium.handshaker(0, consortium.membership()), consortium.handshaker(1, consortium.membership()));
    let (a, b) = wire();
    let dialling = async {
        let name = ServerName::try_from("hub.invalid").unwrap();
        let mut tls = TlsConnector::from(dialer.configs.client.clone()).connect(name, a).await.unwrap();
        let _ = tls.write_all(&(HELLO_FRAME_BYTES_MAX as u32 + 1).to_be_bytes()).await;
        let _ = tls.flush().await;
        tls
    };
    let (_tls, listened) = tokio::join!(dialling, listener.run(b, Role::Listener));
    assert!(matches!(listened, Err(HandshakeError::FrameTooLarge { length }) if length == HELLO_FRAME_BYTES_MAX + 1));
}

#[test]
fn an_identity_whose_certificate_is_for_another_key_is_refused_at_start() {
    let consortium = Consortium::found(2);
    let mut identity = consortium.identity(0).tls;
    identity.chain = consortium.hubs[1].chain.clone();
    let (_sender, reader) = consortium.reader();
    let built = tls::TlsConfigs::new(&identity, reader.clone(), Arc::new(|| NOW));
    assert!(matches!(built, Err(TlsError::KeyMismatch)));
    identity.chain.clear();
    assert!(matches!(tls::TlsConfigs::new(&identity, reader, Arc::new(|| NOW)), Err(TlsError::NoCertificate)));
}

#[test]
fn a_peer_id_is_the_multihash_of_the_key() {
    let key = cresset_protocol::ids::SpkiDigest([5; 32]);
    let peer = peer_id(&key);
    assert_eq!(peer.to_bytes(), [&[0x12, 0x20][..], &[5; 32]].concat());
    assert_eq!(key_of_peer(&peer), Some(key));
}

#[test]
fn a_root_that_the_roster_does_not_name_is_refused() {
    let consortium = Consortium::found(1);
    let other = Consortium::found(0);
    let digest = cresset_protocol::ids::RosterDigest([0; 32]);
    let built = Membership::new(cresset_protocol::ids::ConsortiumId([7; 32]), digest, &consortium.roster, &other.root);
    assert!(matches!(built, Err(MembershipError::WrongRoot)));
}
