//! A verified roster with the look-ups that transport, sync, policy and audit need.

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;

use super::roster::{EncryptionKeyEntry, GroupEntry, HubEntry, HubStatus, LogEntry, RosterBody, SignedRoster};
use crate::ids::{
    ConsortiumId, Country, GroupId, HubId, KeyPeriod, LogId, RosterDigest, RosterVersion, SpkiDigest, UnixSeconds,
};
use crate::limits::ROSTER_GRACE_SECONDS;
use crate::signing::LogKeys;

/// Fewer countries than this make no Cross-Border Cyber Hub.
const COUNTRIES_MIN: usize = 3;

/// A roster version whose chain and quorum have been verified. Only [`super::verify`] makes one.
#[derive(Clone, Debug)]
pub struct VerifiedRoster {
    body: RosterBody,
    signed: SignedRoster,
    digest: RosterDigest,
    consortium: ConsortiumId,
    by_spki: BTreeMap<SpkiDigest, usize>,
    by_log: BTreeMap<LogId, (usize, usize)>,
    by_origin: BTreeMap<String, (usize, usize)>,
}

/// Where a roster stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validity {
    /// In force.
    Current,
    /// Expired less than 14 days ago: membership is honoured, with loud warnings.
    Grace,
    /// Expired longer: no new members; removals are still honoured.
    Expired,
}

/// What an operator or officer should know about a valid roster.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RosterWarning {
    /// Fewer than three countries.
    #[error("active hubs of only {0} countries; a Cross-Border Cyber Hub has at least 3")]
    FewCountries(usize),
    /// A country with several active hubs, as an exception allows.
    #[error("more than one active hub of {0}, by exception")]
    CountryTwice(Country),
    /// No encryption key in force or about to be.
    #[error("hub {0} has no encryption key after {1}")]
    LastEncryptionKey(HubId, UnixSeconds),
}

impl VerifiedRoster {
    pub(super) fn new(body: RosterBody, signed: SignedRoster, digest: RosterDigest, consortium: ConsortiumId) -> Self {
        let mut by_spki = BTreeMap::new();
        let mut by_log = BTreeMap::new();
        let mut by_origin = BTreeMap::new();
        for (index, hub) in body.hubs.iter().enumerate() {
            by_spki.extend(hub.tls_keys.iter().map(|key| (*key, index)));
            for (position, log) in hub.logs.iter().enumerate() {
                by_log.insert(log.id, (index, position));
                by_origin.insert(log.origin.clone(), (index, position));
            }
        }
        Self { body, signed, digest, consortium, by_spki, by_log, by_origin }
    }

    /// The body.
    pub fn body(&self) -> &RosterBody {
        &self.body
    }

    /// Body bytes and signatures, as they travel.
    pub fn signed(&self) -> &SignedRoster {
        &self.signed
    }

    /// Digest of the body.
    pub fn digest(&self) -> RosterDigest {
        self.digest
    }

    /// Version.
    pub fn version(&self) -> RosterVersion {
        self.body.version
    }

    /// The consortium.
    pub fn consortium(&self) -> ConsortiumId {
        self.consortium
    }

    /// Where it stands in its life.
    pub fn validity(&self, now: UnixSeconds) -> Validity {
        match now.0.checked_sub(self.body.expires.0) {
            None => Validity::Current,
            Some(late) if late < ROSTER_GRACE_SECONDS => Validity::Grace,
            Some(_) => Validity::Expired,
        }
    }

    /// All hubs in ascending hub id, removed ones among them.
    pub fn hubs(&self) -> &[HubEntry] {
        &self.body.hubs
    }

    /// Active hubs in ascending hub id: the order of grant stanzas.
    pub fn active_hubs(&self) -> impl Iterator<Item = &HubEntry> {
        self.body.hubs.iter().filter(|hub| hub.status == HubStatus::Active)
    }

    /// A hub by id, whatever its standing.
    pub fn hub(&self, id: &HubId) -> Option<&HubEntry> {
        let index = self.body.hubs.binary_search_by_key(id, |hub| hub.id).ok()?;
        self.body.hubs.get(index)
    }

    /// Whether the hub is an active member.
    pub fn is_active(&self, id: &HubId) -> bool {
        self.hub(id).is_some_and(|hub| hub.status == HubStatus::Active)
    }

    /// The hub that a TLS key belongs to.
    pub fn hub_by_spki(&self, spki: &SpkiDigest) -> Option<&HubEntry> {
        self.body.hubs.get(*self.by_spki.get(spki)?)
    }

    /// The hub that a log belongs to.
    pub fn hub_by_log(&self, log: &LogId) -> Option<&HubEntry> {
        self.log(log).map(|(hub, _)| hub)
    }

    /// A log and its hub, by log id.
    pub fn log(&self, log: &LogId) -> Option<(&HubEntry, &LogEntry)> {
        self.entry(*self.by_log.get(log)?)
    }

