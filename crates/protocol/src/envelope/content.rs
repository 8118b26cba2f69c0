//! The plaintext of an envelope: u64 length || dCBOR [share, r, inner MAC, payload] || zeros.

use minicbor::{Decoder, Encoder};
use thiserror::Error;
use zeroize::Zeroizing;

use super::padding::padme;
use crate::limits::{OBJECT_BYTES_MAX, SHARE_BYTES_MAX};

const LENGTH_BYTES: usize = 8;
/// Array head, and the heads of four byte strings.
const HEADS_BYTES_MAX: usize = 1 + 4 * 9;

/// What an envelope carries, borrowed from a plaintext.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Content<'a> {
    /// Share part of the record.
    pub share: &'a [u8],
    /// Blinding of the leaf's commitment.
    pub blinding: &'a [u8; 32],
    /// MAC over the audit part.
    pub inner_mac: &'a [u8; 32],
    /// The view; empty for a grant.
    pub payload: &'a [u8],
}

/// A plaintext ready for encryption.
pub struct Plaintext {
    padded: Zeroizing<Vec<u8>>,
    content_bytes: usize,
}

impl Content<'_> {
    /// Frames and pads.
    ///
    /// # Errors
    /// [`ContentError::TooLarge`].
    pub fn to_plaintext(&self) -> Result<Plaintext, ContentError> {
        let parts = [self.share, self.blinding, self.inner_mac, self.payload];
        let len = LENGTH_BYTES + HEADS_BYTES_MAX + parts.iter().map(|part| part.len()).sum::<usize>();
        let too_large = ContentError::TooLarge(len as u64);
        let capacity = padme(len as u64).filter(|padded| *padded <= OBJECT_BYTES_MAX).ok_or(too_large.clone())?;
        if self.share.len() > SHARE_BYTES_MAX {
            return Err(too_large);
        }
        // Allocated once: growing would leave copies of a secret behind.
        let mut out = Zeroizing::new(Vec::with_capacity(usize::try_from(capacity).map_err(|_| too_large.clone())?));
        out.extend_from_slice(&[0; LENGTH_BYTES]);
        out.push(0x80 | parts.len() as u8);
        for part in parts {
            // Writing to a Vec cannot fail.
            let _ = Encoder::new(&mut *out).bytes(part);
        }
        let content_bytes = out.len() - LENGTH_BYTES;
        if let Some(length) = out.first_chunk_mut::<LENGTH_BYTES>() {
            *length = (content_bytes as u64).to_be_bytes();
        }
        let padded = padme(out.len() as u64).and_then(|padded| usize::try_from(padded).ok()).ok_or(too_large)?;
        out.resize(padded, 0);
        Ok(Plaintext { padded: out, content_bytes })
    }
}

impl Plaintext {
    /// The dCBOR array alone, which goes into the salt.
    pub fn content(&self) -> &[u8] {
        self.padded.get(LENGTH_BYTES..LENGTH_BYTES + self.content_bytes).unwrap_or_default()
    }

    /// All that is encrypted.
    pub fn padded(&self) -> &[u8] {
        &self.padded
    }
}

/// Parses a decrypted plaintext.
///
/// # Errors
/// A [`ContentError`]: the origin made this envelope wrongly, which is ground for a complaint.
pub fn parse_plaintext(padded: &[u8]) -> Result<Content<'_>, ContentError> {
    let (length, rest) = padded.split_first_chunk::<LENGTH_BYTES>().ok_or(ContentError::Length)?;
    let length = usize::try_from(u64::from_be_bytes(*length)).map_err(|_| ContentError::Length)?;
    let (content, zeros) = rest.split_at_checked(length).ok_or(ContentError::Length)?;
    // One length for one content, and no room for a covert message.
    if padme((LENGTH_BYTES + length) as u64) != Some(padded.len() as u64) || zeros.iter().any(|byte| *byte != 0) {
        return Err(ContentError::Padding);
    }
    parse_content(content)
}

