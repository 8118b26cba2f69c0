//! The public CBOR vectors through the codec: `$CRESSET_TEST_DATA/vectors/cbor`.

#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::PathBuf;

use cresset_protocol::codec::check_canonical;
use serde_json::Value;

/// RFC 8949 appendix A: what the profile has is accepted, floats, tags, other simple values and indefinite lengths are not.
#[test]
fn appendix_a_is_split_as_the_profile_says() {
    let Some(cases) = load("appendix_a.json") else { return };
    let (mut accepted, mut refused) = (0, 0);
    for case in cases.as_array().unwrap() {
        let text = case["hex"].as_str().unwrap();
        let bytes = hex(text);
        let floating = matches!(bytes[0], 0xf9..=0xfb);
        let other_simple = matches!(bytes[0], 0xe0..=0xf3 | 0xf7 | 0xf8);
        let tagged = bytes[0] >> 5 == 6;
        // None of the public cases holds 0x1f in an additional-information position except as indefinite length.
        let indefinite =
            bytes.contains(&0x9f) || bytes.contains(&0xbf) || bytes.contains(&0x5f) || bytes.contains(&0x7f);
        let in_profile = !(floating || other_simple || tagged || indefinite);
        assert_eq!(check_canonical(&bytes).is_ok(), in_profile, "{text}");
        *(if in_profile { &mut accepted } else { &mut refused }) += 1;
    }
    assert_eq!((accepted, refused), (19, 23), "the vector file changed");
}

/// Everything that is not well formed, and everything well formed that a deterministic profile must reject.
#[test]
fn every_reject_vector_is_refused() {
    let Some(groups) = load("reject.json") else { return };
    let mut refused = 0;
    for (group, classes) in groups.as_object().unwrap() {
        for (class, cases) in classes.as_object().unwrap() {
            for case in cases.as_array().unwrap() {
                let text = case.as_str().unwrap();
                assert!(check_canonical(&hex(text)).is_err(), "{group}/{class}: {text}");
                refused += 1;
            }
        }
    }
    assert_eq!(refused, 70, "the vector file changed");
}

/// `None` after printing why, unless `CRESSET_REQUIRE` names `data`.
fn load(name: &str) -> Option<Value> {
    let root = std::env::var_os("CRESSET_TEST_DATA")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from);
    let path = root.join("vectors/cbor").join(name);
    match std::fs::read(&path) {
        Ok(bytes) => Some(serde_json::from_slice(&bytes).unwrap()),
        Err(_) if std::env::var("CRESSET_REQUIRE").is_ok_and(|required| required.contains("data")) => {
            panic!("test data is required: {} is missing", path.display())
        }
        Err(_) => {
            println!("SKIPPED: {} is missing", path.display());
            None
        }
    }
}

fn hex(text: &str) -> Vec<u8> {
    data_encoding::HEXLOWER_PERMISSIVE.decode(text.as_bytes()).unwrap()
}
