//! When a failed store may try again.

use std::time::{Duration, Instant};

/// First pause after recovery failed.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// Longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Closed periods that double with every failure in a row.
#[derive(Default)]
pub(crate) struct Backoff {
    closed: Option<(Instant, Duration)>,
}

impl Backoff {
    /// Time left, if the store is closed at `now`.
    pub(crate) fn remaining(&self, now: Instant) -> Option<Duration> {
        let (until, _) = self.closed?;
        until.checked_duration_since(now).filter(|left| !left.is_zero())
    }

    /// Closes the store and returns for how long. Failures of calls that started before count as one.
    pub(crate) fn close(&mut self, now: Instant) -> Duration {
        if let Some(left) = self.remaining(now) {
            return left;
        }
        let pause = self.closed.map_or(PAUSE_MIN, |(_, last)| (last * 2).min(PAUSE_MAX));
        self.closed = Some((now + pause, pause));
        pause
    }

    /// Forgets all failures.
    pub(crate) fn reset(&mut self) {
        self.closed = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_maximum_and_success_resets_them() {
        let mut now = Instant::now();
        let mut backoff = Backoff::default();
        for expected in [1, 2, 4, 8, 16, 32, 60, 60] {
            assert_eq!(backoff.remaining(now), None);
            assert_eq!(backoff.close(now), Duration::from_secs(expected));
            now += Duration::from_secs(expected);
        }
        backoff.reset();
        assert_eq!(backoff.close(now), PAUSE_MIN);
    }

    #[test]
    fn failures_of_one_moment_count_once() {
        let now = Instant::now();
        let mut backoff = Backoff::default();
        backoff.close(now);
        assert_eq!(backoff.close(now + PAUSE_MIN / 2), PAUSE_MIN / 2);
        assert_eq!(backoff.remaining(now + PAUSE_MIN / 2), Some(PAUSE_MIN / 2));
    }
}
