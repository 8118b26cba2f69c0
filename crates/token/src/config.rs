//! Which key store to open, as written in a configuration file.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Deserialize;

use crate::error::KeyStoreError;
use crate::file::FileKeyStore;
use crate::keystore::KeyStore;
use crate::pin::PinSource;
use crate::pkcs11::Pkcs11KeyStore;

/// The `[keystore]` table.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum KeyStoreConfig {
    /// `kind = "file"`.
    File(FileConfig),
    /// `kind = "pkcs11"`.
    Pkcs11(Pkcs11Config),
}

/// Keys in files.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileConfig {
    /// Directory of the keys, mode 0700.
    pub directory: PathBuf,
}

/// Keys on a PKCS#11 token.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pkcs11Config {
    /// Absolute path of the module.
    pub module: PathBuf,
    /// Which of the module's tokens: `token = { label = "hub-fr" }` or `token = { slot = 3 }`.
    pub token: TokenSelector,
    /// Where the PIN comes from.
    pub pin: PinSource,
    /// Device profile; found from the module's manufacturer when absent.
    #[serde(default)]
    pub profile: Option<String>,
    /// Directory for ML-DSA keys wrapped by a token key. Used only when the token has no ML-DSA.
    #[serde(default)]
    pub software_keys: Option<PathBuf>,
    /// Sessions, and so operations at a time; the profile's number when absent.
    #[serde(default)]
    pub sessions: Option<u16>,
}

/// One token among those of a module.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TokenSelector {
    /// By label, which must be unique.
    Label(String),
    /// By slot number.
    Slot(u64),
}

impl fmt::Display for TokenSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Label(label) => write!(f, "label `{label}`"),
            Self::Slot(slot) => write!(f, "slot {slot}"),
        }
    }
}

/// Opens the configured key store, reading the PIN and logging in once.
///
/// # Errors
/// [`KeyStoreError`] when the store cannot be used; [`KeyStoreError::PinRefused`] must not be answered with another try.
pub fn open(config: &KeyStoreConfig) -> Result<Arc<dyn KeyStore>, KeyStoreError> {
    match config {
        KeyStoreConfig::File(file) => Ok(Arc::new(FileKeyStore::open(&file.directory)?)),
        KeyStoreConfig::Pkcs11(pkcs11) => {
            let pin = pkcs11.pin.read(&format!("the token with {}", pkcs11.token))?;
            Ok(Arc::new(Pkcs11KeyStore::open(pkcs11, pin)?))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pin::{CredentialSource, FdSource, PromptSource};

    fn parse(text: &str) -> Result<KeyStoreConfig, toml::de::Error> {
        toml::from_str(text)
    }

    fn pkcs11(pin: &str, rest: &str) -> String {
        format!("kind = \"pkcs11\"\nmodule = \"/m.so\"\ntoken = {{ label = \"hub-fr\" }}\npin = {pin}\n{rest}")
    }

    #[test]
    fn every_form_is_read() {
        let expected = KeyStoreConfig::File(FileConfig { directory: "/keys".into() });
        assert_eq!(parse("kind = \"file\"\ndirectory = \"/keys\"").unwrap(), expected);
        for (text, pin) in [
            ("{ source = \"fd\", fd = 3 }", PinSource::Fd(FdSource { fd: 3 })),
            ("{ source = \"file\", path = \"/pin\" }", PinSource::file("/pin")),
            (
                "{ source = \"credential\", name = \"pin\" }",
                PinSource::Credential(CredentialSource { name: "pin".into() }),
            ),
            ("{ source = \"prompt\" }", PinSource::Prompt(PromptSource {})),
        ] {
            let KeyStoreConfig::Pkcs11(config) = parse(&pkcs11(text, "sessions = 2\nprofile = \"kryoptic\"")).unwrap()
            else {
                panic!("not pkcs11");
            };
            assert_eq!((config.pin, config.sessions), (pin, Some(2)));
            assert_eq!(config.token, TokenSelector::Label("hub-fr".into()));
        }
        assert!(parse(&pkcs11("{ source = \"prompt\" }", "").replace("label = \"hub-fr\"", "slot = 3")).is_ok());
    }

    #[test]
    fn unknown_keys_are_errors() {
        for text in [
            "kind = \"file\"\ndirectory = \"/keys\"\npin = \"1234\"".to_owned(),
            "kind = \"memory\"".to_owned(),
            pkcs11("{ source = \"file\", path = \"/pin\", trim = true }", ""),
            pkcs11("{ source = \"prompt\", text = \"PIN\" }", ""),
            pkcs11("{ source = \"environment\", name = \"PIN\" }", ""),
            pkcs11("\"1234\"", ""),
            pkcs11("{ source = \"prompt\" }", "retries = 3"),
        ] {
            assert!(parse(&text).is_err(), "{text}");
        }
    }
}
