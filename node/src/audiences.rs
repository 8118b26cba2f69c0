//! Audience keys: which key opens for which set of hubs, and when a new one is granted.
//!
//! A key serves one set of members under one roster version, for one day. After a restart its secret is still in the
//! store, but the set is not: a new grant is made, so a restored hub never resumes an old key.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use cresset_crypto::RandomnessError;
use cresset_crypto::envelope::{
    AudienceKey, Draft, EncryptError, KeyDerivationError, Recipient, RosterTerms, encrypt_grant,
};
use cresset_protocol::codec;
use cresset_protocol::envelope::{KeyGrantShare, Relay};
use cresset_protocol::ids::{GrantSerial, HubId, KeyPeriod, RosterDigest, UnixSeconds};
use cresset_protocol::limits::{AUDIENCE_ENVELOPES_MAX, GRANTS_PER_HOUR_MAX};
use cresset_protocol::log::kinds::KindTag;
use cresset_protocol::log::leaf::LeafKind;
use cresset_protocol::signing::EncryptionPublicKey;
use cresset_protocol::suite::Suite;
use cresset_provenance::keys::AudienceKeyInfo;
use cresset_provenance::{NewLeaf, Store, StoreError};
use thiserror::Error;

use crate::membership::Snapshot;
use crate::records::{LeafMaker, record};

/// How long a hub encrypts under one audience key, in seconds.
const AUDIENCE_LIFE_S: u64 = 86_400;
const HOUR_S: u64 = 3_600;

/// The audiences in use.
#[derive(Default)]
pub(crate) struct Audiences {
    state: Mutex<State>,
    granting: Mutex<()>,
}

#[derive(Default)]
struct State {
    open: BTreeMap<(RosterDigest, BTreeSet<HubId>), Open>,
    next_serial: Option<u64>,
    grants: Vec<UnixSeconds>,
}

struct Open {
    key: std::sync::Arc<AudienceKey>,
    until: UnixSeconds,
    envelopes: u64,
    /// Whether its grant is durably in the log. Until then nobody but the publish that grants it may use the key.
    logged: bool,
}

/// A key for an audience, and the grant to log before its first envelope.
pub(crate) struct Granted {
    /// The key.
    pub(crate) key: std::sync::Arc<AudienceKey>,
    /// KEYGRANT leaf; absent if it is in the log already.
    pub(crate) grant: Option<NewLeaf>,
}

impl Audiences {
    /// Holds off everybody else who needs a new grant, unless keys for all these audiences are in force. A key is shared
    /// only once its grant is durable: otherwise an envelope could outlive a grant that was never logged.
    pub(crate) fn reserve<'a>(
        &self,
        snapshot: &Snapshot,
        me: HubId,
        now: UnixSeconds,
        mut audiences: impl Iterator<Item = &'a [HubId]>,
    ) -> Option<MutexGuard<'_, ()>> {
        let in_force = {
            let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            audiences.all(|members| {
                let name = (snapshot.roster.digest(), with(me, members));
                state.open.get(&name).is_some_and(|open| open.in_force(now))
            })
        };
        (!in_force).then(|| self.granting.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Gives the key of an audience, granting a new one where there is none in force. `members` need not name oneself.
    pub(crate) fn key_for(
        &self,
        store: &Store,
        maker: &LeafMaker<'_>,
        snapshot: &Snapshot,
        me: HubId,
        members: &[HubId],
    ) -> Result<Granted, AudienceError> {
        let members = with(me, members);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let name = (snapshot.roster.digest(), members.clone());
        if let Some(open) = state.open.get_mut(&name).filter(|open| open.in_force(maker.time)) {
            open.envelopes += 1;
            return Ok(Granted { key: open.key.clone(), grant: None });
        }
        state.charge(maker.time)?;
        let serial = state.take_serial(store, maker)?;
        let key = AudienceKey::generate(maker.consortium, maker.log, serial)?;
        let until = UnixSeconds(maker.time.0 + AUDIENCE_LIFE_S);
        let grant = grant_leaf(maker, snapshot, &key, &members, until)?;
        let info = AudienceKeyInfo { serial, granted: maker.time, destroy_after: None };
        store.put_audience_key(maker.log, key.id(), key.secret_bytes(), info)?;
        let key = std::sync::Arc::new(key);
        // Keys of an older roster are of no use any more: every roster change means new audiences.
        state.open.retain(|(digest, _), open| *digest == name.0 && open.in_force(maker.time));
        state.open.insert(name, Open { key: key.clone(), until, envelopes: 1, logged: false });
        Ok(Granted { key, grant: Some(grant) })
    }

    /// Shares a key whose grant is durably in the log.
    pub(crate) fn settle(&self, key: &AudienceKey) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.open.values_mut().filter(|open| open.key.id() == key.id()).for_each(|open| open.logged = true);
    }

    /// Forgets an audience whose grant did not reach the log.
    pub(crate) fn forget(&self, key: &AudienceKey) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.open.retain(|_, open| open.key.id() != key.id());
    }
}

