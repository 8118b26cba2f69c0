//! The command line, as far as it needs no other program.

#![allow(clippy::unwrap_used, reason = "a failure here is the test's")]

use assert_cmd::Command;

fn testnet(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cresset-testnet"));
    command.args(arguments).env_remove("CRESSET_SOFTTOKEN").env_remove("CRESSET_BIN");
    command
}

fn stdout(arguments: &[&str]) -> String {
    String::from_utf8(testnet(arguments).assert().success().get_output().stdout.clone()).unwrap()
}

fn failure(arguments: &[&str], code: i32) -> String {
    String::from_utf8(testnet(arguments).assert().code(code).get_output().stderr.clone()).unwrap()
}

#[test]
fn a_simulation_is_the_same_for_the_same_seed() {
    let run = |seed| stdout(&["simulate", "--hubs", "5", "--seed", seed]);
    let first = run("7");
    assert!(first.contains("every hub ended with every log"), "{first}");
    assert_eq!(first, run("7"));
    assert_ne!(first, run("8"));
}

#[test]
fn a_simulation_of_one_hub_is_refused() {
    assert!(failure(&["simulate", "--hubs", "1"], 1).contains("at least 2 hubs"));
}

#[test]
fn a_network_that_is_not_there_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("nowhere");
    let message = failure(&["down", "--dir", path.to_str().unwrap()], 1);
    assert!(message.contains("no test network in") && message.contains("nowhere"), "{message}");
}

#[test]
fn missing_programs_are_named_with_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("net");
    let mut command = testnet(&["up", "--dir", path.to_str().unwrap()]);
    let output = command.env("CRESSET_BIN", directory.path()).assert().code(1).get_output().stderr.clone();
    let message = String::from_utf8(output).unwrap();
    assert!(message.contains("`cresset` is not in") && message.contains("hint: make build"), "{message}");
    assert!(!path.exists());
}

#[test]
fn wrong_usage_ends_with_2() {
    failure(&["scenario", "no-such-story"], 2);
    failure(&[], 2);
}
