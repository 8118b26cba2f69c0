//! Suspensions, enrolment requests and approvals: every way of being wrong.

use sha2::{Digest, Sha256};

use super::approval::*;
use super::chain::{RosterChain, RosterFile};
use super::digest::*;
use super::enrolment::*;
use super::fixtures::*;
use super::group::*;
use super::roster::*;
use super::suspension::*;
use super::verify::verify_next;
use crate::codec;
use crate::ids::*;
use crate::log::checkpoint::Origin;
use crate::log::manifest::LogManifest;

fn chain() -> RosterChain {
    let founding = founding();
    let next = sign(&with_hubs(&founding), &OFFICERS[..2]);
    let file = RosterFile { rosters: vec![founding.signed().clone(), next] };
    RosterChain::verify_file(&founding.consortium(), &file, NOW, &FakeVerifier).unwrap()
}

fn suspension(change: impl FnOnce(&mut SuspensionBody)) -> SignedSuspension {
    let roster = chain().current();
    let mut body = SuspensionBody {
        consortium: roster.consortium(),
        roster: roster.digest(),
        hub: HubId([1; 16]),
        issued: NOW,
        until: UnixSeconds(NOW.0 + 48 * 3_600),
        reason: "token reported lost".to_owned(),
        role: OFFICERS[0].to_owned(),
    };
    change(&mut body);
    let signatures = officer_signatures(&body.role, &body.signing_bytes());
    body.sign_with(signatures)
}

#[test]
fn one_officer_suspends_for_48_hours_once_in_30_days() {
    let chain = chain();
    let accept =
        |signed: SignedSuspension| signed.verify(&chain, UnixSeconds(NOW.0 + 86_400 * 31), &FakeVerifier).unwrap();
    let mut suspensions = Suspensions::new();
    let hub = HubId([1; 16]);
    suspensions.accept(accept(suspension(|_| {}))).unwrap();
    suspensions.accept(accept(suspension(|_| {}))).unwrap();
    assert!(suspensions.in_force(&hub, NOW).is_some());
    assert!(suspensions.in_force(&hub, UnixSeconds(NOW.0 + 48 * 3_600)).is_none());
    assert!(suspensions.in_force(&HubId([2; 16]), NOW).is_none());
    let shift = |days: u64| {
        move |body: &mut SuspensionBody| {
            body.issued.0 += days * 86_400;
            body.until.0 += days * 86_400;
        }
    };
    assert_eq!(suspensions.accept(accept(suspension(shift(29)))), Err(SuspensionError::TooOften));
    suspensions.accept(accept(suspension(shift(30)))).unwrap();
    suspensions.accept(accept(suspension(|body| body.role = OFFICERS[1].to_owned()))).unwrap();
}

/// One twin puts other officers in place. Until the twins are resolved, the officers of their predecessor have the say.
#[test]
fn neither_twin_gives_or_takes_the_power_to_suspend() {
    let mut chain = chain();
    let prev = chain.current();
    let new = ["officer-7", "officer-8", "officer-9"];
    let a = next_body(&prev, |body| body.officers = new.map(officer).to_vec());
    let b = next_body(&prev, |body| body.policy = Some(PolicyDigest([1; 32])));
    for body in [a, b] {
        chain.accept(&sign(&body, &OFFICERS[..2]), NOW, &FakeVerifier).unwrap();
    }
    assert!(chain.twin().is_some());
    let twin = chain.current().digest();
    let by_new = suspension(|body| (body.role, body.roster) = (new[0].to_owned(), twin));
    let refused = by_new.verify(&chain, NOW, &FakeVerifier).unwrap_err();
    assert_eq!(refused, SuspensionError::UnknownOfficer(new[0].to_owned()));
    assert!(suspension(|_| {}).verify(&chain, NOW, &FakeVerifier).is_ok());
}

