//! Walks a MISP event and cuts it into units.
//!
//! A unit opens at a known key directly inside the element of another unit; everything else stays with its element. So
//! the members of one array are either all units or all of one unit, and their order is the order of units.

use std::collections::BTreeSet;

use cresset_protocol::codec::encode;
use cresset_protocol::ids::ObjectUuid;
use cresset_protocol::object::cti::{Attribute, Path, PathStep, Unit, UnitKind};
use cresset_protocol::object::marking::Marking;
use sha2::{Digest, Sha256};

use crate::format::{ParseError, Warning};
use crate::json::{Kind, Value};
use crate::misp::labels::{Labels, sharing_group, tag_name};
use crate::misp::roles::role_of;

/// Units and warnings gathered so far.
pub(super) struct Walk {
    units: Vec<Unit>,
    warnings: Vec<Warning>,
}

/// An element under way: the unit that takes its fields and what its containers state.
struct Element<'e> {
    unit: usize,
    labels: &'e Labels,
    marking: &'e Marking,
}

impl Walk {
    pub(super) fn new() -> Self {
        Self { units: Vec::new(), warnings: Vec::new() }
    }

    pub(super) fn finish(self) -> (Vec<Unit>, Vec<Warning>) {
        (self.units, self.warnings)
    }

    /// Walks a whole document, wrapped or not; returns the container's marking.
    pub(super) fn document(
        &mut self,
        document: &Value<'_>,
        event: &Value<'_>,
        uuid: ObjectUuid,
    ) -> Result<Marking, ParseError> {
        let labels = Labels::of(event, "event", &Labels::default(), &mut self.warnings)?;
        let marking = labels.marking();
        let unit = self.open(UnitKind::Container, "event".to_owned(), Some(uuid), &marking)?;
        let element = Element { unit, labels: &labels, marking: &marking };
        let mut path = Path::new();
        if std::ptr::eq(document, event) {
            self.fields(event, &element, &mut path)?;
        } else if let Kind::Object(members) = &document.kind {
            for (key, value) in members {
                path.push(PathStep::Key(key.to_string()));
                if std::ptr::eq(value, event) {
                    self.fields(event, &element, &mut path)?
                } else {
                    self.keep(value, unit, &mut path)
                }
                path.pop();
            }
        }
        Ok(marking)
    }

    /// The fields of an element: units of their own where the key says so, else the element's.
    fn fields(&mut self, value: &Value<'_>, element: &Element<'_>, path: &mut Path) -> Result<(), ParseError> {
        let Kind::Object(members) = &value.kind else {
            self.keep(value, element.unit, path);
            return Ok(());
        };
        if members.is_empty() {
            self.keep(value, element.unit, path);
        }
        for (key, member) in members {
            path.push(PathStep::Key(key.to_string()));
            match (&member.kind, member_kind(key)) {
                (Kind::Array(list), Some(kind)) if !list.is_empty() => self.list(list, key, kind, element, path)?,
                _ if key == "SharingGroup" && matches!(member.kind, Kind::Object(_)) => {
                    self.group(value, member, element, path)?
                }
                _ if key == "event_creator_email" => self.local(member, key, element, path)?,
                _ => self.keep(member, element.unit, path),
            }
            path.pop();
        }
        Ok(())
    }

