//! From configuration to a running node, and back: open, self-test, bind, run, drain.

use std::sync::Arc;
use std::time::Duration;

use cresset_crypto::{RandomnessError, SelfTestError, Verifier, self_test};
use cresset_policy::{Engine, EngineError, PolicyBundle};
use cresset_protocol::domain;
use cresset_protocol::envelope::EnvelopeHeader;
use cresset_protocol::ids::{Binding, LogId};
use cresset_protocol::log::kinds::KindTag;
use cresset_protocol::log::manifest::LogManifest;
use cresset_protocol::log::public::{GenesisShare, PolicyShare, PublicShare, RosterShare};
use cresset_protocol::log::writer::Pace;
use cresset_protocol::suite::Suite;
use cresset_protocol::sync::announcement::{Announcement, choose_inline};
use cresset_provenance::erasure::DataKeys;
use cresset_provenance::log_writer::{FlushSigned, Lane, LogKeyNames, LogWriterConfig};
use cresset_provenance::own_log::PublishKey;
use cresset_provenance::store::Identity as StoreIdentity;
use cresset_provenance::{LogWriter, NewLeaf, Store, StoreError, StoreOptions, WriterEvent};
use cresset_token::csr::HubKeyNames;
use cresset_token::{KeyStore, KeyStoreError};
use rustls::pki_types::CertificateDer;
use thiserror::Error;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;

use crate::clock::system_clock;
use crate::config::Config;
use crate::home::{Home, HomeError, wrapping_key};
use crate::hub::Hub;
use crate::membership::{Membership, MembershipError};
use crate::network::{Network, NetworkError, NetworkParts};
use crate::parts::Parts;
use crate::pulse::Pulse;
use crate::records::LeafMaker;
use crate::replicate::{Replication, ReplicationStatus};
use crate::serve::{StoreServer, may_gossip};
use crate::transport::{Clock, Identity, TlsIdentity};
use crate::{deliver, gate};

const DAY_S: u64 = 86_400;
/// Writer events that wait for the announcer; the writer thread waits beyond it.
const WRITER_EVENTS_MAX: usize = 1_024;
/// How often envelopes past their retention are looked for.
const HOUSEKEEPING_PERIOD: Duration = Duration::from_secs(60);
const EXPIRED_PER_ROUND: usize = 4_096;

/// A running node.
pub(crate) struct Node {
    /// What the API calls.
    pub(crate) hub: Arc<Hub>,
    tasks: Vec<JoinHandle<()>>,
}

impl Node {
    /// Opens everything and starts every task.
    pub(crate) async fn start(config: &Config, keys: Arc<dyn KeyStore>) -> Result<Self, StartError> {
        self_test()?;
        let clock = system_clock();
        let home = Home::new(config);
        let names = HubKeyNames::standard()?;
        let manifest = home.manifest()?;
        let log = LogManifest::log_id(&manifest);
        let me = manifest.value().hub;
        let certificates = home.certificates()?;
        let encryption_keys = home.encryption_keys(&*keys, &wrapping_key()?)?;
        let membership = Arc::new(Membership::open(me, home, certificates.root.clone(), encryption_keys, clock())?);
        let store = open_store(config, &*keys, &membership, &manifest)?;

        let server = Arc::new(StoreServer::default());
        let chain = certificates.chain.into_iter().map(CertificateDer::from).collect();
        let network = Network::start(NetworkParts {
            identity: Identity {
                hub: me,
                tls: TlsIdentity { chain, keys: keys.clone(), key: names.tls.clone() },
                keys: keys.clone(),
                authentication_key: names.authentication.clone(),
            },
            membership: membership.transport(),
            clock: clock.clone(),
            verifier: Arc::new(Verifier),
            serve: server.clone(),
            listen: config.network.listen.clone(),
            networks: vec![config.network.network.clone()],
        })?;

        let (events, writer_events) = mpsc::channel(WRITER_EVENTS_MAX);
        let writer = start_writer(config, &store, keys.clone(), &names, &membership, log, clock.clone(), events)?;
        let parts = Arc::new(Parts {
            me,
            consortium: membership.snapshot().consortium(),
            log,
            origin: manifest.value().origin.clone(),
            clock,
            store,
            writer,
            engine: Engine::baseline()?,
            membership,
            network: network.handle.clone(),
            relay_retention_s: u64::from(config.storage.relay_retention_days) * DAY_S,
            outbox: Notify::new(),
        });
        server.attach(parts.clone());
        open_log(&parts, manifest.bytes())?;

        let (noteworthy, changes) = mpsc::channel(1);
        let (status, replication_status) = watch::channel(ReplicationStatus::default());
        let replication = Replication::resume(parts.clone(), noteworthy, status)?;
        let sign_ms = Arc::new(std::sync::atomic::AtomicU64::new(0));
        let tasks = vec![
            network.task,
            tokio::spawn(replication.run(network.events)),
            tokio::spawn(announce(parts.clone(), writer_events, sign_ms.clone())),
            tokio::spawn(deliver::run(parts.clone())),
            tokio::spawn(Pulse::resume(parts.clone())?.run(changes)),
            tokio::spawn(housekeeping(parts.clone())),
        ];
        Ok(Self { hub: Arc::new(Hub::new(parts, keys, replication_status, sign_ms)), tasks })
    }

