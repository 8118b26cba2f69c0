//! The ceremony that founds a consortium.

use cresset_crypto::{Verifier, random_bytes};
use cresset_protocol::codec;
use cresset_protocol::ids::{ConsortiumId, RosterVersion};
use cresset_protocol::membership::digest::{consortium_id, roster_digest};
use cresset_protocol::membership::roster::{Officer, RosterBody, SignedRoster, VersionRange};
use cresset_protocol::membership::rules::{RosterFault, check_body};
use cresset_protocol::membership::syntax::{is_name, is_role};
use cresset_protocol::membership::{RosterChain, RosterFile};
use cresset_protocol::suite::Suite;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::authority::{AuthorityKey, ISSUING_KEY, ROOT_KEY, issuing_certificate, root_certificate};
use crate::certificate::to_pem;
use crate::cli::{CeremonyCommand, FoundArguments};
use crate::clock::{self, DAY};
use crate::error::PkiError;
use crate::files;
use crate::keyholder::Keyholder;
use crate::officer;
use crate::report::Report;

/// Consortium id, for out-of-band transfer.
pub(crate) const ID_FILE: &str = "consortium.id";
/// Root certificate.
pub(crate) const ROOT_FILE: &str = "root.pem";
/// Certificate of the issuing CA.
pub(crate) const ISSUING_FILE: &str = "issuing.pem";
/// Roster chain.
pub(crate) const ROSTER_FILE: &str = "roster.cbor";

/// Protocol versions that a new consortium accepts.
const PROTOCOL: VersionRange = VersionRange { min: 1, max: 1 };

pub(crate) fn run(command: &CeremonyCommand) -> Result<Report, PkiError> {
    match command {
        CeremonyCommand::Found(arguments) => found(arguments),
    }
}

fn found(arguments: &FoundArguments) -> Result<Report, PkiError> {
    files::must_be_new(&arguments.out)?;
    let root_holder = Keyholder::open(&arguments.root)?;
    let issuing_holder = Keyholder::open(&arguments.issuing)?;
    let officer_holders: Vec<_> =
        arguments.officer.iter().map(|path| Keyholder::open(path)).collect::<Result<_, _>>()?;
    let quorum = check_plan(arguments, &officer_holders)?;

    let now = clock::now();
    let root = AuthorityKey::create(&*root_holder.store, ROOT_KEY)?;
    let issuing = AuthorityKey::create(&*issuing_holder.store, ISSUING_KEY)?;
    let root_der = root_certificate(&root, &arguments.name, now)?;
    let issuing_der = issuing_certificate(&root, issuing.public(), &arguments.name, now)?;
    let mut officers: Vec<Officer> = officer_holders.iter().map(officer::create).collect::<Result<_, _>>()?;
    officers.sort_by(|a, b| a.role.cmp(&b.role));

    let body = RosterBody {
        version: RosterVersion(0),
        name: arguments.name.clone(),
        nonce: random_bytes()?,
        consortium: None,
        predecessors: Vec::new(),
        issued: now,
        expires: cresset_protocol::ids::UnixSeconds(now.0.saturating_add(arguments.days.saturating_mul(DAY))),
        officers,
        quorum,
        suites: vec![Suite::Hybrid2026],
        root_certificate: Sha256::digest(&root_der).into(),
        hubs: Vec::new(),
        groups: Vec::new(),
        policy: None,
        versions: PROTOCOL,
        exceptions: Vec::new(),
    };
    check_body(&body)?;
    let (consortium, file) = sign_by_all(&body, &officer_holders)?;

    files::create_directory(&arguments.out)?;
    files::write(&arguments.out.join(ID_FILE), format!("{consortium}\n").as_bytes())?;
    files::write(&arguments.out.join(ROOT_FILE), to_pem(&[&root_der])?.as_bytes())?;
    files::write(&arguments.out.join(ISSUING_FILE), to_pem(&[&issuing_der])?.as_bytes())?;
    files::write(&arguments.out.join(ROSTER_FILE), &file.to_bytes())?;
    Ok(summary(arguments, &body, &consortium))
}

/// Everything that can be wrong with the plan, before any key is made: a half-made ceremony leaves keys on tokens.
fn check_plan(arguments: &FoundArguments, officers: &[Keyholder]) -> Result<u32, PkiError> {
    if !is_name(&arguments.name) {
        return Err(PkiError::BadValue { what: "consortium name", value: arguments.name.clone() });
    }
    let mut roles = officers.iter().map(Keyholder::role).collect::<Result<Vec<_>, _>>()?;
    if let Some(role) = roles.iter().find(|role| !is_role(role)) {
        return Err(PkiError::BadValue { what: "officer role", value: (*role).to_owned() });
    }
    roles.sort_unstable();
    roles.dedup();
    if roles.len() != officers.len() {
        return Err(RosterFault::Order("officers").into());
    }
    let count = u32::try_from(officers.len()).unwrap_or(u32::MAX);
    let quorum = arguments.quorum.unwrap_or(count / 2 + 1);
    if quorum > count || quorum.saturating_mul(2) <= count {
        return Err(RosterFault::Quorum { quorum, officers: officers.len() }.into());
    }
    Ok(quorum)
}

fn sign_by_all(body: &RosterBody, officers: &[Keyholder]) -> Result<(ConsortiumId, RosterFile), PkiError> {
    let bytes = codec::encode(body);
    let (consortium, digest) = (consortium_id(&bytes), roster_digest(&bytes));
    let mut signatures = officers
        .iter()
        .map(|holder| officer::sign_roster(holder, &consortium, body.version, digest))
        .collect::<Result<Vec<_>, _>>()?;
    signatures.sort_by(|a, b| a.role.cmp(&b.role));
    let signed = SignedRoster { body: bytes, signatures };
    let chain = RosterChain::found(&consortium, &signed, &Verifier)?;
    Ok((consortium, chain.to_file()))
}

fn summary(arguments: &FoundArguments, body: &RosterBody, consortium: &ConsortiumId) -> Report {
    let roles: Vec<_> = body.officers.iter().map(|officer| officer.role.as_str()).collect();
    let root = data_encoding::HEXLOWER.encode(&body.root_certificate);
    let lines = vec![
        format!("Founded `{}`.", body.name),
        format!("  consortium id   {consortium}"),
        format!("  root SHA-256    {root}"),
        format!("  officers        {} (quorum {} of {})", roles.join(", "), body.quorum, roles.len()),
        format!("  expires         {}", clock::words(body.expires)),
        format!("  public files    {}", arguments.out.display()),
        "Give the consortium id to every hub over a second channel; everything else follows from it.".to_owned(),
    ];
    let json = json!({
        "consortium": consortium.to_string(), "name": body.name, "root_certificate_sha256": root,
        "officers": roles, "quorum": body.quorum, "expires": body.expires.0, "directory": arguments.out,
    });
    Report::new(lines, json)
}
