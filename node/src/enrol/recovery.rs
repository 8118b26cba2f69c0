//! The recovery key's file: made once, kept offline, never needed by the running hub.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use cresset_crypto::{EncryptionKeyPair, HpkeError};
use data_encoding::HEXLOWER;
use thiserror::Error;
use zeroize::Zeroizing;

const TITLE: &str = "cresset recovery key, keep offline: ";
const FILE_BYTES_MAX: u64 = 1 << 10;

/// Reads the key pair that an earlier run left, or makes one and writes it, readable by its owner only.
pub(crate) fn read_or_create(path: &Path) -> Result<EncryptionKeyPair, RecoveryError> {
    match read(path) {
        Err(RecoveryError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => create(path),
        read => read,
    }
}

fn read(path: &Path) -> Result<EncryptionKeyPair, RecoveryError> {
    let at = |source| RecoveryError::Io { path: path.to_owned(), source };
    let mut text = Zeroizing::new(String::with_capacity(FILE_BYTES_MAX as usize));
    fs::File::open(path).map_err(at)?.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(at)?;
    let secret = text.trim().strip_prefix(TITLE).and_then(|hex| HEXLOWER.decode(hex.as_bytes()).ok());
    let secret = secret.map(Zeroizing::new).ok_or_else(|| RecoveryError::NoKey(path.to_owned()))?;
    EncryptionKeyPair::from_secret_bytes(&secret).map_err(|_| RecoveryError::NoKey(path.to_owned()))
}

fn create(path: &Path) -> Result<EncryptionKeyPair, RecoveryError> {
    let at = |source| RecoveryError::Io { path: path.to_owned(), source };
    let pair = EncryptionKeyPair::generate()?;
    let hex = Zeroizing::new(HEXLOWER.encode(&*pair.to_secret_bytes()));
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(path).map_err(at)?;
    let line = Zeroizing::new(format!("{TITLE}{}\n", *hex));
    file.write_all(line.as_bytes()).and_then(|()| file.sync_all()).map_err(at)?;
    Ok(pair)
}

/// Why there is no recovery key.
#[derive(Debug, Error)]
pub(crate) enum RecoveryError {
    /// The file cannot be read or written.
    #[error("cannot use `{}`", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Something else is in the file.
    #[error("`{}` is there and holds no recovery key", .0.display())]
    NoKey(PathBuf),
    /// No key could be made.
    #[error(transparent)]
    Hpke(#[from] HpkeError),
}

impl RecoveryError {
    /// What to do next.
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            Self::NoKey(_) => "choose a new path with --recovery-key-out; nothing is overwritten",
            Self::Io { .. } | Self::Hpke(_) => "--recovery-key-out needs a path that this user may write",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn a_second_run_finds_the_same_key_and_others_cannot_read_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("recovery");
        let first = read_or_create(&path).unwrap();
        assert!(read_or_create(&path).unwrap().public() == first.public());
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn another_file_is_not_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("recovery");
        fs::write(&path, "shopping list").unwrap();
        assert!(matches!(read_or_create(&path), Err(RecoveryError::NoKey(_))));
        assert_eq!(fs::read_to_string(&path).unwrap(), "shopping list");
    }
}
