//! Who is connected, readable from everywhere.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use cresset_protocol::ids::{HubId, RosterVersion};
use libp2p::PeerId;

/// A connected hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The hub.
    pub hub: HubId,
    /// Its libp2p name.
    pub peer: PeerId,
    /// Whether the session speaks only the roster protocol.
    pub limited: bool,
    /// Version of its roster at the hello.
    pub roster_version: RosterVersion,
}

/// The table; the swarm task alone writes it.
#[derive(Clone, Default)]
pub(crate) struct Peers(Arc<RwLock<BTreeMap<HubId, Peer>>>);

impl Peers {
    pub(crate) fn get(&self, hub: &HubId) -> Option<Peer> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(hub).copied()
    }

    pub(crate) fn by_peer(&self, peer: &PeerId) -> Option<Peer> {
        self.all().into_iter().find(|known| known.peer == *peer)
    }

    pub(crate) fn all(&self) -> Vec<Peer> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).values().copied().collect()
    }

    /// Returns what was there before.
    pub(crate) fn insert(&self, peer: Peer) -> Option<Peer> {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(peer.hub, peer)
    }

    pub(crate) fn remove(&self, hub: &HubId) -> Option<Peer> {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(hub)
    }
}
