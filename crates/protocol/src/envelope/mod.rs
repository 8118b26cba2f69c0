//! Envelopes: the encrypted form in which a view travels (`protocol-spec/03-envelope.md`).
//!
//! Here are the header, the layout of the body, the plaintext's framing and the contexts to which keys are bound, all
//! without a cipher: `cresset-crypto` computes with them.

mod content;
mod grant;
mod header;
mod padding;
mod segments;
mod stanza;
mod wire;

pub use content::{Content, ContentError, Plaintext, parse_plaintext};
pub use grant::KeyGrantShare;
pub use header::{
    Addressing, EnvelopeHeader, EnvelopeKind, HeaderError, HeaderTerms, Relay, StanzaTerms, header_digest_of_wire,
};
pub use padding::padme;
pub use segments::{BodyLayout, LayoutError, SEGMENT_TAG_BYTES, SegmentDigests, segment_nonce};
pub use stanza::{
    STANZA_BYTES, STANZA_KEY_BYTES, Stanza, audience_context, direct_context, encryption_key_id, grant_context,
    stanza_position,
};
