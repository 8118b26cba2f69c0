//! Policy bundles: schema and policies under one digest.

use cresset_protocol::codec::{self, CodecError};
use cresset_protocol::domain;
use cresset_protocol::ids::PolicyDigest;
use minicbor::{Decode, Encode};
use sha2::{Digest, Sha256};

/// Encoded size of a bundle.
pub const BUNDLE_BYTES_MAX: usize = 1 << 20;

const BASELINE_SCHEMA: &str = include_str!("schema.cedarschema");
const BASELINE_POLICIES: &str = include_str!("baseline.cedar");

/// Which layer a bundle belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum Layer {
    /// Shipped with the program.
    #[n(0)]
    Baseline,
    /// Agreed by the consortium; its digest stands in the roster.
    #[n(1)]
    Consortium,
    /// A hub's own.
    #[n(2)]
    National,
}

/// A set of policies that comes into force as one.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct PolicyBundle {
    /// Name, for people.
    #[n(0)]
    pub name: String,
    /// Ascends with each change.
    #[n(1)]
    pub version: u64,
    /// Layer.
    #[n(2)]
    pub layer: Layer,
    /// Cedar schema that the policies were written for.
    #[n(3)]
    pub schema: String,
    /// Cedar policies.
    #[n(4)]
    pub policies: String,
}

impl PolicyBundle {
    /// The baseline of this program.
    pub fn baseline() -> Self {
        Self {
            name: "cresset-baseline".to_owned(),
            version: 1,
            layer: Layer::Baseline,
            schema: BASELINE_SCHEMA.to_owned(),
            policies: BASELINE_POLICIES.to_owned(),
        }
    }

    /// A bundle of ours for the baseline's schema.
    pub fn overlay(name: &str, version: u64, layer: Layer, policies: &str) -> Self {
        Self {
            name: name.to_owned(),
            version,
            layer,
            schema: BASELINE_SCHEMA.to_owned(),
            policies: policies.to_owned(),
        }
    }

    /// The canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Decodes canonical bytes from outside.
    ///
    /// # Errors
    /// Anything but the one encoding of a bundle within [`BUNDLE_BYTES_MAX`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CodecError> {
        codec::decode(bytes, BUNDLE_BYTES_MAX)
    }

    /// Digest under the POLICY domain.
    pub fn digest(&self) -> PolicyDigest {
        PolicyDigest(domain::POLICY.digest(&[&self.to_bytes()]))
    }

    /// SHA-256 of the schema's text.
    pub fn schema_digest(&self) -> [u8; 32] {
        Sha256::digest(self.schema.as_bytes()).into()
    }
}
