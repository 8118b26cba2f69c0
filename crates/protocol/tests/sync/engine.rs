use std::collections::BTreeMap;
use std::sync::Arc;

use cresset_protocol::ids::{LeafIndex, TreeSize, UnixSeconds};
use cresset_protocol::limits::ANNOUNCEMENTS_QUEUED_MAX;
use cresset_protocol::log::merkle::Frontier;
use cresset_protocol::sync::announcement::Announcement;
use cresset_protocol::sync::engine::{
    CHECKPOINT_BURST, CHECKPOINTS_PER_S, Engine, FETCH_STALL_S, HEADS_COMPARE_S, Input, MessageId, MirrorState,
    NEIGHBOUR_BURST, Output,
};

use crate::consortium::{KEYS_FROM, KeyedHash, NOW, OwnLog, REMOVED, directory, hub, log, note_over};

/// Hub 0 with full sessions to hubs 1 and 2.
fn engine() -> Engine {
    let mut engine = Engine::new(hub(0), Arc::new(directory()), Arc::new(KeyedHash), BTreeMap::new());
    for n in [1, 2] {
        assert!(matches!(engine.step(NOW, Input::PeerUp(hub(n)))[..], [Output::AskHeads(asked)] if asked == hub(n)));
    }
    engine
}

fn announce(engine: &mut Engine, from: u8, announcement: &Announcement) -> Vec<Output> {
    announce_at(engine, NOW, from, announcement.to_bytes())
}

fn announce_at(engine: &mut Engine, now: UnixSeconds, from: u8, bytes: Vec<u8>) -> Vec<Output> {
    engine.step(now, Input::Announcement { from: hub(from), id: MessageId([0; 32]), bytes })
}

fn tell_head(engine: &mut Engine, from: u8, of: u8, note: String) -> Vec<Output> {
    engine.step(NOW, Input::Heads { from: hub(from), notes: vec![(log(of), note)] })
}

fn package(engine: &mut Engine, from: u8, own: &OwnLog, start: u64) -> Vec<Output> {
    let bytes = own.package(start).to_bytes();
    engine.step(NOW, Input::Package { from: hub(from), log: log(own.number), bytes })
}

/// What happened, in words short enough to compare.
fn brief(outputs: &[Output]) -> Vec<String> {
    let one = |output: &Output| match output {
        Output::Report { verdict, .. } => format!("{verdict:?}"),
        Output::AskHeads(hub) => format!("ask {}", hub.0[0]),
        Output::Fetch { peer, from, to, head, .. } => format!("fetch {from}..{to} of {head} from {}", peer.0[0]),
        Output::Commit(commit) => format!("commit {}..{}", commit.first, commit.frontier.size()),
        Output::OwnHead { head, .. } => format!("own head {}", head.checkpoint.size),
        Output::Misbehaviour { peer, what } => format!("{what:?} by {}", peer.0[0]),
        Output::Inconsistent { other, .. } => format!("inconsistent at {}", other.checkpoint.size),
    };
    outputs.iter().map(one).collect()
}

#[test]
fn an_announcement_that_joins_is_forwarded_and_committed_once() {
    let (mut engine, mut own) = (engine(), OwnLog::new(1));
    let announcement = own.flush_bare(3);
    assert_eq!(brief(&announce(&mut engine, 1, &announcement)), ["Accept", "commit 0..3"]);
    for from in [1, 2, 2, 1] {
        assert_eq!(brief(&announce(&mut engine, from, &announcement)), ["Ignore"]);
    }
    assert_eq!(engine.mirror_size(&log(1)), TreeSize(3));
    assert_eq!(engine.mirror_head(&log(1)), Some(&own.head()));
    assert_eq!(brief(&announce(&mut engine, 2, &own.flush_bare(2))), ["Accept", "commit 3..5"]);
}

#[test]
fn one_variant_of_a_size_is_forwarded() {
    let (mut engine, mut own) = (engine(), OwnLog::new(1));
    let whole = own.flush(vec![crate::consortium::urgent(1)]);
    let mut shortened = whole.clone();
    shortened.inline.clear();
    assert_eq!(brief(&announce(&mut engine, 2, &shortened)), ["Accept", "commit 0..1"]);
    assert_eq!(brief(&announce(&mut engine, 1, &whole)), ["Ignore"]);
}

