use super::*;

fn hex(text: &str) -> Vec<u8> {
    data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap()
}

#[derive(Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
struct Sample {
    #[n(0)]
    a: u64,
    #[n(2)]
    b: Option<u64>,
}

#[test]
fn known_content_round_trips() {
    let bytes = encode(&Sample { a: 1, b: Some(2) });
    assert_eq!(decode::<Sample>(&bytes, 64).unwrap(), Sample { a: 1, b: Some(2) });
}

#[test]
fn unknown_keys_below_the_extension_range_are_refused() {
    assert_eq!(decode::<Sample>(&hex("a200010101"), 64), Err(CodecError::UnknownContent));
}

#[test]
fn extensions_are_kept_in_the_bytes_and_ignored_in_the_value() {
    let bytes = hex("a200011903e8820102");
    let sample = Canonical::<Sample>::decode(&bytes, 64).unwrap();
    assert_eq!((sample.value(), sample.bytes()), (&Sample { a: 1, b: None }, bytes.as_slice()));
}

#[test]
fn an_explicit_null_for_an_absent_field_is_refused() {
    assert_eq!(decode::<Sample>(&hex("a2000102f6"), 64), Err(CodecError::UnknownContent));
}

#[test]
fn size_is_checked_first() {
    assert_eq!(decode::<Sample>(&[0xff; 65], 64), Err(CodecError::TooLarge { len: 65, max: 64 }));
}

#[test]
fn every_fault_has_its_name() {
    for (bytes, fault) in [
        ("", CanonicalFault::Truncated),
        ("18", CanonicalFault::Truncated),
        ("1817", CanonicalFault::NotShortest),
        ("0000", CanonicalFault::TrailingBytes),
        ("9f00ff", CanonicalFault::Indefinite),
        ("1c", CanonicalFault::Reserved),
        ("c000", CanonicalFault::Tag),
        ("f93c00", CanonicalFault::Simple),
        ("61ff", CanonicalFault::Utf8),
        ("a1616100", CanonicalFault::KeyType),
        ("a200000000", CanonicalFault::KeyOrder),
    ] {
        match check_canonical(&hex(bytes)) {
            Err(CodecError::NotCanonical { fault: found, .. }) => assert_eq!(found, fault, "{bytes}"),
            other => panic!("{bytes}: {other:?}"),
        }
    }
    let mut deep = vec![0x81; NESTING_DEPTH_MAX + 1];
    deep.push(0);
    assert!(matches!(check_canonical(&deep), Err(CodecError::NotCanonical { fault: CanonicalFault::Depth, .. })));
}
