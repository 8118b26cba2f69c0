//! Drives the sync engine: network in, store and network out. One task owns the engine and the envelope queue.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cresset_crypto::Verifier;
use cresset_protocol::codec;
use cresset_protocol::envelope::EnvelopeHeader;
use cresset_protocol::ids::{HeaderDigest, HubId, LeafIndex, LogId, TreeSize};
use cresset_protocol::log::checkpoint::SignedCheckpoint;
use cresset_protocol::log::entry::Entry;
use cresset_protocol::log::leaf::LeafKind;
use cresset_protocol::log::manifest::log_id_of;
use cresset_protocol::log::public::PublicShare;
use cresset_protocol::log::writer::{Head, PeerView};
use cresset_protocol::sync::engine::{Commit, Engine, Input, MirrorState, Offence, Output};
use cresset_protocol::sync::envelope_queue::{EnvelopeQueue, FetchEnvelope, QueueInput};
use cresset_provenance::StoreError;
use cresset_provenance::logs::StoredHead;
use cresset_provenance::peers::Observation;
use tokio::sync::mpsc;

use crate::gate;
use crate::network::{EntriesRequest, NetworkEvent, RequestError};
use crate::parts::Parts;
use crate::receive::{self, Received};
use crate::serve::may_fetch;

/// Results of requests that wait for the engine.
const RESULTS_WAITING_MAX: usize = 256;
const BAD_GENESIS: &str = "genesis leaf of a mirror";
/// How often the engine and the inbox are told that time passes.
const TICK: Duration = Duration::from_secs(1);
/// Largest envelope, stanzas and tags included.
const ENVELOPE_BYTES_MAX: u64 = cresset_protocol::limits::OBJECT_BYTES_MAX + (64 << 20);

/// Figures for status and metrics.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReplicationStatus {
    /// Leaves known to exist and not yet held.
    pub(crate) lag: u64,
    /// Envelopes not yet fetched.
    pub(crate) envelopes_missing: u64,
    /// Refused messages by reason.
    pub(crate) refused: BTreeMap<String, u64>,
}

/// What requests bring back to the engine.
enum Arrived {
    Heads(HubId, Vec<(LogId, String)>),
    Package(HubId, LogId, Vec<u8>),
    FetchEnded(HubId, LogId),
    Envelope(FetchEnvelope, Result<Vec<u8>, RequestError>),
}

/// The task's own state.
pub(crate) struct Replication {
    parts: Arc<Parts>,
    engine: Engine,
    queue: EnvelopeQueue,
    arrived: mpsc::Sender<Arrived>,
    inbox: mpsc::Receiver<Arrived>,
    noteworthy: mpsc::Sender<()>,
    status: tokio::sync::watch::Sender<ReplicationStatus>,
}

impl Replication {
    /// Resumes from the store.
    pub(crate) fn resume(
        parts: Arc<Parts>,
        noteworthy: mpsc::Sender<()>,
        status: tokio::sync::watch::Sender<ReplicationStatus>,
    ) -> Result<Self, StoreError> {
        let directory = parts.membership.snapshot().directory.clone();
        let mut stored = BTreeMap::new();
        for record in parts.store.logs()? {
            if record.id != parts.log {
                stored.insert(record.id, mirror_state(&parts, &record.id)?);
            }
        }
        let engine = Engine::new(parts.me, directory, Arc::new(Verifier), stored);
        let (arrived, inbox) = mpsc::channel(RESULTS_WAITING_MAX);
        Ok(Self { parts, engine, queue: EnvelopeQueue::default(), arrived, inbox, noteworthy, status })
    }

    /// Runs until the network ends.
    pub(crate) async fn run(mut self, mut events: mpsc::Receiver<NetworkEvent>) {
        let mut tick = tokio::time::interval(TICK);
        let mut changes = self.parts.membership.changes();
        loop {
            tokio::select! {
                event = events.recv() => match event {
                    Some(event) => self.network(event).await,
                    None => return,
                },
                Some(arrived) = self.inbox.recv() => self.arrived(arrived).await,
                Ok(()) = changes.changed() => {
                    let directory = changes.borrow_and_update().directory.clone();
                    self.step(Input::Directory(directory)).await;
                    self.push_roster();
                }
                _ = tick.tick() => self.tick().await,
            }
        }
    }