#[test]
fn an_older_announcement_is_used_but_not_forwarded() {
    let (mut engine, mut own) = (engine(), OwnLog::new(1));
    let (first, second) = (own.flush_bare(2), own.flush_bare(2));
    assert_eq!(brief(&announce(&mut engine, 1, &second)), ["Accept", "fetch 0..4 of 4 from 1"]);
    // It joins, and so does what was kept behind it.
    assert_eq!(brief(&announce(&mut engine, 1, &first)), ["Ignore", "commit 0..2", "commit 2..4"]);
}

#[test]
fn a_gap_is_fetched_and_what_was_kept_joins() {
    let (mut engine, mut own) = (engine(), OwnLog::new(1));
    own.flush_bare(300);
    let at_300 = own.clone();
    assert_eq!(brief(&announce(&mut engine, 1, &own.flush_bare(1))), ["Accept", "fetch 0..301 of 301 from 1"]);
    assert_eq!(brief(&announce(&mut engine, 1, &own.flush_bare(2))), ["Accept"]);
    assert_eq!(engine.lag(), 303);
    let mut at_301 = at_300;
    at_301.flush(own.entries[300..301].to_vec());
    assert_eq!(brief(&package(&mut engine, 1, &at_301, 0)), ["commit 0..256"]);
    assert_eq!(brief(&package(&mut engine, 1, &at_301, 256)), ["commit 256..301"]);
    // The target has grown meanwhile.
    let ended = engine.step(NOW, Input::FetchEnded { from: hub(1), log: log(1) });
    assert_eq!(brief(&ended), ["fetch 301..303 of 303 from 1"]);
    assert_eq!(brief(&package(&mut engine, 1, &own, 301)), ["commit 301..303"]);
    assert_eq!(brief(&engine.step(NOW, Input::FetchEnded { from: hub(1), log: log(1) })), [""; 0]);
    assert_eq!((engine.lag(), engine.mirror_head(&log(1))), (0, Some(&own.head())));
}

#[test]
fn kept_announcements_are_bounded() {
    let (mut engine, mut own) = (engine(), OwnLog::new(1));
    let missing = own.flush_bare(1);
    let kept: Vec<Announcement> = (0..=ANNOUNCEMENTS_QUEUED_MAX).map(|_| own.flush_bare(1)).collect();
    for announcement in &kept {
        announce(&mut engine, 1, announcement);
    }
    // The oldest was dropped, so that nothing behind it joins; the fetch brings it.
    assert_eq!(brief(&announce(&mut engine, 1, &missing)), ["Ignore", "commit 0..1"]);
    assert_eq!(brief(&announce(&mut engine, 1, &kept[0]))[..2], ["Ignore", "commit 1..2"]);
}

#[test]
fn lies_are_rejected_and_unknowns_ignored() {
    let mut own = OwnLog::new(1);
    let good = own.flush_bare(2);
    let check = |change: fn(&mut Announcement), expected: &[&str]| {
        let mut changed = good.clone();
        change(&mut changed);
        assert_eq!(brief(&announce(&mut engine(), 2, &changed)), expected);
    };
    check(|a| a.entries.swap(0, 1), &["Reject", "Announcement by 2"]);
    check(|a| a.note.clear(), &["Reject", "Announcement by 2"]);
    check(|a| a.log = log(0xee), &["Ignore"]);
    // One's own log and one that may not grow any more are nobody's news.
    check(|a| a.log = log(0), &["Ignore"]);
    check(|a| a.log = log(REMOVED), &["Ignore"]);
    check(|a| a.note = note_over(1, 2, &Frontier::new(), UnixSeconds(KEYS_FROM.0 - 1)), &["Ignore"]);
    assert_eq!(brief(&announce_at(&mut engine(), NOW, 2, vec![0x80])), ["Reject", "Announcement by 2"]);
}

#[test]
fn an_announcement_of_another_history_is_a_contradiction() {
    let (mut engine, mut own) = (engine(), OwnLog::new(1));
    announce(&mut engine, 1, &own.flush_bare(3));
    let mut other = OwnLog::new(1);
    other.flush_bare(2);
    let fork = other.flush(vec![crate::consortium::bare(77), crate::consortium::bare(78)]);
    assert_eq!(brief(&announce(&mut engine, 2, &fork)), ["Accept", "inconsistent at 4"]);
    assert_eq!((engine.mirror_size(&log(1)), engine.mirror_head(&log(1))), (TreeSize(3), Some(&own.head())));
}

