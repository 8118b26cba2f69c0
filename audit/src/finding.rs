//! Findings: what weighs on the verdict, with the place.

use std::collections::BTreeMap;

use cresset_protocol::ids::LogId;
use serde::Serialize;

use crate::verdict::Verdict;

/// Findings kept in a report; the rest are counted. The worst verdict counts either way.
pub const FINDINGS_MAX: usize = 1_000;

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// The verdict that it leads to.
    pub verdict: &'static str,
    /// The log, where it is about one.
    pub log: Option<String>,
    /// The leaf, where it is about one.
    pub index: Option<u64>,
    /// What is wrong, in words.
    pub what: String,
}

/// All findings of a replay.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    list: Vec<Finding>,
    omitted: u64,
    bundles: Option<Verdict>,
    logs: BTreeMap<LogId, Verdict>,
}

impl Findings {
    /// About the bundle or the consortium as a whole.
    pub fn of_bundle(&mut self, verdict: Verdict, what: impl Into<String>) {
        self.bundles = self.bundles.max(Some(verdict));
        self.push(verdict, None, None, what.into());
    }

    /// About a log.
    pub fn of_log(&mut self, verdict: Verdict, log: &LogId, what: impl Into<String>) {
        self.weigh(verdict, log);
        self.push(verdict, Some(log), None, what.into());
    }

    /// About a leaf.
    pub fn of_leaf(&mut self, verdict: Verdict, log: &LogId, index: u64, what: impl Into<String>) {
        self.weigh(verdict, log);
        self.push(verdict, Some(log), Some(index), what.into());
    }

    /// The worst about bundles.
    pub fn worst_of_bundles(&self) -> Option<Verdict> {
        self.bundles
    }

    /// The worst about one log.
    pub fn worst_of(&self, log: &LogId) -> Option<Verdict> {
        self.logs.get(log).copied()
    }

    /// The worst about any log.
    pub fn worst_of_logs(&self) -> Option<Verdict> {
        self.logs.values().max().copied()
    }

    /// Findings in the order of the replay, and how many more there are.
    pub fn into_parts(self) -> (Vec<Finding>, u64) {
        (self.list, self.omitted)
    }

    fn weigh(&mut self, verdict: Verdict, log: &LogId) {
        let worst = self.logs.entry(*log).or_insert(verdict);
        *worst = verdict.max(*worst);
    }

    fn push(&mut self, verdict: Verdict, log: Option<&LogId>, index: Option<u64>, what: String) {
        if self.list.len() >= FINDINGS_MAX {
            self.omitted += 1;
            return;
        }
        let log = log.map(ToString::to_string);
        self.list.push(Finding { verdict: verdict.name(), log, index, what });
    }
}
