//! What every format offers.

use cresset_protocol::object::cti::CtiObject;
use cresset_protocol::object::view::VerifiedView;
use thiserror::Error;

use crate::json::JsonError;

/// A native format.
pub trait Format {
    /// Media type of its documents, as a PUBLISH names it.
    fn media_type(&self) -> &'static str;

    /// Parses a document that may hold several objects.
    ///
    /// # Errors
    /// The first fault of the document, with its place.
    fn parse_all(&self, native: &[u8]) -> Result<Vec<Parsed>, ParseError>;

    /// Rebuilds the native document from a view: the whole one from a full copy, else what was disclosed.
    ///
    /// # Errors
    /// A view that makes no document of this format.
    fn rebuild(&self, view: &VerifiedView) -> Result<Vec<u8>, RebuildError>;

    /// What [`Format::rebuild`] cannot carry over from this view.
    fn losses(&self, view: &VerifiedView) -> Vec<Loss>;

    /// Parses a document of exactly one object and drops the warnings.
    ///
    /// # Errors
    /// As [`Format::parse_all`]; [`ParseError::Several`] for more or fewer than one.
    fn parse(&self, native: &[u8]) -> Result<CtiObject, ParseError> {
        self.parse_one(native).map(|parsed| parsed.object)
    }

    /// Parses a document of exactly one object.
    ///
    /// # Errors
    /// As [`Format::parse`].
    fn parse_one(&self, native: &[u8]) -> Result<Parsed, ParseError> {
        let mut objects = self.parse_all(native)?;
        match (objects.pop(), objects.len()) {
            (Some(one), 0) => Ok(one),
            (Some(_), others) => Err(ParseError::Several(others + 1)),
            (None, _) => Err(ParseError::Several(0)),
        }
    }
}

/// An object with what its owner should look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parsed {
    /// The object.
    pub object: CtiObject,
    /// In document order.
    pub warnings: Vec<Warning>,
}

/// Something that was read in the safest way, and that a person should put right.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Warning {
    /// Two labels of one scheme on one element.
    #[error("several {scheme} labels on one {place}: the strictest counts")]
    SeveralLabels {
        /// `TLP` or `PAP`.
        scheme: &'static str,
        /// What carries them.
        place: String,
    },
    /// A label that cannot be trusted; the unit is held for review.
    #[error("label `{label}` on a {place} is not in TLP 2.0: held for review as TLP:RED")]
    HeldLabel {
        /// The label, control characters escaped.
        label: String,
        /// What carries it.
        place: String,
    },
    /// A PAP label that does not exist.
    #[error("label `{label}` on a {place} is no PAP label: read as PAP:RED")]
    UnknownPap {
        /// The label, control characters escaped.
        label: String,
        /// What carries it.
        place: String,
    },
    /// A sharing group that only its own server can name.
    #[error("sharing group of a {place} has no UUID: limited to the own organisation")]
    SharingGroupWithoutUuid {
        /// What is limited.
        place: String,
    },
    /// A distribution level that does not exist.
    #[error("unknown distribution of a {place}: limited to the own organisation")]
    UnknownDistribution {
        /// What is limited.
        place: String,
    },
    /// No usable version.
    #[error("event has no usable `timestamp`: version 0")]
    NoVersion,
}

/// Something that a rebuilt document lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// What it was, without values.
    pub what: String,
}

/// Why bytes are no document of a format.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ParseError {
    /// Not strict JSON within limits.
    #[error("not acceptable as JSON")]
    Json(#[from] JsonError),
    /// JSON, but no document of this format.
    #[error("no {format} document: {reason}")]
    NotThisFormat {
        /// The format.
        format: &'static str,
        /// What is missing or different.
        reason: &'static str,
    },
    /// Not exactly one object.
    #[error("document holds {0} objects where one is expected")]
    Several(usize),
    /// An object without identity.
    #[error("{0} has no usable `uuid`")]
    NoUuid(&'static str),
    /// A label that is longer than any real one.
    #[error("label of {0} bytes")]
    LabelTooLong(usize),
    /// More sharing groups than a marking can hold.
    #[error("object is beyond the limits of a marking")]
    Marking(#[from] cresset_protocol::object::marking::MarkingError),
}

/// Why a view makes no document.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RebuildError {
    /// A view of another format.
    #[error("view of media type `{0}`")]
    MediaType(String),
    /// A value that is no JSON scalar or empty container.
    #[error("value of an attribute is no JSON scalar")]
    Value(#[source] JsonError),
    /// A value that is a container with content.
    #[error("value of an attribute is a container with content")]
    Container,
    /// Paths that contradict each other.
    #[error("paths of two attributes contradict each other")]
    Conflict,
}
