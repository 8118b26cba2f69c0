use super::super::chain::{Accepted, ChainError, RosterChain, RosterFile};
use super::super::fixtures::*;
use super::super::roster::*;
use super::super::rules::RosterFault;
use super::super::snapshot::Validity;
use super::*;
use crate::ids::*;
use crate::limits::OFFICERS_MAX;

fn with_three_hubs() -> VerifiedRoster {
    let founding = founding();
    verify_next(&founding, &sign(&with_hubs(&founding), &OFFICERS[..2]), NOW, &FakeVerifier).unwrap()
}

fn refuse(prev: &VerifiedRoster, signed: &SignedRoster) -> RosterError {
    verify_next(prev, signed, NOW, &FakeVerifier).unwrap_err()
}

/// A change to a good successor that must be refused with the given fault.
fn refuse_change(prev: &VerifiedRoster, change: impl FnOnce(&mut RosterBody), expected: impl Into<RosterError>) {
    assert_eq!(refuse(prev, &sign(&next_body(prev, change), &OFFICERS[..2])), expected.into());
}

#[test]
fn a_consortium_is_founded_and_admits_hubs() {
    let roster = with_three_hubs();
    assert_eq!(roster.active_hubs().count(), 3);
    assert_eq!(roster.find("at").unwrap().id, HubId([1; 16]));
    assert_eq!(roster.find("ee.hub.example").unwrap().id, HubId([2; 16]));
    assert_eq!(roster.find(&HubId([3; 16]).to_string()).unwrap().country, Country::parse("LU").unwrap());
    assert!(roster.find("DE").is_err());
    let at = hub(1, "AT");
    assert_eq!(roster.hub_by_spki(&at.tls_keys[0]), Some(&at));
    assert_eq!(roster.hub_by_log(&LogId([1; 32])), Some(&at));
    assert_eq!(roster.log_by_origin("at.hub.example/prov/1").unwrap().1, &at.logs[0]);
    assert_eq!(roster.log_keys(&LogId([1; 32]), NOW), Some(&at.logs[0].keys[0].keys));
    assert_eq!(roster.log_keys(&LogId([1; 32]), UnixSeconds(NOW.0 - 1)), None);
    let later = UnixSeconds(NOW.0 + 86_400 * 30);
    assert_eq!(roster.encryption_key_at(&at.id, NOW).unwrap().period, KeyPeriod(0));
    assert_eq!(roster.encryption_key_at(&at.id, later).unwrap().period, KeyPeriod(1));
    assert!(roster.encryption_key_at(&at.id, UnixSeconds(NOW.0 - 1)).is_none());
    assert!(roster.warnings(NOW).is_empty());
}

#[test]
fn validity_has_a_grace_of_14_days() {
    let roster = with_three_hubs();
    let expires = roster.body().expires.0;
    assert_eq!(roster.validity(UnixSeconds(expires - 1)), Validity::Current);
    assert_eq!(roster.validity(UnixSeconds(expires)), Validity::Grace);
    assert_eq!(roster.validity(UnixSeconds(expires + 14 * 86_400)), Validity::Expired);
}

#[test]
fn founding_needs_the_expected_id_and_every_officer() {
    let signed = sign(&founding_body(), &OFFICERS);
    let id = consortium_id(&signed.body);
    let found = |id: &ConsortiumId, signed: &SignedRoster| verify_founding(id, signed, &FakeVerifier).unwrap_err();
    let other = ConsortiumId([0; 32]);
    assert_eq!(found(&other, &signed), RosterError::Consortium { expected: other, found: id });
    let short = sign(&founding_body(), &OFFICERS[..2]);
    assert_eq!(found(&id, &short), RosterError::Quorum { count: 2, needed: 3 });
    for change in [
        (|body: &mut RosterBody| body.hubs = vec![hub(1, "AT")]) as fn(&mut RosterBody),
        |body| body.policy = Some(PolicyDigest([1; 32])),
        |body| body.predecessors = vec![RosterDigest([1; 32])],
        |body| body.consortium = Some(ConsortiumId([1; 32])),
        |body| body.exceptions = vec!["AT: why".to_owned()],
    ] {
        let mut body = founding_body();
        change(&mut body);
        let signed = sign(&body, &OFFICERS);
        assert_eq!(found(&consortium_id(&signed.body), &signed), RosterFault::Founding.into());
    }
}

