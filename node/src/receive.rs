//! Receiving: an envelope whose leaf stands under a verified checkpoint is opened, checked, decided on, stored.
//!
//! `Envelope` -> `OpenedEnvelope` -> admitted object: each step accepts only what the one before it produced. Whatever
//! is not taken leaves a statement with a reason.

use std::sync::Arc;

use cresset_crypto::envelope::{
    AudienceKey, OpenError, OpenedEnvelope, StanzaChoice, open_direct, open_for_audience, open_grant,
};
use cresset_policy::{DecisionInput, HubPrincipal, MarkingClass, Situation};
use cresset_protocol::envelope::{Addressing, EnvelopeHeader, StanzaTerms};
use cresset_protocol::ids::{AudienceId, HubId, KeyPeriod, LeafIndex, LogId, UnixSeconds};
use cresset_protocol::log::leaf::{Leaf, LeafKind};
use cresset_protocol::log::slot::{LeafRef, Outcome, Statement};
use cresset_protocol::membership::snapshot::VerifiedRoster;
use cresset_protocol::object::publish_share::PublishShare;
use cresset_protocol::object::view::VerifiedView;
use cresset_provenance::StoreError;
use cresset_provenance::envelopes::EnvelopeHolding;
use cresset_provenance::keys::AudienceKeyInfo;
use cresset_provenance::objects::{NewObject, ObjectRecord, ObjectRef, ObjectStanding};
use cresset_provenance::queues::{Awaits, InboxEntry};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::observables;
use crate::parts::Parts;
use crate::stored_view::{StoredView, StoredViewError};

/// Inbox rows looked at in one round.
const INBOX_ROUND: usize = 1_024;
/// Longest pause before a row that awaits something is looked at again, in seconds.
const INBOX_BACKOFF_S_MAX: u64 = 600;

/// A leaf of another hub with the envelope that it binds.
pub(crate) struct Received {
    /// The log.
    pub(crate) log: LogId,
    /// The leaf's index.
    pub(crate) index: LeafIndex,
    /// The leaf.
    pub(crate) leaf: Leaf,
    /// Its header.
    pub(crate) header: EnvelopeHeader,
    /// The envelope's bytes.
    pub(crate) body: Vec<u8>,
}

/// What became of an envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Stored and served.
    Admitted,
    /// Stored, waiting for a person.
    Held,
    /// Not taken, with a logged reason.
    Refused,
    /// Not for this hub.
    NotForUs,
    /// An audience key was learnt.
    KeyLearnt,
    /// The audience's grant is not here yet.
    AwaitsKey,
    /// It was dealt with before.
    Known,
}

/// Deals with one envelope. Idempotent: the same envelope again changes nothing.
pub(crate) fn take(parts: &Parts, received: &Received) -> Result<Fate, ReceiveError> {
    // The opening is stored last, so it says that everything before it was done. What was erased stays erased.
    let erased = parts.store.envelope_standing(&received.header.digest())?;
    let erased = erased.is_some_and(|standing| standing.holding == EnvelopeHolding::Erased);
    if erased || parts.store.opening(&received.log, received.index)?.is_some() {
        parts.store.remove_inbox(&received.log, received.index)?;
        return Ok(Fate::Known);
    }
    let origin = parts.membership.snapshot().roster.hub_by_log(&received.log).map(|hub| hub.id);
    let origin = origin.ok_or(ReceiveError::UnknownLog(received.log))?;
    let fate = match &received.header.terms().addressing {
        Addressing::Grant { stanzas, audience, .. } => take_grant(parts, received, stanzas, audience)?,
        Addressing::Audience { audience } if received.leaf.kind == LeafKind::Publish => {
            match audience_key(parts, received, audience)? {
                Some(key) => {
                    let opened = open_for_audience(&received.header, &received.leaf, &received.body, &key)?;
                    admit(parts, received, origin, opened)?
                }
                None if is_excluded(parts, &received.log, audience)? => Fate::NotForUs,
                None => Fate::AwaitsKey,
            }
        }
        Addressing::Audience { .. } => return Err(ReceiveError::LeafKind(received.leaf.kind)),
        Addressing::Direct { stanzas } => take_direct(parts, received, origin, stanzas)?,
    };
    match fate {
        Fate::AwaitsKey => postpone(parts, &received.log, received.index, Awaits::Key)?,
        _ => parts.store.remove_inbox(&received.log, received.index)?,
    }
    Ok(fate)
}

