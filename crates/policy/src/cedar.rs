//! Decision inputs as Cedar requests and entities.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::str::FromStr;

use cedar_policy::{
    Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, Request, RestrictedExpression as Expr, Schema,
};
use cresset_protocol::ids::{Country, GroupId};
use cresset_protocol::membership::roster::HubStatus;
use cresset_protocol::object::marking::{HeldReason, IdentifierRole, Pap, Tlp};

use crate::engine::EngineError;
use crate::input::{
    CarrierScope, Client, ClientKind, DecisionInput, HubPrincipal, Lane, MarkingClass, Principal, Situation,
};

/// Names parsed once.
pub(crate) struct Vocabulary {
    hub: EntityTypeName,
    carrier: EntityTypeName,
    client: EntityTypeName,
    action: EntityTypeName,
    resource: EntityUid,
}

impl Vocabulary {
    pub(crate) fn new() -> Result<Self, EngineError> {
        let name = |text: &str| EntityTypeName::from_str(text).map_err(EngineError::cedar);
        Ok(Self {
            hub: name("Hub")?,
            carrier: name("Carrier")?,
            client: name("Client")?,
            action: name("Action")?,
            resource: uid(&name("CtiObject")?, "class"),
        })
    }

    pub(crate) fn action(&self, name: &str) -> EntityUid {
        uid(&self.action, name)
    }

    /// Builds the request for `action`; a schema makes Cedar check our own attributes (tests and bundle loading).
    pub(crate) fn request(
        &self,
        input: &DecisionInput,
        action: &str,
        schema: Option<&Schema>,
    ) -> Result<(Request, Entities), EngineError> {
        let (principal, attributes) = self.principal(&input.principal);
        let context = Context::from_pairs(situation(&input.situation)).map_err(EngineError::cedar)?;
        let request = Request::new(principal.clone(), self.action(action), self.resource.clone(), context, schema)
            .map_err(EngineError::cedar)?;
        let entity = |uid, attributes| Entity::new(uid, attributes, HashSet::new()).map_err(EngineError::cedar);
        let resource = self.resource(&input.marking, &input.situation);
        let both = [entity(principal, attributes)?, entity(self.resource.clone(), resource)?];
        Ok((request, Entities::from_entities(both, schema).map_err(EngineError::cedar)?))
    }

    fn principal(&self, principal: &Principal) -> (EntityUid, HashMap<String, Expr>) {
        match principal {
            Principal::Hub(hub) => (uid(&self.hub, &hub.hub.to_string()), hub_attributes(hub)),
            Principal::Carrier(scope) => {
                (uid(&self.carrier, scope_name(*scope)), record([("scope", text(scope_name(*scope)))]))
            }
            Principal::Client(client) => (uid(&self.client, kind_name(client.kind)), client_attributes(client)),
        }
    }

    fn resource(&self, class: &MarkingClass, situation: &Situation) -> HashMap<String, Expr> {
        let mut attributes = record([
            ("tlp", text(tlp_name(class.tlp))),
            ("tlpStrictness", Expr::new_long(class.tlp as i64)),
            ("tlpIsDefault", flag(class.tlp_is_default)),
            ("pap", text(pap_name(class.pap))),
            ("papStrictness", Expr::new_long(class.pap as i64)),
            ("notReleasableTo", countries(class.not_releasable_to.iter().flatten())),
            ("notReleasableToHubs", self.hubs(class)),
            ("role", text(role_name(class.identifier_role.unwrap_or_default()))),
            ("held", text(class.held.map_or("", held_name))),
            ("classified", flag(class.classified)),
            ("exercise", flag(class.exercise)),
            ("stripAttribution", flag(class.strip_attribution)),
            ("embargoed", Expr::new_bool(embargoed(class, situation))),
            ("expired", Expr::new_bool(expired(class, situation))),
        ]);
        let optional = [
            ("releasableTo", class.releasable_to.as_ref().map(|list| countries(list.iter()))),
            ("groups", class.groups.as_ref().map(groups)),
            ("notBefore", class.not_before.map(|time| seconds(time.0))),
            ("destroyBy", class.destroy_by.map(|time| seconds(time.0))),
            ("purpose", class.purpose.as_deref().map(text)),
            ("lawfulBasis", class.lawful_basis.as_deref().map(text)),
            ("licence", class.licence.as_deref().map(text)),
        ];
        for (key, value) in optional {
            attributes.extend(value.map(|value| (key.to_owned(), value)));
        }
        attributes
    }

    fn hubs(&self, class: &MarkingClass) -> Expr {
        let hubs = class.not_releasable_to_hubs.iter().flatten();
        Expr::new_set(hubs.map(|hub| Expr::new_entity_uid(uid(&self.hub, &hub.to_string()))))
    }
}