#[test]
fn a_quorum_of_the_old_officers_is_needed() {
    let prev = with_three_hubs();
    let body = next_body(&prev, |body| body.policy = Some(PolicyDigest([1; 32])));
    assert_eq!(refuse(&prev, &sign(&body, &OFFICERS[..1])), RosterError::Quorum { count: 1, needed: 2 });
    assert_eq!(refuse(&prev, &sign(&body, &[OFFICERS[0]; 2])), RosterError::SignatureOrder);
    assert_eq!(refuse(&prev, &sign(&body, &[OFFICERS[1], OFFICERS[0]])), RosterError::SignatureOrder);
    let stranger = refuse(&prev, &sign(&body, &[OFFICERS[0], "officer-9"]));
    assert_eq!(stranger, RosterError::UnknownOfficer("officer-9".to_owned()));
    let mut many = sign(&body, &OFFICERS[..2]);
    many.signatures = vec![many.signatures[0].clone(); OFFICERS_MAX + 1];
    assert_eq!(refuse(&prev, &many), RosterError::Quorum { count: OFFICERS_MAX + 1, needed: 2 });
}

#[test]
fn officers_change_under_the_old_quorum_only() {
    let prev = with_three_hubs();
    let new = ["officer-7", "officer-8", "officer-9"];
    let body = next_body(&prev, |body| body.officers = new.map(officer).to_vec());
    assert_eq!(refuse(&prev, &sign(&body, &new[..2])), RosterError::UnknownOfficer("officer-7".to_owned()));
    let next = verify_next(&prev, &sign(&body, &OFFICERS[..2]), NOW, &FakeVerifier).unwrap();
    let after = next_body(&next, |body| body.policy = Some(PolicyDigest([1; 32])));
    assert!(verify_next(&next, &sign(&after, &new[..2]), NOW, &FakeVerifier).is_ok());
    assert_eq!(refuse(&next, &sign(&after, &OFFICERS[..2])), RosterError::UnknownOfficer("officer-1".to_owned()));
}

#[test]
fn either_wrong_half_is_refused() {
    let prev = with_three_hubs();
    let good = sign(&next_body(&prev, |_| {}), &OFFICERS[..2]);
    let other = sign(&next_body(&prev, |body| body.policy = Some(PolicyDigest([1; 32]))), &OFFICERS[..2]);
    let bad = RosterError::BadSignature("officer-2".to_owned());
    let mut classical = good.clone();
    classical.signatures[1].signatures.p384 = other.signatures[1].signatures.p384.clone();
    assert_eq!(refuse(&prev, &classical), bad);
    let mut post_quantum = good.clone();
    post_quantum.signatures[1].signatures.ml_dsa_87 = other.signatures[1].signatures.ml_dsa_87.clone();
    assert_eq!(refuse(&prev, &post_quantum), bad);
}

#[test]
fn one_bad_signature_beyond_the_quorum_spoils_the_roster() {
    let prev = with_three_hubs();
    let mut signed = sign(&next_body(&prev, |_| {}), &OFFICERS);
    signed.signatures[2].signatures = signed.signatures[1].signatures.clone();
    assert_eq!(refuse(&prev, &signed), RosterError::BadSignature("officer-3".to_owned()));
}

#[test]
fn versions_go_up_by_one_from_the_named_predecessor() {
    let prev = with_three_hubs();
    let version = |found| RosterError::Version { expected: RosterVersion(2), found: RosterVersion(found) };
    refuse_change(&prev, |body| body.version = RosterVersion(3), version(3));
    refuse_change(&prev, |body| body.version = RosterVersion(1), version(1));
    refuse_change(&prev, |body| body.predecessors = vec![RosterDigest([1; 32])], RosterError::Predecessor);
    refuse_change(&prev, |body| body.predecessors = Vec::new(), RosterError::Predecessor);
    let foreign = ConsortiumId([1; 32]);
    let expected = RosterError::Consortium { expected: prev.consortium(), found: foreign };
    refuse_change(&prev, |body| body.consortium = Some(foreign), expected);
    refuse_change(&prev, |body| body.consortium = None, RosterFault::Lineage);
    refuse_change(&prev, |body| body.nonce = [0; 32], RosterError::Changed("nonce"));
}

