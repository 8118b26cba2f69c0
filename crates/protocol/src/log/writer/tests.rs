//! One test per rule of the writer, and one per way of being wrong.

use super::*;
use crate::log::merkle::leaf_hash;
use crate::signing::{
    LogSignatures, MlDsa65PublicKey, MlDsa65Signature, MlDsa87PublicKey, MlDsa87Signature, P384PublicKey, P384Signature,
};

/// Signatures are repeated bytes of a hash of key and message.
pub(super) struct HashVerifier;

fn tag(key: &[u8], message: &[u8]) -> u8 {
    leaf_hash(&[key, message].concat()).0[0]
}

impl SignatureVerifier for HashVerifier {
    fn verify_p384(&self, key: &P384PublicKey, message: &[u8], signature: &P384Signature) -> bool {
        let tag = tag(key.as_bytes(), message);
        signature.as_bytes().iter().all(|byte| *byte == tag)
    }
    fn verify_ml_dsa_65(&self, key: &MlDsa65PublicKey, message: &[u8], signature: &MlDsa65Signature) -> bool {
        let tag = tag(key.as_bytes(), message);
        signature.as_bytes().iter().all(|byte| *byte == tag)
    }
    fn verify_ml_dsa_87(&self, _: &MlDsa87PublicKey, _: &[u8], _: &MlDsa87Signature) -> bool {
        false
    }
}

pub(super) fn keys() -> LogKeys {
    LogKeys { p384: P384PublicKey::from([1; 97]), ml_dsa_65: MlDsa65PublicKey::from([2; 1952]) }
}

pub(super) fn sign(checkpoint: Checkpoint, timestamp: UnixSeconds) -> SignedCheckpoint {
    let message = checkpoint.bytes_to_sign(timestamp);
    let signatures = LogSignatures {
        p384: P384Signature::from([tag(keys().p384.as_bytes(), message.as_bytes()); 96]),
        ml_dsa_65: MlDsa65Signature::from([tag(keys().ml_dsa_65.as_bytes(), message.as_bytes()); 3309]),
    };
    SignedCheckpoint { checkpoint, timestamp, signatures }
}

pub(super) fn at(millis: u64) -> Moment {
    Moment { wall: UnixSeconds(1_800_000_000 + millis / 1_000), millis }
}

pub(super) fn config(active_hubs: usize, boot: u8) -> WriterConfig {
    WriterConfig {
        origin: Origin::new("at.example", 1).unwrap(),
        keys: keys(),
        boot: BootId([boot; 16]),
        active_hubs,
        pace: Pace::default(),
        verifier: Arc::new(HashVerifier),
    }
}

fn empty() -> Resume {
    Resume { frontier: Frontier::new(), signed: None, pending: None, fence: None }
}

fn frontier(size: u64) -> Frontier {
    let mut frontier = Frontier::new();
    (0..size).for_each(|index| frontier.append(leaf_hash(&index.to_be_bytes())));
    frontier
}

fn head(size: u64) -> Head {
    Head { size: TreeSize(size), root: frontier(size).root() }
}

fn fence(head: Head) -> FenceValue {
    FenceValue { generation: 1, head, boot: BootId([9; 16]) }
}

fn append(ticket: u64, lane: Lane, leaves: u64) -> Input {
    let leaves = (0..leaves).map(|n| leaf_hash(&[ticket, n].map(u64::to_be_bytes).concat())).collect();
    Input::Append { ticket: Ticket(ticket), lane, leaves, announced_bytes: 100, durability: Durability::Volatile }
}

/// A writer of a consortium of one hub, whose gate is open.
fn open_writer() -> Writer {
    let (writer, out) = Writer::start(config(1, 0), empty(), at(0));
    assert!(matches!(out.as_slice(), [Output::GateOpened(GateOpening::OnlyHub)]));
    writer
}

