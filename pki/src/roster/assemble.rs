//! Joins a body and its officers' signatures to the chain.

use cresset_crypto::Verifier;
use cresset_protocol::codec;
use cresset_protocol::limits::{ROSTER_BYTES_MAX, STATEMENT_BYTES_MAX};
use cresset_protocol::membership::chain::Accepted;
use cresset_protocol::membership::roster::{RosterSignature, SignedRoster};
use serde_json::json;

use crate::cli::AssembleArguments;
use crate::error::PkiError;
use crate::report::Report;
use crate::{clock, files, membership};

pub(super) fn run(arguments: &AssembleArguments) -> Result<Report, PkiError> {
    let mut chain = membership::load(&arguments.chain)?;
    let body = files::read(&arguments.body, ROSTER_BYTES_MAX)?;
    let mut signatures = Vec::new();
    for path in &arguments.signature {
        let signature: RosterSignature = codec::decode(&files::read(path, STATEMENT_BYTES_MAX)?, STATEMENT_BYTES_MAX)?;
        signatures.push(signature);
    }
    signatures.sort_by(|a, b| a.role.cmp(&b.role));
    let signed = SignedRoster { body, signatures };
    let newest = match chain.accept(&signed, clock::now(), &Verifier)? {
        Accepted::Newer(roster) => roster,
        Accepted::Known => return Err(PkiError::NoChange),
        Accepted::Twin(_) => {
            let current = chain.current();
            return Err(PkiError::SecondDigest { version: current.version(), signed: current.digest() });
        }
    };
    files::write(&arguments.out, &chain.to_file().to_bytes())?;
    let roles: Vec<_> = signed.signatures.iter().map(|signature| signature.role.as_str()).collect();
    let lines = vec![
        format!("Version {} is valid, signed by {}.", newest.version(), roles.join(", ")),
        format!("  digest {}", newest.digest()),
        format!("  written to {}", arguments.out.display()),
    ];
    let json = json!({
        "version": newest.version().0, "digest": newest.digest().to_string(), "signed_by": roles, "file": arguments.out,
    });
    Ok(Report::new(lines, json))
}
