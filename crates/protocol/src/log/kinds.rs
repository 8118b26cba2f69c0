//! The table of kinds: what each record is, what X of its leaf means, who carries its opening, who may erase it.

use minicbor::{Decode, Decoder, Encode, Encoder, decode, encode};

use crate::log::leaf::LeafKind;

/// What a record really says. Codes below 32 are those of the leaf; the others hide behind PRIVATE leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum RecordKind {
    /// First leaf of a log, twice.
    Genesis = 1,
    /// A key changed, as the roster said.
    KeyEpoch = 2,
    /// A policy bundle came into force.
    Policy = 3,
    /// A roster version was accepted.
    Roster = 4,
    /// Heads of other logs.
    Heads = 5,
    /// A log forked.
    Evidence = 6,
    /// The log ends.
    Close = 7,
    /// The log continues another.
    Continues = 8,
    /// The hub destroyed an opening or payload of its own.
    Erase = 9,
    /// A view of an object; behind a PRIVATE leaf if it goes to named hubs only.
    Publish = 16,
    /// An audience key for its members.
    KeyGrant = 17,
    /// The owner takes a view back; behind a PRIVATE leaf for a view that was.
    Withdraw = 18,
    /// Everything that the hub states about foreign objects in one slot.
    Slot = 33,
    /// A decision to release: inputs and outcome per hub.
    Release = 34,
    /// An object was made from others.
    Derive = 35,
    /// A sighting was recorded.
    Sighting = 36,
    /// An analyst's note.
    Note = 37,
    /// An alert was acknowledged.
    AlertAck = 38,
    /// Head of the unreplicated log of reads and refusals.
    AccessHead = 39,
}

/// What X of a leaf is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BindingMeaning {
    /// Digest of the log's manifest, that is the log id.
    LogId,
    /// 32 zero bytes: the opening is public and says it all.
    Zero,
    /// Root over the heads of all other logs.
    HeadsRoot,
    /// Digest of the header of the envelope.
    HeaderDigest,
    /// Leaf hash of the target.
    TargetLeaf,
    /// 32 random bytes.
    Random,
}

/// Where the opening of a record travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpeningCarrier {
    /// In the entry, to every member.
    Entry,
    /// In the envelope that X names, to its audience.
    Envelope,
    /// Nowhere by itself: hub, auditor, and the backup of the next slot.
    Backup,
}

/// Who may destroy opening or payload, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Erasable {
    /// Never: the log cannot be replayed without it.
    Never,
    /// The origin at any time; every holder after a WITHDRAW, at the end of retention, or for a named legal cause.
    OnCause,
    /// The hub, once the retention date of the record has passed.
    AfterRetention,
}

/// One line of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KindRule {
    /// The record.
    pub kind: RecordKind,
    /// The leaf that shows it.
    pub leaf: LeafKind,
    /// Meaning of X.
    pub binding: BindingMeaning,
    /// Carrier of the opening.
    pub opening: OpeningCarrier,
    /// Who may erase it.
    pub erasable: Erasable,
}

const fn public(kind: RecordKind, leaf: LeafKind, binding: BindingMeaning) -> KindRule {
    KindRule { kind, leaf, binding, opening: OpeningCarrier::Entry, erasable: Erasable::Never }
}

const fn private(kind: RecordKind, binding: BindingMeaning, erasable: Erasable) -> KindRule {
    KindRule { kind, leaf: LeafKind::Private, binding, opening: OpeningCarrier::Backup, erasable }
}

