//! One simulated hub: the real sync engine over a disk in memory, and a log of its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use cresset_protocol::ids::{Binding, Commitment, HubId, LeafIndex, LogId, TreeSize, UnixSeconds};
use cresset_protocol::log::checkpoint::{Checkpoint, Origin, SignedCheckpoint};
use cresset_protocol::log::entry::Entry;
use cresset_protocol::log::leaf::{Leaf, LeafFlags, LeafKind};
use cresset_protocol::log::merkle::{Frontier, MemoryTree};
use cresset_protocol::log::package::Package;
use cresset_protocol::signing::LogKeys;
use cresset_protocol::sync::announcement::Announcement;
use cresset_protocol::sync::directory::Directory;
use cresset_protocol::sync::engine::{Commit, Engine, MirrorState};

use super::random::SeededRandom;
use super::signature::{KeyedHash, sign};

/// One log as a hub's disk holds it.
#[derive(Default)]
pub(crate) struct StoredLog {
    /// Entries from index 0.
    pub(crate) entries: Vec<Entry>,
    /// Tree over them.
    tree: MemoryTree,
    /// Frontier over them.
    frontier: Frontier,
    /// The newest head that they are consistent with.
    pub(crate) head: Option<SignedCheckpoint>,
    note: Option<String>,
}

/// A simulated hub.
pub(crate) struct SimulatedHub {
    /// Its id.
    pub(crate) id: HubId,
    /// Its own log.
    pub(crate) log: LogId,
    origin: Origin,
    keys: LogKeys,
    /// What survives a restart.
    pub(crate) disk: BTreeMap<LogId, StoredLog>,
    /// What does not; `None` while the hub is down.
    pub(crate) engine: Option<Engine>,
}

impl SimulatedHub {
    /// A hub with an empty log.
    pub(crate) fn new(id: HubId, log: LogId, origin: Origin, keys: LogKeys) -> Self {
        Self { id, log, origin, keys, disk: BTreeMap::new(), engine: None }
    }

    /// Starts the engine from what the disk holds.
    pub(crate) fn start(&mut self, directory: Arc<Directory>) {
        let stored =
            self.disk.iter().filter(|(log, _)| **log != self.log).map(|(log, stored)| {
                (*log, MirrorState { frontier: stored.frontier.clone(), head: stored.head.clone() })
            });
        self.engine = Some(Engine::new(self.id, directory, Arc::new(KeyedHash), stored.collect()));
    }

    /// Appends leaves to the own log, signs them, and gives the announcement.
    pub(crate) fn publish(&mut self, now: UnixSeconds, leaves: u64, random: &mut SeededRandom) -> Vec<u8> {
        let log = self.log;
        let stored = self.disk.entry(log).or_default();
        let first = LeafIndex(stored.entries.len() as u64);
        let before = stored.frontier.clone();
        let entries: Vec<Entry> = (0..leaves).map(|_| Entry::bare(private_leaf(now, random))).collect();
        stored.append(&entries);
        let checkpoint =
            Checkpoint { origin: self.origin.clone(), size: stored.frontier.size(), root: stored.frontier.root() };
        let signatures = sign(&self.keys, checkpoint.bytes_to_sign(now).as_bytes());
        let head = SignedCheckpoint { checkpoint, timestamp: now, signatures };
        let note = head.to_note(&self.keys);
        stored.note = Some(note.clone());
        stored.head = Some(head);
        Announcement { log, note, first, frontier: before.hashes().to_vec(), entries, inline: Vec::new() }.to_bytes()
    }

    /// Executes a commit.
    pub(crate) fn commit(&mut self, commit: &Commit, keys: &LogKeys) {
        let stored = self.disk.entry(commit.log).or_default();
        assert_eq!(stored.entries.len() as u64, commit.first.0, "a commit must join the disk");
        let entries: Vec<Entry> = commit.entries.iter().cloned().map(|entry| entry.into_entry()).collect();
        stored.append(&entries);
        assert_eq!(stored.frontier, commit.frontier, "a commit's frontier must be that of its entries");
        stored.note = Some(commit.checkpoint.to_note(keys));
        stored.head = Some(commit.checkpoint.clone());
    }

    /// Notes of everything held completely: what a peer is told.
    pub(crate) fn heads(&self) -> Vec<(LogId, String)> {
        let complete = |stored: &StoredLog| {
            stored.head.as_ref().is_some_and(|head| head.checkpoint.size == stored.frontier.size())
        };
        self.disk
            .iter()
            .filter(|(_, stored)| complete(stored))
            .filter_map(|(log, stored)| Some((*log, stored.note.clone()?)))
            .collect()
    }

    /// Packages of a range under a head of the given size; empty if this hub does not hold it.
    pub(crate) fn packages(&self, log: &LogId, from: LeafIndex, to: LeafIndex, head: TreeSize) -> Vec<Vec<u8>> {
        let Some(stored) = self.disk.get(log).filter(|stored| stored.frontier.size() >= head) else {
            return Vec::new();
        };
        let mut out = Vec::new();
        let mut at = from.0;
        while at < to.0.min(head.0) {
            let end = Package::end_after(LeafIndex(at), head).min(to.0);
            let entries = stored.entries[at as usize..end as usize].to_vec();
            let package = Package::pack(LeafIndex(at), entries, head, &stored.tree).expect("the range is held");
            at += package.entries.len() as u64;
            out.push(package.to_bytes());
        }
        out
    }

    /// Size and root of a log on this disk.
    pub(crate) fn state_of(&self, log: &LogId) -> (u64, Option<[u8; 32]>) {
        self.disk.get(log).map_or((0, None), |stored| (stored.entries.len() as u64, Some(stored.frontier.root().0)))
    }
}

impl StoredLog {
    fn append(&mut self, entries: &[Entry]) {
        for entry in entries {
            self.tree.append(entry.leaf.hash());
            self.frontier.append(entry.leaf.hash());
        }
        self.entries.extend_from_slice(entries);
    }
}

fn private_leaf(time: UnixSeconds, random: &mut SeededRandom) -> Leaf {
    Leaf {
        kind: LeafKind::Private,
        flags: LeafFlags::default(),
        time,
        commitment: Commitment(random.bytes32()),
        binding: Binding(random.bytes32()),
    }
}
