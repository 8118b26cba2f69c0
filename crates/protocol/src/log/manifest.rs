//! The manifest of a log: what its id is the digest of.

use minicbor::{Decode, Encode};

use crate::codec::{Canonical, CodecError};
use crate::domain;
use crate::ids::{ConsortiumId, HubId, LogId, NodeHash, TreeSize, UnixSeconds};
use crate::limits::LOG_MANIFEST_BYTES_MAX;
use crate::log::checkpoint::Origin;
use crate::signing::LogKeys;

/// What a log is, fixed when it is made. Recovery is the quorum of the consortium, so no officer is named here.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct LogManifest {
    /// The consortium that it belongs to.
    #[n(0)]
    pub consortium: ConsortiumId,
    /// Whose log.
    #[n(1)]
    pub hub: HubId,
    /// Name of the log; its last part is the generation.
    #[n(2)]
    pub origin: Origin,
    /// Keys of the first period.
    #[n(3)]
    pub keys: LogKeys,
    /// The generation before, if there was one.
    #[n(4)]
    pub prologue: Option<Prologue>,
    /// When it was made.
    #[n(5)]
    pub created: UnixSeconds,
}

/// Where the generation before ended.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Prologue {
    /// The generation before.
    #[n(0)]
    pub log: LogId,
    /// Its origin.
    #[n(1)]
    pub origin: Origin,
    /// Its last size that counts.
    #[n(2)]
    pub size: TreeSize,
    /// The root at that size.
    #[n(3)]
    pub root: NodeHash,
    /// Why it did not go on.
    #[n(4)]
    pub reason: EndReason,
}

/// Why a log ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum EndReason {
    /// The hub left, or closed the log as planned.
    #[n(0)]
    Planned,
    /// Leaves are lost everywhere.
    #[n(1)]
    Lost,
    /// The log forked.
    #[n(2)]
    Forked,
    /// A key was compromised.
    #[n(3)]
    KeyCompromise,
}

impl LogManifest {
    /// Decodes a manifest.
    ///
    /// # Errors
    /// Anything but the one encoding.
    pub fn decode(bytes: &[u8]) -> Result<Canonical<Self>, CodecError> {
        Canonical::decode(bytes, LOG_MANIFEST_BYTES_MAX)
    }

    /// The log id of canonical manifest bytes.
    pub fn log_id(manifest: &Canonical<Self>) -> LogId {
        log_id_of(manifest.bytes())
    }

    /// Whether generation and prologue fit: the first has none, a later one continues the generation before it.
    pub fn is_coherent(&self) -> bool {
        match &self.prologue {
            None => self.origin.generation() == 1,
            Some(before) => {
                before.origin.next_generation().is_ok_and(|next| next.generation() == self.origin.generation())
            }
        }
    }
}

/// The log id: SHA-256(label || canonical manifest bytes).
pub fn log_id_of(manifest: &[u8]) -> LogId {
    LogId(domain::LOG.digest(&[manifest]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signing::{MlDsa65PublicKey, P384PublicKey};

    fn manifest(origin: &str, prologue: Option<&str>) -> LogManifest {
        let prologue = prologue.map(|origin| Prologue {
            log: LogId([4; 32]),
            origin: Origin::parse(origin).unwrap(),
            size: TreeSize(9),
            root: NodeHash([5; 32]),
            reason: EndReason::Lost,
        });
        LogManifest {
            consortium: ConsortiumId([1; 32]),
            hub: HubId([2; 16]),
            origin: Origin::parse(origin).unwrap(),
            keys: LogKeys { p384: P384PublicKey::from([3; 97]), ml_dsa_65: MlDsa65PublicKey::from([3; 1952]) },
            prologue,
            created: UnixSeconds(1_790_000_000),
        }
    }

    #[test]
    fn the_log_id_covers_the_canonical_bytes() {
        let canonical = Canonical::new(manifest("hub.lu.example/prov/2", Some("hub.lu.example/prov/1")));
        let decoded = LogManifest::decode(canonical.bytes()).unwrap();
        assert_eq!(LogManifest::log_id(&decoded), LogManifest::log_id(&canonical));
        let other = Canonical::new(manifest("hub.lu.example/prov/2", None));
        assert_ne!(LogManifest::log_id(&other), LogManifest::log_id(&canonical));
    }

    #[test]
    fn generations_follow_each_other() {
        let check =
            |origin, prologue, expected| assert_eq!(manifest(origin, prologue).is_coherent(), expected, "{origin}");
        check("hub.lu.example/prov/1", None, true);
        check("hub.lu.example/prov/2", None, false);
        check("hub.lu.example/prov/2", Some("hub.lu.example/prov/1"), true);
        check("new.lu.example/prov/2", Some("hub.lu.example/prov/1"), true);
        check("hub.lu.example/prov/3", Some("hub.lu.example/prov/1"), false);
        check("hub.lu.example/prov/1", Some("hub.lu.example/prov/1"), false);
    }
}
