//! The TLS between hubs: version 1.3, group SecP384r1MLKEM1024, AES-256-GCM-SHA384, client certificates; nothing else.
//!
//! Deliberately absent: resumption, tickets, early data, SNI, key logs, any second group or cipher.

use std::fmt;
use std::sync::Arc;

use cresset_protocol::ids::{SpkiDigest, UnixSeconds};
use cresset_protocol::membership::digest::p384_spki;
use cresset_token::keystore::{KeyName, KeyStore};
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{cipher_suite, default_provider};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::NoServerSessionStorage;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, ServerConfig, version};

use super::kx;
use super::membership::{MembershipReader, sha256};
use super::signer::TokenKey;
use super::verifier::{PeerVerifier, SIGNATURE_ALGORITHMS};

/// Fixes the protocol and its version in the TLS handshake, so that nothing is negotiated inside or around it.
pub const ALPN: &[u8] = b"cresset/1";

/// Where the transport gets the time from.
pub type Clock = Arc<dyn Fn() -> UnixSeconds + Send + Sync>;

/// A hub's TLS identity: certificate chain, leaf first and without the root, and the token key behind the leaf.
#[derive(Clone)]
pub struct TlsIdentity {
    /// Certificates in DER.
    pub chain: Vec<CertificateDer<'static>>,
    /// Holder of the key.
    pub keys: Arc<dyn KeyStore>,
    /// Name of the key in the store.
    pub key: KeyName,
}

impl TlsIdentity {
    /// SHA-256 of the leaf's SubjectPublicKeyInfo; names the peer.
    ///
    /// # Errors
    /// [`TlsError::NoCertificate`] or [`TlsError::BadCertificate`].
    pub fn spki_digest(&self) -> Result<SpkiDigest, TlsError> {
        spki_digest(self.chain.first().ok_or(TlsError::NoCertificate)?)
    }
}

/// SHA-256 of a certificate's SubjectPublicKeyInfo in DER.
///
/// # Errors
/// [`TlsError::BadCertificate`] if it does not parse.
pub fn spki_digest(certificate: &CertificateDer<'_>) -> Result<SpkiDigest, TlsError> {
    let certificate = webpki::EndEntityCert::try_from(certificate).map_err(|_| TlsError::BadCertificate)?;
    Ok(SpkiDigest(sha256(&certificate.subject_public_key_info())))
}

/// The configurations of both roles.
#[derive(Clone)]
pub(crate) struct TlsConfigs {
    pub(crate) client: Arc<ClientConfig>,
    pub(crate) server: Arc<ServerConfig>,
}

impl TlsConfigs {
    pub(crate) fn new(identity: &TlsIdentity, membership: MembershipReader, clock: Clock) -> Result<Self, TlsError> {
        check_key_matches(identity)?;
        let provider = Arc::new(provider());
        let time: Arc<dyn TimeProvider> = Arc::new(ClockTime(clock));
        let key = TokenKey::new(identity.keys.clone(), identity.key.clone());
        let certified = Arc::new(SingleCertAndKey::from(CertifiedKey::new(identity.chain.clone(), Arc::new(key))));
        let verifier = PeerVerifier::new(membership);

        let mut client = ClientConfig::builder_with_details(provider.clone(), time.clone())
            .with_protocol_versions(&[&version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(verifier.clone())
            .with_client_cert_resolver(certified.clone());
        client.alpn_protocols = vec![ALPN.to_vec()];
        client.resumption = Resumption::disabled();
        client.enable_sni = false;

        let mut server = ServerConfig::builder_with_details(provider, time)
            .with_protocol_versions(&[&version::TLS13])?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(certified);
        server.alpn_protocols = vec![ALPN.to_vec()];
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        server.max_early_data_size = 0;
        Ok(Self { client: Arc::new(client), server: Arc::new(server) })
    }
}

fn provider() -> CryptoProvider {
    CryptoProvider {
        cipher_suites: vec![cipher_suite::TLS13_AES_256_GCM_SHA384],
        kx_groups: vec![kx::SECP384R1_MLKEM1024],
        signature_verification_algorithms: SIGNATURE_ALGORITHMS,
        ..default_provider()
    }
}

/// A certificate for another key would only fail at the peer, with an error that helps nobody.
fn check_key_matches(identity: &TlsIdentity) -> Result<(), TlsError> {
    let leaf = identity.chain.first().ok_or(TlsError::NoCertificate)?;
    let leaf = webpki::EndEntityCert::try_from(leaf).map_err(|_| TlsError::BadCertificate)?;
    let key = identity.keys.p384(&identity.key).map_err(|_| TlsError::NoKey(identity.key.as_str().into()))?;
    if *leaf.subject_public_key_info() == *p384_spki(&key) { Ok(()) } else { Err(TlsError::KeyMismatch) }
}

struct ClockTime(Clock);

impl TimeProvider for ClockTime {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(std::time::Duration::from_secs((self.0)().0)))
    }
}

impl fmt::Debug for ClockTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClockTime")
    }
}

/// Why a TLS identity is unusable.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The chain is empty.
    #[error("there is no TLS certificate")]
    NoCertificate,
    /// The leaf does not parse.
    #[error("the TLS certificate cannot be parsed")]
    BadCertificate,
    /// The store has no such key, or does not answer.
    #[error("the key store has no usable key `{0}`")]
    NoKey(String),
    /// The certificate is for another key.
    #[error("the TLS certificate is not for the key in the key store")]
    KeyMismatch,
    /// rustls refused the configuration.
    #[error("the TLS configuration is inconsistent")]
    Config(#[from] rustls::Error),
}
