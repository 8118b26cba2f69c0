//! The network as the rest of the node uses it.

use cresset_protocol::codec;
use cresset_protocol::ids::{HubId, LogId};
use cresset_protocol::limits::{ENVELOPE_RANGE_BYTES_MAX, FRAME_BYTES_MAX};
use cresset_protocol::membership::roster::SignedRoster;
use cresset_protocol::sync::engine::{MessageId, Verdict};
use libp2p::{Multiaddr, Stream};
use libp2p_stream::Control;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

use super::frame::{self, Frame, FrameError};
use super::messages::{
    Delivery, DeliveryAck, EntriesRequest, EnvelopeRange, EnvelopesRequest, Head, LogRequest, LogResponse, RangeHead,
    Refusal, RosterRequest, RosterResponse, RosterStanding,
};
use super::peers::{Peer, Peers};
use super::serve::EnvelopeBytes;
use super::streams::{StreamKind, delivery_is_valid, entries_request_is_valid, envelopes_request_is_valid};

/// Opening a stream waits for a free slot in the connection, no longer than this.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);

/// Cheap to clone; works until the network task ends, and then says [`RequestError::Stopped`].
#[derive(Clone)]
pub struct NetworkHandle {
    commands: mpsc::Sender<Command>,
    control: Control,
    peers: Peers,
}

/// To the swarm task. Every reply channel that is dropped means "stopped".
pub(crate) enum Command {
    Publish { bytes: Vec<u8>, reply: oneshot::Sender<Result<(), RequestError>> },
    Report { id: MessageId, from: HubId, verdict: Verdict },
    Log { hub: HubId, request: LogRequest, reply: oneshot::Sender<Result<LogResponse, RequestError>> },
    Roster { hub: HubId, request: RosterRequest, reply: oneshot::Sender<Result<RosterResponse, RequestError>> },
    Disconnect { hub: HubId },
    ListenAddresses { reply: oneshot::Sender<Vec<Multiaddr>> },
}

impl NetworkHandle {
    pub(crate) fn new(commands: mpsc::Sender<Command>, control: Control, peers: Peers) -> Self {
        Self { commands, control, peers }
    }

    /// Connected hubs in ascending hub id, limited sessions among them.
    pub fn peers(&self) -> Vec<Peer> {
        self.peers.all()
    }