/// Looks again at everything in the inbox that is due: envelopes whose key has come, or that a restart interrupted.
/// Returns the leaves whose envelopes are still to be fetched.
pub(crate) fn retry(parts: &Parts) -> Result<Vec<(LogId, LeafIndex)>, ReceiveError> {
    let mut missing = Vec::new();
    for (log, index, _) in parts.store.due_inbox(parts.now(), INBOX_ROUND)? {
        match retry_one(parts, &log, index) {
            Ok(true) => {}
            Ok(false) => missing.push((log, index)),
            Err(error) => give_up_or_postpone(parts, &log, index, &error),
        }
    }
    Ok(missing)
}

/// One row of the inbox; false if its envelope is to be fetched.
fn retry_one(parts: &Parts, log: &LogId, index: LeafIndex) -> Result<bool, ReceiveError> {
    let (_, header) = leaf_and_header(parts, log, index)?;
    if let Addressing::Audience { audience } = header.terms().addressing
        && parts.store.audience_key(log, &audience)?.is_none()
        && !is_excluded(parts, log, &audience)?
        && parts.store.envelope_standing(&header.digest())?.is_some()
    {
        // Not worth reading the envelope before its key is here.
        postpone(parts, log, index, Awaits::Key)?;
        return Ok(true);
    }
    match load(parts, log, index)? {
        Some(received) => take(parts, &received).map(|_| true),
        None => {
            postpone(parts, log, index, Awaits::Envelope)?;
            Ok(false)
        }
    }
}

/// After a failure: what can never succeed leaves the inbox, everything else is tried again later.
pub(crate) fn give_up_or_postpone(parts: &Parts, log: &LogId, index: LeafIndex, error: &ReceiveError) {
    tracing::warn!(%log, %index, %error, "an envelope was not taken");
    let stored = if error.is_final() {
        parts.store.remove_inbox(log, index)
    } else {
        postpone(parts, log, index, Awaits::Opening)
    };
    if let Err(error) = stored {
        tracing::error!(%error, "the inbox cannot be written");
    }
}

fn postpone(parts: &Parts, log: &LogId, index: LeafIndex, awaits: Awaits) -> Result<(), StoreError> {
    let attempts = parts.store.inbox_entry(log, index)?.map_or(0, |entry| entry.attempts).saturating_add(1);
    let pause = 1u64.checked_shl(attempts).unwrap_or(INBOX_BACKOFF_S_MAX).min(INBOX_BACKOFF_S_MAX);
    let next_try = UnixSeconds(parts.now().0.saturating_add(pause));
    parts.store.put_inbox(log, index, &InboxEntry { awaits, attempts, next_try })
}

/// A new key: everything of this log that waits for one is due now.
fn wake(parts: &Parts, log: &LogId) -> Result<(), StoreError> {
    parts.store.wake_inbox(log, Awaits::Key, INBOX_ROUND)
}

/// Reads leaf, header and envelope from the store; `None` while the envelope is missing.
pub(crate) fn load(parts: &Parts, log: &LogId, index: LeafIndex) -> Result<Option<Received>, ReceiveError> {
    let (leaf, header) = leaf_and_header(parts, log, index)?;
    let body = parts.store.envelope(&header.digest())?;
    Ok(body.map(|body| Received { log: *log, index, leaf, header, body }))
}

fn leaf_and_header(parts: &Parts, log: &LogId, index: LeafIndex) -> Result<(Leaf, EnvelopeHeader), ReceiveError> {
    let entry = parts.store.entry(log, index)?;
    let wire = entry.header.as_ref().ok_or(ReceiveError::NoHeader)?;
    let header = EnvelopeHeader::from_wire(wire, &parts.consortium, log).map_err(|_| ReceiveError::NoHeader)?;
    Ok((entry.leaf, header))
}

fn take_grant(
    parts: &Parts,
    received: &Received,
    stanzas: &StanzaTerms,
    audience: &AudienceId,
) -> Result<Fate, ReceiveError> {
    let roster = roster_of(parts, stanzas)?;
    let hubs = active_ids(&roster);
    let Some(pair) = own_key(parts, &roster, received.leaf.time)? else { return exclude(parts, received, audience) };
    match open_grant(&received.header, &received.leaf, &received.body, &hubs, &parts.me, pair) {
        Ok(granted) => {
            let key = &granted.audience;
            let info = AudienceKeyInfo { serial: key.serial(), granted: received.leaf.time, destroy_after: None };
            parts.store.put_audience_key(&received.log, key.id(), key.secret_bytes(), info)?;
            parts.store.put_opening(&received.log, received.index, &granted.opening)?;
            wake(parts, &received.log)?;
            Ok(Fate::KeyLearnt)
        }
        Err(OpenError::NotAddressed) => exclude(parts, received, audience),
        Err(error) => Err(error.into()),
    }
}

