//! When a hub owes a HEADS leaf and a slot leaf (`protocol-spec/09-sync.md`, "Heartbeat").
//!
//! HEADS never feeds itself: only leaves other than HEADS, slot and backup make one due.

use crate::ids::UnixSeconds;

/// A change in another log is named by a HEADS leaf within this time, in seconds.
pub const HEADS_DUE_S: u64 = 60;
/// A HEADS leaf is written at least this often, in seconds.
pub const HEADS_INTERVAL_S: u64 = 600;
/// Length of a slot, in seconds. Slots are aligned to POSIX time.
pub const SLOT_S: u64 = 600;

/// What is due now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// A HEADS leaf over all other logs.
    Heads,
    /// The slot leaf of the slot that began at the given time, also when empty.
    Slot {
        /// First second of the slot.
        start: UnixSeconds,
    },
}

/// Remembers what was written when. Restored from the log's own last HEADS and slot leaves at start.
#[derive(Clone, Copy, Debug)]
pub struct Heartbeat {
    last_heads: Option<UnixSeconds>,
    change_since: Option<UnixSeconds>,
    last_slot: Option<u64>,
}

impl Heartbeat {
    /// Resumes from the times of the last HEADS leaf and the start of the last slot written, where there are any.
    pub fn resume(last_heads: Option<UnixSeconds>, last_slot_start: Option<UnixSeconds>) -> Self {
        Self { last_heads, change_since: None, last_slot: last_slot_start.map(|start| start.0 / SLOT_S) }
    }

    /// Another log gained a leaf that is not HEADS, slot or backup.
    pub fn noteworthy_change(&mut self, now: UnixSeconds) {
        self.change_since.get_or_insert(now);
    }

    /// Collects what is due and counts it as written. A clock that jumps back makes nothing due twice.
    pub fn tick(&mut self, now: UnixSeconds) -> Vec<Due> {
        let mut due = Vec::new();
        let changed = self.change_since.is_some_and(|since| now.0.saturating_sub(since.0) >= HEADS_DUE_S);
        let silent = self.last_heads.is_none_or(|last| now.0.saturating_sub(last.0) >= HEADS_INTERVAL_S);
        if changed || silent {
            self.last_heads = Some(now);
            self.change_since = None;
            due.push(Due::Heads);
        }
        let finished = (now.0 / SLOT_S).checked_sub(1);
        match (self.last_slot, finished) {
            (None, Some(slot)) => self.last_slot = Some(slot),
            (Some(last), Some(slot)) if slot > last => {
                self.last_slot = Some(slot);
                due.push(Due::Slot { start: UnixSeconds(slot * SLOT_S) });
            }
            _ => {}
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_network_costs_one_heads_and_one_slot_in_ten_minutes() {
        let mut heartbeat = Heartbeat::resume(None, None);
        let mut count = [0u32; 2];
        for now in 600_000..600_000 + 86_400 {
            for due in heartbeat.tick(UnixSeconds(now)) {
                count[usize::from(matches!(due, Due::Slot { .. }))] += 1;
            }
        }
        assert_eq!(count, [144, 143]);
    }

    #[test]
    fn a_change_is_named_within_a_minute() {
        let mut heartbeat = Heartbeat::resume(Some(UnixSeconds(600_000)), Some(UnixSeconds(599_400)));
        heartbeat.noteworthy_change(UnixSeconds(600_010));
        assert_eq!(heartbeat.tick(UnixSeconds(600_069)), []);
        assert_eq!(heartbeat.tick(UnixSeconds(600_070)), [Due::Heads]);
        assert_eq!(heartbeat.tick(UnixSeconds(600_200)), []);
    }

    #[test]
    fn a_clock_that_jumps_back_repeats_no_slot() {
        let mut heartbeat = Heartbeat::resume(Some(UnixSeconds(600_000)), Some(UnixSeconds(599_400)));
        assert_eq!(heartbeat.tick(UnixSeconds(600_600)), [Due::Heads, Due::Slot { start: UnixSeconds(600_000) }]);
        assert_eq!(heartbeat.tick(UnixSeconds(600_001)), []);
        assert_eq!(heartbeat.tick(UnixSeconds(600_601)), []);
    }
}
