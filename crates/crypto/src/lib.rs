//! Everything that Cresset computes with keys, except what a token computes and what TLS computes.
//!
//! [`Verifier`] checks signatures, [`EncryptionKeyPair`] and [`hpke_seal`] carry secrets from hub to hub, [`envelope`]
//! encrypts views for their audiences and opens them again, [`at_rest`] wraps what a hub stores, [`self_test`] compares
//! every primitive of the suite with a known answer before the first use.
//!
//! Invariants: secrets sit in zeroizing types whose `Debug` shows nothing; whatever can be refused without a key is
//! refused before a key is touched; no nonce is ever counted under a key that outlives one envelope; randomness comes
//! from aws-lc and its failure is an error, never a panic.
//!
//! Deliberately absent: signing keys (they live in `cresset-token`), TLS and X.509 (`rustls` in the node), storage,
//! clocks, policy. Formats are `cresset-protocol`'s; this crate adds no encoding of its own.

#![warn(missing_docs)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic))]

pub mod at_rest;
pub mod envelope;
pub mod group;
mod kdf;
mod kem;
mod random;
mod self_test;
mod verify;

pub use kem::{EncryptionKeyPair, HpkeError, encryption_key_id, hpke_open, hpke_seal};
pub use random::{RandomnessError, random_bytes, random_secret};
pub use self_test::{SelfTestError, self_test};
pub use verify::{Verifier, normalise_p384};
