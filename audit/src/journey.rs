//! What happened to an object, step by step, as far as the openings tell.

use std::collections::BTreeMap;

use cresset_protocol::ids::{LogId, ObjectUuid, ObjectVersion, UnixSeconds};
use serde::Serialize;

/// Objects in one report; further ones are counted.
pub const JOURNEYS_MAX: usize = 10_000;
/// Steps kept of one journey; further ones are counted.
pub const STEPS_MAX: usize = 512;

/// The journey of one version of an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Journey {
    /// UUID of the object.
    pub object: String,
    /// Its version.
    pub version: u64,
    /// The log that publishes it.
    pub log: String,
    /// What happened, in the order of the logs, the owner's first.
    pub steps: Vec<Step>,
    /// Steps left out.
    pub steps_omitted: u64,
}

/// One leaf, or one statement under a leaf.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Hub that says so: its domain, or the log id where no roster names it.
    pub by: String,
    /// Leaf in that hub's log.
    pub index: u64,
    /// When, by that hub's clock.
    pub time: u64,
    /// What.
    pub what: String,
}

/// Journeys by log, object and version, and which leaf belongs to which.
#[derive(Clone, Debug, Default)]
pub(crate) struct Journeys {
    by_object: BTreeMap<ObjectKey, Journey>,
    by_leaf: BTreeMap<(LogId, u64), ObjectKey>,
    omitted: u64,
}

pub(crate) type ObjectKey = (LogId, ObjectUuid, ObjectVersion);

impl Journeys {
    /// Adds a leaf of the owner's log.
    pub(crate) fn leaf(&mut self, key: ObjectKey, by: &str, index: u64, time: UnixSeconds, what: String) {
        if !self.by_object.contains_key(&key) && self.by_object.len() >= JOURNEYS_MAX {
            self.omitted += 1;
            return;
        }
        self.by_leaf.insert((key.0, index), key);
        let journey = self.by_object.entry(key).or_insert_with(|| Journey {
            object: key.1.hyphenated(),
            version: key.2.0,
            log: key.0.to_string(),
            steps: Vec::new(),
            steps_omitted: 0,
        });
        journey.add(Step { by: by.to_owned(), index, time: time.0, what });
    }

    /// The object that a leaf publishes.
    pub(crate) fn object_of(&self, log: &LogId, index: u64) -> Option<ObjectKey> {
        self.by_leaf.get(&(*log, index)).copied()
    }

    /// Adds what another hub, or a later leaf, says about a leaf of the owner.
    pub(crate) fn about(&mut self, log: &LogId, target: u64, step: Step) {
        let key = self.object_of(log, target);
        if let Some(journey) = key.and_then(|key| self.by_object.get_mut(&key)) {
            journey.add(step);
        }
    }

    /// In order, and how many are left out.
    pub(crate) fn into_parts(self) -> (Vec<Journey>, u64) {
        (self.by_object.into_values().collect(), self.omitted)
    }
}

impl Journey {
    fn add(&mut self, step: Step) {
        if self.steps.len() < STEPS_MAX {
            self.steps.push(step);
        } else {
            self.steps_omitted += 1;
        }
    }
}
