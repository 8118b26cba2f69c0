//! Signed notes (C2SP signed-note) as far as checkpoints need them: text, blank line, signature lines.

use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::limits::{NOTE_BYTES_MAX, NOTE_SIGNATURES_MAX};

/// Signature type of signed-note for algorithms without an assigned number; a long identifier follows it in key ids.
const TYPE_UNASSIGNED: u8 = 0xff;
const LINE_START: &str = "\u{2014} ";

/// First four bytes of the digest that names a key in a signature line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyHint(pub [u8; 4]);

impl KeyHint {
    /// SHA-256(name || 0x0A || 0xff || long id || public key), cut to four bytes.
    pub fn of(name: &str, long_id: &str, public_key: &[u8]) -> Self {
        let mut hash = Sha256::new_with_prefix(name);
        hash.update([b'\n', TYPE_UNASSIGNED]);
        hash.update(long_id);
        hash.update(public_key);
        let [a, b, c, d, ..]: [u8; 32] = hash.finalize().into();
        Self([a, b, c, d])
    }
}

/// One signature line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureLine<'a> {
    /// Key name.
    pub name: &'a str,
    /// Which of the name's keys.
    pub hint: KeyHint,
    /// What follows the hint; for checkpoints a time stamp and the signature.
    pub payload: Vec<u8>,
}

impl SignatureLine<'_> {
    /// The line, line feed included.
    pub fn to_text(&self) -> String {
        let blob = [&self.hint.0[..], &self.payload].concat();
        format!("{LINE_START}{} {}\n", self.name, data_encoding::BASE64.encode(&blob))
    }
}

/// A note taken apart. Nothing in it is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note<'a> {
    /// The signed text, with its last line feed.
    pub text: &'a str,
    /// Signature lines in order.
    pub lines: Vec<SignatureLine<'a>>,
}

impl<'a> Note<'a> {
    /// Takes a note apart.
    ///
    /// # Errors
    /// The first [`NoteSyntaxError`] met.
    pub fn parse(note: &'a str) -> Result<Self, NoteSyntaxError> {
        if note.len() > NOTE_BYTES_MAX {
            return Err(NoteSyntaxError::TooLarge(note.len()));
        }
        if note.chars().any(|c| c < ' ' && c != '\n') {
            return Err(NoteSyntaxError::ControlCharacter);
        }
        let split = note.rfind("\n\n").ok_or(NoteSyntaxError::NoSignatures)?;
        // Both halves are cut at line feeds, which are character boundaries.
        let (text, rest) = note.split_at_checked(split + 1).ok_or(NoteSyntaxError::NoSignatures)?;
        let lines = rest.strip_prefix('\n').ok_or(NoteSyntaxError::NoSignatures)?;
        let lines = lines.strip_suffix('\n').ok_or(NoteSyntaxError::SignatureLine)?;
        let lines: Vec<_> = lines.split('\n').map(parse_line).collect::<Result<_, _>>()?;
        if lines.len() > NOTE_SIGNATURES_MAX {
            return Err(NoteSyntaxError::TooManySignatures(lines.len()));
        }
        Ok(Self { text, lines })
    }
}

fn parse_line(line: &str) -> Result<SignatureLine<'_>, NoteSyntaxError> {
    let (name, blob) =
        line.strip_prefix(LINE_START).and_then(|rest| rest.split_once(' ')).ok_or(NoteSyntaxError::SignatureLine)?;
    if name.is_empty() || name.contains('+') || name.chars().any(char::is_whitespace) {
        return Err(NoteSyntaxError::SignatureLine);
    }
    let blob = decode_base64(blob).ok_or(NoteSyntaxError::Base64)?;
    let (hint, payload) = blob.split_first_chunk::<4>().ok_or(NoteSyntaxError::SignatureLine)?;
    Ok(SignatureLine { name, hint: KeyHint(*hint), payload: payload.to_vec() })
}

/// Standard base64 with padding, and only the one encoding of each byte string.
pub(crate) fn decode_base64(text: &str) -> Option<Vec<u8>> {
    data_encoding::BASE64.decode(text.as_bytes()).ok()
}

/// Why text is no signed note.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NoteSyntaxError {
    /// Over the limit.
    #[error("note of {0} bytes is over the limit")]
    TooLarge(usize),
    /// A control character other than line feed.
    #[error("control character in the note")]
    ControlCharacter,
    /// No blank line before signatures.
    #[error("no signatures")]
    NoSignatures,
    /// Not a signature line.
    #[error("malformed signature line")]
    SignatureLine,
    /// Not canonical base64.
    #[error("signature is not canonical base64")]
    Base64,
    /// More lines than allowed.
    #[error("{0} signature lines")]
    TooManySignatures(usize),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_comes_apart_and_back() {
        let note = "text\n\nmore\n\n\u{2014} a.example AAAAAAE=\n\u{2014} b.example AAAAAAI=\n";
        let parsed = Note::parse(note).unwrap();
        assert_eq!(parsed.text, "text\n\nmore\n");
        let lines: String = parsed.lines.iter().map(SignatureLine::to_text).collect();
        assert_eq!(format!("{}\n{lines}", parsed.text), note);
    }

    #[test]
    fn every_fault_has_its_name() {
        let check = |note: &str, expected| assert_eq!(Note::parse(note), Err(expected), "{note:?}");
        check("text\n", NoteSyntaxError::NoSignatures);
        check("text\n\n", NoteSyntaxError::SignatureLine);
        check("te\txt\n\n\u{2014} a AAAAAAE=\n", NoteSyntaxError::ControlCharacter);
        check("text\n\n\u{2014} a AAAAAAE=", NoteSyntaxError::SignatureLine);
        check("text\n\n- a AAAAAAE=\n", NoteSyntaxError::SignatureLine);
        check("text\n\n\u{2014} a+b AAAAAAE=\n", NoteSyntaxError::SignatureLine);
        check("text\n\n\u{2014} a AAA=\n", NoteSyntaxError::SignatureLine);
        check("text\n\n\u{2014} a AAAAAAF=\n", NoteSyntaxError::Base64);
        check("text\n\n\u{2014} a AAAAAAE\n", NoteSyntaxError::Base64);
        check(&" ".repeat(NOTE_BYTES_MAX + 1), NoteSyntaxError::TooLarge(NOTE_BYTES_MAX + 1));
        let many = "\u{2014} a AAAAAAE=\n".repeat(NOTE_SIGNATURES_MAX + 1);
        check(&format!("text\n\n{many}"), NoteSyntaxError::TooManySignatures(NOTE_SIGNATURES_MAX + 1));
    }
}
