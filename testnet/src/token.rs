//! Software tokens: each hub, officer and authority has one of its own, a database in its folder.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use clap::Args;
use cresset_token::{InitToken, PinSource, init_token, softtoken_configuration};

use crate::process::{Programs, run};
use crate::topology::pin_file;

/// Environment variable that names the module's configuration file.
pub(crate) const CONFIGURATION_VARIABLE: &str = "KRYOPTIC_CONF";

/// Arguments of the hidden `init-token`.
#[derive(Debug, Args)]
pub(crate) struct InitArguments {
    /// The module.
    #[arg(long)]
    module: PathBuf,
    /// Label of the new token.
    #[arg(long)]
    label: String,
    /// File with its PIN.
    #[arg(long)]
    pin_file: PathBuf,
}

/// Initialises the one token of this process's configuration.
pub(crate) fn init(arguments: &InitArguments) -> Result<()> {
    // A test network needs no separate officer of the token: the user's PIN resets itself.
    let pin = PinSource::file(&arguments.pin_file).read("the new token")?;
    let request =
        InitToken { module: &arguments.module, slot: None, label: &arguments.label, so_pin: &pin, user_pin: &pin };
    init_token(&request)?;
    Ok(())
}

/// The module's configuration file for the token of a folder.
pub(crate) fn configuration_file(directory: &Path) -> PathBuf {
    directory.join("token.conf")
}

/// Makes the token of a folder.
pub(crate) fn create(programs: &Programs, directory: &Path, label: &str) -> Result<()> {
    write_configuration(&configuration_file(directory), &[directory])?;
    let own = std::env::current_exe().context("cannot tell where this program is")?;
    let mut command = Command::new(own);
    command.args(["init-token", "--label", label, "--module"]).arg(&programs.softtoken);
    command.arg("--pin-file").arg(pin_file(directory));
    run(with_token(&mut command, &configuration_file(directory)), &[0])
        .with_context(|| format!("cannot make the token `{label}`"))?;
    Ok(())
}

/// Writes a configuration with the tokens of several folders, for a process that needs them all at once.
pub(crate) fn write_configuration(path: &Path, directories: &[&Path]) -> Result<()> {
    let slots =
        (1..).zip(directories).map(|(slot, directory)| (slot, directory.join("token.sqlite"))).collect::<Vec<_>>();
    std::fs::write(path, softtoken_configuration(&slots)).with_context(|| format!("cannot write `{}`", path.display()))
}

/// Lets a command see the tokens of a configuration file, and no others.
pub(crate) fn with_token<'a>(command: &'a mut Command, configuration: &Path) -> &'a mut Command {
    command.env(CONFIGURATION_VARIABLE, configuration)
}
