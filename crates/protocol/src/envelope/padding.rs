//! Padme padding (Nikitin et al., PETS 2019): at most 12 % longer, and the length tells O(log log n) bits.

use crate::limits::PADDED_BYTES_MIN;

/// The padded length of `len` bytes: the next length of which only the top bits are set, at least
/// [`PADDED_BYTES_MIN`]. Idempotent. `None` if it does not fit a u64.
pub fn padme(len: u64) -> Option<u64> {
    let len = len.max(PADDED_BYTES_MIN);
    let exponent = len.ilog2();
    let mantissa_bits = exponent.ilog2() + 1;
    let mask = (1u64 << exponent.saturating_sub(mantissa_bits)) - 1;
    len.checked_add(mask).map(|sum| sum & !mask)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_lengths() {
        for (len, padded) in
            [(0, 512), (512, 512), (513, 544), (1000, 1024), (1025, 1088), (65_536, 65_536), (65_537, 67_584)]
        {
            assert_eq!(padme(len), Some(padded), "{len}");
        }
        assert_eq!(padme(u64::MAX), None);
    }

    proptest! {
        #[test]
        fn padding_grows_little_and_is_idempotent(len in 0u64..1 << 40) {
            let padded = padme(len).unwrap();
            prop_assert!(padded >= len && padded <= (len + len / 8).max(PADDED_BYTES_MIN));
            prop_assert_eq!(padme(padded), Some(padded));
        }
    }
}