/// Carries out what a healthy executor would, until nothing is left; returns all commands.
fn run(writer: &mut Writer, now: Moment, out: Vec<Output>) -> Vec<Output> {
    let mut todo = std::collections::VecDeque::from(out);
    let mut all = Vec::new();
    while let Some(output) = todo.pop_front() {
        let input = match &output {
            Output::Queue(ticket) => Some(Input::Queued(*ticket)),
            Output::Persist(flush) => Some(Input::Persisted(flush.head)),
            Output::Fence { new, .. } => Some(Input::Fenced(new.head)),
            Output::Sign { checkpoint, timestamp } => Some(Input::Signed(sign(checkpoint.clone(), *timestamp))),
            Output::PersistNote(note) => {
                Some(Input::NotePersisted(Head { size: note.checkpoint.size, root: note.checkpoint.root }))
            }
            _ => None,
        };
        all.push(output);
        todo.extend(input.map(|input| writer.step(now, input)).unwrap_or_default());
    }
    all
}

fn names(out: &[Output]) -> Vec<&'static str> {
    out.iter()
        .map(|output| match output {
            Output::Queue(_) => "queue",
            Output::Persist(_) => "persist",
            Output::Fence { .. } => "fence",
            Output::Sign { .. } => "sign",
            Output::PersistNote(_) => "note",
            Output::Answer { .. } => "answer",
            Output::Announce { .. } => "announce",
            Output::AskPeers => "ask",
            Output::GateOpened(_) => "open",
            Output::Restored { .. } => "restored",
            Output::Diverged { .. } => "diverged",
            Output::Halted => "halted",
        })
        .collect()
}

fn answers(out: &[Output]) -> Vec<(u64, Answer)> {
    let answer = |output: &Output| match output {
        Output::Answer { ticket, answer } => Some((ticket.0, *answer)),
        _ => None,
    };
    out.iter().filter_map(answer).collect()
}

#[test]
fn a_flush_runs_in_the_one_safe_order() {
    let mut writer = open_writer();
    let out = writer.step(at(0), append(1, Lane::Urgent, 2));
    let all = run(&mut writer, at(0), out);
    assert_eq!(names(&all), ["persist", "fence", "sign", "note", "answer", "announce"]);
    assert_eq!(answers(&all), [(1, Answer::Signed { first: LeafIndex(0), size: TreeSize(2) })]);
    assert_eq!(writer.outstanding(), 0);
}

#[test]
fn the_next_flush_is_not_persisted_before_the_note_of_the_last() {
    let mut writer = open_writer();
    let persist = writer.step(at(0), append(1, Lane::Urgent, 1));
    assert_eq!(names(&persist), ["persist"]);
    assert!(writer.step(at(0), append(2, Lane::Urgent, 1)).is_empty());
    let all = run(&mut writer, at(0), persist);
    assert_eq!(
        names(&all),
        [
            "persist", "fence", "sign", "note", "answer", "announce", "persist", "fence", "sign", "note", "answer",
            "announce"
        ]
    );
}

#[test]
fn normal_leaves_wait_for_the_interval_or_a_full_flush() {
    let mut writer = open_writer();
    assert!(writer.step(at(0), append(1, Lane::Normal, 1)).is_empty());
    assert_eq!(writer.next_wakeup(), Some(1_000));
    assert!(writer.step(at(999), Input::Tick).is_empty());
    assert_eq!(names(&writer.step(at(1_000), Input::Tick)), ["persist"]);

    let mut writer = open_writer();
    assert!(writer.step(at(0), append(1, Lane::Normal, 2_047)).is_empty());
    let out = writer.step(at(0), append(2, Lane::Normal, 1));
    assert!(matches!(out.as_slice(), [Output::Persist(flush)] if flush.head.size == TreeSize(2_048)));
}

#[test]
fn an_urgent_leaf_takes_what_waits_with_it_and_goes_first() {
    let mut writer = open_writer();
    writer.step(at(0), append(1, Lane::Normal, 3));
    let out = writer.step(at(0), append(2, Lane::Urgent, 1));
    assert!(matches!(out.as_slice(), [Output::Persist(flush)] if flush.tickets == [Ticket(2), Ticket(1)]));
}

