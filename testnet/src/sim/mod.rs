//! Simulated hubs: the real sync engine of many hubs on one seeded event heap.
//!
//! The same seed gives the same run. Invariants are checked at every step: an honest log is never seen forked, an honest
//! hub never blamed for a head or an announcement, a commit always joins what the disk holds.

mod founding;
mod hub;
mod random;
mod signature;
mod world;

pub(crate) use random::SeededRandom;
#[cfg(test)]
pub(crate) use world::Outcome;
pub(crate) use world::{Plan, World};

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(seed: u64, hubs: usize) -> Plan {
        Plan {
            seed,
            hubs,
            publishes: hubs * 4,
            loss_per_mille: 50,
            crashes: hubs / 5,
            partitions: 3,
            active_ms: 180_000,
            settle_ms: 600_000,
        }
    }

    fn run(plan: Plan) -> Outcome {
        let seed = plan.seed;
        World::new(plan).run().unwrap_or_else(|why| panic!("seed {seed}: {why}"))
    }

    /// Fifty hubs, 5 % loss, three partitions, ten crashes: everybody ends with everybody's log.
    #[test]
    fn fifty_hubs_become_equal_despite_loss_partition_and_restart() {
        let outcome = run(plan(0x0043_5245_5353_4554, 50));
        assert!(outcome.lost > 0 && outcome.leaves > 200, "{outcome:?}");
    }

    #[test]
    fn the_same_seed_gives_the_same_run() {
        assert_eq!(run(plan(7, 8)), run(plan(7, 8)));
        assert_ne!(run(plan(7, 8)).trace, run(plan(8, 8)).trace);
    }

    #[test]
    fn small_consortia_settle_for_many_seeds() {
        for seed in 0..40 {
            run(plan(seed, 5));
        }
    }
}
