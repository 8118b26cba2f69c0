//! Our certificate profile, on top of the path that webpki builds (which alone is no policy).

use self::oid::{CLIENT_AUTH, EC_PUBLIC_KEY, SECP384R1, SERVER_AUTH};
use rustls::pki_types::{CertificateDer, UnixTime};
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages, SubjectAltName};

/// Checks a hub's TLS certificate: version 3, P-384 key, one DNS name equal to `domain`, both EKUs and no other,
/// digitalSignature and nothing else, no CA, and in force at `now`.
///
/// # Errors
/// The first rule broken.
pub(crate) fn check(certificate: &CertificateDer<'_>, domain: &str, now: UnixTime) -> Result<(), ProfileError> {
    let certificate = Certificate::from_der(certificate).map_err(|_| ProfileError::Encoding)?;
    let tbs = certificate.tbs_certificate();
    if tbs.version() != x509_cert::Version::V3 {
        return Err(ProfileError::Version);
    }
    check_key(tbs.subject_public_key_info())?;
    let (from, until) = (tbs.validity().not_before, tbs.validity().not_after);
    if now.as_secs() < from.to_unix_duration().as_secs() || now.as_secs() > until.to_unix_duration().as_secs() {
        return Err(ProfileError::Validity);
    }
    let (_, names) = tbs.get_extension::<SubjectAltName>().ok().flatten().ok_or(ProfileError::Name)?;
    match names.0.as_slice() {
        [GeneralName::DnsName(name)] if name.as_str().eq_ignore_ascii_case(domain) => {}
        _ => return Err(ProfileError::Name),
    }
    let (_, usages) = tbs.get_extension::<ExtendedKeyUsage>().ok().flatten().ok_or(ProfileError::ExtendedKeyUsage)?;
    let mut usages = usages.0;
    usages.sort();
    if usages != [SERVER_AUTH, CLIENT_AUTH] {
        return Err(ProfileError::ExtendedKeyUsage);
    }
    let (_, usage) = tbs.get_extension::<KeyUsage>().ok().flatten().ok_or(ProfileError::KeyUsage)?;
    if usage.0 != KeyUsages::DigitalSignature {
        return Err(ProfileError::KeyUsage);
    }
    // Absent means "no CA"; a CA's key must never speak for a hub.
    match tbs.get_extension::<BasicConstraints>() {
        Ok(None) => Ok(()),
        Ok(Some((_, constraints))) if !constraints.ca => Ok(()),
        _ => Err(ProfileError::BasicConstraints),
    }
}

fn check_key(spki: &x509_cert::spki::SubjectPublicKeyInfoOwned) -> Result<(), ProfileError> {
    let curve = spki.algorithm.parameters.as_ref().and_then(|any| any.decode_as::<ObjectIdentifier>().ok());
    if spki.algorithm.oid == EC_PUBLIC_KEY && curve == Some(SECP384R1) { Ok(()) } else { Err(ProfileError::Key) }
}

/// Object identifiers, from RFC 5280 and RFC 5480.
mod oid {
    use x509_cert::der::asn1::ObjectIdentifier;
    pub(super) const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
    pub(super) const SECP384R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
    pub(super) const SERVER_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");
    pub(super) const CLIENT_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.2");
}

/// The rule of the certificate profile that a certificate breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProfileError {
    /// Not DER, or not X.509.
    #[error("the certificate cannot be parsed")]
    Encoding,
    /// Version 1 or 2.
    #[error("the certificate is not of version 3")]
    Version,
    /// Another algorithm or curve.
    #[error("the certificate's key is not on P-384")]
    Key,
    /// Too early or too late.
    #[error("the certificate is not in force")]
    Validity,
    /// None, another, or several names.
    #[error("the certificate does not name exactly the domain of the hub")]
    Name,
    /// Missing or surplus purposes.
    #[error("the certificate's extended key usage is not server and client authentication")]
    ExtendedKeyUsage,
    /// Missing or surplus usages.
    #[error("the certificate's key usage is not digitalSignature alone")]
    KeyUsage,
    /// A CA's key must never speak for a hub.
    #[error("the certificate is a CA's")]
    BasicConstraints,
}
