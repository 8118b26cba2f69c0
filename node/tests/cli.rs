//! The built program from outside: what it prints where, and with which code it ends.

#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use cresset_crypto::Verifier;
use cresset_protocol::ids::{ConsortiumId, UnixSeconds};
use cresset_protocol::membership::enrolment::EnrolmentRequest;

const CONSORTIUM: &str = "0101010101010101010101010101010101010101010101010101010101010101";

/// A hub's files in a directory of their own, keys in files.
struct Hub(tempfile::TempDir);

impl Hub {
    fn new() -> Self {
        let hub = Self(tempfile::tempdir().unwrap());
        let at = |name: &str| hub.path(name).display().to_string();
        let config = format!(
            "data_dir = {:?}\n[keys]\nkind = \"file\"\ndirectory = {:?}\n[network]\nlisten = [\"127.0.0.1:0\"]\n\
             [api]\nsocket = {:?}\n[metrics]\nlisten = \"127.0.0.1:0\"\n",
            at("data"),
            at("tokens"),
            at("run/cresset.sock"),
        );
        fs::write(hub.path("cresset.toml"), config).unwrap();
        hub
    }

    fn initialised() -> Self {
        let hub = Self::new();
        hub.run(&["init", "--consortium", CONSORTIUM], 0);
        hub
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs in the hub's directory; returns stdout and stderr.
    fn run(&self, arguments: &[&str], code: i32) -> (String, String) {
        let mut command = Command::cargo_bin("cresset").unwrap();
        let config = self.path("cresset.toml");
        let output = command.current_dir(self.0.path()).arg("--config").arg(config).args(arguments).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{arguments:?}\n{stdout}{stderr}");
        (stdout, stderr)
    }

    fn request(&self, out: &str) -> EnrolmentRequest {
        fs::write(self.path("act.pdf"), "the act of designation").unwrap();
        let arguments = "--country AT --domain at.hub.example --endpoint at.hub.example:7443 --evidence act.pdf \
                         --recovery-key-out recovery.key -o";
        let arguments: Vec<&str> =
            ["enrol", "request"].into_iter().chain(arguments.split_whitespace()).chain([out]).collect();
        let (stdout, _) = self.run(&arguments, 0);
        assert!(stdout.contains("digest") && stdout.contains("take it offline"), "{stdout}");
        EnrolmentRequest::from_bytes(&fs::read(self.path(out)).unwrap()).unwrap()
    }
}

fn now() -> UnixSeconds {
    UnixSeconds(std::time::UNIX_EPOCH.elapsed().unwrap().as_secs())
}

#[test]
fn mistakes_on_the_command_line_end_with_2_and_say_so_on_stderr() {
    let hub = Hub::new();
    for arguments in
        [&["publsh"][..], &["publish"], &["search"], &["publish", "-", "--lane", "fast"], &["--colour"], &[]]
    {
        let (stdout, stderr) = hub.run(arguments, 2);
        assert!(stdout.is_empty() && stderr.contains("--help"), "{arguments:?}: {stdout}{stderr}");
    }
}

#[test]
fn help_and_version_go_to_stdout() {
    let hub = Hub::new();
    assert!(hub.run(&["--help"], 0).0.contains("doctor"));
    assert!(hub.run(&["--version"], 0).0.starts_with("cresset 0."));
    let version: serde_json::Value = serde_json::from_str(&hub.run(&["--version", "--json"], 0).0).unwrap();
    assert_eq!((&version["protocol"], version["suite"].as_str()), (&1.into(), Some("hybrid-2026")));
    assert!(version["schema"].is_u64() && version["version"].is_string());
}

#[test]
fn the_configuration_is_checked_to_the_key() {
    let hub = Hub::new();
    assert!(hub.run(&["config", "check"], 0).0.contains("files in"));
    let mut text = fs::read_to_string(hub.path("cresset.toml")).unwrap();
    text.push_str("\n[storage]\nrelay_byte = 7\n");
    fs::write(hub.path("cresset.toml"), text).unwrap();
    let (_, stderr) = hub.run(&["config", "check"], 2);
    assert!(stderr.contains("relay_byte") && stderr.contains("\nhint: "), "{stderr}");
}

#[test]
fn a_missing_configuration_names_init() {
    let hub = Hub::new();
    fs::remove_file(hub.path("cresset.toml")).unwrap();
    let (_, stderr) = hub.run(&["status"], 2);
    assert!(stderr.contains("hint: `cresset init`"), "{stderr}");
}

#[test]
fn init_may_be_repeated_and_overwrites_nothing() {
    let hub = Hub::initialised();
    let before = fs::read_to_string(hub.path("cresset.toml")).unwrap();
    assert!(hub.run(&["init", "--consortium", CONSORTIUM], 0).0.contains("found and kept"));
    assert_eq!(fs::read_to_string(hub.path("cresset.toml")).unwrap(), before);
    let (_, stderr) = hub.run(&["init", "--consortium", &CONSORTIUM.replace("01", "02")], 1);
    assert!(stderr.contains(CONSORTIUM), "{stderr}");
    let (_, stderr) = hub.run(&["init", "--consortium", "cafe"], 2);
    assert!(stderr.contains("64 hexadecimal digits"), "{stderr}");
}

#[test]
fn init_takes_the_id_from_the_officers_file() {
    let hub = Hub::new();
    fs::write(hub.path("consortium.id"), format!("{CONSORTIUM}\n")).unwrap();
    assert!(hub.run(&["init", "--consortium", "consortium.id"], 0).0.contains(CONSORTIUM));
}

#[test]
fn a_daemon_that_is_not_there_is_8() {
    let hub = Hub::new();
    fs::write(hub.path("event.json"), "{}").unwrap();
    for arguments in
        [&["status"][..], &["peers"], &["log"], &["search", "x"], &["publish", "event.json"], &["export", "b"]]
    {
        let (stdout, stderr) = hub.run(arguments, 8);
        assert!(stdout.is_empty() && stderr.contains("does not answer") && stderr.contains("\nhint: "), "{stderr}");
    }
}

#[test]
fn a_file_that_is_not_there_is_5() {
    let (_, stderr) = Hub::new().run(&["publish", "nothing.json"], 5);
    assert!(stderr.contains("nothing.json"), "{stderr}");
}

#[test]
fn a_request_proves_every_key_and_can_be_made_again() {
    let hub = Hub::initialised();
    let consortium = ConsortiumId([1; 32]);
    let first = hub.request("first.request").check(&consortium, now(), &Verifier).unwrap();
    assert_eq!((first.body().domain.as_str(), first.body().endpoints[0].port), ("at.hub.example", 7443));
    let again = hub.request("again.request").check(&consortium, now(), &Verifier).unwrap();
    let (first, again) = (first.body(), again.body());
    assert_eq!((first.hub, &first.log_manifest), (again.hub, &again.log_manifest));
    assert_eq!((&first.encryption_keys, &first.recovery_key), (&again.encryption_keys, &again.recovery_key));
    assert!(is_private(&hub.path("recovery.key")) && is_private(&hub.path("data/keys/manifest.cbor")));
}

fn is_private(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).unwrap().mode() & 0o077 == 0
}

