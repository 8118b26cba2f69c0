//! The built command: exit codes, the result's name, and files that are no bundle.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail loudly")]

mod support;

use std::path::Path;

use assert_cmd::Command;
use cresset_audit::source::InMemory;
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use support::story::Story;

fn write(bundle: &InMemory, dir: &Path) {
    for (path, content) in &bundle.0 {
        let path = dir.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
}

fn run(dir: &Path, args: &[&str]) -> (i32, String, String) {
    let output = Command::cargo_bin("cresset-audit").unwrap().arg("replay").arg(dir).args(args).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn the_command_names_its_result_and_exits_with_the_verdict() {
    let story = Story::told();
    let dir = tempfile::tempdir().unwrap();
    write(&story.export(0), dir.path());
    let id = story.consortium.id.to_string();
    let (code, json, stderr) = run(dir.path(), &["--consortium", &id, "--json"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stderr.contains(&HEXLOWER.encode(&Sha256::digest(&json))), "{stderr}");
    assert!(!json.contains(dir.path().to_str().unwrap()));
    let (code, text, _) = run(dir.path(), &["--consortium", &id, "--hub", "LU"]);
    assert!(code == 10 && text.starts_with("SIGNED-ONLY: "), "{text}");
    let (code, ..) = run(dir.path(), &["--consortium", &id, "--hub", "LU", "--require", "signed-only"]);
    assert_eq!(code, 0);
    assert_eq!(run(dir.path(), &[]).0, 20);
    assert_eq!(run(dir.path(), &["--consortium", "00"]).0, 2);
    let report = dir.path().with_extension("txt");
    assert_eq!(run(dir.path(), &["--consortium", &id, "--report", report.to_str().unwrap()]).0, 0);
    assert!(std::fs::read_to_string(&report).unwrap().contains("Limits of this evidence"));
    std::fs::remove_file(report).unwrap();
    assert_eq!(run(dir.path(), &["--consortium", &id, "--policy", "/nonexistent"]).0, 1);
}

#[test]
fn a_link_in_a_bundle_is_refused() {
    let story = Story::begin();
    let dir = tempfile::tempdir().unwrap();
    write(&story.export(0), dir.path());
    std::os::unix::fs::symlink("/etc", dir.path().join("policy/more")).unwrap();
    let (code, text, _) = run(dir.path(), &["--consortium", &story.consortium.id.to_string()]);
    assert!(code == 40 && text.contains("is no plain file"), "{text}");
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(run(empty.path(), &[]).0, 40);
}
