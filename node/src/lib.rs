//! The hub daemon as a library, so that the binary and the test network embed the same node.
//!
//! [`transport`] makes authenticated sessions between hubs, [`network`] runs the protocols over them.
//!
//! Invariants: nothing classical between hubs; whatever a peer sends is bounded by a named limit before it is looked at;
//! a peer cannot cause a panic.
//!
//! Deliberately absent: storage formats, decisions, cryptography. Those are the crates'.

#![warn(missing_docs)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic))]

pub mod cli;
pub mod network;
pub mod transport;

mod api;
mod audiences;
mod client;
mod clock;
mod commands;
mod config;
mod deliver;
mod doctor;
mod enrol;
mod exit_code;
mod gate;
mod home;
mod hub;
mod hub_error;
mod membership;
mod metrics;
mod observables;
mod output;
mod parts;
mod publish;
mod pulse;
mod receive;
mod records;
mod replicate;
mod serve;
mod startup;
mod stored_view;
mod telemetry;
