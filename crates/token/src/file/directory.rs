//! A directory of key files: private to its owner, written atomically, one file per key.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{ErrorKind, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::error::KeyStoreError;
use crate::keystore::KeyName;
use crate::kind::KeyKind;

/// Longest key file, in bytes.
const KEY_FILE_BYTES_MAX: u64 = 4 << 10;
/// Serialises writers of all processes.
const LOCK_FILE: &str = ".lock";

/// A directory with mode 0700 that holds `<name>.<kind>.key` files with mode 0600.
pub(crate) struct KeyDirectory {
    path: PathBuf,
}

/// Proof that this process is the only writer.
pub(crate) struct WriteLock {
    _file: File,
}

impl KeyDirectory {
    /// Opens the directory, creating it when absent; refuses one that others may enter.
    pub(crate) fn open(path: &Path) -> Result<Self, KeyStoreError> {
        match DirBuilder::new().mode(0o700).create(path) {
            Ok(()) => {}
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
            Err(source) => return Err(failed(path, source)),
        }
        check_mode(path, &std::fs::metadata(path).map_err(|e| failed(path, e))?)?;
        Ok(Self { path: path.to_owned() })
    }

    /// Waits for the exclusive right to create and remove keys.
    pub(crate) fn lock(&self) -> Result<WriteLock, KeyStoreError> {
        let path = self.path.join(LOCK_FILE);
        let file = private().create(true).open(&path).map_err(|e| failed(&path, e))?;
        file.lock().map_err(|e| failed(&path, e))?;
        Ok(WriteLock { _file: file })
    }

    /// Kind of the key of that name, if there is one.
    pub(crate) fn kind_of(&self, name: &KeyName) -> Result<Option<KeyKind>, KeyStoreError> {
        for kind in KeyKind::ALL {
            let path = self.key_path(name, kind);
            if path.try_exists().map_err(|e| failed(&path, e))? {
                return Ok(Some(kind));
            }
        }
        Ok(None)
    }

    /// Reads a key file, refusing one that others may read.
    pub(crate) fn read(&self, name: &KeyName, kind: KeyKind) -> Result<Zeroizing<Vec<u8>>, KeyStoreError> {
        let path = self.key_path(name, kind);
        let file = File::open(&path).map_err(|e| match e.kind() {
            ErrorKind::NotFound => KeyStoreError::NotFound { name: name.as_str().to_owned() },
            _ => failed(&path, e),
        })?;
        let metadata = file.metadata().map_err(|e| failed(&path, e))?;
        check_mode(&path, &metadata)?;
        if metadata.len() > KEY_FILE_BYTES_MAX {
            return Err(KeyStoreError::BadKeyFile { path });
        }
        let mut bytes = Zeroizing::new(Vec::with_capacity(KEY_FILE_BYTES_MAX as usize));
        file.take(KEY_FILE_BYTES_MAX).read_to_end(&mut bytes).map_err(|e| failed(&path, e))?;
        Ok(bytes)
    }

    /// Writes a new key file so that after a crash it is there entirely or not at all.
    pub(crate) fn create(
        &self,
        _lock: &WriteLock,
        name: &KeyName,
        kind: KeyKind,
        secret: &[u8],
    ) -> Result<(), KeyStoreError> {
        if self.kind_of(name)?.is_some() {
            return Err(KeyStoreError::AlreadyExists { name: name.as_str().to_owned() });
        }
        let path = self.key_path(name, kind);
        let partial = path.with_extension("partial");
        let mut file = private().create(true).truncate(true).open(&partial).map_err(|e| failed(&partial, e))?;
        // A partial file left by a crash keeps the mode it was created with.
        file.set_permissions(Permissions::from_mode(0o600)).map_err(|e| failed(&partial, e))?;
        file.write_all(secret).and_then(|()| file.sync_all()).map_err(|e| failed(&partial, e))?;
        std::fs::rename(&partial, &path).map_err(|e| failed(&path, e))?;
        self.sync()
    }

    /// Removes the key file of that name. The overwriting is best effort: flash may keep old blocks.
    pub(crate) fn remove(&self, _lock: &WriteLock, name: &KeyName) -> Result<(), KeyStoreError> {
        let Some(kind) = self.kind_of(name)? else { return Ok(()) };
        let path = self.key_path(name, kind);
        overwrite(&path).and_then(|()| std::fs::remove_file(&path)).map_err(|e| failed(&path, e))?;
        self.sync()
    }

    /// Where the key of that name and kind is.
    pub(crate) fn key_path(&self, name: &KeyName, kind: KeyKind) -> PathBuf {
        self.path.join(format!("{}.{}.key", name.as_str(), kind.as_str()))
    }

    fn sync(&self) -> Result<(), KeyStoreError> {
        File::open(&self.path).and_then(|dir| dir.sync_all()).map_err(|e| failed(&self.path, e))
    }
}

fn overwrite(path: &Path) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).open(path)?;
    let len = usize::try_from(file.metadata()?.len().min(KEY_FILE_BYTES_MAX)).unwrap_or_default();
    file.rewind()?;
    file.write_all(&vec![0; len])?;
    file.sync_all()
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    options
}

fn check_mode(path: &Path, metadata: &std::fs::Metadata) -> Result<(), KeyStoreError> {
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(KeyStoreError::Permissions { path: path.to_owned(), mode });
    }
    Ok(())
}

fn failed(path: &Path, source: std::io::Error) -> KeyStoreError {
    KeyStoreError::File { path: path.to_owned(), source }
}
