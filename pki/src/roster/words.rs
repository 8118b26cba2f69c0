//! Rosters in words: what a version says.

use cresset_protocol::ids::UnixSeconds;
use cresset_protocol::membership::VerifiedRoster;
use cresset_protocol::membership::snapshot::Validity;

use crate::clock;
use crate::request::custody;

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
            hub.country,
            hub.status.word(),
            hub.domain,
            hub.id,
            custody(hub.pq)
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
