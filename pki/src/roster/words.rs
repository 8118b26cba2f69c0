//! Rosters in words: what a version says and what it changes.

use cresset_protocol::ids::UnixSeconds;
use cresset_protocol::membership::VerifiedRoster;
use cresset_protocol::membership::roster::{HubEntry, RosterBody};
use cresset_protocol::membership::snapshot::Validity;

use crate::clock;
use crate::request::custody;

/// What the new body changes, one line each. Times and version always change and are not listed.
pub(crate) fn changes(old: &RosterBody, new: &RosterBody) -> Vec<String> {
    let mut lines = Vec::new();
    for hub in &new.hubs {
        match old.hubs.iter().find(|before| before.id == hub.id) {
            None => lines.push(format!("+ hub {} {} ({})", hub.country, hub.domain, hub.id)),
            Some(before) => lines.extend(hub_changes(before, hub)),
        }
    }
    for group in &new.groups {
        match old.groups.iter().find(|before| before.id == group.id) {
            None => lines.push(format!("+ sharing group {}", group.id)),
            Some(before) if before.version != group.version => {
                lines.push(format!("~ sharing group {}: version {} to {}", group.id, before.version, group.version));
            }
            Some(_) => {}
        }
    }
    let dissolved = old.groups.iter().filter(|group| !new.groups.iter().any(|next| next.id == group.id));
    lines.extend(dissolved.map(|group| format!("- sharing group {}", group.id)));
    let whole = [
        ("name", old.name != new.name),
        ("officers", old.officers != new.officers),
        ("quorum", old.quorum != new.quorum),
        ("suites", old.suites != new.suites),
        ("root certificate", old.root_certificate != new.root_certificate),
        ("policy bundle", old.policy != new.policy),
        ("protocol versions", old.versions != new.versions),
        ("exceptions", old.exceptions != new.exceptions),
    ];
    lines.extend(whole.iter().filter(|(_, changed)| *changed).map(|(what, _)| format!("~ {what}")));
    lines
}

fn hub_changes(old: &HubEntry, new: &HubEntry) -> Vec<String> {
    if old == new {
        return Vec::new();
    }
    if old.status != new.status {
        let (from, to) = (old.status.word(), new.status.word());
        return vec![format!("~ hub {} {}: {from} to {to}", new.country, new.domain)];
    }
    let fields = [
        ("domain", old.domain != new.domain),
        ("jurisdiction", old.jurisdiction != new.jurisdiction),
        ("roles", old.roles != new.roles),
        ("tls keys", old.tls_keys != new.tls_keys),
        ("authentication key", old.authentication_key != new.authentication_key),
        ("logs", old.logs != new.logs),
        ("encryption keys", old.encryption_keys != new.encryption_keys),
        ("recovery key", old.recovery_key != new.recovery_key),
        ("endpoints", old.endpoints != new.endpoints),
        ("custody of post-quantum keys", old.pq != new.pq),
    ];
    let changed: Vec<_> = fields.iter().filter(|(_, changed)| *changed).map(|(what, _)| *what).collect();
    vec![format!("~ hub {} {}: {}", new.country, new.domain, changed.join(", "))]
}

/// A verified roster in words.
pub(crate) fn describe(roster: &VerifiedRoster, now: UnixSeconds) -> Vec<String> {
    let body = roster.body();
    let roles: Vec<_> = body.officers.iter().map(|officer| officer.role.as_str()).collect();
    let mut lines = vec![
        format!("Roster version {} of `{}`", body.version, body.name),
        format!("  consortium id  {}", roster.consortium()),
        format!("  digest         {}", roster.digest()),
        format!("  issued         {}", clock::words(body.issued)),
        format!("  expires        {} ({})", clock::words(body.expires), validity_word(roster.validity(now))),
        format!("  officers       {} (quorum {} of {})", roles.join(", "), body.quorum, roles.len()),
        format!("  hubs           {}, sharing groups {}", body.hubs.len(), body.groups.len()),
    ];
    for hub in &body.hubs {
        let endpoint = hub.endpoints.first().map_or_else(String::new, |e| format!(" {}:{}", e.host, e.port));
        lines.push(format!(
            "    {} {:<9} {:<28} {}{endpoint} pq: {}",
            hub.country, hub.status.word(), hub.domain, hub.id, custody(hub.pq)
        ));
    }
    lines.extend(roster.warnings(now).iter().map(|warning| format!("  warning: {warning}")));
    lines
}

/// Where the roster stands in its life, in a word.
pub(crate) fn validity_word(validity: Validity) -> &'static str {
    match validity {
        Validity::Current => "in force",
        Validity::Grace => "expired, in grace",
        Validity::Expired => "expired",
    }
}
