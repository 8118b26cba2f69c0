//! Rules that one roster body must keep by itself (`protocol-spec/05-membership.md` section 3).

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;

use super::digest::p384_spki_digest;
use super::group::document_len;
use super::roster::{HubEntry, HubStatus, LogEntry, Officer, RosterBody};
use super::syntax::{exception_country, is_domain, is_host, is_name, is_role};
use crate::ids::{Country, HubId, SpkiDigest};
use crate::limits::{
    ENDPOINTS_PER_HUB_MAX, EXCEPTIONS_MAX, GROUPS_MAX, HUBS_MAX, KEYS_PER_HUB_MAX, OFFICERS_MAX, ROLES_PER_HUB_MAX,
    ROSTER_LIFETIME_SECONDS_MAX,
};
use crate::log::checkpoint::Origin;
use crate::signing::{EncryptionPublicKey, MlDsa65PublicKey, P384PublicKey};

/// Checks everything that one body shows by itself: form, order, limits, uniqueness, quorum, founding rules.
///
/// # Errors
/// The first rule that is broken.
pub fn check_body(body: &RosterBody) -> Result<(), RosterFault> {
    check_frame(body)?;
    check_officers(body)?;
    ascending(body.hubs.iter().map(|hub| hub.id), "hubs")?;
    body.hubs.iter().try_for_each(check_hub)?;
    check_unique_keys(body)?;
    check_domains(body)?;
    check_countries(body)?;
    check_groups(body)
}

/// Hubs and officers that hold a stanza of every group document: hubs in standing, then officers.
pub fn stanza_count(body: &RosterBody) -> usize {
    body.hubs.iter().filter(|hub| hub.status.in_standing()).count() + body.officers.len()
}

impl HubStatus {
    /// Active or suspended: it may become, or is, a member with rights.
    pub const fn in_standing(self) -> bool {
        matches!(self, Self::Active | Self::Suspended)
    }

    /// Lower-case word for people.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Removed => "removed",
            Self::Left => "left",
        }
    }
}

fn check_frame(body: &RosterBody) -> Result<(), RosterFault> {
    if !is_name(&body.name) {
        return Err(RosterFault::Syntax { what: "name", value: body.name.clone() });
    }
    let life = body.expires.0.checked_sub(body.issued.0).filter(|life| *life > 0).ok_or(RosterFault::Lifetime)?;
    if life > ROSTER_LIFETIME_SECONDS_MAX {
        return Err(RosterFault::Lifetime);
    }
    if body.suites.is_empty() {
        return Err(RosterFault::Missing("suites"));
    }
    ascending(body.suites.iter(), "suites")?;
    ascending(body.predecessors.iter(), "predecessors")?;
    if body.versions.min == 0 || body.versions.min > body.versions.max {
        return Err(RosterFault::ProtocolVersions);
    }
    let founding = body.version.0 == 0;
    let bare = body.hubs.is_empty() && body.groups.is_empty() && body.policy.is_none() && body.exceptions.is_empty();
    match (founding, &body.consortium, body.predecessors.len()) {
        (true, None, 0) if bare => Ok(()),
        (true, ..) => Err(RosterFault::Founding),
        (false, Some(_), 1 | 2) => Ok(()),
        (false, ..) => Err(RosterFault::Lineage),
    }
}

fn check_officers(body: &RosterBody) -> Result<(), RosterFault> {
    let officers = body.officers.len();
    limit(officers, OFFICERS_MAX, "officers")?;
    ascending(body.officers.iter().map(|officer| &officer.role), "officers")?;
    for Officer { role, .. } in &body.officers {
        if !is_role(role) {
            return Err(RosterFault::Syntax { what: "role", value: role.clone() });
        }
    }
    let quorum = body.quorum as usize;
    if quorum * 2 <= officers || quorum > officers {
        return Err(RosterFault::Quorum { quorum: body.quorum, officers });
    }
    let distinct: BTreeSet<_> = body.officers.iter().map(|officer| &officer.keys.ml_dsa_87).collect();
    if distinct.len() == officers { Ok(()) } else { Err(RosterFault::Reused("officer key")) }
}

fn check_hub(hub: &HubEntry) -> Result<(), RosterFault> {
    let bad = |what, value: &str| Err(RosterFault::Syntax { what, value: value.to_owned() });
    if !is_domain(&hub.domain) {
        return bad("domain", &hub.domain);
    }
    limit(hub.roles.len(), ROLES_PER_HUB_MAX, "roles")?;
    if let Some(role) = hub.roles.iter().find(|role| !is_role(role)) {
        return bad("role", role);
    }
    limit(hub.endpoints.len(), ENDPOINTS_PER_HUB_MAX, "endpoints")?;
    for endpoint in &hub.endpoints {
        if !is_role(&endpoint.network) {
            return bad("network", &endpoint.network);
        }
        if !is_host(&endpoint.host) || endpoint.port == 0 {
            return bad("endpoint", &format!("{}:{}", endpoint.host, endpoint.port));
        }
    }
    at_least_one(hub.tls_keys.len(), "tls keys")?;
    ascending(hub.tls_keys.iter(), "tls keys")?;
    at_least_one(hub.encryption_keys.len(), "encryption keys")?;
    ascending(hub.encryption_keys.iter().map(|key| key.period), "encryption keys")?;
    ascending(hub.encryption_keys.iter().map(|key| key.active_from), "encryption keys")?;
    check_logs(hub)
}