#[test]
fn a_head_of_equal_size_and_another_root_is_a_contradiction() {
    let (mut engine, mut own) = (engine(), OwnLog::new(1));
    announce(&mut engine, 1, &own.flush_bare(1));
    let mut other = OwnLog::new(1);
    other.flush(vec![crate::consortium::bare(77)]);
    assert_eq!(brief(&tell_head(&mut engine, 2, 1, own.note())), [""; 0]);
    assert_eq!(brief(&tell_head(&mut engine, 2, 1, other.note())), ["inconsistent at 1"]);
}

#[test]
fn a_larger_head_starts_a_fetch_from_whoever_has_it() {
    let (mut engine, mut own) = (engine(), OwnLog::new(1));
    own.flush_bare(10);
    assert_eq!(brief(&tell_head(&mut engine, 2, 1, own.note())), ["fetch 0..10 of 10 from 2"]);
    // One fetch per log.
    assert_eq!(brief(&tell_head(&mut engine, 1, 1, own.note())), [""; 0]);
}

#[test]
fn one_request_asks_for_a_bounded_range() {
    let (mut engine, mut own) = (engine(), OwnLog::new(1));
    own.flush_bare(9_000);
    assert_eq!(brief(&tell_head(&mut engine, 1, 1, own.note())), ["fetch 0..8192 of 9000 from 1"]);
}

#[test]
fn heads_that_lie_end_the_answer() {
    let mut own = OwnLog::new(1);
    own.flush_bare(2);
    let signature_broken = {
        let note = own.note();
        let at = note.len() - 30;
        let other = if note.as_bytes()[at] == b'A' { "B" } else { "A" };
        let mut note = note;
        note.replace_range(at..=at, other);
        note
    };
    for lie in [String::new(), signature_broken, OwnLog::new(2).note()] {
        let mut engine = engine();
        let notes = vec![(log(1), lie), (log(1), own.note())];
        let outputs = engine.step(NOW, Input::Heads { from: hub(2), notes });
        assert_eq!(brief(&outputs), ["Head by 2"]);
    }
}

#[test]
fn heads_that_this_roster_does_not_know_are_skipped() {
    let (mut engine, mut own) = (engine(), OwnLog::new(1));
    own.flush_bare(2);
    let early = note_over(2, 1, &Frontier::new(), UnixSeconds(KEYS_FROM.0 - 1));
    let notes = vec![(log(0xee), String::new()), (log(2), early), (log(1), own.note())];
    let outputs = engine.step(NOW, Input::Heads { from: hub(2), notes });
    assert_eq!(brief(&outputs), ["fetch 0..2 of 2 from 2"]);
}

#[test]
fn a_peers_head_of_the_own_log_goes_to_the_gate() {
    let (mut engine, mut own) = (engine(), OwnLog::new(0));
    own.flush_bare(2);
    assert_eq!(brief(&tell_head(&mut engine, 1, 0, own.note())), ["own head 2"]);
    assert_eq!(engine.mirror_size(&log(0)), TreeSize(0));
}

#[test]
fn a_package_that_nobody_asked_for_is_not_looked_at() {
    let (mut engine, mut own) = (engine(), OwnLog::new(1));
    own.flush_bare(2);
    assert_eq!(brief(&package(&mut engine, 2, &own, 0)), ["Unsolicited by 2"]);
    tell_head(&mut engine, 1, 1, own.note());
    assert_eq!(brief(&package(&mut engine, 2, &own, 0)), ["Unsolicited by 2"]);
    assert_eq!(brief(&package(&mut engine, 1, &own, 0)), ["commit 0..2"]);
}

