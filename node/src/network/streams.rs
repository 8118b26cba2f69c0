//! The serving side of `entries`, `envelopes` and `deliver`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use cresset_protocol::ids::HubId;
use cresset_protocol::limits::{
    DELIVERY_BYTES_MAX, ENTRIES_REQUEST_LEAVES_MAX, ENVELOPE_RANGE_BYTES_MAX, ENVELOPE_RANGES_PER_REQUEST_MAX,
    HEADER_BYTES_MAX, NOTE_BYTES_MAX, PROOF_HASHES_MAX, STREAMS_PER_PEER_MAX, TREE_SIZE_MAX,
};
use futures::StreamExt;
use libp2p::{PeerId, Stream, StreamProtocol};
use libp2p_stream::{Control, IncomingStreams};
use tokio::task::JoinSet;

use super::behaviour::{DELIVER_PROTOCOL, ENTRIES_PROTOCOL, ENVELOPES_PROTOCOL};
use super::budget::{Budgets, Spending};
use super::frame::{self, Frame, FrameError};
use super::messages::{Delivery, DeliveryHead, EntriesRequest, EnvelopesRequest, RangeHead, Refusal};
use super::peers::{Peer, Peers};
use super::serve::Server;

/// No stream lives longer: a peer that drips bytes gives its place back.
const STREAM_LIFETIME_MAX: Duration = Duration::from_secs(600);

/// Which protocol a stream speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum StreamKind {
    Entries,
    Envelopes,
    Deliver,
}

impl StreamKind {
    pub(crate) const ALL: [Self; 3] = [Self::Entries, Self::Envelopes, Self::Deliver];

    pub(crate) fn protocol(self) -> StreamProtocol {
        match self {
            Self::Entries => ENTRIES_PROTOCOL,
            Self::Envelopes => ENVELOPES_PROTOCOL,
            Self::Deliver => DELIVER_PROTOCOL,
        }
    }
}

/// Accepts streams of one kind until the network ends.
pub(crate) struct StreamServer {
    pub(crate) kind: StreamKind,
    pub(crate) server: Server,
    pub(crate) peers: Peers,
    pub(crate) budgets: Arc<Mutex<Budgets>>,
}

impl StreamServer {
    /// Registers the protocol.
    pub(crate) fn register(&self, control: &mut Control) -> Option<IncomingStreams> {
        control.accept(self.kind.protocol()).ok()
    }

    /// Serves until the swarm is gone; dropping the future ends every stream.
    pub(crate) async fn run(self, mut incoming: IncomingStreams) {
        let mut running: JoinSet<HubId> = JoinSet::new();
        let mut open: BTreeMap<HubId, usize> = BTreeMap::new();
        loop {
            tokio::select! {
                arrived = incoming.next() => match arrived {
                    Some((peer, stream)) => self.admit(peer, stream, &mut running, &mut open),
                    None => return,
                },
                Some(ended) = running.join_next(), if !running.is_empty() => {
                    let hub = ended.unwrap_or(HubId([0; 16]));
                    open.entry(hub).and_modify(|count| *count = count.saturating_sub(1));
                }
            }
        }
    }

    fn admit(&self, peer: PeerId, mut stream: Stream, running: &mut JoinSet<HubId>, open: &mut BTreeMap<HubId, usize>) {
        // Dropping a stream resets it: the policy for whoever is not, or no longer, a full member.
        let Some(peer) = self.peers.by_peer(&peer).filter(|peer| !peer.limited) else { return };
        let count = open.entry(peer.hub).or_default();
        let affordable = self.budgets.lock().unwrap_or_else(PoisonError::into_inner).spend(
            peer.hub,
            Spending::Streams,
            1,
            Instant::now(),
        );
        if *count >= STREAMS_PER_PEER_MAX || !affordable {
            tracing::debug!(hub = %peer.hub, kind = ?self.kind, "stream refused: over its budget");
            return;
        }
        *count += 1;
        let (server, kind) = (self.server.clone(), self.kind);
        running.spawn(async move {
            let serving = async {
                match kind {
                    StreamKind::Entries => serve_entries(&server, peer, &mut stream).await,
                    StreamKind::Envelopes => serve_envelopes(&server, peer, &mut stream).await,
                    StreamKind::Deliver => serve_delivery(&server, peer, &mut stream).await,
                }
            };
            match tokio::time::timeout(STREAM_LIFETIME_MAX, serving).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(hub = %peer.hub, ?kind, %error, "stream ended early"),
                Err(_) => tracing::debug!(hub = %peer.hub, ?kind, "stream ended: too old"),
            }
            peer.hub
        });
    }
}

