//! Making leaves: a share and an audit part become an opening, its commitment and the leaf that carries it.

use cresset_crypto::{RandomnessError, random_bytes};
use cresset_protocol::envelope::EnvelopeHeader;
use cresset_protocol::ids::{Binding, ConsortiumId, LogId, UnixSeconds};
use cresset_protocol::log::entry::Entry;
use cresset_protocol::log::leaf::{Leaf, LeafFlags, LeafKind};
use cresset_protocol::log::public::PublicShare;
use cresset_protocol::log::record::{AuditPart, Blinding, Opening};
use cresset_provenance::NewLeaf;

/// Where and when leaves are made.
#[derive(Clone, Copy)]
pub(crate) struct LeafMaker<'a> {
    /// Consortium.
    pub(crate) consortium: &'a ConsortiumId,
    /// Log.
    pub(crate) log: &'a LogId,
    /// Time stamp of the leaves.
    pub(crate) time: UnixSeconds,
    /// The URGENT lane.
    pub(crate) urgent: bool,
}

/// A record that waits for the X of its leaf.
pub(crate) struct Record {
    /// Share, blinding and inner MAC.
    pub(crate) opening: Opening,
    /// The part for the auditor.
    pub(crate) audit: AuditPart,
}

/// Blinds a share and an audit part (empty for none).
pub(crate) fn record(share: Vec<u8>, audit: Vec<u8>) -> Result<Record, RandomnessError> {
    let audit = AuditPart { r2: Blinding::new(random_bytes()?), audit };
    let opening = Opening { r: Blinding::new(random_bytes()?), share, inner_mac: audit.inner_mac() };
    Ok(Record { opening, audit })
}

impl LeafMaker<'_> {
    /// A leaf of a public kind: its opening replicates with it.
    pub(crate) fn public(&self, share: &PublicShare, binding: Binding) -> Result<NewLeaf, RandomnessError> {
        let record = record(share.to_bytes(), Vec::new())?;
        let leaf = self.leaf(share.leaf_kind(), &record.opening, binding);
        let entry = Entry { leaf, header: None, opening: Some(record.opening) };
        Ok(NewLeaf { audit: Some(record.audit), ..NewLeaf::bare(entry) })
    }

    /// A leaf with an envelope that is announced: PUBLISH or KEYGRANT.
    pub(crate) fn with_envelope(
        &self,
        kind: LeafKind,
        record: Record,
        header: &EnvelopeHeader,
        body: Vec<u8>,
    ) -> NewLeaf {
        let leaf = self.leaf(kind, &record.opening, Binding(header.digest().0));
        let entry = Entry { leaf, header: Some(header.to_wire()), opening: None };
        NewLeaf {
            opening: Some(record.opening),
            audit: Some(record.audit),
            envelope: Some(body),
            ..NewLeaf::bare(entry)
        }
    }

    /// A PRIVATE leaf; `binding` is the digest of a header that goes by direct delivery, or noise.
    pub(crate) fn private(&self, record: Record, binding: Binding) -> NewLeaf {
        let leaf = self.leaf(LeafKind::Private, &record.opening, binding);
        NewLeaf { opening: Some(record.opening), audit: Some(record.audit), ..NewLeaf::bare(Entry::bare(leaf)) }
    }

    fn leaf(&self, kind: LeafKind, opening: &Opening, binding: Binding) -> Leaf {
        let flags = LeafFlags { header_follows: kind.has_header(), urgent: self.urgent, withdraw: None };
        let commitment = opening.commitment(self.consortium, self.log, kind, flags);
        Leaf { kind, flags, time: self.time, commitment, binding }
    }
}
