//! The body: an optional block of stanzas, then segments; the digests that let any part be checked before decryption.

use std::ops::Range;

use thiserror::Error;

use super::stanza::STANZA_BYTES;
use crate::domain;
use crate::ids::SegmentRoot;
use crate::limits::SEGMENT_BYTES;

/// Authentication tag behind each segment.
pub const SEGMENT_TAG_BYTES: usize = 16;

const SEGMENT_PLAIN: u64 = SEGMENT_BYTES as u64;
const PIECE: u8 = 0;
const ROOT: u8 = 1;

/// Where the parts of a body lie. Pure arithmetic over a checked header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyLayout {
    stanzas: usize,
    padded_bytes: u64,
}

impl BodyLayout {
    pub(super) const fn new(stanzas: usize, padded_bytes: u64) -> Self {
        Self { stanzas, padded_bytes }
    }

    /// Number of stanzas.
    pub const fn stanzas(&self) -> usize {
        self.stanzas
    }

    /// Number of segments, at least one.
    pub const fn segments(&self) -> u64 {
        self.padded_bytes.div_ceil(SEGMENT_PLAIN)
    }

    /// Length of the stanza block.
    pub const fn stanza_block_bytes(&self) -> u64 {
        (self.stanzas * STANZA_BYTES) as u64
    }

    /// Length of the whole body.
    pub const fn body_bytes(&self) -> u64 {
        self.stanza_block_bytes() + self.padded_bytes + self.segments() * SEGMENT_TAG_BYTES as u64
    }

    /// Where the body's pieces lie, in order: the stanza block if there is one, then each segment with its tag.
    pub fn pieces(&self) -> impl Iterator<Item = Range<u64>> + use<> {
        let stanzas = self.stanza_block_bytes();
        let end = self.body_bytes();
        let step = SEGMENT_PLAIN + SEGMENT_TAG_BYTES as u64;
        let block = (stanzas > 0).then_some(0..stanzas);
        block.into_iter().chain((0..self.segments()).map(move |n| {
            let start = stanzas + n * step;
            start..(start + step).min(end)
        }))
    }

    /// Number of pieces.
    pub fn piece_count(&self) -> u64 {
        self.segments() + u64::from(self.stanzas > 0)
    }

    /// Cuts a body into its stanza block and its segments.
    ///
    /// # Errors
    /// [`LayoutError::Length`] unless the body has exactly the length that the header implies.
    pub fn split<'a>(&self, body: &'a [u8]) -> Result<(&'a [u8], &'a [u8]), LayoutError> {
        let expected = self.body_bytes();
        let wrong = LayoutError::Length { len: body.len() as u64, expected };
        if body.len() as u64 != expected {
            return Err(wrong);
        }
        body.split_at_checked(usize::try_from(self.stanza_block_bytes()).map_err(|_| wrong.clone())?).ok_or(wrong)
    }
}

/// Digests of a body's pieces. They travel in front of a large body, so that ranges verify and transfers resume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentDigests(Vec<[u8; 32]>);

impl SegmentDigests {
    /// Digests every piece of a whole body.
    ///
    /// # Errors
    /// [`LayoutError::Length`] unless the body has exactly the length that the header implies.
    pub fn of_body(layout: &BodyLayout, body: &[u8]) -> Result<Self, LayoutError> {
        layout.split(body)?;
        let wrong = || LayoutError::Length { len: body.len() as u64, expected: layout.body_bytes() };
        let digests = layout.pieces().zip(0u32..).map(|(range, index)| {
            let range = usize::try_from(range.start).ok()..usize::try_from(range.end).ok();
            let (Some(start), Some(end)) = (range.start, range.end) else { return Err(wrong()) };
            body.get(start..end).map(|piece| piece_digest(index, piece)).ok_or_else(wrong)
        });
        digests.collect::<Result<Vec<_>, _>>().map(Self)
    }

    /// Takes digests from outside and checks them against the header's root.
    ///
    /// # Errors
    /// [`LayoutError::Root`] unless they are exactly the digests that give `root`.
    pub fn from_parts(layout: &BodyLayout, digests: Vec<[u8; 32]>, root: &SegmentRoot) -> Result<Self, LayoutError> {
        let digests = Self(digests);
        if digests.0.len() as u64 != layout.piece_count() || digests.root() != *root {
            return Err(LayoutError::Root);
        }
        Ok(digests)
    }

