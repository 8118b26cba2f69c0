//! Formats and state machines of the Cresset consortium protocol.
//!
//! Holds the Merkle log (leaves, notes, checkpoints, proofs, the writer), envelopes' headers, markings and the attribute
//! tree, the roster, and the sync engine. `protocol-spec/` is the normative text of everything encoded here.
//!
//! Invariants: one canonical encoding per value ([`codec`]); every size and count from outside has a name in [`limits`];
//! a state machine takes bytes and a time and returns values and commands.
//!
//! Deliberately absent: I/O, clock, randomness, ciphers, private keys. Hashing is done here (sha2, hmac); signatures are
//! verified through [`signing::SignatureVerifier`] only.

#![warn(missing_docs)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic))]

pub mod codec;
pub mod domain;
pub mod envelope;
pub mod ids;
pub mod limits;
pub mod log;
pub mod membership;
pub mod object;
pub mod signing;
pub mod suite;
pub mod sync;
