//! Announcements and the sync engine: what must be accepted, and one test per way of being wrong.

#[path = "../consortium/mod.rs"]
mod consortium;

mod announcement;
mod engine;
