//! Keys in files: for hubs without a token, for tests and for exercises.

pub(crate) mod directory;
pub(crate) mod keys;

use std::path::Path;
use std::sync::Arc;

use cresset_protocol::membership::roster::PqCustody;
use cresset_protocol::signing::{
    MlDsa65PublicKey, MlDsa65Signature, MlDsa87PublicKey, MlDsa87Signature, P384PublicKey, P384Signature,
};
use zeroize::Zeroizing;

use crate::error::KeyStoreError;
use crate::file::keys::{KeyFiles, wrong_kind};
use crate::keystore::{KeyName, KeyStore};
use crate::kind::KeyKind;
use crate::release;
use crate::software::{SoftwareKey, WrappedParts, check_wrap_lengths};

/// A directory of key files. Keys once used stay in memory, so a key that another process destroys works until restart.
///
/// Losing the directory loses the keys. Whoever can read it holds them: nothing but file permissions protects it.
pub struct FileKeyStore {
    files: KeyFiles,
}

impl FileKeyStore {
    /// Opens a directory, creating it with mode 0700 when absent.
    ///
    /// # Errors
    /// [`KeyStoreError::Permissions`] when others may enter it, [`KeyStoreError::File`] when it cannot be used.
    pub fn open(directory: impl AsRef<Path>) -> Result<Self, KeyStoreError> {
        Ok(Self { files: KeyFiles::open(directory.as_ref())? })
    }

    fn generate(&self, name: &KeyName, kind: KeyKind) -> Result<(), KeyStoreError> {
        self.files.generate(name, kind, Ok)
    }

    fn key(&self, name: &KeyName, kind: KeyKind) -> Result<Arc<SoftwareKey>, KeyStoreError> {
        self.files.key(name, kind, Ok)
    }

    fn sign(&self, name: &KeyName, kind: KeyKind, message: &[u8]) -> Result<Vec<u8>, KeyStoreError> {
        self.key(name, kind)?.sign(message).ok_or_else(|| wrong_kind(name, kind))?
    }
}

impl KeyStore for FileKeyStore {
    fn pq_custody(&self) -> PqCustody {
        PqCustody::Software
    }

    fn generate_p384(&self, name: &KeyName) -> Result<P384PublicKey, KeyStoreError> {
        self.generate(name, KeyKind::P384)?;
        self.p384(name)
    }

    fn generate_ml_dsa_65(&self, name: &KeyName) -> Result<MlDsa65PublicKey, KeyStoreError> {
        self.generate(name, KeyKind::MlDsa65)?;
        self.ml_dsa_65(name)
    }

    fn generate_ml_dsa_87(&self, name: &KeyName) -> Result<MlDsa87PublicKey, KeyStoreError> {
        self.generate(name, KeyKind::MlDsa87)?;
        self.ml_dsa_87(name)
    }

    fn generate_wrapping(&self, name: &KeyName) -> Result<(), KeyStoreError> {
        self.generate(name, KeyKind::Wrapping)
    }

    fn p384(&self, name: &KeyName) -> Result<P384PublicKey, KeyStoreError> {
        self.key(name, KeyKind::P384)?.p384().ok_or_else(|| wrong_kind(name, KeyKind::P384))
    }

    fn ml_dsa_65(&self, name: &KeyName) -> Result<MlDsa65PublicKey, KeyStoreError> {
        self.key(name, KeyKind::MlDsa65)?.ml_dsa_65().ok_or_else(|| wrong_kind(name, KeyKind::MlDsa65))
    }

    fn ml_dsa_87(&self, name: &KeyName) -> Result<MlDsa87PublicKey, KeyStoreError> {
        self.key(name, KeyKind::MlDsa87)?.ml_dsa_87().ok_or_else(|| wrong_kind(name, KeyKind::MlDsa87))
    }

    fn sign_p384(&self, name: &KeyName, message: &[u8]) -> Result<P384Signature, KeyStoreError> {
        release::p384(name, &self.p384(name)?, message, &self.sign(name, KeyKind::P384, message)?)
    }

    fn sign_ml_dsa_65(&self, name: &KeyName, message: &[u8]) -> Result<MlDsa65Signature, KeyStoreError> {
        release::ml_dsa_65(name, &self.ml_dsa_65(name)?, message, &self.sign(name, KeyKind::MlDsa65, message)?)
    }

    fn sign_ml_dsa_87(&self, name: &KeyName, message: &[u8]) -> Result<MlDsa87Signature, KeyStoreError> {
        release::ml_dsa_87(name, &self.ml_dsa_87(name)?, message, &self.sign(name, KeyKind::MlDsa87, message)?)
    }

    fn wrap(&self, name: &KeyName, context: &[u8], secret: &[u8]) -> Result<Vec<u8>, KeyStoreError> {
        check_wrap_lengths(context, secret)?;
        let key = self.key(name, KeyKind::Wrapping)?;
        key.wrap(context, secret).ok_or_else(|| wrong_kind(name, KeyKind::Wrapping))?
    }

    fn unwrap(&self, name: &KeyName, context: &[u8], wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyStoreError> {
        let parts = WrappedParts::parse(wrapped)?;
        let key = self.key(name, KeyKind::Wrapping)?;
        key.unwrap(context, &parts)
            .ok_or_else(|| wrong_kind(name, KeyKind::Wrapping))?
            .ok_or_else(|| KeyStoreError::NotAuthentic { name: name.as_str().to_owned() })
    }

    fn destroy(&self, name: &KeyName) -> Result<(), KeyStoreError> {
        self.files.destroy(name)
    }
}
