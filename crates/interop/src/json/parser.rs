//! The parser: one pass over a slice, borrowed tokens, recursion bounded by the depth limit.

use std::borrow::Cow;

use cresset_protocol::limits::{ATTRIBUTES_MAX, NESTING_DEPTH_MAX, OBJECT_BYTES_MAX};
use thiserror::Error;

/// A JSON value with the exact text that it was written as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value<'a> {
    /// Its text, without surrounding white space.
    pub raw: &'a str,
    /// Its structure.
    pub kind: Kind<'a>,
}

/// The structure of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind<'a> {
    /// Null, a boolean, a number or a string: `raw` says which.
    Scalar,
    /// Members in order.
    Array(Vec<Value<'a>>),
    /// Members in order, keys decoded and distinct.
    Object(Vec<(Cow<'a, str>, Value<'a>)>),
}

impl<'a> Value<'a> {
    /// Member of an object by key.
    pub fn get(&self, key: &str) -> Option<&Value<'a>> {
        match &self.kind {
            Kind::Object(members) => members.iter().find(|(name, _)| name == key).map(|(_, value)| value),
            _ => None,
        }
    }

    /// Decoded text of a string.
    pub fn text(&self) -> Option<Cow<'a, str>> {
        match self.kind {
            Kind::Scalar if self.raw.starts_with('"') => decode_string(self.raw),
            _ => None,
        }
    }

    /// Text of a string, or the token of a number: formats mix the two freely.
    pub fn text_or_number(&self) -> Option<Cow<'a, str>> {
        match (&self.kind, self.raw.as_bytes().first()) {
            (Kind::Scalar, Some(b'-' | b'0'..=b'9')) => Some(Cow::Borrowed(self.raw)),
            _ => self.text(),
        }
    }
}

/// Parses one document.
///
/// # Errors
/// The first departure from strict JSON, with its byte offset.
pub fn parse(bytes: &[u8]) -> Result<Value<'_>, JsonError> {
    if bytes.len() as u64 > OBJECT_BYTES_MAX {
        return Err(JsonError { offset: bytes.len(), fault: JsonFault::TooLarge });
    }
    if bytes.starts_with(b"\xef\xbb\xbf") {
        return Err(JsonError { offset: 0, fault: JsonFault::ByteOrderMark });
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|error| JsonError { offset: error.valid_up_to(), fault: JsonFault::Utf8 })?;
    let mut parser = Parser { text, bytes: text.as_bytes(), at: 0, values: 0 };
    let value = parser.value(0)?;
    parser.skip_space();
    match parser.peek() {
        None => Ok(value),
        Some(_) => Err(parser.fault(JsonFault::Trailing)),
    }
}

/// Where and why a document is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{fault} at byte {offset}")]
pub struct JsonError {
    /// Byte offset in the document.
    pub offset: usize,
    /// What is wrong there.
    pub fault: JsonFault,
}

/// The ways to be refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum JsonFault {
    /// Larger than an object may be.
    #[error("document beyond {OBJECT_BYTES_MAX} bytes")]
    TooLarge,
    /// A byte order mark.
    #[error("byte order mark")]
    ByteOrderMark,
    /// Not UTF-8.
    #[error("invalid UTF-8")]
    Utf8,
    /// The document ends inside a value.
    #[error("unexpected end")]
    End,
    /// A byte that cannot stand here.
    #[error("unexpected character")]
    Unexpected,
    /// Content after the document.
    #[error("content after the document")]
    Trailing,
    /// A number that the grammar does not know.
    #[error("malformed number")]
    Number,
    /// A raw control character in a string.
    #[error("control character in a string")]
    Control,
    /// An unknown escape.
    #[error("malformed escape")]
    Escape,
    /// Half a surrogate pair.
    #[error("lone surrogate")]
    Surrogate,
    /// A key that the object already has.
    #[error("duplicate key")]
    DuplicateKey,
    /// Nested too deeply.
    #[error("nested deeper than {NESTING_DEPTH_MAX}")]
    Depth,
    /// Too many values.
    #[error("more than {ATTRIBUTES_MAX} values")]
    Count,
}

struct Parser<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    values: usize,
}