    /// Addresses that this node listens on.
    ///
    /// # Errors
    /// [`RequestError::Stopped`].
    pub async fn listen_addresses(&self) -> Result<Vec<Multiaddr>, RequestError> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::ListenAddresses { reply }).await?;
        answer.await.map_err(|_| RequestError::Stopped)
    }

    /// Gossips an announcement to whoever is connected; nobody being there is no error, since heads are compared anyway.
    ///
    /// # Errors
    /// [`RequestError::TooLarge`], or [`RequestError::Overloaded`] if every neighbour's queue is full.
    pub async fn publish_announcement(&self, bytes: Vec<u8>) -> Result<(), RequestError> {
        if bytes.len() > FRAME_BYTES_MAX {
            return Err(RequestError::TooLarge);
        }
        let (reply, answer) = oneshot::channel();
        self.send(Command::Publish { bytes, reply }).await?;
        answer.await.map_err(|_| RequestError::Stopped)?
    }

    /// Says what gossip shall do with a message. Without it the message is dropped within seconds.
    ///
    /// # Errors
    /// [`RequestError::Stopped`].
    pub async fn report_validation(&self, id: MessageId, from: HubId, verdict: Verdict) -> Result<(), RequestError> {
        self.send(Command::Report { id, from, verdict }).await
    }

    /// Ends every session with a hub; it is dialled again unless the roster changed.
    ///
    /// # Errors
    /// [`RequestError::Stopped`].
    pub async fn disconnect(&self, hub: HubId) -> Result<(), RequestError> {
        self.send(Command::Disconnect { hub }).await
    }

    /// The newest note of every log that a peer holds.
    ///
    /// # Errors
    /// As every request to a peer.
    pub async fn request_heads(&self, hub: HubId) -> Result<Vec<Head>, RequestError> {
        match self.log(hub, LogRequest::Heads).await? {
            LogResponse::Heads(heads) => Ok(heads),
            LogResponse::Refused(refusal) => Err(RequestError::Refused(refusal)),
            _ => Err(RequestError::UnexpectedAnswer),
        }
    }

    /// The newest note of one log that a peer holds.
    ///
    /// # Errors
    /// As every request to a peer.
    pub async fn request_checkpoint(&self, hub: HubId, log: LogId) -> Result<Head, RequestError> {
        match self.log(hub, LogRequest::Checkpoint(log)).await? {
            LogResponse::Checkpoint(head) => Ok(head),
            LogResponse::Refused(refusal) => Err(RequestError::Refused(refusal)),
            _ => Err(RequestError::UnexpectedAnswer),
        }
    }

    /// Any request of the log protocol.
    ///
    /// # Errors
    /// As every request to a peer.
    pub async fn log(&self, hub: HubId, request: LogRequest) -> Result<LogResponse, RequestError> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Log { hub, request, reply }).await?;
        answer.await.map_err(|_| RequestError::Stopped)?
    }

    /// Any request of the roster protocol; limited sessions answer it too.
    ///
    /// # Errors
    /// As every request to a peer.
    pub async fn roster(&self, hub: HubId, request: RosterRequest) -> Result<RosterResponse, RequestError> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Roster { hub, request, reply }).await?;
        answer.await.map_err(|_| RequestError::Stopped)?
    }

    /// Pushes newer roster versions and learns where the peer stands after them.
    ///
    /// # Errors
    /// As every request to a peer.
    pub async fn push_roster(&self, hub: HubId, rosters: Vec<SignedRoster>) -> Result<RosterStanding, RequestError> {
        match self.roster(hub, RosterRequest::Push(rosters)).await? {
            RosterResponse::Standing(standing) => Ok(standing),
            RosterResponse::Refused(refusal) => Err(RequestError::Refused(refusal)),
            RosterResponse::Rosters(_) => Err(RequestError::UnexpectedAnswer),
        }
    }

    /// Starts a fetch of packages; they are read with [`Packages::next`].
    ///
    /// # Errors
    /// As every request to a peer.
    pub async fn fetch_entries(&self, hub: HubId, request: EntriesRequest) -> Result<Packages, RequestError> {
        if !entries_request_is_valid(&request) {
            return Err(RequestError::TooLarge);
        }
        let mut stream = self.open(hub, StreamKind::Entries).await?;
        frame::write_message(&mut stream, &request).await?;
        Ok(Packages { stream, ended: false })
    }

    /// Fetches ranges of envelopes over one stream; each range is answered or refused by itself.
    ///
    /// # Errors
    /// As every request to a peer; what arrived before an error is lost with it.
    pub async fn fetch_envelopes(
        &self,
        hub: HubId,
        ranges: Vec<EnvelopeRange>,
    ) -> Result<Vec<Result<EnvelopeBytes, Refusal>>, RequestError> {
        let request = EnvelopesRequest { ranges };
        if !envelopes_request_is_valid(&request) {
            return Err(RequestError::TooLarge);
        }
        let mut stream = self.open(hub, StreamKind::Envelopes).await?;
        frame::write_message(&mut stream, &request).await?;
        let mut answers = Vec::with_capacity(request.ranges.len());
        for range in &request.ranges {
            let head: RangeHead = frame::read_message(&mut stream).await?;
            answers.push(match (head.total, head.refusal) {
                (Some(total), None) if head.length <= range.length => {
                    Ok(EnvelopeBytes { total, bytes: frame::read_bytes(&mut stream, head.length).await? })
                }
                (None, Some(refusal)) if head.length == 0 => Err(refusal),
                _ => return Err(RequestError::UnexpectedAnswer),
            });
        }
        Ok(answers)
    }

    /// Fetches one whole envelope of at most `bytes_max` bytes, range by range.
    ///
    /// # Errors
    /// As every request to a peer; a larger envelope is [`RequestError::TooLarge`].
    pub async fn fetch_envelope(
        &self,
        hub: HubId,
        header: cresset_protocol::ids::HeaderDigest,
        bytes_max: u64,
    ) -> Result<Vec<u8>, RequestError> {
        let mut envelope = Vec::new();
        loop {
            let offset = envelope.len() as u64;
            let range = EnvelopeRange { header, offset, length: ENVELOPE_RANGE_BYTES_MAX };
            let mut answers = self.fetch_envelopes(hub, vec![range]).await?;
            let part = answers.pop().ok_or(RequestError::UnexpectedAnswer)?.map_err(RequestError::Refused)?;
            if part.total > bytes_max {
                return Err(RequestError::TooLarge);
            }
            if part.bytes.is_empty() && offset < part.total {
                return Err(RequestError::UnexpectedAnswer);
            }
            envelope.extend_from_slice(&part.bytes);
            if envelope.len() as u64 >= part.total {
                return Ok(envelope);
            }
        }
    }

    /// Delivers a leaf directly to a hub. `Ok` means durable at the other end.
    ///
    /// # Errors
    /// As every request to a peer. Worth a retry unless the refusal is `Invalid` or `DoesNotVerify`.
    pub async fn deliver(&self, hub: HubId, delivery: &Delivery) -> Result<DeliveryAck, RequestError> {
        let head = &delivery.head;
        if !delivery_is_valid(head) || head.envelope_bytes != delivery.envelope.len() as u64 {
            return Err(RequestError::TooLarge);
        }
        let mut stream = self.open(hub, StreamKind::Deliver).await?;
        frame::write_message(&mut stream, head).await?;
        frame::write_bytes(&mut stream, &delivery.envelope).await?;
        Ok(frame::read_message(&mut stream).await?)
    }

    async fn open(&self, hub: HubId, kind: StreamKind) -> Result<Stream, RequestError> {
        let peer = self.peers.get(&hub).ok_or(RequestError::NotConnected)?;
        if peer.limited {
            return Err(RequestError::Limited);
        }
        let mut control = self.control.clone();
        let opening = control.open_stream(peer.peer, kind.protocol());
        let opened = tokio::time::timeout(OPEN_TIMEOUT, opening).await.map_err(|_| RequestError::TimedOut)?;
        opened.map_err(|_| RequestError::NotConnected)
    }

    async fn send(&self, command: Command) -> Result<(), RequestError> {
        self.commands.send(command).await.map_err(|_| RequestError::Stopped)
    }
}

