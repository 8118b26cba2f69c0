//! Column families, keys and the schema version (`protocol-spec/08-storage.md`).

use cresset_protocol::ids::{HubId, LeafIndex, ObjectUuid, ObjectVersion};

/// Version of the layout on disk.
pub const SCHEMA_VERSION: u32 = 1;

macro_rules! column_families {
    ($($(#[$doc:meta])* $name:ident = $label:literal;)*) => {
        /// A column family. All exist from the first start on, so that adding a feature needs no migration.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Cf { $($(#[$doc])* $name),* }

        impl Cf {
            pub(crate) const ALL: &'static [Self] = &[$(Self::$name),*];

            pub(crate) const fn name(self) -> &'static str {
                match self { $(Self::$name => $label),* }
            }
        }
    };
}

column_families! {
    /// Schema version, identity of the data directory, counters.
    Meta = "meta";
    /// Log id -> local number, origin, manifest.
    Log = "log";
    /// (l, what) -> newest head with its note, or the pending head.
    Head = "head";
    /// (l, N) -> 256 entries without openings.
    Bundle = "bundle";
    /// (l, index) -> entry of the bundle that is not full yet.
    Tail = "tail";
    /// (l, level, N) -> 256 hashes.
    Tile = "tile";
    /// (l, level) -> hashes of the tile that is not full yet.
    Edge = "edge";
    /// (l, size) -> note.
    Checkpoint = "checkpoint";
    /// (l, leaf hash) -> index.
    LeafIndex = "leaf_index";
    /// Header digest -> (l, index).
    HeaderIndex = "header_index";
    /// (l, index) -> opening.
    Opening = "opening";
    /// (l, index) -> audit part.
    Audit = "audit";
    /// Header digest -> envelope bytes.
    Envelope = "envelope";
    /// Header digest -> standing of the envelope.
    EnvelopeMeta = "envelope_meta";
    /// (expiry, header digest) -> nothing.
    EnvelopeExpiry = "envelope_expiry";
    /// (uuid, version, l, index) -> object record.
    Object = "object";
    /// (uuid, version, l, index) -> payload encrypted at rest.
    Payload = "payload";
    /// (received, uuid, version, l, index) -> nothing.
    ObjectByTime = "object_by_time";
    /// value 0x00 (uuid, version, l, index) -> nothing.
    Observable = "observable";
    /// (log id, audience id) -> wrapped audience key.
    AudienceKey = "audience_key";
    /// Idempotency key -> state of the publish.
    PublishKey = "publish_key";
    /// Sequence -> leaf accepted while the gate was closed or the token slow.
    Intake = "intake";
    /// (l, index) -> leaf that awaits its envelope or opening.
    Inbox = "inbox";
    /// (hub, sequence) -> delivery to retry.
    Outbox = "outbox";
    /// Name -> opaque progress mark.
    Cursor = "cursor";
    /// (hub, l) -> head of the log as that hub last reported it.
    Observation = "observation";
    /// (l, size) -> fork evidence.
    Evidence = "evidence";
    /// Sequence -> statement that waits for its slot leaf.
    Statement = "statement";
    /// Sequence -> thing held for a person.
    Review = "review";
    /// Policy digest -> bundle.
    Policy = "policy";
    /// Sequence -> entry of the local access log.
    Access = "access";
}

impl Cf {
    /// Families whose values are large: kept in blob files, outside compaction.
    pub(crate) const fn holds_blobs(self) -> bool {
        matches!(self, Self::Envelope | Self::Payload | Self::Audit)
    }

    /// Families of hashes, which do not compress.
    pub(crate) const fn is_incompressible(self) -> bool {
        matches!(self, Self::Tile | Self::Edge | Self::LeafIndex | Self::HeaderIndex | Self::Envelope | Self::Payload)
    }
}

/// Number of a log in this database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LocalLog(pub(crate) u32);

/// Builds big-endian keys.
#[derive(Default)]
pub(crate) struct Key(Vec<u8>);

impl Key {
    pub(crate) fn log(log: LocalLog) -> Self {
        Self(log.0.to_be_bytes().to_vec())
    }

    pub(crate) fn number(number: u64) -> Self {
        Self(number.to_be_bytes().to_vec())
    }

    pub(crate) fn bytes(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }

    pub(crate) fn then(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(crate) fn then_byte(self, byte: u8) -> Self {
        self.then(&[byte])
    }

    pub(crate) fn then_number(self, number: u64) -> Self {
        self.then(&number.to_be_bytes())
    }

    pub(crate) fn leaf(log: LocalLog, index: LeafIndex) -> Self {
        Self::log(log).then_number(index.0)
    }

    pub(crate) fn hub(hub: &HubId) -> Self {
        Self::bytes(hub.as_bytes())
    }

    pub(crate) fn object(uuid: &ObjectUuid, version: ObjectVersion, log: LocalLog, index: LeafIndex) -> Self {
        Self::bytes(uuid.as_bytes()).then_number(version.0).then(&log.0.to_be_bytes()).then_number(index.0)
    }
}

impl AsRef<[u8]> for Key {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Length of [`Key::object`].
pub(crate) const OBJECT_KEY_BYTES: usize = 16 + 8 + 4 + 8;

/// The big-endian number at the end of a key.
pub(crate) fn last_number(key: &[u8]) -> Option<u64> {
    key.last_chunk::<8>().map(|bytes| u64::from_be_bytes(*bytes))
}

/// The smallest key above every key with this prefix, or `None` if the prefix is all ones.
pub(crate) fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != 0xff)?;
    let mut end = prefix.get(..=last)?.to_vec();
    if let Some(byte) = end.last_mut() {
        *byte += 1;
    }
    Some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_end_is_above_its_prefix_only() {
        let check = |prefix: &[u8], end: Option<&[u8]>| assert_eq!(prefix_end(prefix).as_deref(), end);
        check(&[1, 2], Some(&[1, 3]));
        check(&[1, 0xff], Some(&[2]));
        check(&[0xff, 0xff], None);
        check(&[], None);
    }

    #[test]
    fn column_family_names_are_distinct() {
        let names: std::collections::BTreeSet<_> = Cf::ALL.iter().map(|cf| cf.name()).collect();
        assert_eq!(names.len(), Cf::ALL.len());
    }
}
