//! A view as the store keeps it: the share that it verifies against, and the payload.

use cresset_protocol::codec::{self, CodecError};
use cresset_protocol::limits::OBJECT_BYTES_MAX;
use cresset_protocol::object::publish_share::{PublishShare, PublishShareError};
use cresset_protocol::object::view::{self, VerifiedView, ViewError, ViewPayload};
use minicbor::{Decode, Encode};
use thiserror::Error;

/// Share and payload, both canonical.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct StoredView {
    /// Encoded [`PublishShare`].
    #[cbor(n(0), with = "minicbor::bytes")]
    pub(crate) share: Vec<u8>,
    /// Encoded [`ViewPayload`].
    #[cbor(n(1), with = "minicbor::bytes")]
    pub(crate) payload: Vec<u8>,
}

impl StoredView {
    /// The bytes for the store.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Reads what the store gave back.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, StoredViewError> {
        let bytes_max = usize::try_from(OBJECT_BYTES_MAX).unwrap_or(usize::MAX);
        Ok(codec::decode(bytes, bytes_max)?)
    }

    /// Verifies the payload against the share: on the way in, and again each time it is read.
    pub(crate) fn verify(&self) -> Result<VerifiedView, StoredViewError> {
        let share = PublishShare::from_bytes(&self.share)?;
        let payload = ViewPayload::from_bytes(&self.payload)?;
        Ok(view::verify(&payload, &share)?)
    }
}

/// Why a view does not hold.
#[derive(Debug, Error)]
pub(crate) enum StoredViewError {
    /// Not canonical.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// The share is no PUBLISH share.
    #[error(transparent)]
    Share(#[from] PublishShareError),
    /// The payload does not belong to the published object.
    #[error(transparent)]
    View(#[from] ViewError),
}
