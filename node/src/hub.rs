//! The hub as the control API sees it: every question and order of a person, answered in wire types.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cresset_interop::Format;
use cresset_interop::misp::MispFormat;
use cresset_policy::{Addressing, Carriage};
use cresset_protocol::codec;
use cresset_protocol::ids::{HubId, LeafIndex, LogId, ObjectUuid, UnixSeconds};
use cresset_protocol::log::leaf::LeafKind;
use cresset_protocol::log::merkle::{prove_inclusion, verify_inclusion};
use cresset_protocol::membership::RosterFile;
use cresset_protocol::membership::roster::{HubEntry, HubStatus, PqCustody};
use cresset_protocol::object::cti::Unit;
use cresset_protocol::object::marking::Marking;
use cresset_provenance::AppendAnswer;
use cresset_provenance::export::{BundleScope, LogSelection, OpeningSelection};
use cresset_provenance::objects::{ObjectRecord, ObjectStanding};
use cresset_token::KeyStore;
use tokio::sync::watch;

use crate::api::types::{
    Anchoring, ExportAnswer, ExportRequest, HeldUnit, HubRelease, Lane, LeafAnswer, LeafPosition, LogAnswer, LogQuery,
    ObjectAnswer, ObjectSummary, PeerAnswer, PeersAnswer, PublishAnswer, PublishQuery, PublishedObject, PublishedView,
    RosterAnswer, SearchAnswer, SearchQuery, StatusAnswer, UnitLabel,
};
use crate::audiences::Audiences;
use crate::hub_error::HubError;
use crate::observables;
use crate::parts::Parts;
use crate::publish::{self, Planned, PublishOrder, Published};
use crate::replicate::ReplicationStatus;
use crate::stored_view::StoredView;

/// Hits of one search.
const SEARCH_HITS_MAX: usize = 1_000;
const SEARCH_HITS: usize = 50;
/// Leaves of one log answer.
const LOG_LEAVES_MAX: u64 = 1_000;
const LOG_LEAVES: u64 = 20;
/// Rows counted for status; beyond it the figure is a floor.
const COUNTED_MAX: usize = 10_000;

/// Everything that the API calls.
pub(crate) struct Hub {
    parts: Arc<Parts>,
    keys: Arc<dyn KeyStore>,
    audiences: Arc<Audiences>,
    replication: watch::Receiver<ReplicationStatus>,
    sign_ms: Arc<AtomicU64>,
    started: UnixSeconds,
}

/// Figures for the metrics page.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    /// Leaves in the own log.
    pub(crate) leaves: u64,
    /// Leaves under a stored note.
    pub(crate) signed_leaves: u64,
    /// Milliseconds that the last signature pair took.
    pub(crate) sign_ms: u64,
    /// Leaves of others not yet held.
    pub(crate) lag: u64,
    /// Per other hub: domain, connected, mirrored leaves.
    pub(crate) peers: Vec<(String, bool, u64)>,
    /// Leaves accepted and not yet signed.
    pub(crate) writer_outstanding: u64,
    /// Direct deliveries waiting.
    pub(crate) outbox: u64,
    /// Envelopes not yet fetched.
    pub(crate) envelopes_missing: u64,
    /// Refused messages by reason.
    pub(crate) refused: std::collections::BTreeMap<String, u64>,
}

impl Hub {
    pub(crate) fn new(
        parts: Arc<Parts>,
        keys: Arc<dyn KeyStore>,
        replication: watch::Receiver<ReplicationStatus>,
        sign_ms: Arc<AtomicU64>,
    ) -> Self {
        let started = parts.now();
        Self { parts, keys, audiences: Arc::default(), replication, sign_ms, started }
    }

    /// Publishes a native document, or explains what would be published.
    pub(crate) async fn publish(&self, native: Vec<u8>, query: PublishQuery) -> Result<PublishAnswer, HubError> {
        let order = self.order(&query)?;
        let (parts, audiences, dry_run) = (self.parts.clone(), self.audiences.clone(), query.dry_run);
        let work = move || -> Result<PublishAnswer, HubError> {
            let mut objects = Vec::new();
            for planned in publish::plan(&parts, &native, &order)? {
                if dry_run || planned.plan.releases_nothing() {
                    objects.push(planned_answer(&planned, Vec::new(), None));
                    continue;
                }
                let published = publish::execute(&parts, &audiences, planned, &order)?;
                objects.push(published_answer(&parts, published)?);
            }
            Ok(PublishAnswer { objects })
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| HubError::internal("publishing stopped"))?
    }

