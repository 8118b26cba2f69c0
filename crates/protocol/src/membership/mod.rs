//! Who belongs to the consortium: roster, enrolment, suspension, sharing groups (`protocol-spec/05-membership.md`).

pub mod approval;
pub mod chain;
pub mod digest;
pub mod enrolment;
pub mod group;
pub mod roster;
pub mod rules;
pub mod snapshot;
pub mod suspension;
pub mod syntax;
pub mod verify;
pub mod welcome;

pub use chain::{RosterChain, RosterFile};
pub use snapshot::VerifiedRoster;

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod statement_tests;
