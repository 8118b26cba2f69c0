//! The strict parser against JSONTestSuite and against inputs of our own.

use std::io::Read;

use cresset_protocol::limits::{ATTRIBUTES_MAX, NESTING_DEPTH_MAX};
use cresset_protocol::object::cti::PathStep;
use proptest::prelude::*;

use crate::format::RebuildError;
use crate::json::{DocumentBuilder, JsonError, JsonFault, Kind, parse};

fn refusal(bytes: &[u8]) -> JsonError {
    parse(bytes).unwrap_err()
}

#[test]
fn every_refusal_names_its_fault_and_offset() {
    let check = |bytes: &[u8], offset, fault| {
        assert_eq!(refusal(bytes), JsonError { offset, fault }, "{}", bytes.escape_ascii())
    };
    check(b"", 0, JsonFault::End);
    check(b"\xef\xbb\xbf{}", 0, JsonFault::ByteOrderMark);
    check(b"[\"\xff\"]", 2, JsonFault::Utf8);
    check(b"[1,]", 3, JsonFault::Unexpected);
    check(b"[1 2]", 3, JsonFault::Unexpected);
    check(b"{} {}", 3, JsonFault::Trailing);
    check(b"[01]", 1, JsonFault::Number);
    check(b"[1.]", 1, JsonFault::Number);
    check(b"[-]", 1, JsonFault::Number);
    check(b"[\"a\nb\"]", 3, JsonFault::Control);
    check(b"[\"\\x\"]", 2, JsonFault::Escape);
    check(b"[\"\\u12g4\"]", 6, JsonFault::Escape);
    check(b"[\"\\ud800\"]", 2, JsonFault::Surrogate);
    check(b"[\"\\udc00\"]", 2, JsonFault::Surrogate);
    check(b"[\"\\ud800\\u0041\"]", 2, JsonFault::Surrogate);
    check(b"{\"a\":1,\"b\":2,\"a\":3}", 13, JsonFault::DuplicateKey);
    check(b"{\"a\":1,\"\\u0061\":3}", 7, JsonFault::DuplicateKey);
    check(b"{\"a\"", 4, JsonFault::End);
}

#[test]
fn depth_and_count_are_bounded() {
    let nested = |depth: usize| ["[".repeat(depth), "]".repeat(depth)].concat();
    assert!(parse(nested(NESTING_DEPTH_MAX).as_bytes()).is_ok());
    assert_eq!(refusal(nested(NESTING_DEPTH_MAX + 1).as_bytes()).fault, JsonFault::Depth);
    assert_eq!(refusal(nested(1_000_000).as_bytes()).fault, JsonFault::Depth);
    let many = format!("[{}1]", "1,".repeat(ATTRIBUTES_MAX));
    assert_eq!(refusal(many.as_bytes()).fault, JsonFault::Count);
}

