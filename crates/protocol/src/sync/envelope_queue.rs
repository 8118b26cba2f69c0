//! Which envelope to fetch next, and from whom.
//!
//! A hub fetches every envelope whose header lets it, entitled or not, so that fetching reveals nothing. The origin is
//! asked first; after a failure any other connected hub that may hold it.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::{HeaderDigest, HubId, UnixSeconds};

/// Envelope fetches under way at once with one peer.
pub const FETCHES_PER_PEER_MAX: usize = 8;
/// Envelopes waiting in memory; the durable list is the store's inbox, which refills the queue.
pub const QUEUED_MAX: usize = 8_192;
/// Of those, envelopes of one origin: nobody's withheld envelopes keep out everybody else's.
pub const QUEUED_PER_ORIGIN_MAX: usize = 1_024;
/// Longest pause between two tries, in seconds.
pub const BACKOFF_S_MAX: u64 = 300;

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueueInput {
    /// A committed leaf names this envelope; `origin` wrote it.
    Wanted {
        /// Digest of its header.
        digest: HeaderDigest,
        /// The hub that has it for certain.
        origin: HubId,
    },
    /// It is stored (fetched, or it came inline).
    Stored(HeaderDigest),
    /// A peer did not give it.
    Failed {
        /// Digest of its header.
        digest: HeaderDigest,
        /// The peer asked.
        peer: HubId,
    },
    /// A peer with a full session is connected.
    PeerUp(HubId),
    /// A peer is gone; its fetches count as failed.
    PeerDown(HubId),
    /// Time passes.
    Tick,
}

/// A fetch to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchEnvelope {
    /// Whom to ask.
    pub peer: HubId,
    /// What for.
    pub digest: HeaderDigest,
}

/// The queue. I/O-free.
#[derive(Clone, Debug, Default)]
pub struct EnvelopeQueue {
    wanted: BTreeMap<HeaderDigest, Wanted>,
    in_flight: BTreeMap<HubId, usize>,
    peers: BTreeSet<HubId>,
}

#[derive(Clone, Debug)]
struct Wanted {
    origin: HubId,
    asking: Option<HubId>,
    tried: BTreeSet<HubId>,
    failures: u32,
    not_before: UnixSeconds,
}

impl EnvelopeQueue {
    /// Takes one input and says which fetches to start.
    pub fn step(&mut self, now: UnixSeconds, input: QueueInput) -> Vec<FetchEnvelope> {
        match input {
            QueueInput::Wanted { digest, origin } => {
                let of_origin = self.wanted.values().filter(|wanted| wanted.origin == origin).count();
                if self.wanted.len() < QUEUED_MAX && of_origin < QUEUED_PER_ORIGIN_MAX {
                    self.wanted.entry(digest).or_insert_with(|| Wanted::new(origin));
                }
            }
            QueueInput::Stored(digest) => self.forget(&digest),
            QueueInput::Failed { digest, peer } => self.failed(now, &digest, peer),
            QueueInput::PeerUp(peer) => {
                self.peers.insert(peer);
                for wanted in self.wanted.values_mut() {
                    wanted.tried.remove(&peer);
                    wanted.not_before = now;
                }
            }
            QueueInput::PeerDown(peer) => self.peer_down(now, peer),
            QueueInput::Tick => {}
        }
        self.start_fetches(now)
    }

    /// Envelopes not yet stored.
    pub fn len(&self) -> usize {
        self.wanted.len()
    }

    /// Whether nothing is missing.
    pub fn is_empty(&self) -> bool {
        self.wanted.is_empty()
    }

    fn forget(&mut self, digest: &HeaderDigest) {
        if let Some(peer) = self.wanted.remove(digest).and_then(|wanted| wanted.asking) {
            self.release(peer);
        }
    }

    fn failed(&mut self, now: UnixSeconds, digest: &HeaderDigest, peer: HubId) {
        let Some(wanted) = self.wanted.get_mut(digest).filter(|wanted| wanted.asking == Some(peer)) else { return };
        wanted.failed(now, peer);
        self.release(peer);
    }

    fn peer_down(&mut self, now: UnixSeconds, peer: HubId) {
        self.peers.remove(&peer);
        self.in_flight.remove(&peer);
        for wanted in self.wanted.values_mut().filter(|wanted| wanted.asking == Some(peer)) {
            wanted.failed(now, peer);
        }
    }

    fn release(&mut self, peer: HubId) {
        if let Some(count) = self.in_flight.get_mut(&peer) {
            *count = count.saturating_sub(1);
        }
    }

