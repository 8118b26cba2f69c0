//! Carries what a hello found out past libp2p, whose transports yield nothing but a peer id.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use libp2p::PeerId;

use super::hello::Authenticated;

/// The newest hello of each connected peer.
///
/// One entry per peer, not per connection: two connections to one peer differ only if a roster changed between their
/// hellos, and a roster change re-judges every session anyway.
#[derive(Clone, Default)]
pub(crate) struct Sessions(Arc<Mutex<BTreeMap<PeerId, Authenticated>>>);

impl Sessions {
    pub(crate) fn insert(&self, peer: PeerId, session: Authenticated) {
        self.lock().insert(peer, session);
    }

    pub(crate) fn get(&self, peer: &PeerId) -> Option<Authenticated> {
        self.lock().get(peer).cloned()
    }

    pub(crate) fn retain(&self, keep: impl Fn(&PeerId) -> bool) {
        self.lock().retain(|peer, _| keep(peer));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<PeerId, Authenticated>> {
        // A panic elsewhere cannot leave a half-written map behind.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
