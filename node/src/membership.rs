//! Membership: the roster chain, its newest snapshot, and the sharing groups that this hub can read.
//!
//! One place accepts rosters; everybody else reads an atomically swapped snapshot and is told of changes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use cresset_crypto::group::open_group_document;
use cresset_crypto::{EncryptionKeyPair, Verifier};
use cresset_protocol::ids::{ConsortiumId, Country, GroupId, HubId, KeyPeriod, RosterVersion, UnixSeconds};
use cresset_protocol::membership::chain::{Accepted, RosterChain};
use cresset_protocol::membership::group::{SealedDocument, StanzaRecipient};
use cresset_protocol::membership::roster::{GroupDocument, HubEntry, SignedRoster};
use cresset_protocol::membership::snapshot::VerifiedRoster;
use cresset_protocol::membership::verify::RosterError;
use cresset_protocol::sync::directory::Directory;
use rustls::pki_types::CertificateDer;
use thiserror::Error;
use tokio::sync::watch;

use crate::home::{Home, HomeError};
use crate::transport;

/// Countries whose jurisdiction the default relay rule covers: EU and EEA member states.
const EEA: [&str; 30] = [
    "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE", "IS", "IT", "LI", "LT",
    "LU", "LV", "MT", "NL", "NO", "PL", "PT", "RO", "SE", "SI", "SK",
];

/// Whether a jurisdiction lies in the EU or EEA.
pub(crate) fn is_eea(jurisdiction: Country) -> bool {
    EEA.contains(&jurisdiction.as_str())
}

/// Everything that the node reads of one roster version.
pub(crate) struct Snapshot {
    /// The roster.
    pub(crate) roster: Arc<VerifiedRoster>,
    /// Logs, for the sync engine.
    pub(crate) directory: Arc<Directory>,
    /// Group documents that this hub can read.
    pub(crate) groups: BTreeMap<GroupId, GroupDocument>,
}

/// The one place that accepts rosters.
pub(crate) struct Membership {
    me: HubId,
    home: Home,
    root: CertificateDer<'static>,
    keys: Vec<(KeyPeriod, EncryptionKeyPair)>,
    chain: Mutex<RosterChain>,
    snapshot: watch::Sender<Arc<Snapshot>>,
    transport: watch::Sender<Arc<transport::Membership>>,
}

impl Membership {
    /// Starts from the chain on disk.
    pub(crate) fn open(
        me: HubId,
        home: Home,
        root: Vec<u8>,
        keys: Vec<(KeyPeriod, EncryptionKeyPair)>,
        now: UnixSeconds,
    ) -> Result<Self, MembershipError> {
        let chain = home.chain(now, &Verifier)?;
        let roster = chain.effective();
        if roster.hub(&me).is_none() {
            return Err(MembershipError::NotListed(roster.version()));
        }
        let root = CertificateDer::from(root);
        let (snapshot, _) = watch::channel(Arc::new(read(&me, &keys, &roster)));
        let (transport, _) = watch::channel(Arc::new(for_transport(&roster, &root)?));
        Ok(Self { me, home, root, keys, chain: Mutex::new(chain), snapshot, transport })
    }

