//! Confirmations: how much of a log others have signed, and whether that is what was demanded.

use std::collections::{BTreeMap, BTreeSet};

use cresset_protocol::ids::LogId;
use cresset_protocol::membership::chain::RosterChain;
use serde::Serialize;

use crate::demand::{Demand, Fraction, WitnessPolicy};
use crate::log::LogReplay;

/// Who has confirmed a log, up to which size.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Anchoring {
    /// What was demanded, in a word.
    pub demand: String,
    /// Votes in ascending name: Member States, or witnesses of the policy file.
    pub votes: Vec<Vote>,
    /// Other Member States with an active hub.
    pub of: usize,
    /// Votes needed; none if there are too few Member States for a quorum, or a policy file decides.
    pub needed: Option<usize>,
    /// The log is confirmed as demanded up to this size.
    pub confirmed_size: u64,
}

/// One vote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Vote {
    /// Country code, or name of a witness.
    pub by: String,
    /// Largest size whose root it signed.
    pub size: u64,
}

/// Judges one log by the HEADS of all others.
pub(crate) fn anchoring(
    log: &LogReplay,
    all: &BTreeMap<LogId, LogReplay>,
    chain: Option<&RosterChain>,
    demand: &Demand,
) -> Anchoring {
    match demand {
        Demand::Fraction(fraction) => by_states(log, all, chain, *fraction),
        Demand::Policy(policy) => by_policy(log, all, chain, policy),
    }
}

fn by_states(
    log: &LogReplay,
    all: &BTreeMap<LogId, LogReplay>,
    chain: Option<&RosterChain>,
    fraction: Fraction,
) -> Anchoring {
    let own = log.owner.as_ref().map(|owner| owner.country.clone());
    let states = other_states(own.as_deref(), chain);
    let mut votes: BTreeMap<String, u64> = BTreeMap::new();
    for (owner, size) in confirmations(log, all) {
        if states.contains(&owner.country) {
            let vote = votes.entry(owner.country.clone()).or_default();
            *vote = size.max(*vote);
        }
    }
    let needed = fraction.needed(states.len());
    let mut sizes: Vec<u64> = votes.values().copied().collect();
    sizes.sort_unstable_by(|a, b| b.cmp(a));
    let confirmed_size = needed.and_then(|needed| sizes.get(needed.checked_sub(1)?)).copied().unwrap_or(0);
    Anchoring { demand: fraction.name().to_owned(), votes: listed(votes), of: states.len(), needed, confirmed_size }
}

fn by_policy(
    log: &LogReplay,
    all: &BTreeMap<LogId, LogReplay>,
    chain: Option<&RosterChain>,
    policy: &WitnessPolicy,
) -> Anchoring {
    let mut votes: BTreeMap<String, u64> = BTreeMap::new();
    for other in all.values().filter(|other| other.listed.log != log.listed.log) {
        let witness = policy.witness_of(other.listed.origin.as_str(), &other.keys);
        if let (Some(witness), Some(size)) = (witness, other.records.confirmed.get(&log.listed.log)) {
            let vote = votes.entry(witness.to_owned()).or_default();
            *vote = (*size).max(*vote);
        }
    }
    let quorum_at = |size: u64| {
        let witnesses: BTreeSet<&str> =
            votes.iter().filter(|(_, at)| **at >= size).map(|(name, _)| name.as_str()).collect();
        policy.is_quorum(&witnesses)
    };
    // The whole log counts only if nobody at all is needed; else some vote's size is the answer.
    let mut sizes: Vec<u64> = votes.values().copied().collect();
    sizes.sort_unstable_by(|a, b| b.cmp(a));
    let confirmed_size = if policy.is_quorum(&BTreeSet::new()) {
        log.listed.size.0
    } else {
        sizes.into_iter().find(|size| quorum_at(*size)).unwrap_or(0)
    };
    let own = log.owner.as_ref().map(|owner| owner.country.clone());
    let of = other_states(own.as_deref(), chain).len();
    Anchoring { demand: "policy file".to_owned(), votes: listed(votes), of, needed: None, confirmed_size }
}

fn confirmations<'r>(
    log: &'r LogReplay,
    all: &'r BTreeMap<LogId, LogReplay>,
) -> impl Iterator<Item = (&'r crate::log::Owner, u64)> {
    let others = all.values().filter(|other| other.listed.log != log.listed.log);
    others.filter_map(|other| Some((other.owner.as_ref()?, *other.records.confirmed.get(&log.listed.log)?)))
}

fn other_states(own: Option<&str>, chain: Option<&RosterChain>) -> BTreeSet<String> {
    let roster = chain.map(RosterChain::current);
    let active = roster.iter().flat_map(|roster| roster.active_hubs().map(|hub| hub.country.to_string()));
    active.filter(|country| Some(country.as_str()) != own).collect()
}

fn listed(votes: BTreeMap<String, u64>) -> Vec<Vote> {
    votes.into_iter().map(|(by, size)| Vote { by, size }).collect()
}
