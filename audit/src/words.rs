//! Errors and sizes as words of a report.

/// An error with everything that caused it, from the outside in.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    plain(&text)
}

/// Text from outside for a terminal: control characters out, and so are those that turn the direction of writing.
pub(crate) fn plain(text: &str) -> String {
    let harmless = |c: &char| {
        !c.is_control() && !matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().filter(harmless).take(TEXT_CHARS_MAX).collect()
}

const TEXT_CHARS_MAX: usize = 1_000;
