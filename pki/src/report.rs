//! What a command says: lines for people, or one JSON document. Data goes to stdout, talk to stderr.

use std::error::Error;
use std::process::ExitCode;

use serde_json::Value;

use crate::error::PkiError;

/// The result of a command in both forms.
#[derive(Debug)]
pub(crate) struct Report {
    lines: Vec<String>,
    json: Value,
}

impl Report {
    pub(crate) fn new(lines: Vec<String>, json: Value) -> Self {
        Self { lines, json }
    }

    /// Prints the form asked for.
    pub(crate) fn print(&self, json: bool) -> ExitCode {
        if json {
            println!("{:#}", self.json);
        } else {
            self.lines.iter().for_each(|line| println!("{line}"));
        }
        ExitCode::SUCCESS
    }
}

/// Prints an error with its causes and what to do about it.
pub(crate) fn print_error(error: &PkiError) {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        text.push_str(": ");
        text.push_str(source.to_string().trim());
        cause = source.source();
    }
    eprintln!("error: {text}");
    if let Some(hint) = error.hint() {
        eprintln!("hint: {hint}");
    }
}
