//! The append-only Merkle log of a hub (`protocol-spec/02-log.md`).

pub mod checkpoint;
pub mod entry;
pub mod leaf;
pub mod merkle;
pub mod note;
pub mod package;
pub mod record;
pub mod tile;
pub mod writer;
