//! The append-only Merkle log of a hub (`protocol-spec/02-log.md`).

pub mod leaf;
pub mod merkle;