    /// Objects that hold an observable value.
    pub(crate) async fn search(&self, query: SearchQuery) -> Result<SearchAnswer, HubError> {
        let limit = query.limit.unwrap_or(SEARCH_HITS).min(SEARCH_HITS_MAX);
        let value = observables::normalise(&query.q);
        let hits = self.parts.store.search(&value, SEARCH_HITS_MAX)?;
        let served = |standing| matches!(standing, ObjectStanding::Own | ObjectStanding::Admitted);
        let mut records: Vec<ObjectRecord> = hits
            .into_iter()
            .filter(|(found, record)| *found == value && served(record.standing))
            .map(|(_, record)| record)
            .collect();
        records.sort_by_key(|record| std::cmp::Reverse(record.stored));
        records.truncate(limit);
        Ok(SearchAnswer { objects: records.iter().map(|record| self.summary(record)).collect() })
    }

    /// The newest version of an object that this hub holds, rebuilt, with its proof.
    pub(crate) async fn object(&self, uuid: &str) -> Result<ObjectAnswer, HubError> {
        let uuid = ObjectUuid::parse_hyphenated(uuid).map_err(|_| HubError::usage("that is no UUID"))?;
        let record = self.newest(&uuid)?;
        let payload = self.parts.store.payload(&record.object)?.ok_or_else(|| HubError::not_found("the object"))?;
        let view = StoredView::from_bytes(&payload).and_then(|stored| stored.verify());
        let view = view.map_err(|error| HubError::integrity(format!("the stored object does not verify: {error}")))?;
        let native = MispFormat.rebuild(&view).map_err(|error| HubError::internal(error.to_string()))?;
        let native = serde_json::from_slice(&native).map_err(|error| HubError::internal(error.to_string()))?;
        let units = view.units().iter().enumerate().map(|(position, unit)| label(position, unit)).collect();
        Ok(ObjectAnswer {
            summary: self.summary(&record),
            units,
            native,
            anchoring: self.anchoring(&record.object.log, record.object.index)?,
            included: self.is_included(&record.object.log, record.object.index)?,
        })
    }

    /// A stretch of a log.
    pub(crate) async fn log(&self, query: LogQuery) -> Result<LogAnswer, HubError> {
        let log = match &query.origin {
            None => self.parts.log,
            Some(text) => self.find_log(text)?,
        };
        let record = self.parts.store.log(&log)?;
        let frontier = self.parts.store.frontier(&log)?;
        let size = frontier.size().0;
        let limit = query.limit.unwrap_or(LOG_LEAVES).min(LOG_LEAVES_MAX);
        let from = query.from.unwrap_or_else(|| size.saturating_sub(limit)).min(size);
        let to = from.saturating_add(limit).min(size);
        let mut leaves = Vec::new();
        for (index, entry) in (from..).zip(self.parts.store.entries(&log, from..to)?) {
            leaves.push(LeafAnswer {
                index,
                kind: entry.leaf.kind.name().to_owned(),
                time: entry.leaf.time.0,
                urgent: entry.leaf.flags.urgent,
                leaf_hash: entry.leaf.hash().to_string(),
                summary: self.leaf_summary(&log, LeafIndex(index), entry.leaf.kind),
            });
        }
        let note = self.parts.store.head(&log)?.map(|head| head.note);
        Ok(LogAnswer {
            origin: record.origin,
            log_id: log.to_string(),
            size,
            root: frontier.root().to_string(),
            note,
            leaves,
        })
    }

