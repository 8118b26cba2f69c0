//! Carries what a hello found out past libp2p, whose transports yield nothing but a peer id.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use libp2p::PeerId;

use super::hello::Authenticated;

/// The newest hello of each connected peer.
///
/// One entry per peer, not per connection: libp2p takes it over when the connection is established. Two hellos of one peer
/// that await this differ only if a roster changed between them; if that changed the peer's key, neither counts, so that
/// an old key cannot enter under the name of a new one.
#[derive(Clone, Default)]
pub(crate) struct Sessions(Arc<Mutex<BTreeMap<PeerId, Authenticated>>>);

impl Sessions {
    pub(crate) fn insert(&self, peer: PeerId, session: Authenticated) {
        let mut sessions = self.lock();
        let key = session.authentication_key.clone();
        if sessions.insert(peer, session).is_some_and(|before| before.authentication_key != key) {
            sessions.remove(&peer);
        }
    }

    pub(crate) fn get(&self, peer: &PeerId) -> Option<Authenticated> {
        self.lock().get(peer).cloned()
    }

    pub(crate) fn retain(&self, keep: impl Fn(&Authenticated) -> bool) {
        self.lock().retain(|_, session| keep(session));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<PeerId, Authenticated>> {
        // A panic elsewhere cannot leave a half-written map behind.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
