//! Command line: what to replay, what to demand, where the result goes. stdout is data, stderr is talk.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand};
use cresset_audit::demand::{Demand, Fraction, POLICY_FILE_BYTES_MAX, WitnessPolicy};
use cresset_audit::flip::{POSITIONS_PER_FILE, Plan, flip_test};
use cresset_audit::keys::policy_lines;
use cresset_audit::replay::{Request, replay};
use cresset_audit::report::Report;
use cresset_audit::source::{Directory, Source};
use cresset_audit::verdict::Required;
use cresset_protocol::ids::{ConsortiumId, UnixSeconds};

/// Replays provenance bundles offline: signatures, trees, openings, decisions, confirmations.
#[derive(Parser)]
#[command(name = "cresset-audit", version, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Replay one or several bundles and give a verdict.
    ///
    /// Exit codes: 0 WITNESSED, 10 SIGNED-ONLY, 11 STALE, 12 INCOMPLETE, 13 RECOVERED, 20 UNANCHORED, 30 DIVERGED,
    /// 40 INVALID; 1 if the replay itself fails, 2 for wrong usage.
    Replay(Replay),
    /// Print the logs of a bundle's roster as lines for a policy file.
    Keys(Keys),
    /// Turn single bits of a bundle and demand that each changes the verdict.
    #[command(hide = true)]
    FlipTest(FlipTest),
}

#[derive(Args)]
struct Replay {
    /// Bundle directories.
    #[arg(required = true, value_name = "BUNDLE")]
    bundles: Vec<PathBuf>,
    #[command(flatten)]
    terms: Terms,
    /// Exit with 0 for this level or a better one.
    #[arg(long, value_name = "LEVEL")]
    require: Option<Required>,
    /// Print the JSON instead of the report; its SHA-256 is the result's name.
    #[arg(long)]
    json: bool,
    /// Write the readable report to a file.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

#[derive(Args)]
struct Terms {
    /// Consortium id, as you know it from elsewhere (64 hexadecimal digits). Without it the result is UNANCHORED.
    #[arg(long, value_name = "ID")]
    consortium: Option<ConsortiumId>,
    /// C2SP tlog-policy file that says whose confirmations are demanded.
    #[arg(long, value_name = "FILE", conflicts_with = "confirmed_by")]
    policy: Option<PathBuf>,
    /// Fraction of the other Member States whose confirmation is demanded.
    #[arg(long, value_name = "FRACTION", default_value = "majority")]
    confirmed_by: Fraction,
    /// Audit the public part only: private openings are not expected.
    #[arg(long)]
    public_only: bool,
    /// Leaves after this moment need no confirmation (RFC 3339, or POSIX seconds).
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    until: Option<UnixSeconds>,
    /// Put the logs of this hub in scope (domain, country code or hub id) instead of the exporting hubs' own.
    #[arg(long, value_name = "HUB")]
    hub: Vec<String>,
}

#[derive(Args)]
struct Keys {
    /// Bundle directory.
    bundle: PathBuf,
    /// Consortium id.
    #[arg(long, value_name = "ID")]
    consortium: ConsortiumId,
}

#[derive(Args)]
struct FlipTest {
    /// Bundle directory.
    bundle: PathBuf,
    #[command(flatten)]
    terms: Terms,
    /// Bits to turn at least.
    #[arg(long, default_value_t = 2_000)]
    flips: u64,
    /// Positions of every file, besides its first and last octet.
    #[arg(long, default_value_t = POSITIONS_PER_FILE)]
    per_file: u64,
    /// Seed of the positions.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Digest the damaged file anew, so that only its content can give it away.
    #[arg(long)]
    resealed: bool,
}

impl Cli {
    /// Runs the command and returns its exit code.
    pub(crate) fn run(self) -> Result<u8> {
        match self.command {
            Command::Replay(args) => args.run(),
            Command::Keys(args) => {
                let lines = policy_lines(&Directory::new(&args.bundle), &args.consortium);
                print(&lines.map_err(anyhow::Error::msg)?)?;
                Ok(0)
            }
            Command::FlipTest(args) => args.run(),
        }
    }
}

impl Replay {
    fn run(self) -> Result<u8> {
        let directories: Vec<Directory> = self.bundles.iter().map(|path| Directory::new(path)).collect();
        let sources = directories.iter().map(|directory| directory as &dyn Source).collect();
        let report = replay(&self.terms.request(sources)?);
        if let Some(path) = &self.report {
            std::fs::write(path, report.to_text())
                .with_context(|| format!("`{}` cannot be written", path.display()))?;
        }
        if self.json {
            print(&report.to_json())?;
            eprintln!("{} result sha256:{}", report.verdict(), report.digest());
        } else if self.report.is_some() {
            print(&format!("{} result sha256:{}\n", report.verdict(), report.digest()))?;
        } else {
            print(&report.to_text())?;
        }
        Ok(report.verdict().exit_code_for(self.require))
    }
}

impl FlipTest {
    fn run(self) -> Result<u8> {
        let terms = self.terms.request(Vec::new())?;
        let mut once = |source: &dyn Source| -> Report {
            replay(&Request {
                sources: vec![source],
                consortium: terms.consortium,
                demand: terms.demand.clone(),
                public_only: terms.public_only,
                until: terms.until,
                hubs: terms.hubs.clone(),
            })
        };
        let plan = Plan { flips: self.flips, per_file: self.per_file, seed: self.seed, resealed: self.resealed };
        let report = flip_test(&Directory::new(&self.bundle), plan, &mut once)?;
        print(&(serde_json::to_string_pretty(&report)? + "\n"))?;
        Ok(u8::from(!report.unnoticed.is_empty()))
    }
}

impl Terms {
    fn request<'s>(&self, sources: Vec<&'s dyn Source>) -> Result<Request<'s>> {
        let demand = match &self.policy {
            Some(path) => Demand::Policy(WitnessPolicy::parse(&read_policy(path)?)?),
            None => Demand::Fraction(self.confirmed_by),
        };
        Ok(Request {
            sources,
            consortium: self.consortium,
            demand,
            public_only: self.public_only,
            until: self.until,
            hubs: self.hub.clone(),
        })
    }
}

fn read_policy(path: &Path) -> Result<String> {
    let unreadable = || format!("policy file `{}` cannot be read", path.display());
    let file = std::fs::File::open(path).with_context(unreadable)?;
    let mut bytes = Vec::new();
    file.take(POLICY_FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).with_context(unreadable)?;
    if bytes.len() > POLICY_FILE_BYTES_MAX {
        bail!("policy file `{}` is longer than {POLICY_FILE_BYTES_MAX} bytes", path.display());
    }
    // Octets beyond ASCII are opaque to the format; names that differ in them must go on differing.
    Ok(bytes.iter().map(|b| char::from(*b)).collect())
}

fn parse_time(text: &str) -> Result<UnixSeconds, String> {
    if let Ok(seconds) = text.parse() {
        return Ok(UnixSeconds(seconds));
    }
    let time: jiff::Timestamp = text.parse().map_err(|_| format!("`{text}` is neither RFC 3339 nor POSIX seconds"))?;
    u64::try_from(time.as_second()).map(UnixSeconds).map_err(|_| format!("`{text}` is before 1970"))
}

fn print(text: &str) -> Result<()> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        // Whoever reads only the beginning has what they want; the exit code still counts.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.context("stdout cannot be written"),
    }
}
