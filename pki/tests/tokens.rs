//! A ceremony whose private keys are all on PKCS#11 tokens: five tokens of one software module.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use assert_cmd::Command;

const HOLDERS: [&str; 5] = ["root", "issuing", "officer-1", "officer-2", "officer-3"];

/// The software token's module: `CRESSET_SOFTTOKEN`, or where its build script puts it.
fn module() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("CRESSET_SOFTTOKEN") {
        return Some(path.into());
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testnet/softtoken/build.sh");
    let output = std::process::Command::new(script).arg("--path").output().ok()?;
    let path = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    if path.is_file() {
        return Some(path);
    }
    let required = std::env::var("CRESSET_REQUIRE").is_ok_and(|list| list.contains("softtoken"));
    assert!(!required, "the software token is required and not built");
    eprintln!("SKIPPED: the software token is not built (testnet/softtoken/build.sh)");
    None
}

/// Tokens are prepared, a consortium is founded on them, a roster is signed by two; a wrong PIN is tried once only.
#[test]
fn a_ceremony_on_tokens() {
    let Some(module) = module() else { return };
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    write_secret(&at("so.pin"), "87654321");
    write_secret(&at("user.pin"), "12345678");
    write_secret(&at("wrong.pin"), "00000000");
    let slots: Vec<_> = HOLDERS.iter().zip(1..).map(|(name, slot)| (slot, at(&format!("{name}.sqlite")))).collect();
    fs::write(at("tokens.conf"), cresset_token::softtoken_configuration(&slots)).unwrap();
    let run = |arguments: &[&str], code: i32| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cresset-pki"));
        command.current_dir(directory.path()).env("KRYOPTIC_CONF", at("tokens.conf")).args(arguments);
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
        text.into_owned()
    };
    let module = module.display().to_string();
    for (slot, name) in (1..).zip(HOLDERS) {
        let slot: u32 = slot;
        let slot = slot.to_string();
        let init = [
            "token",
            "init",
            "--module",
            &module,
            "--label",
            name,
            "--slot",
            &slot,
            "--so-pin-file",
            "so.pin",
            "--pin-file",
            "user.pin",
        ];
        run(&init, 0);
        run(&init, 7);
        write_config(&at(name), name, &module, "user.pin");
    }
    let config = |name: &str| format!("{name}/config.toml");
    let (root, issuing) = (config("root"), config("issuing"));
    let officers = ["officer-1", "officer-2", "officer-3"].map(config);
    let mut found =
        vec!["ceremony", "found", "--name", "Test", "--root", &root, "--issuing", &issuing, "--out", "public"];
    officers.iter().for_each(|officer| found.extend(["--officer", officer]));
    run(&found, 0);

    let chain = ["--roster", "public/roster.cbor", "--consortium", "public/consortium.id"];
    let on_chain = |arguments: &[&str], code: i32| run(&[arguments, &chain].concat(), code);
    on_chain(&["roster", "next", "--renew", "-o", "next.body"], 0);
    on_chain(&["roster", "sign", "next.body", "--officer", &officers[0], "--yes", "-o", "sig-1"], 0);
    on_chain(&["roster", "sign", "next.body", "--officer", &officers[2], "--yes", "-o", "sig-3"], 0);
    on_chain(
        &[
            "roster",
            "assemble",
            "next.body",
            "--signature",
            "sig-1",
            "--signature",
            "sig-3",
            "-o",
            "public/roster.cbor",
        ],
        0,
    );

    write_config(&at("thief"), "officer-2", &module, "wrong.pin");
    let refused = on_chain(&["roster", "next", "--renew", "-o", "next.body"], 0);
    assert!(refused.contains("not signed yet"));
    let refused = on_chain(&["roster", "sign", "next.body", "--officer", "thief/config.toml", "--yes", "-o", "x"], 7);
    assert!(refused.contains("refused the PIN"), "{refused}");
}

fn write_config(directory: &Path, label: &str, module: &str, pin: &str) {
    fs::create_dir(directory).unwrap();
    let role = if label.starts_with("officer") { format!("role = \"{label}\"\n") } else { String::new() };
    let keystore = format!(
        "[keystore]\nkind = \"pkcs11\"\nmodule = \"{module}\"\ntoken = {{ label = \"{label}\" }}\n\
         pin = {{ source = \"file\", path = \"../{pin}\" }}\n"
    );
    fs::write(directory.join("config.toml"), role + &keystore).unwrap();
}

fn write_secret(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}