impl<'a> Parser<'a> {
    fn value(&mut self, depth: usize) -> Result<Value<'a>, JsonError> {
        self.skip_space();
        self.values += 1;
        if self.values > ATTRIBUTES_MAX {
            return Err(self.fault(JsonFault::Count));
        }
        let start = self.at;
        let kind = match self.peek() {
            None => return Err(self.fault(JsonFault::End)),
            Some(b'{') => Kind::Object(self.object(depth)?),
            Some(b'[') => Kind::Array(self.array(depth)?),
            Some(b'"') => {
                self.string()?;
                Kind::Scalar
            }
            Some(b'-' | b'0'..=b'9') => {
                self.number()?;
                Kind::Scalar
            }
            Some(_) => {
                self.word()?;
                Kind::Scalar
            }
        };
        Ok(Value { raw: self.since(start), kind })
    }

    fn object(&mut self, depth: usize) -> Result<Vec<(Cow<'a, str>, Value<'a>)>, JsonError> {
        self.open(depth)?;
        let mut members = Vec::new();
        let mut offsets = Vec::new();
        self.skip_space();
        if self.take_if(b'}') {
            return Ok(members);
        }
        loop {
            self.skip_space();
            offsets.push(self.at);
            if self.peek() != Some(b'"') {
                return Err(self.unexpected());
            }
            let start = self.at;
            self.string()?;
            let key = decode_string(self.since(start)).ok_or(JsonError { offset: start, fault: JsonFault::Escape })?;
            self.skip_space();
            self.expect(b':')?;
            members.push((key, self.value(depth + 1)?));
            self.skip_space();
            if self.take_if(b'}') {
                check_distinct(&members, &offsets)?;
                return Ok(members);
            }
            self.expect(b',')?;
        }
    }

    fn array(&mut self, depth: usize) -> Result<Vec<Value<'a>>, JsonError> {
        self.open(depth)?;
        let mut members = Vec::new();
        self.skip_space();
        if self.take_if(b']') {
            return Ok(members);
        }
        loop {
            members.push(self.value(depth + 1)?);
            self.skip_space();
            if self.take_if(b']') {
                return Ok(members);
            }
            self.expect(b',')?;
        }
    }

    fn open(&mut self, depth: usize) -> Result<(), JsonError> {
        if depth >= NESTING_DEPTH_MAX {
            return Err(self.fault(JsonFault::Depth));
        }
        self.at += 1;
        Ok(())
    }

    /// Passes over a string that starts here.
    fn string(&mut self) -> Result<(), JsonError> {
        self.at += 1;
        loop {
            match self.peek() {
                None => return Err(self.fault(JsonFault::End)),
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                Some(0..=0x1f) => return Err(self.fault(JsonFault::Control)),
                Some(_) => self.at += 1,
            }
        }
    }

    fn escape(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        self.at += 1;
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 1;
                Ok(())
            }
            Some(b'u') => match self.code_unit()? {
                0xdc00..=0xdfff => Err(JsonError { offset: start, fault: JsonFault::Surrogate }),
                0xd800..=0xdbff => self.low_surrogate(start),
                _ => Ok(()),
            },
            Some(_) => Err(JsonError { offset: start, fault: JsonFault::Escape }),
            None => Err(self.fault(JsonFault::End)),
        }
    }

    fn low_surrogate(&mut self, start: usize) -> Result<(), JsonError> {
        let lone = JsonError { offset: start, fault: JsonFault::Surrogate };
        if !(self.take_if(b'\\') && self.peek() == Some(b'u')) {
            return Err(lone);
        }
        match self.code_unit()? {
            0xdc00..=0xdfff => Ok(()),
            _ => Err(lone),
        }
    }

    /// The four digits after `u`, which stands here.
    fn code_unit(&mut self) -> Result<u16, JsonError> {
        self.at += 1;
        let mut unit = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            unit = unit << 4 | digit.ok_or_else(|| self.fault(JsonFault::Escape))? as u16;
            self.at += 1;
        }
        Ok(unit)
    }

    fn number(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        let malformed = JsonError { offset: start, fault: JsonFault::Number };
        self.take_if(b'-');
        if !self.take_if(b'0') && self.digits() == 0 {
            return Err(malformed);
        }
        if self.take_if(b'.') && self.digits() == 0 {
            return Err(malformed);
        }
        if self.take_if(b'e') || self.take_if(b'E') {
            if !self.take_if(b'+') {
                self.take_if(b'-');
            }
            if self.digits() == 0 {
                return Err(malformed);
            }
        }
        match self.peek() {
            Some(b'0'..=b'9' | b'.' | b'+' | b'-' | b'e' | b'E') => Err(malformed),
            _ => Ok(()),
        }
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        self.at - start
    }

    fn word(&mut self) -> Result<(), JsonError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        match [b"true".as_slice(), b"false", b"null"].into_iter().find(|word| rest.starts_with(word)) {
            Some(word) => {
                self.at += word.len();
                Ok(())
            }
            None => Err(self.unexpected()),
        }
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn take_if(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8) -> Result<(), JsonError> {
        if self.take_if(byte) { Ok(()) } else { Err(self.unexpected()) }
    }

    /// Tokens start and end at ASCII characters, so the range is always on character boundaries.
    fn since(&self, start: usize) -> &'a str {
        self.text.get(start..self.at).unwrap_or_default()
    }

    fn unexpected(&self) -> JsonError {
        self.fault(if self.peek().is_none() { JsonFault::End } else { JsonFault::Unexpected })
    }

    fn fault(&self, fault: JsonFault) -> JsonError {
        JsonError { offset: self.at, fault }
    }
}

fn check_distinct(members: &[(Cow<'_, str>, Value<'_>)], offsets: &[usize]) -> Result<(), JsonError> {
    let mut keys: Vec<(&str, usize)> =
        members.iter().map(|(key, _)| key.as_ref()).zip(offsets.iter().copied()).collect();
    keys.sort_unstable();
    let duplicate = keys.windows(2).find_map(|pair| match pair {
        [(a, _), (b, offset)] if a == b => Some(*offset),
        _ => None,
    });
    match duplicate {
        Some(offset) => Err(JsonError { offset, fault: JsonFault::DuplicateKey }),
        None => Ok(()),
    }
}

/// Decodes a string token that the parser has already accepted.
fn decode_string(raw: &str) -> Option<Cow<'_, str>> {
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') { serde_json::from_str(raw).ok().map(Cow::Owned) } else { Some(Cow::Borrowed(inner)) }
}
