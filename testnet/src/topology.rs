//! The directory of a test network: one folder per hub and officer, free loopback ports, generated configuration.

use std::fs::{DirBuilder, OpenOptions};
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

/// Countries that demonstrations use, in the order in which hubs are numbered.
pub(crate) const COUNTRIES: [(&str, &str); 12] = [
    ("AT", "Austria"),
    ("LU", "Luxembourg"),
    ("EE", "Estonia"),
    ("FR", "France"),
    ("ES", "Spain"),
    ("PT", "Portugal"),
    ("FI", "Finland"),
    ("IE", "Ireland"),
    ("NL", "Netherlands"),
    ("SI", "Slovenia"),
    ("CZ", "Czechia"),
    ("GR", "Greece"),
];
/// Hubs that one test network may have.
pub(crate) const HUBS_MAX: usize = COUNTRIES.len();
/// PIN of every token of a test network: demonstrations only.
const DEMONSTRATION_PIN: &str = "cresset-demo";

/// A test network on disk.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Topology {
    /// Everything is below this directory.
    pub(crate) root: PathBuf,
    /// The hubs, in the order of [`COUNTRIES`].
    pub(crate) hubs: Vec<HubSite>,
    /// Officers' folders.
    pub(crate) officers: Vec<PathBuf>,
    /// Folder of the root authority's token.
    pub(crate) root_authority: PathBuf,
    /// Folder of the issuing authority's token.
    pub(crate) issuing_authority: PathBuf,
    /// Consortium id, once founded.
    pub(crate) consortium: Option<String>,
}

/// One hub of a test network.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct HubSite {
    /// Two letters.
    pub(crate) country: String,
    /// The country's name, for stories.
    pub(crate) name: String,
    /// DNS name; never resolved, the roster holds loopback addresses.
    pub(crate) domain: String,
    /// Its folder.
    pub(crate) directory: PathBuf,
    /// Port towards the other hubs.
    pub(crate) port: u16,
    /// Port of the metrics.
    pub(crate) metrics_port: u16,
    /// Process id, where it was left running.
    pub(crate) pid: Option<u32>,
}

impl Topology {
    /// Lays out the folders of a new network.
    pub(crate) fn create(root: &Path, hubs: usize, officers: usize) -> Result<Self> {
        if hubs == 0 || hubs > HUBS_MAX {
            bail!("a test network has 1 to {HUBS_MAX} hubs, not {hubs}");
        }
        if root.exists() {
            bail!("`{}` exists already\nhint: cresset-testnet down --dir {0}, or another --dir", root.display());
        }
        create_directory(root)?;
        let sites = COUNTRIES.iter().take(hubs).map(|(country, name)| HubSite::create(root, country, name));
        let topology = Self {
            root: root.to_owned(),
            hubs: sites.collect::<Result<_>>()?,
            officers: (1..=officers).map(|n| root.join(format!("officer-{n}"))).collect(),
            root_authority: root.join("root-authority"),
            issuing_authority: root.join("issuing-authority"),
            consortium: None,
        };
        for directory in topology.officers.iter().chain([&topology.root_authority, &topology.issuing_authority]) {
            make_token_folder(directory)?;
        }
        topology.save()?;
        Ok(topology)
    }

    /// Reads a network that `create` laid out.
    pub(crate) fn load(root: &Path) -> Result<Self> {
        let path = root.join("testnet.json");
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("there is no test network in `{}`", root.display()))?;
        serde_json::from_str(&text).with_context(|| format!("`{}` is damaged", path.display()))
    }

    /// Writes `testnet.json`.
    pub(crate) fn save(&self) -> Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        std::fs::write(self.root.join("testnet.json"), text).context("cannot write testnet.json")
    }
}

impl HubSite {
    fn create(root: &Path, country: &str, name: &str) -> Result<Self> {
        let directory = root.join(country.to_lowercase());
        make_token_folder(&directory)?;
        let [port, metrics_port] = free_ports()?;
        Ok(Self {
            country: country.to_owned(),
            name: name.to_owned(),
            domain: format!("hub.{}.example", country.to_lowercase()),
            directory,
            port,
            metrics_port,
            pid: None,
        })
    }

    /// The hub's configuration file.
    pub(crate) fn config(&self) -> PathBuf {
        self.directory.join("cresset.toml")
    }

    /// Socket of its control API.
    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.join("api.sock")
    }

    /// Its log file.
    pub(crate) fn log(&self) -> PathBuf {
        self.directory.join("hub.log")
    }

    /// Writes the configuration of a hub whose keys are on the softtoken of its folder.
    pub(crate) fn write_config(&self, softtoken: &Path) -> Result<()> {
        let directory = self.directory.display();
        let text = format!(
            "data_dir = \"{directory}/data\"\n\n[keys]\n{keys}\n[network]\nlisten = [\"127.0.0.1:{port}\"]\n\
             network = \"loopback\"\n\n[api]\nsocket = \"{socket}\"\n\n[metrics]\nlisten = \"127.0.0.1:{metrics}\"\n\n\
             [log]\ngate_wait_s = 5\n",
            keys = keystore_toml(&self.directory, softtoken, &self.domain),
            port = self.port,
            socket = self.socket().display(),
            metrics = self.metrics_port,
        );
        std::fs::write(self.config(), text).with_context(|| format!("cannot write `{}`", self.config().display()))
    }
}

/// `[keys]` for the softtoken of a folder.
pub(crate) fn keystore_toml(directory: &Path, softtoken: &Path, label: &str) -> String {
    format!(
        "kind = \"pkcs11\"\nmodule = \"{}\"\ntoken = {{ label = \"{label}\" }}\npin = {{ source = \"file\", path = \"{}\" }}\n",
        softtoken.display(),
        pin_file(directory).display(),
    )
}

/// The PIN file of a folder.
pub(crate) fn pin_file(directory: &Path) -> PathBuf {
    directory.join("pin")
}

fn make_token_folder(directory: &Path) -> Result<()> {
    create_directory(directory)?;
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(pin_file(directory));
    file.and_then(|mut file| file.write_all(DEMONSTRATION_PIN.as_bytes())).context("cannot write the PIN file")
}

fn create_directory(path: &Path) -> Result<()> {
    let created = DirBuilder::new().recursive(true).mode(0o700).create(path);
    created.with_context(|| format!("cannot create `{}`", path.display()))
}

/// Two ports that were free a moment ago. Both listeners are held until both are known, so that they differ.
fn free_ports() -> Result<[u16; 2]> {
    let listeners = [TcpListener::bind(("127.0.0.1", 0))?, TcpListener::bind(("127.0.0.1", 0))?];
    Ok([listeners[0].local_addr()?.port(), listeners[1].local_addr()?.port()])
}
