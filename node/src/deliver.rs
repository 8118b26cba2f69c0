//! Direct delivery: what may not be announced is handed to each named hub, until it says that it has it.

use std::sync::Arc;
use std::time::Duration;

use cresset_protocol::envelope::{Addressing, EnvelopeHeader};
use cresset_protocol::ids::{HubId, LeafIndex, TreeSize, UnixSeconds};
use cresset_protocol::limits::OBJECT_BYTES_MAX;
use cresset_protocol::log::checkpoint::SignedCheckpoint;
use cresset_protocol::log::leaf::LeafKind;
use cresset_protocol::log::merkle::{prove_inclusion, verify_inclusion};
use cresset_protocol::sync::directory::NoteRefused;
use cresset_provenance::StoreError;
use cresset_provenance::queues::{Delivery as Queued, QueueNumber};

use crate::network::{Delivery, DeliveryAck, DeliveryHead, Refusal, RequestError};
use crate::parts::Parts;
use crate::receive::{self, Fate, Received};

/// How often the outbox is looked at without a ring. Short, because the first try is often a moment before the recipient's
/// mirror holds the leaf.
const OUTBOX_PERIOD: Duration = Duration::from_secs(1);
/// Deliveries to one hub in one round.
const DELIVERIES_PER_ROUND: usize = 64;
/// Rows of one hub's outbox looked at in one round.
const OUTBOX_READ_MAX: usize = 4_096;
/// How long the outbox waits for the slowest hub before it looks again.
const ROUND_MAX: Duration = Duration::from_secs(30);
/// A delivery that was refused for good stays for a person to see, and is not tried again.
const NEVER: UnixSeconds = UnixSeconds(u64::MAX >> 1);
/// Longest pause between two tries, in seconds.
const BACKOFF_S_MAX: u64 = 300;
/// Envelopes up to this size ride in the delivery itself.
const ENVELOPE_BYTES_MAX: u64 = OBJECT_BYTES_MAX + (64 << 20);

/// Empties the outbox for as long as the node runs.
pub(crate) async fn run(parts: Arc<Parts>) {
    loop {
        let _ = tokio::time::timeout(OUTBOX_PERIOD, parts.outbox.notified()).await;
        // One task a hub: a peer that stalls holds up nobody else's deliveries.
        let hubs = parts.network.peers().into_iter().filter(|peer| !peer.limited).map(|peer| peer.hub);
        let rounds: Vec<_> = hubs.map(|hub| tokio::spawn(round(parts.clone(), hub))).collect();
        for round in rounds {
            if tokio::time::timeout(ROUND_MAX, round).await.is_err() {
                tracing::debug!("a hub takes its deliveries slowly");
            }
        }
    }
}

/// Sends one hub what is due.
async fn round(parts: Arc<Parts>, hub: HubId) {
    let queued = tokio::task::block_in_place(|| parts.store.deliveries_to(&hub, OUTBOX_READ_MAX));
    let queued = queued.unwrap_or_else(|error| {
        tracing::error!(%error, "the outbox cannot be read");
        Vec::new()
    });
    let due = queued.into_iter().filter(|(_, delivery)| delivery.next_try <= parts.now());
    for (number, delivery) in due.take(DELIVERIES_PER_ROUND) {
        send(&parts, number, delivery).await;
    }
}

async fn send(parts: &Parts, number: QueueNumber, queued: Queued) {
    let to = queued.to;
    let prepared = tokio::task::block_in_place(|| prepare(parts, &queued));
    let outcome = match prepared {
        Ok(Some(delivery)) => parts.network.deliver(to, &delivery).await,
        // Its checkpoint is not signed yet.
        Ok(None) => return,
        Err(error) => return tracing::error!(%to, %error, "a delivery cannot be prepared"),
    };
    let done = match outcome {
        Ok(DeliveryAck::Stored | DeliveryAck::Known | DeliveryAck::WillFetch) => true,
        Err(RequestError::Refused(refusal @ (Refusal::Invalid | Refusal::DoesNotVerify))) => {
            tracing::error!(%to, %refusal, "a delivery was refused for good; it stays in the outbox for a person to see");
            let _ = parts.store.update_delivery(number, &Queued { next_try: NEVER, ..queued });
            return;
        }
        Err(error) => {
            tracing::debug!(%to, %error, "a delivery waits");
            false
        }
    };
    let stored = if done {
        parts.store.finish_delivery(&to, number)
    } else {
        let attempts = queued.attempts.saturating_add(1);
        let pause = 1u64.checked_shl(attempts.saturating_sub(1)).unwrap_or(BACKOFF_S_MAX).min(BACKOFF_S_MAX);
        let next_try = UnixSeconds(parts.now().0 + pause);
        parts.store.update_delivery(number, &Queued { attempts, next_try, ..queued })
    };
    if let Err(error) = stored {
        tracing::error!(%to, %error, "the outbox cannot be written");
    }
}