    /// Every other hub of the roster.
    pub(crate) async fn peers(&self) -> Result<PeersAnswer, HubError> {
        let snapshot = self.parts.membership.snapshot();
        let connected = self.parts.network.peers();
        let mut peers = Vec::new();
        for hub in snapshot.roster.hubs().iter().filter(|hub| hub.id != self.parts.me) {
            let session = connected.iter().find(|peer| peer.hub == hub.id);
            let connection = match session {
                Some(peer) if peer.limited => "limited",
                Some(_) => "connected",
                None => "away",
            };
            let log = hub.current_log().map(|log| log.id);
            let mirrored = log.and_then(|log| self.parts.store.log_size(&log).ok()).map_or(0, |size| size.0);
            let head = log.and_then(|log| self.parts.store.head(&log).ok().flatten());
            peers.push(PeerAnswer {
                country: hub.country.to_string(),
                domain: hub.domain.clone(),
                hub: hub.id.to_string(),
                standing: standing_name(hub.status).to_owned(),
                connection: connection.to_owned(),
                mirrored,
                lag: head.as_ref().map_or(0, |head| head.head.size.0.saturating_sub(mirrored)),
                head_time: head.map(|head| head.timestamp.0),
                pq: custody_name(hub.pq).to_owned(),
            });
        }
        Ok(PeersAnswer { peers })
    }

    /// How this hub stands.
    pub(crate) async fn status(&self) -> Result<StatusAnswer, HubError> {
        let snapshot = self.parts.membership.snapshot();
        let own = snapshot.roster.hub(&self.parts.me).ok_or_else(|| HubError::internal("not in the roster"))?;
        let writer = self.parts.writer.status();
        let gate = match (writer.halted, writer.gate_open) {
            (true, _) => "halted: the fence was moved by another process",
            (false, true) => "open",
            (false, false) => "closed: asking peers for the newest head of this log",
        };
        let replication = self.replication.borrow().clone();
        let now = self.parts.now();
        let peers = self.parts.network.peers().iter().filter(|peer| !peer.limited).count();
        Ok(StatusAnswer {
            hub: format!("{} {}", own.country, own.domain),
            consortium: snapshot.roster.body().name.clone(),
            consortium_id: self.parts.consortium.to_string(),
            roster_version: snapshot.roster.version().0,
            roster_expires: snapshot.roster.body().expires.0,
            origin: self.parts.origin.to_string(),
            size: self.parts.store.log_size(&self.parts.log)?.0,
            signed_size: writer.signed.map_or(0, |head| head.size.0),
            gate: gate.to_owned(),
            peers,
            objects: self.parts.store.objects_since(UnixSeconds(0), COUNTED_MAX)?.len() as u64,
            lag: replication.lag,
            envelopes_missing: replication.envelopes_missing,
            outbox: self.parts.store.deliveries(COUNTED_MAX)?.len() as u64,
            review: self.parts.store.reviews(COUNTED_MAX)?.len() as u64,
            pq: custody_name(self.keys.pq_custody()).to_owned(),
            groups: snapshot.groups.values().map(|group| group.name.clone()).collect(),
            warnings: snapshot.roster.warnings(now).iter().map(ToString::to_string).collect(),
            uptime_s: now.0.saturating_sub(self.started.0),
        })
    }

    /// Writes an audit bundle.
    pub(crate) async fn export(&self, request: ExportRequest) -> Result<ExportAnswer, HubError> {
        let directory = PathBuf::from(&request.directory);
        if !directory.is_absolute() {
            return Err(HubError::usage("the directory must be an absolute path"));
        }
        let rosters = self.parts.membership.all_rosters();
        let scope = BundleScope {
            consortium: self.parts.consortium,
            own: self.parts.log,
            logs: LogSelection::All,
            openings: OpeningSelection::Private,
            rosters: rosters.iter().map(|(version, signed)| (*version, codec::encode(signed))).collect(),
            created: self.parts.now(),
        };
        let parts = self.parts.clone();
        let target = directory.clone();
        let export = move || parts.store.export_bundle(&target, &scope);
        let manifest =
            tokio::task::spawn_blocking(export).await.map_err(|_| HubError::internal("the export stopped"))??;
        let logs = self.parts.store.logs()?;
        let leaves = logs.iter().filter_map(|log| self.parts.store.log_size(&log.id).ok());
        Ok(ExportAnswer {
            directory: request.directory,
            files: manifest.files.len() as u64,
            leaves: leaves.map(|size| size.0).sum(),
        })
    }

