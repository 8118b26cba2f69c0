//! Keys in a [`KeyDirectory`], loaded once: as they are in a file store, sealed by a token key otherwise.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use zeroize::Zeroizing;

use crate::error::KeyStoreError;
use crate::file::directory::KeyDirectory;
use crate::keystore::KeyName;
use crate::kind::KeyKind;
use crate::software::{SoftwareKey, generate_secret};

/// Key files and the keys loaded from them.
pub(crate) struct KeyFiles {
    directory: KeyDirectory,
    loaded: Mutex<BTreeMap<KeyName, (KeyKind, Arc<SoftwareKey>)>>,
}

/// Bytes that go to or come from a key file.
pub(crate) type Sealed = Result<Zeroizing<Vec<u8>>, KeyStoreError>;

impl KeyFiles {
    pub(crate) fn open(directory: &Path) -> Result<Self, KeyStoreError> {
        Ok(Self { directory: KeyDirectory::open(directory)?, loaded: Mutex::default() })
    }

    /// Makes a key and writes what `seal` makes of it.
    pub(crate) fn generate(
        &self,
        name: &KeyName,
        kind: KeyKind,
        seal: impl FnOnce(Zeroizing<Vec<u8>>) -> Sealed,
    ) -> Result<(), KeyStoreError> {
        let content = seal(generate_secret(kind)?)?;
        let lock = self.directory.lock()?;
        self.directory.create(&lock, name, kind, &content)
    }

    /// The key, read through `unseal` on first use.
    pub(crate) fn key(
        &self,
        name: &KeyName,
        kind: KeyKind,
        unseal: impl FnOnce(Zeroizing<Vec<u8>>) -> Sealed,
    ) -> Result<Arc<SoftwareKey>, KeyStoreError> {
        if let Some((found, key)) = self.loaded.lock().unwrap_or_else(PoisonError::into_inner).get(name) {
            return if *found == kind { Ok(Arc::clone(key)) } else { Err(wrong_kind(name, kind)) };
        }
        if self.directory.kind_of(name)?.is_some_and(|found| found != kind) {
            return Err(wrong_kind(name, kind));
        }
        let secret = unseal(self.directory.read(name, kind)?)?;
        let key = SoftwareKey::from_secret(kind, &secret)
            .ok_or_else(|| KeyStoreError::BadKeyFile { path: self.directory.key_path(name, kind) })?;
        let key = Arc::new(key);
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone(), (kind, Arc::clone(&key)));
        Ok(key)
    }

    /// Whether there is a key of that name, of any kind.
    pub(crate) fn contains(&self, name: &KeyName) -> Result<bool, KeyStoreError> {
        Ok(self.directory.kind_of(name)?.is_some())
    }

    /// Removes the key of that name, if there is one.
    pub(crate) fn destroy(&self, name: &KeyName) -> Result<(), KeyStoreError> {
        let lock = self.directory.lock()?;
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
        self.directory.remove(&lock, name)
    }
}

/// The error for a name that holds a key of another kind.
pub(crate) fn wrong_kind(name: &KeyName, kind: KeyKind) -> KeyStoreError {
    KeyStoreError::WrongKind { name: name.as_str().to_owned(), expected: kind.as_str() }
}