/// A running fetch of packages. Dropping it ends the fetch.
pub struct Packages {
    stream: Stream,
    ended: bool,
}

impl Packages {
    /// The next encoded package, unverified; `None` when the peer has sent all.
    ///
    /// # Errors
    /// As every request to a peer.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, RequestError> {
        if self.ended {
            return Ok(None);
        }
        match frame::read(&mut self.stream).await? {
            Frame::Data(package) => Ok(Some(package)),
            Frame::End => {
                self.ended = true;
                Ok(None)
            }
            Frame::Refused(refusal) => {
                self.ended = true;
                Err(RequestError::Refused(refusal))
            }
        }
    }
}

/// Why a request to a peer has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// No session with that hub.
    #[error("the hub is not connected")]
    NotConnected,
    /// Its session speaks only the roster protocol.
    #[error("the hub's session is limited to the roster")]
    Limited,
    /// The network task has ended.
    #[error("the network is stopped")]
    Stopped,
    /// Queues are full.
    #[error("the network is overloaded")]
    Overloaded,
    /// Beyond a limit of the protocol.
    #[error("the request or its answer exceeds a limit")]
    TooLarge,
    /// No answer in time.
    #[error("the hub did not answer in time")]
    TimedOut,
    /// An answer to something else.
    #[error("the hub's answer does not fit the request")]
    UnexpectedAnswer,
    /// The peer says no.
    #[error(transparent)]
    Refused(Refusal),
    /// The stream failed.
    #[error("the exchange with the hub failed")]
    Stream(#[source] FrameError),
}

impl From<FrameError> for RequestError {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::Refused(refusal) => Self::Refused(refusal),
            FrameError::Stalled => Self::TimedOut,
            other => Self::Stream(other),
        }
    }
}

/// Size of an encoded roster push, so that a sender can split it.
pub fn roster_push_bytes(rosters: &[SignedRoster]) -> usize {
    codec::encode(&RosterRequest::Push(rosters.to_vec())).len()
}
