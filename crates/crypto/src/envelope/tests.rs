use std::collections::BTreeSet;

use cresset_protocol::codec;
use cresset_protocol::envelope::{
    EnvelopeHeader, HeaderError, HeaderTerms, KeyGrantShare, LayoutError, Relay, STANZA_BYTES, SegmentDigests,
};
use cresset_protocol::ids::{
    Binding, ConsortiumId, GrantSerial, HubId, KeyCommitment, KeyPeriod, LogId, RosterDigest, RosterVersion,
    SegmentRoot, UnixSeconds,
};
use cresset_protocol::log::leaf::{Leaf, LeafFlags, LeafKind};
use cresset_protocol::log::record::{Blinding, Opening};

use super::*;
use crate::kem::EncryptionKeyPair;

const CONSORTIUM: ConsortiumId = ConsortiumId([1; 32]);
const LOG: LogId = LogId([2; 32]);
const SERIAL: GrantSerial = GrantSerial(5);
const ROSTER: RosterTerms =
    RosterTerms { version: RosterVersion(3), digest: RosterDigest([4; 32]), period: KeyPeriod(6) };

fn opening(share: &[u8]) -> Opening {
    Opening { r: Blinding::new([7; 32]), share: share.to_vec(), inner_mac: [8; 32] }
}

fn draft<'a>(opening: &'a Opening, payload: &'a [u8]) -> Draft<'a> {
    Draft { consortium: &CONSORTIUM, log: &LOG, relay: Relay::Europe, opening, payload }
}

fn leaf(kind: LeafKind, header: &EnvelopeHeader, opening: &Opening) -> Leaf {
    let flags = LeafFlags { header_follows: kind.has_header(), ..LeafFlags::default() };
    Leaf {
        kind,
        flags,
        time: UnixSeconds(1_790_000_000),
        commitment: opening.commitment(&CONSORTIUM, &LOG, kind, flags),
        binding: Binding(header.digest().0),
    }
}

fn audience() -> AudienceKey {
    AudienceKey::generate(&CONSORTIUM, &LOG, SERIAL).unwrap()
}

/// An envelope for an audience with everything that opens it.
struct Sample {
    audience: AudienceKey,
    header: EnvelopeHeader,
    body: Vec<u8>,
    leaf: Leaf,
}

fn sample(payload: &[u8]) -> Sample {
    let audience = audience();
    let opening = opening(b"share");
    let EncryptedEnvelope { header, body } = encrypt_for_audience(&draft(&opening, payload), &audience).unwrap();
    let leaf = leaf(LeafKind::Publish, &header, &opening);
    Sample { audience, header, body, leaf }
}

impl Sample {
    fn open(&self) -> Result<OpenedEnvelope, OpenError> {
        open_for_audience(&self.header, &self.leaf, &self.body, &self.audience)
    }

    /// Another header under a leaf that binds it.
    fn rebind(&mut self, terms: HeaderTerms, commitment: KeyCommitment, root: SegmentRoot) {
        self.header = terms.complete(commitment, root).unwrap();
        self.leaf.binding = Binding(self.header.digest().0);
    }
}

#[test]
fn an_audience_opens_what_was_encrypted_for_it() {
    for len in [0, 1, 1000, 65_000, 70_000, 300_000] {
        let payload = vec![9; len];
        let sample = sample(&payload);
        let opened = sample.open().unwrap();
        assert!(opened.payload.as_slice() == payload, "{len}");
        assert_eq!(opened.opening, opening(b"share"));
        assert_eq!(sample.body.len() as u64, sample.header.terms().layout().body_bytes());
    }
}

#[test]
fn a_header_that_travelled_opens_the_same() {
    let mut sample = sample(b"payload");
    sample.header = EnvelopeHeader::from_wire(&sample.header.to_wire(), &CONSORTIUM, &LOG).unwrap();
    assert!(sample.open().is_ok());
}

