//! Deterministic CBOR (RFC 8949 section 4.2.1), as narrow as the protocol needs it.
//!
//! The profile: shortest heads, definite lengths, maps with strictly ascending unsigned-integer keys, UTF-8 text, `true`,
//! `false` and `null`. No floats, tags, `undefined`, other simple values or indefinite lengths. There is exactly one
//! encoding of a value, so a digest of the bytes is a digest of the value.
//!
//! Map keys from [`EXTENSION_KEY_MIN`] on are extensions: kept in the bytes (and so covered by every digest and
//! signature), ignored by decoding. Any other key that the type does not know is refused.

use minicbor::{Decode, Encode};
use thiserror::Error;

use crate::limits::{CBOR_ITEMS_MAX, EXTENSION_KEY_MIN, NESTING_DEPTH_MAX};

/// A decoded value together with the only bytes that encode it.
///
/// Digests and signatures cover [`Canonical::bytes`], never a re-encoding, so that extension keys stay covered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Canonical<T> {
    value: T,
    bytes: Vec<u8>,
}

impl<T> Canonical<T> {
    /// The decoded value.
    pub fn value(&self) -> &T {
        &self.value
    }

    /// The canonical bytes, extensions included.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Gives up the bytes.
    pub fn into_value(self) -> T {
        self.value
    }
}

impl<T: Encode<()>> Canonical<T> {
    /// Encodes a value of our own making.
    pub fn new(value: T) -> Self {
        let bytes = encode(&value);
        Self { value, bytes }
    }
}

impl<T: Encode<()> + for<'b> Decode<'b, ()>> Canonical<T> {
    /// Decodes bytes from outside, at most `bytes_max` of them.
    ///
    /// # Errors
    /// Anything but the one canonical encoding of a `T` is refused with the reason.
    pub fn decode(bytes: &[u8], bytes_max: usize) -> Result<Self, CodecError> {
        if bytes.len() > bytes_max {
            return Err(CodecError::TooLarge { len: bytes.len(), max: bytes_max });
        }
        let stripped = check_and_strip_extensions(bytes)?;
        let value: T = minicbor::decode(bytes).map_err(|e| CodecError::Shape(e.to_string()))?;
        // Whatever the type skipped (unknown keys, over-long arrays) is missing from the re-encoding.
        if encode(&value) != stripped {
            return Err(CodecError::UnknownContent);
        }
        Ok(Self { value, bytes: bytes.to_vec() })
    }
}

/// Encodes a value. Types of this crate encode deterministically by construction (derived maps ascend by key).
pub fn encode<T: Encode<()>>(value: &T) -> Vec<u8> {
    let mut out = Vec::new();
    minicbor::encode(value, &mut out).expect("writing to a Vec cannot fail");
    out
}

/// Decodes one value from bytes that must be canonical and hold nothing else. See [`Canonical::decode`].
///
/// # Errors
/// As [`Canonical::decode`].
pub fn decode<T: Encode<()> + for<'b> Decode<'b, ()>>(bytes: &[u8], bytes_max: usize) -> Result<T, CodecError> {
    Canonical::decode(bytes, bytes_max).map(Canonical::into_value)
}

/// Checks that `bytes` is exactly one item of the deterministic profile.
///
/// # Errors
/// The first departure from the profile, with its offset.
pub fn check_canonical(bytes: &[u8]) -> Result<(), CodecError> {
    check_and_strip_extensions(bytes).map(drop)
}

/// Why bytes are not a canonical encoding.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CodecError {
    /// Larger than the named limit of this document.
    #[error("{len} bytes where at most {max} are allowed")]
    TooLarge {
        /// Bytes offered.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// Not well-formed CBOR, or outside the deterministic profile.
    #[error("not deterministic CBOR at byte {offset}: {fault}")]
    NotCanonical {
        /// Offset of the offending item.
        offset: usize,
        /// What is wrong there.
        fault: CanonicalFault,
    },
    /// Canonical, but not of the expected shape.
    #[error("unexpected CBOR shape: {0}")]
    Shape(String),
    /// Canonical and decodable, but with keys or members that this version does not know.
    #[error("unknown map key or surplus array member")]
    UnknownContent,
}

/// The ways to depart from the deterministic profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CanonicalFault {
    /// Input ends inside an item.
    #[error("truncated")]
    Truncated,
    /// Bytes follow the item.
    #[error("trailing bytes")]
    TrailingBytes,
    /// A head that is longer than needed.
    #[error("head is not the shortest form")]
    NotShortest,
    /// Indefinite length or a stray break.
    #[error("indefinite length")]
    Indefinite,
    /// A reserved additional-information value.
    #[error("reserved additional information")]
    Reserved,
    /// A tag.
    #[error("tag")]
    Tag,
    /// A float, `undefined` or another simple value.
    #[error("float or unsupported simple value")]
    Simple,
    /// Text that is not UTF-8.
    #[error("text is not UTF-8")]
    Utf8,
    /// A map key that is not an unsigned integer.
    #[error("map key is not an unsigned integer")]
    KeyType,
    /// Map keys that do not strictly ascend.
    #[error("map keys do not strictly ascend")]
    KeyOrder,
    /// Nested deeper than the limit.
    #[error("nested too deeply")]
    Depth,
    /// More items than the limit.
    #[error("too many items")]
    Items,
}

/// Walks one item, copying everything but extension entries.
fn check_and_strip_extensions(bytes: &[u8]) -> Result<Vec<u8>, CodecError> {
    let mut walker = Walker { input: bytes, at: 0, items: 0, out: Vec::with_capacity(bytes.len()) };
    walker.item(0, true)?;
    if walker.at != bytes.len() {
        return Err(walker.fault(CanonicalFault::TrailingBytes));
    }
    Ok(walker.out)
}

