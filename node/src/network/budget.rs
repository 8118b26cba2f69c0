//! Token buckets: what one peer may ask of us before any signature is checked or any disk is read.

use std::collections::BTreeMap;
use std::time::Instant;

use cresset_protocol::ids::HubId;

/// What a budget is spent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Spending {
    /// Gossip messages that a neighbour forwards, whoever wrote them.
    GossipMessages,
    /// Their bytes.
    GossipBytes,
    /// Requests of the log protocol.
    LogRequests,
    /// Requests of the roster protocol: a verification of up to 32 hybrid signatures each.
    RosterRequests,
    /// Streams opened.
    Streams,
}

impl Spending {
    /// Burst and units per second.
    const fn allowance(self) -> (f64, f64) {
        match self {
            Self::GossipMessages => (4_000.0, 1_000.0),
            Self::GossipBytes => (256.0 * 1_048_576.0, 64.0 * 1_048_576.0),
            Self::LogRequests => (200.0, 50.0),
            Self::RosterRequests => (20.0, 1.0),
            Self::Streams => (1_000.0, 500.0),
        }
    }
}

/// The buckets of all peers. A peer that reconnects finds its buckets as it left them.
#[derive(Default)]
pub(crate) struct Budgets {
    buckets: BTreeMap<(HubId, Spending), Bucket>,
}

struct Bucket {
    tokens: f64,
    filled: Instant,
}

impl Budgets {
    /// Takes `amount` from a peer's bucket, or says that it is empty. The map is bounded by the roster.
    pub(crate) fn spend(&mut self, peer: HubId, on: Spending, amount: usize, now: Instant) -> bool {
        let (burst, per_second) = on.allowance();
        let bucket = self.buckets.entry((peer, on)).or_insert(Bucket { tokens: burst, filled: now });
        let elapsed = now.saturating_duration_since(bucket.filled).as_secs_f64();
        bucket.tokens = (bucket.tokens + elapsed * per_second).min(burst);
        bucket.filled = now;
        let amount = amount as f64;
        let enough = bucket.tokens >= amount;
        if enough {
            bucket.tokens -= amount;
        }
        enough
    }

    /// Forgets hubs that are no longer in the roster.
    pub(crate) fn retain(&mut self, keep: impl Fn(&HubId) -> bool) {
        self.buckets.retain(|(hub, _), _| keep(hub));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_bucket_empties_refills_and_is_per_peer() {
        let (a, b) = (HubId([1; 16]), HubId([2; 16]));
        let start = Instant::now();
        let mut budgets = Budgets::default();
        assert!((0..20).all(|_| budgets.spend(a, Spending::RosterRequests, 1, start)));
        assert!(!budgets.spend(a, Spending::RosterRequests, 1, start));
        assert!(budgets.spend(b, Spending::RosterRequests, 1, start));
        assert!(budgets.spend(a, Spending::LogRequests, 1, start));
        let later = start + Duration::from_secs(2);
        assert!((0..2).all(|_| budgets.spend(a, Spending::RosterRequests, 1, later)));
        assert!(!budgets.spend(a, Spending::RosterRequests, 1, later));
        budgets.retain(|hub| *hub != a);
        assert!(budgets.spend(a, Spending::RosterRequests, 20, later));
    }
}
