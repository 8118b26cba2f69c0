//! The control API.

pub(crate) mod types;
