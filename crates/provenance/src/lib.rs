//! The store of a hub: everything it keeps on disk, and the thread that executes the log writer.
//!
//! Invariants: one synced atomic batch per commit; a head is stored before it is used; no commit leaves a log without a
//! frontier that its tiles confirm; what a WITHDRAW or ERASE destroyed is never served or stored again; data keys of
//! opened objects live in `erase/`, outside the database.
//!
//! Deliberately absent: verification of what peers send (done by `cresset_protocol` before it gets here), policy,
//! networking, parsing of CTI. No RocksDB type appears in the public interface.

#![warn(missing_docs)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic))]

pub mod envelopes;
pub mod erasure;
pub mod error;
pub mod export;
pub mod fence;
pub mod keys;
pub mod log_writer;
pub mod logs;
pub mod objects;
pub mod openings;
pub mod own_log;
pub mod peers;
pub mod queues;
pub mod store;
pub mod tree;

mod db;
mod schema;

pub use error::StoreError;
pub use log_writer::{AppendAnswer, LogWriter, NewLeaf, WriterEvent};
pub use schema::SCHEMA_VERSION;
pub use store::{Store, StoreOptions};
