//! The small files of a hub: consortium id, roster chain, certificates, log manifest, wrapped encryption keys.
//!
//! Written by enrolment, read at start. Every write is atomic and synced; secrets are wrapped by the token first.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use cresset_crypto::{EncryptionKeyPair, HpkeError};
use cresset_protocol::codec::{Canonical, CodecError};
use cresset_protocol::domain;
use cresset_protocol::ids::{ConsortiumId, KeyPeriod, UnixSeconds};
use cresset_protocol::log::manifest::LogManifest;
use cresset_protocol::membership::chain::{ChainError, RosterChain, RosterFile};
use cresset_protocol::membership::welcome::CertificateDer;
use cresset_protocol::signing::SignatureVerifier;
use cresset_token::{KeyName, KeyStore, KeyStoreError};
use thiserror::Error;

use crate::config::Config;

/// Certificates of a hub's own chain: leaf, issuing CA, root.
const CERTIFICATES_BYTES_MAX: usize = 64 << 10;

/// Where the small files are.
#[derive(Clone, Debug)]
pub(crate) struct Home {
    roster: PathBuf,
    keys: PathBuf,
}

/// A hub's certificates.
#[derive(Clone, Debug)]
pub(crate) struct Certificates {
    /// Leaf and issuing CA: what goes over the wire.
    pub(crate) chain: Vec<Vec<u8>>,
    /// The consortium's root.
    pub(crate) root: Vec<u8>,
}

impl Home {
    /// The home of a configured hub.
    pub(crate) fn new(config: &Config) -> Self {
        Self { roster: config.roster_dir(), keys: config.keys_dir() }
    }

    /// Creates the folders, readable by the hub's user only.
    pub(crate) fn create(&self) -> Result<(), HomeError> {
        for directory in [&self.roster, &self.keys] {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(at(directory))?;
        }
        Ok(())
    }

    /// The consortium that this hub belongs to, as told out of band.
    pub(crate) fn consortium(&self) -> Result<ConsortiumId, HomeError> {
        let path = self.roster.join("consortium");
        let text = read(&path, 256)?;
        let text = String::from_utf8_lossy(&text);
        ConsortiumId::from_hex(text.trim()).map_err(|_| HomeError::Damaged { path, what: "a consortium id" })
    }

    /// Notes the consortium id; another one than before is refused.
    pub(crate) fn set_consortium(&self, id: &ConsortiumId) -> Result<(), HomeError> {
        match self.consortium() {
            Ok(known) if known != *id => Err(HomeError::OtherConsortium(known)),
            Ok(_) => Ok(()),
            Err(HomeError::Missing { .. }) => write(&self.roster.join("consortium"), format!("{id}\n").as_bytes()),
            Err(error) => Err(error),
        }
    }

    /// The roster chain, verified from the consortium id on.
    pub(crate) fn chain(&self, now: UnixSeconds, verifier: &dyn SignatureVerifier) -> Result<RosterChain, HomeError> {
        let path = self.roster.join("chain.cbor");
        let file = RosterFile::from_bytes(&read(&path, cresset_protocol::limits::ROSTER_CHAIN_BYTES_MAX)?)?;
        Ok(RosterChain::verify_file(&self.consortium()?, &file, now, verifier)?)
    }

    /// Replaces the roster chain.
    pub(crate) fn set_chain(&self, chain: &RosterChain) -> Result<(), HomeError> {
        write(&self.roster.join("chain.cbor"), &chain.to_file().to_bytes())
    }

    /// This hub's certificates.
    pub(crate) fn certificates(&self) -> Result<Certificates, HomeError> {
        let path = self.roster.join("certificates.cbor");
        let bytes = read(&path, CERTIFICATES_BYTES_MAX)?;
        let mut chain: Vec<Vec<u8>> =
            cresset_protocol::codec::decode::<Vec<CertificateDer>>(&bytes, CERTIFICATES_BYTES_MAX)?
                .into_iter()
                .map(|der| der.0)
                .collect();
        let root = chain.pop().filter(|_| !chain.is_empty());
        let root = root.ok_or(HomeError::Damaged { path, what: "a certificate chain" })?;
        Ok(Certificates { chain, root })
    }

    /// Keeps the certificates of a welcome bundle: leaf, issuing CA, root.
    pub(crate) fn set_certificates(&self, certificates: &[CertificateDer]) -> Result<(), HomeError> {
        write(&self.roster.join("certificates.cbor"), &cresset_protocol::codec::encode(&certificates.to_vec()))
    }

