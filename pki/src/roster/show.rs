//! Shows and verifies a chain.

use cresset_protocol::ids::UnixSeconds;
use cresset_protocol::membership::{RosterChain, VerifiedRoster};
use serde_json::{Value, json};

use super::words;
use crate::cli::{ShowArguments, VerifyArguments};
use crate::error::PkiError;
use crate::report::Report;
use crate::{clock, membership};

pub(super) fn show(arguments: &ShowArguments) -> Result<Report, PkiError> {
    let chain = match &arguments.consortium {
        Some(id) => membership::verify(&arguments.roster, &membership::parse_id(id)?)?,
        None => membership::verify_in_itself(&arguments.roster)?,
    };
    let mut lines = words::describe(&chain.current(), clock::now());
    if arguments.consortium.is_none() {
        lines.push("  note: consistent in itself; pass --consortium to know that it is yours".to_owned());
    }
    Ok(Report::new(lines, to_json(&chain, clock::now())))
}

pub(super) fn verify(arguments: &VerifyArguments) -> Result<Report, PkiError> {
    let chain = membership::verify(&arguments.roster, &membership::parse_id(&arguments.consortium)?)?;
    let mut lines = Vec::new();
    for roster in chain.iter() {
        let roles: Vec<_> = roster.signed().signatures.iter().map(|signature| signature.role.as_str()).collect();
        lines.push(format!("ok  version {:>4}  {}  signed by {}", roster.version(), roster.digest(), roles.join(", ")));
    }
    let current = chain.current();
    let word = words::validity_word(current.validity(clock::now()));
    lines.push(format!("The chain verifies; version {} is {word}.", current.version()));
    Ok(Report::new(lines, to_json(&chain, clock::now())))
}

fn to_json(chain: &RosterChain, now: UnixSeconds) -> Value {
    let roster: &VerifiedRoster = &chain.current();
    let hub = |hub: &cresset_protocol::membership::roster::HubEntry| {
        json!({
            "id": hub.id.to_string(), "country": hub.country.to_string(), "domain": hub.domain,
            "status": hub.status.word(), "log": hub.current_log().map(|log| log.id.to_string()),
            "pq": crate::request::custody(hub.pq), "roles": hub.roles,
        })
    };
    json!({
        "consortium": roster.consortium().to_string(), "name": roster.body().name, "version": roster.version().0,
        "digest": roster.digest().to_string(), "issued": roster.body().issued.0, "expires": roster.body().expires.0,
        "validity": words::validity_word(roster.validity(now)), "quorum": roster.body().quorum,
        "officers": roster.body().officers.iter().map(|officer| &officer.role).collect::<Vec<_>>(),
        "hubs": roster.hubs().iter().map(hub).collect::<Vec<_>>(), "groups": roster.body().groups.len(),
        "warnings": roster.warnings(now).iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}
