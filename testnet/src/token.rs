//! Software tokens: each hub, officer and authority has one of its own, a database in its folder.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use cresset_token::softtoken_configuration;

use crate::process::{Programs, run};
use crate::topology::pin_file;

/// Environment variable that names the module's configuration file.
pub(crate) const CONFIGURATION_VARIABLE: &str = "KRYOPTIC_CONF";

/// The module's configuration file for the token of a folder.
pub(crate) fn configuration_file(directory: &Path) -> PathBuf {
    directory.join("token.conf")
}

/// Makes the token of a folder.
pub(crate) fn create(programs: &Programs, directory: &Path, label: &str) -> Result<()> {
    write_configuration(&configuration_file(directory), &[directory])?;
    let mut command = programs.command("cresset-pki");
    command.args(["token", "init", "--label", label, "--module"]).arg(&programs.softtoken);
    // A test network needs no second person for a forgotten PIN: one file is both.
    command.arg("--so-pin-file").arg(pin_file(directory)).arg("--pin-file").arg(pin_file(directory));
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