#[test]
fn two_encryptions_of_one_content_share_nothing() {
    let audience = audience();
    let opening = opening(b"share");
    let [a, b] = [0, 1].map(|_| encrypt_for_audience(&draft(&opening, b"payload"), &audience).unwrap());
    assert_ne!(a.header.terms().salt, b.header.terms().salt);
    assert_ne!(a.header.commitment(), b.header.commitment());
    assert_ne!(a.body, b.body);
}

#[test]
fn unknown_suite_is_refused_on_opening() {
    let mut sample = sample(b"payload");
    let terms = HeaderTerms { suite: 999, ..sample.header.terms().clone() };
    let (commitment, root) = (*sample.header.commitment(), *sample.header.segment_root());
    sample.rebind(terms, commitment, root);
    assert_eq!(sample.open().unwrap_err(), OpenError::Header(HeaderError::UnknownSuite(999)));
}

#[test]
fn a_leaf_of_another_log_or_consortium_opens_nothing() {
    let original = sample(b"payload");
    for (consortium, log) in [(ConsortiumId([9; 32]), LOG), (CONSORTIUM, LogId([9; 32]))] {
        // Leaf, header and body copied as they are.
        let header = EnvelopeHeader::from_wire(&original.header.to_wire(), &consortium, &log).unwrap();
        let refused = open_for_audience(&header, &original.leaf, &original.body, &original.audience).unwrap_err();
        assert_eq!(refused, OpenError::Header(HeaderError::NotBound));
        // The thief writes a leaf of its own around the copied header and body.
        let leaf = Leaf { binding: Binding(header.digest().0), ..original.leaf };
        let refused = open_for_audience(&header, &leaf, &original.body, &original.audience).unwrap_err();
        assert_eq!(refused, OpenError::KeyCommitment);
    }
}

#[test]
fn a_foreign_record_under_an_own_leaf_is_refused() {
    let sample = sample(b"payload");
    for leaf in [
        Leaf { commitment: cresset_protocol::ids::Commitment([0; 32]), ..sample.leaf },
        Leaf { kind: LeafKind::Private, flags: LeafFlags::default(), ..sample.leaf },
        Leaf { flags: LeafFlags { urgent: true, ..sample.leaf.flags }, ..sample.leaf },
    ] {
        let refused = open_for_audience(&sample.header, &leaf, &sample.body, &sample.audience).unwrap_err();
        assert_eq!(refused, OpenError::Commitment);
    }
}

#[test]
fn every_flipped_byte_of_the_body_is_found_before_decryption() {
    let mut sample = sample(&[3; 70_000]);
    for at in (0..sample.body.len()).step_by(97).chain([sample.body.len() - 1]) {
        sample.body[at] ^= 1;
        assert_eq!(sample.open().unwrap_err(), OpenError::Layout(LayoutError::Root), "byte {at}");
        sample.body[at] ^= 1;
    }
    assert!(sample.open().is_ok());
}

#[test]
fn wrong_lengths_are_refused() {
    let mut sample = sample(b"payload");
    sample.body.push(0);
    assert!(matches!(sample.open().unwrap_err(), OpenError::Layout(LayoutError::Length { .. })));
    sample.body.truncate(100);
    assert!(matches!(sample.open().unwrap_err(), OpenError::Layout(LayoutError::Length { .. })));
}

/// A dishonest origin binds a header to a body that does not fit its key.
#[test]
fn reordered_segments_do_not_decrypt_even_if_the_header_names_them() {
    let mut sample = sample(&[3; 130_000]);
    let step = 65_536 + 16;
    let (first, rest) = sample.body.split_at_mut(step);
    first.swap_with_slice(&mut rest[..step]);
    let layout = sample.header.terms().layout();
    let root = SegmentDigests::of_body(&layout, &sample.body).unwrap().root();
    let (terms, commitment) = (sample.header.terms().clone(), *sample.header.commitment());
    sample.rebind(terms, commitment, root);
    assert_eq!(sample.open().unwrap_err(), OpenError::Decrypt);
}

