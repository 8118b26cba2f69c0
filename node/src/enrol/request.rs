//! Makes the hub's keys and the request. May be run again: what exists already is used again.

use aws_lc_rs::digest;
use cresset_crypto::{EncryptionKeyPair, Verifier, random_bytes};
use cresset_protocol::codec::Canonical;
use cresset_protocol::ids::{Country, HubId, KeyPeriod, UnixSeconds};
use cresset_protocol::log::checkpoint::Origin;
use cresset_protocol::log::manifest::LogManifest;
use cresset_protocol::membership::enrolment::{CheckedRequest, DESIGNATION, EnrolmentBody, EnrolmentRequest, Evidence};
use cresset_protocol::membership::roster::{EncryptionKeyEntry, Endpoint};
use cresset_protocol::membership::syntax::is_host;
use cresset_protocol::signing::{EncryptionPublicKey, LogKeys, MlDsa65PublicKey, P384PublicKey};
use cresset_token::csr::{HubKeyNames, certificate_request, prove_possession};
use cresset_token::{KeyName, KeyStore, KeyStoreError};

use super::EnrolError;
use crate::home::{Home, HomeError};

/// Endpoints without a network label are on this one.
const DEFAULT_NETWORK: &str = "internet";
/// The first log of a hub.
const FIRST_GENERATION: u32 = 1;
const FIRST_PERIOD: KeyPeriod = KeyPeriod(0);

/// What the operator decides.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) country: Country,
    pub(crate) jurisdiction: Country,
    pub(crate) domain: String,
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) designation: Evidence,
    pub(crate) recovery_key: EncryptionPublicKey,
}

/// Makes what is missing, signs the request with every key, and checks it as an officer will.
pub(crate) fn make(
    home: &Home,
    keys: &dyn KeyStore,
    order: Order,
    now: UnixSeconds,
) -> Result<(EnrolmentRequest, CheckedRequest), EnrolError> {
    let consortium = home.consortium()?;
    let origin = Origin::new(&order.domain, FIRST_GENERATION)?;
    let names = HubKeyNames::standard()?;
    let manifest = match home.manifest() {
        Ok(manifest) => manifest,
        Err(HomeError::Missing { .. }) => {
            let log_keys = LogKeys { p384: p384(keys, &names.log_p384)?, ml_dsa_65: ml_dsa(keys, &names.log_ml_dsa)? };
            let hub = HubId(random_bytes()?);
            let log = LogManifest { consortium, hub, origin, keys: log_keys, prologue: None, created: now };
            let manifest = Canonical::new(log);
            home.set_manifest(&manifest)?;
            manifest
        }
        Err(error) => return Err(error.into()),
    };
    check_manifest(&manifest, keys, &names, &order)?;
    let log = manifest.value();
    let tls_key = p384(keys, &names.tls)?;
    let authentication_key = ml_dsa(keys, &names.authentication)?;
    let body = EnrolmentBody {
        consortium,
        hub: log.hub,
        country: order.country,
        jurisdiction: order.jurisdiction,
        csr: certificate_request(keys, &names.tls, &order.domain)?,
        domain: order.domain,
        endpoints: order.endpoints,
        created: now,
        tls_key,
        authentication_key,
        log_manifest: manifest.bytes().to_vec(),
        encryption_keys: encryption_keys(home, keys, &names.wrapping, log.created)?,
        recovery_key: order.recovery_key,
        pq: keys.pq_custody(),
        evidence: vec![order.designation],
    };
    let request = prove_possession(keys, &names, &body)?;
    let checked = request.check(&consortium, now, &Verifier)?;
    Ok((request, checked))
}

/// The designation act by its digest.
pub(crate) fn designation(document: &[u8]) -> Evidence {
    let mut sha256 = [0; 32];
    sha256.copy_from_slice(digest::digest(&digest::SHA256, document).as_ref());
    Evidence { kind: DESIGNATION.to_owned(), digest: sha256 }
}

