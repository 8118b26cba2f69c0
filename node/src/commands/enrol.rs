//! `cresset enrol request` and `cresset enrol finish`.

use std::sync::Arc;

use cresset_crypto::Verifier;
use cresset_protocol::ids::{ConsortiumId, UnixSeconds};
use cresset_protocol::limits::ROSTER_CHAIN_BYTES_MAX;
use cresset_protocol::log::checkpoint::Origin;
use cresset_protocol::membership::chain::{RosterChain, RosterFile};
use cresset_protocol::membership::snapshot::VerifiedRoster;
use cresset_protocol::signing::EncryptionPublicKey;
use cresset_token::KeyStore;
use data_encoding::HEXLOWER;
use serde::Serialize;

use super::{CommandError, Outcome, files};
use crate::cli::{EnrolFinishArguments, EnrolRequestArguments};
use crate::clock::system_clock;
use crate::config::Config;
use crate::enrol::request::{Order, country, designation, endpoint};
use crate::enrol::{EnrolError, finish as welcome, recovery, request as requests};
use crate::exit_code::ExitCode;
use crate::home::{Home, HomeError};
use crate::output::table::Table;
use crate::output::{Output, time};

/// A designation act is a document, not an archive.
const EVIDENCE_BYTES_MAX: usize = 64 << 20;
const WELCOME_BYTES_MAX: usize = ROSTER_CHAIN_BYTES_MAX + (4 << 10);

#[derive(Debug, Serialize)]
struct Requested {
    request: String,
    digest: String,
    hub: String,
    domain: String,
    log: String,
    log_id: String,
    consortium: String,
    recovery_key: Option<String>,
}

#[derive(Debug, Serialize)]
struct Finished {
    consortium: String,
    roster_version: u64,
    roster_expires: u64,
    hubs: usize,
    warnings: Vec<String>,
}

pub(crate) fn request(config: &Config, arguments: &EnrolRequestArguments, output: Output) -> Outcome {
    let now = system_clock()();
    let home = Home::new(config);
    let consortium = known_consortium(&home)?;
    // Everything that can be wrong with the arguments comes before any key is made.
    Origin::new(&arguments.domain, 1).map_err(EnrolError::from)?;
    let endpoints: Result<_, _> = arguments.endpoint.iter().map(|text| endpoint(text)).collect();
    let jurisdiction = arguments.jurisdiction.as_ref().unwrap_or(&arguments.country);
    let (country, jurisdiction, endpoints) = (country(&arguments.country)?, country(jurisdiction)?, endpoints?);
    let designation = designation(&files::read(&arguments.evidence, EVIDENCE_BYTES_MAX)?);
    let founding = arguments.founding.as_ref().map(|path| files::read(path, ROSTER_CHAIN_BYTES_MAX)).transpose()?;
    let roster = founding.map(|bytes| current_roster(&consortium, &bytes, now)).transpose()?;

    let keys = cresset_token::open(&config.keys)?;
    let enrolled = enrolled_recovery_key(&home, now);
    let made_recovery_key = enrolled.is_none();
    let recovery_key = match enrolled {
        Some(key) => key,
        None => recovery::read_or_create(&arguments.recovery_key_out).map_err(EnrolError::from)?.public().clone(),
    };
    let domain = arguments.domain.clone();
    let order = Order { country, jurisdiction, domain, endpoints, designation, recovery_key };
    let (request, checked) = requests::make(&home, &*keys, order, now)?;
    if let Some(roster) = roster.filter(|roster| roster.hub(&checked.body().hub).is_none()) {
        checked.check_against(&roster).map_err(EnrolError::from)?;
    }
    files::write(&arguments.out, &request.to_bytes())?;
    let recovery_file = arguments.recovery_key_out.display().to_string();
    let answer = Requested {
        request: arguments.out.display().to_string(),
        digest: HEXLOWER.encode(checked.digest()),
        hub: checked.body().hub.to_string(),
        domain: checked.body().domain.clone(),
        log: checked.manifest().origin.as_str().to_owned(),
        log_id: checked.log_id().to_string(),
        consortium: consortium.to_string(),
        recovery_key: made_recovery_key.then_some(recovery_file),
    };
    output.print(&answer, requested);
    Ok(ExitCode::Ok)
}

pub(crate) fn finish(config: &Config, arguments: &EnrolFinishArguments, output: Output) -> Outcome {
    let now = system_clock()();
    let home = Home::new(config);
    known_consortium(&home)?;
    let bundle = files::read(&arguments.welcome, WELCOME_BYTES_MAX)?;
    let keys: Arc<dyn KeyStore> = cresset_token::open(&config.keys)?;
    let roster = welcome::finish(&home, &*keys, &bundle, now)?;
    let answer = Finished {
        consortium: roster.consortium().to_string(),
        roster_version: roster.version().0,
        roster_expires: roster.body().expires.0,
        hubs: roster.active_hubs().count(),
        warnings: roster.warnings(now).iter().map(ToString::to_string).collect(),
    };
    output.print(&answer, finished);
    Ok(ExitCode::Ok)
}

fn known_consortium(home: &Home) -> Result<ConsortiumId, CommandError> {
    home.consortium().map_err(|error| match error {
        HomeError::Missing { .. } => CommandError::NotInitialised,
        error => error.into(),
    })
}

fn current_roster(
    consortium: &ConsortiumId,
    bytes: &[u8],
    now: UnixSeconds,
) -> Result<Arc<VerifiedRoster>, EnrolError> {
    Ok(RosterChain::verify_file(consortium, &RosterFile::from_bytes(bytes)?, now, &Verifier)?.effective())
}

/// An enrolled hub that asks for a new certificate keeps its recovery key, whose file is offline by now.
fn enrolled_recovery_key(home: &Home, now: UnixSeconds) -> Option<EncryptionPublicKey> {
    let me = home.manifest().ok()?.value().hub;
    let roster = home.chain(now, &Verifier).ok()?.effective();
    roster.hub(&me).map(|hub| hub.recovery_key.clone())
}

fn requested(answer: &Requested) -> String {
    let mut table = Table::new(2);
    table.row(["request", &answer.request]);
    table.row(["digest", &answer.digest]);
    table.row(["hub id", &answer.hub]);
    table.row(["log", &format!("{} ({})", answer.log, answer.log_id)]);
    table.row(["consortium", &answer.consortium]);
    let recovery = match &answer.recovery_key {
        Some(path) => format!("{path}: take it offline now, in two places; this hub does not need it"),
        None => "the one in the roster stays".to_owned(),
    };
    table.row(["recovery key", &recovery]);
    format!(
        "Enrolment request of {}, good for 14 days.\n{}\nNext: send the request to the officers, and tell them the digest over a \
         second channel.\nWhen the welcome comes back: `cresset enrol finish FILE`.\n",
        answer.domain,
        table.render()
    )
}

fn finished(answer: &Finished) -> String {
    let mut table = Table::new(2);
    table.row(["consortium", &answer.consortium]);
    table.row(["roster", &format!("version {}, until {}", answer.roster_version, time(answer.roster_expires))]);
    table.row(["hubs", &format!("{} active", answer.hubs)]);
    answer.warnings.iter().for_each(|warning| table.row(["warning", warning]));
    format!(
        "Enrolled: roster, keys and certificate fit together.\n{}\nNext: `cresset doctor`, then `cresset run`.\n",
        table.render()
    )
}
