//! Leaves of the attribute tree: their salts, their one encoding, their hashes.

use hmac::{Hmac, Mac};
use minicbor::{Encode, Encoder};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::domain::{ATTRIBUTE, ATTRIBUTE_SALT};
use crate::ids::{NodeHash, ObjectUuid};
use crate::object::cti::{PathStep, UnitKind};

/// Length of a salt.
pub(crate) const SALT_BYTES: usize = 32;
/// The salt of one leaf.
pub(crate) type Salt = [u8; SALT_BYTES];

/// The secret from which all salts of one object version derive; whoever has it has the full copy.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct AttributeSeed([u8; 32]);

impl AttributeSeed {
    /// Takes 32 fresh random bytes; a seed serves one version of one object.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, for the payload of a full copy only.
    pub(crate) fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl std::fmt::Debug for AttributeSeed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AttributeSeed(..)")
    }
}

/// HKDF-SHA-256 (RFC 5869) of the seed, extracted once; each salt is one expansion block.
pub(crate) struct Salts {
    keyed: Hmac<Sha256>,
}

impl Salts {
    pub(crate) fn new(seed: &AttributeSeed) -> Self {
        let prk = keyed(ATTRIBUTE_SALT.as_bytes()).chain_update(seed.expose()).finalize().into_bytes();
        Self { keyed: keyed(&prk) }
    }

    /// HKDF-Expand with the leaf's index (u64, big-endian) as info: one block, so the counter octet is 1.
    pub(crate) fn at(&self, index: u64) -> Salt {
        self.keyed.clone().chain_update(index.to_be_bytes()).chain_update([1]).finalize().into_bytes().into()
    }
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes a key of any length")
}

/// What a leaf holds.
pub(crate) enum LeafContent<'a> {
    /// Leaf 0: digest of the native bytes.
    Native(&'a [u8; 32]),
    /// Leaf 1: document order of units across regions, as (region, units in a row).
    Order(&'a [(u32, u32)]),
    /// First leaf of a unit.
    Unit { marking: &'a [u8], kind: UnitKind, type_name: &'a str, uuid: Option<ObjectUuid>, attributes: u32 },
    /// One attribute.
    Attribute { marking: &'a [u8], prefix: &'a [PathStep], tail: &'a [PathStep], value: &'a str },
    /// Fills a region; salted, so that it looks like any other.
    Padding,
}

const PLACE_NATIVE: u8 = 0;
const PLACE_ORDER: u8 = 1;
const PLACE_UNIT: u8 = 2;
const PLACE_PADDING: u8 = 3;

/// Hashes leaves through one reused buffer.
#[derive(Default)]
pub(crate) struct LeafHasher {
    buffer: Vec<u8>,
}

impl LeafHasher {
    /// SHA-256(0x00 || label || dCBOR [salt, index, place, marking, value]).
    pub(crate) fn hash(&mut self, salt: &Salt, index: u64, content: &LeafContent<'_>) -> NodeHash {
        self.buffer.clear();
        self.buffer.push(0);
        self.buffer.extend_from_slice(ATTRIBUTE.as_bytes());
        encode_leaf(&mut self.buffer, salt, index, content).expect("writing to a Vec cannot fail");
        NodeHash(Sha256::digest(&self.buffer).into())
    }
}

#[cfg(test)]
impl LeafHasher {
    /// CBOR of the leaf that was hashed last.
    pub(crate) fn last_leaf(&self) -> &[u8] {
        &self.buffer[1 + ATTRIBUTE.as_bytes().len()..]
    }
}

type Written = Result<(), minicbor::encode::Error<std::convert::Infallible>>;

fn encode_leaf(out: &mut Vec<u8>, salt: &Salt, index: u64, content: &LeafContent<'_>) -> Written {
    Encoder::new(&mut *out).array(5)?.bytes(salt)?.u64(index)?;
    match content {
        LeafContent::Native(digest) => Encoder::new(out).u8(PLACE_NATIVE)?.null()?.bytes(&digest[..])?.ok(),
        LeafContent::Order(runs) => {
            let mut e = Encoder::new(out);
            e.u8(PLACE_ORDER)?.null()?;
            runs.encode(&mut e, &mut ())
        }
        LeafContent::Unit { marking, kind, type_name, uuid, attributes } => {
            Encoder::new(&mut *out).u8(PLACE_UNIT)?;
            out.extend_from_slice(marking);
            let mut e = Encoder::new(out);
            e.array(4)?.encode(kind)?.str(type_name)?.encode(uuid)?.u32(*attributes)?.ok()
        }
        LeafContent::Attribute { marking, prefix, tail, value } => {
            let mut e = Encoder::new(&mut *out);
            e.array((prefix.len() + tail.len()) as u64)?;
            for step in prefix.iter().chain(tail.iter()) {
                e.encode(step)?;
            }
            out.extend_from_slice(marking);
            Encoder::new(out).str(value)?.ok()
        }
        LeafContent::Padding => Encoder::new(out).u8(PLACE_PADDING)?.null()?.null()?.ok(),
    }
}

/// Interior node of RFC 9162 section 2.1.1: SHA-256(0x01 || left || right).
pub(crate) fn parent(left: &NodeHash, right: &NodeHash) -> NodeHash {
    NodeHash(
        Sha256::new_with_prefix([1]).chain_update(left.as_bytes()).chain_update(right.as_bytes()).finalize().into(),
    )
}
