//! Signature verification with aws-lc.

use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED, ML_DSA_65, ML_DSA_87, UnparsedPublicKey};
use cresset_protocol::signing::{
    MlDsa65PublicKey, MlDsa65Signature, MlDsa87PublicKey, MlDsa87Signature, P384PublicKey, P384Signature,
    SignatureVerifier,
};

/// The product's [`SignatureVerifier`]. Stateless; hybrid rules are `cresset_protocol::signing`'s.
#[derive(Clone, Copy, Debug, Default)]
pub struct Verifier;

impl SignatureVerifier for Verifier {
    fn verify_p384(&self, key: &P384PublicKey, message: &[u8], signature: &P384Signature) -> bool {
        // Both s and n - s verify under plain ECDSA. One of the two is refused, so that a signature has one encoding and
        // a digest over signed bytes cannot be varied by a third party.
        is_low_s(signature.as_bytes())
            && UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, key.as_bytes())
                .verify(message, signature.as_bytes())
                .is_ok()
    }

    fn verify_ml_dsa_65(&self, key: &MlDsa65PublicKey, message: &[u8], signature: &MlDsa65Signature) -> bool {
        UnparsedPublicKey::new(&ML_DSA_65, key.as_bytes()).verify(message, signature.as_bytes()).is_ok()
    }

    fn verify_ml_dsa_87(&self, key: &MlDsa87PublicKey, message: &[u8], signature: &MlDsa87Signature) -> bool {
        UnparsedPublicKey::new(&ML_DSA_87, key.as_bytes()).verify(message, signature.as_bytes()).is_ok()
    }
}

/// Turns the raw r || s of any ECDSA P-384 signer into the low-s form that the protocol carries.
pub fn normalise_p384(mut raw: [u8; P384Signature::LEN]) -> P384Signature {
    if !is_low_s(&raw)
        && let Some(s) = raw.last_chunk_mut::<SCALAR_BYTES>()
    {
        *s = subtract(&ORDER, s);
    }
    raw.into()
}

const SCALAR_BYTES: usize = 48;

/// Order n of P-384 (SP 800-186 section 3.2.1.4).
const ORDER: [u8; SCALAR_BYTES] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xc7, 0x63, 0x4d, 0x81, 0xf4, 0x37, 0x2d, 0xdf, 0x58, 0x1a, 0x0d, 0xb2, 0x48, 0xb0,
    0xa7, 0x7a, 0xec, 0xec, 0x19, 0x6a, 0xcc, 0xc5, 0x29, 0x73,
];

/// s <= n - s, that is s <= floor(n / 2). Signatures are public: no need for constant time.
fn is_low_s(signature: &[u8]) -> bool {
    match signature.last_chunk::<SCALAR_BYTES>() {
        Some(s) if *s < ORDER => *s <= subtract(&ORDER, s),
        _ => false,
    }
}

/// `a - b` for big-endian numbers, modulo 2^384.
fn subtract(a: &[u8; SCALAR_BYTES], b: &[u8; SCALAR_BYTES]) -> [u8; SCALAR_BYTES] {
    let mut out = [0; SCALAR_BYTES];
    let mut borrow = false;
    for ((out, a), b) in out.iter_mut().zip(a).zip(b).rev() {
        let (difference, under) = a.overflowing_sub(*b);
        let (difference, under_again) = difference.overflowing_sub(u8::from(borrow));
        *out = difference;
        borrow = under || under_again;
    }
    out
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair};

    use super::*;

    #[test]
    fn exactly_one_of_s_and_its_negative_is_accepted() {
        let rng = SystemRandom::new();
        let pair = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
        let key = P384PublicKey::try_from(pair.public_key().as_ref()).unwrap();
        for _ in 0..16 {
            let raw: [u8; 96] = pair.sign(&rng, b"m").unwrap().as_ref().try_into().unwrap();
            let low = normalise_p384(raw);
            assert!(Verifier.verify_p384(&key, b"m", &low));
            assert!(!Verifier.verify_p384(&key, b"n", &low));
            let mut high = <[u8; 96]>::try_from(low.as_bytes()).unwrap();
            let s: [u8; 48] = high[48..].try_into().unwrap();
            high[48..].copy_from_slice(&subtract(&ORDER, &s));
            assert!(
                !Verifier.verify_p384(&key, b"m", &high.into()),
                "the negative of s is another encoding of one signature"
            );
        }
    }

    #[test]
    fn the_boundary_of_low_s_is_half_the_order() {
        // floor(n / 2), bit by bit.
        let mut half = [0u8; 48];
        let mut carry = 0;
        for (half, n) in half.iter_mut().zip(ORDER) {
            *half = (n >> 1) | (carry << 7);
            carry = n & 1;
        }
        let with = |s: [u8; 48]| [[0u8; 48], s].concat();
        assert!(is_low_s(&with(half)));
        let mut above = half;
        above[47] += 1;
        assert!(!is_low_s(&with(above)));
        assert!(!is_low_s(&with(ORDER)) && !is_low_s(&with([0xff; 48])));
    }
}