#[test]
fn a_package_that_does_not_verify_sends_the_fetch_elsewhere() {
    let (mut engine, mut own) = (engine(), OwnLog::new(1));
    own.flush_bare(4);
    tell_head(&mut engine, 1, 1, own.note());
    tell_head(&mut engine, 2, 1, own.note());
    let mut forged = own.package(0);
    forged.entries[1] = crate::consortium::bare(99);
    let outputs = engine.step(NOW, Input::Package { from: hub(1), log: log(1), bytes: forged.to_bytes() });
    assert_eq!(brief(&outputs), ["Package by 1", "fetch 0..4 of 4 from 2"]);
    // Late packages of the first peer are surplus now.
    assert_eq!(brief(&package(&mut engine, 1, &own, 0)), ["Unsolicited by 1"]);
    assert_eq!(brief(&package(&mut engine, 2, &own, 0)), ["commit 0..4"]);
}

#[test]
fn a_stalled_fetch_goes_to_another_peer() {
    let (mut engine, mut own) = (engine(), OwnLog::new(1));
    own.flush_bare(4);
    tell_head(&mut engine, 1, 1, own.note());
    tell_head(&mut engine, 2, 1, own.note());
    let tick = |engine: &mut Engine, seconds| brief(&engine.step(UnixSeconds(NOW.0 + seconds), Input::Tick));
    assert_eq!(tick(&mut engine, FETCH_STALL_S - 1), [""; 0]);
    assert_eq!(tick(&mut engine, FETCH_STALL_S), ["fetch 0..4 of 4 from 2"]);
    // Nobody is left; the next head brings somebody back.
    assert_eq!(tick(&mut engine, 2 * FETCH_STALL_S - 1), [""; 0]);
    assert_eq!(tick(&mut engine, 2 * FETCH_STALL_S)[..2], ["ask 1", "ask 2"]);
    assert_eq!(brief(&tell_head(&mut engine, 1, 1, own.note())), ["fetch 0..4 of 4 from 1"]);
}

#[test]
fn a_fetch_that_ends_empty_or_with_the_session_goes_to_another_peer() {
    for gone in [Input::FetchEnded { from: hub(1), log: log(1) }, Input::PeerDown(hub(1))] {
        let (mut engine, mut own) = (engine(), OwnLog::new(1));
        own.flush_bare(4);
        tell_head(&mut engine, 1, 1, own.note());
        tell_head(&mut engine, 2, 1, own.note());
        assert_eq!(brief(&engine.step(NOW, gone)), ["fetch 0..4 of 4 from 2"]);
    }
}

#[test]
fn heads_are_asked_again_after_the_interval() {
    let mut engine = engine();
    assert_eq!(brief(&engine.step(UnixSeconds(NOW.0 + HEADS_COMPARE_S - 1), Input::Tick)), [""; 0]);
    assert_eq!(brief(&engine.step(UnixSeconds(NOW.0 + HEADS_COMPARE_S), Input::Tick)), ["ask 1", "ask 2"]);
    assert_eq!(brief(&engine.step(UnixSeconds(NOW.0 + HEADS_COMPARE_S), Input::Tick)), [""; 0]);
}

#[test]
fn an_origin_over_its_budget_is_ignored_and_not_used() {
    let (mut engine, mut own) = (engine(), OwnLog::new(1));
    for _ in 0..CHECKPOINT_BURST {
        assert_eq!(brief(&announce(&mut engine, 1, &own.flush_bare(1)))[0], "Accept");
    }
    let size = engine.mirror_size(&log(1));
    assert_eq!(brief(&announce(&mut engine, 1, &own.flush_bare(1))), ["Ignore"]);
    assert_eq!(engine.mirror_size(&log(1)), size);
    // Another origin has a budget of its own, and time refills the first one's.
    assert_eq!(brief(&announce(&mut engine, 1, &OwnLog::new(2).flush_bare(1)))[0], "Accept");
    let later = UnixSeconds(NOW.0 + 1);
    assert_eq!(brief(&announce_at(&mut engine, later, 1, own.flush_bare(1).to_bytes()))[0], "Accept");
}