    async fn network(&mut self, event: NetworkEvent) {
        match event {
            NetworkEvent::PeerUp(peer) => {
                tracing::info!(hub = %peer.hub, limited = peer.limited, "peer connected");
                self.sync_rosters(peer.hub, peer.roster_version);
                if !peer.limited {
                    self.step(Input::PeerUp(peer.hub)).await;
                    self.fetch(QueueInput::PeerUp(peer.hub));
                    self.parts.outbox.notify_one();
                }
            }
            NetworkEvent::PeerDown(hub) => {
                tracing::info!(%hub, "peer gone");
                self.step(Input::PeerDown(hub)).await;
                self.fetch(QueueInput::PeerDown(hub));
            }
            NetworkEvent::Announcement { id, from, bytes } => {
                self.step(Input::Announcement { from, id, bytes }).await;
            }
        }
    }

    async fn arrived(&mut self, arrived: Arrived) {
        match arrived {
            Arrived::Heads(from, notes) => {
                // Only an answer counts for the start-up gate; a mere connection says nothing about our log.
                if !notes.iter().any(|(log, _)| *log == self.parts.log) {
                    let parts = self.parts.clone();
                    tokio::task::block_in_place(|| parts.writer.peer_head(from, PeerView::Nothing));
                }
                self.step(Input::Heads { from, notes }).await;
            }
            Arrived::Package(from, log, bytes) => self.step(Input::Package { from, log, bytes }).await,
            Arrived::FetchEnded(from, log) => self.step(Input::FetchEnded { from, log }).await,
            Arrived::Envelope(fetch, Ok(bytes)) => self.envelope(fetch, bytes),
            Arrived::Envelope(fetch, Err(error)) => {
                tracing::debug!(hub = %fetch.peer, %error, "an envelope was not given");
                self.fetch(QueueInput::Failed { digest: fetch.digest, peer: fetch.peer });
            }
        }
    }

    async fn tick(&mut self) {
        self.step(Input::Tick).await;
        self.fetch(QueueInput::Tick);
        match tokio::task::block_in_place(|| receive::retry(&self.parts)) {
            Ok(missing) => {
                for (log, index) in missing {
                    self.want(&log, index);
                }
            }
            Err(error) => tracing::error!(%error, "the inbox cannot be worked on"),
        }
        let (lag, missing) = (self.engine.lag(), self.queue.len() as u64);
        self.status.send_modify(|status| (status.lag, status.envelopes_missing) = (lag, missing));
    }

    async fn step(&mut self, input: Input) {
        for output in self.engine.step(self.parts.now(), input) {
            self.execute(output).await;
        }
    }

    async fn execute(&mut self, output: Output) {
        match output {
            Output::Report { id, from, verdict } => {
                // The network may be stopping; then nobody waits for a verdict.
                let _ = self.parts.network.report_validation(id, from, verdict).await;
            }
            Output::AskHeads(hub) => self.ask_heads(hub),
            Output::Fetch { peer, log, from, to, head } => self.fetch_entries(peer, log, from, to, head),
            Output::Commit(commit) => {
                match tokio::task::block_in_place(|| self.commit(&commit)) {
                    Ok(()) => {}
                    Err(error @ StoreError::Inconsistent { what: BAD_GENESIS }) => {
                        tracing::error!(log = %commit.log, %error, "a log is not what its id says; nothing of it is taken");
                        self.engine.quarantine(&commit.log);
                    }
                    Err(error) => {
                        // Memory is ahead of the disk now: start again from the disk.
                        tracing::error!(log = %commit.log, %error, "a verified extension cannot be stored");
                        self.restart_engine();
                    }
                }
            }
            Output::OwnHead { from, log, head } => {
                tokio::task::block_in_place(|| self.own_head(from, &log, &head));
            }
            Output::Misbehaviour { peer, what } => self.misbehaviour(peer, what).await,
            Output::Inconsistent { log, other, .. } => {
                tracing::error!(%log, size = other.checkpoint.size.0, "two signed histories of one log: nothing more of it is taken");
                self.count("inconsistent".into());
            }
        }
    }

