//! The append-only Merkle log of a hub (`protocol-spec/02-log.md`).

pub mod bundle;
pub mod checkpoint;
pub mod entry;
pub mod evidence;
pub mod heads;
pub mod kinds;
pub mod leaf;
pub mod manifest;
pub mod merkle;
pub mod note;
pub mod package;
pub mod private;
pub mod public;
pub mod record;
pub mod slot;
pub mod tile;
pub mod writer;
