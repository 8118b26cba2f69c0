//! The one place that reads the clock.

use std::time::{SystemTime, UNIX_EPOCH};

use cresset_protocol::ids::UnixSeconds;

/// Seconds of a day.
pub(crate) const DAY: u64 = 86_400;

/// Now. A clock before 1970 reads as 0, which every check of age refuses.
pub(crate) fn now() -> UnixSeconds {
    UnixSeconds(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
}

/// A moment for people: RFC 3339 in UTC.
pub(crate) fn words(at: UnixSeconds) -> String {
    let seconds = i64::try_from(at.0).ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    seconds.map_or_else(|| format!("{at} s"), |timestamp| timestamp.to_string())
}