/// Borrowing and cheap: payloads reach 256 MiB. Heads are shortest exactly if the whole has the shortest length.
fn parse_content(content: &[u8]) -> Result<Content<'_>, ContentError> {
    let shape = |_| ContentError::Shape;
    let mut decoder = Decoder::new(content);
    if decoder.array().map_err(shape)? != Some(4) {
        return Err(ContentError::Shape);
    }
    let share = decoder.bytes().map_err(shape)?;
    let blinding: &[u8; 32] = decoder.bytes().map_err(shape)?.try_into().map_err(|_| ContentError::Shape)?;
    let inner_mac: &[u8; 32] = decoder.bytes().map_err(shape)?.try_into().map_err(|_| ContentError::Shape)?;
    let payload = decoder.bytes().map_err(shape)?;
    let shortest =
        1 + [share, blinding, inner_mac, payload].iter().map(|part| head_bytes(part.len()) + part.len()).sum::<usize>();
    if decoder.position() != content.len() || content.len() != shortest {
        return Err(ContentError::Shape);
    }
    if share.len() > SHARE_BYTES_MAX {
        return Err(ContentError::TooLarge(share.len() as u64));
    }
    Ok(Content { share, blinding, inner_mac, payload })
}

fn head_bytes(len: usize) -> usize {
    match len {
        0..=23 => 1,
        24..=0xff => 2,
        0x100..=0xffff => 3,
        0x1_0000..=0xffff_ffff => 5,
        _ => 9,
    }
}

/// Why a plaintext cannot be made or read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ContentError {
    /// Beyond the limit of an object or a share.
    #[error("{0} bytes are too many for one envelope")]
    TooLarge(u64),
    /// The length does not fit the plaintext.
    #[error("content length does not fit the plaintext")]
    Length,
    /// Not padded as the specification says.
    #[error("plaintext is not padded as specified")]
    Padding,
    /// Not the canonical array of four byte strings.
    #[error("content is not the canonical array of four byte strings")]
    Shape,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(payload: &[u8]) -> Content<'_> {
        Content { share: b"share", blinding: &[1; 32], inner_mac: &[2; 32], payload }
    }

    #[test]
    fn contents_round_trip_at_every_head_width() {
        for len in [0, 23, 24, 255, 256, 400, 401, 402, 1000, 65_535, 65_536, 100_000] {
            let payload = vec![7; len];
            let plaintext = sample(&payload).to_plaintext().unwrap();
            let parsed = parse_plaintext(plaintext.padded()).unwrap();
            assert!(parsed == sample(&payload), "{len}");
            assert!(plaintext.content().len() + 8 <= plaintext.padded().len());
        }
    }

    #[test]
    fn every_departure_is_refused() {
        let good = sample(b"payload").to_plaintext().unwrap();
        let check = |change: &dyn Fn(&mut Vec<u8>), expected: ContentError| {
            let mut bytes = good.padded().to_vec();
            change(&mut bytes);
            assert_eq!(parse_plaintext(&bytes).err(), Some(expected));
        };
        check(&|b| b.truncate(7), ContentError::Length);
        check(&|b| b[0] = 1, ContentError::Length);
        check(&|b| b[6] = 2, ContentError::Length);
        check(&|b| *b.last_mut().unwrap() = 1, ContentError::Padding);
        check(&|b| b.push(0), ContentError::Padding);
        check(&|b| b.truncate(511), ContentError::Padding);
        check(&|b| b[7] += 1, ContentError::Shape);
        check(&|b| b[8] = 0x83, ContentError::Shape);
        check(&|b| b[8] = 0x9f, ContentError::Shape);
        check(&|b| b[9] = 0x65, ContentError::Shape);
    }

    #[test]
    fn a_longer_head_is_refused() {
        // `payload` with a two-byte head where one byte is enough.
        let mut content = vec![0x84, 0x41, 0];
        for filler in [1u8, 2] {
            content.extend_from_slice(&[0x58, 32]);
            content.extend_from_slice(&[filler; 32]);
        }
        content.extend_from_slice(&[0x58, 1, 9]);
        assert_eq!(parse_content(&content).err(), Some(ContentError::Shape));
    }

    #[test]
    fn too_much_is_refused_before_it_is_copied() {
        let share = vec![0; SHARE_BYTES_MAX + 1];
        let content = Content { share: &share, ..sample(b"") };
        assert!(matches!(content.to_plaintext(), Err(ContentError::TooLarge(_))));
        let payload = vec![0; OBJECT_BYTES_MAX as usize];
        assert!(matches!(sample(&payload).to_plaintext(), Err(ContentError::TooLarge(_))));
    }
}
