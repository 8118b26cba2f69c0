//! The wall clock, as every part of the node takes it.

use std::time::{SystemTime, UNIX_EPOCH};

use cresset_protocol::ids::UnixSeconds;

use crate::transport::Clock;

/// The machine's clock. A time before 1970 counts as 1970.
pub(crate) fn system_clock() -> Clock {
    std::sync::Arc::new(|| {
        UnixSeconds(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs()))
    })
}
