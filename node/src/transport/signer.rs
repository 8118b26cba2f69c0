//! Lets rustls sign with a TLS key that stays in the key store.

use std::fmt;
use std::sync::Arc;

use cresset_token::csr::p384_signature_der;
use cresset_token::keystore::{KeyName, KeyStore};
use rustls::sign::{Signer, SigningKey};
use rustls::{Error, SignatureAlgorithm, SignatureScheme};

/// The `tls` key of a key store.
#[derive(Clone)]
pub(crate) struct TokenKey {
    keys: Arc<dyn KeyStore>,
    name: KeyName,
}

impl TokenKey {
    pub(crate) fn new(keys: Arc<dyn KeyStore>, name: KeyName) -> Self {
        Self { keys, name }
    }
}

impl SigningKey for TokenKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        offered.contains(&SignatureScheme::ECDSA_NISTP384_SHA384).then(|| Box::new(self.clone()) as Box<dyn Signer>)
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ECDSA
    }
}

impl Signer for TokenKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let sign = || self.keys.sign_p384(&self.name, message);
        // rustls is synchronous here and a token takes 1-50 ms: hand this worker's other tasks over meanwhile.
        let multi_threaded = tokio::runtime::Handle::try_current()
            .is_ok_and(|runtime| runtime.runtime_flavor() == tokio::runtime::RuntimeFlavor::MultiThread);
        let signature = if multi_threaded { tokio::task::block_in_place(sign) } else { sign() };
        match signature {
            Ok(signature) => Ok(p384_signature_der(&signature)),
            Err(error) => {
                tracing::warn!(%error, key = self.name.as_str(), "the key store did not sign a TLS handshake");
                Err(Error::General("the key store did not sign".into()))
            }
        }
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ECDSA_NISTP384_SHA384
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenKey({})", self.name.as_str())
    }
}
