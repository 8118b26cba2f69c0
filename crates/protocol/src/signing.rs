//! Keys and signatures as bytes, and the one trait through which the state machines verify them.
//!
//! This crate never signs and never computes a signature itself: the simulator verifies keyed hashes through the same
//! trait that `cresset-crypto` implements with aws-lc.

use minicbor::{Decode, Decoder, Encode, Encoder, decode, encode};

macro_rules! fixed_bytes {
    ($($(#[$doc:meta])* $name:ident[$len:literal];)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Box<[u8; $len]>);

        impl $name {
            /// Length in bytes.
            pub const LEN: usize = $len;

            /// The bytes.
            pub fn as_bytes(&self) -> &[u8] {
                self.0.as_slice()
            }
        }

        impl From<[u8; $len]> for $name {
            fn from(bytes: [u8; $len]) -> Self {
                Self(Box::new(bytes))
            }
        }

        impl TryFrom<&[u8]> for $name {
            type Error = WrongLength;
            fn try_from(bytes: &[u8]) -> Result<Self, WrongLength> {
                let wrong = WrongLength { what: stringify!($name), len: bytes.len(), expected: $len };
                Ok(Self(Box::new(bytes.try_into().map_err(|_| wrong)?)))
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let head = self.0.get(..8).unwrap_or_default();
                write!(f, concat!(stringify!($name), "({}..)"), data_encoding::HEXLOWER.encode(head))
            }
        }

        impl<C> Encode<C> for $name {
            fn encode<W: encode::Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), encode::Error<W::Error>> {
                e.bytes(self.as_bytes())?.ok()
            }
        }

        impl<'b, C> Decode<'b, C> for $name {
            fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, decode::Error> {
                let at = d.position();
                Self::try_from(d.bytes()?).map_err(|e| decode::Error::message(e).at(at))
            }
        }
    )*};
}

fixed_bytes! {
    /// P-384 public key, uncompressed SEC1 point (0x04 || x || y).
    P384PublicKey[97];
    /// ECDSA P-384/SHA-384 signature, r || s, low s.
    P384Signature[96];
    /// ML-DSA-65 public key (FIPS 204).
    MlDsa65PublicKey[1952];
    /// ML-DSA-65 signature, empty context.
    MlDsa65Signature[3309];
    /// ML-DSA-87 public key (FIPS 204).
    MlDsa87PublicKey[2592];
    /// ML-DSA-87 signature, empty context.
    MlDsa87Signature[4627];
    /// HPKE MlKem1024P384 public key.
    EncryptionPublicKey[1665];
}

/// The two public keys of a log.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(map)]
pub struct LogKeys {
    /// ECDSA P-384 half.
    #[n(0)]
    pub p384: P384PublicKey,
    /// ML-DSA-65 half.
    #[n(1)]
    pub ml_dsa_65: MlDsa65PublicKey,
}

/// The two signatures of a log over the same bytes; both must verify.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct LogSignatures {
    /// ECDSA P-384 half.
    #[n(0)]
    pub p384: P384Signature,
    /// ML-DSA-65 half.
    #[n(1)]
    pub ml_dsa_65: MlDsa65Signature,
}

/// The two public keys of an officer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(map)]
pub struct OfficerKeys {
    /// ECDSA P-384 half.
    #[n(0)]
    pub p384: P384PublicKey,
    /// ML-DSA-87 half.
    #[n(1)]
    pub ml_dsa_87: MlDsa87PublicKey,
}

/// The two signatures of an officer over the same bytes; both must verify.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct OfficerSignatures {
    /// ECDSA P-384 half.
    #[n(0)]
    pub p384: P384Signature,
    /// ML-DSA-87 half.
    #[n(1)]
    pub ml_dsa_87: MlDsa87Signature,
}

/// Verifies single signatures. Hybrid rules (both halves, cheaper half first) are this module's, not the implementor's.
pub trait SignatureVerifier {
    /// ECDSA P-384 over SHA-384(message). A high s is refused.
    fn verify_p384(&self, key: &P384PublicKey, message: &[u8], signature: &P384Signature) -> bool;
    /// ML-DSA-65 with the empty context.
    fn verify_ml_dsa_65(&self, key: &MlDsa65PublicKey, message: &[u8], signature: &MlDsa65Signature) -> bool;
    /// ML-DSA-87 with the empty context.
    fn verify_ml_dsa_87(&self, key: &MlDsa87PublicKey, message: &[u8], signature: &MlDsa87Signature) -> bool;
}

impl LogKeys {
    /// Both halves over the same message. ML-DSA is four times cheaper to verify, so it goes first.
    pub fn verify(&self, verifier: &dyn SignatureVerifier, message: &[u8], signatures: &LogSignatures) -> bool {
        verifier.verify_ml_dsa_65(&self.ml_dsa_65, message, &signatures.ml_dsa_65)
            && verifier.verify_p384(&self.p384, message, &signatures.p384)
    }
}

impl OfficerKeys {
    /// Both halves over the same message.
    pub fn verify(&self, verifier: &dyn SignatureVerifier, message: &[u8], signatures: &OfficerSignatures) -> bool {
        verifier.verify_ml_dsa_87(&self.ml_dsa_87, message, &signatures.ml_dsa_87)
            && verifier.verify_p384(&self.p384, message, &signatures.p384)
    }
}

/// Key or signature bytes of the wrong length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what} has {len} bytes, not {expected}")]
pub struct WrongLength {
    /// The type asked for.
    pub what: &'static str,
    /// Bytes offered.
    pub len: usize,
    /// Bytes needed.
    pub expected: usize,
}
