//! One officer's suspension of a hub, for at most 48 hours.

use cresset_crypto::Verifier;
use cresset_protocol::codec;
use cresset_protocol::ids::UnixSeconds;
use cresset_protocol::membership::suspension::SuspensionBody;
use serde_json::json;

use crate::cli::SuspendArguments;
use crate::error::PkiError;
use crate::keyholder::Keyholder;
use crate::report::Report;
use crate::{clock, files, membership, officer};

pub(crate) fn run(arguments: &SuspendArguments) -> Result<Report, PkiError> {
    let chain = membership::load(&arguments.chain)?;
    let roster = chain.current();
    let hub = roster.find(&arguments.hub)?;
    let holder = Keyholder::open(&arguments.officer)?;
    officer::check_seat(&holder, &roster)?;
    let now = clock::now();
    let body = SuspensionBody {
        consortium: roster.consortium(),
        roster: roster.digest(),
        hub: hub.id,
        issued: now,
        until: UnixSeconds(now.0.saturating_add(arguments.hours.saturating_mul(3_600))),
        reason: arguments.reason.clone(),
        role: holder.role()?.to_owned(),
    };
    let signatures = officer::sign(&holder, &body.signing_bytes())?;
    let signed = body.clone().sign_with(signatures);
    signed.verify(&chain, now, &Verifier)?;
    files::write(&arguments.out, &codec::encode(&signed))?;
    let until = clock::words(body.until);
    let lines = vec![
        format!("`{}` suspends {} ({}) until {until}.", body.role, hub.domain, hub.country),
        format!("  written to {}; hubs do not act on it yet: suspend with a roster version", arguments.out.display()),
    ];
    Ok(Report::new(lines, json!({ "hub": hub.id.to_string(), "until": body.until.0, "file": arguments.out })))
}
