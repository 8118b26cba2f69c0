//! Stories that run from nothing to their end.

pub(crate) mod first_light;
pub(crate) mod handshake;
pub(crate) mod release_words;
