//! Enrolment requests: review, approve, reject.

use std::path::Path;

use cresset_crypto::Verifier;
use cresset_protocol::ids::ConsortiumId;
use cresset_protocol::limits::ENROLMENT_BYTES_MAX;
use cresset_protocol::membership::VerifiedRoster;
use cresset_protocol::membership::approval::{ApprovalBody, Verdict};
use cresset_protocol::membership::enrolment::{CheckedRequest, EnrolmentRequest};
use cresset_protocol::membership::roster::PqCustody;
use data_encoding::HEXLOWER;
use serde_json::{Value, json};

use crate::certificate::check_request;
use crate::cli::{ApproveArguments, ChainArguments, RejectArguments, RequestCommand, ReviewArguments};
use crate::error::PkiError;
use crate::keyholder::Keyholder;
use crate::report::Report;
use crate::{clock, files, membership, officer};

pub(crate) fn run(command: &RequestCommand) -> Result<Report, PkiError> {
    match command {
        RequestCommand::Review(arguments) => review(arguments),
    }
}

/// Reads a request and makes every check that needs no roster: form, age, possession, PKCS#10.
pub(crate) fn load(path: &Path, consortium: &ConsortiumId) -> Result<CheckedRequest, PkiError> {
    let request = EnrolmentRequest::from_bytes(&files::read(path, ENROLMENT_BYTES_MAX)?)?;
    let checked = request.check(consortium, clock::now(), &Verifier)?;
    check_request(&checked.body().csr, &checked.body().tls_key)?;
    Ok(checked)
}

pub(crate) fn approve(arguments: &ApproveArguments) -> Result<Report, PkiError> {
    let decision = Decision {
        request: &arguments.request,
        chain: &arguments.chain,
        officer: &arguments.officer,
        out: &arguments.out,
        verdict: Verdict::Approve,
        reason: arguments.reason.clone(),
    };
    decide(decision)
}

pub(crate) fn reject(arguments: &RejectArguments) -> Result<Report, PkiError> {
    let decision = Decision {
        request: &arguments.request,
        chain: &arguments.chain,
        officer: &arguments.officer,
        out: &arguments.out,
        verdict: Verdict::Reject,
        reason: Some(arguments.reason.clone()),
    };
    decide(decision)
}

struct Decision<'a> {
    request: &'a Path,
    chain: &'a ChainArguments,
    officer: &'a Path,
    out: &'a Path,
    verdict: Verdict,
    reason: Option<String>,
}

fn decide(decision: Decision<'_>) -> Result<Report, PkiError> {
    let roster = membership::load(decision.chain)?.current();
    let request = load(decision.request, &roster.consortium())?;
    if decision.verdict == Verdict::Approve {
        request.check_against(&roster)?;
    }
    let holder = Keyholder::open(decision.officer)?;
    officer::check_seat(&holder, &roster)?;
    let body = ApprovalBody {
        consortium: roster.consortium(),
        request: *request.digest(),
        verdict: decision.verdict,
        reason: decision.reason,
        issued: clock::now(),
        role: holder.role()?.to_owned(),
    };
    let signatures = officer::sign(&holder, &body.signing_bytes())?;
    let approval = body.clone().sign_with(signatures);
    approval.verify(&roster, clock::now(), &Verifier)?;
    files::write(decision.out, &approval.to_bytes())?;
    let word = if body.verdict == Verdict::Approve { "approved" } else { "rejected" };
    let line = format!("`{}` {word} the request of {} ({}).", body.role, request.body().domain, request.body().country);
    let json =
        json!({ "role": body.role, "verdict": word, "request": HEXLOWER.encode(&body.request), "file": decision.out });
    Ok(Report::new(vec![line, format!("  written to {}", decision.out.display())], json))
}

fn review(arguments: &ReviewArguments) -> Result<Report, PkiError> {
    let roster = membership::load(&arguments.chain)?.current();
    let request = load(&arguments.request, &roster.consortium())?;
    let fits = request.check_against(&roster);
    let country_free = roster.hubs_in(request.body().country).next().is_none();
    let mut lines = describe(&request);
    let checks = [
        ("form and size", true, "as the specification says"),
        ("age", true, "younger than 14 days"),
        ("possession", true, "tls, authentication and both log keys have signed the request"),
        ("certificate request", true, "over the tls key and signed by it"),
        ("keys, id, domain, log", fits.is_ok(), "new to this roster"),
        ("one hub per country", country_free, "no other hub in standing from this country"),
    ];
    for (what, good, meaning) in checks {
        lines.push(format!(
            "  {} {what:<22} {}",
            if good { "ok  " } else { "FAIL" },
            if good { meaning } else { "no" }
        ));
    }
    lines.push(
        "Compare the digest and the evidence with what the hub's authority gave you over a second channel.".into(),
    );
    let json = json!({
        "request": to_json(&request, &roster),
        "checks": checks.iter().map(|(what, good, _)| json!({ "check": what, "ok": good })).collect::<Vec<_>>(),
    });
    fits?;
    Ok(Report::new(lines, json))
}

/// A request in words.
pub(crate) fn describe(request: &CheckedRequest) -> Vec<String> {
    let body = request.body();
    let mut lines = vec![
        format!("Enrolment request of {} ({})", body.domain, body.country),
        format!("  digest          {}", HEXLOWER.encode(request.digest())),
        format!("  hub id          {}", body.hub),
        format!("  jurisdiction    {}", body.jurisdiction),
        format!("  made            {}", clock::words(body.created)),
        format!("  log             {} ({})", request.manifest().origin.as_str(), request.log_id()),
        format!("  encryption keys {}", body.encryption_keys.len()),
        format!("  post-quantum    {}", custody(body.pq)),
    ];
    for endpoint in &body.endpoints {
        lines.push(format!("  endpoint        {}:{} on {}", endpoint.host, endpoint.port, endpoint.network));
    }
    for evidence in &body.evidence {
        lines.push(format!("  evidence        {} {}", evidence.kind, HEXLOWER.encode(&evidence.digest)));
    }
    lines
}

/// Where post-quantum signature keys live, in a word.
pub(crate) fn custody(pq: PqCustody) -> &'static str {
    match pq {
        PqCustody::Token => "token",
        PqCustody::Software => "software",
    }
}

fn to_json(request: &CheckedRequest, roster: &VerifiedRoster) -> Value {
    let body = request.body();
    json!({
        "digest": HEXLOWER.encode(request.digest()), "hub": body.hub.to_string(), "country": body.country.to_string(),
        "domain": body.domain, "created": body.created.0, "log": request.log_id().to_string(), "pq": custody(body.pq),
        "roster_version": roster.version().0,
    })
}
