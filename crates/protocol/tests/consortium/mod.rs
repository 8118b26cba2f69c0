//! Hubs whose signatures are keyed hashes: sizes as in reality, no lattice arithmetic, every run the same.
#![allow(dead_code, reason = "each test binary uses its own part")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a fixture that cannot be built is a failed test")]

use std::collections::BTreeSet;

use cresset_protocol::codec;
use cresset_protocol::envelope::{Addressing, EnvelopeHeader, HeaderTerms, Relay, SegmentDigests};
use cresset_protocol::ids::{
    AudienceId, Binding, Commitment, ConsortiumId, Country, HubId, KeyCommitment, LeafIndex, LogId, PolicyDigest,
    RosterVersion, SpkiDigest, TreeSize, UnixSeconds,
};
use cresset_protocol::log::checkpoint::{Checkpoint, Origin, SignedCheckpoint};
use cresset_protocol::log::entry::Entry;
use cresset_protocol::log::kinds::KindTag;
use cresset_protocol::log::leaf::{Leaf, LeafFlags, LeafKind};
use cresset_protocol::log::merkle::{Frontier, MemoryTree};
use cresset_protocol::log::package::Package;
use cresset_protocol::log::public::PolicyShare;
use cresset_protocol::log::record::{Blinding, Opening, empty_audit};
use cresset_protocol::membership::roster::{
    HubEntry, HubStatus, LogEntry, LogKeyPeriod, PqCustody, RosterBody, VersionRange,
};
use cresset_protocol::signing::{
    EncryptionPublicKey, LogKeys, LogSignatures, MlDsa65PublicKey, MlDsa65Signature, MlDsa87PublicKey,
    MlDsa87Signature, P384PublicKey, P384Signature, SignatureVerifier,
};
use cresset_protocol::suite::Suite;
use cresset_protocol::sync::announcement::{Announcement, choose_inline};
use cresset_protocol::sync::directory::Directory;
use sha2::{Digest, Sha256};

pub(crate) const CONSORTIUM: ConsortiumId = ConsortiumId([9; 32]);
pub(crate) const NOW: UnixSeconds = UnixSeconds(1_790_000_000);
/// Key periods begin here, so that an older note has no keys.
pub(crate) const KEYS_FROM: UnixSeconds = UnixSeconds(1_700_000_000);
pub(crate) const HUBS: u8 = 4;
/// A hub that has left: its log is known, but not live.
pub(crate) const REMOVED: u8 = 3;

/// Verifies signatures that are hashes keyed with the public key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyedHash;

impl SignatureVerifier for KeyedHash {
    fn verify_p384(&self, key: &P384PublicKey, message: &[u8], signature: &P384Signature) -> bool {
        stretch::<96>(&[key.as_bytes(), message]) == signature.as_bytes()
    }

    fn verify_ml_dsa_65(&self, key: &MlDsa65PublicKey, message: &[u8], signature: &MlDsa65Signature) -> bool {
        stretch::<3309>(&[key.as_bytes(), message]) == signature.as_bytes()
    }

    fn verify_ml_dsa_87(&self, key: &MlDsa87PublicKey, message: &[u8], signature: &MlDsa87Signature) -> bool {
        stretch::<4627>(&[key.as_bytes(), message]) == signature.as_bytes()
    }
}

pub(crate) fn hub(n: u8) -> HubId {
    HubId([n; 16])
}

pub(crate) fn log(n: u8) -> LogId {
    LogId([n; 32])
}

pub(crate) fn origin(n: u8) -> Origin {
    Origin::new(&format!("hub{n}.example"), 1).unwrap()
}

pub(crate) fn keys(n: u8) -> LogKeys {
    LogKeys { p384: stretch::<97>(&[&[n], b"p384"]).into(), ml_dsa_65: stretch::<1952>(&[&[n], b"ml-dsa-65"]).into() }
}