fn take_direct(parts: &Parts, received: &Received, origin: HubId, stanzas: &StanzaTerms) -> Result<Fate, ReceiveError> {
    let roster = roster_of(parts, stanzas)?;
    let Some(pair) = own_key(parts, &roster, received.leaf.time)? else { return Ok(Fate::NotForUs) };
    let hubs = active_ids(&roster);
    // An announced envelope has one stanza per hub; only a delivery goes to named keys, whose order tells nothing.
    let choice = match received.leaf.kind {
        LeafKind::Private => StanzaChoice::Search,
        _ => StanzaChoice::Roster { hubs: &hubs, me: &parts.me },
    };
    match open_direct(&received.header, &received.leaf, &received.body, choice, pair) {
        Ok(opened) => admit(parts, received, origin, opened),
        Err(OpenError::NotAddressed) => Ok(Fate::NotForUs),
        Err(error) => Err(error.into()),
    }
}

/// Checks the view and asks the ingress policy.
fn admit(parts: &Parts, received: &Received, origin: HubId, opened: OpenedEnvelope) -> Result<Fate, ReceiveError> {
    let stored = StoredView { share: opened.opening.share.clone(), payload: opened.payload.to_vec() };
    let view = match stored.verify() {
        Ok(view) => view,
        Err(error) => return refuse(parts, received, Outcome::RefusedInvalid, reason_of(&error)),
    };
    let share = view.share().clone();
    let (standing, reason) = match decide(parts, origin, received, &share)? {
        Decision::Admit => (ObjectStanding::Admitted, None),
        Decision::Hold(reason) => (ObjectStanding::Held, Some(reason)),
        Decision::Refuse(reason) => return refuse(parts, received, Outcome::RefusedByPolicy, reason),
    };
    parts.store.put_objects(vec![object_of(parts, received, origin, standing, &view, &stored)])?;
    let outcome = match &reason {
        Some(reason) => {
            parts.store.put_review(format!("{} {reason}", share.uuid.hyphenated()).as_bytes())?;
            Outcome::Held
        }
        None => Outcome::Admitted,
    };
    state(parts, received, outcome, reason)?;
    // Last: it marks the envelope as dealt with.
    parts.store.put_opening(&received.log, received.index, &opened.opening)?;
    Ok(if outcome == Outcome::Held { Fate::Held } else { Fate::Admitted })
}

enum Decision {
    Admit,
    Hold(String),
    Refuse(String),
}

fn decide(parts: &Parts, origin: HubId, received: &Received, share: &PublishShare) -> Result<Decision, ReceiveError> {
    // What is itself held for review proves no ownership: a stranger's copy must not lock the owner out.
    let mut versions = parts.store.object_versions(&share.uuid)?;
    versions.retain(|record| record.standing != ObjectStanding::Held);
    if versions.iter().any(|record| record.origin != origin) {
        return Ok(Decision::Hold("another hub owns this uuid".into()));
    }
    let same_version = versions.iter().find(|record| record.object.version == share.version);
    if same_version.is_some_and(|record| record.object_root != share.object_root) {
        return Ok(Decision::Hold("the same version has another content".into()));
    }
    let snapshot = parts.membership.snapshot();
    let (Some(hub), Some(own)) = (snapshot.roster.hub(&origin), snapshot.roster.hub(&parts.me)) else {
        return Ok(Decision::Refuse("the origin is not in the roster".into()));
    };
    let principal = HubPrincipal {
        hub: hub.id,
        country: hub.country,
        jurisdiction: hub.jurisdiction,
        status: hub.status,
        roles: hub.roles.clone(),
        groups: snapshot.groups_of(&hub.id),
        named: false,
    };
    let situation = Situation {
        own_groups: snapshot.groups_of(&parts.me),
        // Only what came by delivery is direct: an announced envelope is relayed, whatever its header says.
        direct: received.leaf.kind == LeafKind::Private,
        owner: true,
        ..Situation::new(parts.now(), own.country)
    };
    let decision = parts.engine.decide(&DecisionInput::admit(MarkingClass::from(&share.marking), principal, situation));
    let words = decision.words().to_owned();
    Ok(match decision.rule() {
        _ if decision.is_permit() => Decision::Admit,
        Some(rule) if rule.review => Decision::Hold(words),
        _ => Decision::Refuse(words),
    })
}

fn object_of(
    parts: &Parts,
    received: &Received,
    origin: HubId,
    standing: ObjectStanding,
    view: &VerifiedView,
    stored: &StoredView,
) -> NewObject {
    let share = view.share();
    NewObject {
        record: ObjectRecord {
            object: ObjectRef { uuid: share.uuid, version: share.version, log: received.log, index: received.index },
            origin,
            standing,
            stored: parts.now(),
            object_root: share.object_root,
            header: Some(received.header.digest()),
            format: share.media_type.clone(),
            title: observables::title(view.units()),
            marking: cresset_protocol::codec::encode(&share.marking),
            units: view.units().len() as u64,
            data_key: None,
            observables: Vec::new(),
            retain_until: share.retention,
        },
        payload: Zeroizing::new(stored.to_bytes()),
        observables: observables::of(view.units()),
    }
}

