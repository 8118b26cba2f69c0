//! Loading and verifying the chain that a command works on.

use std::path::Path;

use cresset_crypto::Verifier;
use cresset_protocol::ids::ConsortiumId;
use cresset_protocol::limits::ROSTER_CHAIN_BYTES_MAX;
use cresset_protocol::membership::chain::ChainError;
use cresset_protocol::membership::digest::consortium_id;
use cresset_protocol::membership::{RosterChain, RosterFile};

use crate::cli::ChainArguments;
use crate::error::PkiError;
use crate::{clock, files};

const ID_FILE_BYTES_MAX: usize = 256;

/// Reads a chain and verifies it from the consortium id on.
pub(crate) fn load(arguments: &ChainArguments) -> Result<RosterChain, PkiError> {
    verify(&arguments.roster, &parse_id(&arguments.consortium)?)
}

/// Verifies a chain file against a consortium id.
pub(crate) fn verify(path: &Path, consortium: &ConsortiumId) -> Result<RosterChain, PkiError> {
    let file = read(path)?;
    let found = file.rosters.first().map(|founding| consortium_id(&founding.body)).ok_or(ChainError::Empty)?;
    if found != *consortium {
        return Err(PkiError::OtherConsortium { expected: consortium.to_string(), found: found.to_string() });
    }
    Ok(RosterChain::verify_file(consortium, &file, clock::now(), &Verifier)?)
}

/// Verifies a chain against the id that its own version 0 gives.
pub(crate) fn verify_in_itself(path: &Path) -> Result<RosterChain, PkiError> {
    let file = read(path)?;
    let own = file.rosters.first().map(|founding| consortium_id(&founding.body)).ok_or(ChainError::Empty)?;
    Ok(RosterChain::verify_file(&own, &file, clock::now(), &Verifier)?)
}

/// A consortium id in hexadecimal, or from a file that holds it.
pub(crate) fn parse_id(text: &str) -> Result<ConsortiumId, PkiError> {
    if let Ok(id) = ConsortiumId::from_hex(text) {
        return Ok(id);
    }
    let bad = || PkiError::BadValue { what: "consortium id", value: text.to_owned() };
    if !Path::new(text).exists() {
        return Err(bad());
    }
    let bytes = files::read(Path::new(text), ID_FILE_BYTES_MAX)?;
    ConsortiumId::from_hex(String::from_utf8_lossy(&bytes).trim()).map_err(|_| bad())
}

fn read(path: &Path) -> Result<RosterFile, PkiError> {
    Ok(RosterFile::from_bytes(&files::read(path, ROSTER_CHAIN_BYTES_MAX)?)?)
}
