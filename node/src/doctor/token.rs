//! The token: login, the hub's keys, how long a post-quantum signature takes, and what it wraps.

use std::time::{Duration, Instant};

use cresset_protocol::membership::roster::PqCustody;
use cresset_token::csr::HubKeyNames;
use cresset_token::{KeyStore, KeyStoreConfig, KeyStoreError};

use super::Finding;
use crate::config::Config;
use crate::home::{Home, HomeError};

/// A flush signs twice; beyond this the lanes feel it.
const SIGN_SLOW: Duration = Duration::from_millis(500);
const PROBE: &[u8] = b"cresset doctor: not a message of any protocol";

pub(super) fn check(config: &Config, home: &Home) -> Vec<Finding> {
    let where_ = match &config.keys {
        KeyStoreConfig::File(file) => format!("key files in {}", file.directory.display()),
        KeyStoreConfig::Pkcs11(token) => format!("token with {}", token.token),
    };
    let keys = match cresset_token::open(&config.keys) {
        Ok(keys) => keys,
        Err(error) => return vec![Finding::fail("token", format!("{where_}: {error}"), remedy(&error))],
    };
    let mut findings = vec![login(config, &where_, keys.pq_custody())];
    let Ok(names) = HubKeyNames::standard() else { return findings };
    let missing = missing(&*keys, &names);
    if !missing.is_empty() {
        let finding = format!("missing or unusable: {}", missing.join(", "));
        findings.push(Finding::fail("keys", finding, "`cresset enrol request` makes the keys that are not there yet"));
        return findings;
    }
    findings.push(Finding::ok("keys", "tls, auth, log-p384, log-ml-dsa, wrap"));
    findings.push(signing(&*keys, &names));
    findings.push(encryption(home, &*keys, &names));
    findings
}

fn login(config: &Config, where_: &str, custody: PqCustody) -> Finding {
    match (&config.keys, custody) {
        (KeyStoreConfig::File(_), _) => {
            Finding::warn("token", where_, "key files are for tests; a hub's keys belong on a token")
        }
        (_, PqCustody::Token) => Finding::ok("token", format!("{where_}, ML-DSA on the token")),
        (_, PqCustody::Software) => Finding::warn(
            "token",
            format!("{where_}, no ML-DSA on it"),
            "post-quantum keys lie wrapped on disk and the roster says so; a token with ML-DSA is better",
        ),
    }
}

fn missing(keys: &dyn KeyStore, names: &HubKeyNames) -> Vec<String> {
    // A secret of a key's length: some tokens wrap nothing else.
    let wrap = keys.wrap(&names.wrapping, PROBE, &[0; 32]).map(|_| ());
    let found = [
        ("tls", keys.p384(&names.tls).map(|_| ())),
        ("auth", keys.ml_dsa_65(&names.authentication).map(|_| ())),
        ("log-p384", keys.p384(&names.log_p384).map(|_| ())),
        ("log-ml-dsa", keys.ml_dsa_65(&names.log_ml_dsa).map(|_| ())),
        ("wrap", wrap),
    ];
    let said = |(name, result): (&str, Result<(), KeyStoreError>)| match result {
        Ok(()) => None,
        Err(KeyStoreError::NotFound { .. }) => Some(name.to_owned()),
        Err(error) => Some(format!("{name} ({error})")),
    };
    found.into_iter().filter_map(said).collect()
}

/// Signs with the authentication key, over words that no protocol signs: a log key only ever signs checkpoints.
fn signing(keys: &dyn KeyStore, names: &HubKeyNames) -> Finding {
    let start = Instant::now();
    match keys.sign_ml_dsa_65(&names.authentication, PROBE) {
        Err(error) => Finding::fail("signing", error.to_string(), remedy(&error)),
        Ok(_) => {
            let took = start.elapsed();
            let finding = format!("an ML-DSA-65 signature takes {} ms", took.as_millis());
            if took > SIGN_SLOW {
                Finding::warn("signing", finding, "publishes wait this long at least; is the token far away or busy?")
            } else {
                Finding::ok("signing", finding)
            }
        }
    }
}

fn encryption(home: &Home, keys: &dyn KeyStore, names: &HubKeyNames) -> Finding {
    match home.encryption_keys(keys, &names.wrapping) {
        Ok(held) if held.is_empty() => {
            Finding::fail("encryption keys", "none yet", "`cresset enrol request` makes the first one")
        }
        Ok(held) => Finding::ok("encryption keys", format!("{} unwrapped", held.len())),
        Err(HomeError::KeyStore(error)) => Finding::fail(
            "encryption keys",
            error.to_string(),
            "they were wrapped by another token; without that one envelopes to this hub stay closed",
        ),
        Err(error) => {
            Finding::fail("encryption keys", error.to_string(), "docs/guides/data-directory.md says what can be done")
        }
    }
}

fn remedy(error: &KeyStoreError) -> &'static str {
    match error {
        KeyStoreError::PinRefused => "check the PIN; it was tried once and is not tried again",
        KeyStoreError::PinLocked => "unlock the PIN with the token's own tools first",
        KeyStoreError::Pin(_) => "[keys] pin says where the PIN comes from; is it there and private to this user?",
        KeyStoreError::Module { .. } => "[keys] module must be the absolute path of a PKCS#11 module for this machine",
        KeyStoreError::NoToken { .. } | KeyStoreError::AmbiguousToken { .. } => {
            "[keys] token must match exactly one token"
        }
        KeyStoreError::Permissions { .. } => "give the directory mode 0700 and its files 0600",
        _ => "[keys] in the configuration, or the token itself",
    }
}