    /// Adopts the next roster versions from a roster file.
    pub(crate) async fn adopt_roster(&self, bytes: Vec<u8>) -> Result<RosterAnswer, HubError> {
        let file = RosterFile::from_bytes(&bytes).map_err(|error| HubError::integrity(error.to_string()))?;
        let now = self.parts.now();
        self.parts.membership.accept(&file.rosters, now).map_err(|error| HubError::integrity(error.to_string()))?;
        let snapshot = self.parts.membership.snapshot();
        Ok(RosterAnswer { version: snapshot.roster.version().0, hubs: snapshot.active().len() })
    }

    /// Figures for the metrics page.
    pub(crate) fn figures(&self) -> Figures {
        let writer = self.parts.writer.status();
        let replication = self.replication.borrow().clone();
        let connected: BTreeSet<HubId> = self.parts.network.peers().iter().map(|peer| peer.hub).collect();
        let snapshot = self.parts.membership.snapshot();
        let others = snapshot.roster.hubs().iter().filter(|hub| hub.id != self.parts.me);
        let mirrored = |hub: &HubEntry| {
            let size = hub.current_log().and_then(|log| self.parts.store.log_size(&log.id).ok());
            size.map_or(0, |size| size.0)
        };
        Figures {
            leaves: self.parts.store.log_size(&self.parts.log).map_or(0, |size| size.0),
            signed_leaves: writer.signed.map_or(0, |head| head.size.0),
            sign_ms: self.sign_ms.load(Ordering::Relaxed),
            lag: replication.lag,
            peers: others.map(|hub| (hub.domain.clone(), connected.contains(&hub.id), mirrored(hub))).collect(),
            writer_outstanding: writer.outstanding as u64,
            outbox: self.parts.store.deliveries(COUNTED_MAX).map_or(0, |rows| rows.len() as u64),
            envelopes_missing: replication.envelopes_missing,
            refused: replication.refused,
        }
    }

    fn order(&self, query: &PublishQuery) -> Result<PublishOrder, HubError> {
        let snapshot = self.parts.membership.snapshot();
        let mut addressing = Addressing { only: query.only, ..Addressing::default() };
        for text in words(&query.to) {
            let hub = snapshot.roster.find(text).map_err(|error| HubError::usage(error.to_string()))?;
            addressing.to.insert(hub.id);
        }
        for text in words(&query.group) {
            let named = snapshot.groups.values().find(|group| group.name == text || group.id.to_string() == text);
            let group = named.ok_or_else(|| {
                HubError::usage(format!("this hub is in no sharing group `{text}`"))
                    .hint("`cresset status` lists its groups")
            })?;
            addressing.groups.insert(group.id);
        }
        Ok(PublishOrder { addressing, urgent: query.lane == Lane::Urgent })
    }

    fn newest(&self, uuid: &ObjectUuid) -> Result<ObjectRecord, HubError> {
        let versions = self.parts.store.object_versions(uuid)?;
        let served = |record: &ObjectRecord| matches!(record.standing, ObjectStanding::Own | ObjectStanding::Admitted);
        versions
            .into_iter()
            .filter(served)
            .max_by_key(|record| (record.object.version, record.object.index))
            .ok_or_else(|| {
                HubError::not_found("the object").hint("`cresset search VALUE` finds objects by what they hold")
            })
    }

    fn summary(&self, record: &ObjectRecord) -> ObjectSummary {
        let snapshot = self.parts.membership.snapshot();
        let owner = snapshot.roster.hub(&record.origin);
        let marking: Option<Marking> = codec::decode(&record.marking, cresset_protocol::limits::SHARE_BYTES_MAX).ok();
        ObjectSummary {
            uuid: record.object.uuid.hyphenated(),
            version: record.object.version.0,
            origin: self.parts.store.log(&record.object.log).map(|log| log.origin).unwrap_or_default(),
            country: owner.map(|hub| hub.country.to_string()).unwrap_or_default(),
            units: usize::try_from(record.units).unwrap_or(usize::MAX),
            tlp: marking.map(|marking| marking.tlp.to_string()).unwrap_or_default(),
            media_type: record.format.clone(),
            stored_at: record.stored.0,
            leaf: self.position(&record.object.log, record.object.index),
        }
    }

