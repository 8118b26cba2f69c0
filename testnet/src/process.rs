//! Child processes: programs that run to their end, and daemons that end with this process.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::eventually::eventually;

/// How long a daemon may take to end after SIGTERM.
const STOP_DEADLINE: Duration = Duration::from_secs(20);

/// The programs under test.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    directory: PathBuf,
    /// The PKCS#11 module of the demonstration's tokens.
    pub(crate) softtoken: PathBuf,
}

impl Programs {
    /// Finds the programs beside this one (or in `CRESSET_BIN`) and the softtoken in `CRESSET_SOFTTOKEN`.
    pub(crate) fn locate() -> Result<Self> {
        let beside = || Some(std::env::current_exe().ok()?.parent()?.to_owned());
        let directory = std::env::var_os("CRESSET_BIN").map(PathBuf::from).or_else(beside);
        let directory = directory.context("cannot tell where the programs are\nhint: set CRESSET_BIN")?;
        for program in ["cresset", "cresset-pki", "cresset-audit"] {
            if !directory.join(program).is_file() {
                bail!("`{program}` is not in `{}`\nhint: make build", directory.display());
            }
        }
        let softtoken = std::env::var_os("CRESSET_SOFTTOKEN").map(PathBuf::from).filter(|path| path.is_file());
        let softtoken = softtoken.context("the software token is not there\nhint: make softtoken, or set CRESSET_SOFTTOKEN")?;
        Ok(Self { directory, softtoken })
    }

    /// A command for one of the programs.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.directory.join(program));
        command.stdin(Stdio::null());
        command
    }
}

/// Runs a command to its end and insists on one of the given exit codes.
pub(crate) fn run(command: &mut Command, accepted: &[i32]) -> Result<Output> {
    let line = format!("{command:?}");
    let output = command.output().with_context(|| format!("cannot start {line}"))?;
    match output.status.code() {
        Some(code) if accepted.contains(&code) => Ok(output),
        _ => bail!("{line}\nended with {}\n{}", output.status, String::from_utf8_lossy(&output.stderr).trim_end()),
    }
}

/// A running daemon. Dropping it kills the process, so that nothing is left behind.
#[derive(Debug)]
pub(crate) struct Daemon {
    child: Child,
}

impl Daemon {
    /// Starts a daemon that logs into a file (appended).
    pub(crate) fn start(command: &mut Command, log: &Path) -> Result<Self> {
        let log = File::options().create(true).append(true).open(log).with_context(|| format!("{}", log.display()))?;
        let child = command.stdout(log.try_clone()?).stderr(log).spawn().context("cannot start the daemon")?;
        Ok(Self { child })
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs.
    pub(crate) fn is_running(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// SIGTERM, then waits for an orderly end.
    pub(crate) fn stop(mut self) -> Result<()> {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            kill_process(pid, Signal::TERM)?;
        }
        eventually("the daemon to end", STOP_DEADLINE, || Ok(self.child.try_wait()?.map(drop)))
    }

    /// SIGKILL: what a crash looks like.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Lets the daemon outlive this process (`cresset-testnet up`).
    pub(crate) fn detach(self) -> u32 {
        let pid = self.child.id();
        std::mem::forget(self);
        pid
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Nothing can be done about a failure here; the process is gone or not ours any more.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
