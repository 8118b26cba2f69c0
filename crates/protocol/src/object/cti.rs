//! The CTI object: what any format becomes before policy sees it.

use minicbor::{Decode, Decoder, Encode, Encoder, decode, encode};

use crate::ids::{ObjectUuid, ObjectVersion};
use crate::object::marking::Marking;

/// One step of an attribute path: how to get from a JSON container to a member of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PathStep {
    /// Member of an object. On the wire: text.
    Key(String),
    /// Member of an array that has a `uuid`. On the wire: byte string of 16.
    Uuid([u8; 16]),
    /// Member of an array of tags, by name. On the wire: array [0, name].
    Tag(String),
    /// Any other member of an array, by its ordinal within its marking class. On the wire: array [1, ordinal].
    Ordinal(u32),
}

const STEP_TAG: u8 = 0;
const STEP_ORDINAL: u8 = 1;

impl<C> Encode<C> for PathStep {
    fn encode<W: encode::Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), encode::Error<W::Error>> {
        match self {
            Self::Key(key) => e.str(key)?.ok(),
            Self::Uuid(uuid) => e.bytes(uuid)?.ok(),
            Self::Tag(name) => e.array(2)?.u8(STEP_TAG)?.str(name)?.ok(),
            Self::Ordinal(ordinal) => e.array(2)?.u8(STEP_ORDINAL)?.u32(*ordinal)?.ok(),
        }
    }
}

impl<'b, C> Decode<'b, C> for PathStep {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, decode::Error> {
        let at = d.position();
        let refused = |what| Err(decode::Error::message(what).at(at));
        match d.datatype()? {
            minicbor::data::Type::String => Ok(Self::Key(d.str()?.to_owned())),
            minicbor::data::Type::Bytes => match d.bytes()?.try_into() {
                Ok(uuid) => Ok(Self::Uuid(uuid)),
                Err(_) => refused("path step: a UUID has 16 bytes"),
            },
            minicbor::data::Type::Array => match (d.array()?, d.u8()?) {
                (Some(2), STEP_TAG) => Ok(Self::Tag(d.str()?.to_owned())),
                (Some(2), STEP_ORDINAL) => Ok(Self::Ordinal(d.u32()?)),
                _ => refused("path step: unknown array form"),
            },
            _ => refused("path step: neither text, bytes nor array"),
        }
    }
}

/// Where an attribute stands in the native document.
pub type Path = Vec<PathStep>;

/// One leaf of the native document: a scalar or an empty container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// Where it stands.
    pub path: Path,
    /// The exact JSON token (numbers are not re-rendered), or `[]` / `{}`.
    pub value: String,
}

/// What a unit is in its native format; figures for people count units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
#[non_exhaustive]
pub enum UnitKind {
    /// The container's own fields.
    #[n(0)]
    Container,
    /// An indicator (a MISP attribute).
    #[n(1)]
    Attribute,
    /// A composite (a MISP object) without its attributes.
    #[n(2)]
    Object,
    /// A label.
    #[n(3)]
    Tag,
    /// Anything else that stands alone (reports, galaxies, references).
    #[n(4)]
    Other,
}

/// A group of attributes that share one marking and one decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// What it is.
    pub kind: UnitKind,
    /// Type within the kind, in the format's words (`ip-dst`, `file`); never a value.
    pub type_name: String,
    /// Its UUID where the format gives one.
    pub uuid: Option<ObjectUuid>,
    /// Strictest of object, containers and the unit's own labels.
    pub marking: Marking,
    /// Its attributes in document order.
    pub attributes: Vec<Attribute>,
}

/// An object of any format, parsed: what policy decides on and the attribute tree commits to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CtiObject {
    /// Identity together with the origin's log.
    pub uuid: ObjectUuid,
    /// Ascending per origin (MISP: the event's `timestamp`).
    pub version: ObjectVersion,
    /// For example `application/vnd.misp.event+json`.
    pub media_type: String,
    /// Marking of the container itself.
    pub marking: Marking,
    /// Units in document order; the first is the container.
    pub units: Vec<Unit>,
    /// SHA-256 with the NATIVE domain over the native bytes, which stay at home.
    pub native_digest: [u8; 32],
}
