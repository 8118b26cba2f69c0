//! HKDF-SHA-384 (RFC 5869).

use aws_lc_rs::hkdf::{HKDF_SHA384, KeyType, Prk, Salt};
use zeroize::Zeroizing;

/// HKDF with both steps. `None` only for outputs longer than HKDF allows, which no caller here asks for.
pub(crate) fn hkdf<const N: usize>(secret: &[u8], salt: &[u8], info: &[&[u8]]) -> Option<Zeroizing<[u8; N]>> {
    fill(&Salt::new(HKDF_SHA384, salt).extract(secret), info)
}

/// The expand step alone, from a key that is uniform already.
pub(crate) fn hkdf_expand<const N: usize>(key: &[u8; 32], info: &[&[u8]]) -> Option<Zeroizing<[u8; N]>> {
    fill(&Prk::new_less_safe(HKDF_SHA384, key), info)
}

fn fill<const N: usize>(prk: &Prk, info: &[&[u8]]) -> Option<Zeroizing<[u8; N]>> {
    let mut out = Zeroizing::new([0; N]);
    prk.expand(info, Length(N)).and_then(|okm| okm.fill(out.as_mut_slice())).ok()?;
    Some(out)
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}
