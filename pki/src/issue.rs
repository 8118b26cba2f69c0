//! Certificates for hubs that the roster lists, and the welcome bundle.
//!
//! The issuing CA decides nothing: domain and key come from the newest quorum-signed roster, so a certificate can neither
//! add a member nor outlive one.

use cresset_crypto::{encryption_key_id, hpke_seal};
use cresset_protocol::membership::RosterChain;
use cresset_protocol::membership::digest::p384_spki_digest;
use cresset_protocol::membership::enrolment::CheckedRequest;
use cresset_protocol::membership::roster::HubStatus;
use cresset_protocol::membership::welcome::{CertificateDer, Welcome, WelcomeContent};
use cresset_protocol::suite::Suite;
use serde_json::json;
use sha2::{Digest, Sha256};
use x509_cert::Certificate;
use x509_cert::der::Encode;

use crate::authority::{AuthorityKey, HUB_DAYS, ISSUING_KEY, hub_certificate};
use crate::ceremony::{ISSUING_FILE, ROOT_FILE};
use crate::certificate::{CertificateError, check_issued, parse, parse_pem, public_key, to_pem};
use crate::cli::IssueArguments;
use crate::error::PkiError;
use crate::keyholder::Keyholder;
use crate::report::Report;
use crate::{clock, files, membership, request};

const PEM_BYTES_MAX: usize = 64 << 10;

pub(crate) fn run(arguments: &IssueArguments) -> Result<Report, PkiError> {
    let chain = membership::load(&arguments.chain)?;
    let roster = chain.current();
    let request = request::load(&arguments.request, &roster.consortium())?;
    let body = request.body();
    let listed = roster.hub_by_spki(&p384_spki_digest(&body.tls_key));
    let active = listed.filter(|hub| hub.id == body.hub && hub.status == HubStatus::Active);
    let hub = active.ok_or_else(|| PkiError::NotListed(body.domain.clone()))?;

    let root = read_certificate(arguments, ROOT_FILE)?;
    let issuing = read_certificate(arguments, ISSUING_FILE)?;
    if <[u8; 32]>::from(Sha256::digest(der(&root)?)) != roster.body().root_certificate {
        return Err(PkiError::WrongAuthority("root certificate of the roster"));
    }
    check_issued(&issuing, &root, clock::now())?;
    let holder = Keyholder::open(&arguments.issuing)?;
    let key = AuthorityKey::open(&*holder.store, ISSUING_KEY)?;
    if *key.public() != public_key(&issuing)? {
        return Err(PkiError::WrongAuthority("issuing CA"));
    }
    let consortium_name = &chain.founding().body().name;
    let certificate = hub_certificate(&key, &body.tls_key, &hub.domain, consortium_name, clock::now())?;
    check_issued(&parse(&certificate)?, &issuing, clock::now())?;

    let certificates = [certificate, der(&issuing)?, der(&root)?];
    let references: Vec<&[u8]> = certificates.iter().take(2).map(Vec::as_slice).collect();
    files::write(&arguments.certificate, to_pem(&references)?.as_bytes())?;
    if let Some(path) = &arguments.welcome {
        files::write(path, &welcome(&chain, &request, certificates)?.to_bytes())?;
    }
    let lines = vec![
        format!("Issued a certificate for {} ({}), {HUB_DAYS} days.", hub.domain, hub.country),
        format!("  written to {}", arguments.certificate.display()),
    ];
    let json = json!({
        "hub": hub.id.to_string(), "domain": hub.domain, "days": HUB_DAYS,
        "certificate": arguments.certificate, "welcome": arguments.welcome,
    });
    Ok(Report::new(lines, json))
}

/// Certificates and chain, encrypted to the hub's first encryption key: opening it shows that the hub holds that key.
fn welcome(chain: &RosterChain, request: &CheckedRequest, certificates: [Vec<u8>; 3]) -> Result<Welcome, PkiError> {
    let consortium = chain.founding().consortium();
    let hub = request.body().hub;
    let first = request.body().encryption_keys.first();
    let recipient = &first.ok_or_else(|| PkiError::NotListed(request.body().domain.clone()))?.key;
    let key = encryption_key_id(recipient);
    let certificates = certificates.into_iter().map(CertificateDer).collect();
    let content = WelcomeContent { certificates, rosters: chain.to_file() };
    let info = Welcome::info(Suite::Hybrid2026, &consortium, &hub, &key);
    let sealed = hpke_seal(recipient, &info, &[], &content.to_bytes())?;
    Ok(Welcome { consortium, hub, key, sealed })
}

fn read_certificate(arguments: &IssueArguments, name: &str) -> Result<Certificate, PkiError> {
    Ok(parse_pem(&files::read(&arguments.ceremony.join(name), PEM_BYTES_MAX)?)?)
}

fn der(certificate: &Certificate) -> Result<Vec<u8>, CertificateError> {
    Ok(certificate.to_der()?)
}
