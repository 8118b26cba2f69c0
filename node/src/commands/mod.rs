//! One module per command. A command prints its answer and says with which code the process ends.

mod config;
mod enrol;
mod error;
mod files;
mod init;
mod publish;
mod query;
mod run;
pub(crate) mod version;

use std::future::Future;
use std::path::Path;

pub(crate) use self::error::CommandError;
use crate::api::types::{ExportAnswer, ExportRequest, RosterAnswer};
use crate::cli::{Command, ConfigCommand, EnrolCommand, RosterCommand};
use crate::client::{Client, Query};
use crate::config::Config;
use crate::doctor;
use crate::exit_code::ExitCode;
use crate::output::{Output, views};

/// How a command ends.
pub(crate) type Outcome = Result<ExitCode, CommandError>;

/// Runs a command.
pub(crate) fn run(command: &Command, config: &Path, output: Output) -> Outcome {
    match command {
        Command::Init(arguments) => init::run(config, arguments, output),
        Command::Config(ConfigCommand::Check) => config::check(config, output),
        Command::Doctor => doctor::run(config, output),
        Command::Enrol(EnrolCommand::Request(arguments)) => enrol::request(&Config::load(config)?, arguments, output),
        Command::Enrol(EnrolCommand::Finish(arguments)) => enrol::finish(&Config::load(config)?, arguments, output),
        Command::Run => run::run(&Config::load(config)?),
        Command::Publish(arguments) => publish::run(&client(config)?, arguments, output),
        Command::Search(arguments) => query::search(&client(config)?, arguments, output),
        Command::Show(arguments) => query::show(&client(config)?, arguments, output),
        Command::Log(arguments) => query::log(&client(config)?, arguments, output),
        Command::Peers => query::peers(&client(config)?, output),
        Command::Status => query::status(&client(config)?, output),
        Command::Roster(RosterCommand::Import(arguments)) => import(&client(config)?, &arguments.file, output),
        Command::Export(arguments) => export(&client(config)?, &arguments.directory, output),
    }
}

fn client(config: &Path) -> Result<Client, CommandError> {
    Ok(Client::new(&Config::load(config)?.api.socket))
}

fn import(client: &Client, file: &Path, output: Output) -> Outcome {
    let bytes = files::read(file, cresset_protocol::limits::ROSTER_CHAIN_BYTES_MAX)?;
    let answer: RosterAnswer = block_on(client.post("/v1/roster", Query::default(), bytes))?;
    output.print(&answer, views::roster);
    Ok(ExitCode::Ok)
}

fn export(client: &Client, directory: &Path, output: Output) -> Outcome {
    // The daemon has another working directory than the person who asks.
    let absolute = std::path::absolute(directory).map_err(|source| CommandError::file(directory, source))?;
    let request = ExportRequest { directory: absolute.to_string_lossy().into_owned() };
    let body = serde_json::to_vec(&request).map_err(CommandError::Json)?;
    let answer: ExportAnswer = block_on(client.post("/v1/export", Query::default(), body))?;
    output.print(&answer, views::export);
    Ok(ExitCode::Ok)
}

/// Runs one conversation with the daemon.
pub(crate) fn block_on<T, E>(future: impl Future<Output = Result<T, E>>) -> Result<T, CommandError>
where
    CommandError: From<E>,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(CommandError::Runtime)?;
    Ok(runtime.block_on(future)?)
}
