use super::*;
use crate::ids::{Commitment, UnixSeconds};
use crate::log::leaf::{LeafFlags, LeafKind};

const CONSORTIUM: ConsortiumId = ConsortiumId([1; 32]);
const LOG: LogId = LogId([2; 32]);

fn stanza_terms() -> StanzaTerms {
    StanzaTerms {
        roster_version: RosterVersion(7),
        roster_digest: RosterDigest([8; 32]),
        period: KeyPeriod(9),
        count: 3,
    }
}

fn header(addressing: Addressing) -> EnvelopeHeader {
    HeaderTerms {
        consortium: CONSORTIUM,
        log: LOG,
        suite: Suite::Hybrid2026.code(),
        relay: Relay::Europe,
        addressing,
        salt: [4; 32],
        padded_bytes: 1024,
    }
    .complete(KeyCommitment([5; 32]), SegmentRoot([6; 32]))
    .unwrap()
}

fn all_kinds() -> [EnvelopeHeader; 3] {
    let audience = AudienceId([3; 32]);
    [
        header(Addressing::Audience { audience }),
        header(Addressing::Grant { audience, serial: GrantSerial(11), stanzas: stanza_terms() }),
        header(Addressing::Direct { stanzas: stanza_terms() }),
    ]
}

fn leaf_of(header: &EnvelopeHeader) -> Leaf {
    Leaf {
        kind: LeafKind::Publish,
        flags: LeafFlags { header_follows: true, ..LeafFlags::default() },
        time: UnixSeconds(1),
        commitment: Commitment([0; 32]),
        binding: Binding(header.digest().0),
    }
}

#[test]
fn every_kind_round_trips_in_both_forms() {
    for header in all_kinds() {
        assert_eq!(EnvelopeHeader::from_wire(&header.to_wire(), &CONSORTIUM, &LOG).unwrap(), header);
        assert_eq!(EnvelopeHeader::from_bytes(&header.to_bytes()).unwrap(), header);
        assert_eq!(header_digest_of_wire(&header.to_wire(), &CONSORTIUM, &LOG).unwrap(), header.digest());
    }
}

#[test]
fn an_audience_header_has_the_documented_sizes() {
    let [header, ..] = all_kinds();
    assert_eq!((header.to_bytes().len(), header.to_wire().len()), (227, 157));
}

#[test]
fn another_log_or_consortium_gives_another_digest() {
    let [header, ..] = all_kinds();
    let leaf = leaf_of(&header);
    assert_eq!(header.check_bound_by(&leaf), Ok(()));
    for (consortium, log) in [(ConsortiumId([9; 32]), LOG), (CONSORTIUM, LogId([9; 32]))] {
        let moved = EnvelopeHeader::from_wire(&header.to_wire(), &consortium, &log).unwrap();
        assert_eq!(moved.check_bound_by(&leaf), Err(HeaderError::NotBound));
    }
}

#[test]
fn every_flipped_byte_is_refused_or_unbinds() {
    for header in all_kinds() {
        let leaf = leaf_of(&header);
        let wire = header.to_wire();
        for at in 0..wire.len() {
            let mut flipped = wire.clone();
            flipped[at] ^= 1;
            let bound =
                EnvelopeHeader::from_wire(&flipped, &CONSORTIUM, &LOG).and_then(|header| header.check_bound_by(&leaf));
            assert!(bound.is_err(), "byte {at}");
        }
        for end in 0..wire.len() {
            assert!(EnvelopeHeader::from_wire(&wire[..end], &CONSORTIUM, &LOG).is_err(), "cut at {end}");
        }
    }
}

#[test]
fn the_prefix_leaves_out_what_encryption_adds() {
    let [header, ..] = all_kinds();
    assert_eq!(header.prefix(), header.terms().prefix());
    let other = header.terms().clone().complete(KeyCommitment([9; 32]), SegmentRoot([9; 32])).unwrap();
    assert_eq!(header.prefix(), other.prefix());
}