fn check_logs(hub: &HubEntry) -> Result<(), RosterFault> {
    at_least_one(hub.logs.len(), "logs")?;
    let mut origins = Vec::new();
    for log in &hub.logs {
        let origin = Origin::parse(&log.origin);
        origins.push(origin.map_err(|_| RosterFault::Syntax { what: "origin", value: log.origin.clone() })?);
        check_periods(log)?;
    }
    ascending(origins.iter().map(Origin::generation), "logs")?;
    match origins.last() {
        Some(origin) if origin.domain() == hub.domain => Ok(()),
        _ => Err(RosterFault::OriginOutsideDomain { domain: hub.domain.clone() }),
    }
}

fn check_periods(log: &LogEntry) -> Result<(), RosterFault> {
    at_least_one(log.keys.len(), "log keys")?;
    let fault = || RosterFault::LogPeriods { origin: log.origin.clone() };
    for period in &log.keys {
        if period.until.is_some_and(|until| until <= period.from) {
            return Err(fault());
        }
    }
    for (earlier, later) in log.keys.iter().zip(log.keys.iter().skip(1)) {
        if earlier.until.is_none_or(|until| until > later.from) {
            return Err(fault());
        }
    }
    Ok(())
}

/// No key serves twice, whatever for: TLS, authentication, log, encryption, recovery, officer.
fn check_unique_keys(body: &RosterBody) -> Result<(), RosterFault> {
    let mut seen = SeenKeys::default();
    for officer in &body.officers {
        seen.p384(&officer.keys.p384)?;
        seen.encryption(&officer.encryption)?;
    }
    for hub in &body.hubs {
        hub.tls_keys.iter().try_for_each(|key| seen.spki(*key, "tls key"))?;
        seen.ml_dsa_65(&hub.authentication_key)?;
        seen.encryption(&hub.recovery_key)?;
        hub.encryption_keys.iter().try_for_each(|key| seen.encryption(&key.key))?;
        for log in &hub.logs {
            seen.log(log)?;
        }
    }
    Ok(())
}

#[derive(Default)]
struct SeenKeys<'a> {
    spki: BTreeSet<SpkiDigest>,
    ml_dsa_65: BTreeSet<&'a MlDsa65PublicKey>,
    encryption: BTreeSet<&'a EncryptionPublicKey>,
    log_ids: BTreeSet<crate::ids::LogId>,
    origins: BTreeSet<&'a str>,
}

impl<'a> SeenKeys<'a> {
    fn spki(&mut self, digest: SpkiDigest, what: &'static str) -> Result<(), RosterFault> {
        new_or(self.spki.insert(digest), what)
    }

    fn p384(&mut self, key: &P384PublicKey) -> Result<(), RosterFault> {
        self.spki(p384_spki_digest(key), "p-384 key")
    }

    fn ml_dsa_65(&mut self, key: &'a MlDsa65PublicKey) -> Result<(), RosterFault> {
        new_or(self.ml_dsa_65.insert(key), "ml-dsa-65 key")
    }

    fn encryption(&mut self, key: &'a EncryptionPublicKey) -> Result<(), RosterFault> {
        new_or(self.encryption.insert(key), "encryption key")
    }

    fn log(&mut self, log: &'a LogEntry) -> Result<(), RosterFault> {
        new_or(self.log_ids.insert(log.id), "log id")?;
        new_or(self.origins.insert(&log.origin), "log origin")?;
        for period in &log.keys {
            self.p384(&period.keys.p384)?;
            self.ml_dsa_65(&period.keys.ml_dsa_65)?;
        }
        Ok(())
    }
}

fn new_or(inserted: bool, what: &'static str) -> Result<(), RosterFault> {
    if inserted { Ok(()) } else { Err(RosterFault::Reused(what)) }
}

fn check_domains(body: &RosterBody) -> Result<(), RosterFault> {
    let mut domains = BTreeSet::new();
    for hub in body.hubs.iter().filter(|hub| hub.status.in_standing()) {
        new_or(domains.insert(&hub.domain), "domain")?;
    }
    Ok(())
}

