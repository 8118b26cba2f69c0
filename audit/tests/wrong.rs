//! One test for each way in which a bundle can be wrong.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail loudly")]

mod support;

use std::collections::BTreeSet;

use cresset_audit::demand::{Demand, Fraction, WitnessPolicy};
use cresset_audit::replay::{Request, replay};
use cresset_audit::report::Report;
use cresset_audit::source::{InMemory, Source};
use cresset_audit::verdict::Verdict;
use cresset_policy::Carriage;
use cresset_protocol::codec;
use cresset_protocol::ids::{Commitment, LeafIndex, NodeHash, RosterVersion, TreeSize, UnixSeconds};
use cresset_protocol::log::bundle::{BundledFile, LogPaths, MANIFEST_PATH, Sidecar, roster_path};
use cresset_protocol::log::checkpoint::Checkpoint;
use cresset_protocol::log::evidence::EvidenceShare;
use cresset_protocol::log::heads::LogHead;
use cresset_protocol::log::kinds::KindTag;
use cresset_protocol::log::leaf::LeafKind;
use cresset_protocol::log::manifest::{EndReason, Prologue};
use cresset_protocol::log::private::PublishAudit;
use cresset_protocol::log::public::{CloseShare, ContinuesShare, PublicShare};
use cresset_protocol::log::slot::LeafRef;
use cresset_protocol::object::marking::{Marking, Tlp};
use cresset_protocol::suite::Suite;

use support::log::{Log, START};
use support::story::Story;
use support::{domain, hub_id, reseal, with_manifest};

fn request<'s>(story: &Story, bundle: &'s dyn Source) -> Request<'s> {
    Request {
        sources: vec![bundle],
        consortium: Some(story.consortium.id),
        demand: Demand::Fraction(Fraction::Majority),
        public_only: false,
        until: None,
        hubs: Vec::new(),
    }
}

fn audit(story: &Story, bundle: &InMemory) -> Report {
    replay(&request(story, bundle))
}

/// The verdict, and words that a finding has.
fn expect(report: &Report, verdict: Verdict, words: &str) {
    let found = report.findings.iter().any(|finding| finding.verdict == verdict.name() && finding.what.contains(words));
    assert!(report.verdict() == verdict && found, "expected {verdict} with `{words}`:\n{}", report.to_text());
}

fn altered(story: &Story, change: impl FnOnce(&mut InMemory), verdict: Verdict, words: &str) {
    let mut bundle = story.export(0);
    change(&mut bundle);
    expect(&audit(story, &bundle), verdict, words);
}

#[test]
fn the_directory_is_what_the_manifest_says() {
    let story = Story::told();
    let paths = LogPaths(story.logs[0].id);
    altered(&story, |b| drop(b.0.remove(&paths.checkpoint())), Verdict::Invalid, "is missing");
    altered(&story, |b| drop(b.0.remove(MANIFEST_PATH)), Verdict::Invalid, "cannot be read");
    altered(&story, |b| drop(b.0.insert("stray".to_owned(), vec![])), Verdict::Invalid, "not listed");
    altered(&story, |b| b.0.get_mut(&paths.checkpoint()).unwrap().push(0), Verdict::Invalid, "manifest digests");
    let listed = |b: &mut InMemory, path: &str| {
        b.0.insert(path.to_owned(), vec![]);
        reseal(b);
    };
    let unplaced = ["stray", "roster/1.cbor", "policy/00.cbor", "logs/00/checkpoint"];
    for path in unplaced.map(str::to_owned).into_iter().chain([
        paths.checkpoint_at(TreeSize(999)),
        paths.leaves(0, 255),
        paths.sidecar(1, 256),
        paths.audit(LeafIndex(999)),
        paths.checkpoint() + "/more",
    ]) {
        altered(&story, |b| listed(b, &path), Verdict::Invalid, "has no place");
    }
    let two = |m: &mut cresset_protocol::log::bundle::BundleManifest| m.logs.iter_mut().for_each(|log| log.own = true);
    altered(&story, |b| with_manifest(b, two), Verdict::Invalid, "own");
}