    fn position(&self, log: &LogId, index: LeafIndex) -> LeafPosition {
        let head = self.parts.store.head(log).ok().flatten().filter(|head| head.head.size.0 > index.0);
        LeafPosition {
            state: if head.is_some() { "signed" } else { "pending" }.to_owned(),
            origin: self.parts.store.log(log).map(|log| log.origin).unwrap_or_default(),
            index: Some(index.0),
            size: head.map(|head| head.head.size.0),
            leaf_hash: self.parts.store.entry(log, index).ok().map(|entry| entry.leaf.hash().to_string()),
        }
    }

    /// Other Member States whose HEADS leaves name a head of this log that includes the leaf.
    fn anchoring(&self, log: &LogId, index: LeafIndex) -> Result<Anchoring, HubError> {
        let snapshot = self.parts.membership.snapshot();
        let owner = snapshot.roster.hub_by_log(log).map(|hub| hub.country);
        let others: BTreeSet<_> =
            snapshot.active().iter().map(|hub| hub.country).filter(|country| Some(*country) != owner).collect();
        // A head confirms only if it is a head of the history that this hub holds.
        let tree = self.parts.store.tree(log)?;
        let agrees = |head: &cresset_protocol::log::writer::Head| {
            head.size <= tree.size() && tree.frontier_at(head.size).is_ok_and(|frontier| frontier.root() == head.root)
        };
        let confirmed: BTreeSet<_> = self
            .parts
            .store
            .observations(log)?
            .into_iter()
            .filter(|(_, seen)| seen.confirmed_by.is_some() && seen.head.size.0 > index.0 && agrees(&seen.head))
            .filter_map(|(hub, _)| snapshot.roster.hub(&hub).map(|hub| hub.country))
            .filter(|country| others.contains(country))
            .collect();
        let signed = self.parts.store.head(log)?.is_some_and(|head| head.head.size.0 > index.0);
        let level = match (confirmed.is_empty(), signed) {
            (false, _) => "confirmed",
            (true, true) => "signed",
            (true, false) => "pending",
        };
        Ok(Anchoring {
            level: level.to_owned(),
            confirmed_by: confirmed.iter().map(ToString::to_string).collect(),
            of: others.len(),
        })
    }

    fn is_included(&self, log: &LogId, index: LeafIndex) -> Result<bool, HubError> {
        let Some(head) = self.parts.store.head(log)?.filter(|head| head.head.size.0 > index.0) else {
            return Ok(false);
        };
        let leaf = self.parts.store.entry(log, index)?.leaf.hash();
        let tree = self.parts.store.tree(log)?;
        let proof = prove_inclusion(&tree, index, head.head.size);
        Ok(proof.is_ok_and(|proof| verify_inclusion(&leaf, index, head.head.size, &proof, &head.head.root).is_ok()))
    }

    fn leaf_summary(&self, log: &LogId, index: LeafIndex, kind: LeafKind) -> Option<String> {
        let opening = self.parts.store.opening(log, index).ok().flatten()?;
        let record = cresset_protocol::log::kinds::RecordKind::of_share(&opening.share)?;
        Some(match kind {
            LeafKind::Private => format!("{record:?}"),
            _ => format!("{record:?}, opening held"),
        })
    }

    fn find_log(&self, text: &str) -> Result<LogId, HubError> {
        let snapshot = self.parts.membership.snapshot();
        if let Some((_, log)) = snapshot.roster.log_by_origin(text) {
            return Ok(log.id);
        }
        let hub = snapshot.roster.find(text).map_err(|error| HubError::not_found_text(error.to_string()))?;
        hub.current_log().map(|log| log.id).ok_or_else(|| HubError::not_found("the hub's log"))
    }
}

fn words(list: &Option<String>) -> impl Iterator<Item = &str> {
    list.as_deref().unwrap_or_default().split(',').map(str::trim).filter(|word| !word.is_empty())
}

fn standing_name(status: HubStatus) -> &'static str {
    match status {
        HubStatus::Active => "active",
        HubStatus::Suspended => "suspended",
        HubStatus::Removed => "removed",
        HubStatus::Left => "left",
    }
}