/// Hubs 0 to 2 are active, hub 3 has been removed.
pub(crate) fn directory() -> Directory {
    Directory::from_roster(CONSORTIUM, &roster())
}

pub(crate) fn roster() -> RosterBody {
    RosterBody {
        version: RosterVersion(1),
        name: "test".into(),
        nonce: [7; 32],
        consortium: Some(CONSORTIUM),
        predecessors: Vec::new(),
        issued: UnixSeconds(0),
        expires: UnixSeconds(u64::MAX),
        officers: Vec::new(),
        quorum: 2,
        suites: vec![Suite::Hybrid2026],
        root_certificate: [0; 32],
        hubs: (0..HUBS).map(hub_entry).collect(),
        groups: Vec::new(),
        policy: None,
        versions: VersionRange { min: 1, max: 1 },
        exceptions: Vec::new(),
    }
}

fn hub_entry(n: u8) -> HubEntry {
    let country = Country::parse(["AT", "EE", "LU", "DE"][usize::from(n)]).unwrap();
    HubEntry {
        id: hub(n),
        country,
        jurisdiction: country,
        domain: format!("hub{n}.example"),
        status: if n == REMOVED { HubStatus::Removed } else { HubStatus::Active },
        roles: BTreeSet::new(),
        tls_keys: vec![SpkiDigest([n; 32])],
        authentication_key: MlDsa65PublicKey::from([n; 1952]),
        logs: vec![LogEntry {
            id: log(n),
            origin: origin(n).as_str().to_owned(),
            keys: vec![LogKeyPeriod { from: KEYS_FROM, until: None, keys: keys(n) }],
        }],
        encryption_keys: Vec::new(),
        recovery_key: EncryptionPublicKey::from([n; 1665]),
        endpoints: Vec::new(),
        pq: PqCustody::Token,
    }
}

/// The log of one hub, as the hub itself holds it.
#[derive(Clone)]
pub(crate) struct OwnLog {
    pub(crate) number: u8,
    pub(crate) entries: Vec<Entry>,
    pub(crate) tree: MemoryTree,
    pub(crate) frontier: Frontier,
}

impl OwnLog {
    pub(crate) fn new(number: u8) -> Self {
        Self { number, entries: Vec::new(), tree: MemoryTree::default(), frontier: Frontier::new() }
    }

    /// Appends and gives the flush's announcement.
    pub(crate) fn flush(&mut self, entries: Vec<Entry>) -> Announcement {
        let (first, before) = (LeafIndex(self.frontier.size().0), self.frontier.clone());
        for entry in &entries {
            self.tree.append(entry.leaf.hash());
            self.frontier.append(entry.leaf.hash());
        }
        self.entries.extend_from_slice(&entries);
        let inline = choose_inline(first, &entries, |_, _| Some(body()));
        Announcement {
            log: log(self.number),
            note: self.note(),
            first,
            frontier: before.hashes().to_vec(),
            entries,
            inline,
        }
    }

    /// Appends leaves that say nothing, each different.
    pub(crate) fn flush_bare(&mut self, count: u64) -> Announcement {
        let from = self.frontier.size().0;
        self.flush((from..from + count).map(bare).collect())
    }

    /// The signed checkpoint of all leaves.
    pub(crate) fn head(&self) -> SignedCheckpoint {
        let checkpoint =
            Checkpoint { origin: origin(self.number), size: self.frontier.size(), root: self.frontier.root() };
        sign(self.number, checkpoint, NOW)
    }

    pub(crate) fn note(&self) -> String {
        self.head().to_note(&keys(self.number))
    }

    /// One package of the leaves from `start`, under the head.
    pub(crate) fn package(&self, start: u64) -> Package {
        let head = self.frontier.size();
        let end = Package::end_after(LeafIndex(start), head);
        let entries = self.entries[start as usize..end as usize].to_vec();
        Package::pack(LeafIndex(start), entries, head, &self.tree).unwrap()
    }
}

