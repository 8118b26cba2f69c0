//! Markings: all handling data of a unit, and their lattice (FIRST TLP 2.0, PAP, releasability).
//!
//! `merge` takes the stricter of two markings field by field; nothing here can widen one.

use std::collections::BTreeSet;

use minicbor::{Decode, Encode};
use thiserror::Error;

use crate::ids::{Country, GroupId, HubId, UnixSeconds};
use crate::limits::{MARKING_LIST_MAX, MARKING_TEXT_BYTES_MAX};

/// Traffic Light Protocol 2.0 (FIRST, August 2022), ascending by strictness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum Tlp {
    /// No limit on disclosure.
    #[n(0)]
    Clear,
    /// The community.
    #[n(1)]
    Green,
    /// The organisation and its clients, on a need-to-know basis.
    #[n(2)]
    Amber,
    /// The organisation only.
    #[n(3)]
    AmberStrict,
    /// Named recipients only.
    #[n(4)]
    Red,
}

impl Tlp {
    /// Every label, ascending by strictness.
    pub const ALL: [Self; 5] = [Self::Clear, Self::Green, Self::Amber, Self::AmberStrict, Self::Red];

    /// The label as FIRST writes it.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Clear => "TLP:CLEAR",
            Self::Green => "TLP:GREEN",
            Self::Amber => "TLP:AMBER",
            Self::AmberStrict => "TLP:AMBER+STRICT",
            Self::Red => "TLP:RED",
        }
    }
}

impl std::fmt::Display for Tlp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.label())
    }
}

/// Permissible Actions Protocol, ascending by strictness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum Pap {
    /// No limit on use.
    #[n(0)]
    Clear,
    /// Active actions allowed (ping, block).
    #[n(1)]
    Green,
    /// Passive cross-checks.
    #[n(2)]
    Amber,
    /// Undetectable, passive actions only.
    #[n(3)]
    Red,
}

impl Pap {
    /// Every label, ascending by strictness.
    pub const ALL: [Self; 4] = [Self::Clear, Self::Green, Self::Amber, Self::Red];

    /// The label as the PAP taxonomy writes it.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Clear => "PAP:CLEAR",
            Self::Green => "PAP:GREEN",
            Self::Amber => "PAP:AMBER",
            Self::Red => "PAP:RED",
        }
    }
}

impl std::fmt::Display for Pap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.label())
    }
}

/// Whom an identifier belongs to; decides about personal data. Ascending by how much it needs protecting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum IdentifierRole {
    /// Attacker infrastructure or nothing personal.
    #[default]
    #[n(0)]
    Attacker,
    /// Not said, and it could be a person's.
    #[n(1)]
    Unknown,
    /// Somebody merely involved.
    #[n(2)]
    Bystander,
    /// A victim.
    #[n(3)]
    Victim,
}

/// All handling data of one unit (policy chapter of the specification).
///
/// Absent optional fields and empty sets encode as absent keys, so equal markings have equal bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(map)]
pub struct Marking {
    /// Disclosure.
    #[n(0)]
    pub tlp: Tlp,
    /// Use.
    #[n(1)]
    pub pap: Pap,
    /// Countries that it may be released to; `None` is no restriction.
    #[n(2)]
    pub releasable_to: Option<BTreeSet<Country>>,
    /// Countries that it must not be released to.
    #[n(3)]
    pub not_releasable_to: Option<BTreeSet<Country>>,
    /// Hubs that it must not be released to.
    #[n(4)]
    pub not_releasable_to_hubs: Option<BTreeSet<HubId>>,
    /// Sharing groups that it is limited to; `None` is no restriction, the empty set is nobody.
    #[n(5)]
    pub groups: Option<BTreeSet<GroupId>>,
    /// Purpose of processing.
    #[n(6)]
    pub purpose: Option<String>,
    /// Lawful basis of processing.
    #[n(7)]
    pub lawful_basis: Option<String>,
    /// National or EU classification mark: such content is refused at intake.
    #[n(8)]
    pub classification: Option<String>,
    /// Exercise data: never mixes with real data.
    #[n(9)]
    pub exercise: Option<bool>,
    /// Embargo.
    #[n(10)]
    pub not_before: Option<UnixSeconds>,
    /// Retention limit.
    #[n(11)]
    pub destroy_by: Option<UnixSeconds>,
    /// Feed licence terms.
    #[n(12)]
    pub licence: Option<String>,
    /// `tlp:ex:chr`: strip the source's attribution.
    #[n(13)]
    pub strip_attribution: Option<bool>,
    /// Language of free text (BCP 47).
    #[n(14)]
    pub language: Option<String>,
    /// Whose identifier it is.
    #[n(15)]
    pub identifier_role: Option<IdentifierRole>,
    /// The TLP was not stated but is a default (per source, or AMBER+STRICT).
    #[n(16)]
    pub tlp_is_default: Option<bool>,
    /// Held for a human: ambiguous or unknown label, with the reason code.
    #[n(17)]
    pub held: Option<HeldReason>,
}

/// Why a unit waits for a human instead of being released.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum HeldReason {
    /// A `tlp:*` label that is not in TLP 2.0.
    #[n(0)]
    UnknownLabel,
    /// A label with look-alike letters, odd case or spacing.
    #[n(1)]
    LookAlikeLabel,
    /// A classification mark.
    #[n(2)]
    Classified,
    /// An identifier whose role nobody stated.
    #[n(3)]
    UnknownRole,
}