#[test]
fn times_of_issue_are_judged() {
    let prev = with_three_hubs();
    let later = UnixSeconds(NOW.0 + 301);
    refuse_change(&prev, |body| body.issued = later, RosterError::FromTheFuture { issued: later, now: NOW });
    refuse_change(&prev, |body| body.issued = UnixSeconds(NOW.0 - 1), RosterError::Changed("time of issue, backwards"));
    refuse_change(&prev, |body| body.expires = body.issued, RosterFault::Lifetime);
    refuse_change(&prev, |body| body.expires = UnixSeconds(NOW.0 + 86_400 * 401), RosterFault::Lifetime);
}

#[test]
fn every_rule_of_the_body_is_kept() {
    let prev = with_three_hubs();
    let quorum = |quorum| RosterFault::Quorum { quorum, officers: 3 };
    refuse_change(&prev, |body| body.quorum = 1, quorum(1));
    refuse_change(&prev, |body| body.quorum = 4, quorum(4));
    refuse_change(&prev, |body| body.officers.reverse(), RosterFault::Order("officers"));
    refuse_change(&prev, |body| body.officers[1].keys = officer(OFFICERS[0]).keys, RosterFault::Reused("officer key"));
    refuse_change(
        &prev,
        |body| body.officers[1].encryption = officer(OFFICERS[0]).encryption,
        RosterFault::Reused("encryption key"),
    );
    refuse_change(&prev, |body| body.hubs.reverse(), RosterFault::Order("hubs"));
    refuse_change(&prev, |body| body.suites.clear(), RosterFault::Missing("suites"));
    refuse_change(&prev, |body| body.versions.min = 0, RosterFault::ProtocolVersions);
    let same_domain = |body: &mut RosterBody| {
        let mut hub = hub(4, "AT");
        hub.logs[0].origin = "at.hub.example/prov/2".to_owned();
        body.hubs.push(hub);
    };
    refuse_change(&prev, same_domain, RosterFault::Reused("domain"));
    let second = |body: &mut RosterBody| {
        let mut hub = hub(4, "AT");
        hub.domain = "second.hub.example".to_owned();
        hub.logs[0].origin = "second.hub.example/prov/1".to_owned();
        body.hubs.push(hub);
    };
    refuse_change(&prev, second, RosterFault::CountryTwice(Country::parse("AT").unwrap()));
    let excepted = next_body(&prev, |body| {
        second(body);
        body.exceptions = vec!["AT: two hubs under federal law".to_owned()];
    });
    assert!(verify_next(&prev, &sign(&excepted, &OFFICERS[..2]), NOW, &FakeVerifier).is_ok());
}

#[test]
fn no_key_serves_twice() {
    let prev = with_three_hubs();
    let check = |change: fn(&mut Vec<HubEntry>), what: &'static str| {
        refuse_change(
            &prev,
            |body| {
                body.hubs.push(hub(4, "FI"));
                change(&mut body.hubs);
            },
            RosterFault::Reused(what),
        );
    };
    check(|hubs| hubs[3].tls_keys = hubs[0].tls_keys.clone(), "tls key");
    check(|hubs| hubs[3].authentication_key = hubs[0].authentication_key.clone(), "ml-dsa-65 key");
    check(|hubs| hubs[3].authentication_key = hubs[0].logs[0].keys[0].keys.ml_dsa_65.clone(), "ml-dsa-65 key");
    check(|hubs| hubs[3].logs[0].id = hubs[0].logs[0].id, "log id");
    check(|hubs| hubs[3].logs[0].keys = hubs[0].logs[0].keys.clone(), "p-384 key");
    check(|hubs| hubs[3].encryption_keys = hubs[0].encryption_keys.clone(), "encryption key");
    check(|hubs| hubs[3].recovery_key = hubs[0].recovery_key.clone(), "encryption key");
    check(|hubs| hubs[3].recovery_key = hubs[3].encryption_keys[0].key.clone(), "encryption key");
    check(
        |hubs| hubs[3].tls_keys = vec![super::super::digest::p384_spki_digest(&hubs[0].logs[0].keys[0].keys.p384)],
        "tls key",
    );
}