#[test]
fn extensions_are_kept_and_covered() {
    for header in all_kinds() {
        // One more entry: 1000 => 5.
        let mut wire = header.to_wire();
        wire[0] += 1;
        wire.extend_from_slice(&[0x19, 0x03, 0xe8, 0x05]);
        let extended = EnvelopeHeader::from_wire(&wire, &CONSORTIUM, &LOG).unwrap();
        assert_eq!(extended.to_wire(), wire);
        assert_ne!(extended.digest(), header.digest());
        assert_eq!(header_digest_of_wire(&wire, &CONSORTIUM, &LOG).unwrap(), extended.digest());
        assert_ne!(extended.prefix(), header.prefix());
        assert_eq!(EnvelopeHeader::from_bytes(&extended.to_bytes()).unwrap(), extended);
    }
}

#[test]
fn an_unknown_suite_parses_but_does_not_open() {
    let [header, ..] = all_kinds();
    let terms = HeaderTerms { suite: 77, ..header.terms().clone() };
    let foreign = terms.complete(KeyCommitment([5; 32]), SegmentRoot([6; 32])).unwrap();
    let parsed = EnvelopeHeader::from_wire(&foreign.to_wire(), &CONSORTIUM, &LOG).unwrap();
    assert_eq!(parsed.suite(), Err(HeaderError::UnknownSuite(77)));
}

#[test]
fn each_wrong_field_has_its_name() {
    let [audience, grant, direct] = all_kinds();
    let map = |header: &EnvelopeHeader| wire::decode_map(&header.to_wire()).unwrap().0;
    let check = |map: HeaderMap, expected: HeaderError| {
        let bytes = wire::encode_map(&map, &Extensions::default());
        assert_eq!(EnvelopeHeader::from_wire(&bytes, &CONSORTIUM, &LOG), Err(expected));
    };
    check(HeaderMap { consortium: Some(CONSORTIUM), ..map(&audience) }, HeaderError::ImpliedKey);
    check(HeaderMap { log: Some(LOG), ..map(&audience) }, HeaderError::ImpliedKey);
    check(HeaderMap { kind: 4, ..map(&audience) }, HeaderError::UnknownKind(4));
    check(HeaderMap { kind: 2, ..map(&audience) }, HeaderError::Keys);
    check(HeaderMap { kind: 1, ..map(&grant) }, HeaderError::Keys);
    check(HeaderMap { kind: 2, ..map(&direct) }, HeaderError::Keys);
    check(HeaderMap { period: None, ..map(&grant) }, HeaderError::Keys);
    check(HeaderMap { audience: None, ..map(&audience) }, HeaderError::Keys);
    check(HeaderMap { audience: Some(AudienceId([3; 32])), ..map(&direct) }, HeaderError::Keys);
    check(HeaderMap { commitment: None, ..map(&audience) }, HeaderError::Keys);
    check(HeaderMap { segment_root: None, ..map(&audience) }, HeaderError::Keys);
    check(HeaderMap { relay: 3, ..map(&audience) }, HeaderError::Relay(3));
    check(HeaderMap { padded_bytes: 511, ..map(&audience) }, HeaderError::Padded(511));
    check(HeaderMap { padded_bytes: 1025, ..map(&audience) }, HeaderError::Padded(1025));
    check(HeaderMap { padded_bytes: 1 << 29, ..map(&audience) }, HeaderError::Padded(1 << 29));
    check(HeaderMap { segment_bytes: 4096, ..map(&audience) }, HeaderError::SegmentBytes(4096));
    check(HeaderMap { stanzas: Some(0), ..map(&grant) }, HeaderError::Stanzas(0));
    check(HeaderMap { stanzas: Some(257), ..map(&direct) }, HeaderError::Stanzas(257));
}

#[test]
fn digests_of_unreadable_headers_still_need_a_canonical_map() {
    assert_eq!(header_digest_of_wire(&[0x81, 0], &CONSORTIUM, &LOG), Err(HeaderError::NotAMap));
    assert_eq!(header_digest_of_wire(&[0xa1, 0, 0], &CONSORTIUM, &LOG), Err(HeaderError::ImpliedKey));
    assert!(matches!(header_digest_of_wire(&[0xa1, 2], &CONSORTIUM, &LOG), Err(HeaderError::Codec(_))));
    assert!(header_digest_of_wire(&[0xa1, 0x18, 99, 0], &CONSORTIUM, &LOG).is_ok());
    assert!(header_digest_of_wire(&[0; 600], &CONSORTIUM, &LOG).is_err());
}
