//! Log lines on stderr: text for people, JSON for collectors; never a payload, never a control character.

use std::io::{self, IsTerminal, Write};

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Human,
    /// One JSON object per line.
    Json,
}

/// Starts logging. Our own modules are heard from `info` on, libraries from `warn` on.
pub(crate) fn start(format: Option<LogFormat>, verbose: u8) {
    let by_terminal = || if io::stderr().is_terminal() { LogFormat::Human } else { LogFormat::Json };
    // cryptoki calls each mechanism of a token that it has no name for an error; we ask only for those that it has.
    let directives = match verbose {
        0 => "warn,cresset_node=info,cresset_provenance=info,cresset_token=info,cryptoki=off",
        1 => "info,cresset_node=debug,cresset_provenance=debug,cresset_token=debug,cryptoki=off",
        _ => "debug,cresset_node=trace",
    };
    let logs = tracing_subscriber::fmt().with_env_filter(EnvFilter::new(directives)).with_ansi(false);
    // Only fails if somebody else logs already, which is then as good.
    let _ = match format.unwrap_or_else(by_terminal) {
        LogFormat::Human => logs.with_target(false).with_writer(EscapedStderr).try_init(),
        LogFormat::Json => logs.json().flatten_event(true).with_writer(EscapedStderr).try_init(),
    };
}

/// Stderr for whole lines. What peers send must neither drive a terminal nor forge a line.
#[derive(Clone, Copy, Debug)]
struct EscapedStderr;

impl<'a> MakeWriter<'a> for EscapedStderr {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        Self
    }
}

impl Write for EscapedStderr {
    /// The subscriber writes each event with one call.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        io::stderr().lock().write_all(&escape(line))?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

fn escape(line: &[u8]) -> Vec<u8> {
    let (content, end): (_, &[u8]) = match line.strip_suffix(b"\n") {
        Some(content) => (content, b"\n"),
        None => (line, b""),
    };
    let mut out = crate::output::clean(&String::from_utf8_lossy(content)).into_bytes();
    out.extend_from_slice(end);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_cannot_forge_a_line_or_drive_the_terminal() {
        assert_eq!(escape(b"reason=\x1b[2J\nERROR forged\n"), b"reason=\\u{1b}[2J\\u{a}ERROR forged\n");
        assert_eq!(escape("grüße\n".as_bytes()), "grüße\n".as_bytes());
    }
}
