//! MISP events (core format, as MISP 2.5 and PyMISP write it).
//!
//! Accepted: `{"Event": {..}}`, a bare event, `{"response": [..]}` and a list of either. Units are the event's own
//! fields, each attribute, object, tag, galaxy and cluster, report, reference, proposal, sighting and analyst note.

mod labels;
mod roles;
mod units;

use cresset_protocol::domain::NATIVE;
use cresset_protocol::ids::{ObjectUuid, ObjectVersion};
use cresset_protocol::object::cti::{CtiObject, PathStep};
use cresset_protocol::object::view::VerifiedView;

use crate::format::{Format, Loss, ParseError, Parsed, RebuildError, Warning};
use crate::json::{self, DocumentBuilder, Kind, Value};

/// Media type of MISP events.
pub const MISP_MEDIA_TYPE: &str = "application/vnd.misp.event+json";

/// The MISP format.
#[derive(Clone, Copy, Debug, Default)]
pub struct MispFormat;

impl Format for MispFormat {
    fn media_type(&self) -> &'static str {
        MISP_MEDIA_TYPE
    }

    fn parse_all(&self, native: &[u8]) -> Result<Vec<Parsed>, ParseError> {
        if native.trim_ascii_start().starts_with(b"<") {
            return Err(not_misp("it is XML"));
        }
        let document = json::parse(native)?;
        events_of(&document)?.into_iter().map(parse_event).collect()
    }

    fn rebuild(&self, view: &VerifiedView) -> Result<Vec<u8>, RebuildError> {
        if view.share().media_type != MISP_MEDIA_TYPE {
            return Err(RebuildError::MediaType(view.share().media_type.clone()));
        }
        let mut document = DocumentBuilder::default();
        if !view.is_full() {
            insert_identity(&mut document, view)?;
        }
        for attribute in view.units().iter().flat_map(|unit| &unit.attributes) {
            if view.is_full() || !is_identity(&attribute.path) {
                document.insert(&attribute.path, &attribute.value)?;
            }
        }
        Ok(document.finish().unwrap_or_else(|| b"{}".to_vec()))
    }

    fn losses(&self, _: &VerifiedView) -> Vec<Loss> {
        Vec::new()
    }
}

const WRAPPER: &str = "Event";

/// The events of a document, each with its wrapper if it has one.
fn events_of<'d, 'a>(document: &'d Value<'a>) -> Result<Vec<&'d Value<'a>>, ParseError> {
    match &document.kind {
        Kind::Scalar => Err(not_misp("a scalar stands alone")),
        Kind::Array(members) if members.is_empty() => Err(not_misp("the list is empty")),
        Kind::Array(members) => members.iter().map(single).collect(),
        Kind::Object(members) => match (document.get("response"), members.len()) {
            (Some(response), 1) => match response.kind {
                Kind::Array(_) | Kind::Object(_) => events_of(response),
                Kind::Scalar => Err(not_misp("`response` is neither a list nor an event")),
            },
            _ => Ok(vec![single(document)?]),
        },
    }
}

/// Fields that every event has one of, and no other MISP or STIX document has at its top.
const EVENT_FIELDS: [&str; 3] = ["info", "threat_level_id", "analysis"];

/// What MISP also sends on its own, and what only its event gives a marking.
const ELEMENTS: [&str; 8] =
    ["Attribute", "Object", "ShadowAttribute", "Note", "Opinion", "Relationship", "GalaxyCluster", "EventReport"];

fn single<'d, 'a>(value: &'d Value<'a>) -> Result<&'d Value<'a>, ParseError> {
    match (&value.kind, value.get(WRAPPER)) {
        (Kind::Object(_), Some(Value { kind: Kind::Object(_), .. })) => Ok(value),
        (_, Some(_)) => Err(not_misp("`Event` is not an object")),
        (Kind::Object(_), None) if EVENT_FIELDS.iter().any(|field| value.get(field).is_some()) => Ok(value),
        (Kind::Object(_), None) if value.get("type").and_then(Value::text).as_deref() == Some("bundle") => {
            Err(not_misp("it is a STIX bundle"))
        }
        (Kind::Object(_), None) if ELEMENTS.iter().any(|element| value.get(element).is_some()) => {
            Err(not_misp("it holds elements without their event"))
        }
        (Kind::Object(_), None) => Err(not_misp("neither an `Event` nor the fields of one")),
        _ => Err(not_misp("a member of the list is not an object")),
    }
}

fn not_misp(reason: &'static str) -> ParseError {
    ParseError::NotThisFormat { format: "MISP", reason }
}

fn parse_event(document: &Value<'_>) -> Result<Parsed, ParseError> {
    let event = document.get(WRAPPER).unwrap_or(document);
    let uuid = event.get("uuid").and_then(Value::text);
    let uuid = uuid.and_then(|text| ObjectUuid::parse_hyphenated(&text).ok()).ok_or(ParseError::NoUuid("event"))?;
    let mut walk = units::Walk::new();
    let marking = walk.document(document, event, uuid)?;
    let (units, mut warnings) = walk.finish();
    let version = event.get("timestamp").and_then(Value::text_or_number).and_then(|text| text.parse().ok());
    if version.is_none() {
        warnings.push(Warning::NoVersion);
    }
    let object = CtiObject {
        uuid,
        version: ObjectVersion(version.unwrap_or(0)),
        media_type: MISP_MEDIA_TYPE.to_owned(),
        marking,
        units,
        native_digest: NATIVE.digest(&[document.raw.as_bytes()]),
    };
    Ok(Parsed { object, warnings })
}

/// A redacted copy keeps the identity that the share states anyway, so that every reader can file it.
fn insert_identity(document: &mut DocumentBuilder, view: &VerifiedView) -> Result<(), RebuildError> {
    let wrapped = view.units().iter().flat_map(|unit| &unit.attributes).any(|attribute| {
        matches!(attribute.path.first(), Some(PathStep::Key(key)) if key == WRAPPER) && attribute.path.len() > 1
    });
    let path = |field: &str| {
        let wrapper = wrapped.then(|| PathStep::Key(WRAPPER.to_owned()));
        wrapper.into_iter().chain([PathStep::Key(field.to_owned())]).collect::<Vec<_>>()
    };
    document.insert(&path("uuid"), &format!("\"{}\"", view.share().uuid.hyphenated()))?;
    document.insert(&path("timestamp"), &format!("\"{}\"", view.share().version))
}

fn is_identity(path: &[PathStep]) -> bool {
    let field = match path {
        [PathStep::Key(wrapper), PathStep::Key(field)] if wrapper == WRAPPER => field,
        [PathStep::Key(field)] => field,
        _ => return false,
    };
    field == "uuid" || field == "timestamp"
}