#[test]
fn a_false_key_commitment_is_found_before_decryption() {
    let mut sample = sample(b"payload");
    let (terms, root) = (sample.header.terms().clone(), *sample.header.segment_root());
    sample.rebind(terms, KeyCommitment([0; 32]), root);
    assert_eq!(sample.open().unwrap_err(), OpenError::KeyCommitment);
}

#[test]
fn every_changed_term_changes_the_key() {
    let original = sample(b"payload");
    let terms = original.header.terms();
    let mut salted = terms.salt;
    salted[0] ^= 1;
    for changed in [
        HeaderTerms { relay: Relay::Members, ..terms.clone() },
        HeaderTerms { salt: salted, ..terms.clone() },
        HeaderTerms { log: LogId([3; 32]), ..terms.clone() },
    ] {
        let mut sample = sample(b"payload");
        sample.audience = original.audience.clone();
        sample.body.clone_from(&original.body);
        sample.rebind(changed, *original.header.commitment(), *original.header.segment_root());
        assert_eq!(sample.open().unwrap_err(), OpenError::KeyCommitment);
    }
}

#[test]
fn another_audience_key_is_refused_by_name() {
    let mut sample = sample(b"payload");
    let id = *sample.audience.id();
    sample.audience = audience();
    assert_eq!(sample.open().unwrap_err(), OpenError::OtherAudience(id));
}

#[test]
fn an_audience_id_depends_on_consortium_log_and_serial() {
    let key = audience();
    let restore = |consortium, log, serial| {
        *AudienceKey::from_secret_bytes(key.secret_bytes(), &consortium, &log, serial).unwrap().id()
    };
    assert_eq!(restore(CONSORTIUM, LOG, SERIAL), *key.id());
    assert_ne!(restore(ConsortiumId([9; 32]), LOG, SERIAL), *key.id());
    assert_ne!(restore(CONSORTIUM, LogId([9; 32]), SERIAL), *key.id());
    assert_ne!(restore(CONSORTIUM, LOG, GrantSerial(6)), *key.id());
    assert_eq!(
        AudienceKey::from_secret_bytes(&[0; 31], &CONSORTIUM, &LOG, SERIAL).unwrap_err(),
        KeyDerivationError::Length
    );
}

/// Four hubs: 1 (origin) and 2 are members, 3 is not, 4 is suspended.
struct Hubs {
    ids: [HubId; 4],
    pairs: [EncryptionKeyPair; 4],
}

impl Hubs {
    fn new() -> Self {
        Self {
            ids: [1, 2, 3, 4].map(|n| HubId([n; 16])),
            pairs: [0; 4].map(|_| EncryptionKeyPair::generate().unwrap()),
        }
    }

    fn recipients(&self) -> Vec<Recipient<'_>> {
        let hub = |n: usize| Recipient { hub: self.ids[n], key: self.pairs[n].public(), member: n < 2 };
        (0..4).map(hub).collect()
    }
}

fn grant_share(audience: &AudienceKey) -> KeyGrantShare {
    KeyGrantShare {
        kind: cresset_protocol::log::kinds::KindTag,
        suite: 1,
        audience: *audience.id(),
        serial: SERIAL,
        roster_version: ROSTER.version,
        members: BTreeSet::from([HubId([1; 16]), HubId([2; 16])]),
        use_until: UnixSeconds(1_790_086_400),
        replaces: None,
    }
}

struct Grant {
    hubs: Hubs,
    audience: AudienceKey,
    header: EnvelopeHeader,
    body: Vec<u8>,
    leaf: Leaf,
}

fn grant() -> Grant {
    let (hubs, audience) = (Hubs::new(), audience());
    let opening = opening(&codec::encode(&grant_share(&audience)));
    let EncryptedEnvelope { header, body } =
        encrypt_grant(&draft(&opening, b""), &ROSTER, &hubs.recipients(), &audience).unwrap();
    let leaf = leaf(LeafKind::KeyGrant, &header, &opening);
    Grant { hubs, audience, header, body, leaf }
}

