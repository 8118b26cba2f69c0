//! The append-only Merkle log of a hub.

pub mod leaf;