    fn commit(&mut self, commit: &Commit) -> Result<(), StoreError> {
        let entries: Vec<Entry> = commit.entries.iter().map(|entry| entry.clone().into_entry()).collect();
        self.register(commit, &entries)?;
        let complete = commit.frontier.size() == commit.checkpoint.checkpoint.size;
        let head = if complete { self.stored_head(&commit.log, &commit.checkpoint) } else { None };
        let awaited: Vec<(LeafIndex, &EnvelopeHeader)> = (commit.first.0..)
            .map(LeafIndex)
            .zip(&commit.entries)
            .filter_map(|(index, entry)| Some((index, entry.header()?)))
            .filter(|(_, header)| may_fetch(&self.parts, header.terms().relay))
            .collect();
        let rows: Vec<LeafIndex> = awaited.iter().map(|(index, _)| *index).collect();
        self.parts.store.commit_mirror(&commit.log, commit.first, &entries, head.as_ref(), &rows)?;
        let mut noteworthy = false;
        for (index, entry) in (commit.first.0..).map(LeafIndex).zip(&entries) {
            noteworthy |= entry.leaf.kind != LeafKind::Heads;
            self.observe(&commit.log, index, entry)?;
        }
        let inline: BTreeMap<LeafIndex, &[u8]> =
            commit.inline.iter().map(|envelope| (envelope.index, envelope.bytes.as_slice())).collect();
        for (index, header) in awaited {
            match inline.get(&index) {
                Some(body) => self.store_envelope(&commit.log, index, header, body),
                None => self.want(&commit.log, index),
            }
        }
        if noteworthy {
            // A full channel means that the heartbeat knows already.
            let _ = self.noteworthy.try_send(());
        }
        Ok(())
    }

    /// A log becomes known with its first leaf, whose public opening holds the manifest.
    fn register(&self, commit: &Commit, entries: &[Entry]) -> Result<(), StoreError> {
        let directory = self.parts.membership.snapshot().directory.clone();
        let (0, Some(known), Some(genesis)) = (commit.first.0, directory.log(&commit.log), entries.first()) else {
            return Ok(());
        };
        let opening = genesis.opening.as_ref();
        let share = opening.and_then(|opening| PublicShare::decode(&genesis.leaf, &commit.log, &opening.share).ok());
        match share {
            Some(PublicShare::Genesis(share)) if log_id_of(&share.manifest) == commit.log => {
                self.parts.store.register_log(&commit.log, &known.origin, &share.manifest)
            }
            _ => Err(StoreError::Inconsistent { what: BAD_GENESIS }),
        }
    }

