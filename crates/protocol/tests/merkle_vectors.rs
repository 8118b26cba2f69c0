//! Public Merkle vectors: transparency-dev/merkle, sigsum, a real CT log, and the accumulated hashes of the Merkle Tree
//! Certificates draft. Skipped with a message where the test data is not there.

#![allow(clippy::unwrap_used, reason = "a malformed vector file is a failed test")]

use std::fs;
use std::path::{Path, PathBuf};

use cresset_protocol::ids::{LeafIndex, NodeHash, TreeSize};
use cresset_protocol::log::merkle::{
    MemoryTree, covering_subtrees, is_subtree, leaf_hash, prove_subtree_consistency, prove_subtree_inclusion,
    subtree_hash, verify_consistency, verify_inclusion, verify_subtree_consistency, verify_subtree_inclusion,
};
use data_encoding::{BASE64, HEXLOWER};
use serde_json::Value;
use sha2::{Digest, Sha256};

#[test]
fn transparency_dev_inclusion() {
    check_folder("inclusion", 98, |case| {
        verify_inclusion(
            &case.hash("leafHash")?,
            LeafIndex(case.number("leafIdx")),
            TreeSize(case.number("treeSize")),
            &case.proof("proof")?,
            &case.hash("root")?,
        )
        .map_err(|e| e.to_string())
    });
}

#[test]
fn transparency_dev_subtree_inclusion() {
    check_folder("subtreeinclusion", 204, |case| {
        verify_subtree_inclusion(
            &case.hash("leafHash")?,
            LeafIndex(case.number("leafIdx")),
            case.number("start")..case.number("end"),
            &case.proof("proof")?,
            &case.hash("root")?,
        )
        .map_err(|e| e.to_string())
    });
}

#[test]
fn transparency_dev_consistency() {
    check_folder("consistency", 98, |case| {
        verify_consistency(
            TreeSize(case.number("size1")),
            &case.hash("root1")?,
            TreeSize(case.number("size2")),
            &case.hash("root2")?,
            &case.proof("proof")?,
        )
        .map_err(|e| e.to_string())
    });
}

#[test]
fn transparency_dev_subtree_consistency() {
    check_folder("subtreeconsistency", 118, |case| {
        verify_subtree_consistency(
            case.number("start")..case.number("end"),
            &case.hash("root1")?,
            TreeSize(case.number("size")),
            &case.hash("root2")?,
            &case.proof("proof")?,
        )
        .map_err(|e| e.to_string())
    });
}

#[test]
fn sigsum_inclusion() {
    for (name, expected) in [("inclusion-valid", true), ("inclusion-invalid", false)] {
        let Some(folder) = test_data("vectors/tlog/sigsum-rs/src/merkle/testdata") else { return };
        for value in read_json(&folder.join(format!("{name}.json"))).as_array().unwrap() {
            let case = Case { value: value.clone(), strict: true };
            let verdict = verify_inclusion(
                &case.hash("leaf_hash").unwrap(),
                LeafIndex(case.number("leaf_index")),
                TreeSize(case.number("tree_size")),
                &case.proof("inclusion_path").unwrap(),
                &case.hash("root_hash").unwrap(),
            );
            assert_eq!(verdict.is_ok(), expected, "{value}");
        }
    }
}

// A proof of a public CT log with 961,984,011 entries; the older root is not part of the recording.
#[test]
fn real_log_inclusion_at_a_billion_leaves() {
    let Some(folder) = test_data("vectors/tlog/azul/crates/tlog_tiles/tests/http_get") else { return };
    let head = Case { value: read_json(&folder.join("get-sth")), strict: true };
    let name = "get-proof-by-hash-tree-size-961984011-hash-nCs3mfIydh9x4CKyQ-2Bu2xtmpxmFggA5MLymHwNQSlLg-3D";
    let case = Case { value: read_json(&folder.join(name)), strict: true };
    let leaf = hash(&BASE64.decode(b"nCs3mfIydh9x4CKyQ+u2xtmpxmFggA5MLymHwNQSlLg=").unwrap(), true).unwrap();
    let verify = |leaf: &NodeHash| {
        verify_inclusion(
            leaf,
            LeafIndex(case.number("leaf_index")),
            TreeSize(head.number("tree_size")),
            &case.proof("audit_path").unwrap(),
            &head.hash("sha256_root_hash").unwrap(),
        )
    };
    assert_eq!(verify(&leaf), Ok(()));
    assert!(verify(&leaf_hash(b"another leaf")).is_err());
}

const MTC_SIZE: u64 = 130;

