//! The certification authority: root, issuing CA and hub certificates, with our own profile.
//!
//! A hub's request gives its public key and nothing else. Names and key identifiers are set explicitly: the root signs
//! only the issuing CA, the issuing CA only TLS certificates of hubs.

use std::cell::RefCell;
use std::time::Duration;

use cresset_crypto::random_bytes;
use cresset_protocol::ids::UnixSeconds;
use cresset_protocol::signing::P384PublicKey;
use cresset_token::csr::p384_signature_der;
use cresset_token::{KeyName, KeyStore, KeyStoreError};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyUsagePurpose, PKCS_ECDSA_P384_SHA384, PublicKeyData, SanType, SerialNumber, SignatureAlgorithm, SigningKey,
    date_time_ymd,
};

use crate::clock::DAY;
use crate::error::PkiError;

/// Name of the root's key in its store.
pub(crate) const ROOT_KEY: &str = "root";
/// Name of the issuing CA's key in its store.
pub(crate) const ISSUING_KEY: &str = "issuing";
/// Life of a hub's certificate in days; renewed at 60 with the same key.
pub(crate) const HUB_DAYS: u64 = 90;

const ROOT_DAYS: u64 = 20 * 365;
const ISSUING_DAYS: u64 = 5 * 365;
/// Certificates start a little in the past, for hubs whose clock is behind.
const BACKDATE: u64 = 300;
const SERIAL_BYTES: usize = 20;

/// A CA key in its store.
pub(crate) struct AuthorityKey<'a> {
    store: &'a dyn KeyStore,
    name: KeyName,
    public: P384PublicKey,
    /// Why the store refused: rcgen has no room for it in its own error.
    refusal: RefCell<Option<KeyStoreError>>,
}

impl<'a> AuthorityKey<'a> {
    /// Creates the key.
    pub(crate) fn create(store: &'a dyn KeyStore, name: &str) -> Result<Self, PkiError> {
        let name = KeyName::new(name)?;
        let public = store.generate_p384(&name)?;
        Ok(Self { store, name, public, refusal: RefCell::new(None) })
    }

    /// Finds the key.
    pub(crate) fn open(store: &'a dyn KeyStore, name: &str) -> Result<Self, PkiError> {
        let name = KeyName::new(name)?;
        let public = store.p384(&name)?;
        Ok(Self { store, name, public, refusal: RefCell::new(None) })
    }

    /// Its public half.
    pub(crate) fn public(&self) -> &P384PublicKey {
        &self.public
    }

    fn explain(&self, error: rcgen::Error) -> PkiError {
        self.refusal.borrow_mut().take().map_or(PkiError::Issue(error), PkiError::Token)
    }
}

/// Self-signed root certificate, DER.
pub(crate) fn root_certificate(
    key: &AuthorityKey<'_>,
    consortium: &str,
    now: UnixSeconds,
) -> Result<Vec<u8>, PkiError> {
    let mut params = authority_params(consortium, "root", 1);
    set_validity(&mut params, now, ROOT_DAYS)?;
    let certificate = params.self_signed(key).map_err(|error| key.explain(error))?;
    Ok(certificate.der().to_vec())
}

/// Certificate of the issuing CA, signed by the root, DER.
pub(crate) fn issuing_certificate(
    root: &AuthorityKey<'_>,
    issuing: &P384PublicKey,
    consortium: &str,
    now: UnixSeconds,
) -> Result<Vec<u8>, PkiError> {
    let mut params = authority_params(consortium, "issuing CA", 0);
    params.use_authority_key_identifier_extension = true;
    set_validity(&mut params, now, ISSUING_DAYS)?;
    sign(&params, issuing, root, &authority_params(consortium, "root", 1))
}

/// TLS certificate of a hub, signed by the issuing CA, DER.
pub(crate) fn hub_certificate(
    issuing: &AuthorityKey<'_>,
    hub: &P384PublicKey,
    domain: &str,
    consortium: &str,
    now: UnixSeconds,
) -> Result<Vec<u8>, PkiError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = name(consortium, domain);
    let san = domain.try_into().map_err(PkiError::Issue)?;
    params.subject_alt_names = vec![SanType::DnsName(san)];
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    set_validity(&mut params, now, HUB_DAYS)?;
    sign(&params, hub, issuing, &authority_params(consortium, "issuing CA", 0))
}

fn sign(
    params: &CertificateParams,
    subject: &P384PublicKey,
    key: &AuthorityKey<'_>,
    issuer: &CertificateParams,
) -> Result<Vec<u8>, PkiError> {
    let issuer = Issuer::from_params(issuer, key);
    let certificate = params.signed_by(&SubjectKey(subject), &issuer).map_err(|error| key.explain(error))?;
    Ok(certificate.der().to_vec())
}

fn authority_params(consortium: &str, what: &str, path_length: u8) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = name(consortium, &format!("{consortium} {what}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(path_length));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn name(organisation: &str, common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, organisation);
    name.push(DnType::CommonName, common_name);
    name
}

fn set_validity(params: &mut CertificateParams, now: UnixSeconds, days: u64) -> Result<(), PkiError> {
    let epoch = date_time_ymd(1970, 1, 1);
    params.not_before = epoch + Duration::from_secs(now.0.saturating_sub(BACKDATE));
    params.not_after = epoch + Duration::from_secs(now.0.saturating_add(days * DAY));
    let mut serial = random_bytes::<SERIAL_BYTES>()?;
    // Positive, and always 20 bytes long: RFC 5280 section 4.1.2.2.
    if let Some(first) = serial.first_mut() {
        *first = *first & 0x7f | 0x40;
    }
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    Ok(())
}

struct SubjectKey<'a>(&'a P384PublicKey);

impl PublicKeyData for SubjectKey<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P384_SHA384
    }
}

impl PublicKeyData for AuthorityKey<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.public.as_bytes()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P384_SHA384
    }
}

impl SigningKey for AuthorityKey<'_> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        match self.store.sign_p384(&self.name, message) {
            Ok(signature) => Ok(p384_signature_der(&signature)),
            Err(refusal) => {
                *self.refusal.borrow_mut() = Some(refusal);
                Err(rcgen::Error::RemoteKeyError)
            }
        }
    }
}
