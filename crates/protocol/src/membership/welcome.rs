//! The welcome bundle: certificate chain and rosters for a new hub, encrypted to its first encryption key.
//!
//! Opening it shows possession of that key.

use minicbor::{Decode, Encode};

use super::chain::RosterFile;
use crate::codec::{self, CodecError};
use crate::domain;
use crate::ids::{ConsortiumId, EncryptionKeyId, HubId};
use crate::limits::{CERTIFICATE_BYTES_MAX, ROSTER_CHAIN_BYTES_MAX};
use crate::suite::Suite;

/// Certificates from the hub's own up to the root.
const CERTIFICATES_MAX: usize = 4;
/// HPKE encapsulation and tag, and the CBOR around them.
const OVERHEAD_BYTES_MAX: usize = 4 << 10;

/// What is inside.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct WelcomeContent {
    /// DER certificates: the hub's, the issuing CA's, the root.
    #[n(0)]
    pub certificates: Vec<CertificateDer>,
    /// The roster chain from version 0.
    #[n(1)]
    pub rosters: RosterFile,
}

/// A DER certificate.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub struct CertificateDer(
    /// The bytes.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub Vec<u8>,
);

/// The bundle file.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Welcome {
    /// Where.
    #[n(0)]
    pub consortium: ConsortiumId,
    /// For whom.
    #[n(1)]
    pub hub: HubId,
    /// Key that it is encrypted to.
    #[n(2)]
    pub key: EncryptionKeyId,
    /// HPKE encapsulation and ciphertext of the canonical [`WelcomeContent`].
    #[cbor(n(3), with = "minicbor::bytes")]
    pub sealed: Vec<u8>,
}

impl Welcome {
    /// Canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Parses a bundle file.
    ///
    /// # Errors
    /// Not canonical, or too large.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CodecError> {
        codec::decode(bytes, ROSTER_CHAIN_BYTES_MAX + OVERHEAD_BYTES_MAX)
    }

    /// HPKE info: label, suite (2 bytes), consortium id, hub id, key id.
    pub fn info(suite: Suite, consortium: &ConsortiumId, hub: &HubId, key: &EncryptionKeyId) -> Vec<u8> {
        let suite = suite.code().to_be_bytes();
        domain::WELCOME.message(&[&suite, consortium.as_bytes(), hub.as_bytes(), key.as_bytes()])
    }
}

impl WelcomeContent {
    /// Canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Parses decrypted content. Neither certificates nor rosters are verified yet.
    ///
    /// # Errors
    /// Not canonical, too large, or a certificate over its limit.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CodecError> {
        let content: Self = codec::decode(bytes, ROSTER_CHAIN_BYTES_MAX)?;
        let longest = content.certificates.iter().map(|der| der.0.len()).max().unwrap_or(0);
        if longest > CERTIFICATE_BYTES_MAX || content.certificates.len() > CERTIFICATES_MAX {
            return Err(CodecError::TooLarge { len: longest, max: CERTIFICATE_BYTES_MAX });
        }
        Ok(content)
    }
}
