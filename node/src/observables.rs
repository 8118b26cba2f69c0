//! What search finds an object by: values of indicator units, normalised; and a title for lists.

use cresset_protocol::object::cti::{Attribute, PathStep, Unit, UnitKind};
use cresset_provenance::objects::OBSERVABLE_BYTES_MAX;

/// Values indexed per object.
const OBSERVABLES_MAX: usize = 4_096;
/// Longest title.
const TITLE_CHARS_MAX: usize = 120;

/// Values of the units that hold indicators. MISP's `value` may hold two, separated by `|`: both are found.
pub(crate) fn of(units: &[Unit]) -> Vec<String> {
    let mut out: Vec<String> = units
        .iter()
        .filter(|unit| unit.kind == UnitKind::Attribute)
        .flat_map(|unit| unit.attributes.iter().filter(|attribute| ends_with(attribute, "value")))
        .filter_map(text)
        .flat_map(|value| {
            let parts: Vec<String> = value.split('|').map(normalise).collect();
            std::iter::once(normalise(&value)).chain(parts)
        })
        .filter(|value| !value.is_empty() && value.len() <= OBSERVABLE_BYTES_MAX)
        .collect();
    out.sort();
    out.dedup();
    out.truncate(OBSERVABLES_MAX);
    out
}

/// The form in which a value is indexed and looked up.
pub(crate) fn normalise(value: &str) -> String {
    value.trim().to_lowercase()
}

/// The `info` of the container, without control characters.
pub(crate) fn title(units: &[Unit]) -> String {
    let info = units
        .iter()
        .filter(|unit| unit.kind == UnitKind::Container)
        .flat_map(|unit| &unit.attributes)
        .find(|attribute| ends_with(attribute, "info"));
    info.and_then(text).unwrap_or_default().chars().filter(|c| !c.is_control()).take(TITLE_CHARS_MAX).collect()
}

fn ends_with(attribute: &Attribute, key: &str) -> bool {
    matches!(attribute.path.last(), Some(PathStep::Key(last)) if last == key)
}

/// The text of a JSON string token.
fn text(attribute: &Attribute) -> Option<String> {
    serde_json::from_str(&attribute.value).ok()
}
