//! Real kills: a child process appends until it gets SIGKILL at a seeded moment; nothing that it acknowledged may be lost,
//! and no stored note may contradict the tree.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail loudly")]

mod support;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use cresset_protocol::ids::{LeafIndex, TreeSize};
use cresset_protocol::log::checkpoint::SignedCheckpoint;
use cresset_provenance::log_writer::Lane;
use cresset_provenance::{AppendAnswer, NewLeaf};

use support::{LOG, keys, origin, private, store, writer};

const CHILD_DIR: &str = "CRESSET_KILL_TEST_DIR";
const CHILD_START: &str = "CRESSET_KILL_TEST_START";
const KILLS: u64 = 12;

/// Not a test of its own: what the child runs. Prints one line per acknowledged leaf.
#[test]
fn child() {
    let Ok(dir) = std::env::var(CHILD_DIR) else { return };
    let start: u64 = std::env::var(CHILD_START).unwrap().parse().unwrap();
    let dir = Path::new(&dir);
    let store = store(dir);
    let (writer, _events) = writer(dir, &store, 1);
    let mut out = std::io::stdout().lock();
    for n in start.. {
        let AppendAnswer::Signed { first, .. } = writer.append_and_wait(vec![NewLeaf::bare(private(n))], Lane::Urgent)
        else {
            panic!("leaf {n} was not signed")
        };
        writeln!(out, "\nacknowledged {} {n}", first.0).unwrap();
        out.flush().unwrap();
    }
}

#[test]
fn kills_lose_nothing_acknowledged_and_never_fork() {
    let dir = tempfile::tempdir().unwrap();
    drop(store(dir.path()));
    let mut acknowledged = BTreeMap::new();
    for kill in 0..KILLS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["child", "--exact", "--nocapture"])
            .env(CHILD_DIR, dir.path())
            .env(CHILD_START, (kill * 1_000_000).to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // The first acknowledgement shows that the child is at work; the delay after it is the seeded moment.
        let mut seen = |line: String| {
            let mut words = line.strip_prefix("acknowledged ")?.split(' ').map(|word| word.parse::<u64>().unwrap());
            acknowledged.insert(words.next()?, words.next()?);
            Some(())
        };
        while let Some(Ok(line)) = lines.next() {
            if seen(line).is_some() {
                break;
            }
        }
        std::thread::sleep(Duration::from_micros(kill * 7_919 % 30_000));
        child.kill().unwrap();
        child.wait().unwrap();
        for line in lines.map_while(Result::ok) {
            seen(line);
        }
        check(dir.path(), &acknowledged);
    }
    assert!(acknowledged.len() as u64 >= KILLS);
}

fn check(dir: &Path, acknowledged: &BTreeMap<u64, u64>) {
    let store = store(dir);
    for (index, n) in acknowledged {
        assert_eq!(store.entry(&LOG, LeafIndex(*index)).unwrap(), private(*n), "acknowledged leaf {index}");
    }
    let tree = store.tree(&LOG).unwrap();
    let (_, log_keys) = keys(dir);
    for head in store.checkpoints(&LOG, TreeSize(0), usize::MAX).unwrap() {
        let note = SignedCheckpoint::open(&head.note, &origin(), &log_keys, &cresset_crypto::Verifier).unwrap();
        let root = tree.frontier_at(note.checkpoint.size).unwrap().root();
        assert_eq!(note.checkpoint.root, root, "two roots for size {}", note.checkpoint.size);
    }
}
