//! Strict JSON (RFC 8259) that keeps every scalar as the exact token of its source.
//!
//! Refused on top of what the grammar refuses: byte order marks, invalid UTF-8, duplicate keys, lone surrogates, depth
//! and counts beyond the protocol's limits. Every refusal names the byte offset.

mod document;
mod parser;

pub use document::DocumentBuilder;
pub use parser::{JsonError, JsonFault, Kind, Value, parse};

#[cfg(test)]
mod tests;
