//! Replication between hubs, I/O-free: what gossip announces, what is fetched, what is due.
//!
//! [`engine::Engine`] keeps the mirrors, [`envelope_queue::EnvelopeQueue`] fetches envelopes, [`heartbeat::Heartbeat`]
//! says when HEADS and slot leaves are due. The node drives them over libp2p, the simulator by the thousand.

pub mod announcement;
pub mod directory;
pub mod engine;
pub mod envelope_queue;
pub mod heartbeat;
