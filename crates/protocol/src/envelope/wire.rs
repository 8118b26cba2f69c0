//! The header's map as it is encoded: every key optional, because three forms share it.

use minicbor::{Decode, Encode};

use super::header::HeaderError;
use crate::codec::{self, Canonical};
use crate::ids::{
    AudienceId, ConsortiumId, GrantSerial, KeyCommitment, KeyPeriod, LogId, RosterDigest, RosterVersion, SegmentRoot,
};
use crate::limits::HEADER_BYTES_MAX;

/// Full form: all keys of the kind. Wire form: without 0 and 1. Prefix: without 14 and 15.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(super) struct HeaderMap {
    #[n(0)]
    pub(super) consortium: Option<ConsortiumId>,
    #[n(1)]
    pub(super) log: Option<LogId>,
    #[n(2)]
    pub(super) kind: u8,
    #[n(3)]
    pub(super) suite: u16,
    #[n(4)]
    pub(super) relay: u8,
    #[n(5)]
    pub(super) audience: Option<AudienceId>,
    #[n(6)]
    pub(super) serial: Option<GrantSerial>,
    #[n(7)]
    pub(super) roster_version: Option<RosterVersion>,
    #[n(8)]
    pub(super) roster_digest: Option<RosterDigest>,
    #[n(9)]
    pub(super) period: Option<KeyPeriod>,
    #[n(10)]
    pub(super) stanzas: Option<u16>,
    #[cbor(n(11), with = "minicbor::bytes")]
    pub(super) salt: [u8; 32],
    #[n(12)]
    pub(super) padded_bytes: u64,
    #[n(13)]
    pub(super) segment_bytes: u32,
    #[n(14)]
    pub(super) commitment: Option<KeyCommitment>,
    #[n(15)]
    pub(super) segment_root: Option<SegmentRoot>,
}

/// Extension entries, kept as they came: they stand behind every known key, so they are the tail of the map.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Extensions {
    count: u64,
    entries: Vec<u8>,
}

/// Decodes a header map and separates its extensions.
pub(super) fn decode_map(bytes: &[u8]) -> Result<(HeaderMap, Extensions), HeaderError> {
    let decoded = Canonical::<HeaderMap>::decode(bytes, HEADER_BYTES_MAX)?;
    let known = codec::encode(decoded.value());
    let (count_known, known_entries) = split_map(&known)?;
    let (count_all, all_entries) = split_map(bytes)?;
    let entries = all_entries.get(known_entries.len()..).unwrap_or_default().to_vec();
    let extensions = Extensions { count: count_all.saturating_sub(count_known), entries };
    Ok((decoded.into_value(), extensions))
}

/// Encodes a header map with its extensions behind.
pub(super) fn encode_map(map: &HeaderMap, extensions: &Extensions) -> Vec<u8> {
    let known = codec::encode(map);
    match split_map(&known) {
        Ok((count, entries)) if extensions.count > 0 => {
            join_map(count + extensions.count, &[entries, &extensions.entries])
        }
        _ => known,
    }
}

/// The full form of a header in wire form, whatever else it holds: puts keys 0 and 1 in front.
pub(super) fn full_from_wire(wire: &[u8], consortium: &ConsortiumId, log: &LogId) -> Result<Vec<u8>, HeaderError> {
    if wire.len() > HEADER_BYTES_MAX {
        return Err(codec::CodecError::TooLarge { len: wire.len(), max: HEADER_BYTES_MAX }.into());
    }
    codec::check_canonical(wire)?;
    let (count, entries) = split_map(wire)?;
    // Keys ascend, so a foreign consortium or log id can only stand first. Encoded keys 0 and 1 are these bytes.
    if matches!(entries.first(), Some(0 | 1)) {
        return Err(HeaderError::ImpliedKey);
    }
    let implied = [&[0x00, 0x58, 0x20], consortium.as_bytes().as_slice(), &[0x01, 0x58, 0x20], log.as_bytes()].concat();
    Ok(join_map(count + 2, &[&implied, entries]))
}

fn split_map(bytes: &[u8]) -> Result<(u64, &[u8]), HeaderError> {
    let mut decoder = minicbor::Decoder::new(bytes);
    let count = decoder.map().ok().flatten().ok_or(HeaderError::NotAMap)?;
    Ok((count, bytes.get(decoder.position()..).unwrap_or_default()))
}

fn join_map(count: u64, parts: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::with_capacity(9 + parts.iter().map(|part| part.len()).sum::<usize>());
    // Writing to a Vec cannot fail.
    let _ = minicbor::Encoder::new(&mut out).map(count);
    for part in parts {
        out.extend_from_slice(part);
    }
    out
}
