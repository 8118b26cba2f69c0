//! Chapter 0 against the code: labels, limits, suites, lengths, and what deterministic CBOR is.

#![allow(clippy::unwrap_used, reason = "what cannot be read or computed is a failed test")]

use std::collections::BTreeMap;

use cresset_protocol::codec::{CodecError, check_canonical};
use cresset_protocol::domain;
use cresset_protocol::signing::{
    EncryptionPublicKey, MlDsa65PublicKey, MlDsa65Signature, MlDsa87PublicKey, MlDsa87Signature, P384PublicKey,
    P384Signature,
};
use cresset_protocol::suite::Suite;
use cresset_spec_tests::{cells, check_vectors, section, text, unhex};
use serde_json::json;

const CHAPTER: &str = "protocol-spec/00-conventions.md";

fn rows(heading: &str) -> Vec<Vec<String>> {
    section(&text(CHAPTER), heading).lines().filter_map(cells).collect()
}

#[test]
fn the_table_of_labels_is_the_codes() {
    let table: Vec<String> =
        rows("## 0.5").into_iter().map(|row| row[0].clone()).filter(|label| label.starts_with("cresset/")).collect();
    let code: Vec<&str> = domain::ALL.iter().map(|label| label.as_str().trim_end_matches('\n')).collect();
    assert_eq!(table, code);
}

#[test]
fn the_table_of_limits_is_the_codes() {
    let mut table = BTreeMap::new();
    for row in rows("## 0.7") {
        if let Ok(value) = row[1].replace(',', "").parse::<u64>() {
            assert_eq!(table.insert(row[0].clone(), value), None, "`{}` is there twice", row[0]);
        }
    }
    assert_eq!(table, limits_of_the_code());
}

/// Reads `pub const NAME: type = expression;` lines; the expressions are sums, products, shifts and names.
fn limits_of_the_code() -> BTreeMap<String, u64> {
    let source = text("crates/protocol/src/limits.rs");
    let declared: Vec<(&str, &str)> = source
        .lines()
        .filter_map(|line| line.strip_prefix("pub const ")?.strip_suffix(';')?.split_once(": "))
        .map(|(name, rest)| (name, rest.split_once(" = ").unwrap().1))
        .collect();
    let mut known = BTreeMap::new();
    // A name may be used above its declaration.
    while known.len() < declared.len() {
        let before = known.len();
        for (name, expression) in &declared {
            if let Some(value) = evaluate(expression, &known) {
                known.insert((*name).to_owned(), value);
            }
        }
        assert!(known.len() > before, "limits that cannot be evaluated: {declared:?}");
    }
    known
}

/// Shift binds weakest, then sum, then product.
fn evaluate(expression: &str, known: &BTreeMap<String, u64>) -> Option<u64> {
    if let Some((left, right)) = expression.split_once(" << ") {
        return Some(evaluate(left, known)? << evaluate(right, known)?);
    }
    if let Some((left, right)) = expression.split_once(" + ") {
        return Some(evaluate(left, known)? + evaluate(right, known)?);
    }
    if let Some((left, right)) = expression.split_once(" * ") {
        return Some(evaluate(left, known)? * evaluate(right, known)?);
    }
    let atom = expression.split(" as ").next()?;
    atom.replace('_', "").parse().ok().or_else(|| known.get(atom).copied())
}

#[test]
fn the_tables_of_suites_and_lengths_are_the_codes() {
    let chapter = text(CHAPTER);
    let suite = Suite::Hybrid2026;
    assert!(chapter.contains(&format!("| {} | `{}` |", suite.code(), suite.name())));
    for (row, lengths) in [
        ("P-384 public key", vec![P384PublicKey::LEN]),
        ("ECDSA P-384 signature", vec![P384Signature::LEN]),
        ("ML-DSA-65 public key, signature", vec![MlDsa65PublicKey::LEN, MlDsa65Signature::LEN]),
        ("ML-DSA-87 public key, signature", vec![MlDsa87PublicKey::LEN, MlDsa87Signature::LEN]),
        (
            "HPKE public key, encapsulated key, private seed",
            vec![EncryptionPublicKey::LEN, EncryptionPublicKey::LEN, 32],
        ),
    ] {
        let found = rows("## 0.6").into_iter().find(|cells| cells[0] == row).unwrap_or_else(|| panic!("{row}"));
        let numbers: Vec<usize> = found[1]
            .split([';', ' '])
            .map(|word| word.trim_end_matches(',').replace(',', ""))
            .filter_map(|word| word.parse().ok())
            .collect();
        assert!(numbers.starts_with(&lengths), "{row}: {numbers:?}, not {lengths:?}");
    }
}

#[test]
fn the_table_of_items_is_what_the_codec_does() {
    let mut vectors = Vec::new();
    for row in rows("## 0.3").into_iter().filter(|row| row[0].chars().all(|c| c.is_ascii_hexdigit())) {
        let result = match check_canonical(&unhex(&row[0])) {
            Ok(()) => "accept".to_owned(),
            Err(CodecError::NotCanonical { fault, .. }) => fault.to_string(),
            Err(error) => error.to_string(),
        };
        assert_eq!(result, row[1], "{}", row[0]);
        vectors.push(json!({ "item": row[0], "result": result }));
    }
    assert!(vectors.len() > 30);
    // 64 levels are the limit, the innermost item included.
    for (levels, result) in [(64, "accept"), (65, "nested too deeply")] {
        let item = format!("{}00", "81".repeat(levels - 1));
        assert_eq!(check_canonical(&unhex(&item)).is_ok(), result == "accept", "{levels} levels");
        vectors.push(json!({ "item": item, "result": result }));
    }
    check_vectors("cbor.json", &json!({ "chapter": "0.3", "items": vectors }));
}
