//! Roster versions: make, sign, assemble, show, verify.

mod assemble;
mod changes;
mod groups;
mod next;
mod opened;
mod show;
mod sign;
mod words;

pub(crate) use words::describe;

use crate::cli::RosterCommand;
use crate::error::PkiError;
use crate::report::Report;

pub(crate) fn run(command: &RosterCommand) -> Result<Report, PkiError> {
    match command {
        RosterCommand::Next(arguments) => next::run(arguments),
        RosterCommand::Sign(arguments) => sign::run(arguments),
        RosterCommand::Assemble(arguments) => assemble::run(arguments),
        RosterCommand::Show(arguments) => show::show(arguments),
        RosterCommand::Verify(arguments) => show::verify(arguments),
    }
}
