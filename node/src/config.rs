//! Configuration: one TOML file, every key documented, unknown keys refused.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use cresset_token::KeyStoreConfig;
use serde::Deserialize;
use thiserror::Error;

/// Where the configuration is when nobody says otherwise.
pub(crate) const DEFAULT_PATH: &str = "/etc/cresset/cresset.toml";

/// The commented file that `cresset init` writes; a test parses it.
pub(crate) const EXAMPLE: &str = include_str!("../../deploy/config/cresset.toml");

/// The whole file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// Everything that this hub keeps: see `docs/guides/data-directory.md`.
    pub(crate) data_dir: PathBuf,
    /// Where the private signing keys are.
    pub(crate) keys: KeyStoreConfig,
    /// Hub to hub.
    #[serde(default)]
    pub(crate) network: Network,
    /// Control API.
    #[serde(default)]
    pub(crate) api: Api,
    /// Prometheus metrics.
    #[serde(default)]
    pub(crate) metrics: Metrics,
    /// The writer.
    #[serde(default)]
    pub(crate) log: Log,
    /// The store.
    #[serde(default)]
    pub(crate) storage: Storage,
}

/// `[network]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Network {
    /// Addresses to listen on; empty for a hub that only dials.
    pub(crate) listen: Vec<SocketAddr>,
    /// Which endpoints of the roster to dial (their network label).
    pub(crate) network: String,
}

/// `[api]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Api {
    /// Unix socket of the control API; its directory's permissions are the access control.
    pub(crate) socket: PathBuf,
}

/// `[metrics]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Metrics {
    /// Address to serve metrics on.
    pub(crate) listen: SocketAddr,
}

/// `[log]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Log {
    /// How long a publish waits for its signature before it answers pending, in seconds.
    pub(crate) sign_wait_s: u64,
    /// How long a restarted node waits for a peer before it signs, in seconds.
    pub(crate) gate_wait_s: u64,
    /// The fence; best on another file system than the database, and never in its backups.
    pub(crate) fence_dir: Option<PathBuf>,
}

/// `[storage]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Storage {
    /// Days to keep envelopes of others.
    pub(crate) relay_retention_days: u32,
}

impl Default for Network {
    fn default() -> Self {
        Self { listen: vec![SocketAddr::from(([0, 0, 0, 0], 7443))], network: "internet".into() }
    }
}

impl Default for Api {
    fn default() -> Self {
        Self { socket: PathBuf::from("/run/cresset/cresset.sock") }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 9464)) }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { sign_wait_s: 15, gate_wait_s: 20, fence_dir: None }
    }
}

impl Default for Storage {
    fn default() -> Self {
        Self { relay_retention_days: 7 }
    }
}

impl Config {
    /// Reads and checks a file.
    pub(crate) fn load(path: &Path) -> Result<Self, ConfigError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        Self::parse(&text).map_err(|source| ConfigError::Parse { path: path.to_owned(), source: Box::new(source) })
    }

    fn parse(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }

    /// RocksDB.
    pub(crate) fn database_dir(&self) -> PathBuf {
        self.data_dir.join("db")
    }

    /// The fence.
    pub(crate) fn fence_dir(&self) -> PathBuf {
        self.log.fence_dir.clone().unwrap_or_else(|| self.data_dir.join("fence"))
    }

    /// Data keys of opened objects, outside the database and its backups.
    pub(crate) fn erase_dir(&self) -> PathBuf {
        self.data_dir.join("erase")
    }

    /// Roster chain, certificates, consortium id.
    pub(crate) fn roster_dir(&self) -> PathBuf {
        self.data_dir.join("roster")
    }

    /// Wrapped encryption keys and the log manifest.
    pub(crate) fn keys_dir(&self) -> PathBuf {
        self.data_dir.join("keys")
    }
}

/// Why there is no configuration.
#[derive(Debug, Error)]
pub(crate) enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not a valid configuration.
    #[error("`{}` is not a valid configuration", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Line, column and key.
        source: Box<toml::de::Error>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_that_init_writes_parses_to_the_defaults() {
        let config = Config::parse(EXAMPLE).unwrap();
        assert_eq!(config.network.listen, Network::default().listen);
        assert_eq!(config.api.socket, Api::default().socket);
        assert_eq!(config.metrics.listen, Metrics::default().listen);
        assert_eq!((config.log.sign_wait_s, config.log.gate_wait_s), (15, 20));
        assert_eq!(config.storage.relay_retention_days, Storage::default().relay_retention_days);
    }

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        let error = Config::parse(&format!("{EXAMPLE}\n[storage2]\nx = 1\n")).unwrap_err();
        assert!(error.to_string().contains("storage2"), "{error}");
    }
}
