//! Keeps the specification and the workspace true. Holds nothing but what its tests share.

#![warn(missing_docs)]

use std::path::{Path, PathBuf};

use serde_json::Value;

/// Root of the workspace.
pub fn workspace() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Text of a file below the workspace's root.
///
/// # Panics
/// If it cannot be read.
pub fn text(path: &str) -> String {
    let path = workspace().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Lower-case hexadecimal.
pub fn hex(bytes: impl AsRef<[u8]>) -> String {
    data_encoding::HEXLOWER.encode(bytes.as_ref())
}

/// Octets of lower-case hexadecimal.
///
/// # Panics
/// If it is none.
pub fn unhex(text: &str) -> Vec<u8> {
    data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap_or_else(|error| panic!("`{text}`: {error}"))
}

/// Cells of a Markdown table's row, trimmed and without back-ticks; `None` for any other line.
pub fn cells(line: &str) -> Option<Vec<String>> {
    let inner = line.strip_prefix('|')?.strip_suffix('|')?;
    Some(inner.split('|').map(|cell| cell.trim().trim_matches('`').to_owned()).collect())
}

/// The part of a chapter under a heading, up to the next one of the same or a higher level.
///
/// # Panics
/// If the chapter has no such heading.
pub fn section<'a>(chapter: &'a str, heading: &str) -> &'a str {
    let start = chapter.find(heading).unwrap_or_else(|| panic!("no section `{heading}`"));
    let body = &chapter[start + heading.len()..];
    body.split("\n## ").next().unwrap_or_default()
}

/// Compares generated vectors with the file, or writes it if `CRESSET_WRITE_VECTORS` is 1.
///
/// # Panics
/// If they differ.
pub fn check_vectors(name: &str, generated: &Value) {
    let path: &Path = &workspace().join("protocol-spec/vectors").join(name);
    if std::env::var("CRESSET_WRITE_VECTORS").is_ok_and(|value| value == "1") {
        let text = serde_json::to_string_pretty(generated).expect("strings and numbers serialise");
        std::fs::write(path, text + "\n").unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
    // Compared as values: the order of keys means nothing.
    let stored: Value = serde_json::from_str(&text(&format!("protocol-spec/vectors/{name}"))).expect("a JSON file");
    assert_eq!(&stored, generated, "{name}: the code gives other values than the stored vectors");
}
