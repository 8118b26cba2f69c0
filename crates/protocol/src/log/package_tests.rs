use super::*;
use crate::ids::{Binding, Commitment, UnixSeconds};
use crate::limits::SHARE_BYTES_MAX;
use crate::log::checkpoint::Origin;
use crate::log::leaf::{Leaf, LeafFlags, LeafKind};
use crate::log::merkle::MemoryTree;
use crate::log::record::{Blinding, Opening};
use proptest::prelude::*;

const CONSORTIUM: ConsortiumId = ConsortiumId([1; 32]);
const LOG: LogId = LogId([2; 32]);

fn bare(number: u64) -> Entry {
    let binding = Binding([3; 32]);
    let (kind, flags, commitment) = (LeafKind::Private, LeafFlags::default(), Commitment([4; 32]));
    Entry::bare(Leaf { kind, flags, time: UnixSeconds(number), commitment, binding })
}

fn public(share: Vec<u8>) -> Entry {
    let (kind, flags) = (LeafKind::Heads, LeafFlags::default());
    let opening = Opening { r: Blinding::new([5; 32]), share, inner_mac: [6; 32] };
    let commitment = opening.commitment(&CONSORTIUM, &LOG, kind, flags);
    let leaf = Leaf { kind, flags, time: UnixSeconds(9), commitment, binding: Binding([7; 32]) };
    Entry { leaf, header: None, opening: Some(opening) }
}

struct Log {
    entries: Vec<Entry>,
    tree: MemoryTree,
    checkpoint: Checkpoint,
}

fn log(entries: Vec<Entry>) -> Log {
    let tree: MemoryTree = entries.iter().map(|entry| entry.leaf.hash()).collect();
    let origin = Origin::parse("hub.ee.example/prov/1").unwrap();
    let checkpoint = Checkpoint { origin, size: tree.size(), root: tree.root() };
    Log { entries, tree, checkpoint }
}

impl Log {
    fn pack(&self, start: u64) -> Package {
        let entries = self.entries[start as usize..].to_vec();
        Package::pack(LeafIndex(start), entries, self.tree.size(), &self.tree).unwrap()
    }

    fn frontier(&self, size: u64) -> Frontier {
        let mut frontier = Frontier::new();
        self.entries[..size as usize].iter().for_each(|entry| frontier.append(entry.leaf.hash()));
        frontier
    }

    fn verify(&self, package: Package) -> Result<VerifiedPackage, PackageError> {
        let frontier = self.frontier(package.start.0.min(self.checkpoint.size.0));
        package.verify(&CONSORTIUM, &LOG, &frontier, &self.checkpoint)
    }
}

// A mirror that was cut off anywhere goes on from there.
#[test]
fn a_log_replicates_package_by_package_from_any_start() {
    let log = log((0..700).map(bare).collect());
    for start in [0, 1, 255, 256, 300, 699] {
        let mut frontier = log.frontier(start);
        while frontier.size() < log.checkpoint.size {
            let package = Package::decode(&log.pack(frontier.size().0).to_bytes()).unwrap();
            frontier = package.verify(&CONSORTIUM, &LOG, &frontier, &log.checkpoint).unwrap().frontier;
        }
        assert_eq!(frontier.root(), log.checkpoint.root);
    }
}

#[test]
fn packages_stay_within_a_frame() {
    let log = log((0..256).map(|i| public(vec![i as u8; SHARE_BYTES_MAX])).collect());
    let package = log.pack(0);
    assert!((60..=64).contains(&package.entries.len()), "{}", package.entries.len());
    assert!(package.to_bytes().len() <= FRAME_BYTES_MAX);
    assert!(log.verify(package).is_ok());
}

#[test]
fn every_wrong_package_is_refused_by_name() {
    let log = log((0..300).map(bare).collect());
    let check = |start, change: fn(&mut Package), expected: PackageError| {
        let mut package = log.pack(start);
        change(&mut package);
        assert_eq!(log.verify(package), Err(expected));
    };
    check(0, |p| p.entries[7].leaf.time.0 += 1000, MerkleError::Root.into());
    check(0, |p| p.entries.swap(1, 2), MerkleError::Root.into());
    check(0, |p| p.proof[0].0[0] ^= 1, MerkleError::Root.into());
    check(0, |p| p.proof.push(NodeHash([0; 32])), MerkleError::ProofLength.into());
    check(0, |p| p.proof.clear(), MerkleError::ProofLength.into());
    check(0, |p| p.entries.truncate(255), MerkleError::ProofLength.into());
    check(256, |p| p.entries.push(bare(300)), PackageError::BeyondCheckpoint { end: 301, size: 300 });
    let package = log.pack(256);
    let early = package.verify(&CONSORTIUM, &LOG, &log.frontier(255), &log.checkpoint);
    assert_eq!(early, Err(PackageError::Start { expected: 255, found: 256 }));
}

#[test]
fn a_package_of_another_log_is_refused_at_its_first_opening() {
    let log = log(vec![bare(0), public(b"heads".to_vec())]);
    let moved = log.pack(0).verify(&CONSORTIUM, &LogId([9; 32]), &Frontier::new(), &log.checkpoint);
    assert!(matches!(moved, Err(PackageError::Entry { index: LeafIndex(1), .. })), "{moved:?}");
}

#[test]
fn decoding_refuses_wrong_counts() {
    let log = log((0..600).map(bare).collect());
    let decode = |change: fn(&mut Package)| {
        let mut package = log.pack(300);
        change(&mut package);
        Package::decode(&package.to_bytes())
    };
    assert_eq!(decode(|p| p.entries.clear()), Err(PackageError::Count(0)));
    assert_eq!(decode(|p| p.entries.push(bare(512))), Err(PackageError::Count(213)));
    assert_eq!(decode(|p| p.proof = vec![NodeHash([0; 32]); 129]), Err(MerkleError::ProofLength.into()));
    assert!(matches!(Package::decode(&[0xa0; 9]), Err(PackageError::Codec(_))));
}

proptest! {
    #[test]
    fn packages_round_trip(len in 1u64..600, start in 0u64..600) {
        prop_assume!(start < len);
        let log = log((0..len).map(bare).collect());
        let package = log.pack(start);
        prop_assert_eq!(Package::decode(&package.to_bytes()).unwrap(), package.clone());
        prop_assert!(log.verify(package).is_ok());
    }
}
