//! `kill -9` at seeded moments, over and over: nothing acknowledged is lost, and no log ever has two roots for one size.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::audit;
use crate::crash::{self, Moment};
use crate::founding;
use crate::network::Network;
use crate::process::{Lifetime, Programs};
use crate::sim::SeededRandom;
use crate::story::Story;
use crate::topology::Topology;

const HUBS: usize = 3;
const OFFICERS: usize = 3;
/// Publishes per round.
const PUBLISHES: usize = 24;

/// Kills a seeded hub in each round while it publishes.
pub(crate) fn kill(directory: &Path, rounds: usize, seed: u64) -> Result<()> {
    torture(directory, rounds, seed).with_context(|| format!("seed {seed}"))
}

fn torture(directory: &Path, rounds: usize, seed: u64) -> Result<()> {
    let programs = Programs::locate()?;
    let topology = Topology::create(directory, HUBS, OFFICERS)?;
    let story = Story::new();
    let mut random = SeededRandom::new(seed);
    let founded = founding::found(&story, &programs, &topology, None)?;
    let mut network = Network::start(&programs, &topology, Lifetime::Story)?;
    network.wait_until_connected()?;

    let mut total = Total::default();
    story.step(&format!("Kill a hub {rounds} times while it publishes (seed {seed})"), || {
        for round in 1..=rounds {
            let line = one_round(&mut network, directory, round, &mut random, &mut total)
                .with_context(|| format!("round {round}"))?;
            story.table(&[line]);
        }
        Ok(())
    })?;
    let (notes, replay) = story.step("Compare every signed head, replay every log", || {
        let bundles = export(&network, directory)?;
        network.stop_all()?;
        let notes = one_root_per_size(&bundles)?;
        Ok((notes, audit::replay(&programs, &bundles, &founded.consortium, None)?))
    })?;
    story.say(&format!("{notes} signed heads of {HUBS} logs: one root for every size."));
    story.say(&format!("cresset-audit replay of all bundles: {} (exit {}).", replay.verdict, replay.code));
    if replay.code >= DIVERGED_MIN {
        bail!("the audit of what was left is {}:{}", replay.verdict, replay.findings());
    }
    story.say(&format!(
        "{rounds} kills: {} objects acknowledged, {} leaves promised, none lost; {} publishes unanswered; restart to \
         answering and connected {:.1} s on average, {:.1} s at worst; {:.0} s in all.",
        total.objects,
        total.leaves,
        total.unanswered,
        total.restarts.as_secs_f64() / rounds.max(1) as f64,
        total.slowest.as_secs_f64(),
        story.seconds()
    ));
    Ok(())
}

/// Exit codes of a replay from here on say that something does not verify: UNANCHORED, DIVERGED, INVALID.
const DIVERGED_MIN: i32 = 20;

#[derive(Debug, Default)]
struct Total {
    objects: usize,
    leaves: usize,
    unanswered: usize,
    restarts: Duration,
    slowest: Duration,
}

fn one_round(
    network: &mut Network<'_>,
    directory: &Path,
    round: usize,
    random: &mut SeededRandom,
    total: &mut Total,
) -> Result<Vec<String>> {
    let victim = random.below(HUBS as u64) as usize;
    let moment = Moment::within(PUBLISHES, random);
    let files = crash::write_events(directory, &format!("round-{round}"), PUBLISHES)?;
    let promises = crash::kill_while_publishing(network, victim, &files, moment)?;
    let began = Instant::now();
    network.restart(victim)?;
    network.wait_until_connected()?;
    let restarted = began.elapsed();
    network.wait_until_equal()?;
    crash::check_promises(network, victim, &promises)?;

    let leaves = promises.leaf_hashes().len();
    total.objects += promises.objects.len();
    total.leaves += leaves;
    total.unanswered += promises.unanswered;
    total.restarts += restarted;
    total.slowest = total.slowest.max(restarted);
    let what = format!(
        "killed {:>2} ms after acknowledgement {:>2}: {:>2} objects, {leaves:>2} leaves, all there; back in {:.1} s",
        moment.then_ms,
        moment.acknowledged,
        promises.objects.len(),
        restarted.as_secs_f64()
    );
    Ok(vec![format!("{round:>3}"), format!("{:<10}", network.hub(victim).site.name), what])
}

fn export(network: &Network<'_>, directory: &Path) -> Result<Vec<PathBuf>> {
    let mut bundles = Vec::new();
    for hub in network.hubs() {
        let bundle = directory.join(format!("bundle-{}", hub.site.country.to_lowercase()));
        hub.export(&bundle)?;
        bundles.push(bundle);
    }
    Ok(bundles)
}

/// Number of distinct signed heads; an error if two of one log and size disagree.
fn one_root_per_size(bundles: &[PathBuf]) -> Result<usize> {
    let roots = audit::roots_by_size(bundles)?;
    match roots.iter().find(|(_, roots)| roots.len() > 1) {
        Some(((origin, size), roots)) => bail!("{origin} has {} roots for size {size}", roots.len()),
        None => Ok(roots.len()),
    }
}
