//! What people and scripts read: text or one JSON document on stdout.

pub(crate) mod publish;
pub(crate) mod table;
pub(crate) mod views;

use std::io::{self, Write};

use serde::Serialize;

/// Text is laid out for terminals of this many columns.
pub(crate) const COLUMNS: usize = 100;

/// How a command answers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    /// One JSON document instead of text.
    pub(crate) json: bool,
}

impl Output {
    /// Prints an answer in the form that was asked for.
    pub(crate) fn print<T: Serialize>(self, answer: &T, text: impl FnOnce(&T) -> String) {
        let mut out = match serde_json::to_string_pretty(answer) {
            Ok(json) if self.json => json,
            _ => text(answer),
        };
        if !out.ends_with('\n') {
            out.push('\n');
        }
        // A reader that has gone away (`| head`) is no fault of ours.
        let _ = io::stdout().lock().write_all(out.as_bytes());
    }
}

/// Text of others, with control characters made visible: it must neither drive a terminal nor forge a line.
pub(crate) fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() || is_direction_mark(character) {
            out.extend(character.escape_unicode());
        } else {
            out.push(character);
        }
    }
    out
}

/// Characters that reorder what is shown around them.
fn is_direction_mark(character: char) -> bool {
    matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// POSIX seconds for people: RFC 3339 in UTC.
pub(crate) fn time(seconds: u64) -> String {
    let timestamp = i64::try_from(seconds).ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    timestamp.map_or_else(|| format!("{seconds} s"), |timestamp| timestamp.to_string())
}

/// A span for people, in its two largest units.
pub(crate) fn span(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

/// A number of bytes for people.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let mut rest = count;
    let mut unit = "B";
    for next in UNITS {
        if rest < 10_240 && (unit != "B" || rest < 1_024) {
            break;
        }
        (rest, unit) = (rest.div_ceil(1_024), next);
    }
    format!("{rest} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_cannot_drive_the_terminal() {
        assert_eq!(clean("a\x1b[31m\u{202e}b\nc\u{9b}"), "a\\u{1b}[31m\\u{202e}b\\u{a}c\\u{9b}");
        assert_eq!(clean("Žluťoučký 猫"), "Žluťoučký 猫");
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!((time(1_790_000_000).as_str(), time(u64::MAX).ends_with(" s")), ("2026-09-21T14:13:20Z", true));
        assert_eq!([span(9), span(61), span(3_700), span(90_000)], ["9 s", "1 min", "1 h 1 min", "1 d 1 h"]);
        assert_eq!([bytes(512), bytes(1_024), bytes(2_048), bytes(20 << 20)], ["512 B", "1 KiB", "2 KiB", "20 MiB"]);
    }
}