    fn start_fetches(&mut self, now: UnixSeconds) -> Vec<FetchEnvelope> {
        let mut out = Vec::new();
        for (digest, wanted) in &mut self.wanted {
            if wanted.asking.is_some() || wanted.not_before > now {
                continue;
            }
            let has_room = |peer: &&HubId| self.in_flight.get(peer).copied().unwrap_or(0) < FETCHES_PER_PEER_MAX;
            let mut candidates = self.peers.iter().filter(|peer| !wanted.tried.contains(peer)).filter(has_room);
            let origin = self.peers.get(&wanted.origin).filter(|peer| !wanted.tried.contains(peer)).filter(has_room);
            if let Some(peer) = origin.or_else(|| candidates.next()).copied() {
                wanted.asking = Some(peer);
                *self.in_flight.entry(peer).or_default() += 1;
                out.push(FetchEnvelope { peer, digest: *digest });
            } else if wanted.tried.len() >= self.peers.len() && !self.peers.is_empty() {
                wanted.start_over(now);
            }
        }
        out
    }
}

impl Wanted {
    fn new(origin: HubId) -> Self {
        Self { origin, asking: None, tried: BTreeSet::new(), failures: 0, not_before: UnixSeconds(0) }
    }

    fn failed(&mut self, now: UnixSeconds, peer: HubId) {
        self.asking = None;
        self.tried.insert(peer);
        self.not_before = now;
    }

    /// Everybody connected was asked in vain: pause, doubling each round, then ask all again.
    fn start_over(&mut self, now: UnixSeconds) {
        self.tried.clear();
        self.failures = self.failures.saturating_add(1);
        let pause = 1u64.checked_shl(self.failures).unwrap_or(BACKOFF_S_MAX).min(BACKOFF_S_MAX);
        self.not_before = UnixSeconds(now.0.saturating_add(pause));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: HubId = HubId([1; 16]);
    const B: HubId = HubId([2; 16]);

    fn digest(n: u8) -> HeaderDigest {
        HeaderDigest([n; 32])
    }

    #[test]
    fn the_origin_is_asked_first_and_others_after_it_failed() {
        let mut queue = EnvelopeQueue::default();
        let now = UnixSeconds(10);
        queue.step(now, QueueInput::PeerUp(A));
        queue.step(now, QueueInput::PeerUp(B));
        let first = queue.step(now, QueueInput::Wanted { digest: digest(1), origin: B });
        assert_eq!(first, [FetchEnvelope { peer: B, digest: digest(1) }]);
        let second = queue.step(now, QueueInput::Failed { digest: digest(1), peer: B });
        assert_eq!(second, [FetchEnvelope { peer: A, digest: digest(1) }]);
        assert_eq!(queue.step(now, QueueInput::Stored(digest(1))), []);
        assert!(queue.is_empty());
    }

    #[test]
    fn a_peer_is_asked_for_a_bounded_number_at_once() {
        let mut queue = EnvelopeQueue::default();
        queue.step(UnixSeconds(0), QueueInput::PeerUp(A));
        let started: usize = (0..20)
            .map(|n| queue.step(UnixSeconds(0), QueueInput::Wanted { digest: digest(n), origin: A }).len())
            .sum();
        assert_eq!(started, FETCHES_PER_PEER_MAX);
        assert_eq!(queue.step(UnixSeconds(0), QueueInput::Stored(digest(0))).len(), 1);
    }

    #[test]
    fn after_everybody_failed_the_next_round_waits() {
        let mut queue = EnvelopeQueue::default();
        queue.step(UnixSeconds(0), QueueInput::PeerUp(A));
        queue.step(UnixSeconds(0), QueueInput::Wanted { digest: digest(1), origin: A });
        assert_eq!(queue.step(UnixSeconds(0), QueueInput::Failed { digest: digest(1), peer: A }), []);
        assert_eq!(queue.step(UnixSeconds(1), QueueInput::Tick), []);
        assert_eq!(queue.step(UnixSeconds(2), QueueInput::Tick).len(), 1);
    }

    #[test]
    fn a_peer_that_goes_frees_its_fetches() {
        let mut queue = EnvelopeQueue::default();
        queue.step(UnixSeconds(0), QueueInput::PeerUp(A));
        queue.step(UnixSeconds(0), QueueInput::Wanted { digest: digest(1), origin: A });
        queue.step(UnixSeconds(0), QueueInput::PeerDown(A));
        let fetches = queue.step(UnixSeconds(0), QueueInput::PeerUp(B));
        assert_eq!(fetches, [FetchEnvelope { peer: B, digest: digest(1) }]);
    }
}