    /// The digests, in the order of the pieces.
    pub fn as_slice(&self) -> &[[u8; 32]] {
        &self.0
    }

    /// The root that a header carries.
    pub fn root(&self) -> SegmentRoot {
        SegmentRoot(domain::SEGMENTS.digest(&[&[ROOT], self.0.as_flattened()]))
    }

    /// Checks one piece.
    ///
    /// # Errors
    /// [`LayoutError::Piece`] names it.
    pub fn check_piece(&self, index: u32, piece: &[u8]) -> Result<(), LayoutError> {
        match self.0.get(index as usize) {
            Some(digest) if *digest == piece_digest(index, piece) => Ok(()),
            _ => Err(LayoutError::Piece(index)),
        }
    }
}

/// STREAM nonce of a segment: 7 zero bytes, number u32, 1 for the last segment and 0 before. The key serves one envelope.
pub fn segment_nonce(number: u32, last: bool) -> [u8; 12] {
    let [a, b, c, d] = number.to_be_bytes();
    [0, 0, 0, 0, 0, 0, 0, a, b, c, d, u8::from(last)]
}

fn piece_digest(index: u32, piece: &[u8]) -> [u8; 32] {
    domain::SEGMENTS.digest(&[&[PIECE], &index.to_be_bytes(), piece])
}

/// Why a body is not the header's.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LayoutError {
    /// Wrong length.
    #[error("envelope body has {len} bytes, not {expected}")]
    Length {
        /// Bytes offered.
        len: u64,
        /// Bytes that the header implies.
        expected: u64,
    },
    /// Digests or body do not give the header's root.
    #[error("envelope body is not the one that the header names")]
    Root,
    /// A piece does not have its digest.
    #[error("piece {0} of an envelope body is damaged")]
    Piece(u32),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(layout: &BodyLayout) -> Vec<u8> {
        (0..layout.body_bytes()).map(|n| n as u8).collect()
    }

    #[test]
    fn pieces_tile_the_body() {
        for (stanzas, padded) in [(0, 512), (0, 65_536), (1, 65_536), (3, 67_584), (0, 1 << 20)] {
            let layout = BodyLayout::new(stanzas, padded);
            let mut at = 0;
            for piece in layout.pieces() {
                assert_eq!(piece.start, at);
                at = piece.end;
            }
            assert_eq!((at, layout.pieces().count() as u64), (layout.body_bytes(), layout.piece_count()));
        }
    }

    #[test]
    fn each_piece_verifies_alone() {
        let layout = BodyLayout::new(2, 67_584);
        let body = body(&layout);
        let digests = SegmentDigests::of_body(&layout, &body).unwrap();
        let again = SegmentDigests::from_parts(&layout, digests.as_slice().to_vec(), &digests.root()).unwrap();
        for (range, index) in layout.pieces().zip(0u32..) {
            let piece = &body[range.start as usize..range.end as usize];
            assert_eq!(again.check_piece(index, piece), Ok(()));
            assert_eq!(again.check_piece(index + 1, piece), Err(LayoutError::Piece(index + 1)));
            assert_eq!(again.check_piece(index, &piece[1..]), Err(LayoutError::Piece(index)));
        }
    }

    #[test]
    fn wrong_digests_and_lengths_are_refused() {
        let layout = BodyLayout::new(0, 67_584);
        let digests = SegmentDigests::of_body(&layout, &body(&layout)).unwrap();
        let mut swapped = digests.as_slice().to_vec();
        swapped.swap(0, 1);
        let longer = [digests.as_slice(), &[[0; 32]]].concat();
        for wrong in [swapped, longer, digests.as_slice()[..1].to_vec(), Vec::new()] {
            assert_eq!(SegmentDigests::from_parts(&layout, wrong, &digests.root()), Err(LayoutError::Root));
        }
        assert!(matches!(SegmentDigests::of_body(&layout, &body(&layout)[1..]), Err(LayoutError::Length { .. })));
    }

    #[test]
    fn nonces_never_repeat_within_an_envelope() {
        assert_eq!(segment_nonce(0x01020304, false), [0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 0]);
        assert_ne!(segment_nonce(0, true), segment_nonce(0, false));
    }
}
