//! Replication between hubs, I/O-free.
