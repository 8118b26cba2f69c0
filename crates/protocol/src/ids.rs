//! Identifiers and units as types of their own, so that a size is never taken for an index or one digest for another.

use std::fmt;

use minicbor::{Decode, Decoder, Encode, Encoder, decode, encode};

macro_rules! byte_id {
    ($($(#[$doc:meta])* $name:ident[$len:literal];)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $len]);

        impl $name {
            /// Length in bytes.
            pub const LEN: usize = $len;

            /// The bytes.
            pub const fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }

            /// Parses lower-case hexadecimal of the exact length.
            ///
            /// # Errors
            /// [`ParseIdError`] for anything else.
            pub fn from_hex(text: &str) -> Result<Self, ParseIdError> {
                let bytes = data_encoding::HEXLOWER.decode(text.as_bytes()).map_err(|_| ParseIdError(stringify!($name)))?;
                bytes.as_slice().try_into().map(Self).map_err(|_| ParseIdError(stringify!($name)))
            }
        }

        impl From<[u8; $len]> for $name {
            fn from(bytes: [u8; $len]) -> Self {
                Self(bytes)
            }
        }

        impl TryFrom<&[u8]> for $name {
            type Error = ParseIdError;
            fn try_from(bytes: &[u8]) -> Result<Self, ParseIdError> {
                bytes.try_into().map(Self).map_err(|_| ParseIdError(stringify!($name)))
            }
        }

        impl std::str::FromStr for $name {
            type Err = ParseIdError;
            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                Self::from_hex(text)
            }
        }

        impl AsRef<[u8]> for $name {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl<C> Encode<C> for $name {
            fn encode<W: encode::Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), encode::Error<W::Error>> {
                e.bytes(&self.0)?.ok()
            }
        }

        impl<'b, C> Decode<'b, C> for $name {
            fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, decode::Error> {
                let at = d.position();
                Self::try_from(d.bytes()?).map_err(|_| decode::Error::message(concat!("wrong length of ", stringify!($name))).at(at))
            }
        }
    )*};
}

byte_id! {
    /// A consortium: digest of the body of its roster version 0.
    ConsortiumId[32];
    /// A log: digest of its manifest.
    LogId[32];
    /// A hub: 16 random bytes chosen at enrolment. Says nothing about role or country.
    HubId[16];
    /// A sharing group: 16 random bytes, opaque to everyone outside it.
    GroupId[16];
    /// The UUID of a CTI object, as its native format writes it.
    ObjectUuid[16];
    /// Digest of a roster body.
    RosterDigest[32];
    /// SHA-256 of a DER SubjectPublicKeyInfo; its multihash is the libp2p peer id.
    SpkiDigest[32];
    /// Node of a Merkle tree (RFC 9162 section 2.1), leaf hashes among them.
    NodeHash[32];
    /// Commitment C of a leaf.
    Commitment[32];
    /// Binding X of a leaf: what else the leaf commits to, by kind.
    Binding[32];
    /// Digest of an envelope header.
    HeaderDigest[32];
    /// Root over the segments of an envelope.
    SegmentRoot[32];
    /// Commitment to the key of an envelope.
    KeyCommitment[32];
    /// Identifier of an audience, derived from its key.
    AudienceId[32];
    /// Root of an object's attribute tree.
    ObjectRoot[32];
    /// Digest of a policy bundle.
    PolicyDigest[32];
    /// Identifier of one HPKE encryption key: SHA-256 of the public key.
    EncryptionKeyId[32];
}

impl ObjectUuid {
    /// The usual hyphenated lower-case form.
    pub fn hyphenated(&self) -> String {
        uuid::Uuid::from_bytes(self.0).hyphenated().to_string()
    }

    /// Parses the hyphenated form in either case.
    ///
    /// # Errors
    /// [`ParseIdError`] for anything else.
    pub fn parse_hyphenated(text: &str) -> Result<Self, ParseIdError> {
        let parsed = uuid::Uuid::try_parse(text).map_err(|_| ParseIdError("ObjectUuid"))?;
        if text.len() != 36 {
            return Err(ParseIdError("ObjectUuid"));
        }
        Ok(Self(parsed.into_bytes()))
    }
}

macro_rules! number {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl<C> Encode<C> for $name {
            fn encode<W: encode::Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), encode::Error<W::Error>> {
                e.u64(self.0)?.ok()
            }
        }

        impl<'b, C> Decode<'b, C> for $name {
            fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, decode::Error> {
                d.u64().map(Self)
            }
        }
    )*};
}

number! {
    /// Position of a leaf in its log, from 0.
    LeafIndex;
    /// Number of leaves in a log.
    TreeSize;
    /// POSIX time in whole seconds.
    UnixSeconds;
    /// Version of a roster, from 0.
    RosterVersion;
    /// Version of a CTI object at its origin, ascending.
    ObjectVersion;
    /// Serial of a grant within its log, ascending.
    GrantSerial;
    /// Number of an encryption-key period.
    KeyPeriod;
}

/// Two upper-case letters (ISO 3166-1 alpha-2).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Country([u8; 2]);

impl Country {
    /// Parses two upper-case ASCII letters.
    ///
    /// # Errors
    /// [`ParseIdError`] for anything else.
    pub fn parse(text: &str) -> Result<Self, ParseIdError> {
        match text.as_bytes() {
            [a, b] if a.is_ascii_uppercase() && b.is_ascii_uppercase() => Ok(Self([*a, *b])),
            _ => Err(ParseIdError("Country")),
        }
    }

    /// The two letters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("two ASCII letters by construction")
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Country({self})")
    }
}

impl<C> Encode<C> for Country {
    fn encode<W: encode::Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), encode::Error<W::Error>> {
        e.str(self.as_str())?.ok()
    }
}

impl<'b, C> Decode<'b, C> for Country {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, decode::Error> {
        let at = d.position();
        Self::parse(d.str()?).map_err(|_| decode::Error::message("not a country code").at(at))
    }
}

/// Text or bytes that are no identifier of the named type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {0}")]
pub struct ParseIdError(pub &'static str);
