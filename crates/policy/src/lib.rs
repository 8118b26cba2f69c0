//! Markings decided by Cedar: engine, release plans, the record that an auditor re-evaluates.
//!
//! [`Engine`] holds the shipped baseline and at most one consortium and one national bundle. It answers a
//! [`DecisionInput`]: question, marking class, principal and situation, as canonical bytes. [`plan::plan_release`] turns a
//! CTI object and its possible recipients into views; [`release::ReleaseAudit`] records the inputs and outcomes and
//! [`replay::replay`] evaluates them again.
//!
//! Invariants: what no rule permits is refused; a `forbid` wins over every `permit`; a rule that fails to evaluate
//! refuses; layers above the baseline can tighten only; the same input and bundles give the same answer everywhere.
//!
//! Deliberately absent: clock, randomness and I/O (time is an input), attribute values (only marking classes are seen),
//! formats and their labels (`cresset-interop` maps them to markings), rosters (a [`plan::Recipient`] is a snapshot row),
//! encryption and logs.

#![warn(missing_docs)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic))]

pub mod bundle;
mod cedar;
pub mod decision;
pub mod engine;
pub mod input;
pub mod obligation;
pub mod plan;
pub mod release;
pub mod render;
pub mod replay;

pub use bundle::{Layer, PolicyBundle};
pub use decision::{Decision, Outcome, Rule};
pub use engine::{Engine, EngineError};
pub use input::{
    CarrierScope, Client, ClientKind, DecisionInput, HubPrincipal, Lane, MarkingClass, Principal, Question, Situation,
};
pub use obligation::Obligation;
pub use plan::{Addressing, Carriage, Recipient, ReleasePlan, plan_release};
pub use release::ReleaseAudit;
pub use replay::{BundleSet, Replayed, replay};