#[test]
fn urgent_flushes_run_under_a_token_bucket() {
    let mut writer = open_writer();
    for ticket in 0..20 {
        let out = writer.step(at(0), append(ticket, Lane::Urgent, 1));
        run(&mut writer, at(0), out);
    }
    assert!(writer.step(at(0), append(20, Lane::Urgent, 1)).is_empty());
    assert_eq!(writer.next_wakeup(), Some(20));
    assert!(writer.step(at(19), Input::Tick).is_empty());
    assert_eq!(names(&writer.step(at(20), Input::Tick)), ["persist"]);
}

#[test]
fn too_much_is_refused_by_name() {
    let mut writer = open_writer();
    let all = writer.step(at(0), append(1, Lane::Normal, 2_049));
    assert_eq!(answers(&all), [(1, Answer::TooLarge)]);
    let oversized = Input::Append {
        ticket: Ticket(2),
        lane: Lane::Normal,
        leaves: vec![leaf_hash(b"x")],
        announced_bytes: FLUSH_BYTES_MAX + 1,
        durability: Durability::Volatile,
    };
    assert_eq!(answers(&writer.step(at(0), oversized)), [(2, Answer::TooLarge)]);
    assert_eq!(answers(&writer.step(at(0), append(3, Lane::Normal, 0))), [(3, Answer::TooLarge)]);
    for ticket in 10..14 {
        assert!(answers(&writer.step(at(0), append(ticket, Lane::Normal, 2_048))).is_empty());
    }
    assert_eq!(answers(&writer.step(at(0), append(20, Lane::Urgent, 1))), [(20, Answer::Busy)]);
}

#[test]
fn a_slow_token_yields_pending_with_an_index_and_the_rest_is_queued_durably() {
    let mut writer = open_writer();
    let out = writer.step(at(0), append(1, Lane::Urgent, 1));
    let Output::Persist(flush) = &out[0] else { panic!("{out:?}") };
    let fence = writer.step(at(0), Input::Persisted(flush.head));
    let Output::Fence { new, .. } = &fence[0] else { panic!("{fence:?}") };
    assert_eq!(names(&writer.step(at(0), Input::Fenced(new.head))), ["sign"]);
    writer.step(at(1), append(2, Lane::Urgent, 1));
    let late = writer.step(at(15_001), Input::Tick);
    assert_eq!(answers(&late), [(1, Answer::Pending { first: LeafIndex(0) })]);
    assert_eq!(names(&late), ["answer", "queue"]);
    assert_eq!(answers(&writer.step(at(15_002), Input::Queued(Ticket(2)))), [(2, Answer::Queued)]);
}

#[test]
fn a_failed_command_is_repeated_with_the_same_content() {
    let mut writer = open_writer();
    let out = writer.step(at(0), append(1, Lane::Urgent, 1));
    let Output::Persist(flush) = out[0].clone() else { panic!("{out:?}") };
    assert!(writer.step(at(0), Input::Failed(Step::Persist)).is_empty());
    assert!(writer.step(at(0), append(2, Lane::Urgent, 1)).is_empty());
    assert!(writer.step(at(499), Input::Tick).is_empty());
    let again = writer.step(at(500), Input::Tick);
    assert!(
        matches!(again.as_slice(), [Output::Persist(again)] if again.head == flush.head && again.tickets == flush.tickets)
    );
    // Nobody is told that the leaf is safe while the disk refuses it.
    assert_eq!(answers(&writer.step(at(15_000), Input::Tick)).first(), Some(&(1, Answer::Unavailable)));
}

