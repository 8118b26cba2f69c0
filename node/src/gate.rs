//! What peers hold of this hub's own log, for the writer's start-up gate.

use cresset_crypto::Verifier;
use cresset_protocol::ids::HubId;
use cresset_protocol::log::checkpoint::SignedCheckpoint;
use cresset_protocol::log::writer::{Head, PeerView};

use crate::parts::Parts;

/// Verifies a peer's note of the own log and reports it. A note that does not verify proves nothing and is dropped.
pub(crate) fn report(parts: &Parts, from: HubId, note: &str) {
    let directory = parts.membership.snapshot().directory.clone();
    let known = directory.log(&parts.log);
    let head = known.and_then(|known| known.verify_note(known.parse_note(note).ok()?, &Verifier).ok());
    match head {
        Some(head) => report_head(parts, from, &head),
        None => tracing::warn!(hub = %from, "a peer's head of this log does not verify"),
    }
}

/// Reports a verified head. A smaller one than the disk's must be a prefix of what is on disk.
pub(crate) fn report_head(parts: &Parts, from: HubId, head: &SignedCheckpoint) {
    let told = Head { size: head.checkpoint.size, root: head.checkpoint.root };
    let held = parts.store.tree(&parts.log).and_then(|tree| match tree.size() {
        size if size > told.size => tree.frontier_at(told.size).map(Some),
        _ => Ok(None),
    });
    let view = match held {
        Ok(Some(frontier)) if frontier.root() != told.root => PeerView::Contradicts(told),
        _ => PeerView::Head(told),
    };
    parts.writer.peer_head(from, view);
}
