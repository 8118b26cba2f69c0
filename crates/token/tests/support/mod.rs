//! The one test suite that every key store passes, and what tests of PKCS#11 modules share.

// Each test file uses its own part of this module.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::path::{Path, PathBuf};
use std::process::Command;

use cresset_crypto::Verifier;
use cresset_protocol::signing::SignatureVerifier;
use cresset_token::{
    InitToken, KeyName, KeyStore, KeyStoreError, Pin, PinSource, Pkcs11Config, Pkcs11KeyStore, TokenSelector,
    init_token,
};

pub(crate) const USER_PIN: &str = "87654321";
const SO_PIN: &str = "12345678";

pub(crate) fn name(name: &str) -> KeyName {
    KeyName::new(name).unwrap()
}

pub(crate) fn pin(text: &str) -> Pin {
    Pin::new(text.to_owned().into()).unwrap()
}

/// Everything that is promised of every store. The ML-DSA part is left out for stores that have none.
pub(crate) fn suite(store: &dyn KeyStore) {
    signs_p384(store);
    signs_ml_dsa(store);
    wraps(store);
    refuses(store);
    destroys(store);
}

fn signs_p384(store: &dyn KeyStore) {
    let key = name("log-p384");
    let public = store.generate_p384(&key).unwrap();
    assert_eq!(store.p384(&key).unwrap(), public);
    for message in [&b""[..], b"a message", &[7; 100_000]] {
        // Half of all raw signatures have a high s, which the verifier refuses.
        for _ in 0..8 {
            let signature = store.sign_p384(&key, message).unwrap();
            assert!(Verifier.verify_p384(&public, message, &signature));
        }
    }
}

fn signs_ml_dsa(store: &dyn KeyStore) {
    let (small, large) = (name("log-ml-dsa"), name("officer-ml-dsa"));
    let public = store.generate_ml_dsa_65(&small).unwrap();
    assert_eq!(store.ml_dsa_65(&small).unwrap(), public);
    let signature = store.sign_ml_dsa_65(&small, b"message").unwrap();
    assert!(Verifier.verify_ml_dsa_65(&public, b"message", &signature));
    assert!(!Verifier.verify_ml_dsa_65(&public, b"massage", &signature));

    let public = store.generate_ml_dsa_87(&large).unwrap();
    assert_eq!(store.ml_dsa_87(&large).unwrap(), public);
    let signature = store.sign_ml_dsa_87(&large, b"message").unwrap();
    assert!(Verifier.verify_ml_dsa_87(&public, b"message", &signature));
    assert!(matches!(store.generate_p384(&small), Err(KeyStoreError::AlreadyExists { .. })));
    assert!(matches!(store.ml_dsa_87(&small), Err(KeyStoreError::WrongKind { .. })));
}

fn wraps(store: &dyn KeyStore) {
    let key = name("wrap");
    store.generate_wrapping(&key).unwrap();
    for secret in [&[1][..], &[9; 48], &[3; 4_000]] {
        let wrapped = store.wrap(&key, b"context", secret).unwrap();
        assert_ne!(store.wrap(&key, b"context", secret).unwrap(), wrapped, "the nonce is fresh");
        assert_eq!(store.unwrap(&key, b"context", &wrapped).unwrap().as_slice(), secret);
    }
    let wrapped = store.wrap(&key, b"context", b"secret").unwrap();
    let not_authentic = |context: &[u8], wrapped: &[u8]| {
        let result = store.unwrap(&key, context, wrapped);
        assert!(matches!(result, Err(KeyStoreError::NotAuthentic { .. })), "{result:?}");
    };
    not_authentic(b"another", &wrapped);
    for position in [1, 13, wrapped.len() - 1] {
        let mut changed = wrapped.clone();
        changed[position] ^= 1;
        not_authentic(b"context", &changed);
    }
    let bad_length = |wrapped: &[u8]| {
        let result = store.unwrap(&key, b"context", wrapped);
        assert!(matches!(result, Err(KeyStoreError::BadLength { .. })), "{result:?}");
    };
    bad_length(&[]);
    bad_length(&wrapped[..29]);
    bad_length(&[&[2], &wrapped[1..]].concat());
    bad_length(&vec![1; 70_000]);
    assert!(matches!(store.wrap(&key, b"", &[]), Err(KeyStoreError::BadLength { .. })));
    assert!(matches!(store.wrap(&key, b"", &vec![1; 70_000]), Err(KeyStoreError::BadLength { .. })));
    assert_eq!(store.unwrap(&key, b"context", &wrapped).unwrap().as_slice(), b"secret");
}

fn refuses(store: &dyn KeyStore) {
    let (p384, wrap, none) = (name("log-p384"), name("wrap"), name("none"));
    assert!(matches!(store.generate_p384(&p384), Err(KeyStoreError::AlreadyExists { .. })));
    assert!(matches!(store.generate_ml_dsa_65(&p384), Err(KeyStoreError::AlreadyExists { .. })));
    assert!(matches!(store.generate_wrapping(&p384), Err(KeyStoreError::AlreadyExists { .. })));
    assert!(matches!(store.p384(&none), Err(KeyStoreError::NotFound { .. })));
    assert!(matches!(store.sign_p384(&none, b"m"), Err(KeyStoreError::NotFound { .. })));
    assert!(matches!(store.wrap(&none, b"", b"s"), Err(KeyStoreError::NotFound { .. })));
    assert!(matches!(store.sign_p384(&wrap, b"m"), Err(KeyStoreError::WrongKind { .. })));
    assert!(matches!(store.wrap(&p384, b"", b"s"), Err(KeyStoreError::WrongKind { .. })));
}