    /// A log and its hub, by origin.
    pub fn log_by_origin(&self, origin: &str) -> Option<(&HubEntry, &LogEntry)> {
        self.entry(*self.by_origin.get(origin)?)
    }

    /// All logs with their hubs, by hub and generation, those of removed hubs among them.
    pub fn logs(&self) -> impl Iterator<Item = (&HubEntry, &LogEntry)> {
        self.body.hubs.iter().flat_map(|hub| hub.logs.iter().map(move |log| (hub, log)))
    }

    /// Keys that a checkpoint of this log with this time stamp must be signed with.
    pub fn log_keys(&self, log: &LogId, timestamp: UnixSeconds) -> Option<&LogKeys> {
        self.log(log)?.1.keys_at(timestamp)
    }

    /// The hub of a domain: the one in standing if there is any, else the last that had it.
    pub fn hub_by_domain(&self, domain: &str) -> Option<&HubEntry> {
        let of_domain = || self.body.hubs.iter().filter(|hub| hub.domain == domain);
        of_domain().find(|hub| hub.status.in_standing()).or_else(|| of_domain().next_back())
    }

    /// Hubs of a country in standing.
    pub fn hubs_in(&self, country: Country) -> impl Iterator<Item = &HubEntry> {
        self.body.hubs.iter().filter(move |hub| hub.country == country && hub.status.in_standing())
    }

    /// A hub by what a person typed: country code in either case, domain, or hexadecimal hub id.
    ///
    /// # Errors
    /// [`FindHubError`] if none or more than one fits.
    pub fn find(&self, text: &str) -> Result<&HubEntry, FindHubError> {
        let unknown = || FindHubError::Unknown(text.to_owned());
        if let Ok(country) = Country::parse(&text.to_ascii_uppercase()) {
            let mut hubs = self.hubs_in(country);
            let first = hubs.next().ok_or_else(unknown)?;
            return match hubs.next() {
                None => Ok(first),
                Some(_) => Err(FindHubError::Ambiguous(country)),
            };
        }
        if let Ok(id) = HubId::from_hex(text) {
            return self.hub(&id).ok_or_else(unknown);
        }
        self.hub_by_domain(text).ok_or_else(unknown)
    }

    /// Encryption key of a hub by period.
    pub fn encryption_key(&self, hub: &HubId, period: KeyPeriod) -> Option<&EncryptionKeyEntry> {
        self.hub(hub)?.encryption_keys.iter().find(|key| key.period == period)
    }

    /// Encryption key of a hub in force at a moment.
    pub fn encryption_key_at(&self, hub: &HubId, at: UnixSeconds) -> Option<&EncryptionKeyEntry> {
        self.hub(hub)?.encryption_key_at(at)
    }

    /// A group's entry.
    pub fn group(&self, id: &GroupId) -> Option<&GroupEntry> {
        self.body.groups.iter().find(|group| group.id == *id)
    }

    /// What people should be told about this valid roster.
    pub fn warnings(&self, now: UnixSeconds) -> Vec<RosterWarning> {
        let mut warnings = Vec::new();
        let mut countries = BTreeSet::new();
        for hub in self.active_hubs() {
            if !countries.insert(hub.country) {
                warnings.push(RosterWarning::CountryTwice(hub.country));
            }
            let last = hub.encryption_keys.last().map_or(UnixSeconds(0), |key| key.active_from);
            if last < now && hub.encryption_keys.len() > 1 {
                warnings.push(RosterWarning::LastEncryptionKey(hub.id, last));
            }
        }
        if countries.len() < COUNTRIES_MIN {
            warnings.push(RosterWarning::FewCountries(countries.len()));
        }
        warnings
    }

    fn entry(&self, (hub, log): (usize, usize)) -> Option<(&HubEntry, &LogEntry)> {
        let hub = self.body.hubs.get(hub)?;
        Some((hub, hub.logs.get(log)?))
    }
}

impl LogEntry {
    /// Keys in force at a checkpoint's time stamp.
    pub fn keys_at(&self, timestamp: UnixSeconds) -> Option<&LogKeys> {
        let in_force = |period: &&super::roster::LogKeyPeriod| {
            period.from <= timestamp && period.until.is_none_or(|until| timestamp < until)
        };
        self.keys.iter().find(in_force).map(|period| &period.keys)
    }
}

impl HubEntry {
    /// The log that the hub writes: its newest generation.
    pub fn current_log(&self) -> Option<&LogEntry> {
        self.logs.last()
    }

    /// Encryption key in force: the last that has become active.
    pub fn encryption_key_at(&self, at: UnixSeconds) -> Option<&EncryptionKeyEntry> {
        self.encryption_keys.iter().rev().find(|key| key.active_from <= at)
    }
}

/// Why a typed name gives no hub.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FindHubError {
    /// No such hub.
    #[error("no hub `{0}` in the roster")]
    Unknown(String),
    /// A country with several hubs.
    #[error("country {0} has more than one hub; name it by domain or hub id")]
    Ambiguous(Country),
}
