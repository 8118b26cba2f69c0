//! The release rules written a second time, from the tables of the policy chapter alone.

use std::collections::BTreeSet;

use cresset_protocol::ids::{Country, GroupId, HubId, UnixSeconds};
use cresset_protocol::membership::roster::HubStatus;
use cresset_protocol::object::marking::{HeldReason, IdentifierRole, Pap, Tlp};

use crate::input::{DecisionInput, HubPrincipal, Lane, MarkingClass, Principal, Situation};

/// Whether a unit may leave for the hub of the case.
pub(super) fn may_leave(case: &DecisionInput) -> bool {
    let Principal::Hub(hub) = &case.principal else { return false };
    let (m, s) = (&case.marking, &case.situation);
    let addressed = hub.named || s.addressed_groups.iter().any(|group| hub.groups.contains(group));
    let shares_group = m.groups.as_ref().is_some_and(|groups| groups.iter().any(|group| hub.groups.contains(group)));
    let by_label = match m.tlp {
        Tlp::Red => hub.named,
        Tlp::AmberStrict => addressed,
        Tlp::Amber => addressed || shares_group,
        Tlp::Green | Tlp::Clear => true,
    };
    if !by_label || hub.status != HubStatus::Active {
        return false;
    }
    if s.only && !addressed {
        return false;
    }
    if m.groups.is_some() && !shares_group {
        return false;
    }
    if m.releasable_to.as_ref().is_some_and(|list| !list.contains(&hub.country)) {
        return false;
    }
    if m.not_releasable_to.as_ref().is_some_and(|list| list.contains(&hub.country)) {
        return false;
    }
    if m.not_releasable_to_hubs.as_ref().is_some_and(|list| list.contains(&hub.hub)) {
        return false;
    }
    if m.held.is_some() || m.classified == Some(true) {
        return false;
    }
    match m.identifier_role {
        Some(IdentifierRole::Unknown) => return false,
        Some(IdentifierRole::Victim | IdentifierRole::Bystander) if hub.country != s.own_country => return false,
        _ => {}
    }
    if m.not_before.is_some_and(|time| time > s.now) || m.destroy_by.is_some_and(|time| time <= s.now) {
        return false;
    }
    m.exercise != Some(true) || s.exercise
}

/// A seeded case over small domains, so that every rule is hit.
pub(super) fn case(seed: u64) -> DecisionInput {
    let mut dice = Dice(seed);
    let now = UnixSeconds(1_790_000_000 + dice.below(3));
    let marking = MarkingClass {
        tlp: Tlp::ALL[dice.below(5) as usize],
        pap: Pap::ALL[dice.below(4) as usize],
        releasable_to: dice.rarely(|d| d.countries()),
        not_releasable_to: dice.rarely(|d| d.countries()).filter(|list| !list.is_empty()),
        not_releasable_to_hubs: dice.rarely(|d| BTreeSet::from([d.hub()])),
        groups: dice.rarely(|d| d.groups()),
        purpose: dice.rarely(|_| "security".to_owned()),
        lawful_basis: dice.rarely(|_| "public-interest".to_owned()),
        classified: dice.seldom(|_| true),
        exercise: dice.rarely(|_| true),
        not_before: dice.rarely(|d| UnixSeconds(1_790_000_000 + d.below(3))),
        destroy_by: dice.rarely(|d| UnixSeconds(1_790_000_000 + d.below(5))),
        licence: dice.rarely(|_| "feed".to_owned()),
        strip_attribution: dice.rarely(|_| true),
        identifier_role: dice.rarely(|d| {
            [IdentifierRole::Unknown, IdentifierRole::Bystander, IdentifierRole::Victim][d.below(3) as usize]
        }),
        tlp_is_default: dice.rarely(|_| true),
        held: dice.seldom(|d| {
            [HeldReason::UnknownLabel, HeldReason::LookAlikeLabel, HeldReason::Classified, HeldReason::UnknownRole]
                [d.below(4) as usize]
        }),
    };
    let status = [HubStatus::Suspended, HubStatus::Removed, HubStatus::Left, HubStatus::Active];
    let hub = HubPrincipal {
        hub: dice.hub(),
        country: dice.country(),
        jurisdiction: dice.country(),
        status: status[dice.below(12).min(3) as usize],
        roles: BTreeSet::from(["auditor".to_owned()]).into_iter().filter(|_| dice.below(4) == 0).collect(),
        groups: dice.groups(),
        named: dice.below(2) == 0,
    };
    let situation = Situation {
        now,
        lane: [Lane::Normal, Lane::Urgent][dice.below(2) as usize],
        only: dice.below(4) == 0,
        addressed_groups: dice.groups(),
        own_country: dice.country(),
        own_groups: BTreeSet::new(),
        exercise: dice.below(3) == 0,
        direct: false,
        owner: false,
    };
    DecisionInput::release(marking, hub, situation)
}

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0.wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 30)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }

    fn rarely<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        (self.below(6) == 0).then(|| make(self))
    }

    fn seldom<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        (self.below(25) == 0).then(|| make(self))
    }

    fn country(&mut self) -> Country {
        Country::parse(["AT", "LU", "EE"][self.below(3) as usize]).unwrap()
    }

    fn countries(&mut self) -> BTreeSet<Country> {
        (0..self.below(3)).map(|_| self.country()).collect()
    }

    fn hub(&mut self) -> HubId {
        HubId([self.below(3) as u8; 16])
    }

    fn groups(&mut self) -> BTreeSet<GroupId> {
        (0..self.below(3)).map(|_| GroupId([self.below(3) as u8; 16])).collect()
    }
}