#[test]
fn the_consortium_is_the_one_that_the_auditor_named() {
    let story = Story::told();
    let other = Story::told();
    let report = replay(&Request { consortium: Some(other.consortium.id), ..request(&story, &story.export(0)) });
    assert_eq!(report.verdict(), Verdict::Invalid);
    let report = replay(&Request { consortium: None, ..request(&story, &story.export(0)) });
    expect(&report, Verdict::Unanchored, "named neither");
    let (ours, theirs) = (story.export(0), other.export(0));
    let report = replay(&Request { sources: vec![&ours, &theirs], consortium: None, ..request(&story, &ours) });
    expect(&report, Verdict::Invalid, "another consortium");
}

#[test]
fn rosters_are_an_unbroken_signed_chain() {
    let story = Story::told();
    let drop_roster = |b: &mut InMemory, version| {
        b.0.remove(&roster_path(RosterVersion(version)));
        reseal(b);
    };
    altered(&story, |b| drop_roster(b, 0), Verdict::Unanchored, "no roster leads");
    let mut forged = Story::told();
    let body = forged.consortium.rosters[1].body.clone();
    let body = codec::decode(&body, 1 << 20).unwrap();
    forged.consortium.rosters[1] = forged.consortium.sign(&body, 1);
    expect(&audit(&forged, &forged.export(0)), Verdict::Invalid, "1 officers have signed, 2 are needed");
    let mut longer = Story::told();
    let logs: Vec<Vec<&Log>> = longer.logs.iter().map(|log| vec![log]).collect();
    for _ in 0..2 {
        longer.consortium.admit(&logs.iter().map(Vec::as_slice).collect::<Vec<_>>());
    }
    let mut bundle = longer.export(0);
    drop_roster(&mut bundle, 2);
    expect(&audit(&longer, &bundle), Verdict::Incomplete, "roster version 2 is not in the bundle");
}

#[test]
fn tiles_leaves_and_checkpoints_are_one_tree() {
    let story = Story::told();
    let log = &story.logs[0];
    let (paths, size) = (LogPaths(log.id), TreeSize(log.size()));
    let resealed = |path: String, change: fn(&mut Vec<u8>), words: &str| {
        let alter = |b: &mut InMemory| {
            change(b.0.get_mut(&path).unwrap());
            reseal(b);
        };
        altered(&story, alter, Verdict::Invalid, words);
    };
    let tile = cresset_protocol::log::tile::TileId { level: 0, index: 0 };
    resealed(paths.tile(tile, size.0), |tile| tile[0] ^= 1, "is not that of the leaves");
    resealed(paths.leaves(0, size.0), |leaves| leaves[2 + 60] ^= 1, "not over these leaves");
    resealed(paths.leaves(0, size.0), |leaves| leaves.truncate(82 * 3), "over the limit");
    resealed(paths.checkpoint_at(size), |note| *note = b"note".to_vec(), "not a signed note");
    resealed(paths.checkpoint(), |note| note.push(b'\n'), "newest checkpoint");
    resealed(paths.sidecar(0, size.0), |sidecar| *sidecar = Sidecar::default().to_bytes(), "does not open");
    let stray = |b: &mut InMemory| {
        b.0.insert(paths.checkpoint_at(TreeSize(0)), b.0[&paths.checkpoint()].clone());
        reseal(b);
    };
    altered(&story, stray, Verdict::Invalid, "checkpoint of no size");
}

#[test]
fn checkpoints_are_signed_by_the_keys_of_their_time() {
    let mut story = Story::told();
    let (root, before) = (story.logs[0].tree.root(), UnixSeconds(START - 1));
    story.logs[0].checkpoint_of(root, before);
    expect(&audit(&story, &story.export(0)), Verdict::Invalid, "outside every key period");
    let mut story = Story::told();
    story.logs[0].signer = support::signers::Signer::log();
    story.logs[0].checkpoint();
    expect(&audit(&story, &story.export(0)), Verdict::Invalid, "signature line of a log key is missing");
    let mut story = Story::told();
    story.logs[0].checkpoint_of(NodeHash([1; 32]), UnixSeconds(START + 99));
    expect(&audit(&story, &story.export(0)), Verdict::Invalid, "not over these leaves");
}