    /// Stops every task. What is durable stays; what is pending is signed after the next start.
    pub(crate) fn stop(self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

fn open_store(
    config: &Config,
    keys: &dyn KeyStore,
    membership: &Membership,
    manifest: &cresset_protocol::codec::Canonical<LogManifest>,
) -> Result<Arc<Store>, StartError> {
    let store = Store::create(&config.database_dir(), &StoreOptions::default())?;
    let snapshot = membership.snapshot();
    let log = LogManifest::log_id(manifest);
    store.bind(&StoreIdentity { consortium: snapshot.consortium(), hub: manifest.value().hub, log })?;
    store.register_log(&log, manifest.value().origin.as_str(), manifest.bytes())?;
    store.attach_data_keys(DataKeys::open(&config.erase_dir(), keys, &wrapping_key()?)?);
    let baseline = PolicyBundle::baseline();
    store.put_policy(&baseline.digest(), &baseline.to_bytes())?;
    Ok(Arc::new(store))
}

#[allow(clippy::too_many_arguments, reason = "one call, at start")]
fn start_writer(
    config: &Config,
    store: &Arc<Store>,
    keys: Arc<dyn KeyStore>,
    names: &HubKeyNames,
    membership: &Membership,
    log: LogId,
    clock: Clock,
    events: mpsc::Sender<WriterEvent>,
) -> Result<LogWriter, StartError> {
    let snapshot = membership.snapshot();
    let log_keys = snapshot.roster.log_keys(&log, clock()).cloned().ok_or(StartError::LogNotListed)?;
    let record = store.log(&log)?;
    let origin =
        cresset_protocol::log::checkpoint::Origin::parse(&record.origin).map_err(|_| StartError::LogNotListed)?;
    let writer_config = LogWriterConfig {
        log,
        origin,
        keys: log_keys,
        key_names: LogKeyNames { p384: names.log_p384.clone(), ml_dsa_65: names.log_ml_dsa.clone() },
        active_hubs: snapshot.active().len(),
        pace: Pace {
            sign_wait_ms: config.log.sign_wait_s.saturating_mul(1_000),
            gate_wait_ms: config.log.gate_wait_s.saturating_mul(1_000),
            ..Pace::default()
        },
        fence_dir: config.fence_dir(),
        clock,
    };
    let forward = Box::new(move |event| {
        // The announcer only stops when the node does.
        let _ = events.blocking_send(event);
    });
    Ok(LogWriter::start(store.clone(), keys, writer_config, forward)?)
}

/// First leaves of a new log: GENESIS twice, then the policy and roster in force. Nothing to do for an old one.
fn open_log(parts: &Parts, manifest: &[u8]) -> Result<(), StartError> {
    if parts.store.log_size(&parts.log)?.0 > 0 {
        return Ok(());
    }
    let maker = LeafMaker { consortium: &parts.consortium, log: &parts.log, time: parts.now(), urgent: false };
    let suite = Suite::Hybrid2026;
    let genesis = |copy| PublicShare::Genesis(GenesisShare { kind: KindTag, suite, copy, manifest: manifest.to_vec() });
    let roster = parts.membership.snapshot().roster.clone();
    let shares = [
        genesis(0),
        genesis(1),
        PublicShare::Policy(PolicyShare {
            kind: KindTag,
            suite,
            bundles: parts.engine.bundles().to_vec(),
            engine: cresset_policy::engine::ENGINE_VERSION.to_owned(),
        }),
        PublicShare::Roster(RosterShare {
            kind: KindTag,
            suite,
            version: roster.version(),
            digest: roster.digest(),
            new_officers: None,
        }),
    ];
    // A restart before the first flush finds these leaves in the durable queue: the key keeps them from being written twice.
    let key = PublishKey(domain::LOG.digest(&[b"opening", manifest]));
    let leaf = |share: &PublicShare| {
        let leaf = maker.public(share, share.binding().unwrap_or(Binding([0; 32])))?;
        Ok(NewLeaf { publish_key: Some(key), ..leaf })
    };
    let leaves: Result<Vec<_>, RandomnessError> = shares.iter().map(leaf).collect();
    parts.writer.append(leaves?, Lane::Urgent, Box::new(|answer| tracing::info!(?answer, "log opened")));
    Ok(())
}

/// Announces signed flushes and tells people what the writer says.
async fn announce(
    parts: Arc<Parts>,
    mut events: mpsc::Receiver<WriterEvent>,
    sign_ms: Arc<std::sync::atomic::AtomicU64>,
) {
    while let Some(event) = events.recv().await {
        match event {
            WriterEvent::FlushSigned(flush) => {
                sign_ms.store(flush.sign_ms, std::sync::atomic::Ordering::Relaxed);
                if let Some(announcement) = tokio::task::block_in_place(|| announcement(&parts, flush))
                    && let Err(error) = parts.network.publish_announcement(announcement.to_bytes()).await
                {
                    tracing::debug!(%error, "an announcement was not gossiped; heads will tell");
                }
                parts.outbox.notify_one();
            }
            WriterEvent::AskPeers => ask_peers(&parts).await,
            WriterEvent::GateOpened(opening) => tracing::info!(?opening, "the log may be signed"),
            WriterEvent::Restored { hub, head } => {
                tracing::error!(%hub, size = head.size.0, "a peer holds more of this log: it was restored from a backup; nothing is signed");
            }
            WriterEvent::Diverged { hub, head } => {
                tracing::error!(%hub, size = head.size.0, "a peer holds another history of this log; nothing is signed");
            }
            WriterEvent::Halted => {
                tracing::error!("the fence was moved by another process; nothing is signed any more")
            }
            WriterEvent::TokenTrouble(error) => tracing::error!(%error, "the token did not sign; trying again"),
            WriterEvent::StorageTrouble(error) => tracing::error!(%error, "the disk refused a write; trying again"),
        }
    }
}

/// `None` if the roster does not name the keys any more: nobody could verify it.
fn announcement(parts: &Parts, flush: FlushSigned) -> Option<Announcement> {
    let roster = parts.membership.snapshot().roster.clone();
    let note = flush.checkpoint.to_note(roster.log_keys(&parts.log, flush.checkpoint.timestamp)?);
    let inline = choose_inline(flush.first, &flush.entries, |_, entry| {
        let header = EnvelopeHeader::from_wire(entry.header.as_ref()?, &parts.consortium, &parts.log).ok()?;
        may_gossip(parts, header.terms().relay).then(|| parts.store.envelope(&header.digest()).ok().flatten())?
    });
    Some(Announcement {
        log: parts.log,
        note,
        first: flush.first,
        frontier: flush.before.hashes().to_vec(),
        entries: flush.entries,
        inline,
    })
}

/// The start-up gate's question; heads come back through replication.
async fn ask_peers(parts: &Arc<Parts>) {
    for peer in parts.network.peers().into_iter().filter(|peer| !peer.limited) {
        match parts.network.request_checkpoint(peer.hub, parts.log).await {
            Ok(head) => gate::report(parts, peer.hub, &head.note),
            Err(crate::network::RequestError::Refused(crate::network::Refusal::NotFound)) => {
                parts.writer.peer_head(peer.hub, cresset_protocol::log::writer::PeerView::Nothing);
            }
            Err(error) => tracing::debug!(hub = %peer.hub, %error, "a peer did not tell its head of this log"),
        }
    }
}

async fn housekeeping(parts: Arc<Parts>) {
    let mut tick = tokio::time::interval(HOUSEKEEPING_PERIOD);
    loop {
        tick.tick().await;
        let expired = tokio::task::block_in_place(|| parts.store.expire_envelopes(parts.now(), EXPIRED_PER_ROUND));
        match expired {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "envelopes of others are past their retention"),
            Err(error) => tracing::error!(%error, "old envelopes cannot be dropped"),
        }
    }
}

/// Why a node does not start.
#[derive(Debug, Error)]
pub(crate) enum StartError {
    /// A primitive gives a wrong answer.
    #[error(transparent)]
    SelfTest(#[from] SelfTestError),
    /// The hub's files.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The token.
    #[error(transparent)]
    KeyStore(#[from] KeyStoreError),
    /// Membership.
    #[error(transparent)]
    Membership(#[from] MembershipError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The network.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// Policy.
    #[error(transparent)]
    Policy(#[from] EngineError),
    /// No randomness.
    #[error(transparent)]
    Randomness(#[from] RandomnessError),
    /// The roster does not name this log's keys.
    #[error("the roster names no keys for this hub's log now\nhint: import the roster that enrols it")]
    LogNotListed,
}
