//! `cresset-pki`: ceremonies, enrolment, approval and the roster, for officers with tokens.
//!
//! Every step reads and writes small files, so that each officer works on their own machine. Nothing here opens a network
//! connection. Private keys stay in key stores; an officer's encryption key is wrapped by one.

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic))]

mod authority;
mod ceremony;
mod certificate;
mod cli;
mod clock;
mod error;
mod files;
mod inspect;
mod issue;
mod journal;
mod keyholder;
mod membership;
mod officer;
mod report;
mod request;
mod roster;
mod suspend;
mod token;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};
use crate::error::PkiError;
use crate::report::Report;

fn main() -> ExitCode {
    let cli = Cli::parse();
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    match run(&cli.command) {
        Ok(report) => report.print(cli.json),
        Err(error) => {
            report::print_error(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(command: &Command) -> Result<Report, PkiError> {
    match command {
        Command::Ceremony(command) => ceremony::run(command),
        Command::Request(command) => request::run(command),
        Command::Approve(arguments) => request::approve(arguments),
        Command::Reject(arguments) => request::reject(arguments),
        Command::Issue(arguments) => issue::run(arguments),
        Command::Roster(command) => roster::run(command),
        Command::Suspend(arguments) => suspend::run(arguments),
        Command::Token(command) => token::run(command),
        Command::Inspect(arguments) => inspect::run(arguments),
    }
}
