//! Makes the vectors of the self-test: `cargo run --release -p cresset-crypto --example self_test_vectors -- DIRECTORY`.
//!
//! ML-DSA is signed by the second implementation (`ml-dsa`), so that the self-test also compares the two.

use std::path::PathBuf;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use cresset_crypto::{EncryptionKeyPair, hpke_seal, normalise_p384};
use cresset_protocol::domain::SELF_TEST;
use ml_dsa::{MlDsa65, MlDsa87, Signer, SigningKey};

fn main() {
    let directory = PathBuf::from(std::env::args_os().nth(1).expect("usage: self_test_vectors DIRECTORY"));
    let write = |name: &str, bytes: &[u8]| std::fs::write(directory.join(name), bytes).expect("directory is writable");
    let seed = [0x5e; 32];
    let message = SELF_TEST.as_bytes();

    let p384 = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).expect("key generation");
    let signature = p384.sign(&SystemRandom::new(), message).expect("signing");
    let raw = signature.as_ref().try_into().expect("raw signatures have 96 bytes");
    write("p384.public", p384.public_key().as_ref());
    write("p384.signature", normalise_p384(raw).as_bytes());

    let signature = SigningKey::<MlDsa65>::from_seed(&seed.into()).sign(message);
    write("ml-dsa-65.signature", signature.encode().as_slice());
    let signature = SigningKey::<MlDsa87>::from_seed(&seed.into()).sign(message);
    write("ml-dsa-87.signature", signature.encode().as_slice());

    let pair = EncryptionKeyPair::from_secret_bytes(&seed).expect("a seed");
    write("hpke.sealed", &hpke_seal(pair.public(), message, b"", &seed).expect("encryption"));
}
