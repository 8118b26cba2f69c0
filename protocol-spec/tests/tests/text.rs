//! The specification as a text: chapters are there, links lead somewhere, CDDL names are defined.

#![allow(clippy::unwrap_used, reason = "what cannot be read or computed is a failed test")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use cresset_spec_tests::{text, workspace};

const CHAPTERS: [(&str, &[&str]); 14] = [
    ("00-conventions.md", &[]),
    ("01-overview.md", &[]),
    ("02-log.md", &["log.cddl"]),
    ("03-envelope.md", &["envelope.cddl"]),
    ("04-object.md", &["object.cddl"]),
    ("05-membership.md", &["membership.cddl"]),
    ("06-policy.md", &["policy.cddl"]),
    ("07-transport.md", &["transport.cddl"]),
    ("08-storage.md", &["storage.cddl"]),
    ("09-sync.md", &["sync.cddl"]),
    ("10-audit.md", &[]),
    ("11-control-api.md", &[]),
    ("12-security.md", &[]),
    ("README.md", &[]),
];

/// Names that CDDL itself defines (RFC 8610 appendix D), as far as they are used, and its control operators.
const PRELUDE: [&str; 18] = [
    "any", "uint", "nint", "int", "bytes", "bstr", "tstr", "text", "bool", "true", "false", "null", "nil", "size",
    "cbor", "eq", "le", "regexp",
];

fn tracked(pattern: &str) -> Vec<PathBuf> {
    let output = Command::new("git").args(["ls-files", pattern]).current_dir(workspace()).output().unwrap();
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|path| workspace().join(path))
        .filter(|p| p.exists())
        .collect()
}

#[test]
fn every_chapter_is_there_and_names_its_shapes() {
    let mut named = BTreeSet::new();
    for (chapter, shapes) in CHAPTERS {
        let body = text(&format!("protocol-spec/{chapter}"));
        assert!(body.len() > 1_000, "{chapter} says nothing");
        for shape in shapes {
            assert!(body.contains(&format!("cddl/{shape}")), "{chapter} does not name cddl/{shape}");
            named.insert((*shape).to_owned());
        }
    }
    let files = std::fs::read_dir(workspace().join("protocol-spec/cddl")).unwrap();
    let files: BTreeSet<String> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(files, named);
}

#[test]
fn every_relative_link_leads_somewhere() {
    let mut broken = Vec::new();
    for file in tracked("*.md") {
        let body = std::fs::read_to_string(&file).unwrap();
        for target in links(&body) {
            let path = target.split('#').next().unwrap_or_default();
            let external = target.contains("://") || target.starts_with("mailto:") || path.is_empty();
            let base = file.parent().unwrap_or(Path::new("."));
            if !external && !base.join(path).exists() {
                broken.push(format!("{}: {target}", file.display()));
            }
        }
    }
    assert_eq!(broken, [""; 0]);
}

/// Targets of `[text](target)` outside of code.
fn links(body: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut fenced = false;
    for line in body.lines() {
        fenced ^= line.trim_start().starts_with("```");
        if fenced {
            continue;
        }
        let prose: String = line.split('`').step_by(2).collect::<Vec<_>>().join("");
        for part in prose.split("](").skip(1) {
            found.extend(part.split(')').next().map(str::to_owned));
        }
    }
    found
}

/// Names are defined in the file that uses them or in that of another chapter.
#[test]
fn every_cddl_name_is_defined() {
    let files = tracked("protocol-spec/cddl/*.cddl");
    let sources: Vec<String> =
        files.iter().map(|file| without_comments(&std::fs::read_to_string(file).unwrap())).collect();
    let defined: BTreeSet<&str> = sources
        .iter()
        .flat_map(|source| source.lines())
        .filter(|line| !line.starts_with([' ', '}', ']']))
        .filter_map(|line| line.split_once('=').map(|(name, _)| name.trim_end_matches('/').trim()))
        .collect();
    for (file, source) in files.iter().zip(&sources) {
        for name in used_names(source) {
            let known = defined.contains(name.as_str()) || PRELUDE.contains(&name.as_str());
            assert!(known, "{}: `{name}` is not defined", file.display());
        }
        let count = |c: char| source.chars().filter(|found| *found == c).count();
        for (open, close) in [('{', '}'), ('[', ']'), ('(', ')')] {
            assert_eq!(count(open), count(close), "{}: `{open}` and `{close}`", file.display());
        }
    }
}

fn without_comments(source: &str) -> String {
    let lines = source.lines().map(|line| line.split(';').next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

/// Identifiers that are not member names (`name:` or `name =>`), strings or definitions.
fn used_names(source: &str) -> Vec<String> {
    let mut names = Vec::new();
    for line in source.lines() {
        let mut rest = line;
        while let Some(start) = rest.find(|c: char| c.is_ascii_alphabetic() || c == '"') {
            let tail = &rest[start..];
            if let Some(string) = tail.strip_prefix('"') {
                rest = string.split_once('"').map_or("", |(_, after)| after);
                continue;
            }
            let end = tail.find(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_')).unwrap_or(tail.len());
            let (name, after) = tail.split_at(end);
            let member = after.trim_start().starts_with(':') || after.trim_start().starts_with("=>");
            let definition = start == 0 && rest.len() == line.len();
            // Hexadecimal numbers begin with a digit.
            let number = rest[..start].ends_with(|c: char| c.is_ascii_digit());
            if !member && !definition && !number {
                names.push(name.to_owned());
            }
            rest = after;
        }
    }
    names
}