async fn serve_entries(server: &Server, peer: Peer, stream: &mut Stream) -> Result<(), FrameError> {
    let request: EntriesRequest = frame::read_message(stream).await?;
    if !entries_request_is_valid(&request) {
        return refuse(stream, Refusal::Invalid).await;
    }
    let mut at = request.from;
    while at < request.to {
        let answer = server.call(move |serve| serve.package(&peer, &request, at)).await;
        match answer.unwrap_or(Err(Refusal::Failed)) {
            // A package that does not advance would loop for ever.
            Ok((package, next)) if next > at => {
                frame::write(stream, &Frame::Data(package)).await?;
                at = next;
            }
            Ok(_) => return refuse(stream, Refusal::Failed).await,
            Err(refusal) => return refuse(stream, refusal).await,
        }
    }
    finish(stream, &Frame::End).await
}

pub(crate) fn entries_request_is_valid(request: &EntriesRequest) -> bool {
    let (from, to) = (request.from.0, request.to.0);
    from < to && to - from <= ENTRIES_REQUEST_LEAVES_MAX && to <= request.head.0 && request.head.0 <= TREE_SIZE_MAX
}

async fn serve_envelopes(server: &Server, peer: Peer, stream: &mut Stream) -> Result<(), FrameError> {
    let request: EnvelopesRequest = frame::read_message(stream).await?;
    if !envelopes_request_is_valid(&request) {
        return refuse(stream, Refusal::Invalid).await;
    }
    for range in request.ranges {
        let answer = server.call(move |serve| serve.envelope(&peer, &range)).await;
        match answer.unwrap_or(Err(Refusal::Failed)) {
            Ok(found) if found.bytes.len() as u64 <= range.length => {
                let length = found.bytes.len() as u64;
                frame::write_message(stream, &RangeHead { total: Some(found.total), length, refusal: None }).await?;
                frame::write_bytes(stream, &found.bytes).await?;
            }
            other => {
                let refusal = other.err().or(Some(Refusal::Failed));
                frame::write_message(stream, &RangeHead { total: None, length: 0, refusal }).await?;
            }
        }
    }
    finish(stream, &Frame::End).await
}

pub(crate) fn envelopes_request_is_valid(request: &EnvelopesRequest) -> bool {
    let total = request.ranges.iter().try_fold(0u64, |sum, range| sum.checked_add(range.length));
    let count = request.ranges.len();
    (1..=ENVELOPE_RANGES_PER_REQUEST_MAX).contains(&count)
        && total.is_some_and(|total| total <= ENVELOPE_RANGE_BYTES_MAX)
        && request.ranges.iter().all(|range| range.length > 0)
}

async fn serve_delivery(server: &Server, peer: Peer, stream: &mut Stream) -> Result<(), FrameError> {
    let head: DeliveryHead = frame::read_message(stream).await?;
    if !delivery_is_valid(&head) {
        return refuse(stream, Refusal::Invalid).await;
    }
    let envelope = frame::read_bytes(stream, head.envelope_bytes).await?;
    let delivery = Delivery { head, envelope };
    match server.call(move |serve| serve.deliver(&peer, delivery)).await.unwrap_or(Err(Refusal::Failed)) {
        Ok(ack) => {
            frame::write_message(stream, &ack).await?;
            finish(stream, &Frame::End).await
        }
        Err(refusal) => refuse(stream, refusal).await,
    }
}

pub(crate) fn delivery_is_valid(head: &DeliveryHead) -> bool {
    head.envelope_bytes <= DELIVERY_BYTES_MAX
        && head.header.len() <= HEADER_BYTES_MAX
        && head.note.len() <= NOTE_BYTES_MAX
        && head.proof.len() <= PROOF_HASHES_MAX
}

async fn refuse(stream: &mut Stream, refusal: Refusal) -> Result<(), FrameError> {
    finish(stream, &Frame::Refused(refusal)).await
}

async fn finish(stream: &mut Stream, last: &Frame) -> Result<(), FrameError> {
    frame::write(stream, last).await?;
    Ok(futures::AsyncWriteExt::close(stream).await?)
}
