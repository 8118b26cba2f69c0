//! What a decision is made on: classes and situations as canonical bytes, never raw values.

use std::collections::BTreeSet;

use cresset_protocol::codec;
use cresset_protocol::domain;
use cresset_protocol::envelope::Relay;
use cresset_protocol::ids::{Country, GroupId, HubId, UnixSeconds};
use cresset_protocol::membership::roster::HubStatus;
use cresset_protocol::object::marking::{HeldReason, IdentifierRole, Marking, Pap, Tlp};
use minicbor::{Decode, Encode};

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum Question {
    /// May it leave for this hub?
    #[n(0)]
    Release,
    /// May hubs of this jurisdiction class carry its ciphertext?
    #[n(1)]
    Relay,
    /// Do we take it from this hub?
    #[n(2)]
    Admit,
    /// May this client of ours see it?
    #[n(3)]
    Serve,
    /// May this hub take it back?
    #[n(4)]
    Withdraw,
}

impl Question {
    /// The Cedar action.
    pub const fn action(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Relay => "relay",
            Self::Admit => "admit",
            Self::Serve => "serve",
            Self::Withdraw => "withdraw",
        }
    }
}

/// Everything of a marking that policy looks at.
///
/// The text of a classification mark is reduced to its presence, so that no record copies it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(map)]
pub struct MarkingClass {
    /// Disclosure.
    #[n(0)]
    pub tlp: Tlp,
    /// Use.
    #[n(1)]
    pub pap: Pap,
    /// Countries that may have it.
    #[n(2)]
    pub releasable_to: Option<BTreeSet<Country>>,
    /// Countries that must not.
    #[n(3)]
    pub not_releasable_to: Option<BTreeSet<Country>>,
    /// Hubs that must not.
    #[n(4)]
    pub not_releasable_to_hubs: Option<BTreeSet<HubId>>,
    /// Sharing groups that it is limited to.
    #[n(5)]
    pub groups: Option<BTreeSet<GroupId>>,
    /// Purpose of processing.
    #[n(6)]
    pub purpose: Option<String>,
    /// Lawful basis of processing.
    #[n(7)]
    pub lawful_basis: Option<String>,
    /// It carries a classification mark.
    #[n(8)]
    pub classified: Option<bool>,
    /// Exercise data.
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
    /// Attribution must go.
    #[n(13)]
    pub strip_attribution: Option<bool>,
    /// Whose identifier it is.
    #[n(14)]
    pub identifier_role: Option<IdentifierRole>,
    /// Nobody stated the TLP.
    #[n(15)]
    pub tlp_is_default: Option<bool>,
    /// Waits for a person.
    #[n(16)]
    pub held: Option<HeldReason>,
}

impl From<&Marking> for MarkingClass {
    fn from(marking: &Marking) -> Self {
        // One spelling per meaning, so that equal classes have equal bytes: `Some(false)` and an empty exclusion are absent.
        let set = |flag: Option<bool>| flag.filter(|set| *set);
        Self {
            tlp: marking.tlp,
            pap: marking.pap,
            releasable_to: marking.releasable_to.clone(),
            not_releasable_to: marking.not_releasable_to.clone().filter(|list| !list.is_empty()),
            not_releasable_to_hubs: marking.not_releasable_to_hubs.clone().filter(|list| !list.is_empty()),
            groups: marking.groups.clone(),
            purpose: marking.purpose.clone(),
            lawful_basis: marking.lawful_basis.clone(),
            classified: marking.classification.is_some().then_some(true),
            exercise: set(marking.exercise),
            not_before: marking.not_before,
            destroy_by: marking.destroy_by,
            licence: marking.licence.clone(),
            strip_attribution: set(marking.strip_attribution),
            identifier_role: marking.identifier_role.filter(|role| *role != IdentifierRole::Attacker),
            tlp_is_default: set(marking.tlp_is_default),
            held: marking.held,
        }
    }
}

impl MarkingClass {
    /// The canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        codec::encode(self)
    }
}

/// A hub as policy sees it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(map)]
pub struct HubPrincipal {
    /// Identity.
    #[n(0)]
    pub hub: HubId,
    /// Member State.
    #[n(1)]
    pub country: Country,
    /// Jurisdiction.
    #[n(2)]
    pub jurisdiction: Country,
    /// Standing in the roster.
    #[n(3)]
    pub status: HubStatus,
    /// Roster roles.
    #[n(4)]
    pub roles: BTreeSet<String>,
    /// Groups that it is in, among those that addressing or a marking of this object names.
    #[n(5)]
    pub groups: BTreeSet<GroupId>,
    /// Named with `--to`.
    #[n(6)]
    pub named: bool,
}

/// A class of jurisdictions that may carry ciphertext.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum CarrierScope {
    /// Nobody: direct delivery only.
    #[n(0)]
    Nobody,
    /// Hubs of EU or EEA jurisdiction.
    #[n(1)]
    Eea,
    /// Every member.
    #[n(2)]
    All,
}

