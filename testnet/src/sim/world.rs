//! The simulated world: a seeded event heap, links that lose and delay, partitions, crashes and restarts.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::sync::Arc;

use cresset_protocol::ids::{HubId, LeafIndex, LogId, TreeSize, UnixSeconds};
use cresset_protocol::signing::LogKeys;
use cresset_protocol::sync::directory::Directory;
use cresset_protocol::sync::engine::{Input, MessageId, Offence, Output, Verdict};
use sha2::{Digest, Sha256};

use super::founding;
use super::hub::SimulatedHub;
use super::random::SeededRandom;

/// Simulated POSIX time at the start.
const EPOCH_S: u64 = 1_800_000_000;
/// Gossip neighbours that a message is forwarded to.
const GOSSIP_FANOUT: usize = 4;
/// How often an engine is told that time passes, in milliseconds.
const TICK_MS: u64 = 2_000;

/// How a run is made.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Seed of everything.
    pub(crate) seed: u64,
    /// Hubs.
    pub(crate) hubs: usize,
    /// Publishes spread over the active phase.
    pub(crate) publishes: usize,
    /// Messages lost, in 1,000.
    pub(crate) loss_per_mille: u64,
    /// Crashes (each followed by a restart) in the active phase.
    pub(crate) crashes: usize,
    /// Partitions (each healed) in the active phase.
    pub(crate) partitions: usize,
    /// Length of the active phase, in milliseconds.
    pub(crate) active_ms: u64,
    /// How long all may take to become equal afterwards, in milliseconds.
    pub(crate) settle_ms: u64,
}

/// What a run showed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Leaves in all logs together.
    pub(crate) leaves: u64,
    /// Events processed.
    pub(crate) events: u64,
    /// Messages lost.
    pub(crate) lost: u64,
    /// Simulated time until all were equal, after the active phase, in milliseconds.
    pub(crate) settled_ms: u64,
    /// Commits that came by announcement, and by fetched packages.
    pub(crate) commits: u64,
    /// Digest over the whole trace: equal for equal seeds.
    pub(crate) trace: [u8; 32],
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Tick { hub: usize },
    Publish { hub: usize, leaves: u64 },
    Crash { hub: usize },
    Restart { hub: usize },
    Partition { side: BTreeSet<usize> },
    Heal,
    Message { from: usize, to: usize, body: Body },
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Body {
    Gossip(Arc<Vec<u8>>),
    AskHeads,
    Heads(Vec<(LogId, String)>),
    AskEntries { log: LogId, from: LeafIndex, to: LeafIndex, head: TreeSize },
    Package { log: LogId, bytes: Vec<u8> },
    EntriesEnd { log: LogId },
}

/// The world.
pub(crate) struct World {
    plan: Plan,
    now_ms: u64,
    sequence: u64,
    heap: BinaryHeap<Reverse<(u64, u64, Event)>>,
    random: SeededRandom,
    hubs: Vec<SimulatedHub>,
    keys: BTreeMap<LogId, LogKeys>,
    position: BTreeMap<HubId, usize>,
    directory: Arc<Directory>,
    side: BTreeSet<usize>,
    sessions: BTreeSet<(usize, usize)>,
    seen: Vec<BTreeSet<[u8; 32]>>,
    outcome: Outcome,
    trace: Sha256,
}

impl World {
    /// Founds a consortium and schedules everything that the plan asks for.
    pub(crate) fn new(plan: Plan) -> Self {
        let founded = founding::found(plan.hubs);
        let position = founded.hubs.iter().enumerate().map(|(n, hub)| (hub.id, n)).collect();
        let keys = founded.hubs.iter().enumerate().map(|(n, hub)| (hub.log, founding::keys_of(n))).collect();
        let mut world = Self {
            random: SeededRandom::new(plan.seed),
            now_ms: 0,
            sequence: 0,
            heap: BinaryHeap::new(),
            seen: vec![BTreeSet::new(); plan.hubs],
            hubs: founded.hubs,
            keys,
            position,
            directory: Arc::new(founded.directory),
            side: BTreeSet::new(),
            sessions: BTreeSet::new(),
            outcome: Outcome::default(),
            trace: Sha256::new(),
            plan,
        };
        world.schedule_plan();
        world
    }

