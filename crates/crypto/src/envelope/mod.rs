//! Envelope encryption (`protocol-spec/03-envelope.md`).
//!
//! A sender fills in a [`Draft`] and calls one of [`encrypt_for_audience`], [`encrypt_grant`], [`encrypt_direct`]; what
//! comes back gives header and X for the leaf. A recipient hands header, leaf and body to [`open_for_audience`],
//! [`open_grant`] or [`open_direct`]. Callers open only what stands under a verified checkpoint.
//!
//! Opening refuses in a fixed order: suite, X, body length, digests, then key, key commitment, and only then decrypts;
//! the record is checked against C before anything is returned.

mod cipher;
mod complaint;
mod encrypt;
mod keys;
mod open;

pub use complaint::{Finding, examine};
pub use encrypt::{
    DirectRecipients, Draft, EncryptError, EncryptedEnvelope, Recipient, RosterTerms, encrypt_direct,
    encrypt_for_audience, encrypt_grant,
};
pub use keys::{AudienceKey, KeyDerivationError, ObjectKey};
pub use open::{
    OpenError, OpenedEnvelope, OpenedGrant, StanzaChoice, direct_object_key, open_direct, open_for_audience, open_grant,
};

#[cfg(test)]
mod tests;