#[test]
fn hub_entries_are_well_formed() {
    let prev = with_three_hubs();
    let check = |change: fn(&mut HubEntry), expected: RosterFault| {
        refuse_change(&prev, |body| change(&mut body.hubs[0]), expected)
    };
    let syntax = |what, value: &str| RosterFault::Syntax { what, value: value.to_owned() };
    check(|hub| hub.domain = "AT.hub".to_owned(), syntax("domain", "AT.hub"));
    check(|hub| hub.endpoints[0].port = 0, syntax("endpoint", "at.hub.example:0"));
    check(|hub| hub.endpoints[0].network = "Internet".to_owned(), syntax("network", "Internet"));
    check(|hub| hub.tls_keys.clear(), RosterFault::Missing("tls keys"));
    check(|hub| hub.encryption_keys.clear(), RosterFault::Missing("encryption keys"));
    check(|hub| hub.encryption_keys.reverse(), RosterFault::Order("encryption keys"));
    check(|hub| hub.logs.clear(), RosterFault::Missing("logs"));
    check(|hub| hub.logs[0].origin = "at.hub.example/prov/01".to_owned(), syntax("origin", "at.hub.example/prov/01"));
    check(
        |hub| hub.logs[0].origin = "ee.hub.example/prov/7".to_owned(),
        RosterFault::OriginOutsideDomain { domain: "at.hub.example".to_owned() },
    );
    let periods = RosterFault::LogPeriods { origin: "at.hub.example/prov/1".to_owned() };
    check(|hub| hub.logs[0].keys[0].until = Some(hub.logs[0].keys[0].from), periods);
    refuse_change(
        &prev,
        |body| {
            body.groups = vec![GroupEntry { id: GroupId([1; 16]), version: 1, commitment: [0; 32], document: vec![0] }]
        },
        RosterFault::GroupDocument { group: GroupId([1; 16]), len: 1, expected: super::super::group::document_len(6) },
    );
}

#[test]
fn the_past_of_a_hub_stays() {
    let prev = with_three_hubs();
    let id = HubId([1; 16]);
    refuse_change(&prev, |body| drop(body.hubs.remove(0)), RosterError::HubVanished(id));
    refuse_change(
        &prev,
        |body| body.hubs[0].country = Country::parse("BE").unwrap(),
        RosterError::Changed("country of a hub"),
    );
    refuse_change(&prev, |body| body.hubs[0].logs[0].id = LogId([8; 32]), RosterError::LogHistory(id));
    refuse_change(&prev, |body| body.hubs[0].logs[0].keys[0].from = UnixSeconds(1), RosterError::LogHistory(id));
    let removed = next_body(&prev, |body| body.hubs[0].status = HubStatus::Removed);
    let removed = verify_next(&prev, &sign(&removed, &OFFICERS[..2]), NOW, &FakeVerifier).unwrap();
    assert!(!removed.is_active(&id) && removed.hub_by_log(&LogId([1; 32])).is_some());
    refuse_change(&removed, |body| body.hubs[0].status = HubStatus::Active, RosterError::Revived(id));
}

#[test]
fn log_keys_rotate_by_ending_one_period() {
    let prev = with_three_hubs();
    let change = UnixSeconds(NOW.0 + 100);
    let body = next_body(&prev, |body| {
        let next = hub(5, "FI").logs[0].keys[0].keys.clone();
        let keys = &mut body.hubs[0].logs[0].keys;
        keys[0].until = Some(change);
        keys.push(LogKeyPeriod { from: change, until: None, keys: next });
    });
    let next = verify_next(&prev, &sign(&body, &OFFICERS[..2]), NOW, &FakeVerifier).unwrap();
    let log = LogId([1; 32]);
    assert_eq!(next.log_keys(&log, NOW), prev.log_keys(&log, NOW));
    assert_ne!(next.log_keys(&log, change), prev.log_keys(&log, change));
    // Ending the period before the version that shows it open would disown checkpoints that were in order.
    let dated = next_body(&next, |body| {
        body.issued = UnixSeconds(NOW.0 + 200);
        body.expires = UnixSeconds(NOW.0 + 86_400);
    });
    let later = UnixSeconds(NOW.0 + 200);
    let dated = verify_next(&next, &sign(&dated, &OFFICERS[..2]), later, &FakeVerifier).unwrap();
    let close = |until| {
        let body = next_body(&dated, |body| body.hubs[0].logs[0].keys[1].until = Some(UnixSeconds(until)));
        verify_next(&dated, &sign(&body, &OFFICERS[..2]), later, &FakeVerifier).map(drop)
    };
    assert_eq!(close(NOW.0 + 199), Err(RosterError::LogHistory(HubId([1; 16]))));
    assert_eq!(close(NOW.0 + 200), Ok(()));
    refuse_change(
        &next,
        |body| body.hubs[0].logs[0].keys[0].until = None,
        RosterFault::LogPeriods { origin: "at.hub.example/prov/1".to_owned() },
    );
    refuse_change(
        &next,
        |body| body.hubs[0].logs[0].keys[0].until = Some(UnixSeconds(NOW.0 + 50)),
        RosterError::LogHistory(HubId([1; 16])),
    );
}