/// Leaf, header, newest note and proof of a queued delivery; `None` before the leaf is under a signed checkpoint.
fn prepare(parts: &Parts, queued: &Queued) -> Result<Option<Delivery>, StoreError> {
    let Some(index) = queued.index else { return Ok(None) };
    let Some(head) = parts.store.head(&parts.log)?.filter(|head| head.head.size.0 > index.0) else { return Ok(None) };
    let leaf = parts.store.entry(&parts.log, index)?.leaf;
    let Ok(header) = EnvelopeHeader::from_wire(&queued.body, &parts.consortium, &parts.log) else { return Ok(None) };
    let Some(envelope) = parts.store.envelope(&header.digest())? else { return Ok(None) };
    let tree = parts.store.tree(&parts.log)?;
    let Ok(proof) = prove_inclusion(&tree, index, head.head.size) else { return Ok(None) };
    let head = DeliveryHead {
        log: parts.log,
        index,
        leaf,
        header: queued.body.clone(),
        note: head.note,
        proof,
        envelope_bytes: envelope.len() as u64,
    };
    Ok(Some(Delivery { head, envelope }))
}

/// Takes a delivery in: its leaf must stand under a checkpoint that verifies, its header must be the leaf's.
pub(crate) fn accept(parts: &Parts, from: HubId, delivery: Delivery) -> Result<DeliveryAck, Refusal> {
    let head = delivery.head;
    let snapshot = parts.membership.snapshot();
    let known = snapshot.directory.log(&head.log).filter(|known| known.hub == from).ok_or(Refusal::NotAllowed)?;
    if delivery.envelope.len() as u64 > ENVELOPE_BYTES_MAX || head.leaf.kind != LeafKind::Private {
        return Err(Refusal::Invalid);
    }
    let header =
        EnvelopeHeader::from_wire(&head.header, &parts.consortium, &head.log).map_err(|_| Refusal::DoesNotVerify)?;
    if !matches!(header.terms().addressing, Addressing::Direct { .. }) {
        return Err(Refusal::Invalid);
    }
    let header_fits = header.check_bound_by(&head.leaf).is_ok() && header.check_body(&delivery.envelope).is_ok();
    let note = known.parse_note(&head.note).map_err(|error| match error {
        // Our roster may be older than the sender's.
        NoteRefused::UnknownKeys => Refusal::Busy,
        _ => Refusal::DoesNotVerify,
    })?;
    let checkpoint = known.verify_note(note, &cresset_crypto::Verifier).map_err(|_| Refusal::DoesNotVerify)?;
    if !header_fits || !is_included(&head.leaf.hash(), head.index, &head.proof, &checkpoint) {
        return Err(Refusal::DoesNotVerify);
    }
    // The mirror must agree: a checkpoint that only this delivery has seen would be a private history.
    let mirrored = parts.store.entry(&head.log, head.index).map_err(|_| Refusal::Busy)?;
    if mirrored.leaf != head.leaf {
        return Err(Refusal::DoesNotVerify);
    }
    let received = Received { log: head.log, index: head.index, leaf: head.leaf, header, body: delivery.envelope };
    match receive::take(parts, &received) {
        Ok(Fate::Known) => Ok(DeliveryAck::Known),
        Ok(Fate::NotForUs) => Err(Refusal::NotAllowed),
        Ok(_) => Ok(DeliveryAck::Stored),
        Err(error) => {
            tracing::warn!(log = %head.log, index = %head.index, %error, "a delivery was not taken");
            Err(if error.is_final() { Refusal::DoesNotVerify } else { Refusal::Failed })
        }
    }
}

fn is_included(
    leaf: &cresset_protocol::ids::NodeHash,
    index: LeafIndex,
    proof: &[cresset_protocol::ids::NodeHash],
    checkpoint: &SignedCheckpoint,
) -> bool {
    let size: TreeSize = checkpoint.checkpoint.size;
    verify_inclusion(leaf, index, size, proof, &checkpoint.checkpoint.root).is_ok()
}
