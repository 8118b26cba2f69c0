use super::*;
use crate::transport::fixture::{Consortium, name};
use cresset_crypto::Verifier;
use cresset_protocol::suite::Suite;

const EXPORTER: [u8; EXPORTER_BYTES] = [3; EXPORTER_BYTES];

/// Two hubs of one roster; `.0` dials `.1`.
struct Pair {
    consortium: Consortium,
}

impl Pair {
    fn new() -> Self {
        Self { consortium: Consortium::found(3) }
    }

    fn start(&self, hub: usize, peer: usize, role: Role) -> (Hello, Vec<u8>) {
        self.start_over(hub, peer, role, EXPORTER)
    }

    fn start_over(&self, hub: usize, peer: usize, role: Role, exporter: [u8; EXPORTER_BYTES]) -> (Hello, Vec<u8>) {
        let (own, other) = (&self.consortium.hubs[hub], &self.consortium.hubs[peer]);
        Hello::start(Arc::new(self.consortium.membership()), role, exporter, own.id, own.key, other.key)
    }

    fn sign(&self, hub: usize, agreed: &HelloAgreed) -> Vec<u8> {
        let keys = &self.consortium.hubs[hub].keys;
        HelloAgreed::proof(keys.sign_ml_dsa_65(&name("auth"), &agreed.message_to_sign()).unwrap())
    }

    /// The dialer's two frames, as an honest listener would see them.
    fn dialer_frames(&self) -> (Vec<u8>, Vec<u8>) {
        let (dialer, body) = self.start(0, 1, Role::Dialer);
        let (_, listener_body) = self.start(1, 0, Role::Listener);
        let agreed = dialer.on_body(&listener_body).unwrap();
        let proof = self.sign(0, &agreed);
        (body, proof)
    }

    fn listen(&self, body: &[u8], proof: &[u8]) -> Result<Authenticated, HelloError> {
        let (listener, _) = self.start(1, 0, Role::Listener);
        listener.on_body(body)?.on_proof(proof, &Verifier)
    }
}

fn body_with(pair: &Pair, change: impl FnOnce(&mut HelloBody)) -> Vec<u8> {
    let (_, frame) = pair.start(0, 1, Role::Dialer);
    let mut body: HelloBody = codec::decode(&frame, HELLO_FRAME_BYTES_MAX).unwrap();
    change(&mut body);
    codec::encode(&body)
}

#[test]
fn an_honest_hello_authenticates() {
    let pair = Pair::new();
    let (body, proof) = pair.dialer_frames();
    let peer = pair.listen(&body, &proof).unwrap();
    assert_eq!(peer.hub, pair.consortium.hubs[0].id);
    assert_eq!((peer.version, peer.roster, peer.limited), (1, RosterRelation::Same, false));
}

#[test]
fn every_wrong_body_is_refused_by_name() {
    let pair = Pair::new();
    let check = |body: Vec<u8>, expected: HelloError| {
        let (listener, _) = pair.start(1, 0, Role::Listener);
        assert_eq!(listener.on_body(&body).map(drop).unwrap_err(), expected);
    };
    let (own, other, stranger) = (pair.consortium.hubs[1].id, pair.consortium.hubs[2].id, HubId([0xee; 16]));
    check(
        body_with(&pair, |b| b.consortium.0[0] ^= 1),
        HelloError::Consortium {
            offered: ConsortiumId({
                let mut id = [7; 32];
                id[0] ^= 1;
                id
            }),
        },
    );
    check(body_with(&pair, |b| b.hub = stranger), HelloError::UnknownHub { hub: stranger });
    check(body_with(&pair, |b| b.hub = other), HelloError::KeyOfAnother { hub: other });
    check(body_with(&pair, |b| b.hub = own), HelloError::Reflected);
    check(body_with(&pair, |b| b.versions = VersionRange { min: 2, max: 9 }), HelloError::Versions { min: 2, max: 9 });
    check(body_with(&pair, |b| b.versions = VersionRange { min: 1, max: 0 }), HelloError::Versions { min: 1, max: 0 });
    assert!(matches!(pair.listen(&[0xa0], &[]), Err(HelloError::Malformed(_))));
    let oversized = vec![0; HELLO_FRAME_BYTES_MAX + 1];
    assert!(matches!(pair.listen(&oversized, &[]), Err(HelloError::Malformed(CodecError::TooLarge { .. }))));
    assert_eq!(Suite::from_code(2), None, "an unknown suite does not even decode");
}

#[test]
fn a_removed_hub_is_refused_and_a_suspended_one_is_limited() {
    let mut pair = Pair::new();
    let (body, proof) = pair.dialer_frames();
    pair.consortium.roster.hubs[0].status = HubStatus::Suspended;
    assert!(pair.listen(&body, &proof).unwrap().limited);
    for status in [HubStatus::Removed, HubStatus::Left] {
        pair.consortium.roster.hubs[0].status = status;
        let hub = pair.consortium.hubs[0].id;
        assert_eq!(pair.listen(&body, &proof), Err(HelloError::NotAdmitted { hub }));
    }
}