    /// An array in which every member is a unit.
    fn list(
        &mut self,
        list: &[Value<'_>],
        key: &str,
        kind: UnitKind,
        outer: &Element<'_>,
        path: &mut Path,
    ) -> Result<(), ParseError> {
        let mut steps = Steps::default();
        for member in list {
            let place = if kind == UnitKind::Other { key.to_lowercase() } else { place_name(kind).to_owned() };
            let labels = self.member_labels(member, key, kind, &place, outer.labels)?;
            let marking = labels.marking();
            let step = steps.next(member, &marking, Some(outer.marking));
            let uuid =
                member.get("uuid").and_then(Value::text).and_then(|text| ObjectUuid::parse_hyphenated(&text).ok());
            let unit = self.open(kind, type_name(member, key, kind), uuid, &marking)?;
            path.push(step);
            self.fields(member, &Element { unit, labels: &labels, marking: &marking }, path)?;
            path.pop();
        }
        Ok(())
    }

    fn member_labels(
        &mut self,
        member: &Value<'_>,
        key: &str,
        kind: UnitKind,
        place: &str,
        outer: &Labels,
    ) -> Result<Labels, ParseError> {
        let mut labels = match kind {
            UnitKind::Tag => outer.clone(),
            _ => Labels::of(member, place, outer, &mut self.warnings)?,
        };
        let text = |field: &str| member.get(field).and_then(Value::text).unwrap_or_default();
        if kind == UnitKind::Attribute || key == "ShadowAttribute" {
            labels.role = labels.role.max(Some(role_of(&text("category"), &text("type"))));
        }
        let local_tag =
            kind == UnitKind::Tag && is_true(member.get("Tag").unwrap_or(member).get("local").or(member.get("local")));
        // What this server correlates is nobody's published content.
        if local_tag || key == "RelatedEvent" {
            labels = labels.own_organisation_only();
        }
        Ok(labels)
    }

    /// A sharing group's description is for its members only, and for nobody when it cannot be named.
    fn group(
        &mut self,
        owner: &Value<'_>,
        member: &Value<'_>,
        outer: &Element<'_>,
        path: &mut Path,
    ) -> Result<(), ParseError> {
        let mut marking = outer.marking.clone();
        let named: BTreeSet<_> = sharing_group(owner).into_iter().collect();
        marking.groups = Some(match &marking.groups {
            Some(groups) => groups.intersection(&named).copied().collect(),
            None => named,
        });
        let unit = self.open(UnitKind::Other, "sharing-group".to_owned(), None, &marking)?;
        self.keep(member, unit, path);
        Ok(())
    }

    /// A field that concerns the own organisation only.
    fn local(&mut self, member: &Value<'_>, key: &str, outer: &Element<'_>, path: &mut Path) -> Result<(), ParseError> {
        let marking = outer.labels.clone().own_organisation_only().marking();
        let unit = self.open(UnitKind::Other, key.to_owned(), None, &marking)?;
        self.keep(member, unit, path);
        Ok(())
    }

    fn open(
        &mut self,
        kind: UnitKind,
        type_name: String,
        uuid: Option<ObjectUuid>,
        marking: &Marking,
    ) -> Result<usize, ParseError> {
        marking.check_limits()?;
        self.units.push(Unit { kind, type_name, uuid, marking: marking.clone(), attributes: Vec::new() });
        Ok(self.units.len() - 1)
    }

    /// Puts a value and all below it into one unit.
    fn keep(&mut self, value: &Value<'_>, unit: usize, path: &mut Path) {
        match &value.kind {
            Kind::Array(members) if !members.is_empty() => {
                let mut steps = Steps::default();
                let marking = Marking::unlabelled();
                for member in members {
                    path.push(steps.next(member, &marking, None));
                    self.keep(member, unit, path);
                    path.pop();
                }
            }
            Kind::Object(members) if !members.is_empty() => {
                for (key, member) in members {
                    path.push(PathStep::Key(key.to_string()));
                    self.keep(member, unit, path);
                    path.pop();
                }
            }
            Kind::Array(_) => self.put(unit, path, "[]"),
            Kind::Object(_) => self.put(unit, path, "{}"),
            Kind::Scalar => self.put(unit, path, value.raw),
        }
    }

    fn put(&mut self, unit: usize, path: &[PathStep], token: &str) {
        if let Some(unit) = self.units.get_mut(unit) {
            unit.attributes.push(Attribute { path: path.to_vec(), value: token.to_owned() });
        }
    }
}

/// Names the members of one array without showing gaps.
#[derive(Default)]
struct Steps {
    used: BTreeSet<PathStep>,
    plain: u32,
}

impl Steps {
    /// By UUID or tag name where that is distinct, else by ordinal within the marking class.
    fn next(&mut self, member: &Value<'_>, marking: &Marking, outer: Option<&Marking>) -> PathStep {
        let uuid = member.get("uuid").and_then(Value::text).and_then(|text| ObjectUuid::parse_hyphenated(&text).ok());
        let is_tag = matches!(member.kind, Kind::Object(_)) && uuid.is_none() && member.get("value").is_none();
        let named = match uuid {
            Some(uuid) => Some(PathStep::Uuid(uuid.0)),
            None if is_tag => tag_name(member).map(PathStep::Tag),
            None => None,
        };
        let mut step = match named.filter(|step| !self.used.contains(step)) {
            Some(step) => step,
            None if outer.is_none_or(|outer| outer == marking) => {
                self.plain += 1;
                PathStep::Ordinal(self.plain - 1)
            }
            None => PathStep::Ordinal(class_base(marking)),
        };
        while let (true, PathStep::Ordinal(ordinal)) = (self.used.contains(&step), &mut step) {
            *ordinal = ordinal.wrapping_add(1);
        }
        self.used.insert(step.clone());
        step
    }
}

/// First ordinal of a class that is not its container's: far apart, so that one class says nothing about another's size.
fn class_base(marking: &Marking) -> u32 {
    let digest: [u8; 32] = Sha256::digest(encode(marking)).into();
    let [a, b, c, d, ..] = digest;
    u32::from_be_bytes([a, b, c, d]) >> 1 | 1 << 31
}

fn member_kind(key: &str) -> Option<UnitKind> {
    match key {
        "Attribute" => Some(UnitKind::Attribute),
        "Object" => Some(UnitKind::Object),
        "Tag" | "EventTag" | "AttributeTag" => Some(UnitKind::Tag),
        "Galaxy"
        | "GalaxyCluster"
        | "GalaxyClusterRelation"
        | "EventReport"
        | "ObjectReference"
        | "ShadowAttribute"
        | "Sighting"
        | "RelatedEvent"
        | "Note"
        | "Opinion"
        | "Relationship"
        | "CryptographicKey" => Some(UnitKind::Other),
        _ => None,
    }
}

fn place_name(kind: UnitKind) -> &'static str {
    match kind {
        UnitKind::Container => "event",
        UnitKind::Attribute => "attribute",
        UnitKind::Object => "object",
        UnitKind::Tag => "tag",
        _ => "element",
    }
}

/// The format's own word for the type; never a value, and never longer than a type can be.
fn type_name(member: &Value<'_>, key: &str, kind: UnitKind) -> String {
    let field = match kind {
        UnitKind::Attribute => "type",
        UnitKind::Object => "name",
        UnitKind::Tag => return "tag".to_owned(),
        _ => return key.to_owned(),
    };
    let text = member.get(field).and_then(Value::text).unwrap_or_default();
    let short = text.len() <= TYPE_BYTES_MAX && text.chars().all(|c| c.is_ascii_graphic());
    if short && !text.is_empty() { text.into_owned() } else { "unknown".to_owned() }
}

/// Longest type name that MISP's own table has room for.
const TYPE_BYTES_MAX: usize = 100;

fn is_true(value: Option<&Value<'_>>) -> bool {
    value.is_some_and(|value| matches!(value.raw, "true" | "1" | "\"1\"" | "\"true\""))
}
