//! AES-256-GCM with a key that never leaves the token.

use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::object::ObjectHandle;
use zeroize::Zeroizing;

use crate::error::KeyStoreError;
use crate::keystore::KeyName;
use crate::kind::KeyKind;
use crate::pkcs11::fault::{Fault, Rung};
use crate::pkcs11::ladder::Call;
use crate::pkcs11::profile::GcmNonce;
use crate::software::{WrappedParts, random_nonce};

const TAG_BITS: u64 = 128;
/// What the buffer holds before the token writes its nonce into it.
const UNWRITTEN: [u8; 12] = [0; 12];

impl Call<'_> {
    /// Wraps a secret and checks that it can be unwrapped: what is wrapped is often destroyed next.
    pub(crate) fn wrap(&self, name: &KeyName, by: GcmNonce, context: &[u8], secret: &[u8]) -> Result<Vec<u8>, Fault> {
        let key = self.key(name, KeyKind::Wrapping)?.handle;
        let (nonce, ciphertext) = self.encrypt(name, key, by, context, secret)?;
        let parts = WrappedParts { nonce, ciphertext: &ciphertext };
        if self.decrypt(key, context, &parts)?.as_slice() != secret {
            return Err(Fault::Final(KeyStoreError::Faulty { name: name.as_str().to_owned(), what: "ciphertext" }));
        }
        Ok(parts.to_bytes())
    }

    /// Unwraps a secret.
    pub(crate) fn unwrap(
        &self,
        name: &KeyName,
        by: GcmNonce,
        context: &[u8],
        parts: &WrappedParts<'_>,
    ) -> Result<Zeroizing<Vec<u8>>, Fault> {
        let key = self.key(name, KeyKind::Wrapping)?.handle;
        match self.decrypt(key, context, parts) {
            Err(Fault::Token(Error::Pkcs11(code, _))) if says_nothing(code) => {
                // Tokens report a wrong tag with all kinds of errors. If the key still works, the ciphertext is bad;
                // otherwise a bad ciphertext could make us re-initialise the module.
                self.encrypt(name, key, by, context, b"canary")?;
                Err(Fault::Final(KeyStoreError::NotAuthentic { name: name.as_str().to_owned() }))
            }
            result => result,
        }
    }

    fn encrypt(
        &self,
        name: &KeyName,
        key: ObjectHandle,
        by: GcmNonce,
        context: &[u8],
        secret: &[u8],
    ) -> Result<([u8; 12], Vec<u8>), Fault> {
        let mut nonce = match by {
            GcmNonce::Caller => random_nonce()?,
            // Zeros, because tokens that choose the nonce refuse a buffer with anything else in it.
            GcmNonce::Token => UNWRITTEN,
        };
        let params = GcmParams::new(&mut nonce, context, TAG_BITS.into())?;
        let ciphertext = self.session.encrypt(&Mechanism::AesGcm(params), key, secret)?;
        // A token that leaves the buffer alone would encrypt everything under one nonce, which gives the key away.
        if by == GcmNonce::Token && nonce == UNWRITTEN {
            return Err(Fault::Final(KeyStoreError::Faulty { name: name.as_str().to_owned(), what: "nonce" }));
        }
        Ok((nonce, ciphertext))
    }

    fn decrypt(
        &self,
        key: ObjectHandle,
        context: &[u8],
        parts: &WrappedParts<'_>,
    ) -> Result<Zeroizing<Vec<u8>>, Fault> {
        let mut nonce = parts.nonce;
        let params = GcmParams::new(&mut nonce, context, TAG_BITS.into())?;
        Ok(Zeroizing::new(self.session.decrypt(&Mechanism::AesGcm(params), key, parts.ciphertext)?))
    }
}

/// Whether the code may mean a wrong tag: it does not point at session, login or module.
fn says_nothing(code: RvError) -> bool {
    let generic = matches!(
        code,
        RvError::GeneralError
            | RvError::FunctionFailed
            | RvError::DeviceError
            | RvError::VendorDefined(_)
            | RvError::UnknownErrorCode(_)
    );
    generic || Fault::Token(Error::Pkcs11(code, cryptoki::context::Function::Decrypt)).next(Rung::AsIs).is_none()
}
