use super::*;
use crate::ids::Commitment;
use crate::log::heads::HeadsTable;
use crate::log::leaf::LeafFlags;

const LOG: LogId = LogId([8; 32]);
const SUITE: Suite = Suite::Hybrid2026;

fn leaf(kind: LeafKind, binding: Binding) -> Leaf {
    Leaf { kind, flags: LeafFlags::default(), time: UnixSeconds(1), commitment: Commitment([0; 32]), binding }
}

fn genesis() -> (LogId, GenesisShare) {
    let manifest = b"manifest".to_vec();
    (log_id_of(&manifest), GenesisShare { kind: KindTag, suite: SUITE, copy: 1, manifest })
}

fn head(log: u8) -> LogHead {
    LogHead { log: LogId([log; 32]), size: TreeSize(4), root: NodeHash([log; 32]) }
}

fn heads(logs: &[u8]) -> HeadsShare {
    HeadsShare {
        kind: KindTag,
        suite: SUITE,
        heads: logs.iter().map(|log| head(*log)).collect(),
        roster_version: RosterVersion(3),
        roster_digest: RosterDigest([3; 32]),
    }
}

fn samples() -> Vec<PublicShare> {
    let (roster_version, roster_digest) = (RosterVersion(3), RosterDigest([3; 32]));
    let origin = Origin::parse("hub.at.example/prov/1").unwrap();
    vec![
        PublicShare::Genesis(genesis().1),
        PublicShare::KeyEpoch(KeyEpochShare {
            kind: KindTag,
            suite: SUITE,
            roster_version,
            roster_digest,
            log_keys: None,
            encryption_period: Some(KeyPeriod(2)),
        }),
        PublicShare::Policy(PolicyShare {
            kind: KindTag,
            suite: SUITE,
            bundles: vec![PolicyDigest([1; 32])],
            engine: "engine 1".into(),
        }),
        PublicShare::Roster(RosterShare {
            kind: KindTag,
            suite: SUITE,
            version: roster_version,
            digest: roster_digest,
            new_officers: Some([7; 32]),
        }),
        PublicShare::Heads(heads(&[1, 2])),
        PublicShare::Close(CloseShare { kind: KindTag, suite: SUITE, reason: EndReason::Planned, successor: None }),
        PublicShare::Continues(ContinuesShare {
            kind: KindTag,
            suite: SUITE,
            log: LogId([1; 32]),
            origin,
            size: TreeSize(9),
            root: NodeHash([2; 32]),
            reason: EndReason::Lost,
            roster_version,
            roster_digest,
        }),
        PublicShare::Erase(EraseShare {
            kind: KindTag,
            suite: SUITE,
            target: LeafIndex(4),
            target_log: None,
            extent: ErasedExtent::Payload,
            cause: EraseCause::Retention,
            erased: UnixSeconds(5),
        }),
    ]
}

#[test]
fn public_shares_round_trip_under_their_own_kind_only() {
    for share in samples() {
        let log = if let PublicShare::Genesis(_) = share { genesis().0 } else { LOG };
        let binding = share.binding().unwrap_or(Binding([9; 32]));
        let bytes = share.to_bytes();
        for kind in LeafKind::ALL {
            let decoded = PublicShare::decode(&leaf(kind, binding), &log, &bytes);
            match kind == share.leaf_kind() {
                true => assert_eq!(decoded, Ok(share.clone())),
                false => assert!(decoded.is_err(), "{share:?} as {kind}"),
            }
        }
    }
}

#[test]
fn every_wrong_share_is_refused_by_name() {
    let check = |share: PublicShare, binding: Option<Binding>, log: LogId, expected: ShareError| {
        let binding = binding.or(share.binding()).unwrap_or(Binding([0; 32]));
        let found = PublicShare::decode(&leaf(share.leaf_kind(), binding), &log, &share.to_bytes());
        assert_eq!(found, Err(expected));
    };
    let (log, share) = genesis();
    check(PublicShare::Genesis(share.clone()), None, LOG, ShareError::OtherLog);
    let third = GenesisShare { copy: 2, ..share.clone() };
    check(PublicShare::Genesis(third), None, log, ShareError::Genesis);
    check(PublicShare::Genesis(share), Some(Binding([1; 32])), log, ShareError::Binding(LeafKind::Genesis));
    check(PublicShare::Heads(heads(&[2, 1])), None, LOG, ShareError::Heads);
    check(PublicShare::Heads(heads(&[1, 1])), None, LOG, ShareError::Heads);
    check(PublicShare::Heads(heads(&[1, 8])), None, LOG, ShareError::Heads);
    let many = HeadsShare { heads: vec![head(1); HEADS_PER_LEAF_MAX + 1], ..heads(&[]) };
    check(PublicShare::Heads(many), None, LOG, ShareError::Heads);
    let empty = KeyEpochShare {
        kind: KindTag,
        suite: SUITE,
        roster_version: RosterVersion(1),
        roster_digest: RosterDigest([1; 32]),
        log_keys: None,
        encryption_period: None,
    };
    check(PublicShare::KeyEpoch(empty.clone()), None, LOG, ShareError::NothingChanges);
    let bound = Some(Binding([1; 32]));
    check(PublicShare::KeyEpoch(empty), bound, LOG, ShareError::Binding(LeafKind::KeyEpoch));
}

#[test]
fn a_full_heads_leaf_fits_its_share() {
    let mut share = heads(&[]);
    share.heads = (0..HEADS_PER_LEAF_MAX as u64)
        .map(|i| {
            let mut log = [0; 32];
            log[..8].copy_from_slice(&i.to_be_bytes());
            LogHead { log: LogId(log), size: TreeSize(1 << 47), root: NodeHash([1; 32]) }
        })
        .collect();
    assert_eq!(share.heads.iter().copied().collect::<HeadsTable>().iter().count(), HEADS_PER_LEAF_MAX);
    assert!(PublicShare::Heads(share).to_bytes().len() <= SHARE_BYTES_MAX);
}