#[test]
fn every_wrong_suspension_is_refused() {
    let chain = chain();
    let check = |signed: SignedSuspension, expected: SuspensionError| {
        assert_eq!(signed.verify(&chain, NOW, &FakeVerifier), Err(expected));
    };
    check(suspension(|body| body.consortium = ConsortiumId([0; 32])), SuspensionError::Consortium);
    let unknown = RosterDigest([0; 32]);
    check(suspension(|body| body.roster = unknown), SuspensionError::UnknownRoster(unknown));
    check(suspension(|body| body.hub = HubId([9; 16])), SuspensionError::UnknownHub(HubId([9; 16])));
    check(suspension(|body| body.until.0 += 1), SuspensionError::Term);
    check(suspension(|body| body.until = body.issued), SuspensionError::Term);
    check(suspension(|body| body.reason.clear()), SuspensionError::Reason);
    check(
        suspension(|body| body.role = "officer-9".to_owned()),
        SuspensionError::UnknownOfficer("officer-9".to_owned()),
    );
    let future = suspension(|body| {
        body.issued.0 += 301;
        body.until.0 += 301;
    });
    check(future, SuspensionError::FromTheFuture);
    let bad = SuspensionError::BadSignature(OFFICERS[0].to_owned());
    let other = suspension(|body| body.hub = HubId([2; 16]));
    let mut classical = suspension(|_| {});
    classical.signatures.p384 = other.signatures.p384.clone();
    check(classical, bad.clone());
    let mut post_quantum = suspension(|_| {});
    post_quantum.signatures.ml_dsa_87 = other.signatures.ml_dsa_87;
    check(post_quantum, bad);
}

fn check_request(change: impl FnOnce(&mut EnrolmentBody), expected: EnrolmentError) {
    let consortium = founding().consortium();
    let mut body = enrolment_body(consortium);
    change(&mut body);
    let request = EnrolmentRequest::from_bytes(&enrolment(&body).to_bytes()).unwrap();
    assert_eq!(request.check(&consortium, NOW, &FakeVerifier).unwrap_err(), expected);
}

#[test]
fn every_wrong_request_is_refused() {
    let consortium = founding().consortium();
    let foreign = ConsortiumId([0; 32]);
    check_request(
        |body| body.consortium = foreign,
        EnrolmentError::Consortium { expected: consortium, found: foreign },
    );
    let old = UnixSeconds(NOW.0 - 14 * 86_400);
    let age = |body: &mut EnrolmentBody| {
        body.created = old;
        body.encryption_keys[0].active_from = old;
    };
    check_request(age, EnrolmentError::Expired);
    check_request(|body| body.created = UnixSeconds(NOW.0 + 301), EnrolmentError::FromTheFuture);
    check_request(|body| body.csr.clear(), EnrolmentError::Limits);
    check_request(|body| body.encryption_keys.clear(), EnrolmentError::Limits);
    check_request(|body| body.domain = "FI".to_owned(), EnrolmentError::Domain("FI".to_owned()));
    check_request(|body| body.encryption_keys[0].active_from.0 += 1, EnrolmentError::NoKeyInForce);
    check_request(|body| body.evidence.clear(), EnrolmentError::NoDesignation);
    let log =
        |change: fn(&mut LogManifest)| check_request(|body| with_manifest(body, change), EnrolmentError::Manifest);
    log(|manifest| manifest.hub = HubId([0; 16]));
    log(|manifest| manifest.consortium = ConsortiumId([0; 32]));
    log(|manifest| manifest.origin = Origin::parse("at.hub.example/prov/1").unwrap());
    log(|manifest| manifest.origin = Origin::parse("fi.hub.example/prov/2").unwrap());
    log(|manifest| manifest.created.0 += 1);
}

#[test]
fn possession_of_every_signing_key_is_needed() {
    let consortium = founding().consortium();
    let body = enrolment_body(consortium);
    let mut changed = body.clone();
    changed.country = Country::parse("SE").unwrap();
    let (good, other) = (possession(&body), possession(&changed));
    let check = |possession: Possession, key: &'static str| {
        let refused = body.with_possession(possession).check(&consortium, NOW, &FakeVerifier);
        assert_eq!(refused.unwrap_err(), EnrolmentError::Possession(key));
    };
    check(Possession { tls: other.tls, ..good.clone() }, "tls");
    check(Possession { authentication: other.authentication, ..good.clone() }, "authentication");
    let log = |p384: &Possession, ml_dsa: &Possession| crate::signing::LogSignatures {
        p384: p384.log.p384.clone(),
        ml_dsa_65: ml_dsa.log.ml_dsa_65.clone(),
    };
    let other = possession(&changed);
    check(Possession { log: log(&other, &good), ..good.clone() }, "log");
    check(Possession { log: log(&good, &other), ..good.clone() }, "log");
}