#[test]
fn tokens_are_kept_exactly() {
    let text = r#"[1.0, 1e2, -0, 10000000000000000000000001, "\u00e9\/", null]"#;
    let value = parse(text.as_bytes()).unwrap();
    let Kind::Array(members) = value.kind else { panic!("an array") };
    let tokens: Vec<_> = members.iter().map(|member| member.raw).collect();
    assert_eq!(tokens, ["1.0", "1e2", "-0", "10000000000000000000000001", r#""\u00e9\/""#, "null"]);
    assert_eq!(members[4].text().unwrap(), "é/");
}

/// Accepted by the grammar and refused here on purpose: two members of one name mean two things to two readers.
const REFUSED_ON_PURPOSE: [&str; 2] = ["y_object_duplicated_key.json", "y_object_duplicated_key_and_value.json"];

#[test]
fn json_test_suite_is_judged_as_it_asks() {
    let root = std::env::var("CRESSET_TEST_DATA")
        .map_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared").into(), std::path::PathBuf::from);
    let file = root.join("vectors/json-test-suite/cases.b64.json.gz");
    let mut text = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(&file).unwrap()).read_to_string(&mut text).unwrap();
    let cases: std::collections::BTreeMap<String, String> = serde_json::from_str(&text).unwrap();
    let mut counts = [0; 3];
    for (path, encoded) in &cases {
        let bytes = data_encoding::BASE64.decode(encoded.as_bytes()).unwrap();
        let name = path.rsplit('/').next().unwrap();
        let accepted = parse(&bytes).is_ok();
        match name.split('_').next().unwrap() {
            "y" => {
                assert_eq!(accepted, !REFUSED_ON_PURPOSE.contains(&name), "{name}");
                counts[0] += 1;
            }
            "n" => {
                assert!(!accepted, "{name}");
                counts[1] += 1;
            }
            _ => counts[2] += 1,
        }
    }
    println!("JSONTestSuite: {} must accept, {} must refuse, {} free", counts[0], counts[1], counts[2]);
    assert_eq!(counts, [48, 105, 28]);
}

fn key(name: &str) -> PathStep {
    PathStep::Key(name.into())
}

#[test]
fn a_document_is_rebuilt_in_order_of_appearance() {
    let mut document = DocumentBuilder::default();
    document.insert(&[key("b"), PathStep::Ordinal(7), key("x")], "1.0").unwrap();
    document.insert(&[key("a\"")], "\"\\u0061\"").unwrap();
    document.insert(&[key("b"), PathStep::Tag("t".into())], "[]").unwrap();
    document.insert(&[key("b"), PathStep::Ordinal(7), key("y")], "{}").unwrap();
    assert!(document.contains(&[key("b"), PathStep::Ordinal(7)]) && !document.contains(&[key("c")]));
    let expected = br#"{"b":[{"x":1.0,"y":{}},[]],"a\"":"\u0061"}"#;
    assert_eq!(document.finish().unwrap(), expected);
}

#[test]
fn hostile_attributes_make_no_document() {
    let check = |paths: &[(&[PathStep], &str)], expected: RebuildError| {
        let mut document = DocumentBuilder::default();
        let outcome = paths.iter().try_for_each(|(path, value)| document.insert(path, value));
        assert_eq!(outcome.unwrap_err(), expected);
    };
    let unexpected = JsonError { offset: 0, fault: JsonFault::Unexpected };
    check(&[(&[key("a")], "x\",\"b\":1")], RebuildError::Value(unexpected));
    check(&[(&[key("a")], "[1]")], RebuildError::Container);
    check(&[(&[key("a")], "1"), (&[key("a")], "2")], RebuildError::Conflict);
    check(&[(&[key("a")], "1"), (&[key("a"), key("b")], "2")], RebuildError::Conflict);
    check(&[(&[key("a"), key("b")], "1"), (&[key("a")], "2")], RebuildError::Conflict);
    check(&[(&[key("a"), key("b")], "1"), (&[key("a"), PathStep::Ordinal(0)], "2")], RebuildError::Conflict);
    check(&[(&[], "1"), (&[key("a")], "2")], RebuildError::Conflict);
    check(&[(&[], "1"), (&[], "2")], RebuildError::Conflict);
}

proptest! {
    #[test]
    fn any_bytes_are_judged_without_panic(bytes: Vec<u8>) {
        let _ = parse(&bytes);
    }

    #[test]
    fn whatever_is_accepted_serde_json_reads_alike(text in "[\\[\\]{}\",:0-9a-f\\\\u.eE+\\- tnl]{0,24}") {
        if let Ok(value) = parse(text.as_bytes()) {
            prop_assert_eq!(value.raw, text.trim_matches([' ', '\t', '\n', '\r']));
            let number_beyond_f64 = serde_json::from_str::<serde_json::Value>(&text).is_err_and(|e| e.to_string().contains("number out of range"));
            prop_assert!(number_beyond_f64 || serde_json::from_str::<serde_json::Value>(&text).is_ok());
        }
    }
}
