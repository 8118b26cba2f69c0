//! The other answers of the hub in words.

use super::publish::leaf;
use super::table::Table;
use super::{clean, span, time};
use crate::api::types::{
    Anchoring, ExportAnswer, LogAnswer, ObjectAnswer, PeersAnswer, RosterAnswer, SearchAnswer, StatusAnswer,
};

/// Hits of a search.
pub(crate) fn search(answer: &SearchAnswer) -> String {
    let mut table = Table::headed(0, &["uuid", "from", "tlp", "units", "stored", "leaf"]);
    for object in &answer.objects {
        let (units, stored) = (object.units.to_string(), time(object.stored_at));
        // The origin is as good as named by the country; `show` has all of it.
        let leaf = object.leaf.index.map_or_else(|| "pending".to_owned(), |index| format!("#{index}"));
        table.row([&object.uuid, &object.country, &object.tlp, &units, &stored, &leaf]);
    }
    table.render()
}

/// One object: where it stands, its units, its native form.
pub(crate) fn object(answer: &ObjectAnswer) -> String {
    let summary = &answer.summary;
    let mut facts = Table::new(0);
    facts.row(["object", &format!("{} version {}", summary.uuid, summary.version)]);
    facts.row(["from", &format!("{} ({})", summary.country, summary.origin)]);
    facts.row(["format", &summary.media_type]);
    facts.row(["strictest", &summary.tlp]);
    facts.row(["stored", &time(summary.stored_at)]);
    facts.row(["leaf", &format!("{}, {}", leaf(&summary.leaf), anchoring(&answer.anchoring))]);
    let included = if answer.included { "verified just now" } else { "NOT VERIFIED" };
    facts.row(["inclusion", included]);
    let mut units = Table::headed(0, &["unit", "tlp", "what"]);
    for unit in &answer.units {
        units.row([&format!("#{}", unit.position), &unit.tlp, &unit.label]);
    }
    // JSON strings escape control characters by themselves; what reorders text is made visible line by line.
    let native = serde_json::to_string_pretty(&answer.native).unwrap_or_default();
    let native: Vec<String> = native.lines().map(clean).collect();
    format!("{}\n{}\n{}\n", facts.render(), units.render(), native.join("\n"))
}

fn anchoring(anchoring: &Anchoring) -> String {
    if anchoring.confirmed_by.is_empty() {
        return anchoring.level.clone();
    }
    let by = anchoring.confirmed_by.join(" ");
    format!("{} by {} of {} other Member States ({by})", anchoring.level, anchoring.confirmed_by.len(), anchoring.of)
}

/// A stretch of a log.
pub(crate) fn log(answer: &LogAnswer) -> String {
    let mut facts = Table::new(0);
    facts.row(["log", &answer.origin]);
    facts.row(["id", &answer.log_id]);
    facts.row(["size", &answer.size.to_string()]);
    facts.row(["root", &answer.root]);
    let mut leaves = Table::headed(0, &["index", "kind", "time", "lane", "leaf hash", "what"]);
    for entry in &answer.leaves {
        let lane = if entry.urgent { "urgent" } else { "" };
        let hash: String = entry.leaf_hash.chars().take(HASH_DIGITS).collect();
        let what = entry.summary.as_deref().unwrap_or_default();
        leaves.row([&entry.index.to_string(), &entry.kind, &time(entry.time), lane, &hash, what]);
    }
    format!("{}\n{}", facts.render(), leaves.render())
}

/// Enough to tell leaves apart; `--json` has all of it.
const HASH_DIGITS: usize = 12;

/// The other hubs.
pub(crate) fn peers(answer: &PeersAnswer) -> String {
    let mut table = Table::headed(0, &["hub", "domain", "standing", "session", "mirrored", "lag", "pq", "head"]);
    for peer in &answer.peers {
        let head = peer.head_time.map_or_else(|| "never seen".to_owned(), time);
        let (mirrored, lag) = (peer.mirrored.to_string(), peer.lag.to_string());
        table.row([&peer.country, &peer.domain, &peer.standing, &peer.connection, &mirrored, &lag, &peer.pq, &head]);
    }
    table.render()
}

/// The hub itself.
pub(crate) fn status(answer: &StatusAnswer) -> String {
    let mut table = Table::new(0);
    table.row(["hub", &answer.hub]);
    table.row(["consortium", &format!("{} ({})", answer.consortium, answer.consortium_id)]);
    table.row(["roster", &format!("version {}, until {}", answer.roster_version, time(answer.roster_expires))]);
    let groups = if answer.groups.is_empty() { "none".to_owned() } else { answer.groups.join(", ") };
    table.row(["groups", &groups]);
    table.row(["log", &format!("{}: {} leaves, {} signed", answer.origin, answer.size, answer.signed_size)]);
    table.row(["signing", &answer.gate]);
    table.row([
        "post-quantum keys",
        &format!("on {}", if answer.pq == "token" { "the token" } else { "disk, wrapped by the token" }),
    ]);
    table.row(["peers", &format!("{} connected, {} leaves behind", answer.peers, answer.lag)]);
    table.row(["objects", &answer.objects.to_string()]);
    let waiting = format!(
        "{} envelopes to fetch, {} deliveries to make, {} for review",
        answer.envelopes_missing, answer.outbox, answer.review
    );
    table.row(["waiting", &waiting]);
    table.row(["up", &span(answer.uptime_s)]);
    for warning in &answer.warnings {
        table.row(["warning", warning]);
    }
    table.render()
}

/// An adopted roster.
pub(crate) fn roster(answer: &RosterAnswer) -> String {
    format!("Roster version {} is in force: {} active hubs.\n", answer.version, answer.hubs)
}

/// A written bundle.
pub(crate) fn export(answer: &ExportAnswer) -> String {
    let directory = clean(&answer.directory);
    format!("Wrote {} leaves in {} files to {directory}\n", answer.leaves, answer.files)
}