#[test]
fn junk_spends_the_budget_of_the_neighbour_and_not_of_the_origin() {
    let (mut engine, mut own) = (engine(), OwnLog::new(1));
    let lie = Announcement { note: String::new(), ..own.clone().flush_bare(1) };
    for _ in 0..NEIGHBOUR_BURST {
        assert_eq!(brief(&announce(&mut engine, 2, &lie)), ["Reject", "Announcement by 2"]);
    }
    assert_eq!(brief(&announce(&mut engine, 2, &lie)), ["Ignore"]);
    let later = UnixSeconds(NOW.0 + 1);
    for _ in 0..CHECKPOINTS_PER_S {
        assert_eq!(brief(&announce_at(&mut engine, later, 2, lie.to_bytes()))[0], "Reject");
    }
    assert_eq!(brief(&announce_at(&mut engine, later, 2, lie.to_bytes())), ["Ignore"]);
    // The origin is heard through everybody else.
    assert_eq!(brief(&announce(&mut engine, 1, &own.flush_bare(1))), ["Accept", "commit 0..1"]);
}

#[test]
fn nothing_more_is_taken_of_a_log_that_contradicted_itself() {
    let (mut engine, mut own) = (engine(), OwnLog::new(1));
    announce(&mut engine, 1, &own.flush_bare(1));
    let mut other = OwnLog::new(1);
    other.flush(vec![crate::consortium::bare(77)]);
    assert_eq!(brief(&tell_head(&mut engine, 2, 1, other.note())), ["inconsistent at 1"]);
    assert_eq!(brief(&announce(&mut engine, 1, &own.flush_bare(1))), ["Ignore"]);
    assert_eq!(brief(&tell_head(&mut engine, 2, 1, own.note())), [""; 0]);
    assert_eq!(brief(&package(&mut engine, 2, &own, 1)), ["Unsolicited by 2"]);
    assert_eq!(engine.mirror_size(&log(1)), TreeSize(1));
}

#[test]
fn a_part_under_a_smaller_head_is_fetched_when_nobody_has_all() {
    let (mut engine, mut own) = (engine(), OwnLog::new(1));
    own.flush_bare(4);
    let part = own.clone();
    tell_head(&mut engine, 1, 1, {
        own.flush_bare(4);
        own.note()
    });
    assert_eq!(brief(&tell_head(&mut engine, 2, 1, part.note())), [""; 0]);
    assert_eq!(brief(&engine.step(NOW, Input::PeerDown(hub(1)))), ["fetch 0..4 of 4 from 2"]);
    assert_eq!(brief(&package(&mut engine, 2, &part, 0)), ["commit 0..4"]);
    assert_eq!((engine.lag(), engine.mirror_head(&log(1))), (4, Some(&part.head())));
}

#[test]
fn a_new_directory_counts_at_once() {
    let mut engine = engine();
    let announcement = OwnLog::new(1).flush_bare(1);
    let empty = cresset_protocol::sync::directory::Directory::from_roster(crate::consortium::CONSORTIUM, &{
        let mut body = crate::consortium::roster();
        body.hubs.clear();
        body
    });
    engine.step(NOW, Input::Directory(Arc::new(empty)));
    assert_eq!(brief(&announce(&mut engine, 1, &announcement)), ["Ignore"]);
    engine.step(NOW, Input::Directory(Arc::new(directory())));
    assert_eq!(brief(&announce(&mut engine, 1, &announcement)), ["Accept", "commit 0..1"]);
}

#[test]
fn a_restarted_engine_goes_on_from_the_store() {
    let mut own = OwnLog::new(1);
    own.flush_bare(3);
    let stored = MirrorState { frontier: own.frontier.clone(), head: Some(own.head()) };
    let stored = BTreeMap::from([(log(1), stored)]);
    let mut engine = Engine::new(hub(0), Arc::new(directory()), Arc::new(KeyedHash), stored);
    engine.step(NOW, Input::PeerUp(hub(1)));
    assert_eq!(brief(&announce(&mut engine, 1, &own.flush_bare(1))), ["Accept", "commit 3..4"]);
}

#[test]
fn an_overlapping_announcement_brings_only_what_is_new() {
    let (mut engine, mut own) = (engine(), OwnLog::new(1));
    let before = own.clone();
    announce(&mut engine, 1, &own.flush_bare(2));
    own.flush_bare(2);
    let mut all = before;
    let whole = all.flush(own.entries.clone());
    let outputs = announce(&mut engine, 1, &whole);
    assert_eq!(brief(&outputs), ["Accept", "commit 2..4"]);
    let Some(Output::Commit(commit)) = outputs.last() else { panic!("{outputs:?}") };
    assert_eq!((commit.first, commit.entries.len()), (LeafIndex(2), 2));
}
