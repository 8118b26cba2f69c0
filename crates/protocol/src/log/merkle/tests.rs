use proptest::prelude::*;

use super::*;
use crate::ids::{LeafIndex, TreeSize};
use crate::limits::TREE_SIZE_MAX;

fn tree(size: u64) -> MemoryTree {
    (0..size).map(|i| leaf_hash(&i.to_be_bytes())).collect()
}

#[test]
fn every_inclusion_proof_of_small_trees_verifies_at_its_own_place_only() {
    for size in 1..40 {
        let tree = tree(size);
        for index in 0..size {
            let proof = prove_inclusion(&tree, LeafIndex(index), TreeSize(size)).unwrap();
            for other in 0..size {
                let leaf = leaf_hash(&index.to_be_bytes());
                let verdict = verify_inclusion(&leaf, LeafIndex(other), TreeSize(size), &proof, &tree.root());
                assert_eq!(verdict.is_ok(), other == index, "{index} as {other} of {size}");
            }
        }
    }
}

#[test]
fn inclusion_names_each_way_of_being_wrong() {
    let tree = tree(11);
    let (leaf, root) = (leaf_hash(&3u64.to_be_bytes()), tree.root());
    let proof = prove_inclusion(&tree, LeafIndex(3), TreeSize(11)).unwrap();
    let check = |leaf: &NodeHash, index, size, proof: &[NodeHash], root: &NodeHash, expected| {
        assert_eq!(verify_inclusion(leaf, LeafIndex(index), TreeSize(size), proof, root), expected);
    };
    check(&leaf, 3, 11, &proof, &root, Ok(()));
    check(&root, 3, 11, &proof, &root, Err(MerkleError::Root));
    check(&leaf, 3, 11, &proof, &leaf, Err(MerkleError::Root));
    check(&leaf, 2, 11, &proof, &root, Err(MerkleError::Root));
    check(&leaf, 11, 11, &proof, &root, Err(MerkleError::IndexOutside { index: 11, start: 0, end: 11 }));
    check(&leaf, 3, 11, &proof[1..], &root, Err(MerkleError::ProofLength));
    check(&leaf, 3, 11, &[&proof[..], &[root]].concat(), &root, Err(MerkleError::ProofLength));
    check(&leaf, 3, TREE_SIZE_MAX + 1, &proof, &root, Err(MerkleError::SizeOverLimit(TREE_SIZE_MAX + 1)));
    let subtree = verify_subtree_inclusion(&leaf, LeafIndex(3), 3..5, &proof, &root);
    assert_eq!(subtree, Err(MerkleError::NoSubtree { start: 3, end: 5, size: 5 }));
}

#[test]
fn consistency_names_each_way_of_being_wrong() {
    let (old, new) = (tree(6), tree(11));
    let proof = prove_consistency(&new, TreeSize(6), TreeSize(11)).unwrap();
    let check = |from, old: &NodeHash, to, new: &NodeHash, proof: &[NodeHash], expected| {
        assert_eq!(verify_consistency(TreeSize(from), old, TreeSize(to), new, proof), expected);
    };
    let (old, new) = (old.root(), new.root());
    check(6, &old, 11, &new, &proof, Ok(()));
    check(6, &new, 11, &new, &proof, Err(MerkleError::OldRoot));
    check(6, &old, 11, &old, &proof, Err(MerkleError::Root));
    check(0, &empty_root(), 11, &new, &[], Err(MerkleError::SizeOrder { from: 0, to: 11 }));
    check(12, &old, 11, &new, &proof, Err(MerkleError::SizeOrder { from: 12, to: 11 }));
    check(6, &old, 11, &new, &proof[1..], Err(MerkleError::ProofLength));
    check(6, &old, 11, &new, &[&proof[..], &[old]].concat(), Err(MerkleError::ProofLength));
    check(6, &old, TREE_SIZE_MAX + 1, &new, &proof, Err(MerkleError::SizeOverLimit(TREE_SIZE_MAX + 1)));
    let subtree = verify_subtree_consistency(5..7, &old, TreeSize(11), &new, &proof);
    assert_eq!(subtree, Err(MerkleError::NoSubtree { start: 5, end: 7, size: 11 }));
}

#[test]
fn explicit_transcripts_show_both_roots() {
    let new = tree(37);
    for old in 1..=37 {
        let transcript = prove_explicit_consistency(&new, TreeSize(old), TreeSize(37)).unwrap();
        let roots = explicit_consistency_roots(TreeSize(old), TreeSize(37), &transcript).unwrap();
        assert_eq!(roots, (tree(old).root(), new.root()), "{old}");
        assert!(explicit_consistency_roots(TreeSize(old), TreeSize(37), &transcript[1..]).is_err());
    }
}

#[test]
fn frontier_parts_must_fit_their_size() {
    let frontier = tree(13).frontier().clone();
    let hashes = frontier.hashes().to_vec();
    assert_eq!(Frontier::from_parts(TreeSize(13), hashes.clone()), Ok(frontier));
    assert_eq!(Frontier::from_parts(TreeSize(12), hashes.clone()), Err(MerkleError::ProofLength));
    let over = TREE_SIZE_MAX + 1;
    assert_eq!(Frontier::from_parts(TreeSize(over), hashes), Err(MerkleError::SizeOverLimit(over)));
}

#[test]
fn a_missing_node_is_named() {
    let found = prove_inclusion(&tree(4), LeafIndex(0), TreeSize(8));
    assert_eq!(found, Err(ProveError::Missing { level: 2, index: 1 }));
}

proptest! {
    #[test]
    fn any_prefix_is_consistent(old in 1u64..300, more in 0u64..300) {
        let new_size = old + more;
        let new = tree(new_size);
        let proof = prove_consistency(&new, TreeSize(old), TreeSize(new_size)).unwrap();
        let old_root = root_of(&new, TreeSize(old)).unwrap();
        prop_assert_eq!(old_root, tree(old).root());
        let verdict = verify_consistency(TreeSize(old), &old_root, TreeSize(new_size), &new.root(), &proof);
        prop_assert_eq!(verdict, Ok(()));
    }
}
