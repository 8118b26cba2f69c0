//! Crashes at every boundary, over an executor in memory: never two roots for one size, nothing acknowledged is lost.

use std::collections::BTreeMap;

use super::tests::{at, config, sign};
use super::*;
use crate::log::merkle::leaf_hash;

/// SplitMix64: small, seeded, good enough to choose what happens next.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

/// What survives a crash.
#[derive(Default)]
struct Disk {
    leaves: Vec<NodeHash>,
    signed: Option<Head>,
    pending: Option<(Head, usize)>,
    fence: Option<FenceValue>,
    queue: BTreeMap<Ticket, Vec<NodeHash>>,
}

/// What the world has seen.
#[derive(Default)]
struct World {
    /// Every head for which both signatures were ever made.
    signed: BTreeMap<TreeSize, NodeHash>,
    acknowledged: Vec<NodeHash>,
    /// The newest head that a peer holds.
    announced: Option<Head>,
}

struct Run<'a> {
    disk: &'a mut Disk,
    world: &'a mut World,
    appends: BTreeMap<Ticket, Vec<NodeHash>>,
}

fn frontier(leaves: &[NodeHash]) -> Frontier {
    let mut frontier = Frontier::new();
    leaves.iter().for_each(|leaf| frontier.append(*leaf));
    frontier
}

impl Disk {
    fn resume(&self) -> Resume {
        let pending = self.pending.map(|(head, first)| Pending { head, before: frontier(&self.leaves[..first]) });
        Resume { frontier: frontier(&self.leaves), signed: self.signed, pending, fence: self.fence }
    }
}

impl Run<'_> {
    /// Carries out one command. A crash may come before or after its effect, which the caller decides.
    fn execute(&mut self, output: &Output) -> Option<Input> {
        match output {
            Output::Queue(ticket) => {
                self.disk.queue.insert(*ticket, self.appends[ticket].clone());
                Some(Input::Queued(*ticket))
            }
            Output::Persist(flush) => {
                assert_eq!(flush.first.0, self.disk.leaves.len() as u64);
                assert!(self.disk.pending.is_none(), "persisted over a pending head");
                for ticket in &flush.tickets {
                    self.disk.leaves.extend(&self.appends[ticket]);
                    self.disk.queue.remove(ticket);
                }
                self.disk.pending = Some((flush.head, flush.first.0 as usize));
                Some(Input::Persisted(flush.head))
            }
            Output::Fence { old, new } => {
                if self.disk.fence != *old {
                    return Some(Input::Failed(Step::FenceConflict));
                }
                self.disk.fence = Some(*new);
                Some(Input::Fenced(new.head))
            }
            Output::Sign { checkpoint, timestamp } => {
                let former = self.world.signed.insert(checkpoint.size, checkpoint.root);
                assert!(former.is_none_or(|root| root == checkpoint.root), "two roots for size {}", checkpoint.size);
                Some(Input::Signed(sign(checkpoint.clone(), *timestamp)))
            }
            Output::PersistNote(note) => {
                let head = Head { size: note.checkpoint.size, root: note.checkpoint.root };
                self.disk.signed = Some(head);
                self.disk.pending = None;
                Some(Input::NotePersisted(head))
            }
            Output::Answer { ticket, answer } => {
                if matches!(answer, Answer::Signed { .. } | Answer::Pending { .. } | Answer::Queued) {
                    self.world.acknowledged.extend(&self.appends[ticket]);
                }
                None
            }
            Output::Announce { checkpoint, .. } => {
                let checkpoint = &checkpoint.checkpoint;
                self.world.announced = Some(Head { size: checkpoint.size, root: checkpoint.root });
                None
            }
            _ => None,
        }
    }
}