/// `HOST:PORT[@NETWORK]`; IPv6 addresses in brackets.
pub(crate) fn endpoint(text: &str) -> Result<Endpoint, EnrolError> {
    let wrong = || EnrolError::Argument { value: text.to_owned(), what: "HOST:PORT[@NETWORK]" };
    let (address, network) = text.split_once('@').unwrap_or((text, DEFAULT_NETWORK));
    let (host, port) = address.rsplit_once(':').ok_or_else(wrong)?;
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let host = bracketed.unwrap_or(host);
    let port = port.parse().ok().filter(|port| *port != 0).ok_or_else(wrong)?;
    if !is_host(host) || network.is_empty() || host.contains(':') != bracketed.is_some() {
        return Err(wrong());
    }
    Ok(Endpoint { network: network.to_owned(), host: host.to_owned(), port })
}

/// Two letters in either case.
pub(crate) fn country(text: &str) -> Result<Country, EnrolError> {
    let wrong = |_| EnrolError::Argument { value: text.to_owned(), what: "country of two letters" };
    Country::parse(&text.to_ascii_uppercase()).map_err(wrong)
}

fn check_manifest(
    manifest: &Canonical<LogManifest>,
    keys: &dyn KeyStore,
    names: &HubKeyNames,
    order: &Order,
) -> Result<(), EnrolError> {
    let log = manifest.value();
    if log.origin.domain() != order.domain {
        return Err(EnrolError::OtherDomain { held: log.origin.domain().to_owned(), asked: order.domain.clone() });
    }
    let held = keys.p384(&names.log_p384)? == log.keys.p384 && keys.ml_dsa_65(&names.log_ml_dsa)? == log.keys.ml_dsa_65;
    if held { Ok(()) } else { Err(EnrolError::OtherLogKeys(log.origin.as_str().to_owned())) }
}

/// The key pair of the first period. It is in force since the log was made, whichever request carries it.
fn encryption_keys(
    home: &Home,
    keys: &dyn KeyStore,
    wrapping: &KeyName,
    active_from: UnixSeconds,
) -> Result<Vec<EncryptionKeyEntry>, EnrolError> {
    match keys.generate_wrapping(wrapping) {
        Ok(()) | Err(KeyStoreError::AlreadyExists { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let held = home.encryption_keys(keys, wrapping)?;
    let first = held.into_iter().next();
    let (period, pair) = match first {
        Some(first) => first,
        None => {
            let pair = EncryptionKeyPair::generate()?;
            home.add_encryption_key(keys, wrapping, FIRST_PERIOD, &pair)?;
            (FIRST_PERIOD, pair)
        }
    };
    Ok(vec![EncryptionKeyEntry { period, active_from, key: pair.public().clone() }])
}

fn p384(keys: &dyn KeyStore, name: &KeyName) -> Result<P384PublicKey, KeyStoreError> {
    match keys.p384(name) {
        Err(KeyStoreError::NotFound { .. }) => keys.generate_p384(name),
        found => found,
    }
}

fn ml_dsa(keys: &dyn KeyStore, name: &KeyName) -> Result<MlDsa65PublicKey, KeyStoreError> {
    match keys.ml_dsa_65(name) {
        Err(KeyStoreError::NotFound { .. }) => keys.generate_ml_dsa_65(name),
        found => found,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_host_port_and_network() {
        let check = |text: &str, host: &str, port, network: &str| {
            let endpoint = endpoint(text).unwrap();
            assert_eq!(
                (endpoint.host.as_str(), endpoint.port, endpoint.network.as_str()),
                (host, port, network),
                "{text}"
            );
        };
        check("at.hub.example:7443", "at.hub.example", 7443, "internet");
        check("10.0.0.7:1@testa", "10.0.0.7", 1, "testa");
        check("[2001:db8::1]:7443", "2001:db8::1", 7443, "internet");
        for bad in
            ["", "host", "host:", "host:0", "host:65536", ":7443", "a b:1", "host:1@", "2001:db8::1:7443", "[host]:1"]
        {
            assert!(endpoint(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn countries_are_two_letters() {
        assert_eq!(country("at").unwrap().as_str(), "AT");
        assert!(country("AUT").is_err() && country("").is_err());
    }
}