#[test]
fn a_request_must_be_new_to_the_roster() {
    let roster = chain().current();
    let at = hub(1, "AT");
    let check = |change: &dyn Fn(&mut EnrolmentBody), what: &'static str| {
        let mut body = enrolment_body(roster.consortium());
        change(&mut body);
        let checked = enrolment(&body).check(&roster.consortium(), NOW, &FakeVerifier).unwrap();
        assert_eq!(checked.check_against(&roster), Err(EnrolmentError::Taken(what)));
    };
    let same_id = |body: &mut EnrolmentBody| {
        body.hub = at.id;
        with_manifest(body, |log| log.hub = at.id);
    };
    check(&same_id, "hub id");
    let same_domain = |body: &mut EnrolmentBody| {
        body.domain = at.domain.clone();
        with_manifest(body, |log| log.origin = Origin::parse("at.hub.example/prov/1").unwrap());
    };
    check(&same_domain, "domain");
    check(&|body| body.authentication_key = at.authentication_key.clone(), "authentication key");
    check(&|body| body.recovery_key = at.encryption_keys[0].key.clone(), "encryption key");
    check(&|body| with_manifest(body, |log| log.keys = at.logs[0].keys[0].keys.clone()), "log key");
}

fn approval(request: &CheckedRequest, role: &str, change: impl FnOnce(&mut ApprovalBody)) -> Approval {
    let mut body = ApprovalBody {
        consortium: request.body().consortium,
        request: *request.digest(),
        verdict: Verdict::Approve,
        reason: None,
        issued: NOW,
        role: role.to_owned(),
    };
    change(&mut body);
    let signatures = officer_signatures(role, &body.signing_bytes());
    Approval::from_bytes(&body.sign_with(signatures).to_bytes()).unwrap()
}

#[test]
fn a_quorum_of_officers_admits_a_hub() {
    let chain = chain();
    let roster = chain.current();
    let request =
        enrolment(&enrolment_body(roster.consortium())).check(&roster.consortium(), NOW, &FakeVerifier).unwrap();
    let good: Vec<_> = OFFICERS[..2].iter().map(|role| approval(&request, role, |_| {})).collect();
    let approved = request.clone().approve(&good, &roster, NOW, &FakeVerifier).unwrap();
    assert_eq!(approved.approved_by(), &OFFICERS[..2]);
    let body = next_body(&roster, |body| body.hubs.push(approved.request().to_hub_entry()));
    let next = verify_next(&roster, &sign(&body, &OFFICERS[..2]), NOW, &FakeVerifier).unwrap();
    assert!(next.is_active(&request.body().hub));
    // Single use: the same approved request does not fit the roster that admitted it.
    let again = request.approve(&good, &next, NOW, &FakeVerifier).unwrap_err();
    assert_eq!(again, ApprovalError::Request(EnrolmentError::Taken("hub id")));
}

#[test]
fn every_wrong_approval_is_refused() {
    let roster = chain().current();
    let request =
        enrolment(&enrolment_body(roster.consortium())).check(&roster.consortium(), NOW, &FakeVerifier).unwrap();
    let first = approval(&request, OFFICERS[0], |_| {});
    let check = |second: Approval, expected: ApprovalError| {
        let approvals = [first.clone(), second];
        assert_eq!(request.clone().approve(&approvals, &roster, NOW, &FakeVerifier).unwrap_err(), expected);
    };
    check(first.clone(), ApprovalError::Quorum { count: 1, needed: 2 });
    check(approval(&request, OFFICERS[1], |body| body.consortium = ConsortiumId([0; 32])), ApprovalError::Consortium);
    check(
        approval(&request, OFFICERS[1], |body| body.request = [0; 32]),
        ApprovalError::OtherRequest(OFFICERS[1].to_owned()),
    );
    check(approval(&request, OFFICERS[1], |body| body.issued.0 += 301), ApprovalError::FromTheFuture);
    check(approval(&request, OFFICERS[1], |body| body.verdict = Verdict::Reject), ApprovalError::Reason);
    check(approval(&request, "officer-9", |_| {}), ApprovalError::UnknownOfficer("officer-9".to_owned()));
    let reject = approval(&request, OFFICERS[1], |body| {
        body.verdict = Verdict::Reject;
        body.reason = Some("no designation act".to_owned());
    });
    let rejected = ApprovalError::Rejected { role: OFFICERS[1].to_owned(), reason: "no designation act".to_owned() };
    check(reject, rejected);
    let mut bad = approval(&request, OFFICERS[1], |_| {});
    bad.signatures.p384 = first.signatures.p384.clone();
    check(bad, ApprovalError::BadSignature(OFFICERS[1].to_owned()));
    let late = UnixSeconds(NOW.0 + 14 * 86_400);
    let expired = request.clone().approve(&[first], &roster, late, &FakeVerifier).unwrap_err();
    assert_eq!(expired, ApprovalError::Request(EnrolmentError::Expired));
}