#[test]
fn twins_are_evidence_and_are_resolved_under_the_common_officers() {
    let founding = founding();
    let prev = with_three_hubs();
    let chain_file = RosterFile { rosters: vec![founding.signed().clone(), prev.signed().clone()] };
    let mut chain = RosterChain::verify_file(&founding.consortium(), &chain_file, NOW, &FakeVerifier).unwrap();
    let a = next_body(&prev, |body| body.policy = Some(PolicyDigest([1; 32])));
    let b = next_body(&prev, |body| body.hubs[2].status = HubStatus::Removed);
    let (a, b) = (sign(&a, &OFFICERS[..2]), sign(&b, &OFFICERS[1..]));
    assert!(matches!(chain.accept(&a, NOW, &FakeVerifier), Ok(Accepted::Newer(_))));
    assert!(matches!(chain.accept(&a, NOW, &FakeVerifier), Ok(Accepted::Known)));
    let Ok(Accepted::Twin(evidence)) = chain.accept(&b, NOW, &FakeVerifier) else { panic!("no twin") };
    evidence.verify(&prev, NOW, &FakeVerifier).unwrap();
    assert_eq!(chain.effective().digest(), prev.digest());
    assert_eq!(chain.removed_by_either_twin(), [HubId([3; 16])]);

    let onwards = sign(&next_body(&chain.current(), |_| {}), &OFFICERS[..2]);
    let refused = chain.accept(&onwards, NOW, &FakeVerifier).unwrap_err();
    assert_eq!(refused, RosterError::UnresolvedTwin(RosterVersion(2)));

    let mut same = evidence.clone();
    same.second = same.first.clone();
    assert_eq!(same.verify(&prev, NOW, &FakeVerifier), Err(RosterError::Predecessor));

    let digests = |x: &SignedRoster, y: &SignedRoster| {
        let mut both = vec![roster_digest(&x.body), roster_digest(&y.body)];
        both.sort();
        both
    };
    let resolution = next_body(&chain.current(), |body| {
        body.predecessors = digests(&a, &b);
        body.hubs[2].status = HubStatus::Removed;
    });
    let stranger = next_body(&chain.current(), |body| body.predecessors = digests(&b, prev.signed()));
    let refused = chain.accept(&sign(&stranger, &OFFICERS[..2]), NOW, &FakeVerifier);
    assert_eq!(refused.unwrap_err(), RosterError::Predecessor);
    assert!(matches!(chain.accept(&sign(&resolution, &OFFICERS[..2]), NOW, &FakeVerifier), Ok(Accepted::Newer(_))));
    assert!(chain.twin().is_none() && chain.effective().version() == RosterVersion(3));
    assert!(matches!(chain.accept(&b, NOW, &FakeVerifier), Ok(Accepted::Known)));

    // The file holds both halves, without which nobody could verify the resolution.
    let reread = RosterChain::verify_file(&founding.consortium(), &chain.to_file(), NOW, &FakeVerifier).unwrap();
    assert_eq!((reread.current().digest(), reread.iter().count()), (chain.current().digest(), 5));
}

