//! Judges the peer's certificate, the same way on both sides of a connection.

use std::fmt;
use std::sync::Arc;

use cresset_protocol::ids::SpkiDigest;
use cresset_protocol::limits::CERTIFICATE_CHAIN_MAX;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, SignatureVerificationAlgorithm, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, PeerIncompatible, SignatureScheme,
};
use webpki::{EndEntityCert, KeyUsage};

use super::membership::{MembershipReader, sha256};
use super::profile::{self, ProfileError};

/// Chain to the consortium's root, certificate profile, and the roster: whose key is it, and may that hub connect.
///
/// Every connection is judged against the snapshot of its moment. The server name that rustls passes is ignored: the
/// roster, not the dialled name, says which domain the certificate must carry.
pub(crate) struct PeerVerifier {
    membership: MembershipReader,
}

/// ECDSA on P-384 with SHA-384, in certificates and in handshakes.
pub(crate) static SIGNATURE_ALGORITHMS: WebPkiSupportedAlgorithms =
    WebPkiSupportedAlgorithms { all: ALL, mapping: &[(SignatureScheme::ECDSA_NISTP384_SHA384, ALL)] };
const ALL: &[&dyn SignatureVerificationAlgorithm] = &[webpki::aws_lc_rs::ECDSA_P384_SHA384];

/// Judges a certificate of our own the way peers will, in both roles.
pub(crate) fn judge_certificate(
    membership: MembershipReader,
    leaf: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    now: UnixTime,
) -> Result<(), Error> {
    let verifier = PeerVerifier { membership };
    verifier.judge(leaf, intermediates, now, KeyUsage::server_auth())?;
    verifier.judge(leaf, intermediates, now, KeyUsage::client_auth())
}

impl PeerVerifier {
    pub(crate) fn new(membership: MembershipReader) -> Arc<Self> {
        Arc::new(Self { membership })
    }

    fn judge(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
        usage: KeyUsage,
    ) -> Result<(), Error> {
        let membership = self.membership.borrow().clone();
        if intermediates.len() >= CERTIFICATE_CHAIN_MAX {
            return Err(refuse(CertificateRefused::ChainTooLong));
        }
        let certificate = EndEntityCert::try_from(leaf).map_err(|_| bad_encoding())?;
        // The roster lookup is a hash and a map; the path costs two signature checks. Cheapest first.
        let key = SpkiDigest(sha256(&certificate.subject_public_key_info()));
        let member = membership.by_key(&key).ok_or_else(|| refuse(CertificateRefused::NotInRoster))?;
        if !member.may_connect() {
            return Err(refuse(CertificateRefused::NotAdmitted));
        }
        profile::check(leaf, &member.domain, now).map_err(|rule| refuse(CertificateRefused::Profile(rule)))?;
        certificate
            .verify_for_usage(ALL, membership.anchors(), intermediates, now, usage, None, None)
            .map_err(|_| refuse(CertificateRefused::Chain))?;
        Ok(())
    }
}

impl ServerCertVerifier for PeerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.judge(end_entity, intermediates, now, KeyUsage::server_auth()).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(no_tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &SIGNATURE_ALGORITHMS)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        SIGNATURE_ALGORITHMS.supported_schemes()
    }
}

impl ClientCertVerifier for PeerVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.judge(end_entity, intermediates, now, KeyUsage::client_auth()).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(no_tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &SIGNATURE_ALGORITHMS)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        SIGNATURE_ALGORITHMS.supported_schemes()
    }
}

impl fmt::Debug for PeerVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerVerifier(roster {})", self.membership.borrow().version)
    }
}

/// Why a peer's certificate is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateRefused {
    /// More certificates than [`CERTIFICATE_CHAIN_MAX`].
    #[error("the peer's certificate chain is too long")]
    ChainTooLong,
    /// The key belongs to no hub of the newest roster.
    #[error("the peer's TLS key is not in the roster")]
    NotInRoster,
    /// The hub may not connect any more.
    #[error("the peer's hub was removed or has left")]
    NotAdmitted,
    /// Against our certificate profile.
    #[error(transparent)]
    Profile(ProfileError),
    /// No path to the root that the roster names.
    #[error("the peer's certificate does not chain to the consortium's root")]
    Chain,
}

impl CertificateRefused {
    /// Finds our own verdict again in the error that rustls made of it.
    pub(crate) fn in_io_error(error: &std::io::Error) -> Option<Self> {
        match error.get_ref()?.downcast_ref::<Error>()? {
            Error::InvalidCertificate(CertificateError::Other(other)) => other.0.downcast_ref::<Self>().copied(),
            _ => None,
        }
    }
}

fn refuse(reason: CertificateRefused) -> Error {
    Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(reason))))
}

fn bad_encoding() -> Error {
    Error::InvalidCertificate(CertificateError::BadEncoding)
}

fn no_tls12() -> Error {
    Error::PeerIncompatible(PeerIncompatible::Tls13RequiredForQuic)
}
