//! The [`KeyStore`]: private keys behind one interface, on a PKCS#11 token or in key files.
//!
//! Invariants:
//! - No signature leaves a store that its own public key does not verify: a faulty token must not publish.
//! - A PIN that a token refused is never submitted again.
//! - A store that cannot recover fails closed and stays closed for a back-off; it never falls back to another key.
//! - Private halves are never returned. The one secret that leaves is what [`KeyStore::unwrap`] was asked to decrypt.
//!
//! Deliberately absent: knowledge of logs, rosters and envelopes; certificates; asynchronous code (a token call blocks,
//! so callers use a bounded pool of threads); encryption keys, which live in `cresset-crypto` and are only wrapped here.

#![warn(missing_docs)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic))]

pub mod config;
pub mod csr;
pub mod error;
pub mod file;
pub mod keystore;
pub mod pin;
pub mod pkcs11;

mod ec_point;
mod kind;
mod release;
mod software;

pub use config::{FileConfig, KeyStoreConfig, Pkcs11Config, TokenSelector, open};
pub use error::KeyStoreError;
pub use file::FileKeyStore;
pub use keystore::{KeyName, KeyStore};
pub use pin::{Pin, PinError, PinSource};
pub use pkcs11::Pkcs11KeyStore;
pub use pkcs11::init::{InitToken, InitialisedToken, init_token, softtoken_configuration};
