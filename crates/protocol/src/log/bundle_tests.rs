use super::*;
use crate::ids::{Binding, Commitment};
use crate::log::leaf::{LeafFlags, LeafKind};

fn leaf(number: u64) -> Leaf {
    let (kind, flags) = (LeafKind::Private, LeafFlags::default());
    Leaf { kind, flags, time: UnixSeconds(number), commitment: Commitment([1; 32]), binding: Binding([2; 32]) }
}

fn manifest() -> BundleManifest {
    let log = |id: u8, own| BundledLog {
        log: LogId([id; 32]),
        origin: Origin::new("hub.at.example", u32::from(id)).unwrap(),
        size: TreeSize(300),
        own,
    };
    BundleManifest {
        layout: LAYOUT_VERSION,
        consortium: ConsortiumId([1; 32]),
        created: UnixSeconds(1_790_000_000),
        logs: vec![log(1, true), log(2, false)],
        files: vec![BundledFile::of("logs/01/checkpoint", b"note"), BundledFile::of("roster/00000000.cbor", b"roster")],
    }
}

#[test]
fn paths_are_the_static_layout() {
    let paths = LogPaths(LogId([0xab; 32]));
    let below = |path: String| path.strip_prefix(&format!("logs/{}/", "ab".repeat(32))).unwrap().to_owned();
    assert_eq!(below(paths.checkpoint()), "checkpoint");
    assert_eq!(below(paths.checkpoint_at(TreeSize(7))), "checkpoints/000000000000007");
    assert_eq!(below(paths.tile(TileId { level: 1, index: 2 }, 256)), "tile/1/002");
    assert_eq!(below(paths.leaves(1234, 17)), "tile/entries/x001/234.p/17");
    assert_eq!(below(paths.sidecar(0, 256)), "beside/000");
    assert_eq!(below(paths.audit(LeafIndex(70_000))), "audit/000000000070000.cbor");
    assert!(is_plain_path(&paths.leaves(1234, 17)) && is_plain_path(&policy_path(&PolicyDigest([0xcd; 32]))));
    assert_eq!(leaf_bundles(TreeSize(600)).collect::<Vec<_>>(), [(0, 256), (1, 256), (2, 88)]);
    assert_eq!(leaf_bundles(TreeSize(0)).count(), 0);
}

#[test]
fn entry_bundles_round_trip_and_refuse_damage() {
    let leaves: Vec<Leaf> = (0..256).map(leaf).collect();
    let bytes = encode_leaves(&leaves);
    assert_eq!((bytes.len(), decode_leaves(&bytes).unwrap()), (256 * 82, leaves.clone()));
    assert_eq!(decode_leaves(&bytes[..bytes.len() - 1]), Err(BundleError::Truncated));
    assert_eq!(decode_leaves(&[&bytes[..], &[0]].concat()), Err(BundleError::Truncated));
    let many = encode_leaves(&[leaves.clone(), leaves].concat());
    assert_eq!(decode_leaves(&many), Err(BundleError::Count(512)));
    let mut short = bytes;
    short[1] = 79;
    assert_eq!(decode_leaves(&short), Err(LeafError::Length(79).into()));
}

#[test]
fn sidecars_are_in_order_and_not_empty() {
    let item =
        |position, header: Option<&[u8]>| SidecarItem { position, header: header.map(<[u8]>::to_vec), opening: None };
    let check = |items: Vec<SidecarItem>, fits: bool| {
        let sidecar = Sidecar { items };
        assert_eq!(Sidecar::decode(&sidecar.to_bytes()).is_ok(), fits, "{sidecar:?}");
    };
    check(vec![], true);
    check(vec![item(3, Some(b"h")), item(200, Some(b"h"))], true);
    check(vec![item(3, Some(b"h")), item(3, Some(b"h"))], false);
    check(vec![item(4, Some(b"h")), item(3, Some(b"h"))], false);
    check(vec![item(3, None)], false);
    let sidecar = Sidecar { items: vec![item(3, Some(b"h")), item(200, Some(b"i"))] };
    assert_eq!((sidecar.get(200), sidecar.get(4)), (Some(&item(200, Some(b"i"))), None));
}

#[test]
fn manifests_round_trip_and_find_their_files() {
    let decoded = BundleManifest::decode(&manifest().to_bytes()).unwrap();
    assert_eq!(decoded, manifest());
    let file = decoded.file("roster/00000000.cbor").unwrap();
    assert!(file.matches(b"roster") && !file.matches(b"rosteR"));
    assert_eq!(decoded.file("roster/00000001.cbor"), None);
}

#[test]
fn every_wrong_manifest_is_refused_by_name() {
    let check = |change: &dyn Fn(&mut BundleManifest), expected: BundleError| {
        let mut manifest = manifest();
        change(&mut manifest);
        assert_eq!(BundleManifest::decode(&manifest.to_bytes()), Err(expected));
    };
    check(&|m| m.layout = 2, BundleError::Layout(2));
    check(&|m| m.files.reverse(), BundleError::Order);
    check(&|m| m.files[1] = m.files[0].clone(), BundleError::Order);
    check(&|m| m.logs.reverse(), BundleError::Order);
    for path in ["", "/etc/passwd", "../up", "a/../b", "a//b", "a/./b", ".hidden", "A", "a\\b", "manifest.cbor", "a b"]
    {
        check(&|m| m.files[0].path = path.to_owned(), BundleError::Path(path.to_owned()));
    }
    assert!(matches!(BundleManifest::decode(&[0xa0]), Err(BundleError::Codec(_))));
}

#[test]
fn a_manifest_altered_anywhere_is_refused() {
    let bytes = manifest().to_bytes();
    for at in 0..bytes.len() {
        let mut altered = bytes.clone();
        altered[at] ^= 1;
        assert!(BundleManifest::decode(&altered).is_err(), "octet {at}");
    }
}
