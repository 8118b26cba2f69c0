//! Formats to and from the CTI object: MISP first, others beside it.
//!
//! A format parses native bytes strictly into a [`CtiObject`](cresset_protocol::object::cti::CtiObject) with one
//! effective marking per unit, and rebuilds a native document from a verified view.
//!
//! Invariants: limits before allocation; numbers and strings keep their exact tokens; unknown fields survive; whatever a
//! format cannot carry is listed as a [`Loss`]; a marking never gets weaker than a label in the document; a label that
//! cannot be trusted holds its unit for review.
//!
//! Deliberately absent: decisions (policy), I/O, ciphers, and any logging: input is hostile and confidential.

#![warn(missing_docs)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic))]

mod format;
pub mod json;
pub mod misp;

pub use format::{Format, Loss, ParseError, Parsed, RebuildError, Warning};