#[test]
fn group_documents_are_padded_and_match_their_entry() {
    let document = GroupDocument {
        id: GroupId([1; 16]),
        version: 1,
        name: "energy".to_owned(),
        members: [HubId([1; 16]), HubId([2; 16])].into(),
        history_from: NOW,
        salt: [5; 32],
    };
    let entry = GroupEntry { id: document.id, version: 1, commitment: document.commitment(), document: Vec::new() };
    let padded = document.to_padded().unwrap();
    assert_eq!(padded.len(), PLAINTEXT_BYTES);
    assert_eq!(GroupDocument::from_padded(&padded, &entry), Ok(document.clone()));
    let everyone = GroupDocument { members: (0..=255).map(|n| HubId([n; 16])).collect(), ..document.clone() };
    assert_eq!(everyone.to_padded().unwrap().len(), PLAINTEXT_BYTES);
    let mut tail = padded.clone();
    *tail.last_mut().unwrap() = 1;
    assert_eq!(GroupDocument::from_padded(&tail, &entry), Err(GroupFault::Padding));
    let renumbered = GroupEntry { version: 2, ..entry.clone() };
    assert_eq!(GroupDocument::from_padded(&padded, &renumbered), Err(GroupFault::Commitment));
    let other = GroupDocument { salt: [6; 32], ..document.clone() };
    assert_eq!(GroupDocument::from_padded(&other.to_padded().unwrap(), &entry), Err(GroupFault::Commitment));
    let nameless = GroupDocument { name: String::new(), ..document };
    assert_eq!(nameless.to_padded(), Err(GroupFault::Content));
}

#[test]
fn stanzas_go_to_every_hub_in_standing_and_every_officer() {
    let roster = chain().current();
    let document = |member: u8| GroupDocument {
        id: GroupId([1; 16]),
        version: 1,
        name: "energy".to_owned(),
        members: [HubId([member; 16])].into(),
        history_from: NOW,
        salt: [5; 32],
    };
    let plan = plan_stanzas(roster.body(), &document(2), NOW).unwrap();
    let entitled: Vec<_> = plan.iter().map(|stanza| stanza.entitled).collect();
    assert_eq!(entitled, [false, true, false, true, true, true]);
    let stranger = plan_stanzas(roster.body(), &document(9), NOW);
    assert_eq!(stranger, Err(GroupFault::UnknownMember(HubId([9; 16]))));
    let early = plan_stanzas(roster.body(), &document(2), UnixSeconds(0));
    assert_eq!(early, Err(GroupFault::NoKey(HubId([1; 16]))));
    let bytes = vec![0; document_len(6)];
    assert_eq!(SealedDocument::parse(&bytes), Err(GroupFault::Layout), "stanza count 0 does not fit the length");
    assert!(codec::encode(&document(2)).len() < PLAINTEXT_BYTES);
}

/// The values of the specification's examples, recomputed.
#[test]
fn the_examples_of_the_specification_hold() {
    let text = include_str!("../../../../protocol-spec/05-membership.md");
    let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
    let keys = crate::signing::OfficerKeys { p384: [1; 97].into(), ml_dsa_87: [2; 2592].into() };
    let mut body = founding_body();
    body.name = "Example".to_owned();
    body.nonce = [4; 32];
    body.root_certificate = [5; 32];
    body.quorum = 1;
    body.officers = vec![Officer { role: "officer-1".to_owned(), keys: keys.clone(), encryption: [3; 1665].into() }];
    let bytes = codec::encode(&body);
    let (id, digest) = (consortium_id(&bytes), roster_digest(&bytes));
    let signed = Sha256::digest(roster_signing_bytes(&id, body.version, &digest));
    let document = GroupDocument {
        id: GroupId([6; 16]),
        version: 1,
        name: "energy".to_owned(),
        members: [HubId([7; 16]), HubId([8; 16])].into(),
        history_from: NOW,
        salt: [9; 32],
    };
    let values = [
        hex(&bytes[..32]),
        id.to_string(),
        digest.to_string(),
        hex(&signed),
        p384_spki_digest(&keys.p384).to_string(),
        hex(&codec::encode(&document)),
        hex(&document.commitment()),
    ];
    for value in values {
        assert!(text.contains(&value), "{value}");
    }
}