#[test]
fn two_signed_roots_for_one_size_are_a_fork() {
    let mut story = Story::told();
    let log = &story.logs[0];
    let checkpoint = |root| Checkpoint { origin: log.origin.clone(), size: TreeSize(log.size()), root };
    let (older, newer) = (
        log.note(checkpoint(log.tree.root()), UnixSeconds(START + 90)),
        log.note(checkpoint(NodeHash([1; 32])), UnixSeconds(START + 91)),
    );
    let (suite, log) = (Suite::Hybrid2026, log.id);
    let share = EvidenceShare { kind: KindTag, suite, log, older, newer, transcript: Vec::new() };
    let nothing = EvidenceShare { newer: share.older.clone(), ..share.clone() };
    story.logs[0].evidence = vec![codec::encode(&share)];
    expect(&audit(&story, &story.export(0)), Verdict::Diverged, "evidence proves two histories");
    story.logs[0].evidence = vec![codec::encode(&nothing)];
    expect(&audit(&story, &story.export(0)), Verdict::Invalid, "proves nothing");
    story.logs[0].evidence = vec![vec![0xa0]];
    expect(&audit(&story, &story.export(0)), Verdict::Invalid, "is no evidence");
}

#[test]
fn replicas_that_differ_are_a_fork() {
    let mut story = Story::told();
    let theirs = story.export(1);
    // The same log went on differently elsewhere, under the same keys.
    let at = story.logs[0].size() as usize - 1;
    story.logs[0].leaves[at].time = UnixSeconds(START + 77);
    story.logs[0].tree = story.logs[0].leaves.iter().map(|leaf| leaf.hash()).collect();
    story.logs[0].checkpoint();
    let ours = story.export(0);
    let report = replay(&Request { sources: vec![&ours, &theirs], ..request(&story, &ours) });
    expect(&report, Verdict::Diverged, "different roots");
}

#[test]
fn heads_and_slots_of_others_agree_with_the_log() {
    let mut story = Story::told();
    let roster = story.roster();
    let head = LogHead { log: story.logs[0].id, size: TreeSize(story.logs[0].size() - 1), root: NodeHash([1; 32]) };
    story.logs[1].state_heads(vec![head], &roster);
    story.logs[1].checkpoint();
    expect(&audit(&story, &story.export(0)), Verdict::Diverged, "confirms another root");

    let mut story = Story::told();
    let head = LogHead { log: story.logs[0].id, size: TreeSize(9_999), root: NodeHash([1; 32]) };
    let roster = story.roster();
    story.logs[1].state_heads(vec![head], &roster);
    story.logs[1].checkpoint();
    expect(&audit(&story, &story.export(0)), Verdict::Incomplete, "the bundle ends before");

    let mut story = Story::told();
    let target = LeafRef { log: story.logs[0].id, index: LeafIndex(3), leaf: NodeHash([1; 32]) };
    story.slot(1, target);
    story.logs[1].checkpoint();
    expect(&audit(&story, &story.export(1)), Verdict::Diverged, "its statement is about another leaf");

    let mut story = Story::told();
    let back = LogHead { log: story.logs[1].id, size: TreeSize(1), root: story.logs[1].hash(0) };
    let roster = story.roster();
    story.logs[0].state_heads(vec![back], &roster);
    story.logs[0].checkpoint();
    expect(&audit(&story, &story.export(0)), Verdict::Invalid, "goes back");
}