/// Version 1, and two signed successors of it made by these changes.
fn chain_with_twins(
    change_a: impl FnOnce(&mut RosterBody),
    change_b: impl FnOnce(&mut RosterBody),
) -> (RosterChain, SignedRoster, SignedRoster) {
    let (founding, prev) = (founding(), with_three_hubs());
    let file = RosterFile { rosters: vec![founding.signed().clone(), prev.signed().clone()] };
    let chain = RosterChain::verify_file(&founding.consortium(), &file, NOW, &FakeVerifier).unwrap();
    let (a, b) = (next_body(&prev, change_a), next_body(&prev, change_b));
    (chain, sign(&a, &OFFICERS[..2]), sign(&b, &OFFICERS[1..]))
}

/// A version after the newest one that names these two as its predecessors.
fn resolution(chain: &RosterChain, named: [RosterDigest; 2], change: impl FnOnce(&mut RosterBody)) -> SignedRoster {
    let body = next_body(&chain.current(), |body| {
        body.predecessors = named.to_vec();
        body.predecessors.sort();
        change(body);
    });
    sign(&body, &OFFICERS[..2])
}

fn policy(body: &mut RosterBody) {
    body.policy = Some(PolicyDigest([1; 32]));
}

#[test]
fn a_resolution_is_refused_while_its_twins_are_not_both_held() {
    // The old officers are voted out; with a made-up second digest they would come back.
    let new = ["officer-7", "officer-8", "officer-9"];
    let (mut chain, a, b) = chain_with_twins(|body| body.officers = new.map(officer).to_vec(), policy);
    chain.accept(&a, NOW, &FakeVerifier).unwrap();
    let held = roster_digest(&a.body);
    for other in [RosterDigest([0xff; 32]), roster_digest(&b.body)] {
        let offered = resolution(&chain, [held, other], |_| {});
        assert_eq!(chain.accept(&offered, NOW, &FakeVerifier).unwrap_err(), RosterError::Predecessor);
    }
    assert!(matches!(chain.accept(&b, NOW, &FakeVerifier), Ok(Accepted::Twin(_))));
    let made_up = resolution(&chain, [held, RosterDigest([0xff; 32])], |_| {});
    assert_eq!(chain.accept(&made_up, NOW, &FakeVerifier).unwrap_err(), RosterError::Predecessor);
    let good = resolution(&chain, [held, roster_digest(&b.body)], |_| {});
    assert!(matches!(chain.accept(&good, NOW, &FakeVerifier), Ok(Accepted::Newer(_))));
}

#[test]
fn a_hub_that_either_twin_removed_does_not_revive() {
    for remove_first in [true, false] {
        let remove = |body: &mut RosterBody| body.hubs[2].status = HubStatus::Removed;
        let (mut chain, a, b) = match remove_first {
            true => chain_with_twins(remove, policy),
            false => chain_with_twins(policy, remove),
        };
        chain.accept(&a, NOW, &FakeVerifier).unwrap();
        chain.accept(&b, NOW, &FakeVerifier).unwrap();
        let named = [roster_digest(&a.body), roster_digest(&b.body)];
        let revived = resolution(&chain, named, |body| body.hubs[2].status = HubStatus::Active);
        let refused = chain.accept(&revived, NOW, &FakeVerifier).unwrap_err();
        assert_eq!(refused, RosterError::Revived(HubId([3; 16])));
        let good = resolution(&chain, named, remove);
        assert!(matches!(chain.accept(&good, NOW, &FakeVerifier), Ok(Accepted::Newer(_))));
    }
}

#[test]
fn an_unresolved_twin_outlives_a_restart() {
    let (mut chain, a, b) = chain_with_twins(policy, |body| body.hubs[2].status = HubStatus::Removed);
    chain.accept(&a, NOW, &FakeVerifier).unwrap();
    chain.accept(&b, NOW, &FakeVerifier).unwrap();
    let file = RosterFile::from_bytes(&chain.to_file().to_bytes()).unwrap();
    let reread = RosterChain::verify_file(&founding().consortium(), &file, NOW, &FakeVerifier).unwrap();
    assert_eq!((reread.twin(), reread.effective().version()), (chain.twin(), RosterVersion(1)));
}

