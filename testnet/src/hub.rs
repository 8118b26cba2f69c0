//! One hub, driven through the `cresset` command line.

use std::path::Path;
use std::process::{Command, Output};

use anyhow::{Context, Result};
use serde::de::DeserializeOwned;

use crate::answers::{Exported, Found, Leaf, Log, Published, Shown, Status};
use crate::process::{Programs, output, run};
use crate::token;
use crate::topology::HubSite;

/// Exit code: durable, not yet signed.
pub(crate) const PENDING: i32 = 3;
/// Exit code: no such thing.
pub(crate) const NOT_FOUND: i32 = 5;
/// Leaves asked for at a time.
const LEAVES_PER_CALL: u64 = 256;

/// A hub's command line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hub<'a> {
    pub(crate) programs: &'a Programs,
    pub(crate) site: &'a HubSite,
}

/// How a publish ended.
#[derive(Clone, Debug)]
pub(crate) enum PublishOutcome {
    /// Exit 0 or 3: from now on nothing may lose it.
    Acknowledged(Published),
    /// Any other end: nothing was promised.
    Refused,
}

impl<'a> Hub<'a> {
    pub(crate) fn new(programs: &'a Programs, site: &'a HubSite) -> Self {
        Self { programs, site }
    }

    /// `cresset --config ... ARGUMENTS`, with the hub's token in sight.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        self.prepare(self.programs.command("cresset"), arguments)
    }

    /// Adds configuration, arguments and token to a bare command.
    pub(crate) fn prepare(&self, mut command: Command, arguments: &[&str]) -> Command {
        command.arg("--config").arg(self.site.config()).args(arguments);
        token::with_token(&mut command, &token::configuration_file(&self.site.directory));
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, arguments: &[&str], accepted: &[i32]) -> Result<Output> {
        run(&mut self.command(arguments), accepted).with_context(|| self.failed())
    }

    pub(crate) fn status(&self) -> Result<Status> {
        self.ask(&["status"])
    }

    /// Publishes a file and insists on an acknowledgement.
    pub(crate) fn publish(&self, file: &Path, options: &[&str]) -> Result<Published> {
        let output = run(&mut self.publish_command(file, options), &[0, PENDING]).with_context(|| self.failed())?;
        parse(&output)
    }

    /// Publishes a file while anything may happen to the hub.
    pub(crate) fn try_publish(&self, file: &Path, options: &[&str]) -> Result<PublishOutcome> {
        let output = output(&mut self.publish_command(file, options))?;
        match output.status.code() {
            Some(0 | PENDING) => Ok(PublishOutcome::Acknowledged(parse(&output)?)),
            _ => Ok(PublishOutcome::Refused),
        }
    }

    /// The object as this hub holds it; `None` if it does not.
    pub(crate) fn show(&self, uuid: &str) -> Result<Option<Shown>> {
        let output = self.run(&["--json", "show", uuid], &[0, NOT_FOUND])?;
        if output.status.success() { parse(&output).map(Some) } else { Ok(None) }
    }

    /// How many objects with this value the hub holds.
    pub(crate) fn search(&self, value: &str) -> Result<usize> {
        let output = self.run(&["--json", "search", value], &[0, NOT_FOUND])?;
        if output.status.success() { Ok(parse::<Found>(&output)?.objects.len()) } else { Ok(0) }
    }

    /// Size and root of this hub's copy of a log.
    pub(crate) fn log_state(&self, origin: &str) -> Result<(u64, String)> {
        let log: Log = self.ask(&["log", origin, "--limit", "1"])?;
        Ok((log.size, log.root))
    }

    /// Every leaf of this hub's copy of a log.
    pub(crate) fn leaves(&self, origin: &str) -> Result<Vec<Leaf>> {
        let mut leaves: Vec<Leaf> = Vec::new();
        loop {
            let from = leaves.last().map_or(0, |leaf| leaf.index + 1).to_string();
            let log: Log = self.ask(&["log", origin, "--from", &from, "--limit", &LEAVES_PER_CALL.to_string()])?;
            let done = log.leaves.is_empty();
            leaves.extend(log.leaves);
            if done || leaves.len() as u64 >= log.size {
                return Ok(leaves);
            }
        }
    }

    pub(crate) fn export(&self, directory: &Path) -> Result<Exported> {
        let mut command = self.command(&["--json", "export"]);
        parse(&run(command.arg(directory), &[0]).with_context(|| self.failed())?)
    }

    fn publish_command(&self, file: &Path, options: &[&str]) -> Command {
        let mut command = self.command(&["--json", "publish"]);
        command.arg(file).args(options);
        command
    }

    fn ask<T: DeserializeOwned>(&self, arguments: &[&str]) -> Result<T> {
        let arguments: Vec<&str> = std::iter::once("--json").chain(arguments.iter().copied()).collect();
        parse(&self.run(&arguments, &[0])?)
    }

    fn failed(&self) -> String {
        format!("{} (log file {})", self.site.name, self.site.log().display())
    }
}

fn parse<T: DeserializeOwned>(output: &Output) -> Result<T> {
    serde_json::from_slice(&output.stdout).context("the answer is not the JSON that was expected")
}
