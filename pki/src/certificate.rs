//! Reading certificates and requests that came from outside, and our own checks on top of X.509.

use cresset_crypto::Verifier;
use cresset_protocol::ids::UnixSeconds;
use cresset_protocol::limits::CERTIFICATE_BYTES_MAX;
use cresset_protocol::membership::digest::p384_spki;
use cresset_protocol::signing::{P384PublicKey, P384Signature, SignatureVerifier};
use thiserror::Error;
use x509_cert::der::asn1::Uint;
use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::der::{Decode, Encode, EncodePem, pem::LineEnding};
use x509_cert::ext::pkix::BasicConstraints;
use x509_cert::request::CertReq;
use x509_cert::{AlgorithmIdentifier, Certificate, SubjectPublicKeyInfo};

const ECDSA_WITH_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3");
const HALF_BYTES: usize = P384Signature::LEN / 2;

/// Checks that a PKCS#10 request is over this key and signed by it. Names, attributes and extensions do not matter: they
/// are never used.
pub(crate) fn check_request(der: &[u8], key: &P384PublicKey) -> Result<(), CertificateError> {
    if der.len() > CERTIFICATE_BYTES_MAX {
        return Err(CertificateError::TooLarge(der.len()));
    }
    let request = CertReq::from_der(der)?;
    if request.info.public_key.to_der()? != p384_spki(key) {
        return Err(CertificateError::OtherKey);
    }
    let signed = request.info.to_der()?;
    check_signature(&request.algorithm, request.signature.raw_bytes(), &signed, key)
}

/// A certificate from DER.
pub(crate) fn parse(der: &[u8]) -> Result<Certificate, CertificateError> {
    if der.len() > CERTIFICATE_BYTES_MAX {
        return Err(CertificateError::TooLarge(der.len()));
    }
    Ok(Certificate::from_der(der)?)
}

/// The first certificate of a PEM file.
pub(crate) fn parse_pem(pem: &[u8]) -> Result<Certificate, CertificateError> {
    Certificate::load_pem_chain(pem)?.into_iter().next().ok_or(CertificateError::Empty)
}

/// PEM text of DER certificates, one after the other.
pub(crate) fn to_pem(certificates: &[&[u8]]) -> Result<String, CertificateError> {
    certificates.iter().map(|der| Ok(parse(der)?.to_pem(LineEnding::LF)?)).collect()
}

/// P-384 key of a certificate.
pub(crate) fn public_key(certificate: &Certificate) -> Result<P384PublicKey, CertificateError> {
    spki_key(certificate.tbs_certificate().subject_public_key_info())
}

/// Checks that `issuer` issued `certificate`: names, CA bit, validity, signature.
pub(crate) fn check_issued(
    certificate: &Certificate,
    issuer: &Certificate,
    now: UnixSeconds,
) -> Result<(), CertificateError> {
    let (tbs, issuer_tbs) = (certificate.tbs_certificate(), issuer.tbs_certificate());
    if tbs.issuer() != issuer_tbs.subject() {
        return Err(CertificateError::Issuer);
    }
    let constraints = issuer_tbs.get_extension::<BasicConstraints>().map_err(|_| CertificateError::NotAnAuthority)?;
    if !constraints.is_some_and(|(critical, constraints)| critical && constraints.ca) {
        return Err(CertificateError::NotAnAuthority);
    }
    for validity in [tbs.validity(), issuer_tbs.validity()] {
        let from = validity.not_before.to_unix_duration().as_secs();
        let until = validity.not_after.to_unix_duration().as_secs();
        if !(from..=until).contains(&now.0) {
            return Err(CertificateError::Validity);
        }
    }
    let key = spki_key(issuer_tbs.subject_public_key_info())?;
    check_signature(certificate.signature_algorithm(), certificate.signature().raw_bytes(), &tbs.to_der()?, &key)
}

fn spki_key(spki: &SubjectPublicKeyInfo) -> Result<P384PublicKey, CertificateError> {
    let point = spki.subject_public_key.raw_bytes();
    let key = P384PublicKey::try_from(point).map_err(|_| CertificateError::KeyType)?;
    // The rest of the structure must be P-384's, too.
    if spki.to_der()? == p384_spki(&key) { Ok(key) } else { Err(CertificateError::KeyType) }
}

fn check_signature(
    algorithm: &AlgorithmIdentifier,
    signature: &[u8],
    message: &[u8],
    key: &P384PublicKey,
) -> Result<(), CertificateError> {
    if algorithm.oid != ECDSA_WITH_SHA384 || algorithm.parameters.is_some() {
        return Err(CertificateError::Algorithm);
    }
    let signature = signature_from_der(signature)?;
    if Verifier.verify_p384(key, message, &signature) { Ok(()) } else { Err(CertificateError::Signature) }
}

fn signature_from_der(der: &[u8]) -> Result<P384Signature, CertificateError> {
    let parts = Vec::<Uint>::from_der(der)?;
    let [r, s] = parts.as_slice() else { return Err(CertificateError::Signature) };
    let mut raw = Vec::with_capacity(P384Signature::LEN);
    for part in [r, s] {
        let digits = part.as_bytes();
        let padding = HALF_BYTES.checked_sub(digits.len()).ok_or(CertificateError::Signature)?;
        raw.resize(raw.len() + padding, 0);
        raw.extend_from_slice(digits);
    }
    P384Signature::try_from(raw.as_slice()).map_err(|_| CertificateError::Signature)
}

/// What is wrong with a certificate or request.
#[derive(Debug, Error)]
pub(crate) enum CertificateError {
    #[error("not a certificate or request: {0}")]
    Der(#[from] x509_cert::der::Error),
    #[error("no certificate in the file")]
    Empty,
    #[error("certificate or request of {0} bytes is over the limit of {CERTIFICATE_BYTES_MAX}")]
    TooLarge(usize),
    #[error("certificate request is over another key than the enrolment request's")]
    OtherKey,
    #[error("key is not on curve P-384")]
    KeyType,
    #[error("signature algorithm is not ecdsa-with-SHA384")]
    Algorithm,
    #[error("signature of the certificate or request does not verify")]
    Signature,
    #[error("issuer and subject names do not chain")]
    Issuer,
    #[error("issuer is no certification authority")]
    NotAnAuthority,
    #[error("outside its validity")]
    Validity,
}