#[test]
fn decisions_come_out_as_logged_or_the_release_is_not_confirmed() {
    let tampered = |change: fn(&mut cresset_policy::ReleaseAudit), verdict, words: &str| {
        let mut story = Story::begin();
        let mut plan = story.plan();
        change(&mut plan.audit);
        let table = codec::encode(&plan.audit);
        let views = plan.views.len() as u32;
        story.publish_as(&plan, &table, views);
        expect(&audit(&story, &story.export(0)), verdict, words);
    };
    let swap = |audit: &mut cresset_policy::ReleaseAudit| {
        let first = audit.answers[0].outcome;
        audit.answers[0].outcome = match first {
            cresset_policy::Outcome::Permit => cresset_policy::Outcome::Forbid,
            cresset_policy::Outcome::Forbid => cresset_policy::Outcome::Permit,
        };
    };
    tampered(swap, Verdict::Invalid, "comes out as");
    tampered(|a| a.engine = "cedar-policy/9".to_owned(), Verdict::Incomplete, "NOT-REPLAYED");
    tampered(|a| a.decisions.truncate(1), Verdict::Invalid, "inconsistent");
    tampered(|a| a.situation.now = UnixSeconds(START + 9_999), Verdict::Invalid, "dated after");
    tampered(|a| a.object.0[0] ^= 1, Verdict::Invalid, "not about the same");
    tampered(
        |a| a.recipients[0].roles = BTreeSet::from(["auditor".to_owned()]),
        Verdict::Invalid,
        "as it was decided on",
    );
    let country = |a: &mut cresset_policy::ReleaseAudit| {
        a.situation.own_country = cresset_protocol::ids::Country::parse("FI").unwrap();
    };
    tampered(country, Verdict::Invalid, "another country");
    let mut story = Story::begin();
    let plan = story.plan();
    let table = plan.audit.to_bytes().unwrap();
    story.publish_as(&plan, b"another table", plan.views.len() as u32);
    let release = story.release;
    story.logs[0].audits.get_mut(&release).unwrap().audit = table;
    expect(&audit(&story, &story.export(0)), Verdict::Invalid, "inner MAC");
    story.logs[0].audits.remove(&release);
    expect(&audit(&story, &story.export(0)), Verdict::Incomplete, "decision table of this RELEASE is not shown");
}

#[test]
fn views_are_those_that_were_released() {
    let with = |change: fn(&mut Story), verdict, words: &str| {
        let mut story = Story::begin();
        story.publish();
        change(&mut story);
        story.logs[0].checkpoint();
        expect(&audit(&story, &story.export(0)), verdict, words);
    };
    let one_more = |s: &mut Story| {
        s.view(&Marking::new(Tlp::Green), Carriage::Audience);
    };
    with(one_more, Verdict::Invalid, "no RELEASE before it");
    let unknown = |s: &mut Story| {
        let audit = PublishAudit { release: Commitment([1; 32]), strictest: Marking::new(Tlp::Red) };
        s.view_under(&Marking::new(Tlp::Green), Carriage::Audience, &audit.to_bytes());
    };
    with(unknown, Verdict::Invalid, "no RELEASE before it");
    let hidden = |s: &mut Story| {
        let last = *s.views.last().unwrap();
        s.logs[0].audits.remove(&last);
    };
    with(hidden, Verdict::Incomplete, "which names its RELEASE, is not shown");
    let mut story = Story::begin();
    let plan = story.plan();
    let table = plan.audit.to_bytes().unwrap();
    story.publish_as(&plan, &table, plan.views.len() as u32 + 1);
    expect(&audit(&story, &story.export(0)), Verdict::Incomplete, "no PUBLISH leaf");
    story.view(&Marking::new(Tlp::Amber), Carriage::Audience);
    story.logs[0].checkpoint();
    expect(&audit(&story, &story.export(0)), Verdict::Invalid, "permits no view of this marking");
}

