//! What a version changes, field by field: an officer signs what these lines say, so nothing that changed is left out.
//!
//! Keys stand as the first 16 hexadecimal digits of a SHA-256: of the SubjectPublicKeyInfo for P-384, of the raw key
//! otherwise.

use std::fmt::Write;

use cresset_protocol::membership::digest::p384_spki_digest;
use cresset_protocol::membership::roster::{GroupEntry, HubEntry, LogEntry, LogKeyPeriod, Officer, RosterBody};
use cresset_protocol::signing::P384PublicKey;
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use crate::clock;
use crate::request::custody;

/// Octets of a key's digest that people compare.
const SHOWN_BYTES: usize = 8;
const NOTHING: &str = "none";

type Field = (&'static str, String);

/// What the new body changes. Version, predecessors and times always change and are not listed; the nonce never does.
pub(crate) fn changes(old: &RosterBody, new: &RosterBody) -> Vec<String> {
    let mut lines = hub_lines(&old.hubs, &new.hubs);
    lines.extend(group_lines(&old.groups, &new.groups));
    lines.extend(officer_lines(&old.officers, &new.officers));
    lines.extend(differences(&whole(old), &whole(new)).map(|difference| format!("~ {difference}")));
    lines
}

/// Whether a group's entry says anything else than before; another encryption of the same document counts.
pub(super) fn is_changed(old: &RosterBody, group: &GroupEntry) -> bool {
    !old.groups.contains(group)
}

fn hub_lines(old: &[HubEntry], new: &[HubEntry]) -> Vec<String> {
    let mut lines = Vec::new();
    for hub in new {
        let name = format!("hub {} {} ({})", hub.country, hub.domain, hub.id);
        match old.iter().find(|before| before.id == hub.id) {
            None => {
                lines.push(format!("+ {name}"));
                lines.extend(hub_fields(hub).into_iter().map(|(what, value)| format!("    {what}: {value}")));
            }
            Some(before) => {
                let (was, is) = (hub_fields(before), hub_fields(hub));
                let changed: Vec<_> = differences(&was, &is).collect();
                if !changed.is_empty() {
                    lines.push(format!("~ {name}"));
                    lines.extend(changed.into_iter().map(|difference| format!("    {difference}")));
                }
            }
        }
    }
    let gone = old.iter().filter(|before| !new.iter().any(|hub| hub.id == before.id));
    lines.extend(gone.map(|hub| format!("- hub {} {} ({})", hub.country, hub.domain, hub.id)));
    lines
}

fn group_lines(old: &[GroupEntry], new: &[GroupEntry]) -> Vec<String> {
    let mut lines = Vec::new();
    for group in new {
        match old.iter().find(|before| before.id == group.id) {
            None => lines.push(format!("+ sharing group {}", group.id)),
            Some(before) if before.version != group.version => {
                lines.push(format!("~ sharing group {}: version {} to {}", group.id, before.version, group.version));
            }
            Some(before) if before.commitment != group.commitment => {
                lines.push(format!("~ sharing group {}: other content, same version", group.id));
            }
            Some(before) if before.document != group.document => {
                lines.push(format!("~ sharing group {}: encrypted anew, same content", group.id));
            }
            Some(_) => {}
        }
    }
    let dissolved = old.iter().filter(|group| !new.iter().any(|next| next.id == group.id));
    lines.extend(dissolved.map(|group| format!("- sharing group {}", group.id)));
    lines
}

fn officer_lines(old: &[Officer], new: &[Officer]) -> Vec<String> {
    let mut lines = Vec::new();
    for officer in new {
        match old.iter().find(|before| before.role == officer.role) {
            None => {
                lines.push(format!("+ officer {}", officer.role));
                lines.extend(officer_fields(officer).into_iter().map(|(what, value)| format!("    {what}: {value}")));
            }
            Some(before) if before != officer => {
                lines.push(format!("~ officer {}", officer.role));
                let (was, is) = (officer_fields(before), officer_fields(officer));
                lines.extend(differences(&was, &is).map(|difference| format!("    {difference}")));
            }
            Some(_) => {}
        }
    }
    let gone = old.iter().filter(|before| !new.iter().any(|officer| officer.role == before.role));
    lines.extend(gone.map(|officer| format!("- officer {}", officer.role)));
    lines
}

/// Both lists name the same fields in the same order.
fn differences<'a>(old: &'a [Field], new: &'a [Field]) -> impl Iterator<Item = String> + 'a {
    let pairs = old.iter().zip(new).filter(|(was, is)| was != is);
    pairs.map(|((what, was), (_, is))| format!("{what}: {was} -> {is}"))
}

// The patterns below name every field, so that a new one cannot be forgotten here.

fn whole(body: &RosterBody) -> Vec<Field> {
    let RosterBody {
        version: _,
        name,
        nonce,
        consortium: _,
        predecessors: _,
        issued: _,
        expires: _,
        officers: _,
        quorum,
        suites,
        root_certificate,
        hubs: _,
        groups: _,
        policy,
        versions,
        exceptions,
    } = body;
    vec![
        ("name", name.clone()),
        ("nonce", shown(nonce)),
        ("quorum", quorum.to_string()),
        ("suites", list(suites.iter().map(|suite| suite.name().to_owned()))),
        ("root certificate", shown(root_certificate)),
        ("policy bundle", policy.as_ref().map_or_else(|| NOTHING.to_owned(), ToString::to_string)),
        ("protocol versions", format!("{} to {}", versions.min, versions.max)),
        ("exceptions", list(exceptions.iter().cloned())),
    ]
}

fn officer_fields(officer: &Officer) -> Vec<Field> {
    let Officer { role: _, keys, encryption } = officer;
    vec![
        ("p-384 key", p384(&keys.p384)),
        ("ml-dsa-87 key", key(keys.ml_dsa_87.as_bytes())),
        ("encryption key", key(encryption.as_bytes())),
    ]
}

fn hub_fields(hub: &HubEntry) -> Vec<Field> {
    let HubEntry {
        id: _,
        country,
        jurisdiction,
        domain,
        status,
        roles,
        tls_keys,
        authentication_key,
        logs,
        encryption_keys,
        recovery_key,
        endpoints,
        pq,
    } = hub;
    let encryption = encryption_keys.iter().map(|entry| {
        format!("period {} from {} {}", entry.period, clock::words(entry.active_from), key(entry.key.as_bytes()))
    });
    vec![
        ("country", country.to_string()),
        ("jurisdiction", jurisdiction.to_string()),
        ("domain", domain.clone()),
        ("status", status.word().to_owned()),
        ("roles", list(roles.iter().cloned())),
        ("tls keys", list(tls_keys.iter().map(|digest| shown(digest.as_bytes())))),
        ("authentication key", key(authentication_key.as_bytes())),
        ("logs", list(logs.iter().map(log_words))),
        ("encryption keys", list(encryption)),
        ("recovery key", key(recovery_key.as_bytes())),
        ("endpoints", list(endpoints.iter().map(|at| format!("{}:{} on {}", at.host, at.port, at.network)))),
        ("custody of post-quantum keys", custody(*pq).to_owned()),
    ]
}

fn log_words(log: &LogEntry) -> String {
    let LogEntry { id, origin, keys } = log;
    let mut words = format!("{origin} ({})", shown(id.as_bytes()));
    for LogKeyPeriod { from, until, keys } in keys {
        let until = until.map_or_else(|| "open".to_owned(), clock::words);
        let (classical, post_quantum) = (p384(&keys.p384), key(keys.ml_dsa_65.as_bytes()));
        // Writing to a string cannot fail.
        let _ = write!(words, " [{} to {until}: {classical}, {post_quantum}]", clock::words(*from));
    }
    words
}

fn list(items: impl Iterator<Item = String>) -> String {
    let items: Vec<String> = items.collect();
    if items.is_empty() { NOTHING.to_owned() } else { items.join(", ") }
}

fn p384(key: &P384PublicKey) -> String {
    shown(p384_spki_digest(key).as_bytes())
}

fn key(bytes: &[u8]) -> String {
    shown(&Sha256::digest(bytes))
}

fn shown(digest: &[u8]) -> String {
    HEXLOWER.encode(digest.get(..SHOWN_BYTES).unwrap_or(digest))
}
