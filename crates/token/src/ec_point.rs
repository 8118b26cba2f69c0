//! The two encodings of a P-384 public point that tokens use.

use cresset_protocol::signing::P384PublicKey;

/// Reads CKA_EC_POINT: an uncompressed point, with or without the OCTET STRING around it.
pub(crate) fn ec_point(value: &[u8]) -> Option<P384PublicKey> {
    const POINT_LEN: u8 = 97;
    let point = match value {
        // DER OCTET STRING of 97 bytes. A bare point opens with 0x04 as well, but then has one length only.
        [0x04, POINT_LEN, point @ ..] if point.len() == P384PublicKey::LEN => point,
        _ => value,
    };
    if point.first() != Some(&0x04) {
        return None;
    }
    P384PublicKey::try_from(point).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_point_encodings_are_read() {
        let mut point = vec![4];
        point.extend([9; 96]);
        let wrapped = [&[4, 97], point.as_slice()].concat();
        assert_eq!(ec_point(&point).unwrap().as_bytes(), point);
        assert_eq!(ec_point(&wrapped).unwrap().as_bytes(), point);
    }

    #[test]
    fn other_points_are_refused() {
        let compressed = [&[2][..], &[9; 48]].concat();
        let wrong_tag = [&[3][..], &[9; 96]].concat();
        let inner_tag = [&[4, 97, 3][..], &[9; 96]].concat();
        for value in [&[][..], &[4], &compressed, &wrong_tag, &inner_tag, &[4; 98]] {
            assert!(ec_point(value).is_none(), "{value:02x?}");
        }
    }
}
