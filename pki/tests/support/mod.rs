//! A consortium in a temporary directory, driven through the built program.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use assert_cmd::Command;
use cresset_crypto::{EncryptionKeyPair, random_bytes};
use cresset_protocol::codec;
use cresset_protocol::ids::{ConsortiumId, Country, HubId, KeyPeriod, UnixSeconds};
use cresset_protocol::log::checkpoint::Origin;
use cresset_protocol::log::manifest::LogManifest;
use cresset_protocol::membership::enrolment::{DESIGNATION, EnrolmentBody, Evidence};
use cresset_protocol::membership::roster::{EncryptionKeyEntry, Endpoint, PqCustody};
use cresset_protocol::signing::LogKeys;
use cresset_token::csr::{HubKeyNames, certificate_request, prove_possession};
use cresset_token::{FileKeyStore, KeyStore};
use tempfile::TempDir;

pub(crate) const DAY: u64 = 86_400;

/// Directory of one founded consortium.
pub(crate) struct Consortium {
    directory: TempDir,
}

/// A hub's keys as its own machine holds them.
pub(crate) struct Hub {
    pub(crate) store: FileKeyStore,
    pub(crate) body: EnrolmentBody,
    pub(crate) encryption: EncryptionKeyPair,
}

impl Consortium {
    /// Three officers, quorum 2.
    pub(crate) fn found() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let this = Self { directory };
        for name in ["root", "issuing", "officer-1", "officer-2", "officer-3"] {
            this.write_config(name);
        }
        this.run(
            "ceremony found --name Test --root root/config.toml --issuing issuing/config.toml \
                  --officer officer-1/config.toml --officer officer-2/config.toml --officer officer-3/config.toml \
                  --out public",
            0,
        );
        this
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Runs the program in the consortium's directory and expects the exit code; returns both outputs.
    pub(crate) fn run(&self, arguments: &str, code: i32) -> String {
        self.run_arguments(&arguments.split_whitespace().collect::<Vec<_>>(), code)
    }

    pub(crate) fn run_arguments(&self, arguments: &[&str], code: i32) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cresset-pki"));
        let output = command.current_dir(self.directory.path()).args(arguments).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
        text.into_owned()
    }

    /// Runs a command on the chain `public/roster.cbor`.
    pub(crate) fn on_chain(&self, arguments: &str, code: i32) -> String {
        self.run(&format!("{arguments} --roster public/roster.cbor --consortium public/consortium.id"), code)
    }

    pub(crate) fn id(&self) -> ConsortiumId {
        let text = fs::read_to_string(self.path("public/consortium.id")).unwrap();
        ConsortiumId::from_hex(text.trim()).unwrap()
    }

    /// Makes a hub's keys and writes its request to `<country>.request`.
    pub(crate) fn request(&self, country: &str) -> Hub {
        let hub = self.hub(country, now());
        self.write_request(&hub, &format!("{country}.request"));
        hub
    }

    /// Makes a hub's keys and an unsigned request body.
    pub(crate) fn hub(&self, country: &str, created: UnixSeconds) -> Hub {
        let store = FileKeyStore::open(self.path(&format!("hub-{country}"))).unwrap();
        let names = HubKeyNames::standard().unwrap();
        let tls_key = store.generate_p384(&names.tls).unwrap();
        let authentication_key = store.generate_ml_dsa_65(&names.authentication).unwrap();
        let keys = LogKeys {
            p384: store.generate_p384(&names.log_p384).unwrap(),
            ml_dsa_65: store.generate_ml_dsa_65(&names.log_ml_dsa).unwrap(),
        };
        let domain = format!("{}.hub.example", country.to_lowercase());
        let hub = HubId(random_bytes().unwrap());
        let manifest = LogManifest {
            consortium: self.id(),
            hub,
            origin: Origin::new(&domain, 1).unwrap(),
            keys,
            prologue: None,
            created,
        };
        let encryption = EncryptionKeyPair::generate().unwrap();
        let key = EncryptionKeyEntry { period: KeyPeriod(0), active_from: created, key: encryption.public().clone() };
        let body = EnrolmentBody {
            consortium: self.id(),
            hub,
            country: Country::parse(country).unwrap(),
            jurisdiction: Country::parse(country).unwrap(),
            endpoints: vec![Endpoint { network: "internet".to_owned(), host: domain.clone(), port: 7443 }],
            created,
            tls_key,
            csr: certificate_request(&store, &names.tls, &domain).unwrap(),
            domain,
            authentication_key,
            log_manifest: codec::encode(&manifest),
            encryption_keys: vec![key],
            recovery_key: EncryptionKeyPair::generate().unwrap().public().clone(),
            pq: PqCustody::Software,
            evidence: vec![Evidence { kind: DESIGNATION.to_owned(), digest: [1; 32] }],
        };
        Hub { store, body, encryption }
    }

    pub(crate) fn write_request(&self, hub: &Hub, name: &str) {
        let names = HubKeyNames::standard().unwrap();
        let request = prove_possession(&hub.store, &names, &hub.body).unwrap();
        fs::write(self.path(name), request.to_bytes()).unwrap();
    }

    /// Two officers approve `<country>.request`.
    pub(crate) fn approve(&self, country: &str) -> String {
        for officer in [1, 2] {
            self.on_chain(
                &format!(
                    "approve {country}.request --officer officer-{officer}/config.toml -o {country}.approval-{officer}"
                ),
                0,
            );
        }
        format!("--request {country}.request --approval {country}.approval-1 --approval {country}.approval-2")
    }

    /// Makes the next version with these changes, has officers 1 and 2 sign it, and puts it on the chain.
    pub(crate) fn next(&self, changes: &str) {
        self.on_chain(&format!("roster next {changes} -o next.body"), 0);
        self.sign(1, 0);
        self.sign(2, 0);
        self.on_chain("roster assemble next.body --signature sig-1 --signature sig-2 -o public/roster.cbor", 0);
    }

    pub(crate) fn sign(&self, officer: u8, code: i32) -> String {
        self.on_chain(
            &format!("roster sign next.body --officer officer-{officer}/config.toml --yes -o sig-{officer}"),
            code,
        )
    }

    fn write_config(&self, name: &str) {
        let directory = self.path(name);
        fs::create_dir(&directory).unwrap();
        let role = if name.starts_with("officer") { format!("role = \"{name}\"\n") } else { String::new() };
        let config = format!("{role}[keystore]\nkind = \"file\"\ndirectory = \"keys\"\n");
        fs::write(directory.join("config.toml"), config).unwrap();
    }
}

pub(crate) fn now() -> UnixSeconds {
    UnixSeconds(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs())
}

/// Runs `openssl`, if there is one; `None` without.
pub(crate) fn openssl(directory: &Path, arguments: &str) -> Option<String> {
    let output =
        std::process::Command::new("openssl").current_dir(directory).args(arguments.split_whitespace()).output();
    let Ok(output) = output else {
        eprintln!("SKIPPED: no openssl on PATH");
        return None;
    };
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments}: {text}");
    Some(text.into_owned())
}
