//! Announcements and the sync engine: what must be accepted, and one test per way of being wrong.

#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

#[path = "../consortium/mod.rs"]
mod consortium;

mod announcement;
mod engine;
