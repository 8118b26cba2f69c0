use super::*;
use crate::ids::Binding;
use crate::log::leaf::{LeafFlags, LeafKind};
use crate::log::record::empty_audit;

const CONSORTIUM: ConsortiumId = ConsortiumId([1; 32]);
const OWN: LogId = LogId([2; 32]);

fn target(log: u8, index: u64) -> LeafRef {
    LeafRef { log: LogId([log; 32]), index: LeafIndex(index), leaf: NodeHash([7; 32]) }
}

fn statements() -> Vec<Statement> {
    let (at, reason) = (UnixSeconds(1_790_000_100), Some("tlp".to_owned()));
    vec![
        Statement::Receive { target: target(5, 1), outcome: Outcome::Admitted, at, reason: None },
        Statement::Receive { target: target(6, 9), outcome: Outcome::RefusedByPolicy, at, reason },
        Statement::Ack { target: target(5, 2), at },
        Statement::Erase {
            target: target(5, 1),
            extent: ErasedExtent::Payload,
            cause: EraseCause::Withdrawn,
            at,
            kept_on: None,
        },
        Statement::Ack { target: target(6, 3), at },
    ]
}

fn slot() -> Slot {
    Slot::build(UnixSeconds(1_790_000_000), &Blinding::new([3; 32]), statements()).unwrap()
}

fn leaf_and_opening(slot: &Slot) -> (Leaf, Opening) {
    let (kind, flags) = (LeafKind::Private, LeafFlags::default());
    let share = codec::encode(&slot.share(Suite::Hybrid2026));
    let inner_mac = empty_audit(Blinding::new([4; 32])).inner_mac();
    let opening = Opening { r: Blinding::new([5; 32]), share, inner_mac };
    let commitment = opening.commitment(&CONSORTIUM, &OWN, kind, flags);
    (Leaf { kind, flags, time: UnixSeconds(1_790_000_600), commitment, binding: Binding([6; 32]) }, opening)
}

fn receipt(owner: u8) -> (Leaf, SlotReceipt) {
    let slot = slot();
    let (leaf, opening) = leaf_and_opening(&slot);
    let statements = slot.statements_about(&LogId([owner; 32])).unwrap().unwrap();
    (leaf, SlotReceipt { log: OWN, index: LeafIndex(40), opening, statements })
}

#[test]
fn each_owner_gets_its_own_statements_and_can_prove_them() {
    for owner in [5, 6] {
        let (leaf, receipt) = receipt(owner);
        let decoded = SlotReceipt::decode(&receipt.to_bytes()).unwrap();
        let mut proven: Vec<Statement> = decoded.verify(&CONSORTIUM, &leaf).unwrap().into_iter().cloned().collect();
        let mut own: Vec<Statement> = statements();
        own.retain(|statement| statement.target().log == LogId([owner; 32]));
        proven.sort();
        own.sort();
        assert_eq!(proven, own);
    }
    assert_eq!(slot().statements_about(&LogId([9; 32])), Ok(None));
}

// Five statements and seven look alike; so do none and one.
#[test]
fn the_number_of_statements_is_padded() {
    let count = |n: usize| {
        let statements = statements().into_iter().cycle().take(n).collect();
        Slot::build(UnixSeconds(0), &Blinding::new([3; 32]), statements).unwrap().share(Suite::Hybrid2026).padded_count
    };
    assert_eq!([0, 1, 2, 5, 8, 9].map(count), [1, 1, 2, 8, 8, 16]);
}

#[test]
fn every_wrong_receipt_is_refused_by_name() {
    let check = |change: fn(&mut Leaf, &mut SlotReceipt), expected: SlotError| {
        let (mut leaf, mut receipt) = receipt(5);
        change(&mut leaf, &mut receipt);
        assert_eq!(receipt.verify(&CONSORTIUM, &leaf), Err(expected));
    };
    check(|leaf, _| leaf.commitment.0[0] ^= 1, OpeningError::Commitment.into());
    check(|_, r| r.log = LogId([9; 32]), OpeningError::Commitment.into());
    check(|_, r| r.statements[0].salt[0] ^= 1, MerkleError::Root.into());
    check(|_, r| r.statements[0].path[0].0[0] ^= 1, MerkleError::Root.into());
    check(|_, r| r.statements[0].path.clear(), MerkleError::ProofLength.into());
    check(|_, r| r.statements[0].path = vec![NodeHash([0; 32]); 129], MerkleError::ProofLength.into());
    check(|_, r| r.statements[0].statement = statements()[1].clone(), MerkleError::Root.into());
    let outside = MerkleError::IndexOutside { index: 8, start: 0, end: 8 };
    check(|_, r| r.statements[0].index = LeafIndex(8), outside.into());
}

#[test]
fn a_share_must_be_of_a_slot_and_padded() {
    let odd = |count| SlotShare { padded_count: count, ..slot().share(Suite::Hybrid2026) }.check();
    assert_eq!(odd(6), Err(SlotError::PaddedCount(6)));
    assert_eq!(odd(SLOT_STATEMENTS_MAX as u64 * 2), Err(SlotError::PaddedCount(SLOT_STATEMENTS_MAX as u64 * 2)));
    let (mut leaf, mut receipt) = receipt(5);
    receipt.opening.share = vec![0xa0];
    leaf.commitment = receipt.opening.commitment(&CONSORTIUM, &OWN, leaf.kind, leaf.flags);
    assert!(matches!(receipt.verify(&CONSORTIUM, &leaf), Err(SlotError::Codec(_))));
}

#[test]
fn statements_are_flat_arrays_without_trailing_nulls() {
    let heads: Vec<u8> = statements().iter().map(|statement| codec::encode(statement)[0]).collect();
    assert_eq!(heads, [0x84, 0x85, 0x83, 0x85, 0x83]);
}

#[test]
fn the_audit_part_gives_the_same_slot() {
    let audit = SlotAudit { seed: Blinding::new([3; 32]), statements: statements() };
    let decoded = SlotAudit::decode(&audit.to_bytes()).unwrap();
    let again = decoded.slot(UnixSeconds(1_790_000_000)).unwrap();
    assert_eq!(again.share(Suite::Hybrid2026), slot().share(Suite::Hybrid2026));
}
