//! Entries: a leaf with what travels beside it, and the checks that hold wherever one arrives.

use minicbor::{Decode, Decoder, Encode, Encoder, decode, encode};
use thiserror::Error;

use crate::codec::{self, CodecError};
use crate::envelope::{EnvelopeHeader, HeaderError, header_digest_of_wire};
use crate::ids::{ConsortiumId, LogId, NodeHash};
use crate::limits::{ENTRY_BYTES_MAX, HEADER_BYTES_MAX};
use crate::log::leaf::Leaf;
use crate::log::record::{Opening, OpeningError};

/// A leaf with its envelope header and public opening, where its kind has them: `[leaf, header | null, opening | null]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The leaf.
    pub leaf: Leaf,
    /// Envelope header in wire form; exactly where flag bit 0 says so.
    pub header: Option<Vec<u8>>,
    /// Opening; exactly for public kinds.
    pub opening: Option<Opening>,
}

impl Entry {
    /// An entry that is a leaf alone.
    pub const fn bare(leaf: Leaf) -> Self {
        Self { leaf, header: None, opening: None }
    }

    /// Decodes one entry.
    ///
    /// # Errors
    /// Anything but the one encoding.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CodecError> {
        codec::decode(bytes, ENTRY_BYTES_MAX)
    }

    /// Checks header against X, opening against C, and that each is there exactly if the leaf's kind has it.
    ///
    /// # Errors
    /// An [`EntryError`] names what does not fit.
    pub fn check(self, consortium: &ConsortiumId, log: &LogId) -> Result<CheckedEntry, EntryError> {
        let header = match (&self.header, self.leaf.flags.header_follows) {
            (Some(wire), true) => check_header(&self.leaf, wire, consortium, log)?,
            (None, false) => None,
            (None, true) => return Err(EntryError::HeaderMissing),
            (Some(_), false) => return Err(EntryError::HeaderSurplus),
        };
        match (&self.opening, self.leaf.kind.opening_is_public()) {
            (Some(opening), true) => opening.check(consortium, log, &self.leaf)?,
            (None, false) => {}
            (None, true) => return Err(EntryError::OpeningMissing),
            (Some(_), false) => return Err(EntryError::OpeningSurplus),
        }
        Ok(CheckedEntry { entry: self, header })
    }
}

fn check_header(
    leaf: &Leaf,
    wire: &[u8],
    consortium: &ConsortiumId,
    log: &LogId,
) -> Result<Option<EnvelopeHeader>, EntryError> {
    if wire.len() > HEADER_BYTES_MAX {
        return Err(EntryError::HeaderSize(wire.len()));
    }
    if header_digest_of_wire(wire, consortium, log)?.0 != leaf.binding.0 {
        return Err(EntryError::HeaderDigest);
    }
    // A header that this version cannot read replicates all the same: only opening needs to understand it.
    Ok(EnvelopeHeader::from_wire(wire, consortium, log).ok())
}

/// An entry whose header and opening are those that its leaf commits to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedEntry {
    entry: Entry,
    header: Option<EnvelopeHeader>,
}

impl CheckedEntry {
    /// The leaf.
    pub const fn leaf(&self) -> &Leaf {
        &self.entry.leaf
    }

    /// The header, where there is one that this version can read.
    pub const fn header(&self) -> Option<&EnvelopeHeader> {
        self.header.as_ref()
    }

    /// The opening of a public kind.
    pub const fn opening(&self) -> Option<&Opening> {
        self.entry.opening.as_ref()
    }

    /// The leaf's hash.
    pub fn leaf_hash(&self) -> NodeHash {
        self.entry.leaf.hash()
    }

    /// The entry as it arrived.
    pub const fn entry(&self) -> &Entry {
        &self.entry
    }

    /// Gives the entry up.
    pub fn into_entry(self) -> Entry {
        self.entry
    }
}

const MEMBERS: u64 = 3;

impl<C> Encode<C> for Entry {
    fn encode<W: encode::Write>(&self, e: &mut Encoder<W>, ctx: &mut C) -> Result<(), encode::Error<W::Error>> {
        e.array(MEMBERS)?;
        self.leaf.encode(e, ctx)?;
        match &self.header {
            Some(header) => e.bytes(header)?,
            None => e.null()?,
        };
        match &self.opening {
            Some(opening) => opening.encode(e, ctx),
            None => e.null()?.ok(),
        }
    }
}

impl<'b, C> Decode<'b, C> for Entry {
    fn decode(d: &mut Decoder<'b>, ctx: &mut C) -> Result<Self, decode::Error> {
        let at = d.position();
        if d.array()? != Some(MEMBERS) {
            return Err(decode::Error::message("an entry has three members").at(at));
        }
        let leaf = Leaf::decode(d, ctx)?;
        let header = if skip_null(d)? { None } else { Some(d.bytes()?.to_vec()) };
        let opening = if skip_null(d)? { None } else { Some(Opening::decode(d, ctx)?) };
        Ok(Self { leaf, header, opening })
    }
}

fn skip_null(d: &mut Decoder<'_>) -> Result<bool, decode::Error> {
    let null = d.datatype()? == minicbor::data::Type::Null;
    if null {
        d.null()?;
    }
    Ok(null)
}

