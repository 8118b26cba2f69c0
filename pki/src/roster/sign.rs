//! One officer signs the body of the next version.

use std::io::{BufRead, IsTerminal, Write};

use cresset_protocol::codec;
use cresset_protocol::limits::ROSTER_BYTES_MAX;
use cresset_protocol::membership::digest::roster_digest;
use cresset_protocol::membership::verify::check_unsigned;
use serde_json::json;

use super::words;
use crate::cli::SignArguments;
use crate::error::PkiError;
use crate::keyholder::Keyholder;
use crate::report::Report;
use crate::{clock, files, membership, officer};

pub(super) fn run(arguments: &SignArguments) -> Result<Report, PkiError> {
    let prev = membership::load(&arguments.chain)?.current();
    let bytes = files::read(&arguments.body, ROSTER_BYTES_MAX)?;
    let body = check_unsigned(&prev, &bytes, clock::now())?;
    let digest = roster_digest(&bytes);
    let changes = words::changes(prev.body(), &body);
    eprintln!("Version {} of `{}`, digest {digest}", body.version, body.name);
    changes.iter().for_each(|change| eprintln!("  {change}"));
    confirm(arguments.yes)?;

    let holder = Keyholder::open(&arguments.officer)?;
    officer::check_seat(&holder, &prev)?;
    let signature = officer::sign_roster(&holder, &prev.consortium(), body.version, digest)?;
    files::write(&arguments.out, &codec::encode(&signature))?;
    let line = format!("`{}` signed version {} ({digest}).", signature.role, body.version);
    let json = json!({
        "role": signature.role, "version": body.version.0, "digest": digest.to_string(), "changes": changes,
        "file": arguments.out,
    });
    Ok(Report::new(vec![line, format!("  written to {}", arguments.out.display())], json))
}

/// An officer answers for what is signed, so the changes are shown and confirmed unless a script says otherwise.
fn confirm(yes: bool) -> Result<(), PkiError> {
    if yes {
        return Ok(());
    }
    let input = std::io::stdin();
    if !input.is_terminal() {
        return Err(PkiError::NotConfirmed);
    }
    eprint!("Sign this version? [y/N] ");
    let mut answer = String::new();
    std::io::stderr().flush().and_then(|()| input.lock().read_line(&mut answer)).map_err(|_| PkiError::NotConfirmed)?;
    if answer.trim().eq_ignore_ascii_case("y") { Ok(()) } else { Err(PkiError::NotConfirmed) }
}