#[test]
fn a_signature_that_does_not_verify_or_names_another_head_is_never_stored() {
    let mut writer = open_writer();
    let out = writer.step(at(0), append(1, Lane::Urgent, 1));
    let Output::Persist(flush) = &out[0] else { panic!("{out:?}") };
    writer.step(at(0), Input::Persisted(flush.head));
    let out = writer.step(at(0), Input::Fenced(flush.head));
    let Output::Sign { checkpoint, timestamp } = &out[0] else { panic!("{out:?}") };
    let mut wrong_half = sign(checkpoint.clone(), *timestamp);
    wrong_half.signatures.p384 = P384Signature::from([0xaa; 96]);
    assert!(writer.step(at(0), Input::Signed(wrong_half)).is_empty());
    let other = Checkpoint { size: TreeSize(7), ..checkpoint.clone() };
    assert!(writer.step(at(0), Input::Signed(sign(other, *timestamp))).is_empty());
    assert_eq!(names(&writer.step(at(500), Input::Tick)), ["sign"]);
    assert_eq!(names(&writer.step(at(500), Input::Signed(sign(checkpoint.clone(), *timestamp)))), ["note"]);
}

#[test]
fn a_moved_fence_halts_for_good() {
    let mut writer = open_writer();
    let out = writer.step(at(0), append(1, Lane::Urgent, 1));
    let Output::Persist(flush) = &out[0] else { panic!("{out:?}") };
    writer.step(at(0), Input::Persisted(flush.head));
    assert_eq!(names(&writer.step(at(0), Input::Failed(Step::FenceConflict))), ["halted"]);
    assert!(writer.step(at(0), Input::Fenced(flush.head)).is_empty());
    assert!(writer.step(at(0), Input::Override).is_empty());
    assert!(!writer.gate_is_open());
}

#[test]
fn answers_to_commands_that_are_not_outstanding_are_ignored() {
    let mut writer = open_writer();
    for input in
        [Input::Persisted(head(1)), Input::Fenced(head(1)), Input::NotePersisted(head(1)), Input::Failed(Step::Sign)]
    {
        assert!(writer.step(at(0), input).is_empty());
    }
}

/// Starts a writer of a consortium of `hubs` whose disk has signed 4 leaves.
fn gated(hubs: usize, fence: Option<FenceValue>) -> Writer {
    let resume = Resume { frontier: frontier(4), signed: Some(head(4)), pending: None, fence };
    let (writer, out) = Writer::start(config(hubs, 0), resume, at(0));
    assert_eq!(names(&out), ["ask"]);
    writer
}

fn hub(number: u8) -> HubId {
    HubId([number; 16])
}

#[test]
fn a_good_fence_opens_with_one_answer() {
    let mut writer = gated(5, Some(fence(head(4))));
    let out = writer.step(at(10), Input::PeerHead { hub: hub(1), view: PeerView::Head(head(4)) });
    assert!(matches!(out.as_slice(), [Output::GateOpened(GateOpening::PeerConfirmed)]));
}

#[test]
fn a_good_fence_opens_alone_after_gate_wait() {
    let mut writer = gated(5, Some(fence(head(4))));
    assert_eq!(writer.next_wakeup(), Some(20_000));
    assert!(writer.step(at(19_999), Input::Tick).is_empty());
    let out = writer.step(at(20_000), Input::Tick);
    assert!(matches!(out.as_slice(), [Output::GateOpened(GateOpening::NoPeerReachable)]));
}

#[test]
fn any_other_fence_needs_a_majority_and_never_opens_alone() {
    let check = |hubs: usize, fence: Option<FenceValue>, needed: u8| {
        let mut writer = gated(hubs, fence);
        assert_eq!(writer.next_wakeup(), None);
        assert!(writer.step(at(1_000_000), Input::Tick).is_empty());
        for peer in 1..=needed {
            assert!(!writer.gate_is_open(), "{hubs} hubs opened after {} answers", peer - 1);
            // A second answer of one hub counts once.
            for _ in 0..2 {
                writer.step(at(0), Input::PeerHead { hub: hub(peer), view: PeerView::Nothing });
            }
        }
        assert!(writer.gate_is_open(), "{hubs} hubs, {needed} answers");
    };
    let ahead = Some(fence(head(9)));
    check(5, ahead, 3);
    check(3, ahead, 2);
    check(2, ahead, 1);
    check(9, None, 5);
    let other_generation = Some(FenceValue { generation: 2, ..fence(head(4)) });
    check(5, other_generation, 3);
}

