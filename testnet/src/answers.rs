//! What the programs answer with `--json`, as far as the scenarios look at it. The node's `api/types.rs` has the whole.

use serde::Deserialize;

/// `cresset publish`.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Published {
    pub(crate) objects: Vec<PublishedObject>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct PublishedObject {
    pub(crate) uuid: String,
    pub(crate) version: u64,
    pub(crate) units: usize,
    pub(crate) hubs: Vec<HubRelease>,
    pub(crate) views: Vec<PublishedView>,
    pub(crate) release: Option<LeafPosition>,
}

impl PublishedObject {
    /// Every leaf that the answer promises.
    pub(crate) fn leaves(&self) -> impl Iterator<Item = &LeafPosition> {
        self.views.iter().map(|view| &view.leaf).chain(&self.release)
    }
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct HubRelease {
    pub(crate) country: String,
    pub(crate) released: Vec<Unit>,
    pub(crate) held: Vec<HeldUnit>,
    pub(crate) carrier: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Unit {
    pub(crate) label: String,
    pub(crate) tlp: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct HeldUnit {
    pub(crate) unit: Unit,
    pub(crate) rule: String,
    pub(crate) words: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct PublishedView {
    pub(crate) leaf: LeafPosition,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct LeafPosition {
    pub(crate) leaf_hash: Option<String>,
}

/// `cresset status`.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Status {
    pub(crate) size: u64,
    pub(crate) signed_size: u64,
    pub(crate) gate: String,
    pub(crate) peers: usize,
    pub(crate) objects: u64,
    pub(crate) lag: u64,
    pub(crate) envelopes_missing: u64,
}

/// `cresset show`.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Shown {
    pub(crate) summary: Summary,
    pub(crate) units: Vec<Unit>,
    pub(crate) anchoring: Anchoring,
    pub(crate) included: bool,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Summary {
    pub(crate) version: u64,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Anchoring {
    pub(crate) confirmed_by: Vec<String>,
}

/// `cresset search`.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Found {
    pub(crate) objects: Vec<serde_json::Value>,
}

/// `cresset log`.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Log {
    pub(crate) size: u64,
    pub(crate) root: String,
    pub(crate) leaves: Vec<Leaf>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Leaf {
    pub(crate) index: u64,
    pub(crate) leaf_hash: String,
}

/// `cresset export`.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Exported {
    pub(crate) files: u64,
    pub(crate) leaves: u64,
}