impl Marking {
    /// A marking with nothing but a TLP and the default PAP (AMBER).
    pub fn new(tlp: Tlp) -> Self {
        Self {
            tlp,
            pap: Pap::Amber,
            releasable_to: None,
            not_releasable_to: None,
            not_releasable_to_hubs: None,
            groups: None,
            purpose: None,
            lawful_basis: None,
            classification: None,
            exercise: None,
            not_before: None,
            destroy_by: None,
            licence: None,
            strip_attribution: None,
            language: None,
            identifier_role: None,
            tlp_is_default: None,
            held: None,
        }
    }

    /// AMBER+STRICT by default: nobody stated a TLP.
    pub fn unlabelled() -> Self {
        Self { tlp_is_default: Some(true), ..Self::new(Tlp::AmberStrict) }
    }

    /// RED and held for review: the label could not be trusted.
    pub fn held(reason: HeldReason) -> Self {
        Self { held: Some(reason), ..Self::new(Tlp::Red) }
    }

    /// The stricter of the two, field by field: the effective marking of a unit within a container.
    #[must_use]
    pub fn merge(&self, other: &Self) -> Self {
        let tlp = self.tlp.max(other.tlp);
        Self {
            tlp,
            pap: self.pap.max(other.pap),
            releasable_to: intersect(&self.releasable_to, &other.releasable_to),
            not_releasable_to: unite(&self.not_releasable_to, &other.not_releasable_to),
            not_releasable_to_hubs: unite(&self.not_releasable_to_hubs, &other.not_releasable_to_hubs),
            groups: intersect(&self.groups, &other.groups),
            purpose: self.purpose.clone().or_else(|| other.purpose.clone()),
            lawful_basis: self.lawful_basis.clone().or_else(|| other.lawful_basis.clone()),
            classification: self.classification.clone().or_else(|| other.classification.clone()),
            exercise: any(self.exercise, other.exercise),
            not_before: self.not_before.max(other.not_before),
            destroy_by: earliest(self.destroy_by, other.destroy_by),
            licence: self.licence.clone().or_else(|| other.licence.clone()),
            strip_attribution: any(self.strip_attribution, other.strip_attribution),
            language: self.language.clone().or_else(|| other.language.clone()),
            identifier_role: self.identifier_role.max(other.identifier_role),
            tlp_is_default: default_survives(self, other, tlp),
            held: self.held.max(other.held),
        }
    }

    /// Whether `self` is at least as strict as `other` in every field that the lattice orders.
    pub fn at_least_as_strict_as(&self, other: &Self) -> bool {
        let merged = self.merge(other);
        let key = |m: &Self| {
            (
                (m.tlp, m.pap, m.releasable_to.clone(), m.not_releasable_to.clone(), m.not_releasable_to_hubs.clone()),
                (m.groups.clone(), m.exercise, m.not_before, m.destroy_by, m.strip_attribution),
                (m.identifier_role, m.held, m.classification.is_some()),
            )
        };
        key(&merged) == key(self)
    }

    /// Checks the limits of lists and texts.
    ///
    /// # Errors
    /// The first field over its limit.
    pub fn check_limits(&self) -> Result<(), MarkingError> {
        let lists = [
            ("releasable_to", self.releasable_to.as_ref().map_or(0, BTreeSet::len)),
            ("not_releasable_to", self.not_releasable_to.as_ref().map_or(0, BTreeSet::len)),
            ("not_releasable_to_hubs", self.not_releasable_to_hubs.as_ref().map_or(0, BTreeSet::len)),
            ("groups", self.groups.as_ref().map_or(0, BTreeSet::len)),
        ];
        if let Some((field, len)) = lists.into_iter().find(|(_, len)| *len > MARKING_LIST_MAX) {
            return Err(MarkingError::TooMany { field, len });
        }
        let texts = [
            ("purpose", &self.purpose),
            ("lawful_basis", &self.lawful_basis),
            ("classification", &self.classification),
            ("licence", &self.licence),
            ("language", &self.language),
        ];
        let long = |text: &Option<String>| text.as_ref().is_some_and(|text| text.len() > MARKING_TEXT_BYTES_MAX);
        match texts.into_iter().find(|(_, text)| long(text)) {
            Some((field, _)) => Err(MarkingError::TooLong { field }),
            None => Ok(()),
        }
    }
}

fn intersect<T: Ord + Clone>(a: &Option<BTreeSet<T>>, b: &Option<BTreeSet<T>>) -> Option<BTreeSet<T>> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.intersection(b).cloned().collect()),
        (one, other) => one.clone().or_else(|| other.clone()),
    }
}

fn unite<T: Ord + Clone>(a: &Option<BTreeSet<T>>, b: &Option<BTreeSet<T>>) -> Option<BTreeSet<T>> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.union(b).cloned().collect()),
        (one, other) => one.clone().or_else(|| other.clone()),
    }
}

fn any(a: Option<bool>, b: Option<bool>) -> Option<bool> {
    (a == Some(true) || b == Some(true)).then_some(true)
}

fn earliest(a: Option<UnixSeconds>, b: Option<UnixSeconds>) -> Option<UnixSeconds> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, other) => one.or(other),
    }
}

/// A default stays one only while no stated label decides.
fn default_survives(a: &Marking, b: &Marking, tlp: Tlp) -> Option<bool> {
    let stated = |m: &Marking| m.tlp == tlp && m.tlp_is_default != Some(true);
    (!stated(a) && !stated(b)).then_some(true)
}

/// A marking beyond its limits.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MarkingError {
    /// A list with too many members.
    #[error("marking field `{field}` has {len} members where at most {MARKING_LIST_MAX} are allowed")]
    TooMany {
        /// The field.
        field: &'static str,
        /// Its length.
        len: usize,
    },
    /// A text that is too long.
    #[error("marking field `{field}` is longer than {MARKING_TEXT_BYTES_MAX} bytes")]
    TooLong {
        /// The field.
        field: &'static str,
    },
}
