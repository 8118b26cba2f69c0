//! The file key store: the common suite, and what only files can get wrong.

#![allow(clippy::unwrap_used, reason = "a failure here is the test's")]

mod support;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use cresset_token::{FileKeyStore, KeyName, KeyStore, KeyStoreError};
use support::name;

fn set_mode(path: &std::path::Path, mode: u32) {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &std::path::Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn passes_the_suite() {
    let directory = tempfile::tempdir().unwrap();
    support::suite(&FileKeyStore::open(directory.path().join("keys")).unwrap());
}

#[test]
fn signs_concurrently() {
    let directory = tempfile::tempdir().unwrap();
    support::signs_concurrently(&FileKeyStore::open(directory.path().join("keys")).unwrap());
}

#[test]
fn keys_survive_reopening() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys");
    let open = || FileKeyStore::open(&path).unwrap();
    let (key, wrap) = (name("log-ml-dsa"), name("wrap"));
    let public = open().generate_ml_dsa_65(&key).unwrap();
    open().generate_wrapping(&wrap).unwrap();
    let wrapped = open().wrap(&wrap, b"context", b"secret").unwrap();
    assert_eq!(open().ml_dsa_65(&key).unwrap(), public);
    assert_eq!(open().unwrap(&wrap, b"context", &wrapped).unwrap().as_slice(), b"secret");
}

#[test]
fn files_are_private_and_no_partial_file_remains() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys");
    FileKeyStore::open(&path).unwrap().generate_p384(&name("tls")).unwrap();
    assert_eq!(mode(&path), 0o700);
    for entry in std::fs::read_dir(&path).unwrap() {
        let entry = entry.unwrap().path();
        assert_eq!(mode(&entry), 0o600, "{entry:?}");
        assert_ne!(entry.extension().unwrap_or_default(), "partial");
    }
}

#[test]
fn what_others_may_read_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys");
    FileKeyStore::open(&path).unwrap().generate_p384(&name("tls")).unwrap();

    set_mode(&path.join("tls.p384.key"), 0o640);
    let result = FileKeyStore::open(&path).unwrap().p384(&name("tls"));
    assert!(matches!(result, Err(KeyStoreError::Permissions { mode: 0o640, .. })), "{result:?}");

    set_mode(&path, 0o750);
    assert!(matches!(FileKeyStore::open(&path), Err(KeyStoreError::Permissions { mode: 0o750, .. })));
}

#[test]
fn damaged_key_files_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys");
    let store = FileKeyStore::open(&path).unwrap();
    store.generate_p384(&name("tls")).unwrap();
    store.generate_ml_dsa_65(&name("log-ml-dsa")).unwrap();
    for (file, key) in [("tls.p384.key", "tls"), ("log-ml-dsa.ml-dsa-65.key", "log-ml-dsa")] {
        for content in [&b""[..], b"no key", &[1; 31], &[1; 5_000]] {
            std::fs::write(path.join(file), content).unwrap();
            let fresh = FileKeyStore::open(&path).unwrap();
            let result = fresh.p384(&name(key)).map(drop).or_else(|error| match error {
                KeyStoreError::WrongKind { .. } => fresh.ml_dsa_65(&name(key)).map(drop),
                other => Err(other),
            });
            assert!(matches!(result, Err(KeyStoreError::BadKeyFile { .. })), "{file}: {result:?}");
        }
    }
}

#[test]
fn a_directory_that_cannot_be_made_is_an_error() {
    assert!(matches!(FileKeyStore::open("/proc/nonexistent/keys"), Err(KeyStoreError::File { .. })));
}

#[test]
fn key_names_cannot_leave_the_directory() {
    for text in ["", "../key", "a/b", "A", "key.p384", "a b", &"a".repeat(33)] {
        assert!(matches!(KeyName::new(text), Err(KeyStoreError::BadName { .. })), "{text}");
    }
}
