//! Says in words what a file is, and as far as the file alone shows it, whether it is sound.

use std::path::Path;

use cresset_crypto::Verifier;
use cresset_protocol::codec;
use cresset_protocol::limits::{ENROLMENT_BYTES_MAX, ROSTER_BYTES_MAX, ROSTER_CHAIN_BYTES_MAX, STATEMENT_BYTES_MAX};
use cresset_protocol::membership::RosterFile;
use cresset_protocol::membership::approval::{Approval, ApprovalBody, Verdict};
use cresset_protocol::membership::digest::roster_digest;
use cresset_protocol::membership::enrolment::{EnrolmentBody, EnrolmentRequest};
use cresset_protocol::membership::roster::{RosterBody, RosterSignature};
use cresset_protocol::membership::rules::check_body;
use cresset_protocol::membership::suspension::{SignedSuspension, SuspensionBody};
use cresset_protocol::membership::welcome::Welcome;
use data_encoding::HEXLOWER;
use serde_json::json;

use crate::certificate::{check_request, parse_pem, public_key};
use crate::cli::InspectArguments;
use crate::error::PkiError;
use crate::report::Report;
use crate::{clock, files, membership, request, roster};

const PEM_MARK: &[u8] = b"-----BEGIN CERTIFICATE-----";

pub(crate) fn run(arguments: &InspectArguments) -> Result<Report, PkiError> {
    let bytes = files::read(&arguments.file, ROSTER_CHAIN_BYTES_MAX)?;
    let readers = [certificate, chain, enrolment, approval, suspension, signature, welcome, body];
    for read in readers {
        if let Some((kind, lines)) = read(&arguments.file, &bytes)? {
            let json = json!({ "kind": kind, "text": lines });
            return Ok(Report::new(lines, json));
        }
    }
    Err(PkiError::UnknownDocument { path: arguments.file.clone() })
}

/// Kind and words; `None` if the bytes are no such document.
type Reading = Result<Option<(&'static str, Vec<String>)>, PkiError>;

fn certificate(_: &Path, bytes: &[u8]) -> Reading {
    if !bytes.starts_with(PEM_MARK) {
        return Ok(None);
    }
    let certificate = parse_pem(bytes)?;
    let tbs = certificate.tbs_certificate();
    let lines = vec![
        "X.509 certificate (the first of the file)".to_owned(),
        format!("  subject  {}", tbs.subject()),
        format!("  issuer   {}", tbs.issuer()),
        format!("  valid    {} to {}", tbs.validity().not_before, tbs.validity().not_after),
        format!("  key      P-384, {:?}", public_key(&certificate)?),
    ];
    Ok(Some(("certificate", lines)))
}

fn chain(path: &Path, bytes: &[u8]) -> Reading {
    if RosterFile::from_bytes(bytes).is_err() {
        return Ok(None);
    }
    let chain = membership::verify_in_itself(path)?;
    let mut lines = vec![format!("Roster chain of {} versions, consistent in itself", chain.iter().count())];
    lines.extend(roster::describe(&chain.current(), clock::now()));
    Ok(Some(("roster-chain", lines)))
}

fn enrolment(_: &Path, bytes: &[u8]) -> Reading {
    let Ok(parsed) = codec::decode::<EnrolmentRequest>(bytes, ENROLMENT_BYTES_MAX) else { return Ok(None) };
    let body: EnrolmentBody = codec::decode(&parsed.body, ENROLMENT_BYTES_MAX)?;
    let checked = parsed.check(&body.consortium, clock::now(), &Verifier)?;
    check_request(&body.csr, &body.tls_key)?;
    let mut lines = request::describe(&checked);
    lines.push(format!("  consortium      {}", body.consortium));
    lines.push("  proofs of possession verify".to_owned());
    Ok(Some(("enrolment-request", lines)))
}

fn approval(_: &Path, bytes: &[u8]) -> Reading {
    let Ok(parsed) = codec::decode::<Approval>(bytes, STATEMENT_BYTES_MAX) else { return Ok(None) };
    let Ok(body) = codec::decode::<ApprovalBody>(&parsed.body, STATEMENT_BYTES_MAX) else { return Ok(None) };
    let word = if body.verdict == Verdict::Approve { "Approval" } else { "Rejection" };
    let lines = vec![
        format!("{word} by `{}` (signature not checked: that needs the roster)", body.role),
        format!("  request     {}", HEXLOWER.encode(&body.request)),
        format!("  consortium  {}", body.consortium),
        format!("  made        {}", clock::words(body.issued)),
        format!("  reason      {}", body.reason.as_deref().unwrap_or("none given")),
    ];
    Ok(Some(("approval", lines)))
}

fn suspension(_: &Path, bytes: &[u8]) -> Reading {
    let Ok(parsed) = codec::decode::<SignedSuspension>(bytes, STATEMENT_BYTES_MAX) else { return Ok(None) };
    let Ok(body) = codec::decode::<SuspensionBody>(&parsed.body, STATEMENT_BYTES_MAX) else { return Ok(None) };
    let lines = vec![
        format!("Suspension by `{}` (signature not checked: that needs the roster)", body.role),
        format!("  hub         {}", body.hub),
        format!("  from        {}", clock::words(body.issued)),
        format!("  until       {}", clock::words(body.until)),
        format!("  reason      {}", body.reason),
    ];
    Ok(Some(("suspension", lines)))
}

fn signature(_: &Path, bytes: &[u8]) -> Reading {
    let Ok(parsed) = codec::decode::<RosterSignature>(bytes, STATEMENT_BYTES_MAX) else { return Ok(None) };
    Ok(Some((
        "roster-signature",
        vec![format!("Roster signature of `{}` (checked by `roster assemble`)", parsed.role)],
    )))
}

fn welcome(_: &Path, bytes: &[u8]) -> Reading {
    let Ok(parsed) = Welcome::from_bytes(bytes) else { return Ok(None) };
    let lines = vec![
        "Welcome bundle, encrypted".to_owned(),
        format!("  hub         {}", parsed.hub),
        format!("  consortium  {}", parsed.consortium),
        format!("  key         {}", parsed.key),
    ];
    Ok(Some(("welcome", lines)))
}

fn body(_: &Path, bytes: &[u8]) -> Reading {
    let Ok(parsed) = codec::decode::<RosterBody>(bytes, ROSTER_BYTES_MAX) else { return Ok(None) };
    check_body(&parsed)?;
    let lines = vec![
        format!("Unsigned roster body, version {} of `{}`", parsed.version, parsed.name),
        format!("  digest  {}", roster_digest(bytes)),
        format!("  hubs    {}", parsed.hubs.len()),
    ];
    Ok(Some(("roster-body", lines)))
}
