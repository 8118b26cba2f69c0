//! Offline verifier of provenance bundles: what `cresset-audit` does, as a library for its tests and benches.
//!
//! [`replay::replay`] takes bundles, the consortium id and the demand on confirmations, and gives a [`report::Report`] with
//! one [`verdict::Verdict`].
//!
//! Invariants: nothing in a bundle is believed before it is digested, signed or committed to; every read is bounded; the
//! same bundles and demands give the same bytes of JSON on every machine; what could not be replayed is never a pass.
//!
//! Deliberately absent: network, clock (a bundle's own time stamps are all there is), database, tokens, private keys, and
//! decryption: an auditor sees openings, never payloads.

#![warn(missing_docs)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic))]

pub mod anchor;
pub mod bundle;
pub mod demand;
pub mod finding;
pub mod flip;
pub mod journey;
pub mod keys;
mod log;
mod membership;
mod records;
mod release;
pub mod replay;
pub mod report;
pub mod source;
mod tiles;
pub mod verdict;
mod vkey;
mod words;