struct Walker<'a> {
    input: &'a [u8],
    at: usize,
    items: usize,
    out: Vec<u8>,
}

const MAJOR_UNSIGNED: u8 = 0;
const MAJOR_NEGATIVE: u8 = 1;
const MAJOR_BYTES: u8 = 2;
const MAJOR_TEXT: u8 = 3;
const MAJOR_ARRAY: u8 = 4;
const MAJOR_MAP: u8 = 5;
const MAJOR_TAG: u8 = 6;
const SIMPLE_FALSE_TRUE_NULL: std::ops::RangeInclusive<u8> = 20..=22;

impl Walker<'_> {
    fn item(&mut self, depth: usize, keep: bool) -> Result<(), CodecError> {
        // Levels of items count, the outermost and the innermost scalar among them.
        if depth >= NESTING_DEPTH_MAX {
            return Err(self.fault(CanonicalFault::Depth));
        }
        self.items += 1;
        if self.items > CBOR_ITEMS_MAX {
            return Err(self.fault(CanonicalFault::Items));
        }
        let start = self.at;
        let (major, argument) = self.head()?;
        match major {
            MAJOR_UNSIGNED | MAJOR_NEGATIVE => self.copy_from(start, keep),
            MAJOR_BYTES | MAJOR_TEXT => {
                let body = self.take(argument)?;
                if major == MAJOR_TEXT && std::str::from_utf8(body).is_err() {
                    return Err(self.fault(CanonicalFault::Utf8));
                }
                self.copy_from(start, keep);
            }
            MAJOR_ARRAY => {
                self.copy_from(start, keep);
                for _ in 0..argument {
                    self.item(depth + 1, keep)?;
                }
            }
            MAJOR_MAP => self.map(argument, depth, keep)?,
            MAJOR_TAG => return Err(self.fault(CanonicalFault::Tag)),
            _ => self.copy_from(start, keep),
        }
        Ok(())
    }

    fn map(&mut self, entries: u64, depth: usize, keep: bool) -> Result<(), CodecError> {
        let mut last_key = None;
        let mut kept_entries = 0u64;
        // The head counts the kept entries only, so the body is gathered first.
        let outer = std::mem::take(&mut self.out);
        for _ in 0..entries {
            let key_start = self.at;
            let (major, key) = self.head()?;
            if major != MAJOR_UNSIGNED {
                return Err(self.fault(CanonicalFault::KeyType));
            }
            if last_key.is_some_and(|last| last >= key) {
                return Err(self.fault(CanonicalFault::KeyOrder));
            }
            last_key = Some(key);
            let keep_entry = keep && key < EXTENSION_KEY_MIN;
            self.copy_from(key_start, keep_entry);
            self.item(depth + 1, keep_entry)?;
            kept_entries += u64::from(keep_entry);
        }
        let body = std::mem::replace(&mut self.out, outer);
        if keep {
            minicbor::Encoder::new(&mut self.out).map(kept_entries).expect("writing to a Vec cannot fail");
            self.out.extend_from_slice(&body);
        }
        Ok(())
    }

    /// Reads one head and returns (major type, argument). Simple values come back with their value as argument.
    fn head(&mut self) -> Result<(u8, u64), CodecError> {
        let first = *self.input.get(self.at).ok_or_else(|| self.fault(CanonicalFault::Truncated))?;
        let (major, info) = (first >> 5, first & 0x1f);
        if major == 7 {
            if SIMPLE_FALSE_TRUE_NULL.contains(&info) {
                self.at += 1;
                return Ok((major, u64::from(info)));
            }
            let fault = if info == 31 { CanonicalFault::Indefinite } else { CanonicalFault::Simple };
            return Err(self.fault(fault));
        }
        let width = match info {
            0..=23 => 0,
            24..=27 => 1usize << (info - 24),
            31 => return Err(self.fault(CanonicalFault::Indefinite)),
            _ => return Err(self.fault(CanonicalFault::Reserved)),
        };
        let start = self.at;
        self.at += 1;
        let tail = match self.take(width as u64) {
            Ok(tail) => tail,
            Err(error) => {
                self.at = start;
                return Err(error);
            }
        };
        let argument =
            if width == 0 { u64::from(info) } else { tail.iter().fold(0, |acc, b| acc << 8 | u64::from(*b)) };
        let needed = match argument {
            0..=23 => 0,
            24..=0xff => 1,
            0x100..=0xffff => 2,
            0x1_0000..=0xffff_ffff => 4,
            _ => 8,
        };
        if width != needed {
            self.at = start;
            return Err(self.fault(CanonicalFault::NotShortest));
        }
        Ok((major, argument))
    }

    fn take(&mut self, len: u64) -> Result<&[u8], CodecError> {
        let end = usize::try_from(len).ok().and_then(|len| self.at.checked_add(len));
        match end.and_then(|end| self.input.get(self.at..end)) {
            Some(body) => {
                self.at += body.len();
                Ok(body)
            }
            None => Err(self.fault(CanonicalFault::Truncated)),
        }
    }

    fn copy_from(&mut self, start: usize, keep: bool) {
        if keep && let Some(bytes) = self.input.get(start..self.at) {
            self.out.extend_from_slice(bytes);
        }
    }

    fn fault(&self, fault: CanonicalFault) -> CodecError {
        CodecError::NotCanonical { offset: self.at, fault }
    }
}

#[cfg(test)]
#[path = "codec_tests.rs"]
mod tests;
