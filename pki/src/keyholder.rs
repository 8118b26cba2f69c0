//! A key holder: an officer or a certification authority, with a key store and a directory of small files.
//!
//! The configuration file names the key store; its own directory holds the rest (an officer's wrapped encryption key and
//! signing journal).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use cresset_token::{KeyStore, KeyStoreConfig, PinSource};
use serde::Deserialize;

use crate::error::PkiError;
use crate::files;

const CONFIG_BYTES_MAX: usize = 64 << 10;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyholderConfig {
    /// Role id of an officer; absent for a certification authority.
    role: Option<String>,
    /// Where the keys are.
    keystore: KeyStoreConfig,
}

/// An opened key store with its directory.
pub(crate) struct Keyholder {
    pub(crate) store: Arc<dyn KeyStore>,
    pub(crate) directory: PathBuf,
    role: Option<String>,
    config: PathBuf,
}

impl Keyholder {
    /// Reads the configuration, reads the PIN where there is one, and opens the store.
    pub(crate) fn open(config_path: &Path) -> Result<Self, PkiError> {
        let bytes = files::read(config_path, CONFIG_BYTES_MAX)?;
        let parsed = toml::from_str::<KeyholderConfig>(&String::from_utf8_lossy(&bytes));
        let mut config =
            parsed.map_err(|source| PkiError::Config { path: config_path.to_owned(), source: Box::new(source) })?;
        let parent = config_path.parent().unwrap_or(Path::new(""));
        let directory = if parent.as_os_str().is_empty() { PathBuf::from(".") } else { parent.to_owned() };
        make_absolute(&mut config.keystore, &directory);
        let store = cresset_token::open(&config.keystore)?;
        Ok(Self { store, directory, role: config.role, config: config_path.to_owned() })
    }

    /// The officer's role id.
    pub(crate) fn role(&self) -> Result<&str, PkiError> {
        self.role.as_deref().ok_or_else(|| PkiError::NoRole { path: self.config.clone() })
    }
}

/// Paths in the file are relative to the file, so that a key holder's directory can be moved.
fn make_absolute(keystore: &mut KeyStoreConfig, directory: &Path) {
    match keystore {
        KeyStoreConfig::File(file) => file.directory = directory.join(&file.directory),
        KeyStoreConfig::Pkcs11(pkcs11) => {
            if let PinSource::File(pin) = &mut pkcs11.pin {
                pin.path = directory.join(&pin.path);
            }
            if let Some(keys) = &mut pkcs11.software_keys {
                *keys = directory.join(&*keys);
            }
        }
    }
}
