//! Publishing from several clients at once while the hub is killed, and what must be there afterwards.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Result, bail};

use crate::answers::PublishedObject;
use crate::eventually::eventually;
use crate::fixture;
use crate::hub::PublishOutcome;
use crate::network::Network;
use crate::sim::SeededRandom;

/// Clients that publish at the same time.
const CLIENTS: usize = 3;
/// Longest time between the acknowledgement and the kill: a few publishes.
const THEN_MS_MAX: u64 = 20;
/// How long an acknowledged object may take to be opened and admitted at another hub.
const OPENED_DEADLINE: Duration = Duration::from_secs(30);
/// How long the acknowledgements before the kill may take.
const ACKNOWLEDGED_DEADLINE: Duration = Duration::from_secs(120);

/// When a hub is killed: after so many acknowledgements, and then so many milliseconds later.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) acknowledged: usize,
    pub(crate) then_ms: u64,
}

impl Moment {
    /// A seeded moment within a series of publishes.
    pub(crate) fn within(publishes: usize, random: &mut SeededRandom) -> Self {
        let latest = publishes.saturating_sub(CLIENTS).max(1) as u64;
        Self { acknowledged: 1 + random.below(latest) as usize, then_ms: random.below(THEN_MS_MAX) }
    }
}

/// What was promised before the kill.
#[derive(Clone, Debug, Default)]
pub(crate) struct Promises {
    /// Acknowledged objects.
    pub(crate) objects: Vec<PublishedObject>,
    /// Publishes that got no acknowledgement.
    pub(crate) unanswered: usize,
}

impl Promises {
    pub(crate) fn leaf_hashes(&self) -> BTreeSet<&str> {
        self.objects.iter().flat_map(PublishedObject::leaves).filter_map(|leaf| leaf.leaf_hash.as_deref()).collect()
    }
}

/// Small events for one round, written into a directory.
pub(crate) fn write_events(directory: &Path, round: &str, count: usize) -> Result<Vec<PathBuf>> {
    let write = |n| fixture::write_small(directory, &format!("{round}-event-{n}")).map(|(_, file)| file);
    (1..=count).map(write).collect()
}

/// Publishes the files at a hub from several clients and kills the hub at the moment.
pub(crate) fn kill_while_publishing(
    network: &mut Network<'_>,
    victim: usize,
    files: &[PathBuf],
    moment: Moment,
) -> Result<Promises> {
    let hub = network.hub(victim);
    let next = AtomicUsize::new(0);
    let acknowledged = AtomicUsize::new(0);
    let promises = Mutex::new(Promises::default());
    let killed = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                scope.spawn(|| {
                    while let Some(file) = files.get(next.fetch_add(1, Ordering::SeqCst)) {
                        let outcome = hub.try_publish(file, &["--lane", "urgent"]);
                        let mut promises = promises.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                        match outcome {
                            Ok(PublishOutcome::Acknowledged(published)) => {
                                promises.objects.extend(published.objects);
                                acknowledged.fetch_add(1, Ordering::SeqCst);
                            }
                            Ok(PublishOutcome::Refused) | Err(_) => promises.unanswered += 1,
                        }
                    }
                })
            })
            .collect();
        let reached = eventually("the first acknowledgements", ACKNOWLEDGED_DEADLINE, || {
            let over = clients.iter().all(|client| client.is_finished());
            Ok((over || acknowledged.load(Ordering::SeqCst) >= moment.acknowledged).then_some(()))
        });
        // The moment itself is the point here: between two appends, or in the middle of one.
        std::thread::sleep(Duration::from_millis(moment.then_ms));
        reached.and(network.kill(victim))
    });
    killed?;
    let promises = promises.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    if promises.objects.is_empty() {
        bail!("{} acknowledged nothing before it was killed (log file {})", hub.site.name, hub.site.log().display());
    }
    Ok(promises)
}

/// Insists that every promise is kept at every hub: each leaf in the log and its mirrors, each object in each store.
pub(crate) fn check_promises(network: &mut Network<'_>, publisher: usize, promises: &Promises) -> Result<()> {
    let country = &network.hub(publisher).site.country;
    for n in 0..network.hubs().count() {
        let hub = network.hub(n);
        let leaves: BTreeSet<String> = hub.leaves(country)?.into_iter().map(|leaf| leaf.leaf_hash).collect();
        if let Some(lost) = promises.leaf_hashes().into_iter().find(|hash| !leaves.contains(*hash)) {
            bail!("acknowledged leaf {lost} of {country} is not in the log that {} holds", hub.site.name);
        }
        for object in &promises.objects {
            let what = format!("acknowledged object {} of {country}", object.uuid);
            network.wait(n, &what, OPENED_DEADLINE, |hub| {
                Ok(hub.show(&object.uuid)?.filter(|shown| shown.summary.version == object.version).map(drop))
            })?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_lies_within_the_publishes() {
        let mut random = SeededRandom::new(3);
        for _ in 0..1_000 {
            let moment = Moment::within(12, &mut random);
            assert!((1..=9).contains(&moment.acknowledged) && moment.then_ms < THEN_MS_MAX);
        }
        assert_eq!(Moment::within(1, &mut random).acknowledged, 1);
    }
}
