use super::*;
use crate::signing::{MlDsa65PublicKey, MlDsa87PublicKey, MlDsa87Signature, P384PublicKey};
use sha2::{Digest, Sha256};

/// Stands in for real signatures: a signature is the digest of key and message, repeated.
pub(crate) struct DigestVerifier;

pub(crate) fn stand_in<const N: usize>(key: &[u8], message: &[u8]) -> [u8; N] {
    let digest = Sha256::new_with_prefix(key).chain_update(message).finalize();
    std::array::from_fn(|i| digest[i % 32])
}

impl SignatureVerifier for DigestVerifier {
    fn verify_p384(&self, key: &P384PublicKey, message: &[u8], signature: &P384Signature) -> bool {
        signature.as_bytes() == stand_in::<96>(key.as_bytes(), message)
    }
    fn verify_ml_dsa_65(&self, key: &MlDsa65PublicKey, message: &[u8], signature: &MlDsa65Signature) -> bool {
        signature.as_bytes() == stand_in::<3309>(key.as_bytes(), message)
    }
    fn verify_ml_dsa_87(&self, _: &MlDsa87PublicKey, _: &[u8], _: &MlDsa87Signature) -> bool {
        false
    }
}

pub(crate) fn keys(seed: u8) -> LogKeys {
    LogKeys { p384: P384PublicKey::from([seed; 97]), ml_dsa_65: MlDsa65PublicKey::from([seed; 1952]) }
}

pub(crate) fn sign(checkpoint: Checkpoint, time: u64, keys: &LogKeys) -> SignedCheckpoint {
    let timestamp = UnixSeconds(time);
    let message = checkpoint.bytes_to_sign(timestamp);
    let signatures = LogSignatures {
        p384: P384Signature::from(stand_in(keys.p384.as_bytes(), message.as_bytes())),
        ml_dsa_65: MlDsa65Signature::from(stand_in(keys.ml_dsa_65.as_bytes(), message.as_bytes())),
    };
    SignedCheckpoint { checkpoint, timestamp, signatures }
}

fn origin() -> Origin {
    Origin::parse("hub.at.example/prov/1").unwrap()
}

fn sample() -> SignedCheckpoint {
    sign(Checkpoint { origin: origin(), size: TreeSize(20_852_163), root: NodeHash([7; 32]) }, 1_790_000_000, &keys(1))
}

fn open(note: &str) -> Result<SignedCheckpoint, NoteError> {
    SignedCheckpoint::open(note, &origin(), &keys(1), &DigestVerifier)
}

#[test]
fn a_note_round_trips_and_verifies() {
    let note = sample().to_note(&keys(1));
    assert_eq!(open(&note), Ok(sample()));
    assert_eq!(SignedCheckpoint::claims(&note), Ok((sample().checkpoint, UnixSeconds(1_790_000_000))));
    assert!((4_600..4_900).contains(&note.len()), "{}", note.len());
}

#[test]
fn signed_bytes_are_the_cosigned_message() {
    let mut expected = b"subtree/v1\n\0\x15hub.at.example/prov/1".to_vec();
    expected.extend_from_slice(&1_790_000_000u64.to_be_bytes());
    expected.extend_from_slice(b"\x15hub.at.example/prov/1\0\0\0\0\0\0\0\0");
    expected.extend_from_slice(&20_852_163u64.to_be_bytes());
    expected.extend_from_slice(&[7; 32]);
    assert_eq!(sample().checkpoint.bytes_to_sign(UnixSeconds(1_790_000_000)).as_bytes(), expected);
}

// A foreign line, in front or behind, neither helps nor harms.
#[test]
fn lines_of_unknown_keys_are_passed_over() {
    let note = sample().to_note(&keys(1));
    let foreign = "\u{2014} witness.example AAAAAAE=\n";
    assert_eq!(open(&format!("{note}{foreign}")), Ok(sample()));
    assert_eq!(open(&note.replacen("\n\n", &format!("\n\n{foreign}"), 1)), Ok(sample()));
}

