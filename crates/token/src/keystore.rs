//! The one interface to private signing keys, wherever they live.

use cresset_protocol::membership::roster::PqCustody;
use cresset_protocol::signing::{
    MlDsa65PublicKey, MlDsa65Signature, MlDsa87PublicKey, MlDsa87Signature, P384PublicKey, P384Signature,
};
use zeroize::Zeroizing;

use crate::error::KeyStoreError;

/// Private keys by name. Blocking: a token round trip is 1-50 ms, so async callers go through a bounded pool.
///
/// Every signature is verified with the stored public key before it is returned: a faulty token must not publish.
/// P-384 signatures are ECDSA over SHA-384(message), normalised to low s; ML-DSA uses the empty context.
pub trait KeyStore: Send + Sync {
    /// Where ML-DSA keys of this store live.
    fn pq_custody(&self) -> PqCustody;

    /// Creates a P-384 key. Fails if the name exists.
    fn generate_p384(&self, name: &KeyName) -> Result<P384PublicKey, KeyStoreError>;
    /// Creates an ML-DSA-65 key. Fails if the name exists.
    fn generate_ml_dsa_65(&self, name: &KeyName) -> Result<MlDsa65PublicKey, KeyStoreError>;
    /// Creates an ML-DSA-87 key. Fails if the name exists.
    fn generate_ml_dsa_87(&self, name: &KeyName) -> Result<MlDsa87PublicKey, KeyStoreError>;
    /// Creates an AES-256 key that never leaves the store and only wraps other keys.
    fn generate_wrapping(&self, name: &KeyName) -> Result<(), KeyStoreError>;

    /// Public half of a P-384 key.
    fn p384(&self, name: &KeyName) -> Result<P384PublicKey, KeyStoreError>;
    /// Public half of an ML-DSA-65 key.
    fn ml_dsa_65(&self, name: &KeyName) -> Result<MlDsa65PublicKey, KeyStoreError>;
    /// Public half of an ML-DSA-87 key.
    fn ml_dsa_87(&self, name: &KeyName) -> Result<MlDsa87PublicKey, KeyStoreError>;

    /// Signs with a P-384 key.
    fn sign_p384(&self, name: &KeyName, message: &[u8]) -> Result<P384Signature, KeyStoreError>;
    /// Signs with an ML-DSA-65 key.
    fn sign_ml_dsa_65(&self, name: &KeyName, message: &[u8]) -> Result<MlDsa65Signature, KeyStoreError>;
    /// Signs with an ML-DSA-87 key.
    fn sign_ml_dsa_87(&self, name: &KeyName, message: &[u8]) -> Result<MlDsa87Signature, KeyStoreError>;

    /// Encrypts a secret under the named wrapping key (AES-256-GCM, random nonce, `context` as AAD).
    fn wrap(&self, name: &KeyName, context: &[u8], secret: &[u8]) -> Result<Vec<u8>, KeyStoreError>;
    /// Undoes [`KeyStore::wrap`].
    fn unwrap(&self, name: &KeyName, context: &[u8], wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyStoreError>;

    /// Destroys a key of any kind. Succeeds if there is none.
    fn destroy(&self, name: &KeyName) -> Result<(), KeyStoreError>;
}

/// Name of a key within a store: lower-case ASCII letters, digits and hyphens, at most 32 (`log-p384`, `officer-ml-dsa`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyName(String);

impl KeyName {
    /// Checks the name.
    ///
    /// # Errors
    /// [`KeyStoreError::BadName`] for anything else.
    pub fn new(name: impl Into<String>) -> Result<Self, KeyStoreError> {
        let name = name.into();
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if name.is_empty() || name.len() > 32 || !name.bytes().all(allowed) {
            return Err(KeyStoreError::BadName { name });
        }
        Ok(Self(name))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
