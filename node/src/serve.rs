//! What this hub answers to others, out of the store. Runs on blocking threads.

use std::sync::Arc;

use cresset_protocol::envelope::{EnvelopeHeader, Relay};
use cresset_protocol::ids::{HeaderDigest, LeafIndex, LogId, TreeSize};
use cresset_protocol::limits::PACKAGE_LEAVES;
use cresset_protocol::log::merkle::prove_consistency;
use cresset_protocol::log::package::Package;
use cresset_provenance::StoreError;

use crate::deliver;
use crate::membership::is_eea;
use crate::network::{
    Delivery, DeliveryAck, EntriesRequest, EnvelopeBytes, EnvelopeRange, Head, LogRequest, LogResponse, Peer, Refusal,
    RosterRequest, RosterResponse, RosterStanding, Serve,
};
use crate::parts::Parts;

/// Rosters in one answer.
const ROSTERS_PER_ANSWER: usize = 8;

/// The serving side. The parts arrive after the network has started, since they hold its handle.
#[derive(Default)]
pub(crate) struct StoreServer {
    parts: std::sync::OnceLock<Arc<Parts>>,
}

impl StoreServer {
    /// Begins to serve.
    pub(crate) fn attach(&self, parts: Arc<Parts>) {
        let _ = self.parts.set(parts);
    }

    fn parts(&self) -> Result<&Parts, Refusal> {
        self.parts.get().map(|parts| &**parts).ok_or(Refusal::Busy)
    }
}

impl Serve for StoreServer {
    fn log(&self, _: &Peer, request: LogRequest) -> LogResponse {
        let answer = self.parts().and_then(|parts| match request {
            LogRequest::Heads => heads(parts).map(LogResponse::Heads),
            LogRequest::Checkpoint(log) => checkpoint(parts, &log).map(LogResponse::Checkpoint),
            LogRequest::Consistency(request) => {
                let tree = parts.store.tree(&request.log).map_err(refusal)?;
                let proof = prove_consistency(&tree, request.from, request.to).map_err(|_| Refusal::NotFound)?;
                Ok(LogResponse::Consistency(proof))
            }
        });
        answer.unwrap_or_else(LogResponse::Refused)
    }

    fn roster(&self, _: &Peer, request: RosterRequest) -> RosterResponse {
        let answer = self.parts().and_then(|parts| match request {
            RosterRequest::After(version) => {
                let mut rosters = parts.membership.rosters_after(version);
                rosters.truncate(ROSTERS_PER_ANSWER);
                Ok(RosterResponse::Rosters(rosters))
            }
            RosterRequest::Push(rosters) => {
                parts.membership.accept(&rosters, parts.now()).map_err(|error| {
                    tracing::warn!(%error, "a pushed roster is refused");
                    Refusal::DoesNotVerify
                })?;
                let roster = parts.membership.snapshot().roster.clone();
                let standing = RosterStanding { version: roster.version(), digest: roster.digest() };
                Ok(RosterResponse::Standing(standing))
            }
        });
        answer.unwrap_or_else(RosterResponse::Refused)
    }

    fn package(&self, _: &Peer, request: &EntriesRequest, at: LeafIndex) -> Result<(Vec<u8>, LeafIndex), Refusal> {
        let parts = self.parts()?;
        let tree = parts.store.tree(&request.log).map_err(refusal)?;
        if tree.size() < request.head {
            return Err(Refusal::NotFound);
        }
        let end = Package::end_after(at, request.head).min(request.to.0).min(at.0 + PACKAGE_LEAVES);
        let entries = parts.store.entries(&request.log, at.0..end).map_err(refusal)?;
        let package = Package::pack(at, entries, request.head, &tree).map_err(|_| Refusal::Failed)?;
        let next = LeafIndex(at.0 + package.entries.len() as u64);
        Ok((package.to_bytes(), next))
    }