#[test]
fn openings_are_there_or_erased() {
    let mut story = Story::told();
    let release = story.release;
    story.logs[0].beside.remove(&release);
    expect(&audit(&story, &story.export(0)), Verdict::Invalid, "audit part without its opening");
    story.logs[0].audits.remove(&release);
    let report = audit(&story, &story.export(0));
    expect(&report, Verdict::Incomplete, "neither shown nor erased");
    let public = replay(&Request { public_only: true, ..request(&story, &story.export(0)) });
    assert_eq!(public.verdict(), Verdict::Incomplete, "the PUBLISH that are shown name a RELEASE that is not");

    let mut story = Story::told();
    let index = story.views[1];
    let opening = story.logs[0].beside[&index].opening.clone();
    let copied = story.logs[0].beside.get_mut(&story.release).unwrap();
    copied.opening = opening;
    expect(&audit(&story, &story.export(0)), Verdict::Invalid, "does not give the leaf's commitment");
    let mut bundle = story.export(0);
    with_manifest(&mut bundle, |manifest| manifest.logs.iter_mut().for_each(|log| log.own = false));
    expect(&audit(&story, &bundle), Verdict::Invalid, "opening");
}

#[test]
fn targets_are_leaves_of_the_log() {
    let mut story = Story::begin();
    story.publish();
    let flags = cresset_protocol::log::leaf::LeafFlags {
        withdraw: Some(cresset_protocol::log::leaf::WithdrawReason::Error),
        ..cresset_protocol::log::leaf::LeafFlags::default()
    };
    let record = support::log::Record { kind: LeafKind::Withdraw, flags, share: b"", audit: b"" };
    let at = story.logs[0].private_bound(record, cresset_protocol::ids::Binding([9; 32]));
    story.logs[0].beside.remove(&at);
    story.logs[0].audits.remove(&at);
    story.logs[0].checkpoint();
    expect(&audit(&story, &story.export(0)), Verdict::Invalid, "WITHDRAW of a leaf that is not before it");
}

#[test]
fn a_log_ends_with_its_close_and_stands_still_only_then() {
    let close = |story: &mut Story| {
        let share = CloseShare { kind: KindTag, suite: Suite::Hybrid2026, reason: EndReason::Planned, successor: None };
        story.logs[0].public(PublicShare::Close(share));
    };
    let later = |bundle: &mut InMemory| with_manifest(bundle, |manifest| manifest.created = UnixSeconds(START + 9_999));
    let mut story = Story::told();
    let mut bundle = story.export(0);
    later(&mut bundle);
    expect(&audit(&story, &bundle), Verdict::Stale, "older than the bundle");
    close(&mut story);
    story.logs[0].checkpoint();
    bundle = story.export(0);
    later(&mut bundle);
    assert_eq!(audit(&story, &bundle).verdict(), Verdict::SignedOnly);
    story.logs[0].noise(1);
    story.logs[0].checkpoint();
    expect(&audit(&story, &story.export(0)), Verdict::Invalid, "leaves follow the CLOSE");
}

