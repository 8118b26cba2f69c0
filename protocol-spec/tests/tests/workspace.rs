//! The workspace's own rules: which crate may depend on which, what must never be linked, which features are fixed.

#![allow(clippy::unwrap_used, reason = "a test fails where it cannot read what it checks")]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use cresset_spec_tests::workspace;
use serde_json::Value;

/// What each member may depend on; tests and benches too.
const DIRECTION: [(&str, &[&str]); 12] = [
    ("crates/protocol", &[]),
    ("crates/crypto", &["protocol"]),
    ("crates/token", &["protocol", "crypto"]),
    ("crates/provenance", &["protocol", "crypto", "token"]),
    ("crates/policy", &["protocol"]),
    ("crates/interop", &["protocol"]),
    ("node", &["protocol", "crypto", "token", "policy", "interop", "provenance"]),
    ("pki", &["protocol", "crypto", "token"]),
    ("audit", &["protocol", "crypto", "policy"]),
    ("testnet", &["protocol", "crypto", "token", "policy", "interop", "provenance"]),
    ("testnet/softtoken", &[]),
    ("testnet/oracle", &["protocol", "crypto"]),
];

/// Crates that only one member may name.
const SOLE_USER: [(&str, &str); 3] =
    [("cryptoki", "crates/token"), ("rocksdb", "crates/provenance"), ("cedar-policy", "crates/policy")];

const BANNED: [&str; 8] =
    ["ring", "snow", "libp2p-noise", "libp2p-tls", "libp2p-quic", "pkcs11", "serde_cbor", "openssl-probe"];

const HEAVY: [&str; 4] = ["rocksdb", "openssl-sys", "aws-lc-sys", "libp2p"];

fn manifest(member: &str) -> toml::Table {
    let path = workspace().join(member).join("Cargo.toml");
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display())).parse().unwrap()
}

fn dependencies(member: &str) -> BTreeSet<String> {
    let manifest = manifest(member);
    let tables = ["dependencies", "dev-dependencies", "build-dependencies"];
    tables.iter().filter_map(|table| manifest.get(*table)?.as_table()).flat_map(|table| table.keys().cloned()).collect()
}

/// Packages of the resolved graph for this platform, with their features.
fn resolved() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(workspace())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let name_of: BTreeMap<&str, &str> = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| (package["id"].as_str().unwrap(), package["name"].as_str().unwrap()))
        .collect();
    let mut features: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for node in metadata["resolve"]["nodes"].as_array().unwrap() {
        let name = name_of[node["id"].as_str().unwrap()].to_owned();
        let enabled = node["features"].as_array().unwrap().iter().map(|f| f.as_str().unwrap().to_owned());
        features.entry(name).or_default().extend(enabled);
    }
    features
}

/// Packages that a build of all members compiles. The resolved graph above also has what only an inactive feature names.
fn linked() -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--workspace", "--locked", "--prefix", "none", "--edges", "normal,build,dev", "--format", "{p}"])
        .args(["--target", "x86_64-unknown-linux-gnu"])
        .current_dir(workspace())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let listed = String::from_utf8(output.stdout).unwrap();
    listed.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

#[test]
fn dependencies_point_one_way() {
    for (member, allowed) in DIRECTION {
        for dependency in dependencies(member) {
            let Some(name) = dependency.strip_prefix("cresset-") else { continue };
            assert!(allowed.contains(&name), "`{member}` must not depend on cresset-{name}");
        }
    }
}

#[test]
fn each_engine_is_named_by_one_crate() {
    for (engine, owner) in SOLE_USER {
        for (member, _) in DIRECTION {
            assert!(member == owner || !dependencies(member).contains(engine), "`{member}` names {engine}");
        }
    }
}

#[test]
fn no_module_is_called_after_nothing() {
    let output = Command::new("git").args(["ls-files", "*.rs"]).current_dir(workspace()).output().unwrap();
    for path in String::from_utf8(output.stdout).unwrap().lines() {
        for part in path.trim_end_matches(".rs").split('/') {
            assert!(!["common", "core", "util", "utils", "helpers", "manager"].contains(&part), "{path}");
        }
    }
}

#[test]
fn nothing_classical_or_unmaintained_is_linked() {
    let linked = linked();
    assert!(linked.contains("aws-lc-sys"), "the tree was not read");
    for banned in BANNED {
        assert!(!linked.contains(banned), "{banned} is in the dependency tree");
    }
}

#[test]
fn features_of_heavy_dependencies_are_as_checked_in() {
    let resolved = resolved();
    let path = workspace().join("protocol-spec/tests/heavy-features.txt");
    let lines: Vec<String> = HEAVY
        .iter()
        .map(|name| format!("{name}: {}\n", resolved[*name].iter().cloned().collect::<Vec<_>>().join(" ")))
        .collect();
    assert_eq!(lines.concat(), std::fs::read_to_string(path).unwrap(), "another feature set rebuilds for half an hour");
}
