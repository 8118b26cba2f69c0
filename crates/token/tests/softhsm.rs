//! The PKCS#11 key store on SoftHSM 2: a token without ML-DSA, so those keys are wrapped files.

#![allow(clippy::unwrap_used, reason = "a failure here is the test's")]

mod support;

use std::path::PathBuf;

use cresset_protocol::membership::roster::PqCustody;
use cresset_token::{KeyStore, KeyStoreError, Pkcs11Config};
use support::{TestModule, in_child, missing, name};

/// The module by `CRESSET_SOFTHSM`, or where distributions put it.
fn softhsm() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("CRESSET_SOFTHSM") {
        return Some(path.into());
    }
    ["/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so"]
        .map(PathBuf::from)
        .into_iter()
        .find(|path| path.exists())
}

fn module(test: &str) -> Option<TestModule> {
    let Some(path) = softhsm() else {
        missing("softhsm");
        return None;
    };
    let directory = in_child(test, "SOFTHSM2_CONF", |directory| {
        let tokens = directory.join("tokens");
        std::fs::create_dir(&tokens).unwrap();
        let path = directory.join("softhsm2.conf");
        std::fs::write(&path, format!("directories.tokendir = {}\nlog.level = ERROR\n", tokens.display())).unwrap();
        path
    })?;
    Some(TestModule { path, directory })
}

fn with_software_keys(module: &TestModule) -> Pkcs11Config {
    Pkcs11Config { software_keys: Some(module.directory.join("keys")), ..module.token("hub") }
}

#[test]
fn passes_the_suite() {
    let Some(module) = module("passes_the_suite") else { return };
    let store = module.open(&with_software_keys(&module));
    assert_eq!(store.pq_custody(), PqCustody::Software);
    support::suite(&store);
}

#[test]
fn signs_concurrently() {
    let Some(module) = module("signs_concurrently") else { return };
    support::signs_concurrently(&module.open(&with_software_keys(&module)));
}

#[test]
fn rates_are_printed() {
    let Some(module) = module("rates_are_printed") else { return };
    support::print_rates(&module.open(&with_software_keys(&module)));
}

#[test]
fn without_a_directory_there_is_no_ml_dsa() {
    let Some(module) = module("without_a_directory_there_is_no_ml_dsa") else { return };
    let store = module.open(&module.token("hub"));
    assert!(matches!(store.generate_ml_dsa_65(&name("log-ml-dsa")), Err(KeyStoreError::Unsupported { .. })));
    assert!(matches!(store.sign_ml_dsa_65(&name("log-ml-dsa"), b"m"), Err(KeyStoreError::Unsupported { .. })));
}

#[test]
fn wrapped_keys_cannot_be_exchanged_or_used_without_the_token() {
    let Some(module) = module("wrapped_keys_cannot_be_exchanged_or_used_without_the_token") else { return };
    let config = with_software_keys(&module);
    let store = module.open(&config);
    let public = store.generate_ml_dsa_65(&name("one")).unwrap();
    store.generate_ml_dsa_65(&name("two")).unwrap();
    assert_eq!(module.open(&config).ml_dsa_65(&name("one")).unwrap(), public);

    let keys = module.directory.join("keys");
    std::fs::copy(keys.join("two.ml-dsa-65.key"), keys.join("one.ml-dsa-65.key")).unwrap();
    let result = module.open(&config).ml_dsa_65(&name("one"));
    assert!(matches!(result, Err(KeyStoreError::NotAuthentic { .. })), "{result:?}");

    let other = Pkcs11Config { software_keys: Some(keys), ..module.token("other") };
    let store = module.open(&other);
    assert!(matches!(store.ml_dsa_65(&name("two")), Err(KeyStoreError::NotFound { .. })));
    store.generate_wrapping(&name("software-keys")).unwrap();
    assert!(matches!(store.ml_dsa_65(&name("two")), Err(KeyStoreError::NotAuthentic { .. })));
}

#[test]
fn a_key_destroyed_by_somebody_else_is_not_found() {
    let Some(module) = module("a_key_destroyed_by_somebody_else_is_not_found") else { return };
    let config = with_software_keys(&module);
    let (one, two) = (module.open(&config), module.open(&config));
    one.generate_p384(&name("tls")).unwrap();
    one.sign_p384(&name("tls"), b"message").unwrap();
    two.destroy(&name("tls")).unwrap();
    for _ in 0..2 {
        assert!(matches!(one.sign_p384(&name("tls"), b"message"), Err(KeyStoreError::NotFound { .. })));
    }
    two.generate_p384(&name("tls")).unwrap();
    one.sign_p384(&name("tls"), b"message").unwrap();
}

#[test]
fn recovers_when_the_storage_comes_back() {
    let Some(module) = module("recovers_when_the_storage_comes_back") else { return };
    let store = module.open(&with_software_keys(&module));
    store.generate_p384(&name("tls")).unwrap();
    let (tokens, away) = (module.directory.join("tokens"), module.directory.join("away"));
    std::fs::rename(&tokens, &away).unwrap();
    let result = store.sign_p384(&name("tls"), b"message");
    assert!(result.as_ref().is_err_and(KeyStoreError::is_transient), "{result:?}");
    std::fs::rename(&away, &tokens).unwrap();
    loop {
        match store.sign_p384(&name("tls"), b"message") {
            Err(KeyStoreError::Unavailable { retry_after }) => std::thread::park_timeout(retry_after),
            result => break drop(result.unwrap()),
        }
    }
}