fn destroys(store: &dyn KeyStore) {
    for key in ["log-p384", "log-ml-dsa", "officer-ml-dsa", "wrap", "never-was"] {
        store.destroy(&name(key)).unwrap();
    }
    assert!(matches!(store.sign_p384(&name("log-p384"), b"m"), Err(KeyStoreError::NotFound { .. })));
    assert!(matches!(store.sign_ml_dsa_65(&name("log-ml-dsa"), b"m"), Err(KeyStoreError::NotFound { .. })));
    assert!(matches!(store.wrap(&name("wrap"), b"", b"s"), Err(KeyStoreError::NotFound { .. })));
    let first = store.generate_p384(&name("log-p384")).unwrap();
    store.destroy(&name("log-p384")).unwrap();
    assert_ne!(store.generate_p384(&name("log-p384")).unwrap(), first, "a destroyed key does not come back");
    store.destroy(&name("log-p384")).unwrap();
}

/// Several threads sign with several keys at once; every store call verifies what it returns.
pub(crate) fn signs_concurrently(store: &dyn KeyStore) {
    let keys = [name("one"), name("two")];
    for key in &keys {
        store.generate_p384(key).unwrap();
    }
    std::thread::scope(|scope| {
        for thread in 0..12_usize {
            let key = &keys[thread % 2];
            scope.spawn(move || {
                for round in 0..25_u8 {
                    store.sign_p384(key, &[round; 40]).unwrap();
                }
            });
        }
    });
}

/// Signatures per second, printed for whoever runs the test with `--nocapture`.
pub(crate) fn print_rates(store: &dyn KeyStore) {
    const ROUNDS: u32 = 200;
    let (p384, ml_dsa) = (name("rate-p384"), name("rate-ml-dsa"));
    store.generate_p384(&p384).unwrap();
    store.generate_ml_dsa_65(&ml_dsa).unwrap();
    let rate = |sign: &dyn Fn()| {
        let start = std::time::Instant::now();
        (0..ROUNDS).for_each(|_| sign());
        f64::from(ROUNDS) / start.elapsed().as_secs_f64()
    };
    let p384_rate = rate(&|| drop(store.sign_p384(&p384, b"checkpoint").unwrap()));
    let ml_dsa_rate = rate(&|| drop(store.sign_ml_dsa_65(&ml_dsa, b"checkpoint").unwrap()));
    println!("P-384 {p384_rate:.0}/s, ML-DSA-65 {ml_dsa_rate:.0}/s, each signature verified");
}

/// A module under test with its configuration in a directory of its own.
pub(crate) struct TestModule {
    pub(crate) path: PathBuf,
    pub(crate) directory: PathBuf,
}

impl TestModule {
    /// Makes a token with the test PINs.
    pub(crate) fn token(&self, label: &str) -> Pkcs11Config {
        let request =
            InitToken { module: &self.path, slot: None, label, so_pin: &pin(SO_PIN), user_pin: &pin(USER_PIN) };
        init_token(&request).unwrap();
        self.config(label)
    }

    pub(crate) fn config(&self, label: &str) -> Pkcs11Config {
        Pkcs11Config {
            module: self.path.clone(),
            token: TokenSelector::Label(label.to_owned()),
            pin: PinSource::file("unused"),
            profile: None,
            software_keys: None,
            sessions: None,
        }
    }

    pub(crate) fn open(&self, config: &Pkcs11Config) -> Pkcs11KeyStore {
        Pkcs11KeyStore::open(config, pin(USER_PIN)).unwrap()
    }
}

/// Runs the rest of the calling test in a process of its own, whose environment names the module's configuration: the
/// variable belongs to the process, and no test may disturb the module of another. Returns the directory in the child
/// and `None` in the parent, which asserts that the child passed.
pub(crate) fn in_child(test: &str, variable: &str, configure: impl FnOnce(&Path) -> PathBuf) -> Option<PathBuf> {
    const DIRECTORY: &str = "CRESSET_TOKEN_TEST_DIRECTORY";
    if let Some(directory) = std::env::var_os(DIRECTORY) {
        return Some(directory.into());
    }
    let directory = tempfile::tempdir().unwrap();
    let configuration = configure(directory.path());
    let output = Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture", "--include-ignored"])
        .env(variable, configuration)
        .env(DIRECTORY, directory.path())
        .output()
        .unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{text}");
    assert!(output.status.success() && text.contains("1 passed"), "the test failed in its own process");
    None
}

/// Reports a missing module: a skip, or a failure when `CRESSET_REQUIRE` lists it.
pub(crate) fn missing(what: &str) {
    let required = std::env::var("CRESSET_REQUIRE").unwrap_or_default();
    assert!(!required.split(',').any(|entry| entry == what), "{what} is required and was not found");
    println!("skipped: no {what} (see testnet/softtoken/build.sh)");
}
