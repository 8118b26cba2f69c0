//! A behaviour that exists only for full sessions.
//!
//! A limited session gets a handler that speaks nothing, and the inner behaviour never hears of its connection: gossipsub
//! cannot leak to it and no stream protocol can be opened over it.

use std::collections::BTreeMap;
use std::task::{Context, Poll};

use libp2p::PeerId;
use libp2p::core::transport::PortUse;
use libp2p::core::{Endpoint, Multiaddr};
use libp2p::swarm::derive_prelude::Either;
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, NotifyHandler, THandler, THandlerInEvent,
    THandlerOutEvent, ToSwarm, dummy,
};

use crate::transport::{MembershipReader, Sessions};

/// Wraps `B`.
pub(crate) struct Gated<B> {
    pub(crate) inner: B,
    sessions: Sessions,
    membership: MembershipReader,
    /// Every connection and whether the inner behaviour knows of it.
    connections: BTreeMap<(PeerId, ConnectionId), Gate>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Gate {
    Open,
    Shut,
}

impl<B> Gated<B> {
    pub(crate) fn new(inner: B, sessions: Sessions, membership: MembershipReader) -> Self {
        Self { inner, sessions, membership, connections: BTreeMap::new() }
    }

    /// Judges a finished hello once more: the roster may have changed since its first frame.
    fn admit(&mut self, peer: PeerId, connection: ConnectionId) -> Result<Gate, ConnectionDenied> {
        let session = self.sessions.get(&peer).filter(|session| session.stands(&self.membership.borrow()));
        let session = session.ok_or_else(|| ConnectionDenied::new(Outdated))?;
        let gate = if session.limited { Gate::Shut } else { Gate::Open };
        self.connections.insert((peer, connection), gate);
        Ok(gate)
    }

    fn is_shut(&self, peer: PeerId, connection: ConnectionId) -> bool {
        self.connections.get(&(peer, connection)) == Some(&Gate::Shut)
    }

    /// Connections of a peer that the inner behaviour does not know of, `except` one.
    fn shut_beside(&self, peer: PeerId, except: ConnectionId) -> usize {
        self.connections.iter().filter(|((p, c), gate)| *p == peer && *c != except && **gate == Gate::Shut).count()
    }

    fn open_connection(&self, peer: PeerId) -> Option<ConnectionId> {
        let mut open = self.connections.iter().filter(|((p, _), gate)| *p == peer && **gate == Gate::Open);
        open.next().map(|((_, connection), _)| *connection)
    }

    fn forget(&mut self, connection: ConnectionId) {
        self.connections.retain(|(_, c), _| *c != connection);
    }
}

impl<B: NetworkBehaviour> NetworkBehaviour for Gated<B> {
    type ConnectionHandler = Either<THandler<B>, dummy::ConnectionHandler>;
    type ToSwarm = B::ToSwarm;

    fn handle_pending_inbound_connection(
        &mut self,
        id: ConnectionId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        self.inner.handle_pending_inbound_connection(id, local, remote)
    }

    fn handle_established_inbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        match self.admit(peer, id)? {
            Gate::Shut => Ok(Either::Right(dummy::ConnectionHandler)),
            Gate::Open => self.inner.handle_established_inbound_connection(id, peer, local, remote).map(Either::Left),
        }
    }

    fn handle_pending_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: Option<PeerId>,
        addresses: &[Multiaddr],
        role: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        self.inner.handle_pending_outbound_connection(id, peer, addresses, role)
    }

    fn handle_established_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port_use: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        match self.admit(peer, id)? {
            Gate::Shut => Ok(Either::Right(dummy::ConnectionHandler)),
            Gate::Open => {
                self.inner.handle_established_outbound_connection(id, peer, address, role, port_use).map(Either::Left)
            }
        }
    }

    fn on_swarm_event(&mut self, event: FromSwarm) {
        // Counts of a peer's connections must leave out those that the inner behaviour does not know.
        match event {
            FromSwarm::ConnectionEstablished(mut event) => {
                if !self.is_shut(event.peer_id, event.connection_id) {
                    let hidden = self.shut_beside(event.peer_id, event.connection_id);
                    event.other_established = event.other_established.saturating_sub(hidden);
                    self.inner.on_swarm_event(FromSwarm::ConnectionEstablished(event));
                }
            }
            FromSwarm::ConnectionClosed(mut event) => {
                let (peer, connection) = (event.peer_id, event.connection_id);
                let shut = self.is_shut(peer, connection);
                self.forget(connection);
                if !shut {
                    let hidden = self.shut_beside(peer, connection);
                    event.remaining_established = event.remaining_established.saturating_sub(hidden);
                    self.inner.on_swarm_event(FromSwarm::ConnectionClosed(event));
                }
            }
            FromSwarm::AddressChange(event) if self.is_shut(event.peer_id, event.connection_id) => {}
            other => {
                // Another behaviour may deny a connection after we admitted it.
                match &other {
                    FromSwarm::DialFailure(failure) => self.forget(failure.connection_id),
                    FromSwarm::ListenFailure(failure) => self.forget(failure.connection_id),
                    _ => {}
                }
                self.inner.on_swarm_event(other);
            }
        }
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, id: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {
            Either::Left(event) => self.inner.on_connection_handler_event(peer, id, event),
            Either::Right(never) => match never {},
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        loop {
            return match self.inner.poll(cx) {
                // "Any" could pick a shut connection, whose handler takes no events.
                Poll::Ready(ToSwarm::NotifyHandler { peer_id, handler: NotifyHandler::Any, event }) => {
                    let Some(connection) = self.open_connection(peer_id) else { continue };
                    let handler = NotifyHandler::One(connection);
                    Poll::Ready(ToSwarm::NotifyHandler { peer_id, handler, event: Either::Left(event) })
                }
                Poll::Ready(other) => Poll::Ready(other.map_in(Either::Left)),
                Poll::Pending => Poll::Pending,
            };
        }
    }
}

/// The hello was judged by a roster under which it would end otherwise today.
#[derive(Debug, thiserror::Error)]
#[error("the roster changed during the hello")]
struct Outdated;

#[cfg(test)]
#[path = "gated_tests.rs"]
mod tests;