impl Grant {
    fn open(&self, n: usize) -> Result<OpenedGrant, OpenError> {
        open_grant(&self.header, &self.leaf, &self.body, &self.hubs.ids, &self.hubs.ids[n], &self.hubs.pairs[n])
    }
}

#[test]
fn members_get_the_key_and_nobody_else() {
    let grant = grant();
    for member in 0..2 {
        let opened = grant.open(member).unwrap();
        assert_eq!(opened.audience.secret_bytes(), grant.audience.secret_bytes());
        assert_eq!(opened.share, grant_share(&grant.audience));
    }
    for outside in 2..4 {
        assert_eq!(grant.open(outside).unwrap_err(), OpenError::NotAddressed);
    }
    let stranger =
        open_grant(&grant.header, &grant.leaf, &grant.body, &grant.hubs.ids, &HubId([9; 16]), &grant.hubs.pairs[0]);
    assert_eq!(stranger.unwrap_err(), OpenError::NotAddressed);
}

#[test]
fn all_stanzas_look_alike() {
    let grant = grant();
    let (stanzas, _) = grant.header.check_body(&grant.body).unwrap();
    assert_eq!(stanzas.len(), 4 * STANZA_BYTES);
    assert_eq!(STANZA_BYTES, 1713);
}

#[test]
fn a_wrong_key_or_position_is_a_failure_and_not_an_exclusion() {
    let grant = grant();
    let (ids, pairs) = (&grant.hubs.ids, &grant.hubs.pairs);
    let open = |hubs: &[HubId], me: &HubId, pair| open_grant(&grant.header, &grant.leaf, &grant.body, hubs, me, pair);
    assert_eq!(open(ids, &ids[0], &pairs[1]).unwrap_err(), OpenError::Stanza);
    assert_eq!(open(ids, &ids[1], &pairs[0]).unwrap_err(), OpenError::Stanza);
    // Another roster version has another number of hubs.
    assert_eq!(open(&ids[..3], &ids[0], &pairs[0]).unwrap_err(), OpenError::StanzaCount { found: 4, hubs: 3 });
}

#[test]
fn a_changed_stanza_is_found_before_decapsulation() {
    let mut grant = grant();
    grant.body[STANZA_BYTES / 2] ^= 1;
    assert_eq!(grant.open(0).unwrap_err(), OpenError::Layout(LayoutError::Root));
}

/// A dishonest origin names the changed stanza itself.
#[test]
fn a_broken_stanza_that_the_header_names_is_the_origins_fault() {
    let mut grant = grant();
    grant.body[STANZA_BYTES - 1] ^= 1;
    let layout = grant.header.terms().layout();
    let root = SegmentDigests::of_body(&layout, &grant.body).unwrap().root();
    grant.header = grant.header.terms().clone().complete(*grant.header.commitment(), root).unwrap();
    grant.leaf.binding = Binding(grant.header.digest().0);
    assert_eq!(grant.open(0).unwrap_err(), OpenError::Stanza);
    assert!(grant.open(1).is_ok(), "the others are not harmed");
}

#[test]
fn a_grant_counts_only_in_a_keygrant_leaf() {
    let mut grant = grant();
    grant.leaf.kind = LeafKind::Publish;
    assert_eq!(grant.open(0).unwrap_err(), OpenError::LeafKind(LeafKind::Publish));
}

#[test]
fn a_grant_does_not_open_as_anything_else() {
    let grant = grant();
    let kind = OpenError::Kind(grant.header.kind());
    assert_eq!(open_for_audience(&grant.header, &grant.leaf, &grant.body, &grant.audience).unwrap_err(), kind);
    let direct = open_direct(&grant.header, &grant.leaf, &grant.body, StanzaChoice::Search, &grant.hubs.pairs[0]);
    assert_eq!(direct.unwrap_err(), kind);
    let sample = sample(b"payload");
    let hubs = &grant.hubs;
    let opened = open_grant(&sample.header, &sample.leaf, &sample.body, &hubs.ids, &hubs.ids[0], &hubs.pairs[0]);
    assert_eq!(opened.unwrap_err(), OpenError::Kind(sample.header.kind()));
}

