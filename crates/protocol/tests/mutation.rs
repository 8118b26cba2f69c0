//! Seeded mutations of announcements and envelope headers: nothing that differs is ever accepted as what it was.

#![allow(clippy::unwrap_used, reason = "a header that cannot be built is a failed test")]

mod consortium;

use consortium::{CONSORTIUM, KeyedHash, OwnLog, Seeded, bare, directory, header, log, policy, publish, urgent};
use cresset_protocol::codec;
use cresset_protocol::envelope::{Addressing, EnvelopeHeader, HeaderTerms, Relay, StanzaTerms, header_digest_of_wire};
use cresset_protocol::ids::{
    AudienceId, Binding, GrantSerial, KeyCommitment, KeyPeriod, LeafIndex, NodeHash, RosterDigest, RosterVersion,
    SegmentRoot, UnixSeconds,
};
use cresset_protocol::limits::FRAME_BYTES_MAX;
use cresset_protocol::log::entry::Entry;
use cresset_protocol::sync::announcement::Announcement;

const ROUNDS: u64 = 2_500;

fn sample() -> Announcement {
    let mut own = OwnLog::new(1);
    own.flush_bare(5);
    own.flush(vec![bare(5), policy(1), urgent(1), publish(1, false), bare(6)])
}

fn is_accepted(bytes: &[u8]) -> bool {
    Announcement::verify(bytes, &directory(), &KeyedHash).is_ok()
}

/// One to three of: flip a bit, set an octet, drop one, insert one, truncate, append, copy a stretch elsewhere.
fn mutate(bytes: &mut Vec<u8>, random: &mut Seeded) {
    for _ in 0..=random.below(3) {
        let at = random.below(bytes.len());
        match random.below(7) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
            1 if !bytes.is_empty() => bytes[at] = random.below(256) as u8,
            2 if !bytes.is_empty() => drop(bytes.remove(at)),
            3 => bytes.insert(at, random.below(256) as u8),
            4 if random.below(4) == 0 => bytes.truncate(at),
            5 => bytes.push(random.below(256) as u8),
            _ => {
                let len = random.below(40).min(bytes.len() - at);
                let to = random.below(bytes.len() - len + 1);
                bytes.copy_within(at..at + len, to);
            }
        }
    }
}

#[test]
fn no_mutated_octets_pass_as_an_announcement() {
    let good = sample().to_bytes();
    assert!(is_accepted(&good));
    let mut random = Seeded(0x616e_6e6f_756e_6365);
    let mut tried = 0;
    while tried < ROUNDS {
        let mut bytes = good.clone();
        // The note is most of an announcement; aim at the rest as often.
        if tried % 2 == 0 {
            mutate(&mut bytes, &mut random);
        } else {
            let at = bytes.len() - 1 - random.below(1_600);
            bytes[at] ^= 1 << random.below(8);
        }
        if bytes == good {
            continue;
        }
        tried += 1;
        assert!(!is_accepted(&bytes), "accepted in round {tried}");
        // One encoding per value: other octets never decode to the same announcement.
        if let Ok(other) = codec::decode::<Announcement>(&bytes, FRAME_BYTES_MAX) {
            assert_ne!(other, sample(), "round {tried}");
        }
    }
}

