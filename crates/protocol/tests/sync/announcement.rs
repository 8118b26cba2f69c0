use cresset_protocol::codec;
use cresset_protocol::envelope::{EnvelopeHeader, HeaderError};
use cresset_protocol::ids::{Binding, LeafIndex, LogId, NodeHash, UnixSeconds};
use cresset_protocol::limits::{
    FLUSH_LEAVES_MAX, FRAME_BYTES_MAX, INLINE_ENVELOPE_BYTES_MAX, INLINE_TOTAL_BYTES_MAX, PROOF_HASHES_MAX,
};
use cresset_protocol::log::entry::EntryError;
use cresset_protocol::sync::announcement::{Announcement, AnnouncementError, InlineEnvelope, choose_inline};
use cresset_protocol::sync::directory::NoteRefused;

use crate::consortium::{
    CONSORTIUM, KEYS_FROM, KeyedHash, OwnLog, bare, body, directory, log, note_over, policy, publish, urgent,
};

/// Leaves 5 to 8 of log 1: a bare one, a public one, an URGENT one with its envelope, a NORMAL one without.
fn sample() -> Announcement {
    let mut own = OwnLog::new(1);
    own.flush_bare(5);
    own.flush(vec![bare(5), policy(1), urgent(1), publish(1, false)])
}

/// The log of [`sample`] as it was before it.
fn before() -> OwnLog {
    let mut own = OwnLog::new(1);
    own.flush_bare(5);
    own
}

fn verify(announcement: &Announcement) -> Result<(), AnnouncementError> {
    Announcement::verify(&announcement.to_bytes(), &directory(), &KeyedHash).map(drop)
}

fn check(change: impl FnOnce(&mut Announcement), expected: AnnouncementError) {
    let mut changed = sample();
    change(&mut changed);
    assert_eq!(verify(&changed), Err(expected));
}

#[test]
fn a_flush_verifies_without_local_state() {
    let bytes = sample().to_bytes();
    let verified = Announcement::verify(&bytes, &directory(), &KeyedHash).unwrap();
    assert_eq!((verified.log, verified.frontier.size().0, verified.checkpoint.checkpoint.size.0), (log(1), 5, 9));
    assert_eq!((verified.entries.len(), verified.inline.len()), (4, 1));
    assert_eq!(Announcement::peek_log(&bytes), Some(log(1)));
}

#[test]
fn bytes_that_are_no_announcement_are_refused() {
    let mut bytes = sample().to_bytes();
    bytes.push(0);
    let trailing = Announcement::verify(&bytes, &directory(), &KeyedHash);
    assert!(matches!(trailing, Err(AnnouncementError::Codec(_))), "{trailing:?}");
    let large = Announcement::verify(&vec![0; FRAME_BYTES_MAX + 1], &directory(), &KeyedHash);
    assert!(matches!(large, Err(AnnouncementError::Codec(codec::CodecError::TooLarge { .. }))), "{large:?}");
    for nothing in [&[][..], &[0xa0], &[0x80], &[0xa1, 1, 0x41, 0], &[0xa1, 0, 0x41, 0]] {
        assert_eq!(Announcement::peek_log(nothing), None);
    }
}

#[test]
fn an_unknown_log_may_be_known_to_others() {
    let error = AnnouncementError::UnknownLog(LogId([0xee; 32]));
    assert!(!error.is_invalid_for_anybody());
    check(|a| a.log = LogId([0xee; 32]), error);
}

#[test]
fn a_note_that_is_no_checkpoint_of_the_log_is_refused() {
    let refused = |change: fn(&mut Announcement)| {
        let mut changed = sample();
        change(&mut changed);
        let error = verify(&changed).unwrap_err();
        assert!(matches!(error, AnnouncementError::Note(NoteRefused::Malformed(_))), "{error:?}");
        assert!(error.is_invalid_for_anybody());
    };
    refused(|a| a.note.clear());
    refused(|a| a.note = OwnLog::new(2).note());
    refused(|a| a.log = log(2));
    refused(|a| a.note.truncate(a.note.len() - 100));
}

