//! One officer signs the body of the next version.

use std::io::{BufRead, IsTerminal, Write};

use cresset_protocol::codec;
use cresset_protocol::limits::ROSTER_BYTES_MAX;
use cresset_protocol::membership::VerifiedRoster;
use cresset_protocol::membership::digest::roster_digest;
use cresset_protocol::membership::roster::RosterBody;
use cresset_protocol::membership::verify::check_unsigned;
use serde_json::json;

use super::changes;
use super::opened::{self, OpenedGroup};
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
    let holder = Keyholder::open(&arguments.officer)?;
    officer::check_seat(&holder, &prev)?;
    let changes = changes::changes(prev.body(), &body);
    let groups = opened_groups(&holder, &prev, &body)?;
    eprintln!("Version {} of `{}`, digest {digest}", body.version, body.name);
    eprintln!("  issued {}, expires {}", clock::words(body.issued), clock::words(body.expires));
    changes.iter().for_each(|change| eprintln!("  {change}"));
    groups.iter().flat_map(OpenedGroup::lines).for_each(|line| eprintln!("  {line}"));
    confirm(arguments.yes)?;

    let signature = officer::sign_roster(&holder, &prev.consortium(), body.version, digest)?;
    files::write(&arguments.out, &codec::encode(&signature))?;
    let line = format!("`{}` signed version {} ({digest}).", signature.role, body.version);
    let json = json!({
        "role": signature.role, "version": body.version.0, "digest": digest.to_string(), "issued": body.issued.0,
        "expires": body.expires.0, "changes": changes,
        "groups": groups.iter().map(OpenedGroup::to_json).collect::<Vec<_>>(), "file": arguments.out,
    });
    Ok(Report::new(vec![line, format!("  written to {}", arguments.out.display())], json))
}

/// The changed groups; the encryption key is unwrapped only if there is one.
fn opened_groups(holder: &Keyholder, prev: &VerifiedRoster, body: &RosterBody) -> Result<Vec<OpenedGroup>, PkiError> {
    if !body.groups.iter().any(|group| changes::is_changed(prev.body(), group)) {
        return Ok(Vec::new());
    }
    opened::open_changed(prev, body, holder.role()?, &officer::encryption_key(holder)?)
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
