//! What must be done to a unit before it is released.

use cresset_protocol::object::cti::{Attribute, PathStep};
use minicbor::{Decode, Encode};
use serde::{Serialize, Serializer};

/// An obligation that the publisher can carry out.
///
/// A bundle that names any other obligation does not load: an obligation that nobody performs would be a leak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum Obligation {
    /// Attributes that say whom the object comes from are dropped.
    #[n(0)]
    StripAttribution,
}

/// Keys of native documents that name the source (MISP: creating and owning organisation, creator's address).
const ATTRIBUTION_KEYS: [&str; 6] = ["Orgc", "Org", "orgc_id", "org_id", "event_creator_email", "extends_uuid"];

impl Obligation {
    /// Every obligation.
    pub const ALL: [Self; 1] = [Self::StripAttribution];

    /// The name in `@obligation`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::StripAttribution => "strip-attribution",
        }
    }

    /// Looks a name up.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|obligation| obligation.name() == name)
    }

    /// Whether this attribute must be dropped.
    pub fn drops(self, attribute: &Attribute) -> bool {
        match self {
            Self::StripAttribution => attribute
                .path
                .iter()
                .any(|step| matches!(step, PathStep::Key(key) if ATTRIBUTION_KEYS.contains(&key.as_str()))),
        }
    }
}

impl Serialize for Obligation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attribution_is_dropped_and_nothing_else() {
        let at = |path: &[&str]| Attribute {
            path: path.iter().map(|key| PathStep::Key((*key).to_owned())).collect(),
            value: "\"x\"".to_owned(),
        };
        assert!(Obligation::StripAttribution.drops(&at(&["Event", "Orgc", "name"])));
        assert!(Obligation::StripAttribution.drops(&at(&["Event", "org_id"])));
        assert!(!Obligation::StripAttribution.drops(&at(&["Event", "info"])));
        assert!(!Obligation::StripAttribution.drops(&at(&["Event", "Organic"])));
    }
}