pub(crate) fn sign(number: u8, checkpoint: Checkpoint, timestamp: UnixSeconds) -> SignedCheckpoint {
    let (keys, message) = (keys(number), checkpoint.bytes_to_sign(timestamp));
    let signatures = LogSignatures {
        p384: stretch::<96>(&[keys.p384.as_bytes(), message.as_bytes()]).into(),
        ml_dsa_65: stretch::<3309>(&[keys.ml_dsa_65.as_bytes(), message.as_bytes()]).into(),
    };
    SignedCheckpoint { checkpoint, timestamp, signatures }
}

/// A note over any size and root, validly signed.
pub(crate) fn note_over(number: u8, size: u64, frontier: &Frontier, timestamp: UnixSeconds) -> String {
    let checkpoint = Checkpoint { origin: origin(number), size: TreeSize(size), root: frontier.root() };
    sign(number, checkpoint, timestamp).to_note(&keys(number))
}

/// A leaf that says nothing.
pub(crate) fn bare(n: u64) -> Entry {
    Entry::bare(Leaf {
        kind: LeafKind::Private,
        flags: LeafFlags::default(),
        time: NOW,
        commitment: Commitment(stretch(&[&n.to_be_bytes(), b"commitment"])),
        binding: Binding(stretch(&[&n.to_be_bytes(), b"binding"])),
    })
}

/// A public leaf with its opening.
pub(crate) fn policy(number: u8) -> Entry {
    let share = PolicyShare {
        kind: KindTag,
        suite: Suite::Hybrid2026,
        bundles: vec![PolicyDigest([5; 32])],
        engine: "cedar 4".into(),
    };
    let (kind, flags) = (LeafKind::Policy, LeafFlags::default());
    let inner_mac = empty_audit(Blinding::new([8; 32])).inner_mac();
    let opening = Opening { r: Blinding::new([7; 32]), share: codec::encode(&share), inner_mac };
    let commitment = opening.commitment(&CONSORTIUM, &log(number), kind, flags);
    let leaf = Leaf { kind, flags, time: NOW, commitment, binding: Binding([0; 32]) };
    Entry { leaf, header: None, opening: Some(opening) }
}

/// The body of every envelope here: one segment of 512 octets and its tag.
pub(crate) fn body() -> Vec<u8> {
    vec![0xe5; 512 + 16]
}

pub(crate) fn header(number: u8) -> EnvelopeHeader {
    let terms = HeaderTerms {
        consortium: CONSORTIUM,
        log: log(number),
        suite: Suite::Hybrid2026.code(),
        relay: Relay::Europe,
        addressing: Addressing::Audience { audience: AudienceId([3; 32]) },
        salt: [4; 32],
        padded_bytes: 512,
    };
    let root = SegmentDigests::of_body(&terms.layout(), &body()).unwrap().root();
    terms.complete(KeyCommitment([5; 32]), root).unwrap()
}

/// A PUBLISH of the URGENT lane, so that its envelope travels inline.
pub(crate) fn urgent(number: u8) -> Entry {
    publish(number, true)
}

pub(crate) fn publish(number: u8, urgent: bool) -> Entry {
    let header = header(number);
    let leaf = Leaf {
        kind: LeafKind::Publish,
        flags: LeafFlags { header_follows: true, urgent, withdraw: None },
        time: NOW,
        commitment: Commitment([6; 32]),
        binding: Binding(header.digest().0),
    };
    Entry { leaf, header: Some(header.to_wire()), opening: None }
}

/// One digest, repeated to the length of the real thing.
pub(crate) fn stretch<const N: usize>(parts: &[&[u8]]) -> [u8; N] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    let digest = hash.finalize();
    std::array::from_fn(|i| digest[i % digest.len()])
}

/// Seeded randomness (SplitMix64), so that a failure repeats.
pub(crate) struct Seeded(pub(crate) u64);

impl Seeded {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}