#[test]
fn a_request_needs_init_first() {
    let hub = Hub::new();
    fs::write(hub.path("act.pdf"), "act").unwrap();
    let arguments = "enrol request --country AT --domain at.hub.example --evidence act.pdf --recovery-key-out r -o q";
    let (_, stderr) = hub.run(&arguments.split_whitespace().collect::<Vec<_>>(), 1);
    assert!(stderr.contains("consortium") && stderr.contains("hint: "), "{stderr}");
}

#[test]
fn bad_arguments_of_a_request_are_named_before_any_key_is_made() {
    let hub = Hub::initialised();
    fs::write(hub.path("act.pdf"), "act").unwrap();
    for (country, domain, endpoint, named) in [
        ("Austria", "at.hub.example", "h:1", "Austria"),
        ("AT", "at.hub.example", "h", "HOST:PORT"),
        ("AT", "AT HUB", "h:1", "AT HUB"),
    ] {
        let rest = ["--evidence", "act.pdf", "--recovery-key-out", "r", "-o", "q"];
        let first = ["enrol", "request", "--country", country, "--domain", domain, "--endpoint", endpoint];
        let arguments: Vec<&str> = first.into_iter().chain(rest).collect();
        let (_, stderr) = hub.run(&arguments, 2);
        assert!(stderr.contains(named), "{stderr}");
        assert!(!hub.path("data/keys/manifest.cbor").exists());
    }
}

#[test]
fn a_welcome_that_is_none_is_refused_as_9() {
    let hub = Hub::initialised();
    hub.request("hub.request");
    fs::write(hub.path("welcome"), "congratulations").unwrap();
    hub.run(&["enrol", "finish", "welcome"], 9);
}

#[test]
fn the_daemon_does_not_start_before_enrolment() {
    let hub = Hub::initialised();
    let (_, stderr) = hub.run(&["run"], 1);
    assert!(stderr.contains("enrol this hub first"), "{stderr}");
    assert!(!hub.path("run/cresset.sock").exists());
}

#[test]
fn the_doctor_names_what_is_missing_and_what_to_do() {
    let hub = Hub::initialised();
    let (stdout, _) = hub.run(&["doctor"], 1);
    for line in
        ["FAIL  keys", "-> `cresset enrol request`", "FAIL  roster", "not enrolled yet", "warn  daemon", "not running"]
    {
        assert!(stdout.contains(line), "no `{line}` in\n{stdout}");
    }
    assert!(stdout.lines().all(|line| line.chars().count() <= 130), "{stdout}");
    hub.request("hub.request");
    let (stdout, _) = hub.run(&["doctor", "--json"], 1);
    let report: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    let checks = report["checks"].as_array().unwrap();
    let verdict = |name: &str| checks.iter().find(|check| check["check"] == name).map(|check| check["verdict"].clone());
    assert_eq!(
        (verdict("keys"), verdict("signing"), verdict("roster")),
        (Some("ok".into()), Some("ok".into()), Some("fail".into()))
    );
}
