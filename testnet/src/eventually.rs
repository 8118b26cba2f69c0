//! Polling with a deadline: how everything here waits. Never a bare sleep.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Pause between two looks.
const POLL_PAUSE: Duration = Duration::from_millis(50);

/// Calls `condition` until it gives a value, or fails with what was waited for and the last reason.
pub(crate) fn eventually<T>(
    what: &str,
    deadline: Duration,
    mut condition: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let end = Instant::now() + deadline;
    let mut last = None;
    loop {
        match condition() {
            Ok(Some(value)) => return Ok(value),
            Ok(None) => {}
            Err(error) => last = Some(error),
        }
        if Instant::now() >= end {
            match last {
                Some(error) => return Err(error.context(format!("waited {} s for {what}", deadline.as_secs()))),
                None => bail!("waited {} s in vain for {what}", deadline.as_secs()),
            }
        }
        std::thread::sleep(POLL_PAUSE);
    }
}
