//! Software keys, for tests only.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair, ML_DSA_65_SIGNING, ML_DSA_87_SIGNING, PqdsaKeyPair,
};
use cresset_crypto::normalise_p384;
use cresset_protocol::signing::{
    LogKeys, LogSignatures, MlDsa65PublicKey, MlDsa65Signature, MlDsa87PublicKey, MlDsa87Signature, OfficerKeys,
    OfficerSignatures, P384PublicKey, P384Signature,
};

pub struct Signer {
    p384: EcdsaKeyPair,
    ml_dsa: PqdsaKeyPair,
}

impl Signer {
    pub fn log() -> Self {
        Self::of(PqdsaKeyPair::generate(&ML_DSA_65_SIGNING).unwrap())
    }

    pub fn officer() -> Self {
        Self::of(PqdsaKeyPair::generate(&ML_DSA_87_SIGNING).unwrap())
    }

    fn of(ml_dsa: PqdsaKeyPair) -> Self {
        Self { p384: EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap(), ml_dsa }
    }

    fn p384_key(&self) -> P384PublicKey {
        P384PublicKey::try_from(self.p384.public_key().as_ref()).unwrap()
    }

    fn p384_signature(&self, message: &[u8]) -> P384Signature {
        let raw = self.p384.sign(&SystemRandom::new(), message).unwrap();
        normalise_p384(raw.as_ref().try_into().unwrap())
    }

    fn ml_dsa_signature(&self, message: &[u8]) -> Vec<u8> {
        let mut out = vec![0; self.ml_dsa.algorithm().signature_len()];
        let len = self.ml_dsa.sign(message, &mut out).unwrap();
        out.truncate(len);
        out
    }

    pub fn log_keys(&self) -> LogKeys {
        let ml_dsa_65 = MlDsa65PublicKey::try_from(self.ml_dsa.public_key().as_ref()).unwrap();
        LogKeys { p384: self.p384_key(), ml_dsa_65 }
    }

    pub fn officer_keys(&self) -> OfficerKeys {
        let ml_dsa_87 = MlDsa87PublicKey::try_from(self.ml_dsa.public_key().as_ref()).unwrap();
        OfficerKeys { p384: self.p384_key(), ml_dsa_87 }
    }

    pub fn sign_log(&self, message: &[u8]) -> LogSignatures {
        let ml_dsa_65 = MlDsa65Signature::try_from(self.ml_dsa_signature(message).as_slice()).unwrap();
        LogSignatures { p384: self.p384_signature(message), ml_dsa_65 }
    }

    pub fn sign_officer(&self, message: &[u8]) -> OfficerSignatures {
        let ml_dsa_87 = MlDsa87Signature::try_from(self.ml_dsa_signature(message).as_slice()).unwrap();
        OfficerSignatures { p384: self.p384_signature(message), ml_dsa_87 }
    }
}