/// Runs one node life after the other until the seed's budget of crashes is used up.
fn torture(seed: u64) {
    let mut random = Random(seed);
    let (mut disk, mut world) = (Disk::default(), World::default());
    let mut next_leaf = 0u64;
    let mut next_ticket = 0u64;
    for life in 0..12u8 {
        let hubs = if random.below(2) == 0 { 1 } else { 3 };
        // The last life ends in order, so that everything durable must be signed in the end.
        let steps_left = if life == 11 { u64::MAX } else { random.below(60) };
        live(seed, life, hubs, steps_left, &mut random, &mut disk, &mut world, &mut next_leaf, &mut next_ticket);
    }
    assert!(disk.pending.is_none() && disk.queue.is_empty(), "seed {seed}: work left over");
    for leaf in &world.acknowledged {
        assert!(disk.leaves.contains(leaf), "seed {seed}: an acknowledged leaf is lost");
    }
    let head = disk.signed.map(|head| head.root);
    assert_eq!(head, Some(frontier(&disk.leaves).root()), "seed {seed}");
}

#[allow(clippy::too_many_arguments, reason = "the state of one seed, passed on from life to life")]
fn live(
    seed: u64,
    life: u8,
    hubs: usize,
    mut steps_left: u64,
    random: &mut Random,
    disk: &mut Disk,
    world: &mut World,
    next_leaf: &mut u64,
    next_ticket: &mut u64,
) {
    let mut millis = 0;
    let (mut writer, out) = Writer::start(config(hubs, life + 1), disk.resume(), at(millis));
    let mut todo = std::collections::VecDeque::from(out);
    let queued: Vec<_> = disk.queue.iter().map(|(ticket, leaves)| (*ticket, leaves.clone())).collect();
    let mut run = Run { disk, world, appends: BTreeMap::new() };
    for (ticket, leaves) in queued {
        run.appends.insert(ticket, leaves.clone());
        let input =
            Input::Append { ticket, lane: Lane::Normal, leaves, announced_bytes: 1, durability: Durability::Queued };
        todo.extend(writer.step(at(millis), input));
    }
    let rounds = if steps_left == u64::MAX { 80 } else { 1_000 };
    for round in 0..rounds {
        while let Some(output) = todo.pop_front() {
            assert!(
                !matches!(output, Output::Halted | Output::Restored { .. } | Output::Diverged { .. }),
                "seed {seed}: {output:?}"
            );
            if steps_left == 0 {
                return;
            }
            steps_left -= 1;
            if output_is_slow(&output) && steps_left != u64::MAX - 1 && random.below(8) == 0 {
                todo.extend(fail(&mut writer, at(millis), &output));
                continue;
            }
            let input = run.execute(&output);
            // A crash between the effect and its report.
            if steps_left == 0 {
                return;
            }
            todo.extend(input.map(|input| writer.step(at(millis), input)).unwrap_or_default());
        }
        millis += random.below(700);
        let quiet = steps_left > 1 << 60 && round > 40;
        todo.extend(match random.below(4) {
            0 | 1 if !quiet => {
                let leaves: Vec<_> =
                    (0..=random.below(5)).map(|n| leaf_hash(&(*next_leaf + n).to_be_bytes())).collect();
                *next_leaf += leaves.len() as u64;
                *next_ticket += 1;
                run.appends.insert(Ticket(*next_ticket), leaves.clone());
                let lane = if random.below(2) == 0 { Lane::Urgent } else { Lane::Normal };
                let durability = Durability::Volatile;
                let ticket = Ticket(*next_ticket);
                writer.step(at(millis), Input::Append { ticket, lane, leaves, announced_bytes: 1, durability })
            }
            2 => {
                let view = run.world.announced.map_or(PeerView::Nothing, PeerView::Head);
                writer.step(at(millis), Input::PeerHead { hub: HubId([random.below(3) as u8; 16]), view })
            }
            _ => {
                millis += 1_000;
                writer.step(at(millis), Input::Tick)
            }
        });
    }
}

fn output_is_slow(output: &Output) -> bool {
    matches!(output, Output::Persist(_) | Output::Sign { .. } | Output::PersistNote(_) | Output::Queue(_))
}

fn fail(writer: &mut Writer, now: Moment, output: &Output) -> Vec<Output> {
    let step = match output {
        Output::Persist(_) => Step::Persist,
        Output::Sign { .. } => Step::Sign,
        Output::PersistNote(_) => Step::PersistNote,
        Output::Queue(ticket) => Step::Queue(*ticket),
        _ => return Vec::new(),
    };
    writer.step(now, Input::Failed(step))
}

#[test]
fn crashes_at_every_boundary_lose_nothing_and_never_fork() {
    (0..400).for_each(torture);
}