#[test]
fn every_wrong_note_is_refused_by_name() {
    let good = sample();
    let note = good.to_note(&keys(1));
    let lines: Vec<&str> = note.split_inclusive('\n').collect();
    let [origin_line, size, root, blank, p384, ml_dsa] = lines[..] else { panic!("{note}") };
    let check = |parts: &[&str], expected| assert_eq!(open(&parts.concat()), Err(expected), "{parts:?}");
    check(&[origin_line, size, root, blank, p384], NoteError::MissingLine);
    check(&[origin_line, size, root, blank, ml_dsa], NoteError::MissingLine);
    check(&[origin_line, size, root, blank, p384, p384, ml_dsa], NoteError::DoubledLine);
    check(&[origin_line, size, root, "extension\n", blank, p384, ml_dsa], NoteError::Checkpoint);
    check(&[origin_line, size, blank, p384, ml_dsa], NoteError::Checkpoint);
    check(&[origin_line, "020852163\n", root, blank, p384, ml_dsa], NoteError::Checkpoint);
    check(&[origin_line, "281474976710657\n", root, blank, p384, ml_dsa], NoteError::Checkpoint);
    check(&[origin_line, size, "AAAA\n", blank, p384, ml_dsa], NoteError::Checkpoint);
    check(&[origin_line, "20852164\n", root, blank, p384, ml_dsa], NoteError::Signature);
    check(&[origin_line, size, root, p384, ml_dsa], NoteError::Syntax(NoteSyntaxError::NoSignatures));
    let other = Origin::parse("hub.at.example/prov/2").unwrap();
    check(&["hub.at.example/prov/2\n", size, root, blank, p384, ml_dsa], NoteError::OtherLog(other));
    let no_origin = open(&["hub\n", size, root, blank, p384, ml_dsa].concat());
    assert!(matches!(no_origin, Err(NoteError::Origin(_))));

    let mut later = sample();
    later.timestamp = UnixSeconds(1_790_000_001);
    let later = later.to_note(&keys(1));
    let later_ml_dsa = later.split_inclusive('\n').next_back().unwrap();
    check(&[origin_line, size, root, blank, p384, later_ml_dsa], NoteError::Timestamps);
    assert_eq!(open(&later), Err(NoteError::Signature));
}

#[test]
fn each_half_of_the_signature_counts() {
    let mut wrong = sample();
    wrong.signatures.p384 = P384Signature::from([0; 96]);
    assert_eq!(open(&wrong.to_note(&keys(1))), Err(NoteError::Signature));
    let mut wrong = sample();
    wrong.signatures.ml_dsa_65 = MlDsa65Signature::from([0; 3309]);
    assert_eq!(open(&wrong.to_note(&keys(1))), Err(NoteError::Signature));
    let foreign = sign(sample().checkpoint, 1_790_000_000, &keys(2));
    assert_eq!(open(&foreign.to_note(&keys(2))), Err(NoteError::MissingLine));
    assert_eq!(open(&foreign.to_note(&keys(1))), Err(NoteError::Signature));
}

#[test]
fn origins_have_one_text() {
    let parsed = Origin::parse("hub.at.example/prov/12").unwrap();
    assert_eq!((parsed.domain(), parsed.generation()), ("hub.at.example", 12));
    assert_eq!(parsed.next_generation().unwrap().as_str(), "hub.at.example/prov/13");
    let long = format!("{}/prov/1", vec!["a"; 60].join("."));
    for bad in [
        "",
        "hub/prov/",
        "hub/prov/0",
        "hub/prov/01",
        "hub/prov/+1",
        "Hub/prov/1",
        "-a/prov/1",
        "a-/prov/1",
        "a..b/prov/1",
        "/prov/1",
        "hub/prov/1/",
        "hub/prov/1/prov/1",
        "h b/prov/1",
        "hub/prov/4294967296",
        &long,
    ] {
        assert!(Origin::parse(bad).is_err(), "{bad}");
    }
}