impl CarrierScope {
    /// For people.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Nobody => "nobody",
            Self::Eea => "EU/EEA hubs",
            Self::All => "all members",
        }
    }
}

impl From<CarrierScope> for Relay {
    fn from(scope: CarrierScope) -> Self {
        match scope {
            CarrierScope::Nobody => Self::Nobody,
            CarrierScope::Eea => Self::Europe,
            CarrierScope::All => Self::Members,
        }
    }
}

/// Who asks behind our own hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum ClientKind {
    /// Our own organisation's systems (its internal MISP among them).
    #[n(0)]
    Organisation,
    /// A person of our own organisation.
    #[n(1)]
    Person,
    /// An authenticated constituent.
    #[n(2)]
    Constituent,
    /// Anybody.
    #[n(3)]
    Public,
}

/// A client behind our own hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(map)]
pub struct Client {
    /// What it is.
    #[n(0)]
    pub kind: ClientKind,
    /// Cleared for TLP:RED, with a reading log.
    #[n(1)]
    pub cleared: bool,
    /// Has a need to know.
    #[n(2)]
    pub need_to_know: bool,
}

impl Client {
    /// Our own organisation's systems.
    pub const ORGANISATION: Self = Self { kind: ClientKind::Organisation, cleared: false, need_to_know: true };
}

/// Whom the question is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub enum Principal {
    /// A hub: release, admit, withdraw.
    #[n(0)]
    Hub(#[n(0)] HubPrincipal),
    /// A class of carriers: relay.
    #[n(1)]
    Carrier(#[n(0)] CarrierScope),
    /// A client of ours: serve.
    #[n(2)]
    Client(#[n(0)] Client),
}

/// How urgent it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum Lane {
    /// Ordinary.
    #[default]
    #[n(0)]
    Normal,
    /// Alerts.
    #[n(1)]
    Urgent,
}

/// The circumstances of a decision.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(map)]
pub struct Situation {
    /// When, as a logged value.
    #[n(0)]
    pub now: UnixSeconds,
    /// How urgent.
    #[n(1)]
    pub lane: Lane,
    /// `--only`: addressed hubs only.
    #[n(2)]
    pub only: bool,
    /// `--group`.
    #[n(3)]
    pub addressed_groups: BTreeSet<GroupId>,
    /// Country of the hub that decides.
    #[n(4)]
    pub own_country: Country,
    /// Groups of the hub that decides (admit only; empty for a release).
    #[n(5)]
    pub own_groups: BTreeSet<GroupId>,
    /// The container is exercise data.
    #[n(6)]
    pub exercise: bool,
    /// It came by direct delivery (admit only).
    #[n(7)]
    pub direct: bool,
    /// The requester owns the object (withdraw only).
    #[n(8)]
    pub owner: bool,
}

impl Situation {
    /// Nothing addressed, normal lane.
    pub fn new(now: UnixSeconds, own_country: Country) -> Self {
        Self {
            now,
            lane: Lane::Normal,
            only: false,
            addressed_groups: BTreeSet::new(),
            own_country,
            own_groups: BTreeSet::new(),
            exercise: false,
            direct: false,
            owner: false,
        }
    }
}

/// All that a decision depends on, besides the bundles.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(map)]
pub struct DecisionInput {
    /// What is asked.
    #[n(0)]
    pub question: Question,
    /// About which marking class.
    #[n(1)]
    pub marking: MarkingClass,
    /// For whom.
    #[n(2)]
    pub principal: Principal,
    /// In which circumstances.
    #[n(3)]
    pub situation: Situation,
}

impl DecisionInput {
    /// Release to a hub.
    pub fn release(marking: MarkingClass, hub: HubPrincipal, situation: Situation) -> Self {
        Self { question: Question::Release, marking, principal: Principal::Hub(hub), situation }
    }

    /// Admission from a hub; `situation` says whether it came by direct delivery and which groups are ours.
    pub fn admit(marking: MarkingClass, from: HubPrincipal, situation: Situation) -> Self {
        Self { question: Question::Admit, marking, principal: Principal::Hub(from), situation }
    }

    /// Showing to a client of ours.
    pub fn serve(marking: MarkingClass, client: Client, situation: Situation) -> Self {
        Self { question: Question::Serve, marking, principal: Principal::Client(client), situation }
    }

    /// A withdrawal that a hub asks for; `situation` says whether it owns the object.
    pub fn withdraw(marking: MarkingClass, by: HubPrincipal, situation: Situation) -> Self {
        Self { question: Question::Withdraw, marking, principal: Principal::Hub(by), situation }
    }

    /// The canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Digest of the canonical bytes under the DECISION domain.
    pub fn digest(&self) -> [u8; 32] {
        domain::DECISION.digest(&[&self.to_bytes()])
    }
}