#[test]
fn a_note_under_keys_of_a_roster_to_come_may_be_valid_for_others() {
    let mut changed = sample();
    let lines: Vec<&str> = changed.note.lines().collect();
    changed.note = [&lines[..5], &lines[4..5]].concat().join("\n") + "\n";
    // One line of known keys twice is malformed; one alone may have its partner among keys unknown here.
    assert!(matches!(verify(&changed), Err(AnnouncementError::Note(NoteRefused::Malformed(_)))));
    let note = sample().note;
    let lines: Vec<&str> = note.lines().collect();
    changed.note = lines[..5].join("\n") + "\n";
    assert_eq!(verify(&changed), Err(AnnouncementError::Note(NoteRefused::UnknownKeys)));
}

#[test]
fn a_note_outside_every_key_period_may_be_valid_for_others() {
    let mut own = before();
    own.flush(sample().entries);
    let early = note_over(1, 9, &own.frontier, UnixSeconds(KEYS_FROM.0 - 1));
    let error = AnnouncementError::Note(NoteRefused::UnknownKeys);
    assert!(!error.is_invalid_for_anybody());
    check(|a| a.note = early, error);
}

#[test]
fn counts_are_bounded() {
    check(|a| a.entries.clear(), AnnouncementError::Count);
    check(|a| a.entries = vec![bare(0); FLUSH_LEAVES_MAX + 1], AnnouncementError::Count);
    check(|a| a.frontier = vec![NodeHash([0; 32]); PROOF_HASHES_MAX + 1], AnnouncementError::Count);
}

#[test]
fn the_frontier_must_fit_the_first_index() {
    check(|a| a.frontier.truncate(1), AnnouncementError::Frontier);
    check(|a| a.first = LeafIndex(7), AnnouncementError::Frontier);
    check(|a| a.first = LeafIndex(u64::MAX), AnnouncementError::Frontier);
}

#[test]
fn every_entry_must_fit_its_leaf() {
    let entry = |change: fn(&mut Announcement), expected| check(change, AnnouncementError::Entry(expected));
    entry(|a| a.entries[2].header = None, EntryError::HeaderMissing);
    entry(|a| a.entries[0].header = Some(vec![0xa0]), EntryError::HeaderSurplus);
    entry(|a| a.entries[1].opening = None, EntryError::OpeningMissing);
    entry(|a| a.entries[0].opening = a.entries[1].opening.clone(), EntryError::OpeningSurplus);
    entry(|a| a.entries[2].leaf.binding = Binding([0; 32]), EntryError::HeaderDigest);
    entry(|a| a.entries[2].header = Some(vec![0; 513]), EntryError::HeaderSize(513));
    entry(|a| a.entries[2].header = Some(vec![0x80]), EntryError::Header(HeaderError::NotAMap));
    entry(|a| a.entries[1].opening.as_mut().unwrap().share.push(0), {
        EntryError::Opening(cresset_protocol::log::record::OpeningError::Commitment)
    });
}

#[test]
fn an_entry_of_another_log_does_not_fit() {
    check(|a| a.entries[1] = policy(2), {
        AnnouncementError::Entry(EntryError::Opening(cresset_protocol::log::record::OpeningError::Commitment))
    });
    check(|a| a.entries[2] = urgent(2), AnnouncementError::Entry(EntryError::HeaderDigest));
}

#[test]
fn leaves_must_hash_to_the_signed_root() {
    check(|a| a.entries[0] = bare(99), AnnouncementError::Root);
    check(|a| a.entries.swap(2, 3), AnnouncementError::Root);
    check(|a| drop(a.entries.pop()), AnnouncementError::Root);
    check(|a| a.frontier[0] = NodeHash([0; 32]), AnnouncementError::Root);
    check(|a| a.first = LeafIndex(6), AnnouncementError::Root);
}

