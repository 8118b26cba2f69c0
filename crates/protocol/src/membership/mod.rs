//! Who belongs to the consortium.

pub mod roster;
