//! What the node answers to other hubs. Implemented over the store; called on blocking threads, bounded in number.

use std::sync::Arc;

use cresset_protocol::ids::LeafIndex;
use tokio::sync::Semaphore;

use super::messages::{
    Delivery, DeliveryAck, EntriesRequest, EnvelopeRange, LogRequest, LogResponse, Refusal, RosterRequest,
    RosterResponse,
};
use super::peers::Peer;

/// Calls into [`Serve`] at once, over all peers.
const SERVE_CONCURRENT_MAX: usize = 8;

/// The serving side of a hub. May block; must not panic. Budgets are charged before any of this is called.
pub trait Serve: Send + Sync + 'static {
    /// Heads, checkpoints, consistency proofs.
    fn log(&self, peer: &Peer, request: LogRequest) -> LogResponse;

    /// Roster chain; a push is verified here, and answered with the standing after it.
    fn roster(&self, peer: &Peer, request: RosterRequest) -> RosterResponse;

    /// The encoded package that starts at `at`, and the index after its last entry.
    ///
    /// # Errors
    /// A [`Refusal`] ends the stream.
    fn package(&self, peer: &Peer, request: &EntriesRequest, at: LeafIndex) -> Result<(Vec<u8>, LeafIndex), Refusal>;

    /// A range of an envelope. Decides from its header's relay byte whether this peer may have it.
    ///
    /// # Errors
    /// A [`Refusal`] for this range; the others go on.
    fn envelope(&self, peer: &Peer, range: &EnvelopeRange) -> Result<EnvelopeBytes, Refusal>;

    /// Takes a delivery in, durably.
    ///
    /// # Errors
    /// A [`Refusal`]; only `Busy` and `Failed` make the sender try again.
    fn deliver(&self, peer: &Peer, delivery: Delivery) -> Result<DeliveryAck, Refusal>;
}

/// Bytes of an envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvelopeBytes {
    /// Size of the whole envelope.
    pub total: u64,
    /// The range asked for, shorter only at the end of the envelope.
    pub bytes: Vec<u8>,
}

/// [`Serve`] behind the bound on its calls.
#[derive(Clone)]
pub(crate) struct Server {
    serve: Arc<dyn Serve>,
    places: Arc<Semaphore>,
}

impl Server {
    pub(crate) fn new(serve: Arc<dyn Serve>) -> Self {
        Self { serve, places: Arc::new(Semaphore::new(SERVE_CONCURRENT_MAX)) }
    }

    /// Runs one call on a blocking thread; a full house waits. `None` if it panicked.
    pub(crate) async fn call<T, F>(&self, call: F) -> Option<T>
    where
        T: Send + 'static,
        F: FnOnce(&dyn Serve) -> T + Send + 'static,
    {
        let place = self.places.clone().acquire_owned().await.ok()?;
        let serve = self.serve.clone();
        let done = tokio::task::spawn_blocking(move || {
            let _place = place;
            call(&*serve)
        });
        done.await.inspect_err(|_| tracing::error!("answering a peer failed unexpectedly")).ok()
    }
}