fn custody_name(custody: PqCustody) -> &'static str {
    match custody {
        PqCustody::Token => "token",
        PqCustody::Software => "software",
    }
}

fn label(position: usize, unit: &Unit) -> UnitLabel {
    let kind = cresset_policy::render::kind_name(unit.kind);
    UnitLabel { position, label: format!("{kind} {}", unit.type_name), tlp: unit.marking.tlp.to_string() }
}

fn planned_answer(planned: &Planned, views: Vec<PublishedView>, release: Option<LeafPosition>) -> PublishedObject {
    let plan = &planned.plan;
    let unit_label = |index: u32| {
        let position = usize::try_from(index).unwrap_or(usize::MAX);
        let (label, tlp) = plan.units.get(position).map_or_else(Default::default, |unit| {
            let kind = cresset_policy::render::kind_name(unit.kind);
            (format!("{kind} {}", unit.type_name), unit.marking.tlp.to_string())
        });
        UnitLabel { position, label, tlp }
    };
    let hubs = plan.hubs.iter().map(|hub| HubRelease {
        country: hub.country.to_string(),
        domain: hub.domain.clone(),
        released: hub.released.iter().map(|unit| unit_label(*unit)).collect(),
        held: hub
            .held
            .iter()
            .map(|held| {
                let rule = held.rules.first();
                HeldUnit {
                    unit: unit_label(held.unit),
                    rule: rule.map(|rule| rule.id.clone()).unwrap_or_default(),
                    words: rule.map(|rule| rule.words.clone()).unwrap_or_default(),
                }
            })
            .collect(),
        carrier: match hub.view.and_then(|view| plan.views.get(view)).map(|view| view.carriage) {
            Some(Carriage::Audience) => "audience",
            Some(Carriage::Direct) => "direct",
            None => "nothing",
        }
        .to_owned(),
    });
    PublishedObject {
        uuid: plan.object.hyphenated(),
        version: plan.version.0,
        units: plan.units.len(),
        hubs: hubs.collect(),
        views,
        release,
        warnings: planned.parsed.warnings.iter().map(ToString::to_string).collect(),
    }
}

fn published_answer(parts: &Parts, published: Published) -> Result<PublishedObject, HubError> {
    let (first, size, state) = match published.answer {
        AppendAnswer::Signed { first, size } => (Some(first), Some(size), "signed"),
        AppendAnswer::Pending { first } => (Some(first), None, "pending"),
        AppendAnswer::Queued => (None, None, "pending"),
        AppendAnswer::Repeated { first } => (first, None, "repeated"),
        AppendAnswer::Busy => return Err(HubError::busy()),
        AppendAnswer::TooLarge => {
            return Err(
                HubError::usage("the document makes more leaves than one flush takes").hint("publish it in parts")
            );
        }
        AppendAnswer::Unavailable => return Err(HubError::internal("the log writer does not answer")),
        AppendAnswer::Refused(error) => return Err(HubError::internal(error.to_string())),
    };
    let repeated = state == "repeated";
    let position = |offset: usize| LeafPosition {
        state: state.to_owned(),
        origin: parts.origin.to_string(),
        index: first.filter(|_| !repeated || offset == 0).map(|first| first.0 + offset as u64),
        size: size.map(|size| size.0),
        leaf_hash: published.leaf_hashes.get(offset).filter(|_| !repeated).cloned(),
    };
    let snapshot = parts.membership.snapshot();
    let views = published
        .views
        .iter()
        .filter_map(|leaf| Some((leaf, published.planned.plan.views.get(leaf.view)?)))
        .map(|(leaf, view)| PublishedView {
            recipients: view
                .hubs
                .iter()
                .filter_map(|hub| snapshot.roster.hub(hub).map(|hub| hub.country.to_string()))
                .collect(),
            units: view.units.len(),
            bytes: leaf.bytes,
            direct: view.carriage == Carriage::Direct,
            leaf: position(leaf.position),
        })
        .collect();
    let release = position(published.release);
    Ok(planned_answer(&published.planned, views, Some(release)))
}