    fn envelope(&self, peer: &Peer, range: &EnvelopeRange) -> Result<EnvelopeBytes, Refusal> {
        let parts = self.parts()?;
        let (log, header) = header_of(parts, &range.header)?;
        if !may_have(parts, peer, &log, header.terms().relay) {
            return Err(Refusal::NotAllowed);
        }
        let envelope = parts.store.envelope(&range.header).map_err(refusal)?.ok_or(Refusal::NotFound)?;
        let total = envelope.len() as u64;
        let from = usize::try_from(range.offset).map_err(|_| Refusal::Invalid)?;
        let to = usize::try_from(range.offset.saturating_add(range.length).min(total)).map_err(|_| Refusal::Invalid)?;
        let bytes = envelope.get(from..to).ok_or(Refusal::Invalid)?.to_vec();
        Ok(EnvelopeBytes { total, bytes })
    }

    fn deliver(&self, peer: &Peer, delivery: Delivery) -> Result<DeliveryAck, Refusal> {
        deliver::accept(self.parts()?, peer.hub, delivery)
    }
}

/// Whether a peer may be given an envelope: the relay byte decides, except for the origin's own.
pub(crate) fn may_have(parts: &Parts, peer: &Peer, log: &LogId, relay: Relay) -> bool {
    let snapshot = parts.membership.snapshot();
    let is_origin = |hub| snapshot.roster.hub_by_log(log).is_some_and(|owner| owner.id == hub);
    let european = |hub| snapshot.roster.hub(hub).is_some_and(|hub| is_eea(hub.jurisdiction));
    match relay {
        Relay::Members => true,
        Relay::Europe => european(&peer.hub) && (is_origin(parts.me) || european(&parts.me)),
        // Narrower than Europe: from the origin itself, and only there.
        Relay::Nobody => european(&peer.hub) && is_origin(parts.me),
    }
}

/// Whether an envelope may ride in gossip, which every member forwards.
pub(crate) fn may_gossip(parts: &Parts, relay: Relay) -> bool {
    match relay {
        Relay::Members => true,
        Relay::Europe => parts.membership.snapshot().active().iter().all(|hub| is_eea(hub.jurisdiction)),
        Relay::Nobody => false,
    }
}

/// Whether this hub may fetch an envelope at all.
pub(crate) fn may_fetch(parts: &Parts, relay: Relay) -> bool {
    let snapshot = parts.membership.snapshot();
    let european = snapshot.roster.hub(&parts.me).is_some_and(|hub| is_eea(hub.jurisdiction));
    relay == Relay::Members || european
}

fn header_of(parts: &Parts, digest: &HeaderDigest) -> Result<(LogId, EnvelopeHeader), Refusal> {
    let (log, index) = parts.store.locate_header(digest).map_err(refusal)?.ok_or(Refusal::NotFound)?;
    let entry = parts.store.entry(&log, index).map_err(refusal)?;
    let wire = entry.header.ok_or(Refusal::NotFound)?;
    let header = EnvelopeHeader::from_wire(&wire, &parts.consortium, &log).map_err(|_| Refusal::Failed)?;
    Ok((log, header))
}

/// Newest complete head of every log, the own log first.
fn heads(parts: &Parts) -> Result<Vec<Head>, Refusal> {
    let mut logs: Vec<LogId> = parts.store.logs().map_err(refusal)?.into_iter().map(|log| log.id).collect();
    logs.sort_by_key(|log| (*log != parts.log, *log));
    let mut heads = Vec::new();
    for log in logs {
        let size = parts.store.log_size(&log).map_err(refusal)?;
        let head = parts.store.head(&log).map_err(refusal)?;
        if let Some(head) = head.filter(|head| head.head.size <= size && head.head.size > TreeSize(0)) {
            heads.push(Head { log, note: head.note });
        }
    }
    Ok(heads)
}

fn checkpoint(parts: &Parts, log: &LogId) -> Result<Head, Refusal> {
    let head = parts.store.head(log).map_err(refusal)?.ok_or(Refusal::NotFound)?;
    Ok(Head { log: *log, note: head.note })
}

fn refusal(error: StoreError) -> Refusal {
    match error {
        StoreError::UnknownLog { .. } => Refusal::NotFound,
        error => {
            tracing::error!(%error, "the store cannot answer a peer");
            Refusal::Failed
        }
    }
}
