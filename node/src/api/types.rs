//! What the control API speaks: requests and answers of the one HTTP + JSON API that CLI, gateways and dashboard share.
//!
//! Wire types only. Identifiers are text as people write them: countries, domains, hexadecimal, hyphenated UUIDs.

use serde::{Deserialize, Serialize};

/// `POST /v1/publish?group=&to=&only=&lane=&dry_run=` with the native document as body.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PublishQuery {
    /// Sharing groups by name or hexadecimal id, comma-separated.
    #[serde(default)]
    pub(crate) group: Option<String>,
    /// Hubs by country, domain or hexadecimal id, comma-separated.
    #[serde(default)]
    pub(crate) to: Option<String>,
    /// Release GREEN and CLEAR to the addressed hubs only.
    #[serde(default)]
    pub(crate) only: bool,
    /// `urgent` or `normal`.
    #[serde(default)]
    pub(crate) lane: Lane,
    /// Decide and explain, release nothing.
    #[serde(default)]
    pub(crate) dry_run: bool,
}

/// The two lanes of the writer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Lane {
    /// Signed within about a second.
    #[default]
    Normal,
    /// Signed at once.
    Urgent,
}

/// Answer of a publish call, and of a dry run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PublishAnswer {
    /// Per object of the document.
    pub(crate) objects: Vec<PublishedObject>,
}

/// What became of one object.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PublishedObject {
    /// Hyphenated UUID.
    pub(crate) uuid: String,
    /// Version.
    pub(crate) version: u64,
    /// Units in the object.
    pub(crate) units: usize,
    /// What each other hub gets.
    pub(crate) hubs: Vec<HubRelease>,
    /// One leaf per view that was released; empty for a dry run.
    pub(crate) views: Vec<PublishedView>,
    /// Leaf of the decision record; `None` for a dry run.
    pub(crate) release: Option<LeafPosition>,
    /// Warnings of parser and policy, for people.
    pub(crate) warnings: Vec<String>,
}

/// What one hub gets of an object.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct HubRelease {
    /// Two letters.
    pub(crate) country: String,
    /// DNS name.
    pub(crate) domain: String,
    /// Units released, by their label.
    pub(crate) released: Vec<UnitLabel>,
    /// Units held back.
    pub(crate) held: Vec<HeldUnit>,
    /// `audience`, `direct` or `nothing`.
    pub(crate) carrier: String,
}

/// A unit named without its value.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct UnitLabel {
    /// Position in the document, from 0.
    pub(crate) position: usize,
    /// For example `attribute ip-dst`.
    pub(crate) label: String,
    /// Effective TLP.
    pub(crate) tlp: String,
}

/// A unit that a hub does not get, and why.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct HeldUnit {
    /// The unit.
    pub(crate) unit: UnitLabel,
    /// Id of the rule that held it.
    pub(crate) rule: String,
    /// The rule in words.
    pub(crate) words: String,
}

/// One released view.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PublishedView {
    /// Countries of the hubs that can open it.
    pub(crate) recipients: Vec<String>,
    /// Units in it.
    pub(crate) units: usize,
    /// Padded bytes of the envelope.
    pub(crate) bytes: u64,
    /// Whether it goes by direct delivery.
    pub(crate) direct: bool,
    /// Where it stands.
    pub(crate) leaf: LeafPosition,
}

/// Where a leaf stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LeafPosition {
    /// `signed` or `pending`.
    pub(crate) state: String,
    /// Origin of the log.
    pub(crate) origin: String,
    /// Index; absent while the start-up gate holds publishes.
    pub(crate) index: Option<u64>,
    /// Size of the signed tree that includes it; absent while pending.
    pub(crate) size: Option<u64>,
    /// Hexadecimal leaf hash; absent while the gate holds publishes.
    pub(crate) leaf_hash: Option<String>,
}

/// `GET /v1/search?q=&limit=`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SearchQuery {
    /// An observable value, exact.
    pub(crate) q: String,
    /// At most this many hits.
    #[serde(default)]
    pub(crate) limit: Option<usize>,
}

/// Objects that hold the value.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SearchAnswer {
    /// The hits, newest first.
    pub(crate) objects: Vec<ObjectSummary>,
}

/// One stored object, own or received.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ObjectSummary {
    /// Hyphenated UUID.
    pub(crate) uuid: String,
    /// Version.
    pub(crate) version: u64,
    /// Origin of the log that owns it.
    pub(crate) origin: String,
    /// Country of the owner.
    pub(crate) country: String,
    /// Units that this hub holds.
    pub(crate) units: usize,
    /// Strictest TLP among them.
    pub(crate) tlp: String,
    /// Media type.
    pub(crate) media_type: String,
    /// When it was stored, POSIX seconds.
    pub(crate) stored_at: u64,
    /// Its PUBLISH leaf.
    pub(crate) leaf: LeafPosition,
}

/// `GET /v1/objects/{uuid}`: the newest version that this hub holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ObjectAnswer {
    /// Summary.
    pub(crate) summary: ObjectSummary,
    /// Each unit held, with its marking.
    pub(crate) units: Vec<UnitLabel>,
    /// The native document rebuilt from what this hub holds.
    pub(crate) native: serde_json::Value,
    /// Anchoring level of its leaf.
    pub(crate) anchoring: Anchoring,
    /// Proof that the leaf is in the owner's log, verified just now.
    pub(crate) included: bool,
}

