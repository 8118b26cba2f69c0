//! How one make of token differs from the next, as data.

use serde::Deserialize;

use crate::error::KeyStoreError;

const PROFILES: [&str; 4] = [
    include_str!("profiles/generic.toml"),
    include_str!("profiles/softhsm2.toml"),
    include_str!("profiles/kryoptic.toml"),
    include_str!("profiles/token-nonce.toml"),
];

/// The quirks of a device.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Profile {
    pub(crate) name: String,
    /// Whether the test suite runs against such a device.
    pub(crate) tested: bool,
    /// Prefixes of the library's manufacturer id.
    pub(crate) manufacturers: Vec<String>,
    pub(crate) ml_dsa: MlDsaUse,
    pub(crate) gcm_nonce: GcmNonce,
    /// Sessions used when the configuration names no number.
    pub(crate) sessions: u16,
    /// Attributes that the device refuses in templates.
    pub(crate) omit: Vec<OptionalAttribute>,
}

/// Whether the device's own ML-DSA is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum MlDsaUse {
    /// When its mechanism list has it.
    WhenListed,
    /// Never.
    Never,
}

/// Who chooses the nonce of AES-GCM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum GcmNonce {
    /// We do.
    Caller,
    /// The device writes it into the parameter.
    Token,
}

/// An attribute that hardens a key but is not needed for it to work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum OptionalAttribute {
    Derive,
    Wrap,
    Unwrap,
}

impl Profile {
    /// The named profile.
    pub(crate) fn named(name: &str) -> Result<Self, KeyStoreError> {
        all()
            .find(|profile| profile.name == name)
            .ok_or_else(|| KeyStoreError::UnknownProfile { name: name.to_owned() })
    }

    /// The profile for a library's manufacturer id, or the generic one.
    pub(crate) fn for_manufacturer(manufacturer: &str) -> Result<Self, KeyStoreError> {
        let ours = |profile: &Self| profile.manufacturers.iter().any(|prefix| manufacturer.starts_with(prefix));
        all().find(ours).map_or_else(|| Self::named("generic"), Ok)
    }

    pub(crate) fn keeps(&self, attribute: OptionalAttribute) -> bool {
        !self.omit.contains(&attribute)
    }
}

fn all() -> impl Iterator<Item = Profile> {
    // The files are part of the program and a test parses them all, so a bad one cannot reach a release.
    PROFILES.iter().filter_map(|text| toml::from_str(text).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_parses_and_names_are_unique() {
        let names: std::collections::BTreeSet<_> = all().map(|profile| profile.name).collect();
        assert_eq!(names.len(), PROFILES.len());
    }

    #[test]
    fn profiles_are_found_by_name_and_by_manufacturer() {
        assert_eq!(Profile::named("kryoptic").unwrap().name, "kryoptic");
        assert!(matches!(Profile::named("nonesuch"), Err(KeyStoreError::UnknownProfile { .. })));
        assert_eq!(Profile::for_manufacturer("SoftHSM").unwrap().name, "softhsm2");
        assert_eq!(Profile::for_manufacturer("Acme Corp").unwrap().name, "generic");
        assert!(!Profile::named("token-nonce").unwrap().keeps(OptionalAttribute::Derive));
    }
}
