//! Makes the unsigned body of the next version.

use std::path::PathBuf;

use cresset_crypto::Verifier;
use cresset_protocol::codec;
use cresset_protocol::ids::{Country, HubId, PolicyDigest, RosterVersion, UnixSeconds};
use cresset_protocol::limits::STATEMENT_BYTES_MAX;
use cresset_protocol::membership::VerifiedRoster;
use cresset_protocol::membership::approval::Approval;
use cresset_protocol::membership::digest::roster_digest;
use cresset_protocol::membership::roster::{HubEntry, HubStatus, RosterBody};
use cresset_protocol::membership::snapshot::FindHubError;
use cresset_protocol::membership::verify::check_unsigned;
use serde_json::json;

use super::{changes, groups};
use crate::cli::NextArguments;
use crate::clock::{self, DAY};
use crate::error::PkiError;
use crate::report::Report;
use crate::{files, membership, request};

pub(super) fn run(arguments: &NextArguments) -> Result<Report, PkiError> {
    let prev = membership::load(&arguments.chain)?.current();
    let now = clock::now();
    let mut body = prev.body().clone();
    body.version = RosterVersion(prev.version().0.saturating_add(1));
    body.consortium = Some(prev.consortium());
    body.predecessors = vec![prev.digest()];
    body.issued = now;
    body.expires = UnixSeconds(now.0.saturating_add(arguments.days.saturating_mul(DAY)));

    admit(&prev, &mut body, arguments)?;
    set_status(&mut body, &arguments.suspend, HubStatus::Suspended)?;
    set_status(&mut body, &arguments.reinstate, HubStatus::Active)?;
    set_status(&mut body, &arguments.remove, HubStatus::Removed)?;
    set_roles(&mut body, &arguments.roles)?;
    body.exceptions.extend(arguments.exception.iter().cloned());
    if let Some(hex) = &arguments.policy {
        let digest = PolicyDigest::from_hex(hex);
        body.policy = Some(digest.map_err(|_| PkiError::BadValue { what: "policy digest", value: hex.clone() })?);
    }
    groups::rebuild(&prev, &mut body, arguments)?;

    let changes = changes::changes(prev.body(), &body);
    if changes.is_empty() && !arguments.renew {
        return Err(PkiError::NoChange);
    }
    let bytes = codec::encode(&body);
    check_unsigned(&prev, &bytes, now)?;
    files::write(&arguments.out, &bytes)?;
    let digest = roster_digest(&bytes);
    let mut lines = vec![format!("Version {} of `{}`, not signed yet", body.version, body.name)];
    lines.push(format!("  digest {digest}"));
    lines.extend(changes.iter().map(|change| format!("  {change}")));
    lines.push(format!(
        "  written to {}; {} of {} officers sign it",
        arguments.out.display(),
        prev.body().quorum,
        prev.body().officers.len()
    ));
    let json = json!({
        "version": body.version.0, "digest": digest.to_string(), "changes": changes, "file": arguments.out,
    });
    Ok(Report::new(lines, json))
}

/// A hub in standing of a body under construction: country, domain or hub id.
pub(super) fn find(body: &RosterBody, text: &str) -> Result<HubId, PkiError> {
    let country = Country::parse(&text.to_ascii_uppercase()).ok();
    let fits = |hub: &&HubEntry| {
        hub.status.in_standing()
            && (hub.domain == text
                || Some(hub.country) == country
                || HubId::from_hex(text).is_ok_and(|id| id == hub.id))
    };
    let mut hubs = body.hubs.iter().filter(fits);
    let first = hubs.next().ok_or_else(|| FindHubError::Unknown(text.to_owned()))?;
    match (hubs.next(), country) {
        (Some(_), Some(country)) => Err(FindHubError::Ambiguous(country).into()),
        _ => Ok(first.id),
    }
}

fn admit(prev: &VerifiedRoster, body: &mut RosterBody, arguments: &NextArguments) -> Result<(), PkiError> {
    let read = |path: &PathBuf| Ok(Approval::from_bytes(&files::read(path, STATEMENT_BYTES_MAX)?)?);
    let approvals: Vec<Approval> = arguments.approval.iter().map(read).collect::<Result<_, PkiError>>()?;
    let now = clock::now();
    let mut used = 0;
    for path in &arguments.request {
        let request = request::load(path, &prev.consortium())?;
        let mut own = Vec::new();
        for approval in &approvals {
            if approval.verify(prev, now, &Verifier)?.request == *request.digest() {
                own.push(approval.clone());
            }
        }
        used += own.len();
        let approved = request.approve(&own, prev, now, &Verifier)?;
        body.hubs.push(approved.request().to_hub_entry());
    }
    if used < approvals.len() {
        return Err(PkiError::BadValue { what: "approval", value: "of none of the requests".to_owned() });
    }
    body.hubs.sort_by_key(|hub| hub.id);
    Ok(())
}

fn set_status(body: &mut RosterBody, hubs: &[String], status: HubStatus) -> Result<(), PkiError> {
    for text in hubs {
        let id = find(body, text)?;
        body.hubs.iter_mut().filter(|hub| hub.id == id).for_each(|hub| hub.status = status);
    }
    Ok(())
}

fn set_roles(body: &mut RosterBody, roles: &[String]) -> Result<(), PkiError> {
    for text in roles {
        let bad = || PkiError::BadValue { what: "role list (HUB=ROLE,ROLE)", value: text.clone() };
        let (hub, names) = text.split_once('=').ok_or_else(bad)?;
        let id = find(body, hub)?;
        let names = names.split(',').filter(|name| !name.is_empty()).map(str::to_owned);
        if let Some(hub) = body.hubs.iter_mut().find(|hub| hub.id == id) {
            hub.roles = names.collect();
        }
    }
    Ok(())
}
