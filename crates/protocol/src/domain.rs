//! Domain separators: one label per use of a hash, MAC, KDF or signature, so that no byte string means two things.
//!
//! Every label reads `cresset/<name>/1\n` and none is a prefix of another. `protocol-spec/00-conventions.md` holds the
//! same table; a test compares the two.

use sha2::{Digest, Sha256};

/// A domain separator: the bytes that open every input of one use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Domain(&'static str);

macro_rules! domains {
    ($($(#[$doc:meta])* $name:ident = $label:literal;)*) => {
        $($(#[$doc])* pub const $name: Domain = Domain(concat!("cresset/", $label, "/1\n"));)*
        /// The whole table, in the order of the specification.
        pub const ALL: &[Domain] = &[$($name),*];
    };
}

domains! {
    /// Consortium id: digest of the body of roster version 0.
    CONSORTIUM = "consortium";
    /// Digest of a roster body.
    ROSTER = "roster";
    /// Officer signatures over a roster digest.
    ROSTER_SIGNATURE = "roster-signature";
    /// Officer signatures over a suspension.
    SUSPENSION = "suspension";
    /// Commitment to a group document.
    GROUP = "group";
    /// HPKE info of a group document's stanza.
    GROUP_STANZA = "group-stanza";
    /// Digest of an enrolment request.
    ENROLMENT = "enrolment";
    /// Possession proofs over an enrolment request digest.
    POSSESSION = "possession";
    /// An officer's approval of an enrolment request.
    APPROVAL = "approval";
    /// Digest of one step of a ceremony transcript.
    TRANSCRIPT = "transcript";
    /// HPKE info of a welcome bundle.
    WELCOME = "welcome";
    /// Log id: digest of a log manifest.
    LOG = "log";
    /// Commitment C of a leaf.
    COMMITMENT = "commitment";
    /// Root over the heads of all other logs (X of a HEADS leaf).
    HEADS = "heads";
    /// Root over the salted statements of a slot.
    SLOT = "slot";
    /// Digest of an envelope header (X of a leaf).
    ENVELOPE = "envelope";
    /// Salt of an envelope.
    SALT = "salt";
    /// Object key from the audience key.
    OBJECT_KEY = "object";
    /// Envelope key and key commitment from the object key.
    ENVELOPE_KEY = "env";
    /// Root over the segments of an envelope.
    SEGMENTS = "segments";
    /// Audience id from the audience key.
    AUDIENCE = "audience";
    /// HPKE info of a grant stanza.
    GRANT = "grant";
    /// HPKE info of a stanza of a direct envelope.
    DIRECT = "direct";
    /// Attribute tree leaf.
    ATTRIBUTE = "attribute";
    /// Attribute salts from the version's seed.
    ATTRIBUTE_SALT = "attribute-salt";
    /// Digest of native bytes (leaf 0 of an attribute tree).
    NATIVE = "native";
    /// Hello signature inside the transport upgrade.
    HELLO = "hello";
    /// Digest of a policy bundle.
    POLICY = "policy";
    /// Canonical decision input of a RELEASE.
    DECISION = "decision";
    /// Digest of one file of an audit bundle.
    BUNDLE = "bundle";
    /// A data key wrapped at rest.
    AT_REST = "at-rest";
    /// A private encryption key wrapped by a token key.
    KEY_WRAP = "key-wrap";
    /// Known-answer self-test.
    SELF_TEST = "self-test";
}

impl Domain {
    /// The label's bytes, line feed included.
    pub const fn as_bytes(self) -> &'static [u8] {
        self.0.as_bytes()
    }

    /// The label as text.
    pub const fn as_str(self) -> &'static str {
        self.0
    }

    /// SHA-256(label || parts).
    pub fn digest(self, parts: &[&[u8]]) -> [u8; 32] {
        let mut hash = Sha256::new_with_prefix(self.as_bytes());
        for part in parts {
            hash.update(part);
        }
        hash.finalize().into()
    }

    /// label || parts, for signing and key derivation.
    pub fn message(self, parts: &[&[u8]]) -> Vec<u8> {
        let mut out = self.as_bytes().to_vec();
        for part in parts {
            out.extend_from_slice(part);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_label_is_a_prefix_of_another() {
        for (i, a) in ALL.iter().enumerate() {
            assert!(a.as_str().starts_with("cresset/") && a.as_str().ends_with("/1\n"), "{a:?}");
            for (j, b) in ALL.iter().enumerate() {
                assert!(i == j || !b.as_str().starts_with(a.as_str()), "{a:?} is a prefix of {b:?}");
            }
        }
    }
}
