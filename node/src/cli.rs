//! The command line of `cresset`: what can be asked, and where each question goes.

use std::path::PathBuf;
use std::process::ExitCode as ProcessExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

use crate::commands;
use crate::config::DEFAULT_PATH;
use crate::exit_code::ExitCode;
use crate::output::Output;
use crate::telemetry::{self, LogFormat};

/// Runs the command that the process was started with.
pub fn main() -> ProcessExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help goes to stdout with 0, a mistake to stderr with 2. Nobody is left to tell if that pipe is closed.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::Usage.into() } else { ExitCode::Ok.into() };
        }
    };
    telemetry::start(cli.log_format, cli.verbose);
    let output = Output { json: cli.json };
    if cli.version {
        commands::version::run(output);
        return ExitCode::Ok.into();
    }
    let Some(command) = &cli.command else {
        eprintln!("{}", Cli::command().render_help());
        return ExitCode::Usage.into();
    };
    match commands::run(command, &cli.config, output) {
        Ok(code) => code.into(),
        Err(error) => {
            error.print();
            error.exit_code().into()
        }
    }
}

/// A hub: share cyber threat intelligence with the hubs of your consortium.
#[derive(Debug, Parser)]
#[command(name = "cresset", about, disable_version_flag = true, max_term_width = 100)]
pub(crate) struct Cli {
    /// Configuration file.
    #[arg(long, global = true, value_name = "FILE", default_value = DEFAULT_PATH)]
    pub(crate) config: PathBuf,
    /// Print one JSON document instead of text.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// How log lines look; people at a terminal get text, everything else JSON.
    #[arg(long, global = true, value_enum, value_name = "FORMAT")]
    pub(crate) log_format: Option<LogFormat>,
    /// Log more; twice for everything.
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Print the versions of program, protocol, store and suite.
    #[arg(long, short = 'V')]
    pub(crate) version: bool,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write a commented configuration and make the data directory.
    Init(InitArguments),
    /// Join a consortium.
    #[command(subcommand)]
    Enrol(EnrolCommand),
    /// Run the hub.
    Run,
    /// Share a document, or see with --dry-run what would be shared with whom.
    Publish(PublishArguments),
    /// Find objects that hold a value (an address, a domain, a hash).
    Search(SearchArguments),
    /// Show an object: its units, its native form, where it stands.
    Show(ShowArguments),
    /// Read a log: this hub's own, or the mirror of another's.
    Log(LogArguments),
    /// The other hubs: connection, mirror, lag.
    Peers,
    /// How this hub is doing.
    Status,
    /// The roster of members.
    #[command(subcommand)]
    Roster(RosterCommand),
    /// Write an audit bundle into a new directory.
    Export(ExportArguments),
    /// Check token, clock, disk, ports, roster and daemon, and say what to do.
    Doctor,
    /// The configuration file.
    #[command(subcommand)]
    Config(ConfigCommand),
}

#[derive(Debug, Args)]
pub(crate) struct InitArguments {
    /// Consortium id, from out of band: hexadecimal, or a file with it.
    #[arg(long, value_name = "ID")]
    pub(crate) consortium: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum EnrolCommand {
    /// Make the hub's keys on its token and write the request for the officers.
    Request(EnrolRequestArguments),
    /// Take in the welcome bundle that the officers sent back.
    Finish(EnrolFinishArguments),
}

#[derive(Debug, Args)]
pub(crate) struct EnrolRequestArguments {
    /// Member State, two letters.
    #[arg(long)]
    pub(crate) country: String,
    /// Whose law governs relaying; the country if absent.
    #[arg(long, value_name = "COUNTRY")]
    pub(crate) jurisdiction: Option<String>,
    /// DNS name of the hub.
    #[arg(long)]
    pub(crate) domain: String,
    /// Where other hubs reach it; repeatable. NETWORK is `internet` if absent.
    #[arg(long, value_name = "HOST:PORT[@NETWORK]")]
    pub(crate) endpoint: Vec<String>,
    /// The act that designated the hub; only its SHA-256 is sent.
    #[arg(long, value_name = "FILE")]
    pub(crate) evidence: PathBuf,
    /// Where to write the recovery key. Keep that file offline; the hub does not need it.
    #[arg(long, value_name = "FILE")]
    pub(crate) recovery_key_out: PathBuf,
    /// Roster chain of the consortium, to check its id and that the request fits.
    #[arg(long, value_name = "FILE")]
    pub(crate) founding: Option<PathBuf>,
    /// Where to write the request.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct EnrolFinishArguments {
    /// Welcome bundle.
    pub(crate) welcome: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct PublishArguments {
    /// MISP event as JSON; `-` reads standard input.
    pub(crate) file: PathBuf,
    /// Sharing groups by name or id, comma-separated.
    #[arg(long, value_name = "GROUP,..")]
    pub(crate) group: Option<String>,
    /// Hubs by country, domain or id, comma-separated.
    #[arg(long, value_name = "HUB,..")]
    pub(crate) to: Option<String>,
    /// Give GREEN and CLEAR to the addressed hubs only.
    #[arg(long)]
    pub(crate) only: bool,
    /// Urgent is signed at once and travels inline.
    #[arg(long, value_enum, default_value = "normal")]
    pub(crate) lane: LaneArgument,
    /// Decide and explain, release nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum LaneArgument {
    /// Signed at once.
    Urgent,
    /// Signed within about a second.
    Normal,
}

#[derive(Debug, Args)]
pub(crate) struct SearchArguments {
    /// The value, exactly.
    pub(crate) value: String,
    /// At most this many hits.
    #[arg(long)]
    pub(crate) limit: Option<usize>,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArguments {
    /// UUID of the object.
    pub(crate) uuid: String,
}

#[derive(Debug, Args)]
pub(crate) struct LogArguments {
    /// Country, domain or origin of the log; this hub's own if absent.
    pub(crate) origin: Option<String>,
    /// First index; the newest leaves if absent.
    #[arg(long, value_name = "N")]
    pub(crate) from: Option<u64>,
    /// At most this many leaves.
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u64>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RosterCommand {
    /// Adopt the newer versions of a roster chain file.
    Import(RosterImportArguments),
}

#[derive(Debug, Args)]
pub(crate) struct RosterImportArguments {
    /// Roster chain file.
    pub(crate) file: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct ExportArguments {
    /// Directory that does not exist yet; the daemon writes it.
    pub(crate) directory: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Check the configuration file and print what it comes to.
    Check,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_coherent() {
        Cli::command().debug_assert();
    }
}