/// Its not-before time has not come.
pub(crate) fn embargoed(class: &MarkingClass, situation: &Situation) -> bool {
    class.not_before.is_some_and(|time| situation.now < time)
}

/// Its destroy-by time has come.
pub(crate) fn expired(class: &MarkingClass, situation: &Situation) -> bool {
    class.destroy_by.is_some_and(|time| time <= situation.now)
}

fn situation(situation: &Situation) -> Vec<(String, Expr)> {
    let lane = match situation.lane {
        Lane::Normal => "normal",
        Lane::Urgent => "urgent",
    };
    Vec::from_iter(record([
        ("now", seconds(situation.now.0)),
        ("lane", text(lane)),
        ("only", Expr::new_bool(situation.only)),
        ("addressedGroups", groups(&situation.addressed_groups)),
        ("ownCountry", text(situation.own_country.as_str())),
        ("ownGroups", groups(&situation.own_groups)),
        ("exercise", Expr::new_bool(situation.exercise)),
        ("direct", Expr::new_bool(situation.direct)),
        ("owner", Expr::new_bool(situation.owner)),
    ]))
}

fn hub_attributes(hub: &HubPrincipal) -> HashMap<String, Expr> {
    record([
        ("country", text(hub.country.as_str())),
        ("jurisdiction", text(hub.jurisdiction.as_str())),
        ("status", text(status_name(hub.status))),
        ("roles", Expr::new_set(hub.roles.iter().map(|role| text(role)))),
        ("groups", groups(&hub.groups)),
        ("named", Expr::new_bool(hub.named)),
    ])
}

fn client_attributes(client: &Client) -> HashMap<String, Expr> {
    record([
        ("kind", text(kind_name(client.kind))),
        ("cleared", Expr::new_bool(client.cleared)),
        ("needToKnow", Expr::new_bool(client.need_to_know)),
    ])
}

fn uid(kind: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(id))
}

fn record<const N: usize>(pairs: [(&str, Expr); N]) -> HashMap<String, Expr> {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

fn text(value: &str) -> Expr {
    Expr::new_string(value.to_owned())
}

fn flag(value: Option<bool>) -> Expr {
    Expr::new_bool(value == Some(true))
}

/// Cedar's integers are signed; a time beyond them is as far away as they can say.
fn seconds(value: u64) -> Expr {
    Expr::new_long(i64::try_from(value).unwrap_or(i64::MAX))
}

fn countries<'a>(list: impl Iterator<Item = &'a Country>) -> Expr {
    Expr::new_set(list.map(|country| text(country.as_str())))
}

fn groups(list: &BTreeSet<GroupId>) -> Expr {
    Expr::new_set(list.iter().map(|group| text(&group.to_string())))
}

const fn tlp_name(tlp: Tlp) -> &'static str {
    match tlp {
        Tlp::Clear => "CLEAR",
        Tlp::Green => "GREEN",
        Tlp::Amber => "AMBER",
        Tlp::AmberStrict => "AMBER+STRICT",
        Tlp::Red => "RED",
    }
}

const fn pap_name(pap: Pap) -> &'static str {
    match pap {
        Pap::Clear => "CLEAR",
        Pap::Green => "GREEN",
        Pap::Amber => "AMBER",
        Pap::Red => "RED",
    }
}

const fn role_name(role: IdentifierRole) -> &'static str {
    match role {
        IdentifierRole::Attacker => "attacker",
        IdentifierRole::Unknown => "unknown",
        IdentifierRole::Bystander => "bystander",
        IdentifierRole::Victim => "victim",
    }
}

const fn held_name(reason: HeldReason) -> &'static str {
    match reason {
        HeldReason::UnknownLabel => "unknown-label",
        HeldReason::LookAlikeLabel => "look-alike-label",
        HeldReason::Classified => "classified",
        HeldReason::UnknownRole => "unknown-role",
    }
}

const fn status_name(status: HubStatus) -> &'static str {
    match status {
        HubStatus::Active => "active",
        HubStatus::Suspended => "suspended",
        HubStatus::Removed => "removed",
        HubStatus::Left => "left",
    }
}

const fn scope_name(scope: CarrierScope) -> &'static str {
    match scope {
        CarrierScope::Nobody => "nobody",
        CarrierScope::Eea => "eea",
        CarrierScope::All => "all",
    }
}

const fn kind_name(kind: ClientKind) -> &'static str {
    match kind {
        ClientKind::Organisation => "organisation",
        ClientKind::Person => "person",
        ClientKind::Constituent => "constituent",
        ClientKind::Public => "public",
    }
}