#[test]
fn a_late_twin_of_an_older_version_is_evidence_and_changes_nothing() {
    let (mut chain, a, late) = chain_with_twins(policy, |body| body.hubs[2].status = HubStatus::Removed);
    chain.accept(&a, NOW, &FakeVerifier).unwrap();
    let next = sign(&next_body(&chain.current(), |_| {}), &OFFICERS[..2]);
    chain.accept(&next, NOW, &FakeVerifier).unwrap();
    let before = chain.to_file();
    let Ok(Accepted::Twin(evidence)) = chain.accept(&late, NOW, &FakeVerifier) else { panic!("no evidence") };
    evidence.verify(&with_three_hubs(), NOW, &FakeVerifier).unwrap();
    assert_eq!((chain.to_file(), chain.twin(), chain.effective().version()), (before, None, RosterVersion(3)));
    // Without a quorum it proves nothing.
    let mut short = late;
    short.signatures.pop();
    let refused = chain.accept(&short, NOW, &FakeVerifier).unwrap_err();
    assert_eq!(refused, RosterError::Quorum { count: 1, needed: 2 });
}

#[test]
fn first_contact_needs_a_current_roster_and_a_majority_of_its_hubs() {
    let prev = with_three_hubs();
    let file = RosterFile { rosters: vec![founding().signed().clone(), prev.signed().clone()] };
    let file = RosterFile::from_bytes(&file.to_bytes()).unwrap();
    let chain = RosterChain::verify_file(&prev.consortium(), &file, NOW, &FakeVerifier).unwrap();
    let named = |ids: &[u8], digest| ids.iter().map(|id| (HubId([*id; 16]), digest)).collect::<Vec<_>>();
    assert_eq!(chain.check_first_contact(&named(&[1, 2], prev.digest()), NOW), Ok(()));
    let few = Err(ChainError::NoMajority { agreeing: 1, active: 3 });
    assert_eq!(chain.check_first_contact(&named(&[1, 1, 9], prev.digest()), NOW), few);
    let other = Err(ChainError::NoMajority { agreeing: 0, active: 3 });
    assert_eq!(chain.check_first_contact(&named(&[1, 2], RosterDigest([0; 32])), NOW), other);
    let expired = chain.check_first_contact(&named(&[1, 2], prev.digest()), prev.body().expires);
    assert_eq!(expired, Err(ChainError::Expired(RosterVersion(1))));
}

#[test]
fn a_chain_file_is_refused_at_its_first_bad_roster() {
    let (founding, prev) = (founding(), with_three_hubs());
    let verify = |rosters: Vec<SignedRoster>| {
        RosterChain::verify_file(&founding.consortium(), &RosterFile { rosters }, NOW, &FakeVerifier)
            .map(|chain| chain.current().version())
    };
    assert_eq!(verify(Vec::new()), Err(ChainError::Empty));
    assert!(matches!(verify(vec![prev.signed().clone()]), Err(ChainError::Refused { position: 0, .. })));
    let mut bad = prev.signed().clone();
    bad.signatures.pop();
    let short = RosterError::Quorum { count: 1, needed: 2 };
    assert_eq!(verify(vec![founding.signed().clone(), bad]), Err(ChainError::Refused { position: 1, source: short }));
    assert_eq!(verify(vec![founding.signed().clone(), prev.signed().clone()]), Ok(RosterVersion(1)));
}

/// Flips, cuts, doubles and swaps bytes of a good signed roster at seeded places: none is ever accepted.
#[test]
fn no_mutation_of_a_roster_is_accepted() {
    let founding = founding();
    let good = codec::encode(&sign(&with_hubs(&founding), &OFFICERS[..2]));
    for seed in 0..2_500u64 {
        let bytes = mutate(&good, seed);
        if bytes == good {
            continue;
        }
        let Ok(signed) = codec::decode::<SignedRoster>(&bytes, ROSTER_BYTES_MAX) else { continue };
        assert!(verify_next(&founding, &signed, NOW, &FakeVerifier).is_err(), "seed {seed}");
    }
}

fn mutate(good: &[u8], seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut draw = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let mut bytes = good.to_vec();
    let at = draw(bytes.len());
    match draw(5) {
        0 | 1 => bytes[at] ^= 1 << draw(8),
        2 => bytes.truncate(at),
        3 => drop(bytes.splice(at..at, [draw(256) as u8])),
        _ => bytes.swap(at, draw(good.len())),
    }
    bytes
}
