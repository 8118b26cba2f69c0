//! Child processes: programs that run to their end, and daemons that end with this process.

use std::fs::File;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::eventually::eventually;

/// How long a program may run that is not a daemon.
const COMMAND_DEADLINE: Duration = Duration::from_secs(180);
/// How long a daemon may take to end after SIGTERM.
const STOP_DEADLINE: Duration = Duration::from_secs(20);

/// Whether a daemon ends with this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lifetime {
    /// It does.
    Story,
    /// It goes on (`cresset-testnet up`).
    Detached,
}

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
        let softtoken =
            softtoken.context("the software token is not there\nhint: make softtoken, or set CRESSET_SOFTTOKEN")?;
        Ok(Self { directory, softtoken })
    }

    /// A command for one of the programs.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.directory.join(program));
        command.stdin(Stdio::null());
        command
    }

    /// The same for a daemon: it is killed with this process where `setpriv` (util-linux) is there to arrange it, so that
    /// an interrupted story leaves nothing running either.
    pub(crate) fn daemon_command(&self, program: &str, lifetime: Lifetime) -> Command {
        let setpriv = Path::new("/usr/bin/setpriv");
        if lifetime == Lifetime::Detached || !setpriv.is_file() {
            return self.command(program);
        }
        let mut command = Command::new(setpriv);
        command.args(["--pdeathsig", "KILL", "--"]).arg(self.directory.join(program)).stdin(Stdio::null());
        command
    }
}

/// Runs a command to its end and insists on one of the given exit codes.
pub(crate) fn run(command: &mut Command, accepted: &[i32]) -> Result<Output> {
    let line = describe(command);
    let output = output(command).with_context(|| format!("cannot run {line}"))?;
    match output.status.code() {
        Some(code) if accepted.contains(&code) => Ok(output),
        _ => bail!("{line}\nended with {}\n{}", output.status, String::from_utf8_lossy(&output.stderr).trim_end()),
    }
}

/// Runs a command to its end, and kills it after [`COMMAND_DEADLINE`].
pub(crate) fn output(command: &mut Command) -> Result<Output> {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    // Both pipes are drained while the child runs, or a chatty one would never end.
    let (stdout, stderr) = (drain(child.stdout.take()), drain(child.stderr.take()));
    let ended = eventually("it to end", COMMAND_DEADLINE, || Ok(child.try_wait()?));
    if ended.is_err() {
        child.kill()?;
        child.wait()?;
    }
    let text = |reader: JoinHandle<Vec<u8>>| reader.join().unwrap_or_default();
    Ok(Output { status: ended?, stdout: text(stdout), stderr: text(stderr) })
}

/// A command as people would type it, without its environment.
fn describe(command: &Command) -> String {
    let parts = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = parts.map(|part| part.to_string_lossy().into_owned()).collect();
    format!("`{}`", words.join(" "))
}

fn drain(pipe: Option<impl Read + Send + 'static>) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // What a broken pipe gave so far is all that there is.
        let _ = pipe.map(|mut pipe| pipe.read_to_end(&mut bytes));
        bytes
    })
}

/// Ends a daemon that an earlier process left running, if it still is the same one.
pub(crate) fn stop_detached(pid: u32, config: &Path) -> Result<()> {
    // Process ids are used again: only a process with this configuration on its command line is ours.
    let is_ours = || {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line);
        line.split('\0').any(|argument| Path::new(argument) == config)
    };
    let Some(process) = i32::try_from(pid).ok().and_then(Pid::from_raw).filter(|_| is_ours()) else { return Ok(()) };
    kill_process(process, Signal::TERM)?;
    eventually("the daemon to end", STOP_DEADLINE, || Ok((!is_ours()).then_some(())))
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
        // A group of its own: interrupting the story must not look to the daemons like an operator's orderly stop.
        command.process_group(0).stdout(log.try_clone()?).stderr(log);
        let child = command.spawn().context("cannot start the daemon")?;
        Ok(Self { child })
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it did.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
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
