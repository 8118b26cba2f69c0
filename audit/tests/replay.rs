//! The told story replays to WITNESSED, twice to the same bytes, and every damage changes the verdict.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail loudly")]

mod support;

use cresset_audit::demand::{Demand, Fraction};
use cresset_audit::flip::{POSITIONS_PER_FILE, Plan, flip_test};
use cresset_audit::replay::{Request, replay};
use cresset_audit::report::Report;
use cresset_audit::source::Source;
use cresset_audit::verdict::Verdict;
use cresset_protocol::ids::ConsortiumId;

use support::story::Story;

fn audit(sources: Vec<&dyn Source>, consortium: ConsortiumId) -> Report {
    replay(&Request {
        sources,
        consortium: Some(consortium),
        demand: Demand::Fraction(Fraction::Majority),
        public_only: false,
        until: None,
        hubs: Vec::new(),
    })
}

#[test]
fn the_told_story_is_witnessed_and_gives_one_result() {
    let story = Story::told();
    let bundle = story.export(0);
    let first = audit(vec![&bundle], story.consortium.id);
    assert_eq!(first.verdict(), Verdict::Witnessed, "{}", first.to_text());
    assert!(first.findings.is_empty());
    let second = audit(vec![&bundle.clone()], story.consortium.id);
    assert_eq!((first.digest(), first.to_json()), (second.digest(), second.to_json()));
    let own = first.logs.iter().find(|log| log.own).unwrap();
    assert_eq!((own.records.releases_confirmed, own.records.releases_not_confirmed), (1, 0));
    assert!(own.records.decisions > 0 && own.records.erased == 1);
    let text = first.to_text();
    for expected in ["withdrawn (Error)", "every decision comes out as logged", "Limits of this evidence"] {
        assert!(text.contains(expected), "{expected} is not in\n{text}");
    }
}

#[test]
fn several_bundles_tell_one_journey_in_any_order() {
    let story = Story::told();
    let (at, lu, ee) = (story.export(0), story.export(1), story.export(2));
    let forward = audit(vec![&at, &lu, &ee], story.consortium.id);
    let backward = audit(vec![&ee, &at, &lu, &at], story.consortium.id);
    assert_eq!(forward.digest(), backward.digest());
    let received = forward.objects[0].steps.iter().filter(|step| step.what == "received: Admitted").count();
    assert_eq!(received, 2, "{}", forward.to_text());
    // Only Austria has confirmed Luxembourg and Estonia, which are in scope now.
    assert_eq!(forward.verdict(), Verdict::SignedOnly, "{}", forward.to_text());
}

#[test]
fn every_turned_bit_changes_the_verdict() {
    let story = Story::told();
    let bundle = story.export(0);
    let mut once = |source: &dyn Source| audit(vec![source], story.consortium.id);
    let plan = Plan { flips: 2_000, per_file: POSITIONS_PER_FILE, seed: 7, resealed: false };
    let report = flip_test(&bundle, plan, &mut once).unwrap();
    assert!(report.flips >= 2_000 && report.flips >= report.files * 40, "{report:?}");
    assert_eq!(report.unnoticed, [], "{report:?}");
}

/// The forger digests the altered file anew: only what the file says can give it away.
#[test]
fn every_turned_bit_behind_a_new_digest_changes_the_verdict() {
    let story = Story::told();
    let bundle = story.export(0);
    let mut once = |source: &dyn Source| audit(vec![source], story.consortium.id);
    let plan = Plan { flips: 0, per_file: 8, seed: 11, resealed: true };
    let report = flip_test(&bundle, plan, &mut once).unwrap();
    assert_eq!(report.unnoticed, [], "{report:?}");
}