#[test]
fn inline_envelopes_must_fit_their_leaves() {
    let inline = |change: fn(&mut Announcement)| check(change, AnnouncementError::Inline);
    inline(|a| a.inline[0].bytes[7] ^= 1);
    inline(|a| a.inline[0].bytes.push(0));
    inline(|a| a.inline[0].index = LeafIndex(4));
    inline(|a| a.inline[0].index = LeafIndex(5));
    inline(|a| a.inline[0].index = LeafIndex(9));
    // The NORMAL lane never rides along.
    inline(|a| a.inline[0].index = LeafIndex(8));
    inline(|a| a.inline.push(a.inline[0].clone()));
    inline(|a| a.inline[0].bytes = vec![0; INLINE_ENVELOPE_BYTES_MAX + 1]);
    inline(|a| {
        let each = InlineEnvelope { index: LeafIndex(7), bytes: vec![0; INLINE_ENVELOPE_BYTES_MAX] };
        a.inline = vec![each; INLINE_TOTAL_BYTES_MAX / INLINE_ENVELOPE_BYTES_MAX + 1];
    });
}

#[test]
fn both_signatures_must_verify() {
    for line in [4, 5] {
        let mut changed = sample();
        let mut lines: Vec<String> = changed.note.lines().map(str::to_owned).collect();
        // Inside the signature: behind key id and time stamp.
        let at = lines[line].len() - 30;
        let other = if lines[line].as_bytes()[at] == b'A' { "B" } else { "A" };
        lines[line].replace_range(at..=at, other);
        changed.note = lines.join("\n") + "\n";
        assert_eq!(verify(&changed), Err(AnnouncementError::Note(NoteRefused::Signature)), "line {line}");
    }
}

#[test]
fn a_relay_can_shorten_but_not_change_what_is_said() {
    let mut without = sample();
    without.inline.clear();
    assert_eq!(verify(&without), Ok(()));
    let mut later = sample();
    let first = later.entries.remove(0);
    let mut frontier = before().frontier;
    frontier.append(first.leaf.hash());
    later.first = LeafIndex(6);
    later.frontier = frontier.hashes().to_vec();
    assert_eq!(verify(&later), Ok(()));
}

#[test]
fn origins_choose_urgent_envelopes_in_order_up_to_the_limits() {
    let entries: Vec<_> = (0..40).map(|_| urgent(1)).chain([publish(1, false)]).collect();
    let large = choose_inline(LeafIndex(3), &entries, |_, _| Some(vec![0; INLINE_ENVELOPE_BYTES_MAX]));
    let indexes: Vec<u64> = large.iter().map(|envelope| envelope.index.0).collect();
    assert_eq!(indexes, (3..3 + 16).collect::<Vec<_>>());
    let too_large = choose_inline(LeafIndex(0), &entries, |_, _| Some(vec![0; INLINE_ENVELOPE_BYTES_MAX + 1]));
    assert_eq!(too_large, []);
    assert_eq!(choose_inline(LeafIndex(0), &entries, |_, _| Some(body())).len(), 40);
}

#[test]
fn a_header_of_a_version_to_come_travels_without_envelope() {
    // Kind 99 is unknown: the leaf replicates, its envelope cannot be checked and so not ride along.
    let wire = vec![0xa1, 0x02, 0x18, 0x63];
    let mut entry = urgent(1);
    let digest = cresset_protocol::envelope::header_digest_of_wire(&wire, &CONSORTIUM, &log(1)).unwrap();
    entry.leaf.binding = Binding(digest.0);
    entry.header = Some(wire.clone());
    assert!(EnvelopeHeader::from_wire(&wire, &CONSORTIUM, &log(1)).is_err());
    let mut announcement = before().flush(vec![entry]);
    assert_eq!(verify(&announcement), Err(AnnouncementError::Inline));
    announcement.inline.clear();
    assert_eq!(verify(&announcement), Ok(()));
}