#[test]
fn a_peer_that_is_ahead_or_contradicts_keeps_the_gate_closed() {
    let other = Head { root: leaf_hash(b"other"), ..head(4) };
    let check = |view: PeerView, expected: &str| {
        let mut writer = gated(5, Some(fence(head(4))));
        let out = writer.step(at(0), Input::PeerHead { hub: hub(1), view });
        assert_eq!(names(&out), [expected]);
        writer.step(at(0), Input::PeerHead { hub: hub(2), view: PeerView::Head(head(4)) });
        writer.step(at(60_000), Input::Tick);
        assert!(!writer.gate_is_open());
        let out = writer.step(at(60_000), Input::Override);
        assert!(matches!(out.as_slice(), [Output::GateOpened(GateOpening::Override)]));
    };
    check(PeerView::Head(head(5)), "restored");
    check(PeerView::Head(other), "diverged");
    check(PeerView::Contradicts(head(2)), "diverged");
}

#[test]
fn a_peer_that_turns_out_to_be_ahead_later_stops_the_writer() {
    let mut writer = gated(5, Some(fence(head(4))));
    writer.step(at(0), Input::PeerHead { hub: hub(1), view: PeerView::Nothing });
    assert!(writer.gate_is_open());
    let out = writer.step(at(0), Input::PeerHead { hub: hub(2), view: PeerView::Head(head(5)) });
    assert_eq!(names(&out), ["restored"]);
    writer.step(at(0), append(1, Lane::Urgent, 1));
    assert!(!names(&writer.step(at(30_000), Input::Tick)).contains(&"persist"));
}

#[test]
fn while_gated_appends_are_queued_durably_and_flushed_after() {
    let mut writer = gated(5, Some(fence(head(4))));
    let out = writer.step(at(0), append(1, Lane::Urgent, 1));
    let all = run(&mut writer, at(0), out);
    assert_eq!(names(&all), ["queue", "answer"]);
    assert_eq!(answers(&all), [(1, Answer::Queued)]);
    let out = writer.step(at(1), Input::PeerHead { hub: hub(1), view: PeerView::Head(head(4)) });
    let all = run(&mut writer, at(1), out);
    assert_eq!(names(&all), ["open", "persist", "fence", "sign", "note", "announce"]);
}

#[test]
fn a_restart_signs_exactly_the_pending_head() {
    let check = |fence_value: FenceValue| {
        let pending = Pending { head: head(6), before: frontier(4) };
        let resume =
            Resume { frontier: frontier(6), signed: Some(head(4)), pending: Some(pending), fence: Some(fence_value) };
        let (mut writer, _) = Writer::start(config(1, 0), resume.clone(), at(0));
        // Started alone the commands come at once; behind a gate they come after it opened.
        let (mut gated, out) = Writer::start(config(3, 0), resume, at(0));
        assert_eq!(names(&out), ["ask"]);
        gated.step(at(0), append(1, Lane::Urgent, 1));
        let out = gated.step(at(0), Input::PeerHead { hub: hub(1), view: PeerView::Head(head(4)) });
        assert_eq!(names(&out), ["open", "fence"]);
        let all = run(&mut gated, at(0), out);
        let signed = all.iter().find_map(|output| match output {
            Output::Sign { checkpoint, .. } => Some(Head { size: checkpoint.size, root: checkpoint.root }),
            _ => None,
        });
        assert_eq!(signed, Some(head(6)));
        assert!(writer.step(at(0), Input::Fenced(head(5))).is_empty());
    };
    check(fence(head(4)));
    check(fence(head(6)));
}