#[test]
fn a_grant_is_made_only_as_its_share_says() {
    let (hubs, audience) = (Hubs::new(), audience());
    let make = |share: KeyGrantShare, recipients: &[Recipient<'_>]| {
        let opening = opening(&codec::encode(&share));
        encrypt_grant(&draft(&opening, b""), &ROSTER, recipients, &audience).map(drop)
    };
    let share = grant_share(&audience);
    let recipients = hubs.recipients();
    assert_eq!(
        make(KeyGrantShare { serial: GrantSerial(6), ..share.clone() }, &recipients),
        Err(EncryptError::GrantShare)
    );
    assert_eq!(
        make(KeyGrantShare { members: BTreeSet::new(), ..share.clone() }, &recipients),
        Err(EncryptError::GrantShare)
    );
    let reversed: Vec<_> = recipients.iter().rev().copied().collect();
    assert_eq!(make(share.clone(), &reversed), Err(EncryptError::Order));
    assert_eq!(make(share.clone(), &[recipients[0], recipients[0]]), Err(EncryptError::Order));
    assert_eq!(make(share.clone(), &[]), Err(EncryptError::Recipients(0)));
    assert_eq!(make(share, &vec![recipients[0]; 257]), Err(EncryptError::Recipients(257)));
}

fn direct(recipients: DirectRecipients<'_>) -> (EncryptedEnvelope, Leaf) {
    let opening = opening(b"share");
    let envelope = encrypt_direct(&draft(&opening, b"red"), &ROSTER, recipients).unwrap();
    let leaf = leaf(LeafKind::Private, &envelope.header, &opening);
    (envelope, leaf)
}

#[test]
fn a_padded_direct_envelope_opens_for_members_only() {
    let hubs = Hubs::new();
    let (envelope, leaf) = direct(DirectRecipients::Padded(&hubs.recipients()));
    let open = |n: usize| {
        let choice = StanzaChoice::Roster { hubs: &hubs.ids, me: &hubs.ids[n] };
        open_direct(&envelope.header, &leaf, &envelope.body, choice, &hubs.pairs[n])
    };
    assert_eq!(open(0).unwrap().payload.as_slice(), b"red");
    assert_eq!(open(1).unwrap().payload.as_slice(), b"red");
    assert_eq!(open(2).unwrap_err(), OpenError::NotAddressed);
    assert_eq!(open(3).unwrap_err(), OpenError::NotAddressed);
}

#[test]
fn a_named_direct_envelope_has_no_other_stanza() {
    let hubs = Hubs::new();
    let keys = [hubs.pairs[2].public().clone(), hubs.pairs[0].public().clone()];
    let (envelope, leaf) = direct(DirectRecipients::Named(&keys));
    let open = |n: usize| open_direct(&envelope.header, &leaf, &envelope.body, StanzaChoice::Search, &hubs.pairs[n]);
    assert_eq!(open(0).unwrap().payload.as_slice(), b"red");
    assert_eq!(open(2).unwrap().opening, opening(b"share"));
    assert_eq!(open(1).unwrap_err(), OpenError::NotAddressed);
    assert_eq!(envelope.header.terms().layout().stanzas(), 2);
}

#[test]
fn a_stanza_moved_into_another_envelope_opens_nothing() {
    let hubs = Hubs::new();
    let keys = [hubs.pairs[0].public().clone()];
    let (victim, _) = direct(DirectRecipients::Named(&keys));
    let (mut forged, mut leaf) = direct(DirectRecipients::Named(&keys));
    forged.body[..STANZA_BYTES].copy_from_slice(&victim.body[..STANZA_BYTES]);
    let layout = forged.header.terms().layout();
    let root = SegmentDigests::of_body(&layout, &forged.body).unwrap().root();
    forged.header = forged.header.terms().clone().complete(*forged.header.commitment(), root).unwrap();
    leaf.binding = Binding(forged.header.digest().0);
    let opened = open_direct(&forged.header, &leaf, &forged.body, StanzaChoice::Search, &hubs.pairs[0]);
    assert_eq!(opened.unwrap_err(), OpenError::KeyCommitment);
}

