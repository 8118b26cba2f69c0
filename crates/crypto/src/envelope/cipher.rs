//! AES-256-GCM over segments, numbered as in STREAM (Hoang, Reyhanitabar, Rogaway and Vizár, CRYPTO 2015).

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use cresset_protocol::envelope::{SEGMENT_TAG_BYTES, segment_nonce};
use cresset_protocol::limits::SEGMENT_BYTES;
use zeroize::Zeroizing;

const SEGMENT_PLAIN_BYTES: usize = SEGMENT_BYTES as usize;

/// Encrypts a padded plaintext behind what `out` holds already. `None` if the library fails.
pub(super) fn encrypt_segments(key: &[u8; 32], aad: &[u8], padded: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let cipher = cipher(key)?;
    let count = u32::try_from(padded.len().div_ceil(SEGMENT_PLAIN_BYTES)).ok()?;
    out.reserve_exact(padded.len() + count as usize * SEGMENT_TAG_BYTES);
    for (segment, number) in padded.chunks(SEGMENT_PLAIN_BYTES).zip(0u32..) {
        let nonce = Nonce::assume_unique_for_key(segment_nonce(number, number + 1 == count));
        let start = out.len();
        out.resize(start + segment.len() + SEGMENT_TAG_BYTES, 0);
        let (ciphertext, tag) = out.get_mut(start..)?.split_at_mut_checked(segment.len())?;
        cipher.seal_out_of_place_scatter(nonce, Aad::from(aad), segment, ciphertext, &[], tag).ok()?;
    }
    Some(())
}

/// Decrypts all segments. `None` if one of them, their number or their order is wrong.
pub(super) fn decrypt_segments(key: &[u8; 32], aad: &[u8], segments: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let cipher = cipher(key)?;
    let step = SEGMENT_PLAIN_BYTES + SEGMENT_TAG_BYTES;
    let count = u32::try_from(segments.len().div_ceil(step)).ok()?;
    let padded_bytes = segments.len().checked_sub(count as usize * SEGMENT_TAG_BYTES)?;
    let mut out = Zeroizing::new(vec![0; padded_bytes]);
    for ((segment, plain), number) in segments.chunks(step).zip(out.chunks_mut(SEGMENT_PLAIN_BYTES)).zip(0u32..) {
        let nonce = Nonce::assume_unique_for_key(segment_nonce(number, number + 1 == count));
        let (ciphertext, tag) = segment.split_last_chunk::<SEGMENT_TAG_BYTES>()?;
        cipher.open_separate_gather(nonce, Aad::from(aad), ciphertext, tag, plain).ok()?;
    }
    Some(out)
}

fn cipher(key: &[u8; 32]) -> Option<LessSafeKey> {
    UnboundKey::new(&AES_256_GCM, key).map(LessSafeKey::new).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encrypted(len: usize) -> Vec<u8> {
        let mut out = Vec::new();
        encrypt_segments(&[1; 32], b"aad", &vec![5; len], &mut out).unwrap();
        out
    }

    #[test]
    fn any_number_of_segments_opens() {
        for len in [512, 65_535, 65_536, 65_537, 3 * 65_536, 200_000] {
            let opened = decrypt_segments(&[1; 32], b"aad", &encrypted(len)).unwrap();
            assert!(opened.len() == len && opened.iter().all(|byte| *byte == 5), "{len}");
        }
    }

    #[test]
    fn every_rearrangement_is_refused() {
        let step = 65_536 + 16;
        let good = encrypted(3 * 65_536 + 100);
        let refused = |bytes: &[u8]| assert!(decrypt_segments(&[1; 32], b"aad", bytes).is_none());
        // Two swapped, one repeated, one missing, the last missing, the last alone, an empty body.
        refused(&[&good[step..2 * step], &good[..step], &good[2 * step..]].concat());
        refused(&[&good[..step], &good[..step], &good[2 * step..]].concat());
        refused(&[&good[..step], &good[2 * step..]].concat());
        refused(&good[..3 * step]);
        refused(&good[3 * step..]);
        refused(&good[..good.len() - 1]);
        refused(&good[..8]);
        assert!(decrypt_segments(&[2; 32], b"aad", &good).is_none());
        assert!(decrypt_segments(&[1; 32], b"other", &good).is_none());
        for at in [0, step - 1, step, 3 * step, good.len() - 1] {
            let mut flipped = good.clone();
            flipped[at] ^= 1;
            refused(&flipped);
        }
    }
}