    /// The newest snapshot.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.borrow().clone()
    }

    /// Changes as they happen.
    pub(crate) fn changes(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshot.subscribe()
    }

    /// What the transport reads.
    pub(crate) fn transport(&self) -> watch::Receiver<Arc<transport::Membership>> {
        self.transport.subscribe()
    }

    /// The encryption key pair of a period.
    pub(crate) fn encryption_key(&self, period: KeyPeriod) -> Option<&EncryptionKeyPair> {
        self.keys.iter().find(|(number, _)| *number == period).map(|(_, pair)| pair)
    }

    /// Rosters after a version, ascending.
    pub(crate) fn rosters_after(&self, version: RosterVersion) -> Vec<SignedRoster> {
        let chain = self.chain.lock().unwrap_or_else(PoisonError::into_inner);
        chain.iter().filter(|roster| roster.version() > version).map(|roster| roster.signed().clone()).collect()
    }

    /// All rosters, with their versions: for bundles.
    pub(crate) fn all_rosters(&self) -> Vec<(RosterVersion, SignedRoster)> {
        let chain = self.chain.lock().unwrap_or_else(PoisonError::into_inner);
        let mut rosters: Vec<_> = chain.iter().map(|roster| (roster.version(), roster.signed().clone())).collect();
        // A bundle has one place a version: of twins, the one that was accepted first.
        rosters.dedup_by_key(|(version, _)| *version);
        rosters
    }

    /// A roster version that was in force at some time.
    pub(crate) fn version(&self, version: RosterVersion) -> Option<Arc<VerifiedRoster>> {
        let chain = self.chain.lock().unwrap_or_else(PoisonError::into_inner);
        chain.version(version).cloned()
    }

    /// Verifies and takes in rosters in order. Durable before anybody reads the new snapshot. Returns whether any was new.
    pub(crate) fn accept(&self, rosters: &[SignedRoster], now: UnixSeconds) -> Result<bool, MembershipError> {
        let mut chain = self.chain.lock().unwrap_or_else(PoisonError::into_inner);
        let mut grown = chain.clone();
        let mut newer = false;
        for signed in rosters {
            match grown.accept(signed, now, &Verifier)? {
                Accepted::Known => {}
                Accepted::Newer(_) => newer = true,
                Accepted::Twin(_) => {
                    tracing::error!(
                        "two quorum-valid rosters of one version: no newer rights are given until officers resolve it"
                    );
                    newer = true;
                }
            }
        }
        if !newer {
            return Ok(false);
        }
        let roster = grown.effective();
        let transport = for_transport(&roster, &self.root)?;
        self.home.set_chain(&grown)?;
        *chain = grown;
        self.snapshot.send_replace(Arc::new(read(&self.me, &self.keys, &roster)));
        self.transport.send_replace(Arc::new(transport));
        tracing::info!(version = roster.version().0, "roster accepted");
        Ok(true)
    }
}

impl Snapshot {
    /// The consortium.
    pub(crate) fn consortium(&self) -> ConsortiumId {
        self.roster.consortium()
    }

    /// Active hubs in ascending id.
    pub(crate) fn active(&self) -> Vec<&HubEntry> {
        let mut hubs: Vec<&HubEntry> = self.roster.active_hubs().collect();
        hubs.sort_by_key(|hub| hub.id);
        hubs
    }

    /// Groups that a hub is in, as far as this hub knows.
    pub(crate) fn groups_of(&self, hub: &HubId) -> std::collections::BTreeSet<GroupId> {
        self.groups.values().filter(|group| group.members.contains(hub)).map(|group| group.id).collect()
    }
}

fn read(me: &HubId, keys: &[(KeyPeriod, EncryptionKeyPair)], roster: &Arc<VerifiedRoster>) -> Snapshot {
    let mut groups = BTreeMap::new();
    for entry in &roster.body().groups {
        let sealed_at = SealedDocument::parse(&entry.document).map(|sealed| sealed.sealed_at);
        let period = sealed_at.ok().and_then(|at| roster.encryption_key_at(me, at)).map(|key| key.period);
        let pair = period.and_then(|period| keys.iter().find(|(number, _)| *number == period));
        let Some((_, pair)) = pair else { continue };
        let recipient = StanzaRecipient::Hub(*me);
        match open_group_document(roster.body(), &roster.consortium(), entry, &recipient, pair) {
            Ok(Some(document)) => {
                groups.insert(document.id, document);
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(group = %entry.id, %error, "a group document cannot be read"),
        }
    }
    let directory = Directory::from_roster(roster.consortium(), roster.body());
    Snapshot { roster: roster.clone(), directory: Arc::new(directory), groups }
}

fn for_transport(
    roster: &VerifiedRoster,
    root: &CertificateDer<'static>,
) -> Result<transport::Membership, transport::MembershipError> {
    transport::Membership::new(roster.consortium(), roster.digest(), roster.body(), root)
}

/// Why membership cannot be established or changed.
#[derive(Debug, Error)]
pub(crate) enum MembershipError {
    /// The newest roster does not list this hub.
    #[error("roster version {0} does not list this hub\nhint: import the roster that enrols it")]
    NotListed(RosterVersion),
    /// The hub's files.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// A roster breaks a rule.
    #[error(transparent)]
    Roster(#[from] RosterError),
    /// The transport cannot use it.
    #[error(transparent)]
    Transport(#[from] transport::MembershipError),
}