/// The table, in ascending code. PUBLISH and WITHDRAW have a second line for views that go to named hubs only.
pub const KINDS: [KindRule; 21] = {
    use BindingMeaning as X;
    use Erasable::{AfterRetention, Never, OnCause};
    use OpeningCarrier::{Backup, Envelope};
    use RecordKind as R;
    [
        public(R::Genesis, LeafKind::Genesis, X::LogId),
        public(R::KeyEpoch, LeafKind::KeyEpoch, X::Zero),
        public(R::Policy, LeafKind::Policy, X::Zero),
        public(R::Roster, LeafKind::Roster, X::Zero),
        public(R::Heads, LeafKind::Heads, X::HeadsRoot),
        public(R::Evidence, LeafKind::Evidence, X::Zero),
        public(R::Close, LeafKind::Close, X::Zero),
        public(R::Continues, LeafKind::Continues, X::Zero),
        public(R::Erase, LeafKind::Erase, X::TargetLeaf),
        KindRule {
            kind: R::Publish,
            leaf: LeafKind::Publish,
            binding: X::HeaderDigest,
            opening: Envelope,
            erasable: OnCause,
        },
        KindRule {
            kind: R::Publish,
            leaf: LeafKind::Private,
            binding: X::HeaderDigest,
            opening: Envelope,
            erasable: OnCause,
        },
        KindRule {
            kind: R::KeyGrant,
            leaf: LeafKind::KeyGrant,
            binding: X::HeaderDigest,
            opening: Envelope,
            erasable: AfterRetention,
        },
        KindRule {
            kind: R::Withdraw,
            leaf: LeafKind::Withdraw,
            binding: X::TargetLeaf,
            opening: Backup,
            erasable: Never,
        },
        KindRule {
            kind: R::Withdraw,
            leaf: LeafKind::Private,
            binding: X::HeaderDigest,
            opening: Envelope,
            erasable: Never,
        },
        private(R::Slot, X::HeaderDigest, OnCause),
        private(R::Release, X::Random, AfterRetention),
        private(R::Derive, X::Random, AfterRetention),
        private(R::Sighting, X::Random, AfterRetention),
        private(R::Note, X::Random, AfterRetention),
        private(R::AlertAck, X::Random, AfterRetention),
        private(R::AccessHead, X::Random, AfterRetention),
    ]
};

impl RecordKind {
    /// The code in a share.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// Looks a code up.
    pub fn from_code(code: u8) -> Option<Self> {
        KINDS.into_iter().map(|rule| rule.kind).find(|kind| kind.code() == code)
    }

    /// The rule for this record behind a leaf of that kind; `None` if it cannot stand there.
    pub fn rule(self, leaf: LeafKind) -> Option<KindRule> {
        KINDS.into_iter().find(|rule| rule.kind == self && rule.leaf == leaf)
    }

    /// The real kind that the share of a PRIVATE leaf names: the value of its key 0.
    pub fn of_share(share: &[u8]) -> Option<Self> {
        let mut decoder = Decoder::new(share);
        decoder.map().ok().flatten()?;
        (decoder.u8().ok()? == 0).then_some(())?;
        Self::from_code(decoder.u8().ok()?)
    }
}

/// Key 0 of a share: the code of exactly one kind. Any other code does not decode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KindTag<const CODE: u8>;

impl<C, const CODE: u8> Encode<C> for KindTag<CODE> {
    fn encode<W: encode::Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), encode::Error<W::Error>> {
        e.u8(CODE)?.ok()
    }
}

impl<'b, C, const CODE: u8> Decode<'b, C> for KindTag<CODE> {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, decode::Error> {
        let at = d.position();
        if d.u8()? == CODE { Ok(Self) } else { Err(decode::Error::message("share of another kind").at(at)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_agrees_with_the_leaf_kinds() {
        for leaf in LeafKind::ALL {
            let rules: Vec<KindRule> = KINDS.into_iter().filter(|rule| rule.leaf == leaf).collect();
            assert!(!rules.is_empty(), "{leaf}");
            for rule in rules {
                assert_eq!(rule.opening == OpeningCarrier::Entry, leaf.opening_is_public(), "{leaf}");
                assert!(!leaf.has_header() || rule.binding == BindingMeaning::HeaderDigest, "{leaf}");
                assert!(leaf == LeafKind::Private || rule.kind.code() == leaf.code(), "{leaf}");
            }
        }
    }

    #[test]
    fn codes_lead_back() {
        for rule in KINDS {
            assert_eq!(RecordKind::from_code(rule.kind.code()), Some(rule.kind));
            assert_eq!(rule.kind.rule(rule.leaf), Some(rule));
        }
        assert_eq!((RecordKind::from_code(32), RecordKind::Heads.rule(LeafKind::Private)), (None, None));
        assert_eq!(RecordKind::of_share(&[0xa1, 0x00, 0x18, 0x22]), Some(RecordKind::Release));
        assert_eq!(RecordKind::of_share(&[0xa1, 0x01, 0x18, 0x22]), None);
    }
}
