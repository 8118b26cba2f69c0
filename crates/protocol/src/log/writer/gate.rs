//! The start-up gate: nothing is signed before it is plausible that this disk holds the newest state of the log.
//!
//! A database restored from a backup would otherwise sign a second root for a size that peers already hold.

use std::collections::BTreeMap;

use crate::ids::HubId;

use super::{Head, Moment, Resume, WriterConfig};

/// What a peer holds of this log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerView {
    /// Nothing.
    Nothing,
    /// A validly signed head. Where it is smaller than the disk's, the executor found it consistent.
    Head(Head),
    /// A validly signed head that is smaller than the disk's and contradicts it.
    Contradicts(Head),
}

/// Why the gate opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GateOpening {
    /// The roster has no other active hub.
    OnlyHub,
    /// The fence was good and a peer confirmed.
    PeerConfirmed,
    /// The fence was good and no peer could be reached in time.
    NoPeerReachable,
    /// The fence was unknown and enough peers confirmed.
    MajorityConfirmed,
    /// Two local operators said so.
    Override,
}

pub(super) enum GateVerdict {
    Wait,
    Open(GateOpening),
    Restored(Head),
    Diverged(Head),
}

pub(super) struct Gate {
    state: State,
    /// The fence equals the last signed or the pending head.
    good: bool,
    signed: Option<Head>,
    pending: Option<Head>,
    active_hubs: usize,
    /// Peers that hold nothing that the disk lacks.
    confirmed: BTreeMap<HubId, ()>,
    /// A peer was ahead or contradicted: only a new writer or the operators open the gate now.
    contradicted: bool,
    opens_alone_at: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Closed,
    Open,
    ClosedForGood,
}

impl Gate {
    pub(super) fn new(config: &WriterConfig, resume: &Resume, now: Moment) -> Self {
        let pending = resume.pending.as_ref().map(|pending| pending.head);
        let fenced =
            resume.fence.filter(|fence| fence.generation == config.origin.generation()).map(|fence| fence.head);
        let good = match resume.fence {
            // A log that has never signed has no fence; one that lost its fence is another matter.
            None => resume.signed.is_none(),
            Some(_) => fenced.is_some() && (fenced == resume.signed || fenced == pending),
        };
        let alone = config.active_hubs <= 1;
        Self {
            state: if alone { State::Open } else { State::Closed },
            good,
            signed: resume.signed,
            pending,
            active_hubs: config.active_hubs,
            confirmed: BTreeMap::new(),
            contradicted: false,
            opens_alone_at: now.millis.saturating_add(config.pace.gate_wait_ms),
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// Opens; false if it was open or is closed for good.
    pub(super) fn open(&mut self) -> bool {
        let opens = self.state == State::Closed;
        if opens {
            self.state = State::Open;
        }
        opens
    }

    pub(super) fn close_for_good(&mut self) {
        self.state = State::ClosedForGood;
    }

    pub(super) fn roster_changed(&mut self, active_hubs: usize) {
        self.active_hubs = active_hubs;
    }

    pub(super) fn peer_head(&mut self, hub: HubId, view: PeerView) -> GateVerdict {
        if self.state != State::Closed {
            return GateVerdict::Wait;
        }
        match self.judge(view) {
            GateVerdict::Wait => {}
            verdict => {
                self.contradicted = true;
                return verdict;
            }
        }
        self.confirmed.insert(hub, ());
        if self.contradicted {
            GateVerdict::Wait
        } else if self.good {
            GateVerdict::Open(GateOpening::PeerConfirmed)
        } else if self.confirmed.len() >= answers_needed(self.active_hubs) {
            GateVerdict::Open(GateOpening::MajorityConfirmed)
        } else {
            GateVerdict::Wait
        }
    }

    pub(super) fn tick(&self, now: Moment) -> Option<GateOpening> {
        let waited =
            self.state == State::Closed && self.good && !self.contradicted && now.millis >= self.opens_alone_at;
        waited.then_some(GateOpening::NoPeerReachable)
    }

    pub(super) fn wakeup(&self) -> Option<u64> {
        (self.state == State::Closed && self.good && !self.contradicted).then_some(self.opens_alone_at)
    }

    /// Wait means: the peer holds nothing that the disk lacks.
    fn judge(&self, view: PeerView) -> GateVerdict {
        let head = match view {
            PeerView::Nothing => return GateVerdict::Wait,
            PeerView::Contradicts(head) => return GateVerdict::Diverged(head),
            PeerView::Head(head) => head,
        };
        let known = [self.signed, self.pending].into_iter().flatten().find(|known| known.size == head.size);
        match known {
            Some(known) if known == head => GateVerdict::Wait,
            Some(_) => GateVerdict::Diverged(head),
            None if self.signed.is_some_and(|signed| head.size < signed.size) => GateVerdict::Wait,
            None => GateVerdict::Restored(head),
        }
    }
}

/// max(2, floor(n/2)+1) of the n active hubs, or all others if they are fewer.
fn answers_needed(active_hubs: usize) -> usize {
    (active_hubs / 2 + 1).max(2).min(active_hubs.saturating_sub(1))
}