    /// A HEADS leaf says which heads its hub has seen: confirmations for everybody else's leaves.
    fn observe(&self, log: &LogId, index: LeafIndex, entry: &Entry) -> Result<(), StoreError> {
        if entry.leaf.kind != LeafKind::Heads {
            return Ok(());
        }
        let share =
            entry.opening.as_ref().and_then(|opening| PublicShare::decode(&entry.leaf, log, &opening.share).ok());
        let snapshot = self.parts.membership.snapshot();
        let (Some(PublicShare::Heads(share)), Some(hub)) = (share, snapshot.roster.hub_by_log(log)) else {
            return Ok(());
        };
        for head in share.heads {
            let observation = Observation {
                head: Head { size: head.size, root: head.root },
                heard: self.parts.now(),
                confirmed_by: Some(index.0),
            };
            match self.parts.store.put_observation(&hub.id, &head.log, &observation) {
                Ok(()) | Err(StoreError::UnknownLog { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn envelope(&mut self, fetch: FetchEnvelope, bytes: Vec<u8>) {
        let located = self.parts.store.locate_header(&fetch.digest).ok().flatten();
        let entry = located.and_then(|(log, index)| Some((log, index, self.parts.store.entry(&log, index).ok()?)));
        let Some((log, index, entry)) = entry else { return self.fetch(QueueInput::Stored(fetch.digest)) };
        let header = entry.header.and_then(|wire| EnvelopeHeader::from_wire(&wire, &self.parts.consortium, &log).ok());
        match header {
            Some(header) if header.check_body(&bytes).is_ok() => {
                tokio::task::block_in_place(|| self.store_envelope(&log, index, &header, &bytes));
            }
            _ => {
                self.count("envelope".into());
                self.fetch(QueueInput::Failed { digest: fetch.digest, peer: fetch.peer });
            }
        }
    }

    fn store_envelope(&mut self, log: &LogId, index: LeafIndex, header: &EnvelopeHeader, body: &[u8]) {
        let digest = header.digest();
        let expires = cresset_protocol::ids::UnixSeconds(self.parts.now().0 + self.parts.relay_retention_s);
        let stored = match self.parts.store.put_foreign_envelope(&digest, body, expires) {
            // What a WITHDRAW or ERASE named is never taken again.
            Err(StoreError::Erased) => self.parts.store.remove_inbox(log, index),
            Ok(()) => {
                self.take(log, index, header, body);
                Ok(())
            }
            Err(error) => Err(error),
        };
        if let Err(error) = stored {
            tracing::error!(%error, "an envelope cannot be stored");
        }
        self.fetch(QueueInput::Stored(digest));
    }

    fn take(&mut self, log: &LogId, index: LeafIndex, header: &EnvelopeHeader, body: &[u8]) {
        let leaf = match self.parts.store.entry(log, index) {
            Ok(entry) => entry.leaf,
            Err(error) => return tracing::error!(%error, "a mirrored leaf cannot be read"),
        };
        let received = Received { log: *log, index, leaf, header: header.clone(), body: body.to_vec() };
        match receive::take(&self.parts, &received) {
            Ok(fate) => tracing::debug!(%log, %index, ?fate, "envelope dealt with"),
            Err(error) => {
                self.count("envelope".into());
                receive::give_up_or_postpone(&self.parts, log, index, &error);
            }
        }
    }

    fn want(&mut self, log: &LogId, index: LeafIndex) {
        let Ok(entry) = self.parts.store.entry(log, index) else { return };
        let header = entry.header.and_then(|wire| EnvelopeHeader::from_wire(&wire, &self.parts.consortium, log).ok());
        let origin = self.parts.membership.snapshot().roster.hub_by_log(log).map(|hub| hub.id);
        if let (Some(header), Some(origin)) = (header, origin) {
            self.fetch(QueueInput::Wanted { digest: header.digest(), origin });
        }
    }

    fn fetch(&mut self, input: QueueInput) {
        for fetch in self.queue.step(self.parts.now(), input) {
            self.spawn_envelope_fetch(fetch);
        }
    }

    fn spawn_envelope_fetch(&self, fetch: FetchEnvelope) {
        let (network, arrived) = (self.parts.network.clone(), self.arrived.clone());
        // The header says how long the envelope is: no peer makes this hub buffer more.
        let bytes_max = self.envelope_bytes(&fetch.digest);
        tokio::spawn(async move {
            let result = network.fetch_envelope(fetch.peer, fetch.digest, bytes_max).await;
            let _ = arrived.send(Arrived::Envelope(fetch, result)).await;
        });
    }

    fn envelope_bytes(&self, digest: &HeaderDigest) -> u64 {
        let located = self.parts.store.locate_header(digest).ok().flatten();
        let header = located.and_then(|(log, index)| {
            let wire = self.parts.store.entry(&log, index).ok()?.header?;
            EnvelopeHeader::from_wire(&wire, &self.parts.consortium, &log).ok()
        });
        header.map_or(0, |header| header.terms().layout().body_bytes()).min(ENVELOPE_BYTES_MAX)
    }

    fn ask_heads(&self, hub: HubId) {
        let (network, arrived) = (self.parts.network.clone(), self.arrived.clone());
        tokio::spawn(async move {
            match network.request_heads(hub).await {
                Ok(heads) => {
                    let notes = heads.into_iter().map(|head| (head.log, head.note)).collect();
                    let _ = arrived.send(Arrived::Heads(hub, notes)).await;
                }
                Err(error) => tracing::debug!(%hub, %error, "heads were not told"),
            }
        });
    }

    fn fetch_entries(&self, hub: HubId, log: LogId, from: LeafIndex, to: LeafIndex, head: TreeSize) {
        let (network, arrived) = (self.parts.network.clone(), self.arrived.clone());
        tokio::spawn(async move {
            let request = EntriesRequest { log, from, to, head };
            let fetched: Result<(), RequestError> = async {
                let mut packages = network.fetch_entries(hub, request).await?;
                while let Some(bytes) = packages.next().await? {
                    let _ = arrived.send(Arrived::Package(hub, log, bytes)).await;
                }
                Ok(())
            }
            .await;
            if let Err(error) = fetched {
                tracing::debug!(%hub, %log, %error, "a fetch of entries ended early");
            }
            let _ = arrived.send(Arrived::FetchEnded(hub, log)).await;
        });
    }

    fn own_head(&self, from: HubId, log: &LogId, head: &SignedCheckpoint) {
        if *log != self.parts.log {
            return;
        }
        gate::report_head(&self.parts, from, head);
    }

    async fn misbehaviour(&mut self, peer: HubId, what: Offence) {
        tracing::warn!(%peer, ?what, "a peer broke the protocol");
        self.count(format!("{what:?}").to_lowercase());
        if matches!(what, Offence::Head) {
            let _ = self.parts.network.disconnect(peer).await;
        }
    }

    fn count(&self, reason: String) {
        self.status.send_modify(|status| *status.refused.entry(reason).or_default() += 1);
    }

    /// Gives a peer what it lacks of the roster chain, or asks it for what this hub lacks.
    fn sync_rosters(&self, hub: HubId, theirs: cresset_protocol::ids::RosterVersion) {
        let ours = self.parts.membership.snapshot().roster.version();
        let parts = self.parts.clone();
        tokio::spawn(async move {
            if theirs < ours {
                let _ = parts.network.push_roster(hub, parts.membership.rosters_after(theirs)).await;
            } else if theirs > ours {
                let request = crate::network::RosterRequest::After(ours);
                if let Ok(crate::network::RosterResponse::Rosters(rosters)) = parts.network.roster(hub, request).await
                    && let Err(error) = tokio::task::block_in_place(|| parts.membership.accept(&rosters, parts.now()))
                {
                    tracing::warn!(%hub, %error, "a peer's roster is refused");
                }
            }
        });
    }

    /// A newly accepted roster goes to everybody connected before anything else.
    fn push_roster(&self) {
        let snapshot = self.parts.membership.snapshot();
        let keys = snapshot.roster.log_keys(&self.parts.log, self.parts.now()).cloned();
        if let Some(keys) = keys {
            tokio::task::block_in_place(|| self.parts.writer.roster_changed(keys, snapshot.active().len()));
        }
        for peer in self.parts.network.peers() {
            self.sync_rosters(peer.hub, peer.roster_version);
        }
    }

    fn stored_head(&self, log: &LogId, checkpoint: &SignedCheckpoint) -> Option<StoredHead> {
        let directory = self.parts.membership.snapshot().directory.clone();
        let keys = directory.log(log)?.keys_at(checkpoint.timestamp)?.clone();
        let head = Head { size: checkpoint.checkpoint.size, root: checkpoint.checkpoint.root };
        Some(StoredHead { head, timestamp: checkpoint.timestamp, note: checkpoint.to_note(&keys) })
    }

    fn restart_engine(&mut self) {
        let status = self.status.clone();
        match Self::resume(self.parts.clone(), self.noteworthy.clone(), status) {
            Ok(fresh) => {
                self.engine = fresh.engine;
                for peer in self.parts.network.peers().into_iter().filter(|peer| !peer.limited) {
                    for output in self.engine.step(self.parts.now(), Input::PeerUp(peer.hub)) {
                        if let Output::AskHeads(hub) = output {
                            self.ask_heads(hub);
                        }
                    }
                }
            }
            Err(error) => tracing::error!(%error, "replication cannot resume from the store"),
        }
    }
}

/// Frontier and newest head of a mirror on disk.
fn mirror_state(parts: &Parts, log: &LogId) -> Result<MirrorState, StoreError> {
    let frontier = parts.store.frontier(log)?;
    let directory = parts.membership.snapshot().directory.clone();
    let stored = parts.store.head(log)?;
    let note = stored.and_then(|head| directory.log(log)?.parse_note(&head.note).ok());
    let head = note.and_then(|note| directory.log(log)?.verify_note(note, &Verifier).ok());
    Ok(MirrorState { frontier, head })
}

/// Encodes a statement again from the store's bytes.
pub(crate) fn statement(bytes: &[u8]) -> Option<cresset_protocol::log::slot::Statement> {
    codec::decode(bytes, cresset_protocol::limits::SHARE_BYTES_MAX).ok()
}
