//! The two lanes: what waits for a flush, and when a flush is due.

use std::collections::VecDeque;

use crate::limits::{FLUSH_BYTES_MAX, FLUSH_LEAVES_MAX};

use super::{Append, Moment, Pace};

/// How urgent an append is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Flushed at once, under a token bucket.
    Urgent,
    /// Flushed after an interval or when a flush is full.
    Normal,
}

pub(super) struct Lanes {
    urgent: VecDeque<Append>,
    normal: VecDeque<(u64, Append)>,
    normal_leaves: usize,
    normal_bytes: usize,
    normal_interval_ms: u64,
    bucket: Bucket,
}

impl Lanes {
    pub(super) fn new(pace: &Pace, now: Moment) -> Self {
        Self {
            urgent: VecDeque::new(),
            normal: VecDeque::new(),
            normal_leaves: 0,
            normal_bytes: 0,
            normal_interval_ms: pace.normal_interval_ms,
            bucket: Bucket::new(pace.urgent_burst, pace.urgent_per_second, now.millis),
        }
    }

    pub(super) fn push(&mut self, now: Moment, append: Append) {
        match append.lane {
            Lane::Urgent => self.urgent.push_back(append),
            Lane::Normal => {
                self.normal_leaves += append.leaves.len();
                self.normal_bytes += append.announced_bytes;
                self.normal.push_back((now.millis, append));
            }
        }
    }

    /// When [`Lanes::take_if_due`] will next give something, as far as is known now.
    pub(super) fn due_at(&self) -> Option<u64> {
        let urgent = (!self.urgent.is_empty()).then(|| self.bucket.next_at());
        let normal = self.normal.front().map(|(since, _)| {
            if self.normal_is_full() { *since } else { since.saturating_add(self.normal_interval_ms) }
        });
        urgent.into_iter().chain(normal).min()
    }

    /// Everything queued, URGENT first, up to the limits of one flush; `None` while nothing is due.
    pub(super) fn take_if_due(&mut self, now: Moment) -> Option<Vec<Append>> {
        let urgent_due = !self.urgent.is_empty() && self.bucket.take(now.millis);
        let waited = |since: &u64| since.saturating_add(self.normal_interval_ms) <= now.millis;
        let normal_due = self.normal_is_full() || self.normal.front().is_some_and(|(since, _)| waited(since));
        if !urgent_due && !normal_due {
            return None;
        }
        let mut taken = Vec::new();
        let mut room = Room { leaves: FLUSH_LEAVES_MAX, bytes: FLUSH_BYTES_MAX };
        while let Some(append) = self.urgent.pop_front_if(|append| room.fits(append)) {
            taken.push(append);
        }
        while let Some((_, append)) = self.normal.pop_front_if(|(_, append)| room.fits(append)) {
            self.normal_leaves -= append.leaves.len();
            self.normal_bytes -= append.announced_bytes;
            taken.push(append);
        }
        Some(taken)
    }

    fn normal_is_full(&self) -> bool {
        self.normal_leaves >= FLUSH_LEAVES_MAX || self.normal_bytes >= FLUSH_BYTES_MAX
    }
}

/// What one flush still takes.
struct Room {
    leaves: usize,
    bytes: usize,
}

impl Room {
    fn fits(&mut self, append: &Append) -> bool {
        match (self.leaves.checked_sub(append.leaves.len()), self.bytes.checked_sub(append.announced_bytes)) {
            (Some(leaves), Some(bytes)) => {
                (self.leaves, self.bytes) = (leaves, bytes);
                true
            }
            _ => false,
        }
    }
}

/// A token bucket in milliseconds; the level counts thousandths of a token.
struct Bucket {
    burst_milli: u64,
    per_second: u64,
    level_milli: u64,
    at: u64,
}

const MILLI: u64 = 1_000;

impl Bucket {
    fn new(burst: u32, per_second: u32, at: u64) -> Self {
        let burst_milli = u64::from(burst.max(1)) * MILLI;
        Self { burst_milli, per_second: u64::from(per_second.max(1)), level_milli: burst_milli, at }
    }

    fn take(&mut self, now: u64) -> bool {
        // One millisecond refills `per_second` thousandths.
        let refill = now.saturating_sub(self.at).saturating_mul(self.per_second);
        self.level_milli = self.level_milli.saturating_add(refill).min(self.burst_milli);
        self.at = self.at.max(now);
        let enough = self.level_milli >= MILLI;
        if enough {
            self.level_milli -= MILLI;
        }
        enough
    }

    fn next_at(&self) -> u64 {
        let missing = MILLI.saturating_sub(self.level_milli);
        self.at.saturating_add(missing.div_ceil(self.per_second))
    }
}