    /// Runs until all mirrors equal their logs.
    ///
    /// # Errors
    /// What is still unequal when the time is over; the caller prints the seed.
    pub(crate) fn run(mut self) -> Result<Outcome, String> {
        for hub in 0..self.hubs.len() {
            self.restart(hub);
        }
        let end = self.plan.active_ms + self.plan.settle_ms;
        while let Some(Reverse((at, _, event))) = self.heap.pop() {
            if at > end {
                break;
            }
            self.now_ms = at;
            self.outcome.events += 1;
            self.handle(event)?;
            if at > self.plan.active_ms && self.outcome.events.is_multiple_of(64) && self.unequal().is_none() {
                self.outcome.settled_ms = at - self.plan.active_ms;
                self.outcome.leaves = self.hubs.iter().map(|hub| hub.state_of(&hub.log).0).sum();
                self.outcome.trace = self.trace.finalize().into();
                return Ok(self.outcome);
            }
        }
        Err(self.unequal().unwrap_or_else(|| "became equal only after the last event".to_owned()))
    }

    fn schedule_plan(&mut self) {
        let (hubs, active) = (self.plan.hubs as u64, self.plan.active_ms);
        for _ in 0..self.plan.publishes {
            let (at, hub) = (self.random.below(active), self.random.below(hubs) as usize);
            // Now and then more than one package's worth, so that catch-up crosses package boundaries.
            let leaves = if self.random.chance(20) { 300 + self.random.below(500) } else { 1 + self.random.below(8) };
            self.at(at, Event::Publish { hub, leaves });
        }
        for _ in 0..self.plan.crashes {
            let (at, hub) = (self.random.below(active), self.random.below(hubs) as usize);
            let back = at + 1_000 + self.random.below(60_000);
            self.at(at, Event::Crash { hub });
            self.at(back.min(active), Event::Restart { hub });
        }
        for _ in 0..self.plan.partitions {
            let at = self.random.below(active);
            let side = (0..self.plan.hubs).filter(|_| self.random.chance(500)).collect();
            self.at(at, Event::Partition { side });
            let heal = at + 5_000 + self.random.below(60_000);
            self.at(heal.min(active), Event::Heal);
        }
        self.at(active, Event::Heal);
        for hub in 0..self.plan.hubs {
            let at = self.random.below(TICK_MS);
            self.at(at, Event::Tick { hub });
            self.at(active, Event::Restart { hub });
        }
    }

    fn handle(&mut self, event: Event) -> Result<(), String> {
        self.note(&event);
        match event {
            Event::Tick { hub } => {
                self.at(self.now_ms + TICK_MS, Event::Tick { hub });
                self.step(hub, Input::Tick)
            }
            Event::Publish { hub, leaves } => {
                if self.hubs[hub].engine.is_some() {
                    let now = self.now();
                    let bytes = Arc::new(self.hubs[hub].publish(now, leaves, &mut self.random));
                    self.gossip(hub, &bytes);
                }
                Ok(())
            }
            Event::Crash { hub } => {
                self.hubs[hub].engine = None;
                self.seen[hub].clear();
                self.drop_sessions_of(hub)
            }
            Event::Restart { hub } => {
                if self.hubs[hub].engine.is_none() {
                    self.restart(hub);
                }
                Ok(())
            }
            Event::Partition { side } => {
                self.side = side;
                self.reconnect()
            }
            Event::Heal => {
                self.side.clear();
                self.reconnect()
            }
            Event::Message { from, to, body } => self.receive(from, to, body),
        }
    }

    fn receive(&mut self, from: usize, to: usize, body: Body) -> Result<(), String> {
        if self.hubs[to].engine.is_none() || !self.sessions.contains(&pair(from, to)) {
            return Ok(());
        }
        let peer = self.hubs[from].id;
        match body {
            Body::Gossip(bytes) => {
                let id: [u8; 32] = Sha256::digest(bytes.as_slice()).into();
                if !self.seen[to].insert(id) {
                    return Ok(());
                }
                let message = Input::Announcement { from: peer, id: MessageId(id), bytes: bytes.to_vec() };
                self.step_with(to, message, Some(&bytes))
            }
            Body::AskHeads => {
                let heads = self.hubs[to].heads();
                self.send(to, from, Body::Heads(heads));
                Ok(())
            }
            Body::Heads(notes) => self.step(to, Input::Heads { from: peer, notes }),
            Body::AskEntries { log, from: first, to: end, head } => {
                for bytes in self.hubs[to].packages(&log, first, end, head) {
                    self.send(to, from, Body::Package { log, bytes });
                }
                self.send(to, from, Body::EntriesEnd { log });
                Ok(())
            }
            Body::Package { log, bytes } => self.step(to, Input::Package { from: peer, log, bytes }),
            Body::EntriesEnd { log } => self.step(to, Input::FetchEnded { from: peer, log }),
        }
    }

    fn step(&mut self, hub: usize, input: Input) -> Result<(), String> {
        self.step_with(hub, input, None)
    }