/// How firmly a leaf is anchored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Anchoring {
    /// `pending`, `signed` or `confirmed`.
    pub(crate) level: String,
    /// Other Member States whose logs name a head that includes it.
    pub(crate) confirmed_by: Vec<String>,
    /// Other Member States with an active hub.
    pub(crate) of: usize,
}

/// `GET /v1/log?origin=&from=&limit=`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LogQuery {
    /// Country, domain or origin of the log; this hub's own if absent.
    #[serde(default)]
    pub(crate) origin: Option<String>,
    /// First index; the tail if absent.
    #[serde(default)]
    pub(crate) from: Option<u64>,
    /// At most this many.
    #[serde(default)]
    pub(crate) limit: Option<u64>,
}

/// A stretch of one log.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LogAnswer {
    /// Origin line.
    pub(crate) origin: String,
    /// Hexadecimal log id.
    pub(crate) log_id: String,
    /// Size held.
    pub(crate) size: u64,
    /// Hexadecimal root of that size.
    pub(crate) root: String,
    /// The newest note.
    pub(crate) note: Option<String>,
    /// The leaves asked for.
    pub(crate) leaves: Vec<LeafAnswer>,
}

/// One leaf.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LeafAnswer {
    /// Index.
    pub(crate) index: u64,
    /// `PUBLISH`, `PRIVATE`...
    pub(crate) kind: String,
    /// POSIX seconds by the origin's clock.
    pub(crate) time: u64,
    /// Whether it went on the URGENT lane.
    pub(crate) urgent: bool,
    /// Hexadecimal leaf hash.
    pub(crate) leaf_hash: String,
    /// What this hub knows of its opening, for people; never a payload.
    pub(crate) summary: Option<String>,
}

/// `GET /v1/peers`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PeersAnswer {
    /// Every other hub of the roster.
    pub(crate) peers: Vec<PeerAnswer>,
}

/// One other hub.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PeerAnswer {
    /// Two letters.
    pub(crate) country: String,
    /// DNS name.
    pub(crate) domain: String,
    /// Hexadecimal hub id.
    pub(crate) hub: String,
    /// `active`, `suspended`, `removed`, `left`.
    pub(crate) standing: String,
    /// `connected`, `limited`, `away`.
    pub(crate) connection: String,
    /// Size of this hub's mirror of its log.
    pub(crate) mirrored: u64,
    /// Leaves known to exist and not yet held.
    pub(crate) lag: u64,
    /// Last checkpoint time seen, POSIX seconds.
    pub(crate) head_time: Option<u64>,
    /// Where its post-quantum keys live.
    pub(crate) pq: String,
}

/// `GET /v1/status`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct StatusAnswer {
    /// Country and domain of this hub.
    pub(crate) hub: String,
    /// Consortium name and hexadecimal id.
    pub(crate) consortium: String,
    /// Hexadecimal consortium id.
    pub(crate) consortium_id: String,
    /// Roster version in force.
    pub(crate) roster_version: u64,
    /// POSIX seconds at which it expires.
    pub(crate) roster_expires: u64,
    /// Origin of the own log.
    pub(crate) origin: String,
    /// Leaves in the own log.
    pub(crate) size: u64,
    /// Size of the last signed head.
    pub(crate) signed_size: u64,
    /// `open`, or why publishes wait.
    pub(crate) gate: String,
    /// Connected peers.
    pub(crate) peers: usize,
    /// Objects stored.
    pub(crate) objects: u64,
    /// Leaves of others not yet held.
    pub(crate) lag: u64,
    /// Envelopes not yet fetched.
    pub(crate) envelopes_missing: u64,
    /// Direct deliveries waiting for their recipient.
    pub(crate) outbox: u64,
    /// Objects or units waiting for a human.
    pub(crate) review: u64,
    /// `token` or `software`.
    pub(crate) pq: String,
    /// Sharing groups that this hub is in, by name.
    pub(crate) groups: Vec<String>,
    /// Things that need attention, for people.
    pub(crate) warnings: Vec<String>,
    /// POSIX seconds since start.
    pub(crate) uptime_s: u64,
}

/// `POST /v1/export` writes an audit bundle into a directory on the hub's machine.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExportRequest {
    /// Absolute path of a directory that does not exist yet.
    pub(crate) directory: String,
}

/// What was exported.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ExportAnswer {
    /// The directory.
    pub(crate) directory: String,
    /// Files written.
    pub(crate) files: u64,
    /// Leaves, own and mirrored.
    pub(crate) leaves: u64,
}

/// `POST /v1/roster` with a signed roster file as body: adopts the next version.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RosterAnswer {
    /// Version now in force.
    pub(crate) version: u64,
    /// Active hubs.
    pub(crate) hubs: usize,
}

/// Any refusal: what failed, and what to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ErrorAnswer {
    /// Stable code, for scripts (`busy`, `not-found`, `refused`...).
    pub(crate) code: String,
    /// For people.
    pub(crate) error: String,
    /// What to do next.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) hint: Option<String>,
}
