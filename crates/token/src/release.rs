//! The last gate: a signature is released only when the key's public half verifies it.

use cresset_crypto::{Verifier, normalise_p384};
use cresset_protocol::signing::{
    MlDsa65PublicKey, MlDsa65Signature, MlDsa87PublicKey, MlDsa87Signature, P384PublicKey, P384Signature,
    SignatureVerifier,
};

use crate::error::KeyStoreError;
use crate::keystore::KeyName;

pub(crate) fn p384(
    name: &KeyName,
    key: &P384PublicKey,
    message: &[u8],
    raw: &[u8],
) -> Result<P384Signature, KeyStoreError> {
    let signature = normalise_p384(raw.try_into().map_err(|_| faulty(name))?);
    if Verifier.verify_p384(key, message, &signature) { Ok(signature) } else { Err(faulty(name)) }
}

pub(crate) fn ml_dsa_65(
    name: &KeyName,
    key: &MlDsa65PublicKey,
    message: &[u8],
    raw: &[u8],
) -> Result<MlDsa65Signature, KeyStoreError> {
    let signature = MlDsa65Signature::try_from(raw).map_err(|_| faulty(name))?;
    if Verifier.verify_ml_dsa_65(key, message, &signature) { Ok(signature) } else { Err(faulty(name)) }
}

pub(crate) fn ml_dsa_87(
    name: &KeyName,
    key: &MlDsa87PublicKey,
    message: &[u8],
    raw: &[u8],
) -> Result<MlDsa87Signature, KeyStoreError> {
    let signature = MlDsa87Signature::try_from(raw).map_err(|_| faulty(name))?;
    if Verifier.verify_ml_dsa_87(key, message, &signature) { Ok(signature) } else { Err(faulty(name)) }
}

fn faulty(name: &KeyName) -> KeyStoreError {
    tracing::error!(key = name.as_str(), "the key store returned a signature that does not verify; it was withheld");
    KeyStoreError::Faulty { name: name.as_str().to_owned(), what: "signature" }
}