#[test]
fn mtc_accumulated_hashes() {
    let tree: MemoryTree = (0..MTC_SIZE).map(|i| leaf_hash(&[u8::try_from(i).unwrap()])).collect();
    let hex = |hash: &NodeHash| HEXLOWER.encode(&hash.0);
    let subtrees = |end_max: u64| {
        (0..=end_max).flat_map(|end| (0..=end).map(move |start| (start, end))).filter(|(s, e)| is_subtree(*s, *e))
    };

    let mut hashes = Sha256::new();
    let mut inclusion = Sha256::new();
    for (start, end) in subtrees(MTC_SIZE) {
        let hash = subtree_hash(&tree, start, end).unwrap();
        hashes.update(format!("[{start}, {end}) {}\n", hex(&hash)));
        for index in start..end {
            let proof = prove_subtree_inclusion(&tree, LeafIndex(index), start..end).unwrap();
            let words: String = proof.iter().map(|hash| format!(" {}", hex(hash))).collect();
            inclusion.update(format!("{index} [{start}, {end}){words}\n"));
        }
    }
    let mut consistency = Sha256::new();
    for n in 0..=MTC_SIZE {
        for (start, end) in subtrees(n) {
            let proof = prove_subtree_consistency(&tree, start..end, TreeSize(n)).unwrap();
            let words: String = proof.iter().map(|hash| format!(" {}", hex(hash))).collect();
            consistency.update(format!("[{start}, {end}) {n}{words}\n"));
        }
    }
    let mut covering = Sha256::new();
    for end in 0..=MTC_SIZE {
        for start in 0..=end {
            let (left, right) = covering_subtrees(start, end);
            covering.update(format!("[{}, {}) [{}, {})\n", left.start, left.end, right.start, right.end));
        }
    }
    let check = |name: &str, hash: Sha256, expected: &str| {
        assert_eq!(HEXLOWER.encode(&hash.finalize()), expected, "{name}");
    };
    check("hashes", hashes, "b82806ad4265bb151c1119c0f4db437bb4d1a1f887b3a7fba1cd4ebf552e3e81");
    check("inclusion", inclusion, "ac2a8f989e44d99e399db448050ff5f19757df53cfb716aa81015d3955d8163f");
    check("consistency", consistency, "10fa99b37bf9bf9ffa26b412fbd98bd75363256d0b75d61bc4538b9c9c5a0a74");
    check("covering", covering, "7fd9c8b926e9d2b5cf831560e8ce295a5ef97ad5c5ede4ea0dea28a8c8fc8bb0");
}

/// One vector. Some use placeholder hashes that are not 32 bytes: our types refuse those (`strict`), which settles the
/// cases that expect an error. The few that expect success are about equality only: they run a second time with each
/// placeholder replaced by a digest of it.
struct Case {
    value: Value,
    strict: bool,
}

impl Case {
    fn number(&self, key: &str) -> u64 {
        self.value[key].as_u64().unwrap()
    }

    fn hash(&self, key: &str) -> Result<NodeHash, String> {
        hash(&BASE64.decode(self.value[key].as_str().unwrap().as_bytes()).unwrap(), self.strict)
    }

    fn proof(&self, key: &str) -> Result<Vec<NodeHash>, String> {
        let list = self.value[key].as_array().map_or(&[][..], Vec::as_slice);
        list.iter().map(|v| hash(&BASE64.decode(v.as_str().unwrap().as_bytes()).unwrap(), self.strict)).collect()
    }

    fn has_placeholders(&self) -> bool {
        let text = |v: &Value| v.as_str().is_some_and(|s| BASE64.decode(s.as_bytes()).is_ok_and(|b| b.len() != 32));
        self.value.as_object().unwrap().iter().any(|(key, value)| match value {
            Value::Array(list) => list.iter().any(text),
            _ => key != "desc" && text(value),
        })
    }
}

fn hash(bytes: &[u8], strict: bool) -> Result<NodeHash, String> {
    match NodeHash::try_from(bytes) {
        Err(error) if strict => Err(error.to_string()),
        Err(_) => Ok(NodeHash(Sha256::new_with_prefix(b"placeholder").chain_update(bytes).finalize().into())),
        Ok(hash) => Ok(hash),
    }
}

fn check_folder(name: &str, expected_files: usize, verify: impl Fn(&Case) -> Result<(), String>) {
    let Some(root) = test_data("vectors/tlog/transparency-dev-merkle") else { return };
    let mut files = Vec::new();
    collect(&root.join(name), &mut files);
    assert_eq!(files.len(), expected_files, "{name}");
    for file in files {
        let value = read_json(&file);
        let valid = !value["wantErr"].as_bool().unwrap();
        let mut case = Case { value, strict: true };
        if case.has_placeholders() {
            assert!(verify(&case).is_err(), "{}: a hash that is not 32 bytes was accepted", file.display());
            if !valid {
                continue;
            }
            case.strict = false;
        }
        let verdict = verify(&case);
        assert_eq!(verdict.is_ok(), valid, "{}: {verdict:?}", file.display());
    }
}

fn collect(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { collect(&path, into) } else { into.push(path) }
    }
}

fn read_json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn test_data(under: &str) -> Option<PathBuf> {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let root = std::env::var_os("CRESSET_TEST_DATA").map_or(default, PathBuf::from);
    let path = root.join(under);
    if !path.exists() {
        eprintln!("skipped: no test data at {}", path.display());
        return None;
    }
    Some(path)
}