#[test]
fn a_reflected_hello_is_refused() {
    let pair = Pair::new();
    // An attacker plays our own frames back to us.
    let (dialer, body) = pair.start(0, 1, Role::Dialer);
    assert_eq!(dialer.on_body(&body).map(drop).unwrap_err(), HelloError::Reflected);
    // ... or lets the listener's proof come from the listener's own role.
    let (dialer, _) = pair.start(0, 1, Role::Dialer);
    let (listener, listener_body) = pair.start(1, 0, Role::Dialer);
    let (_, dialer_body) = pair.start(0, 1, Role::Dialer);
    let proof = pair.sign(1, &listener.on_body(&dialer_body).unwrap());
    let hub = pair.consortium.hubs[1].id;
    assert_eq!(dialer.on_body(&listener_body).unwrap().on_proof(&proof, &Verifier), Err(HelloError::Signature { hub }));
}

#[test]
fn a_proof_of_another_session_peer_or_key_is_refused() {
    let pair = Pair::new();
    let (body, _) = pair.dialer_frames();
    let hub = pair.consortium.hubs[0].id;
    // Another TLS session (a man in the middle has two).
    let (dialer, _) = pair.start_over(0, 1, Role::Dialer, [4; EXPORTER_BYTES]);
    let (_, listener_body) = pair.start(1, 0, Role::Listener);
    let agreed = dialer.on_body(&listener_body).unwrap();
    assert_eq!(pair.listen(&body, &pair.sign(0, &agreed)), Err(HelloError::Signature { hub }));
    // Meant for another hub.
    let (dialer, _) = pair.start(0, 2, Role::Dialer);
    let (_, third_body) = pair.start(2, 0, Role::Listener);
    let agreed = dialer.on_body(&third_body).unwrap();
    assert_eq!(pair.listen(&body, &pair.sign(0, &agreed)), Err(HelloError::Signature { hub }));
    // Signed with another hub's key.
    let (dialer, _) = pair.start(0, 1, Role::Dialer);
    let agreed = dialer.on_body(&listener_body).unwrap();
    assert_eq!(pair.listen(&body, &pair.sign(2, &agreed)), Err(HelloError::Signature { hub }));
}

#[test]
fn a_rolled_back_version_or_roster_breaks_the_proof() {
    let pair = Pair::new();
    let (_, proof) = pair.dialer_frames();
    let hub = pair.consortium.hubs[0].id;
    for body in [
        body_with(&pair, |b| b.versions.min = 0),
        body_with(&pair, |b| b.versions.max = 2),
        body_with(&pair, |b| b.roster_version.0 -= 1),
        body_with(&pair, |b| b.roster_digest.0[31] ^= 1),
    ] {
        assert_eq!(pair.listen(&body, &proof), Err(HelloError::Signature { hub }));
    }
}

#[test]
fn rosters_that_differ_make_a_limited_session() {
    let pair = Pair::new();
    let check = |change: fn(&mut RosterVersion), expected: RosterRelation| {
        let (listener, _) = pair.start(1, 0, Role::Listener);
        let body = body_with(&pair, |b| change(&mut b.roster_version));
        let peer = listener.on_body(&body).unwrap().peer;
        assert_eq!((peer.roster, peer.limited), (expected, true));
    };
    check(|v| v.0 -= 1, RosterRelation::PeerBehind);
    check(|v| v.0 += 1, RosterRelation::PeerAhead);
    let (listener, _) = pair.start(1, 0, Role::Listener);
    let twin = body_with(&pair, |b| b.roster_digest.0[9] ^= 1);
    let peer = listener.on_body(&twin).unwrap().peer;
    assert_eq!((peer.roster, peer.limited), (RosterRelation::Disputed, true));
}

#[test]
fn a_refusal_is_reported_in_words_and_half_a_proof_is_none() {
    let pair = Pair::new();
    let (body, proof) = pair.dialer_frames();
    let refusal = HelloError::Suite.refusal();
    assert_eq!(pair.listen(&body, &refusal), Err(HelloError::Refused { reason: "it speaks another suite" }));
    let neither = codec::encode(&HelloProof { signature: None, refusal: None });
    assert_eq!(pair.listen(&body, &neither), Err(HelloError::Proof));
    let mut both: HelloProof = codec::decode(&proof, HELLO_FRAME_BYTES_MAX).unwrap();
    both.refusal = Some(1);
    assert_eq!(pair.listen(&body, &codec::encode(&both)), Err(HelloError::Proof));
}

#[test]
fn none_of_2500_mutations_is_accepted() {
    let pair = Pair::new();
    let (body, proof) = pair.dialer_frames();
    assert!(pair.listen(&body, &proof).is_ok());
    let mut random = SplitMix(0x6372_6573_7365_7401);
    for round in 0..2_500 {
        let (mut body_now, mut proof_now) = (body.clone(), proof.clone());
        // The body is far shorter than the proof, and all of it matters.
        let target = if round % 2 == 0 { &mut body_now } else { &mut proof_now };
        let original = target.clone();
        mutate(target, &mut random);
        if *target == original {
            continue;
        }
        assert!(pair.listen(&body_now, &proof_now).is_err(), "accepted in round {round}");
    }
}

/// One to three of: flip a bit, set a byte, drop a byte, insert a byte, truncate, append.
fn mutate(bytes: &mut Vec<u8>, random: &mut SplitMix) {
    for _ in 0..=random.below(3) {
        let at = random.below(bytes.len().max(1));
        match random.below(6) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
            1 if !bytes.is_empty() => bytes[at] = random.below(256) as u8,
            2 if !bytes.is_empty() => drop(bytes.remove(at)),
            3 => bytes.insert(at, random.below(256) as u8),
            4 => bytes.truncate(at),
            _ => bytes.push(random.below(256) as u8),
        }
    }
}

struct SplitMix(u64);

impl SplitMix {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }
}