#[test]
fn a_complaint_shows_what_the_origin_did() {
    let sample = sample(b"payload");
    let revealed = sample.audience.object_key(&sample.header).unwrap();
    let revealed = ObjectKey::from_revealed_bytes(*revealed.reveal());
    let finding = examine(&sample.header, &sample.leaf, &sample.body, &revealed).unwrap();
    assert!(matches!(finding, Finding::InOrder(opened) if opened.payload.as_slice() == b"payload"));
    // A recipient that lies about the key shows nothing.
    let lie = ObjectKey::from_revealed_bytes([0; 32]);
    assert!(matches!(examine(&sample.header, &sample.leaf, &sample.body, &lie).unwrap(), Finding::NoEvidence));
    // An origin that put a false record inside.
    let leaf = Leaf { commitment: cresset_protocol::ids::Commitment([0; 32]), ..sample.leaf };
    assert!(matches!(examine(&sample.header, &leaf, &sample.body, &revealed).unwrap(), Finding::FalseRecord));
    // Bytes that are not the header's are no complaint at all.
    assert!(examine(&sample.header, &sample.leaf, &sample.body[1..], &revealed).is_err());
}

#[test]
fn a_direct_envelope_can_be_complained_about_too() {
    let hubs = Hubs::new();
    let keys = [hubs.pairs[0].public().clone()];
    let (envelope, leaf) = direct(DirectRecipients::Named(&keys));
    let revealed =
        direct_object_key(&envelope.header, &leaf, &envelope.body, StanzaChoice::Search, &hubs.pairs[0]).unwrap();
    assert!(matches!(examine(&envelope.header, &leaf, &envelope.body, &revealed).unwrap(), Finding::InOrder(_)));
}

/// The worked example of chapter 3, computed anew.
#[test]
fn the_specification_example_holds() {
    let audience = AudienceKey::from_secret_bytes(&[0x0b; 32], &CONSORTIUM, &LOG, SERIAL).unwrap();
    let opening = opening(b"share");
    let addressing = cresset_protocol::envelope::Addressing::Audience { audience: *audience.id() };
    let draft = draft(&opening, b"view");
    let key = audience.secret_bytes();
    let EncryptedEnvelope { header, body } =
        super::encrypt::encrypt(&draft, addressing, key, &[0x0c; 32], |_| Ok(Vec::new())).unwrap();
    let object_key = audience.object_key(&header).unwrap();
    let keys = object_key.envelope_keys().unwrap();
    let chapter = include_str!("../../../../protocol-spec/03-envelope.md");
    for (name, bytes) in [
        ("audience id", audience.id().as_bytes().as_slice()),
        ("salt", &header.terms().salt),
        ("prefix", &header.prefix()),
        ("K_obj", object_key.reveal()),
        ("K_env", keys.key.as_slice()),
        ("commitment", keys.commitment.as_bytes()),
        ("first octets", &body[..32]),
        ("tag", &body[body.len() - 16..]),
        ("segment root", header.segment_root().as_bytes()),
        ("wire form", &header.to_wire()),
        ("X", header.digest().as_bytes()),
    ] {
        let line = format!("{name:<13}{}\n", data_encoding::HEXLOWER.encode(bytes));
        assert!(chapter.contains(&line), "chapter 3 lacks this line:\n{line}");
    }
}

#[test]
fn debug_shows_no_secret() {
    let key = AudienceKey::from_secret_bytes(&[0xab; 32], &CONSORTIUM, &LOG, SERIAL).unwrap();
    let object_key = ObjectKey::from_revealed_bytes([0xab; 32]);
    for shown in [format!("{key:?}"), format!("{object_key:?}")] {
        assert!(!shown.contains("abab") && !shown.contains("171, 171"), "{shown}");
    }
    let opened = sample(b"secret view").open().unwrap();
    assert!(!format!("{opened:?}").contains("115, 101"));
}