/// A change of meaning, encoded again as an honest encoder would.
fn alter(a: &mut Announcement, random: &mut Seeded) {
    let entry = random.below(a.entries.len());
    let octet = random.below(32);
    let bit = 1u8 << random.below(8);
    match random.below(16) {
        0 => a.log.0[octet] ^= bit,
        1 => a.first = LeafIndex(a.first.0 ^ (1 << random.below(40))),
        2 => a.frontier[random.below(2)].0[octet] ^= bit,
        3 => a.frontier.push(NodeHash([bit; 32])),
        4 => drop(a.frontier.pop()),
        5 => drop(a.entries.remove(entry)),
        6 => a.entries.insert(entry, bare(random.next())),
        7 => a.entries.swap(entry, (entry + 1 + random.below(3)) % 5),
        8 => a.entries[entry].leaf.commitment.0[octet] ^= bit,
        9 => a.entries[entry].leaf.binding.0[octet] ^= bit,
        10 => a.entries[entry].leaf.time = UnixSeconds(random.next()),
        11 => match &mut a.entries[entry].header {
            Some(header) => {
                let at = random.below(header.len());
                header[at] ^= bit;
            }
            None => a.entries[entry].header = Some(header(1).to_wire()),
        },
        12 => match &mut a.entries[entry].opening {
            Some(opening) => {
                let at = random.below(opening.share.len());
                opening.share[at] ^= bit;
            }
            None => a.entries[entry].opening = policy(1).opening,
        },
        13 => a.inline[0].index = LeafIndex(a.inline[0].index.0 ^ (1 << random.below(4))),
        14 => {
            let at = random.below(a.inline[0].bytes.len());
            a.inline[0].bytes[at] ^= bit;
        }
        _ => {
            let at = random.below(a.note.len());
            let note = a.note.as_bytes()[at];
            if note.is_ascii() {
                let other = char::from(b'!' + random.below(90) as u8);
                a.note.replace_range(at..=at, other.encode_utf8(&mut [0; 4]));
            }
        }
    }
}

#[test]
fn no_altered_announcement_is_accepted() {
    let good = sample();
    let mut random = Seeded(0x616c_7465_7265_6421);
    let mut tried = 0;
    while tried < ROUNDS {
        let mut altered = good.clone();
        alter(&mut altered, &mut random);
        if altered == good {
            continue;
        }
        tried += 1;
        let error = Announcement::verify(&altered.to_bytes(), &directory(), &KeyedHash).err();
        assert!(error.is_some(), "accepted in round {tried}: {altered:?}");
    }
}

fn headers() -> [EnvelopeHeader; 3] {
    let stanzas = StanzaTerms {
        roster_version: RosterVersion(7),
        roster_digest: RosterDigest([8; 32]),
        period: KeyPeriod(9),
        count: 3,
    };
    let audience = AudienceId([3; 32]);
    [
        Addressing::Audience { audience },
        Addressing::Grant { audience, serial: GrantSerial(11), stanzas },
        Addressing::Direct { stanzas },
    ]
    .map(|addressing| {
        let terms = HeaderTerms {
            consortium: CONSORTIUM,
            log: log(1),
            suite: 1,
            relay: Relay::Europe,
            addressing,
            salt: [4; 32],
            padded_bytes: 1_024,
        };
        terms.complete(KeyCommitment([5; 32]), SegmentRoot([6; 32])).unwrap()
    })
}

/// The entry of a PUBLISH whose X is the digest of this header.
fn entry_of(header: &EnvelopeHeader, wire: Vec<u8>) -> Entry {
    let mut entry = publish(1, false);
    entry.leaf.binding = Binding(header.digest().0);
    entry.header = Some(wire);
    entry
}

#[test]
fn no_mutated_header_passes_under_its_leaf() {
    let mut random = Seeded(0x6865_6164_6572_7321);
    for header in headers() {
        let good = header.to_wire();
        assert!(entry_of(&header, good.clone()).check(&CONSORTIUM, &log(1)).is_ok());
        let mut tried = 0;
        while tried < ROUNDS {
            let mut wire = good.clone();
            mutate(&mut wire, &mut random);
            if wire == good {
                continue;
            }
            tried += 1;
            assert!(entry_of(&header, wire.clone()).check(&CONSORTIUM, &log(1)).is_err(), "round {tried}");
            if let Ok(other) = EnvelopeHeader::from_wire(&wire, &CONSORTIUM, &log(1)) {
                assert_eq!(other.to_wire(), wire, "a header has one encoding; round {tried}");
                assert_ne!(other, header, "round {tried}");
                assert_eq!(Ok(other.digest()), header_digest_of_wire(&wire, &CONSORTIUM, &log(1)), "round {tried}");
            }
        }
    }
}

#[test]
fn an_extension_changes_the_digest_of_a_header() {
    for header in headers() {
        // One more entry: 1000 => 5.
        let mut wire = header.to_wire();
        wire[0] += 1;
        wire.extend_from_slice(&[0x19, 0x03, 0xe8, 0x05]);
        assert!(entry_of(&header, wire).check(&CONSORTIUM, &log(1)).is_err());
    }
}