fn refuse(parts: &Parts, received: &Received, outcome: Outcome, reason: String) -> Result<Fate, ReceiveError> {
    tracing::warn!(log = %received.log, index = %received.index, %reason, "an object was not taken");
    state(parts, received, outcome, Some(reason))?;
    Ok(Fate::Refused)
}

/// Queues a statement for the next slot leaf.
fn state(parts: &Parts, received: &Received, outcome: Outcome, reason: Option<String>) -> Result<(), ReceiveError> {
    let target = LeafRef { log: received.log, index: received.index, leaf: received.leaf.hash() };
    let statement = Statement::Receive { target, outcome, at: parts.now(), reason };
    parts.store.put_statement(&cresset_protocol::codec::encode(&statement))?;
    Ok(())
}

fn reason_of(error: &StoredViewError) -> String {
    format!("does not verify: {error}")
}

fn audience_key(
    parts: &Parts,
    received: &Received,
    audience: &AudienceId,
) -> Result<Option<AudienceKey>, ReceiveError> {
    let Some((secret, info)) = parts.store.audience_key(&received.log, audience)? else { return Ok(None) };
    let key = AudienceKey::from_secret_bytes(secret.as_slice(), &parts.consortium, &received.log, info.serial);
    Ok(Some(key.map_err(|_| ReceiveError::AudienceKey)?))
}

/// Remembers that this hub is outside an audience, so that its envelopes do not wait for a key.
fn exclude(parts: &Parts, received: &Received, audience: &AudienceId) -> Result<Fate, ReceiveError> {
    parts.store.set_cursor(&exclusion(&received.log, audience), &[1])?;
    Ok(Fate::NotForUs)
}

fn is_excluded(parts: &Parts, log: &LogId, audience: &AudienceId) -> Result<bool, ReceiveError> {
    Ok(parts.store.cursor(&exclusion(log, audience))?.is_some())
}

fn exclusion(log: &LogId, audience: &AudienceId) -> String {
    format!("outside/{log}/{audience}")
}

fn roster_of(parts: &Parts, stanzas: &StanzaTerms) -> Result<Arc<VerifiedRoster>, ReceiveError> {
    let roster = parts.membership.version(stanzas.roster_version);
    roster.filter(|roster| roster.digest() == stanzas.roster_digest).ok_or(ReceiveError::UnknownRoster)
}

fn active_ids(roster: &VerifiedRoster) -> Vec<HubId> {
    let mut ids: Vec<HubId> = roster.active_hubs().map(|hub| hub.id).collect();
    ids.sort();
    ids
}

/// The own key that was in force at a time under a roster; none if this hub was not in it.
fn own_key<'a>(
    parts: &'a Parts,
    roster: &VerifiedRoster,
    at: UnixSeconds,
) -> Result<Option<&'a cresset_crypto::EncryptionKeyPair>, ReceiveError> {
    match roster.encryption_key_at(&parts.me, at) {
        Some(entry) => {
            parts.membership.encryption_key(entry.period).map(Some).ok_or(ReceiveError::KeyNotHeld(entry.period))
        }
        None => Ok(None),
    }
}

/// Why an envelope cannot be dealt with.
#[derive(Debug, Error)]
pub(crate) enum ReceiveError {
    /// The log is in no roster that this hub knows.
    #[error("log `{0}` is in no roster that this hub knows")]
    UnknownLog(LogId),
    /// The leaf has no envelope.
    #[error("the leaf has no envelope header")]
    NoHeader,
    /// Stanzas made against a roster that this hub has not seen.
    #[error("the envelope names a roster that this hub does not know")]
    UnknownRoster,
    /// A stored audience key is damaged.
    #[error("a stored audience key does not derive its identifier")]
    AudienceKey,
    /// An envelope in a leaf of a kind that cannot carry it.
    #[error("an audience envelope in a {0} leaf")]
    LeafKind(LeafKind),
    /// The roster gives this hub a key that is not in its files.
    #[error("the encryption key of period {0} is not in this hub's files")]
    KeyNotHeld(KeyPeriod),
    /// It does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ReceiveError {
    /// Whether another try can never succeed. A roster, a key file or the disk may still come right.
    pub(crate) const fn is_final(&self) -> bool {
        matches!(self, Self::NoHeader | Self::LeafKind(_) | Self::Open(_))
    }
}
