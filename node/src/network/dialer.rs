//! Whom to dial when: every hub of the roster that is not connected, with back-off. Pure.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use cresset_protocol::ids::HubId;

const BACKOFF_MIN: Duration = Duration::from_millis(500);
const BACKOFF_MAX: Duration = Duration::from_secs(60);
/// The hub with the larger id gives the other this head start, so that two hubs seldom dial each other at once.
const HEAD_START: Duration = Duration::from_millis(1_500);

/// The plan.
pub(crate) struct Dialer {
    me: HubId,
    targets: BTreeMap<HubId, Target>,
}

#[derive(Clone, Copy)]
struct Target {
    failures: u32,
    not_before: Instant,
    dialling: bool,
}

impl Dialer {
    pub(crate) fn new(me: HubId) -> Self {
        Self { me, targets: BTreeMap::new() }
    }

    /// Sets the hubs to be connected to; state of those that stay is kept.
    pub(crate) fn set_targets(&mut self, hubs: impl Iterator<Item = HubId>, now: Instant) {
        let mut old = std::mem::take(&mut self.targets);
        for hub in hubs.filter(|hub| *hub != self.me) {
            let not_before = if self.me < hub { now } else { now + HEAD_START };
            let fresh = Target { failures: 0, not_before, dialling: false };
            self.targets.insert(hub, old.remove(&hub).unwrap_or(fresh));
        }
    }

    /// Hubs to dial now, each with the number of failures so far; they count as being dialled from here on.
    pub(crate) fn due(&mut self, now: Instant, connected: impl Fn(&HubId) -> bool) -> Vec<(HubId, u32)> {
        let mut due = Vec::new();
        for (hub, target) in &mut self.targets {
            if !target.dialling && target.not_before <= now && !connected(hub) {
                target.dialling = true;
                due.push((*hub, target.failures));
            }
        }
        due
    }

    /// A dial ended without a session.
    pub(crate) fn failed(&mut self, hub: &HubId, now: Instant) {
        if let Some(target) = self.targets.get_mut(hub) {
            let pause = backoff(hub, target.failures);
            *target = Target { failures: target.failures.saturating_add(1), not_before: now + pause, dialling: false };
        }
    }

    /// A session stands, whoever dialled.
    pub(crate) fn connected(&mut self, hub: &HubId) {
        if let Some(target) = self.targets.get_mut(hub) {
            target.failures = 0;
            target.dialling = false;
        }
    }

    /// The last session with a hub ended.
    pub(crate) fn lost(&mut self, hub: &HubId, now: Instant) {
        if let Some(target) = self.targets.get_mut(hub) {
            let head_start = if self.me < *hub { Duration::ZERO } else { HEAD_START };
            target.not_before = now + BACKOFF_MIN + head_start;
            target.dialling = false;
        }
    }
}

/// Doubles from 0.5 s to 60 s; spread by up to a quarter so that hubs do not fall into step.
fn backoff(hub: &HubId, failures: u32) -> Duration {
    let base = BACKOFF_MIN.saturating_mul(1 << failures.min(10)).min(BACKOFF_MAX);
    let spread = hub.0.iter().fold(failures, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(*byte))) % 64;
    base + base * spread / 256
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_target_is_tried_less_and_less_and_a_new_session_resets_it() {
        let (me, other) = (HubId([1; 16]), HubId([2; 16]));
        let start = Instant::now();
        let mut dialer = Dialer::new(me);
        dialer.set_targets([me, other].into_iter(), start);
        assert_eq!(dialer.due(start, |_| false), [(other, 0)]);
        assert_eq!(dialer.due(start, |_| false), [], "a dial is under way");
        dialer.failed(&other, start);
        assert_eq!(dialer.due(start, |_| false), []);
        assert_eq!(dialer.due(start + Duration::from_secs(1), |_| false), [(other, 1)]);
        dialer.connected(&other);
        assert_eq!(dialer.due(start + Duration::from_secs(99), |_| true), []);
        dialer.lost(&other, start);
        assert_eq!(dialer.due(start + Duration::from_secs(1), |_| false), [(other, 0)]);
        assert!((0..40).all(|n| backoff(&other, n) <= BACKOFF_MAX * 5 / 4 && backoff(&other, n) >= BACKOFF_MIN));
    }

    #[test]
    fn the_larger_id_waits_first() {
        let (small, large) = (HubId([1; 16]), HubId([2; 16]));
        let start = Instant::now();
        let mut dialer = Dialer::new(large);
        dialer.set_targets([small].into_iter(), start);
        assert_eq!(dialer.due(start, |_| false), []);
        assert_eq!(dialer.due(start + HEAD_START, |_| false), [(small, 0)]);
    }
}