    fn step_with(&mut self, hub: usize, input: Input, gossip: Option<&Arc<Vec<u8>>>) -> Result<(), String> {
        let now = self.now();
        let Some(engine) = self.hubs[hub].engine.as_mut() else { return Ok(()) };
        for output in engine.step(now, input) {
            match output {
                Output::Report { verdict: Verdict::Accept, .. } => {
                    if let Some(bytes) = gossip {
                        self.gossip(hub, bytes);
                    }
                }
                Output::Report { .. } | Output::OwnHead { .. } => {}
                Output::AskHeads(peer) => self.send(hub, self.position[&peer], Body::AskHeads),
                Output::Fetch { peer, log, from, to, head } => {
                    self.send(hub, self.position[&peer], Body::AskEntries { log, from, to, head });
                }
                Output::Commit(commit) => {
                    self.outcome.commits += 1;
                    let keys = &self.keys[&commit.log];
                    self.hubs[hub].commit(&commit, keys);
                }
                // A reordered or late package is no longer expected; everything else would be a fault of ours.
                Output::Misbehaviour { what: Offence::Unsolicited | Offence::Package, .. } => {}
                Output::Misbehaviour { peer, what } => {
                    return Err(format!("hub {hub} blames honest hub {} for {what:?}", self.position[&peer]));
                }
                Output::Inconsistent { log, .. } => return Err(format!("hub {hub} sees a fork of honest log {log}")),
            }
        }
        Ok(())
    }

    fn restart(&mut self, hub: usize) {
        let directory = self.directory.clone();
        self.hubs[hub].start(directory);
        // Sessions need both ends; failures cannot come from an engine that has seen nothing yet.
        let _ = self.reconnect();
    }

    /// Opens every session that should be open and closes every other.
    fn reconnect(&mut self) -> Result<(), String> {
        for a in 0..self.hubs.len() {
            for b in a + 1..self.hubs.len() {
                let up = [a, b].iter().all(|hub| self.hubs[*hub].engine.is_some());
                let reachable = up && self.side.contains(&a) == self.side.contains(&b);
                if reachable && self.sessions.insert((a, b)) {
                    self.step(a, Input::PeerUp(self.hubs[b].id))?;
                    self.step(b, Input::PeerUp(self.hubs[a].id))?;
                } else if !reachable && self.sessions.remove(&(a, b)) {
                    self.step(a, Input::PeerDown(self.hubs[b].id))?;
                    self.step(b, Input::PeerDown(self.hubs[a].id))?;
                }
            }
        }
        Ok(())
    }

    fn drop_sessions_of(&mut self, hub: usize) -> Result<(), String> {
        for other in 0..self.hubs.len() {
            if other != hub && self.sessions.remove(&pair(hub, other)) {
                self.step(other, Input::PeerDown(self.hubs[hub].id))?;
            }
        }
        Ok(())
    }

    fn gossip(&mut self, from: usize, bytes: &Arc<Vec<u8>>) {
        let neighbours: Vec<usize> =
            (0..self.hubs.len()).filter(|to| self.sessions.contains(&pair(from, *to))).collect();
        if neighbours.is_empty() {
            return;
        }
        for _ in 0..GOSSIP_FANOUT {
            let to = neighbours[self.random.below(neighbours.len() as u64) as usize];
            self.send(from, to, Body::Gossip(bytes.clone()));
        }
    }

    fn send(&mut self, from: usize, to: usize, body: Body) {
        if from == to || self.random.chance(self.plan.loss_per_mille) {
            self.outcome.lost += 1;
            return;
        }
        let delay = 5 + self.random.below(150);
        self.at(self.now_ms + delay, Event::Message { from, to, body });
    }

    fn at(&mut self, at_ms: u64, event: Event) {
        self.sequence += 1;
        self.heap.push(Reverse((at_ms, self.sequence, event)));
    }

    fn now(&self) -> UnixSeconds {
        UnixSeconds(EPOCH_S + self.now_ms / 1_000)
    }

    fn note(&mut self, event: &Event) {
        let kind: u8 = match event {
            Event::Tick { .. } => 0,
            Event::Publish { .. } => 1,
            Event::Crash { .. } => 2,
            Event::Restart { .. } => 3,
            Event::Partition { .. } => 4,
            Event::Heal => 5,
            Event::Message { .. } => 6,
        };
        self.trace.update(self.now_ms.to_be_bytes());
        self.trace.update([kind]);
    }

    /// The first difference between a log and a mirror of it.
    fn unequal(&self) -> Option<String> {
        for owner in &self.hubs {
            let truth = owner.state_of(&owner.log);
            for (n, hub) in self.hubs.iter().enumerate() {
                let held = hub.state_of(&owner.log);
                if held != truth {
                    return Some(format!(
                        "hub {n} holds {} of {} leaves of {}",
                        held.0, truth.0, self.position[&owner.id]
                    ));
                }
            }
        }
        None
    }
}

fn pair(a: usize, b: usize) -> (usize, usize) {
    (a.min(b), a.max(b))
}