fn check_countries(body: &RosterBody) -> Result<(), RosterFault> {
    if body.exceptions.len() > EXCEPTIONS_MAX {
        return Err(RosterFault::TooMany { what: "exceptions", count: body.exceptions.len(), max: EXCEPTIONS_MAX });
    }
    let mut excepted = BTreeSet::new();
    for text in &body.exceptions {
        let country = exception_country(text);
        excepted.insert(country.ok_or_else(|| RosterFault::Syntax { what: "exception", value: text.clone() })?);
    }
    let mut active: BTreeMap<Country, HubId> = BTreeMap::new();
    for hub in body.hubs.iter().filter(|hub| hub.status == HubStatus::Active) {
        if active.insert(hub.country, hub.id).is_some() && !excepted.contains(&hub.country) {
            return Err(RosterFault::CountryTwice(hub.country));
        }
    }
    if body.hubs.len() > HUBS_MAX {
        return Err(RosterFault::TooMany { what: "hubs", count: body.hubs.len(), max: HUBS_MAX });
    }
    Ok(())
}

fn check_groups(body: &RosterBody) -> Result<(), RosterFault> {
    if body.groups.len() > GROUPS_MAX {
        return Err(RosterFault::TooMany { what: "groups", count: body.groups.len(), max: GROUPS_MAX });
    }
    ascending(body.groups.iter().map(|group| group.id), "groups")?;
    let expected = document_len(stanza_count(body));
    for group in &body.groups {
        if group.version == 0 || group.document.len() != expected {
            return Err(RosterFault::GroupDocument { group: group.id, len: group.document.len(), expected });
        }
    }
    Ok(())
}

fn at_least_one(count: usize, what: &'static str) -> Result<(), RosterFault> {
    limit(count, KEYS_PER_HUB_MAX, what)?;
    if count == 0 { Err(RosterFault::Missing(what)) } else { Ok(()) }
}

fn limit(count: usize, max: usize, what: &'static str) -> Result<(), RosterFault> {
    if count > max { Err(RosterFault::TooMany { what, count, max }) } else { Ok(()) }
}

fn ascending<T: Ord>(items: impl Iterator<Item = T>, what: &'static str) -> Result<(), RosterFault> {
    let mut last = None;
    for item in items {
        if last.as_ref().is_some_and(|last| *last >= item) {
            return Err(RosterFault::Order(what));
        }
        last = Some(item);
    }
    Ok(())
}

/// Why a roster body breaks a rule by itself.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RosterFault {
    /// A text is not of its required form.
    #[error("{what} `{value}` is not well-formed")]
    Syntax {
        /// Which text.
        what: &'static str,
        /// As received.
        value: String,
    },
    /// Not issued before it expires, or longer than the limit.
    #[error("expiry is not after issue, or later than 400 days after it")]
    Lifetime,
    /// A list that needs a member is empty.
    #[error("{0} are missing")]
    Missing(&'static str),
    /// A list is longer than its limit.
    #[error("{count} {what} where at most {max} are allowed")]
    TooMany {
        /// Which list.
        what: &'static str,
        /// Members offered.
        count: usize,
        /// The limit.
        max: usize,
    },
    /// A list does not strictly ascend, so it may repeat a member.
    #[error("{0} do not strictly ascend")]
    Order(&'static str),
    /// A key, id or name that must be unique occurs twice.
    #[error("a {0} occurs twice")]
    Reused(&'static str),
    /// Version 0 names a consortium, predecessor, hub, group, policy or exception.
    #[error("version 0 may name neither consortium, predecessor, hub, group, policy nor exception")]
    Founding,
    /// A later version lacks the consortium or has no or more than two predecessors.
    #[error("a version after 0 names its consortium and one predecessor, or both twins")]
    Lineage,
    /// The quorum is not a majority of the officers, or more than all.
    #[error("a quorum of {quorum} is not a majority of {officers} officers")]
    Quorum {
        /// As received.
        quorum: u32,
        /// Officers listed.
        officers: usize,
    },
    /// Empty or zero-based range of protocol versions.
    #[error("protocol versions are not a range from 1 up")]
    ProtocolVersions,
    /// The log that a hub writes lies outside its domain.
    #[error("the newest log of `{domain}` has an origin outside this domain")]
    OriginOutsideDomain {
        /// The hub's domain.
        domain: String,
    },
    /// Key periods of a log overlap, are empty, or an earlier one is open.
    #[error("key periods of `{origin}` overlap or are empty")]
    LogPeriods {
        /// The log.
        origin: String,
    },
    /// More than one active hub of a country without a stated exception.
    #[error("country {0} has more than one active hub and no exception")]
    CountryTwice(Country),
    /// A group document of the wrong size, or version 0.
    #[error("document of group {group} has {len} bytes, not {expected}, or its version is 0")]
    GroupDocument {
        /// The group.
        group: crate::ids::GroupId,
        /// Bytes received.
        len: usize,
        /// Bytes that one stanza per hub in standing and officer give.
        expected: usize,
    },
}
