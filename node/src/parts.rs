//! What the node's tasks share: one value, made at start, behind an `Arc`.

use std::sync::Arc;

use cresset_policy::Engine;
use cresset_protocol::ids::{ConsortiumId, HubId, LogId, UnixSeconds};
use cresset_protocol::log::checkpoint::Origin;
use cresset_provenance::{LogWriter, Store};
use tokio::sync::Notify;

use crate::membership::Membership;
use crate::network::NetworkHandle;
use crate::transport::Clock;

/// Shared by publishing, receiving, serving and the API.
pub(crate) struct Parts {
    /// This hub.
    pub(crate) me: HubId,
    /// Its consortium.
    pub(crate) consortium: ConsortiumId,
    /// The log that it writes.
    pub(crate) log: LogId,
    /// Origin of that log.
    pub(crate) origin: Origin,
    /// Wall clock.
    pub(crate) clock: Clock,
    /// The database.
    pub(crate) store: Arc<Store>,
    /// The writer of the own log.
    pub(crate) writer: LogWriter,
    /// Decisions.
    pub(crate) engine: Engine,
    /// Roster and groups.
    pub(crate) membership: Arc<Membership>,
    /// Peers.
    pub(crate) network: NetworkHandle,
    /// How long envelopes of others are kept, in seconds.
    pub(crate) relay_retention_s: u64,
    /// Rings when something waits in the outbox.
    pub(crate) outbox: Notify,
}

impl Parts {
    /// The time.
    pub(crate) fn now(&self) -> UnixSeconds {
        (self.clock)()
    }
}
