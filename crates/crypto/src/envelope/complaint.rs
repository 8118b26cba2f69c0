//! Complaints: a recipient reveals the key of one envelope, anybody sees what its origin did.

use cresset_protocol::envelope::EnvelopeHeader;
use cresset_protocol::log::leaf::Leaf;

use super::keys::ObjectKey;
use super::open::{OpenError, OpenedEnvelope, Received};

/// What a revealed key shows.
#[derive(Debug)]
#[non_exhaustive]
pub enum Finding {
    /// The key is not the one that the header commits to: no evidence of anything.
    NoEvidence,
    /// The committed key decrypts nothing.
    Undecryptable,
    /// It decrypts to something malformed.
    Malformed,
    /// The record inside is not what the leaf commits to.
    FalseRecord,
    /// All is in order as far as the envelope goes; whether the view fits its object root is for the caller to see.
    InOrder(OpenedEnvelope),
}

/// Examines a complaint about an envelope.
///
/// # Errors
/// [`OpenError`] if header, leaf and body do not belong together, so that there is nothing to examine.
pub fn examine(header: &EnvelopeHeader, leaf: &Leaf, body: &[u8], revealed: &ObjectKey) -> Result<Finding, OpenError> {
    match Received::check(header, leaf, body)?.open(revealed) {
        Ok(opened) => Ok(Finding::InOrder(opened)),
        Err(OpenError::KeyCommitment) => Ok(Finding::NoEvidence),
        Err(OpenError::Decrypt) => Ok(Finding::Undecryptable),
        Err(OpenError::Content(_)) => Ok(Finding::Malformed),
        Err(OpenError::Commitment) => Ok(Finding::FalseRecord),
        Err(other) => Err(other),
    }
}