#[test]
fn a_later_generation_is_recovered_if_a_roster_lists_it() {
    let mut story = Story::told();
    let before = &story.logs[0];
    let prologue = Prologue {
        log: before.id,
        origin: before.origin.clone(),
        size: TreeSize(before.size()),
        root: before.tree.root(),
        reason: EndReason::Lost,
    };
    let mut next = Log::plan(story.consortium.id, hub_id(0), &domain(0), Some(prologue.clone()));
    next.genesis();
    let unlisted = {
        let mut alone = Log::plan(story.consortium.id, hub_id(0), &domain(0), None);
        alone.genesis();
        alone.checkpoint();
        let size = alone.size();
        let bundle = story.consortium.bundle(&[(&alone, size, true)]);
        audit(&story, &bundle)
    };
    expect(&unlisted, Verdict::Unanchored, "no roster of the consortium lists this log");
    let logs: Vec<Vec<&Log>> =
        story.logs.iter().enumerate().map(|(n, log)| if n == 0 { vec![log, &next] } else { vec![log] }).collect();
    story.consortium.admit(&logs.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let roster = story.roster();
    let share = |root| {
        PublicShare::Continues(ContinuesShare {
            kind: KindTag,
            suite: Suite::Hybrid2026,
            log: prologue.log,
            origin: prologue.origin.clone(),
            size: prologue.size,
            root,
            reason: prologue.reason,
            roster_version: roster.version(),
            roster_digest: roster.digest(),
        })
    };
    next.public(share(prologue.root));
    next.checkpoint();
    for log in &mut story.logs[1..] {
        log.heads(&[&next], &roster);
        log.checkpoint();
    }
    let size = next.size();
    let all = |story: &Story, next: &Log| {
        let mut logs: Vec<_> = story.logs.iter().map(|log| (log, log.size(), false)).collect();
        logs.push((next, size, true));
        story.consortium.bundle(&logs)
    };
    let report = audit(&story, &all(&story, &next));
    assert_eq!(report.verdict(), Verdict::Recovered, "{}", report.to_text());
}

#[test]
fn a_policy_file_says_who_must_confirm() {
    let story = Story::told();
    let bundle = story.export(0);
    let lines = cresset_audit::keys::policy_lines(&bundle, &story.consortium.id).unwrap();
    let with = |rest: &str| {
        let policy = WitnessPolicy::parse(&format!("{lines}{rest}")).unwrap();
        replay(&Request { demand: Demand::Policy(policy), consortium: None, ..request(&story, &bundle) }).verdict()
    };
    assert_eq!(with("group all all hub.lu.example hub.ee.example hub.fi.example\nquorum all\n"), Verdict::Witnessed);
    assert_eq!(with("quorum hub.at.example\n"), Verdict::SignedOnly, "nobody confirms itself");
    assert_eq!(with("quorum none\n"), Verdict::Witnessed);
    let other = Story::begin();
    let lines = cresset_audit::keys::policy_lines(&other.export(0), &other.consortium.id).unwrap();
    let policy = WitnessPolicy::parse(&format!("{lines}quorum none\n")).unwrap();
    let report = replay(&Request { demand: Demand::Policy(policy), ..request(&story, &bundle) });
    expect(&report, Verdict::Unanchored, "none of the policy file's logs");
}

#[test]
fn scope_is_what_was_asked_for() {
    let story = Story::told();
    let bundle = story.export(0);
    let of = |hubs: &[&str]| {
        replay(&Request { hubs: hubs.iter().map(|hub| (*hub).to_owned()).collect(), ..request(&story, &bundle) })
    };
    assert_eq!(of(&["at"]).verdict(), Verdict::Witnessed);
    assert_eq!(of(&["hub.lu.example"]).verdict(), Verdict::SignedOnly);
    expect(&of(&["SE"]), Verdict::Incomplete, "no log of hub");
    let mut unconfirmed = Story::told();
    unconfirmed.record(0, LeafKind::Private, &[0xa1, 0x00, 0x18, 0x25], &[]);
    unconfirmed.logs[0].checkpoint();
    let bundle = unconfirmed.export(0);
    assert_eq!(audit(&unconfirmed, &bundle).verdict(), Verdict::SignedOnly);
    let until = unconfirmed.logs[0].leaves[unconfirmed.logs[0].size() as usize - 2].time;
    let report = replay(&Request { until: Some(until), ..request(&unconfirmed, &bundle) });
    assert_eq!(report.verdict(), Verdict::Witnessed);
}

#[test]
fn hostile_bytes_never_panic() {
    let story = Story::told();
    let bundle = story.export(0);
    // Every file in turn is replaced by short nonsense, well digested.
    for path in bundle.0.keys().filter(|path| *path != MANIFEST_PATH) {
        for content in [&b""[..], &[0xff; 3], &[0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], &[0; 82]] {
            let mut bundle = bundle.clone();
            bundle.0.insert(path.clone(), content.to_vec());
            with_manifest(&mut bundle, |manifest| {
                let file = manifest.files.iter_mut().find(|file| file.path == *path).unwrap();
                *file = BundledFile::of(path, content);
            });
            assert_ne!(audit(&story, &bundle).verdict(), Verdict::Witnessed, "{path}");
        }
    }
}
