//! The network of a hub: connections to every other hub of the roster, and the protocols over them.
//!
//! One task owns the libp2p swarm. The node talks to it through [`NetworkHandle`], hears from it through a bounded stream
//! of [`NetworkEvent`], and answers peers through [`Serve`]. Nothing here verifies leaves, notes or envelopes: that is
//! `protocol::sync` and the store.
//!
//! Deliberately absent: identify, Kademlia, relays, hole punching, DNS discovery. Membership is closed and addresses come
//! from the roster.

mod behaviour;
mod budget;
mod codec;
mod dialer;
mod frame;
mod gated;
mod gossip;
mod handle;
mod messages;
mod peers;
mod resolve;
mod serve;
mod streams;
mod swarm_task;

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use cresset_protocol::ids::HubId;
use cresset_protocol::signing::SignatureVerifier;
use cresset_protocol::sync::engine::MessageId;
use libp2p::core::Multiaddr;
use libp2p::core::multiaddr::Protocol;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

pub use frame::FrameError;
pub use handle::{NetworkHandle, Packages, RequestError, roster_push_bytes};
pub use messages::{
    ConsistencyRequest, Delivery, DeliveryAck, DeliveryHead, EntriesRequest, EnvelopeRange, EnvelopesRequest, Head,
    LogRequest, LogResponse, RangeHead, Refusal, RosterRequest, RosterResponse, RosterStanding,
};
pub use peers::Peer;
pub use serve::{EnvelopeBytes, Serve};

use crate::transport::{self, Clock, Identity, MembershipReader, TlsError};

/// Events that wait for the node; beyond it announcements are dropped (gossip is lossy, the log is the truth).
const EVENTS_WAITING_MAX: usize = 1_024;
/// Commands that wait for the swarm task; beyond it callers wait.
const COMMANDS_WAITING_MAX: usize = 256;

/// What the network needs.
pub struct NetworkParts {
    /// Who we are.
    pub identity: Identity,
    /// Who the others are; changes are acted upon at once.
    pub membership: MembershipReader,
    /// The time, for certificates.
    pub clock: Clock,
    /// Verifies hellos.
    pub verifier: Arc<dyn SignatureVerifier + Send + Sync>,
    /// Answers to peers.
    pub serve: Arc<dyn Serve>,
    /// Where to listen; empty for a hub that only dials.
    pub listen: Vec<SocketAddr>,
    /// Network labels whose endpoints we dial, in order of preference; empty means all.
    pub networks: Vec<String>,
}

/// What the network tells the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetworkEvent {
    /// A session with a hub began, or became full or limited.
    PeerUp(Peer),
    /// The last session with a hub ended.
    PeerDown(HubId),
    /// A gossip message awaits [`NetworkHandle::report_validation`].
    Announcement {
        /// Its id.
        id: MessageId,
        /// The neighbour that forwarded it.
        from: HubId,
        /// Its bytes.
        bytes: Vec<u8>,
    },
}

/// A running network. Dropping or aborting the task closes every connection.
pub struct Network {
    /// To ask and tell.
    pub handle: NetworkHandle,
    /// To listen to; must be read.
    pub events: mpsc::Receiver<NetworkEvent>,
    /// Ends when every handle is dropped.
    pub task: JoinHandle<()>,
}

impl Network {
    /// Starts listening and dialling. Needs a multi-threaded tokio runtime with time and I/O.
    ///
    /// # Errors
    /// [`NetworkError`] if the identity is unusable or an address cannot be bound.
    pub fn start(parts: NetworkParts) -> Result<Self, NetworkError> {
        let (command_sender, commands) = mpsc::channel(COMMANDS_WAITING_MAX);
        let (event_sender, events) = mpsc::channel(EVENTS_WAITING_MAX);
        let peers = peers::Peers::default();
        let budgets = Arc::new(Mutex::new(budget::Budgets::default()));
        let consortium = parts.membership.borrow().consortium;
        let built = transport::build(parts.identity.clone(), parts.membership.clone(), parts.clock, parts.verifier)?;
        let behaviour = behaviour::Behaviour::new(&consortium, built.sessions.clone(), parts.membership.clone())?;
        let control = behaviour.full.inner.streams.new_control();
        let mut task = swarm_task::SwarmTask::new(swarm_task::SwarmParts {
            built,
            behaviour,
            me: parts.identity.hub,
            membership: parts.membership,
            server: serve::Server::new(parts.serve),
            networks: parts.networks,
            peers: peers.clone(),
            budgets,
            commands,
            events: event_sender,
            control: control.clone(),
        });
        for address in parts.listen {
            task.listen(address)?;
        }
        let handle = NetworkHandle::new(command_sender, control, peers);
        Ok(Self { handle, events, task: tokio::spawn(task.run()) })
    }
}

/// A TCP multiaddress.
pub(crate) fn multiaddr(address: SocketAddr) -> Multiaddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) => Protocol::Ip4(ip),
        IpAddr::V6(ip) => Protocol::Ip6(ip),
    };
    Multiaddr::empty().with(ip).with(Protocol::Tcp(address.port()))
}

/// Why the network does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// The TLS identity is unusable.
    #[error("the TLS identity is unusable")]
    Tls(#[from] TlsError),
    /// Another process listens there, or the address is not ours.
    #[error("cannot listen on `{address}`: {reason}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        reason: String,
    },
    /// gossipsub refused its configuration.
    #[error("gossip cannot be set up: {0}")]
    Gossip(String),
}

#[cfg(test)]
#[path = "network_tests.rs"]
mod tests;