    /// The manifest of the log that this hub writes.
    pub(crate) fn manifest(&self) -> Result<Canonical<LogManifest>, HomeError> {
        let path = self.keys.join("manifest.cbor");
        Ok(LogManifest::decode(&read(&path, cresset_protocol::limits::LOG_MANIFEST_BYTES_MAX)?)?)
    }

    /// Keeps the manifest; it never changes.
    pub(crate) fn set_manifest(&self, manifest: &Canonical<LogManifest>) -> Result<(), HomeError> {
        write(&self.keys.join("manifest.cbor"), manifest.bytes())
    }

    /// Wraps an encryption key under the token's wrapping key and keeps it.
    pub(crate) fn add_encryption_key(
        &self,
        keys: &dyn KeyStore,
        wrapping: &KeyName,
        period: KeyPeriod,
        pair: &EncryptionKeyPair,
    ) -> Result<(), HomeError> {
        let wrapped = keys.wrap(wrapping, &wrap_context(period), &*pair.to_secret_bytes())?;
        write(&self.encryption_key_path(period), &wrapped)
    }

    /// Unwraps all encryption keys that are kept, ascending by period.
    pub(crate) fn encryption_keys(
        &self,
        keys: &dyn KeyStore,
        wrapping: &KeyName,
    ) -> Result<Vec<(KeyPeriod, EncryptionKeyPair)>, HomeError> {
        let mut out = Vec::new();
        for entry in fs::read_dir(&self.keys).map_err(at(&self.keys))? {
            let path = entry.map_err(at(&self.keys))?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let Some(number) = name.strip_prefix("encryption-").and_then(|rest| rest.strip_suffix(".wrapped")) else {
                continue;
            };
            let period = number.parse().map(KeyPeriod);
            let period = period.map_err(|_| HomeError::Damaged { path: path.clone(), what: "a key period" })?;
            let secret = keys.unwrap(wrapping, &wrap_context(period), &read(&path, 4 << 10)?)?;
            out.push((period, EncryptionKeyPair::from_secret_bytes(&secret)?));
        }
        out.sort_by_key(|(period, _)| *period);
        Ok(out)
    }

    fn encryption_key_path(&self, period: KeyPeriod) -> PathBuf {
        self.keys.join(format!("encryption-{period}.wrapped"))
    }
}

/// The token key under which everything secret at rest is wrapped.
pub(crate) fn wrapping_key() -> Result<KeyName, KeyStoreError> {
    KeyName::new("wrap")
}

fn wrap_context(period: KeyPeriod) -> Vec<u8> {
    domain::KEY_WRAP.message(&[b"hub encryption ", &period.0.to_be_bytes()])
}

fn read(path: &Path, bytes_max: usize) -> Result<Vec<u8>, HomeError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(HomeError::Missing { path: path.to_owned() });
        }
        Err(error) => return Err(at(path)(error)),
    };
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut std::io::Read::take(file, bytes_max as u64 + 1), &mut bytes).map_err(at(path))?;
    if bytes.len() > bytes_max {
        return Err(HomeError::Damaged { path: path.to_owned(), what: "of a sane size" });
    }
    Ok(bytes)
}

/// Writes a neighbour, syncs it, renames it, syncs the folder: a crash leaves the old file or the new one.
fn write(path: &Path, bytes: &[u8]) -> Result<(), HomeError> {
    let beside = path.with_extension("new");
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&beside).map_err(at(&beside))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(at(&beside))?;
    fs::rename(&beside, path).map_err(at(path))?;
    let folder = path.parent().unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(at(folder))
}

fn at(path: &Path) -> impl Fn(std::io::Error) -> HomeError + use<> {
    let path = path.to_owned();
    move |source| HomeError::Io { path: path.clone(), source }
}

/// Why the hub's files cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum HomeError {
    /// A file that enrolment writes is not there.
    #[error("`{}` is missing\nhint: enrol this hub first (cresset enrol request, cresset enrol finish)", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// A file does not hold what it should.
    #[error("`{}` does not hold {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
    },
    /// The hub belongs to another consortium.
    #[error("this data directory belongs to consortium `{0}`")]
    OtherConsortium(ConsortiumId),
    /// The disk refused.
    #[error("cannot use `{}`", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is not in canonical form.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// The roster chain does not verify.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The token refused.
    #[error(transparent)]
    KeyStore(#[from] KeyStoreError),
    /// A wrapped key is no encryption key.
    #[error(transparent)]
    Hpke(#[from] HpkeError),
}
