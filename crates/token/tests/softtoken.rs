//! The PKCS#11 key store on the software token, with ML-DSA on the token.

#![allow(clippy::unwrap_used, reason = "a failure here is the test's")]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use cresset_protocol::membership::roster::PqCustody;
use cresset_token::{
    InitToken, KeyStore, KeyStoreError, Pkcs11Config, Pkcs11KeyStore, TokenSelector, init_token,
    softtoken_configuration,
};
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::session::UserType;
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use support::{TestModule, USER_PIN, in_child, missing, name, pin};

/// The module by `CRESSET_SOFTTOKEN`, or where `testnet/softtoken/build.sh` left the one for these sources.
fn softtoken() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("CRESSET_SOFTTOKEN") {
        return Some(path.into());
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testnet/softtoken/build.sh");
    let path = Command::new(script).arg("--path").output().ok()?.stdout;
    PathBuf::from(String::from_utf8(path).ok()?.trim()).canonicalize().ok()
}

/// Goes on in a child process with three empty slots, or skips.
fn module(test: &str) -> Option<TestModule> {
    let Some(path) = softtoken() else {
        missing("softtoken");
        return None;
    };
    let directory = in_child(test, "KRYOPTIC_CONF", |directory| {
        let slots: Vec<_> = (1..=3).map(|slot| (slot, directory.join(format!("token-{slot}.sqlite")))).collect();
        let path = directory.join("token.conf");
        std::fs::write(&path, softtoken_configuration(&slots)).unwrap();
        path
    })?;
    Some(TestModule { path, directory })
}

/// The same module as another part of the process sees it: what it does, it does behind the store's back.
fn behind_the_back(module: &TestModule, label: &str) -> (Pkcs11, Slot) {
    let pkcs11 = Pkcs11::new(&module.path).unwrap();
    let slots = pkcs11.get_slots_with_token().unwrap();
    let slot = slots.into_iter().find(|slot| pkcs11.get_token_info(*slot).unwrap().label() == label).unwrap();
    (pkcs11, slot)
}

/// Takes every session and the login away; the module stays usable.
fn close_all_sessions(pkcs11: &Pkcs11) {
    pkcs11.clone().finalize().unwrap();
    pkcs11.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).unwrap();
}

#[test]
fn passes_the_suite() {
    let Some(module) = module("passes_the_suite") else { return };
    let store = module.open(&module.token("hub"));
    assert_eq!(store.pq_custody(), PqCustody::Token);
    support::suite(&store);
}

/// The software token takes the caller's nonce, so under the profile for tokens that choose it nothing may be wrapped.
#[test]
fn a_token_that_was_to_choose_the_nonce_and_did_not_is_refused() {
    let Some(module) = module("a_token_that_was_to_choose_the_nonce_and_did_not_is_refused") else { return };
    let store = module.open(&Pkcs11Config { profile: Some("token-nonce".into()), ..module.token("hub") });
    store.generate_wrapping(&name("wrap")).unwrap();
    let result = store.wrap(&name("wrap"), b"context", b"secret");
    assert!(matches!(result, Err(KeyStoreError::Faulty { what: "nonce", .. })), "{result:?}");
}

#[test]
fn signs_concurrently() {
    let Some(module) = module("signs_concurrently") else { return };
    let config = Pkcs11Config { sessions: Some(2), ..module.token("hub") };
    support::signs_concurrently(&module.open(&config));
}

#[test]
fn rates_are_printed() {
    let Some(module) = module("rates_are_printed") else { return };
    support::print_rates(&module.open(&module.token("hub")));
}

#[test]
fn several_tokens_of_one_module_work_side_by_side() {
    let Some(module) = module("several_tokens_of_one_module_work_side_by_side") else { return };
    let (one, two) = (module.open(&module.token("one")), module.open(&module.token("two")));
    let first = one.generate_p384(&name("tls")).unwrap();
    assert!(matches!(two.p384(&name("tls")), Err(KeyStoreError::NotFound { .. })));
    assert_ne!(two.generate_p384(&name("tls")).unwrap(), first);
    assert_eq!(module.open(&module.config("one")).p384(&name("tls")).unwrap(), first);
}

#[test]
fn recovers_from_sessions_closed_behind_our_back() {
    let Some(module) = module("recovers_from_sessions_closed_behind_our_back") else { return };
    let store = module.open(&module.token("hub"));
    let public = store.generate_p384(&name("tls")).unwrap();
    let (pkcs11, _) = behind_the_back(&module, "hub");
    for _ in 0..3 {
        close_all_sessions(&pkcs11);
        store.sign_p384(&name("tls"), b"message").unwrap();
    }
    // With a cold cache, hidden keys must not pass for missing ones.
    close_all_sessions(&pkcs11);
    assert_eq!(store.p384(&name("tls")).unwrap(), public);
}

#[test]
fn recovers_from_a_logout_behind_our_back() {
    let Some(module) = module("recovers_from_a_logout_behind_our_back") else { return };
    let store = module.open(&module.token("hub"));
    store.generate_p384(&name("tls")).unwrap();
    let (pkcs11, slot) = behind_the_back(&module, "hub");
    for _ in 0..3 {
        pkcs11.open_rw_session(slot).unwrap().logout().unwrap();
        store.sign_p384(&name("tls"), b"message").unwrap();
    }
    pkcs11.open_rw_session(slot).unwrap().logout().unwrap();
    assert!(matches!(store.generate_p384(&name("tls")), Err(KeyStoreError::AlreadyExists { .. })));
}