/// Why an entry is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EntryError {
    /// The leaf announces a header that is not there.
    #[error("envelope header is missing")]
    HeaderMissing,
    /// A header that the leaf does not announce.
    #[error("envelope header where none belongs")]
    HeaderSurplus,
    /// Header over its limit.
    #[error("envelope header of {0} bytes is over the limit")]
    HeaderSize(usize),
    /// Not a header.
    #[error("malformed envelope header")]
    Header(#[from] HeaderError),
    /// The header of another leaf, log or consortium.
    #[error("envelope header does not give the leaf's binding")]
    HeaderDigest,
    /// A public kind without its opening.
    #[error("opening is missing")]
    OpeningMissing,
    /// An opening that is not public.
    #[error("opening where none belongs")]
    OpeningSurplus,
    /// The opening of another leaf, log or consortium.
    #[error("opening does not fit")]
    Opening(#[from] OpeningError),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Binding, Commitment, UnixSeconds};
    use crate::limits::SHARE_BYTES_MAX;
    use crate::log::leaf::{LeafFlags, LeafKind};
    use crate::log::record::{Blinding, empty_audit};

    const CONSORTIUM: ConsortiumId = ConsortiumId([1; 32]);
    const LOG: LogId = LogId([2; 32]);
    // A canonical map of a version to come: no header that this version reads.
    const WIRE: &[u8] = &[0xa1, 0x02, 0x18, 0x63];

    fn public() -> Entry {
        let (kind, flags) = (LeafKind::Policy, LeafFlags::default());
        let inner_mac = empty_audit(Blinding::new([4; 32])).inner_mac();
        let opening = Opening { r: Blinding::new([3; 32]), share: b"what".to_vec(), inner_mac };
        let commitment = opening.commitment(&CONSORTIUM, &LOG, kind, flags);
        let leaf = Leaf { kind, flags, time: UnixSeconds(5), commitment, binding: Binding([0; 32]) };
        Entry { leaf, header: None, opening: Some(opening) }
    }

    fn with_header() -> Entry {
        let binding = Binding(header_digest_of_wire(WIRE, &CONSORTIUM, &LOG).unwrap().0);
        let flags = LeafFlags { header_follows: true, ..LeafFlags::default() };
        let leaf =
            Leaf { kind: LeafKind::Publish, flags, time: UnixSeconds(5), commitment: Commitment([0; 32]), binding };
        Entry { leaf, header: Some(WIRE.to_vec()), opening: None }
    }

    #[test]
    fn entries_round_trip_with_explicit_nulls() {
        for entry in [public(), with_header(), Entry::bare(public().leaf)] {
            let bytes = codec::encode(&entry);
            assert_eq!((Entry::from_bytes(&bytes), bytes[0]), (Ok(entry), 0x83));
        }
    }

    #[test]
    fn matching_entries_pass() {
        let header = with_header().check(&CONSORTIUM, &LOG).unwrap();
        assert_eq!(header.header(), None);
        let public = public().check(&CONSORTIUM, &LOG).unwrap();
        assert_eq!(public.opening().unwrap().share, b"what");
    }

    #[test]
    fn every_mismatch_is_refused_by_name() {
        let check = |mut entry: Entry, change: fn(&mut Entry), expected: EntryError| {
            change(&mut entry);
            assert_eq!(entry.check(&CONSORTIUM, &LOG), Err(expected));
        };
        check(with_header(), |e| e.header = None, EntryError::HeaderMissing);
        check(public(), |e| e.header = Some(WIRE.to_vec()), EntryError::HeaderSurplus);
        check(with_header(), |e| e.header = Some(vec![0xa1, 0x02, 0x18, 0x64]), EntryError::HeaderDigest);
        check(with_header(), |e| e.leaf.binding.0[0] ^= 1, EntryError::HeaderDigest);
        let large = EntryError::HeaderSize(HEADER_BYTES_MAX + 1);
        check(with_header(), |e| e.header = Some(vec![0; HEADER_BYTES_MAX + 1]), large);
        check(public(), |e| e.opening = None, EntryError::OpeningMissing);
        check(with_header(), |e| e.opening = public().opening, EntryError::OpeningSurplus);
        check(public(), |e| e.leaf.commitment.0[0] ^= 1, OpeningError::Commitment.into());
        let large = OpeningError::ShareSize(SHARE_BYTES_MAX + 1).into();
        check(public(), |e| e.opening.as_mut().unwrap().share = vec![0; SHARE_BYTES_MAX + 1], large);
        let malformed = Entry { header: Some(vec![0xff]), ..with_header() };
        assert!(matches!(malformed.check(&CONSORTIUM, &LOG), Err(EntryError::Header(_))));
    }

    #[test]
    fn a_copy_in_another_log_or_consortium_is_refused() {
        let other = LogId([9; 32]);
        assert_eq!(with_header().check(&CONSORTIUM, &other), Err(EntryError::HeaderDigest));
        assert_eq!(with_header().check(&ConsortiumId([9; 32]), &LOG), Err(EntryError::HeaderDigest));
        assert_eq!(public().check(&CONSORTIUM, &other), Err(OpeningError::Commitment.into()));
    }
}
