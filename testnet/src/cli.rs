//! The command line.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand, ValueEnum};
use data_encoding::HEXLOWER;

use crate::founding;
use crate::hub::Hub;
use crate::network::Network;
use crate::process::{self, Lifetime, Programs};
use crate::scenario::first_light;
use crate::sim::{Plan, World};
use crate::story::Story;
use crate::token;
use crate::topology::Topology;
use crate::torture;

/// Officers of every test network: the smallest number with a quorum below it.
const OFFICERS: usize = 3;

/// Real and simulated networks of hubs on this machine, for demonstrations and tests.
#[derive(Debug, Parser)]
#[command(name = "cresset-testnet", version, about, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Found a consortium, enrol hubs and leave them running.
    Up {
        /// Hubs.
        #[arg(long, default_value_t = 3)]
        hubs: usize,
        /// Directory of the network; must not exist.
        #[arg(long, value_name = "DIRECTORY", default_value_os_t = default_directory())]
        dir: PathBuf,
    },
    /// Stop the hubs that `up` left running and remove the network.
    Down {
        /// Directory of the network.
        #[arg(long, value_name = "DIRECTORY", default_value_os_t = default_directory())]
        dir: PathBuf,
        /// Keep the files.
        #[arg(long)]
        keep: bool,
    },
    /// Show the hubs that `up` left running.
    Status {
        /// Directory of the network.
        #[arg(long, value_name = "DIRECTORY", default_value_os_t = default_directory())]
        dir: PathBuf,
    },
    /// Run a story from nothing to its end.
    Scenario {
        /// Which.
        scenario: Scenario,
        /// Directory of the network; a new temporary one if absent.
        #[arg(long, value_name = "DIRECTORY")]
        dir: Option<PathBuf>,
        /// Keep the files: bundles, logs, tokens.
        #[arg(long)]
        keep: bool,
        /// Seed of the moments at which things break.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Break things until something gives.
    Torture {
        /// How.
        torture: Torture,
        /// Times.
        #[arg(long, default_value_t = 20)]
        rounds: usize,
        /// Seed of hubs and moments.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Directory of the network; a new temporary one if absent.
        #[arg(long, value_name = "DIRECTORY")]
        dir: Option<PathBuf>,
        /// Keep the files.
        #[arg(long)]
        keep: bool,
    },
    /// Run the sync engine of many hubs over a simulated network that loses, splits and restarts.
    Simulate {
        /// Hubs.
        #[arg(long, default_value_t = 50)]
        hubs: usize,
        /// Seed of everything.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Scenario {
    /// Three hubs share an event under TLP, lose a hub, survive a crash, and are audited.
    FirstLight,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Torture {
    /// `kill -9` at seeded moments of publishing.
    Kill,
}

pub(crate) fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Up { hubs, dir } => up(hubs, &dir),
        Command::Down { dir, keep } => down(&dir, keep),
        Command::Status { dir } => status(&dir),
        Command::Scenario { scenario: Scenario::FirstLight, dir, keep, seed } => {
            in_directory(dir, "first-light", keep, |directory| first_light::run(directory, seed))
        }
        Command::Torture { torture: Torture::Kill, rounds, seed, dir, keep } => {
            in_directory(dir, "torture", keep, |directory| torture::kill(directory, rounds, seed))
        }
        Command::Simulate { hubs, seed } => simulate(hubs, seed),
    }
}

fn up(hubs: usize, directory: &Path) -> Result<()> {
    let programs = Programs::locate()?;
    let mut topology = Topology::create(&absolute(directory)?, hubs, OFFICERS)?;
    let story = Story::new();
    let founded = founding::found(&story, &programs, &topology, None)?;
    let pids = story.step("Start the hubs", || {
        let mut network = Network::start(&programs, &topology, Lifetime::Detached)?;
        network.wait_until_connected()?;
        for hub in network.hubs() {
            story.say(&format!("{}: cresset --config {}", hub.site.name, hub.site.config().display()));
        }
        Ok(network.detach())
    })?;
    topology.hubs.iter_mut().zip(pids).for_each(|(site, pid)| site.pid = pid);
    topology.consortium = Some(founded.consortium);
    topology.save()?;
    story.say(&format!("In front of each: {}=DIRECTORY OF THE HUB/token.conf", token::CONFIGURATION_VARIABLE));
    story.say(&format!("Stop and remove everything: cresset-testnet down --dir {}", topology.root.display()));
    Ok(())
}

fn down(directory: &Path, keep: bool) -> Result<()> {
    let mut topology = Topology::load(&absolute(directory)?)?;
    for site in &mut topology.hubs {
        if let Some(pid) = site.pid.take() {
            process::stop_detached(pid, &site.config()).with_context(|| format!("{} does not stop", site.name))?;
            println!("{} stopped.", site.name);
        }
    }
    topology.save()?;
    if !keep {
        std::fs::remove_dir_all(&topology.root)
            .with_context(|| format!("cannot remove `{}`", topology.root.display()))?;
    }
    Ok(())
}

fn status(directory: &Path) -> Result<()> {
    let programs = Programs::locate()?;
    let topology = Topology::load(&absolute(directory)?)?;
    for site in &topology.hubs {
        match Hub::new(&programs, site).status() {
            Ok(status) => println!(
                "{:<12} {} peers, {} leaves, {} objects, gate {}",
                site.name, status.peers, status.size, status.objects, status.gate
            ),
            Err(_) => println!("{:<12} does not answer (log file: {})", site.name, site.log().display()),
        }
    }
    Ok(())
}

fn simulate(hubs: usize, seed: u64) -> Result<()> {
    if hubs < 2 {
        bail!("a simulation has at least 2 hubs");
    }
    let plan = Plan {
        seed,
        hubs,
        publishes: hubs * 4,
        loss_per_mille: 50,
        crashes: hubs / 5,
        partitions: 3,
        active_ms: 180_000,
        settle_ms: 600_000,
    };
    let outcome = World::new(plan).run().map_err(|why| anyhow::anyhow!("seed {seed}: {why}"))?;
    println!("{hubs} hubs, seed {seed}: every hub ended with every log.");
    println!(
        "{} leaves, {} commits, {} events, {} messages lost; equal {:.1} s after the last fault (simulated)",
        outcome.leaves,
        outcome.commits,
        outcome.events,
        outcome.lost,
        outcome.settled_ms as f64 / 1_000.0
    );
    println!("trace {}", HEXLOWER.encode(&outcome.trace));
    Ok(())
}

/// Runs a story in a directory, and removes it unless it is to be kept or the story failed.
fn in_directory(
    directory: Option<PathBuf>,
    name: &str,
    keep: bool,
    story: impl FnOnce(&Path) -> Result<()>,
) -> Result<()> {
    let directory = match directory {
        Some(directory) => absolute(&directory)?,
        None => std::env::temp_dir().join(format!("cresset-{name}-{}", std::process::id())),
    };
    let fresh = !directory.exists();
    match story(&directory) {
        Ok(()) if keep => println!("\nEverything is kept in {}.", directory.display()),
        Ok(()) => {
            std::fs::remove_dir_all(&directory).with_context(|| format!("cannot remove `{}`", directory.display()))?
        }
        Err(error) if fresh && directory.exists() => {
            bail!("{error:#}\nnote: logs and data are kept in {}", directory.display())
        }
        Err(error) => return Err(error),
    }
    Ok(())
}

fn default_directory() -> PathBuf {
    std::env::temp_dir().join("cresset-testnet")
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("`{}` is no path", path.display()))
}