#[test]
fn recovers_from_a_finalise_behind_our_back() {
    let Some(module) = module("recovers_from_a_finalise_behind_our_back") else { return };
    let (one, two) = (module.open(&module.token("one")), module.open(&module.token("two")));
    one.generate_p384(&name("tls")).unwrap();
    two.generate_p384(&name("tls")).unwrap();
    let (pkcs11, _) = behind_the_back(&module, "one");
    pkcs11.finalize().unwrap();
    std::thread::scope(|scope| {
        for store in [&one, &two, &one, &two] {
            scope.spawn(|| store.sign_p384(&name("tls"), b"message").unwrap());
        }
    });
}

#[test]
fn fails_closed_while_the_token_is_gone_and_comes_back() {
    let Some(module) = module("fails_closed_while_the_token_is_gone_and_comes_back") else { return };
    let store = module.open(&module.token("hub"));
    store.generate_p384(&name("tls")).unwrap();
    let (pkcs11, _) = behind_the_back(&module, "hub");
    let (conf, away) = (module.directory.join("token.conf"), module.directory.join("away"));
    std::fs::rename(&conf, &away).unwrap();
    pkcs11.finalize().unwrap();
    for _ in 0..2 {
        let result = store.sign_p384(&name("tls"), b"message");
        assert!(result.as_ref().is_err_and(KeyStoreError::is_transient), "{result:?}");
    }
    std::fs::rename(&away, &conf).unwrap();
    loop {
        match store.sign_p384(&name("tls"), b"message") {
            // The store says when to come back; nothing else ends the pause.
            Err(KeyStoreError::Unavailable { retry_after }) => std::thread::park_timeout(retry_after),
            result => break drop(result.unwrap()),
        }
    }
}

#[test]
fn a_refused_pin_is_never_tried_again() {
    let Some(module) = module("a_refused_pin_is_never_tried_again") else { return };
    let config = module.token("hub");
    let attempt = || Pkcs11KeyStore::open(&config, pin("wrong pin")).map(drop);
    assert!(matches!(attempt(), Err(KeyStoreError::PinRefused)));
    // The right PIN still works, so one attempt was all that was made of the ten.
    module.open(&config).generate_p384(&name("tls")).unwrap();

    // A PIN changed behind our back: the store submits the old one once, when it has to log in again, and then never.
    let store = module.open(&config);
    store.sign_p384(&name("tls"), b"message").unwrap();
    let (pkcs11, slot) = behind_the_back(&module, "hub");
    let session = pkcs11.open_rw_session(slot).unwrap();
    session.set_pin(&AuthPin::new(USER_PIN.into()), &AuthPin::new("11112222".into())).unwrap();
    close_all_sessions(&pkcs11);
    for _ in 0..15 {
        let result = store.sign_p384(&name("tls"), b"message");
        assert!(matches!(result, Err(KeyStoreError::PinRefused)), "{result:?}");
    }
    let session = pkcs11.open_rw_session(slot).unwrap();
    session.login(UserType::User, Some(&AuthPin::new("11112222".into()))).unwrap();
}

#[test]
fn a_token_about_to_lock_is_left_alone() {
    let Some(module) = module("a_token_about_to_lock_is_left_alone") else { return };
    let config = module.token("hub");
    let (pkcs11, slot) = behind_the_back(&module, "hub");
    let session = pkcs11.open_rw_session(slot).unwrap();
    let wrong = AuthPin::new("wrong pin".into());
    for _ in 0..20 {
        let token = pkcs11.get_token_info(slot).unwrap();
        if token.user_pin_final_try() || token.user_pin_locked() {
            break;
        }
        let result = session.login(UserType::User, Some(&wrong));
        assert!(matches!(result, Err(Error::Pkcs11(RvError::PinIncorrect | RvError::PinLocked, _))), "{result:?}");
    }
    let result = Pkcs11KeyStore::open(&config, pin(USER_PIN)).map(drop);
    assert!(matches!(result, Err(KeyStoreError::PinLocked)), "{result:?}");
}

#[test]
fn tokens_are_found_exactly() {
    let Some(module) = module("tokens_are_found_exactly") else { return };
    module.token("hub");
    let with = |token| Pkcs11KeyStore::open(&Pkcs11Config { token, ..module.config("hub") }, pin(USER_PIN)).map(drop);
    assert!(matches!(with(TokenSelector::Label("other".into())), Err(KeyStoreError::NoToken { .. })));
    assert!(matches!(with(TokenSelector::Slot(99)), Err(KeyStoreError::NoToken { .. })));
    assert!(with(TokenSelector::Slot(1)).is_ok());
    let unknown = Pkcs11Config { profile: Some("nonesuch".into()), ..module.config("hub") };
    assert!(matches!(Pkcs11KeyStore::open(&unknown, pin(USER_PIN)), Err(KeyStoreError::UnknownProfile { .. })));
}

#[test]
fn initialising_never_touches_a_token_in_use() {
    let Some(module) = module("initialising_never_touches_a_token_in_use") else { return };
    let public = module.open(&module.token("hub")).generate_p384(&name("tls")).unwrap();
    let (so_pin, user_pin) = (pin("12345678"), pin("00000000"));
    let init = |slot, label| {
        let request = InitToken { module: &module.path, slot, label, so_pin: &so_pin, user_pin: &user_pin };
        init_token(&request)
    };
    assert!(matches!(init(Some(1), "other"), Err(KeyStoreError::TokenInUse { .. })));
    assert!(matches!(init(Some(2), "hub"), Err(KeyStoreError::AmbiguousToken { .. })));
    assert!(matches!(init(Some(9), "other"), Err(KeyStoreError::NoToken { .. })));
    init(None, "second").unwrap();
    init(None, "third").unwrap();
    assert!(matches!(init(None, "fourth"), Err(KeyStoreError::NoToken { .. })));
    assert_eq!(module.open(&module.config("hub")).p384(&name("tls")).unwrap(), public);
}
