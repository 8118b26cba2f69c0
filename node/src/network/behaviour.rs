//! The protocols of a connection, and which of them a limited session has (only `roster` and ping).

use std::time::Duration;

use cresset_protocol::ids::ConsortiumId;
use cresset_protocol::limits::{
    CONNECTIONS_PER_PEER_MAX, FRAME_BYTES_MAX, HANDSHAKES_CONCURRENT_MAX, HUBS_MAX, ROSTER_FRAME_BYTES_MAX,
    STREAMS_PER_PEER_MAX,
};
use libp2p::allow_block_list::{self, AllowedPeers};
use libp2p::connection_limits::{self, ConnectionLimits};
use libp2p::request_response::{self, ProtocolSupport};
use libp2p::swarm::NetworkBehaviour;
use libp2p::{StreamProtocol, gossipsub, ping};

use super::codec::CborCodec;
use super::gated::Gated;
use super::messages::{LogRequest, LogResponse, RosterRequest, RosterResponse};
use super::{NetworkError, gossip};
use crate::transport::{MembershipReader, Sessions};

pub(crate) const LOG_PROTOCOL: StreamProtocol = StreamProtocol::new("/cresset/log/1");
pub(crate) const ROSTER_PROTOCOL: StreamProtocol = StreamProtocol::new("/cresset/roster/1");
pub(crate) const ENTRIES_PROTOCOL: StreamProtocol = StreamProtocol::new("/cresset/entries/1");
pub(crate) const ENVELOPES_PROTOCOL: StreamProtocol = StreamProtocol::new("/cresset/envelopes/1");
pub(crate) const DELIVER_PROTOCOL: StreamProtocol = StreamProtocol::new("/cresset/deliver/1");

/// Requests are small; answers may fill a frame.
const LOG_REQUEST_BYTES_MAX: usize = 1 << 10;
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

/// Everything.
#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    limits: connection_limits::Behaviour,
    pub(crate) allowed: allow_block_list::Behaviour<AllowedPeers>,
    ping: ping::Behaviour,
    pub(crate) roster: request_response::Behaviour<CborCodec<RosterRequest, RosterResponse>>,
    pub(crate) full: Gated<Full>,
}

/// What only a full session has.
#[derive(NetworkBehaviour)]
pub(crate) struct Full {
    pub(crate) gossip: gossipsub::Behaviour,
    pub(crate) log: request_response::Behaviour<CborCodec<LogRequest, LogResponse>>,
    pub(crate) streams: libp2p_stream::Behaviour,
}

impl Behaviour {
    pub(crate) fn new(
        consortium: &ConsortiumId,
        sessions: Sessions,
        membership: MembershipReader,
    ) -> Result<Self, NetworkError> {
        let config = || {
            request_response::Config::default()
                .with_request_timeout(REQUEST_TIMEOUT)
                .with_max_concurrent_streams(STREAMS_PER_PEER_MAX)
        };
        let full = Full {
            gossip: gossip::behaviour(consortium)?,
            log: request_response::Behaviour::with_codec(
                CborCodec::new(LOG_REQUEST_BYTES_MAX, FRAME_BYTES_MAX),
                [(LOG_PROTOCOL, ProtocolSupport::Full)],
                config(),
            ),
            streams: libp2p_stream::Behaviour::new(),
        };
        Ok(Self {
            limits: connection_limits::Behaviour::new(limits()),
            allowed: allow_block_list::Behaviour::default(),
            ping: ping::Behaviour::default(),
            roster: request_response::Behaviour::with_codec(
                CborCodec::new(ROSTER_FRAME_BYTES_MAX, ROSTER_FRAME_BYTES_MAX),
                [(ROSTER_PROTOCOL, ProtocolSupport::Full)],
                config(),
            ),
            full: Gated::new(full, sessions, membership),
        })
    }
}

fn limits() -> ConnectionLimits {
    let established = CONNECTIONS_PER_PEER_MAX * HUBS_MAX as u32;
    let places = HANDSHAKES_CONCURRENT_MAX as u32;
    ConnectionLimits::default()
        // Most of them wait for a ClientHello, which costs us a socket and no more: a few senders that say nothing must not
        // shut the others out.
        .with_max_pending_incoming(Some(8 * places))
        // As many again may wait for their turn.
        .with_max_pending_outgoing(Some(2 * places))
        .with_max_established(Some(established))
        .with_max_established_per_peer(Some(CONNECTIONS_PER_PEER_MAX))
}
