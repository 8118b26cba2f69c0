//! Takes in the welcome bundle. Nothing is stored before everything in it has been verified.

use std::sync::Arc;

use cresset_crypto::{Verifier, encryption_key_id, hpke_open};
use cresset_protocol::codec::Canonical;
use cresset_protocol::ids::UnixSeconds;
use cresset_protocol::log::manifest::LogManifest;
use cresset_protocol::membership::chain::RosterChain;
use cresset_protocol::membership::digest::p384_spki_digest;
use cresset_protocol::membership::roster::{HubEntry, HubStatus};
use cresset_protocol::membership::snapshot::{Validity, VerifiedRoster};
use cresset_protocol::membership::welcome::{CertificateDer, Welcome, WelcomeContent};
use cresset_protocol::signing::EncryptionPublicKey;
use cresset_protocol::suite::Suite;
use cresset_token::KeyStore;
use cresset_token::csr::HubKeyNames;
use rustls::pki_types::UnixTime;
use std::time::Duration;
use tokio::sync::watch;

use super::EnrolError;
use crate::home::{Home, HomeError};
use crate::transport::{self, judge_certificate};

/// Opens, verifies and stores; returns the roster that lists this hub.
pub(crate) fn finish(
    home: &Home,
    keys: &dyn KeyStore,
    bundle: &[u8],
    now: UnixSeconds,
) -> Result<Arc<VerifiedRoster>, EnrolError> {
    let (consortium, manifest) = (home.consortium()?, home.manifest()?);
    let me = manifest.value().hub;
    let welcome = Welcome::from_bytes(bundle)?;
    if welcome.consortium != consortium {
        return Err(EnrolError::OtherConsortium { expected: consortium, found: welcome.consortium });
    }
    if welcome.hub != me {
        return Err(EnrolError::OtherHub { expected: me, found: welcome.hub });
    }
    let names = HubKeyNames::standard()?;
    let pairs = home.encryption_keys(keys, &names.wrapping)?;
    let pair = pairs.iter().map(|(_, pair)| pair).find(|pair| encryption_key_id(pair.public()) == welcome.key);
    let pair = pair.ok_or(EnrolError::NoSuchKey(welcome.key))?;
    let info = Welcome::info(Suite::Hybrid2026, &consortium, &me, &welcome.key);
    let content = WelcomeContent::from_bytes(&hpke_open(pair, &info, &[], &welcome.sealed)?)?;

    let arrived = RosterChain::verify_file(&consortium, &content.rosters, now, &Verifier)?;
    let chain = join(home, arrived, now)?;
    let roster = chain.effective();
    if roster.validity(now) == Validity::Expired {
        return Err(EnrolError::Expired(roster.version()));
    }
    let entry = roster.hub(&me).filter(|hub| hub.status == HubStatus::Active);
    let entry = entry.ok_or(EnrolError::NotActive(roster.version()))?;
    let own: Vec<&EncryptionPublicKey> = pairs.iter().map(|(_, pair)| pair.public()).collect();
    check_entry(entry, keys, &names, &manifest, &own)?;
    check_certificates(&roster, entry, &content.certificates, now)?;

    home.set_certificates(&content.certificates)?;
    home.set_chain(&chain)?;
    Ok(roster)
}

/// A hub that was enrolled before may know more than the bundle: nothing that it knows is forgotten.
fn join(home: &Home, arrived: RosterChain, now: UnixSeconds) -> Result<RosterChain, EnrolError> {
    let mut known = match home.chain(now, &Verifier) {
        Ok(known) => known,
        Err(HomeError::Missing { .. }) => return Ok(arrived),
        Err(error) => return Err(error.into()),
    };
    for roster in arrived.iter() {
        known.accept(roster.signed(), now, &Verifier)?;
    }
    Ok(known)
}

/// The roster must name exactly what this hub holds: one key more could be somebody else's.
fn check_entry(
    entry: &HubEntry,
    keys: &dyn KeyStore,
    names: &HubKeyNames,
    manifest: &Canonical<LogManifest>,
    encryption: &[&EncryptionPublicKey],
) -> Result<(), EnrolError> {
    let log = manifest.value();
    let listed = entry.current_log();
    let log_is_ours = listed.is_some_and(|listed| {
        listed.id == LogManifest::log_id(manifest)
            && listed.origin == log.origin.as_str()
            && listed.keys.iter().all(|period| period.keys == log.keys)
    });
    let held = keys.p384(&names.log_p384)? == log.keys.p384 && keys.ml_dsa_65(&names.log_ml_dsa)? == log.keys.ml_dsa_65;
    let rules = [
        ("domain", entry.domain == log.origin.domain()),
        ("TLS key", entry.tls_keys == [p384_spki_digest(&keys.p384(&names.tls)?)]),
        ("authentication key", entry.authentication_key == keys.ml_dsa_65(&names.authentication)?),
        ("log", log_is_ours && held),
        ("encryption key", entry.encryption_keys.iter().all(|key| encryption.contains(&&key.key))),
        ("custody of post-quantum keys", entry.pq == keys.pq_custody()),
    ];
    match rules.iter().find(|(_, fits)| !fits) {
        Some((what, _)) => Err(EnrolError::Mismatch(what)),
        None => Ok(()),
    }
}

/// Judges our own certificate exactly as a peer will.
fn check_certificates(
    roster: &VerifiedRoster,
    entry: &HubEntry,
    certificates: &[CertificateDer],
    now: UnixSeconds,
) -> Result<(), EnrolError> {
    let der = |certificate: &CertificateDer| rustls::pki_types::CertificateDer::from(certificate.0.clone());
    let [leaf, issuing, root] = certificates else {
        return Err(EnrolError::CertificateCount(certificates.len()));
    };
    let (leaf, issuing, root) = (der(leaf), der(issuing), der(root));
    if transport::spki_digest(&leaf).ok() != entry.tls_keys.first().copied() {
        return Err(EnrolError::Mismatch("TLS key in the certificate"));
    }
    let membership = transport::Membership::new(roster.consortium(), roster.digest(), roster.body(), &root)?;
    let (_keep, reader) = watch::channel(Arc::new(membership));
    let now = UnixTime::since_unix_epoch(Duration::from_secs(now.0));
    judge_certificate(reader, &leaf, &[issuing], now).map_err(EnrolError::Certificate)
}