fn with(me: HubId, members: &[HubId]) -> BTreeSet<HubId> {
    members.iter().copied().chain([me]).collect()
}

impl Open {
    fn in_force(&self, now: UnixSeconds) -> bool {
        self.logged && now < self.until && self.envelopes < AUDIENCE_ENVELOPES_MAX
    }
}

impl State {
    fn charge(&mut self, now: UnixSeconds) -> Result<(), AudienceError> {
        self.grants.retain(|at| now.0.saturating_sub(at.0) < HOUR_S);
        if self.grants.len() >= GRANTS_PER_HOUR_MAX as usize {
            return Err(AudienceError::TooManyGrants);
        }
        self.grants.push(now);
        Ok(())
    }

    /// Serials ascend for ever, across restarts: after the highest in the store.
    fn take_serial(&mut self, store: &Store, maker: &LeafMaker<'_>) -> Result<GrantSerial, AudienceError> {
        let next = match self.next_serial {
            Some(next) => next,
            None => store.audiences(maker.log)?.iter().map(|(_, info)| info.serial.0 + 1).max().unwrap_or(1),
        };
        self.next_serial = Some(next + 1);
        Ok(GrantSerial(next))
    }
}

/// Keys of all active hubs in one period, with who is meant.
pub(crate) fn recipients<'a>(
    snapshot: &'a Snapshot,
    members: &BTreeSet<HubId>,
    now: UnixSeconds,
) -> Result<(KeyPeriod, Vec<Recipient<'a>>), AudienceError> {
    let mut period = None;
    let mut out = Vec::new();
    for hub in snapshot.active() {
        let entry = hub.encryption_key_at(now).ok_or(AudienceError::NoKey(hub.id))?;
        period = period.max(Some(entry.period));
        out.push(Recipient { hub: hub.id, key: &entry.key, member: members.contains(&hub.id) });
    }
    Ok((period.unwrap_or(KeyPeriod(0)), out))
}

/// Keys of the named hubs only: for TLP:RED.
pub(crate) fn named_keys(
    snapshot: &Snapshot,
    hubs: &[HubId],
    now: UnixSeconds,
) -> Result<(KeyPeriod, Vec<EncryptionPublicKey>), AudienceError> {
    let members: BTreeSet<HubId> = hubs.iter().copied().collect();
    let (period, all) = recipients(snapshot, &members, now)?;
    Ok((period, all.into_iter().filter(|recipient| recipient.member).map(|recipient| recipient.key.clone()).collect()))
}

/// The roster against which stanzas are made.
pub(crate) fn roster_terms(snapshot: &Snapshot, period: KeyPeriod) -> RosterTerms {
    RosterTerms { version: snapshot.roster.version(), digest: snapshot.roster.digest(), period }
}

fn grant_leaf(
    maker: &LeafMaker<'_>,
    snapshot: &Snapshot,
    key: &AudienceKey,
    members: &BTreeSet<HubId>,
    use_until: UnixSeconds,
) -> Result<NewLeaf, AudienceError> {
    let (period, recipients) = recipients(snapshot, members, maker.time)?;
    let share = KeyGrantShare {
        kind: KindTag,
        suite: Suite::Hybrid2026.code(),
        audience: *key.id(),
        serial: key.serial(),
        roster_version: snapshot.roster.version(),
        members: members.clone(),
        use_until,
        replaces: None,
    };
    let record = record(codec::encode(&share), Vec::new())?;
    // A grant names nobody and holds no view, so every member may carry it.
    let draft = Draft {
        consortium: maker.consortium,
        log: maker.log,
        relay: Relay::Members,
        opening: &record.opening,
        payload: &[],
    };
    let envelope = encrypt_grant(&draft, &roster_terms(snapshot, period), &recipients, key)?;
    Ok(maker.with_envelope(LeafKind::KeyGrant, record, &envelope.header, envelope.body))
}

/// Why there is no audience key.
#[derive(Debug, Error)]
pub(crate) enum AudienceError {
    /// The cap on grants.
    #[error("more than {GRANTS_PER_HOUR_MAX} audiences in an hour\nhint: publish to fewer different sets of hubs")]
    TooManyGrants,
    /// A hub without a key in force.
    #[error("the roster holds no encryption key in force for hub `{0}`")]
    NoKey(HubId),
    /// Encryption.
    #[error(transparent)]
    Encrypt(#[from] EncryptError),
    /// Key derivation.
    #[error(transparent)]
    Derivation(#[from] KeyDerivationError),
    /// No randomness.
    #[error(transparent)]
    Randomness(#[from] RandomnessError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}
