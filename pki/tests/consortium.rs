//! A consortium from its founding to its first removal, through the built program.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;

use cresset_crypto::group::open_group_document;
use cresset_crypto::{EncryptionKeyPair, Verifier, hpke_open};
use cresset_protocol::codec;
use cresset_protocol::limits::ROSTER_BYTES_MAX;
use cresset_protocol::membership::group::StanzaRecipient;
use cresset_protocol::membership::roster::{HubStatus, RosterBody, SignedRoster};
use cresset_protocol::membership::welcome::{Welcome, WelcomeContent};
use cresset_protocol::membership::{RosterChain, RosterFile};
use cresset_protocol::suite::Suite;
use sha2::{Digest, Sha256};

use support::{Consortium, now, openssl};

fn chain(consortium: &Consortium) -> RosterChain {
    let file = RosterFile::from_bytes(&fs::read(consortium.path("public/roster.cbor")).unwrap()).unwrap();
    RosterChain::verify_file(&consortium.id(), &file, now(), &Verifier).unwrap()
}

/// Found, enrol three hubs, certify them, form a group, suspend, remove: what `make demo` and the guides do.
#[test]
fn three_hubs_join_share_a_group_and_one_is_removed() {
    let consortium = Consortium::found();
    let hubs = ["AT", "EE", "LU"].map(|country| consortium.request(country));
    let review = consortium.on_chain("request review AT.request", 0);
    assert!(review.contains("at.hub.example") && !review.contains("FAIL"), "{review}");
    let requests: Vec<_> = ["AT", "EE", "LU"].iter().map(|country| consortium.approve(country)).collect();
    consortium.next(&format!("{} --group energy=AT,LU", requests.join(" ")));

    let roster = chain(&consortium).current();
    assert_eq!((roster.version().0, roster.active_hubs().count()), (1, 3));
    let verified = consortium.run("roster verify public/roster.cbor --consortium public/consortium.id", 0);
    assert!(verified.contains("signed by officer-1, officer-2"), "{verified}");
    let shown = consortium.run("--json roster show public/roster.cbor", 0);
    assert!(shown.contains("\"validity\": \"in force\"") && shown.contains("lu.hub.example"), "{shown}");

    // Members open the group's document, the others learn nothing, and all documents have one length.
    let entry = &roster.body().groups[0];
    for (hub, member) in hubs.iter().zip([true, false, true]) {
        let recipient = StanzaRecipient::Hub(hub.body.hub);
        let opened =
            open_group_document(roster.body(), &roster.consortium(), entry, &recipient, &hub.encryption).unwrap();
        assert_eq!(opened.is_some(), member, "{}", hub.body.domain);
        if let Some(document) = opened {
            assert_eq!((document.name.as_str(), document.members.len()), ("energy", 2));
        }
    }

    let issue = "issue --issuing issuing/config.toml --ceremony public --request AT.request --certificate at.pem --welcome at.welcome";
    consortium.on_chain(issue, 0);
    let verify = "verify -x509_strict -purpose sslserver -verify_hostname at.hub.example -CAfile public/root.pem -untrusted public/issuing.pem at.pem";
    openssl(&consortium.path("."), verify);
    openssl(&consortium.path("."), &verify.replace("sslserver", "sslclient"));

    let welcome = Welcome::from_bytes(&fs::read(consortium.path("at.welcome")).unwrap()).unwrap();
    let info = Welcome::info(Suite::Hybrid2026, &welcome.consortium, &welcome.hub, &welcome.key);
    let content = hpke_open(&hubs[0].encryption, &info, &[], &welcome.sealed).unwrap();
    let content = WelcomeContent::from_bytes(&content).unwrap();
    assert_eq!(content.certificates.len(), 3);
    assert_eq!(content.rosters, chain(&consortium).to_file());
    assert!(hpke_open(&hubs[1].encryption, &info, &[], &welcome.sealed).is_err());

    consortium.run_arguments(
        &[
            "suspend",
            "LU",
            "--officer",
            "officer-3/config.toml",
            "--reason",
            "token reported lost",
            "-o",
            "lu.suspension",
            "--roster",
            "public/roster.cbor",
            "--consortium",
            "public/consortium.id",
        ],
        0,
    );
    assert!(consortium.run("inspect lu.suspension", 0).contains("token reported lost"));

    consortium.next("--remove LU --officer officer-1/config.toml");
    let roster = chain(&consortium).current();
    assert!(!roster.is_active(&hubs[2].body.hub) && roster.hub(&hubs[2].body.hub).is_some());
    let entry = &roster.body().groups[0];
    let recipient = StanzaRecipient::Hub(hubs[0].body.hub);
    let document =
        open_group_document(roster.body(), &roster.consortium(), entry, &recipient, &hubs[0].encryption).unwrap();
    assert_eq!((entry.version, document.unwrap().members.len()), (2, 1));
    consortium.on_chain(&issue.replace("AT.request", "LU.request"), 9);

    for file in ["AT.request", "AT.approval-1", "next.body", "sig-1", "at.welcome", "at.pem", "public/roster.cbor"] {
        consortium.run(&format!("inspect {file}"), 0);
    }
}

/// Whoever makes a body may put anything into it. The officer who signs reads all of it, digests and group members too.
#[test]
fn an_officer_sees_every_change_before_signing() {
    let consortium = Consortium::found();
    for country in ["AT", "EE", "LU"] {
        consortium.request(country);
    }
    let requests: Vec<_> = ["AT", "EE", "LU"].iter().map(|country| consortium.approve(country)).collect();
    consortium.next(&format!("{} --group energy=AT,LU", requests.join(" ")));
    consortium.on_chain("roster next --group energy=AT,EE --officer officer-1/config.toml -o next.body", 0);

    // A dishonest maker swaps keys, and hides that behind a change of status.
    let mut body: RosterBody =
        codec::decode(&fs::read(consortium.path("next.body")).unwrap(), ROSTER_BYTES_MAX).unwrap();
    let other = EncryptionKeyPair::generate().unwrap().public().clone();
    let (hub, officer) = (&mut body.hubs[0], &mut body.officers[2]);
    hub.status = HubStatus::Suspended;
    hub.endpoints[0].port = 1;
    let was = [&hub.recovery_key, &officer.encryption].map(|key| short_digest(key.as_bytes()));
    hub.recovery_key = other.clone();
    officer.encryption = EncryptionKeyPair::generate().unwrap().public().clone();
    let is = [&hub.recovery_key, &officer.encryption].map(|key| short_digest(key.as_bytes()));
    let domain = hub.domain.clone();
    fs::write(consortium.path("next.body"), codec::encode(&body)).unwrap();

    let text = consortium.sign(1, 0);
    for expected in [
        format!("{domain} ("),
        "status: active -> suspended".to_owned(),
        ":1 on internet".to_owned(),
        format!("recovery key: {} -> {}", was[0], is[0]),
        "~ officer officer-3".to_owned(),
        format!("encryption key: {} -> {}", was[1], is[1]),
        "sharing group `energy`".to_owned(),
    ] {
        assert!(text.contains(&expected), "`{expected}` not in {text}");
    }
    let line = |start: &str| text.lines().find(|line| line.trim_start().starts_with(start)).unwrap().to_owned();
    let (now, before) = (line("members: "), line("members before: "));
    assert!(now.contains("EE ee.hub.example") && !now.contains("LU"), "{now}");
    assert!(before.contains("LU lu.hub.example") && !before.contains("EE"), "{before}");
    let json = consortium.on_chain("--json roster sign next.body --officer officer-2/config.toml --yes -o sig-2", 0);
    assert!(json.contains("\"members_before\"") && json.contains(&format!("-> {}", is[0])), "{json}");
    // The third officer's key is another in this body: it cannot open the group, and is told so.
    assert!(consortium.sign(3, 0).contains("CLOSED to you"));
}

fn short_digest(key: &[u8]) -> String {
    let digest = Sha256::digest(key);
    digest[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Each step refuses what it must, with the right exit code and reason.
#[test]
fn every_wrong_step_is_refused() {
    let consortium = Consortium::found();
    let refuse = |arguments: &str, code: i32, reason: &str| {
        let text = consortium.on_chain(arguments, code);
        assert!(text.contains(reason), "{arguments}: {text}");
    };
    let hub = consortium.request("AT");

    // Enrolment: too few approvals, a rejection, an old request, a foreign key in the certificate request.
    consortium.approve("AT");
    refuse(
        "roster next --request AT.request --approval AT.approval-1 -o x",
        9,
        "1 officers have approved, 2 are needed",
    );
    refuse(
        "roster next --request AT.request --approval AT.approval-1 --approval AT.approval-1 -o x",
        9,
        "2 are needed",
    );
    refuse("reject AT.request --officer officer-3/config.toml --reason unknown -o AT.reject", 0, "rejected");
    let with_rejection =
        "roster next --request AT.request --approval AT.approval-1 --approval AT.approval-2 --approval AT.reject -o x";
    refuse(with_rejection, 9, "has rejected the request");
    let old = consortium.hub("BE", cresset_protocol::ids::UnixSeconds(now().0 - 15 * support::DAY));
    consortium.write_request(&old, "old.request");
    refuse("request review old.request", 9, "older than 14 days");
    let mut swapped = consortium.hub("FI", now());
    swapped.body.csr.clone_from(&hub.body.csr);
    consortium.write_request(&swapped, "swapped.request");
    refuse("request review swapped.request", 9, "over another key");
    let mut request = fs::read(consortium.path("AT.request")).unwrap();
    let last = request.len() - 1;
    request[last] ^= 1;
    fs::write(consortium.path("flipped.request"), request).unwrap();
    refuse(
        "approve flipped.request --officer officer-1/config.toml -o x",
        9,
        "possession of the log key is not proven",
    );

    // A certificate before the roster lists the hub.
    let issue = "issue --issuing issuing/config.toml --ceremony public --request AT.request --certificate at.pem";
    refuse(issue, 9, "is not active in the newest roster");

    // Signing: one officer is no quorum, two digests for one version, a stranger, no confirmation.
    let next = "roster next --request AT.request --approval AT.approval-1 --approval AT.approval-2 -o next.body";
    refuse(next, 0, "+ hub AT at.hub.example");
    refuse("roster sign next.body --officer officer-1/config.toml -o x", 2, "not confirmed");
    consortium.sign(1, 0);
    consortium.sign(1, 0);
    let assemble = "roster assemble next.body -o public/roster.cbor --signature";
    refuse(&format!("{assemble} sig-1"), 9, "1 officers have signed, 2 are needed");
    refuse(&format!("{assemble} sig-1 --signature sig-1"), 9, "ascend by role");
    fs::copy(consortium.path("next.body"), consortium.path("first.body")).unwrap();
    refuse(&next.replace("-o", "--days 30 -o"), 0, "not signed yet");
    assert!(consortium.sign(1, 9).contains("has already signed version 1"));
    consortium.sign(2, 0);
    refuse(&format!("{assemble} sig-1 --signature sig-2"), 9, "does not verify");
    consortium.run_arguments(
        &[
            "roster",
            "sign",
            "first.body",
            "--officer",
            "issuing/config.toml",
            "--yes",
            "-o",
            "x",
            "--roster",
            "public/roster.cbor",
            "--consortium",
            "public/consortium.id",
        ],
        2,
    );
    fs::copy(consortium.path("first.body"), consortium.path("next.body")).unwrap();
    consortium.sign(3, 0);
    refuse(&format!("{assemble} sig-1 --signature sig-3"), 0, "Version 1 is valid");

    // After admission: the request is spent, the body no successor any more.
    refuse("request review AT.request", 9, "hub id is in the roster already");
    refuse("roster sign next.body --officer officer-3/config.toml --yes -o x", 9, "roster version 1 where 2 is next");
    refuse("roster next --days 400 -o x", 2, "nothing would change");
    refuse("roster next --renew --days 500 -o x", 9, "later than 400 days");
    refuse("roster next --remove LU -o x", 5, "no hub `LU` in the roster");
    refuse("suspend AT --officer officer-1/config.toml --hours 49 --reason test -o x", 9, "within 48 hours");

    // The wrong anchor, missing and foreign files.
    let other = "00".repeat(32);
    consortium.run(&format!("roster verify public/roster.cbor --consortium {other}"), 9);
    consortium.run("roster verify missing --consortium public/consortium.id", 5);
    consortium.run("inspect root/config.toml", 9);
    consortium.run("ceremony found --name Test --root root/config.toml --issuing issuing/config.toml --officer officer-1/config.toml --out public", 1);
    consortium.run("ceremony found --name Test --root root/config.toml --issuing issuing/config.toml --officer officer-1/config.toml --out again", 7);
}

/// 2,500 seeded mutations of a roster that real keys signed: none is accepted.
#[test]
fn no_mutation_of_a_signed_roster_is_accepted() {
    let consortium = Consortium::found();
    consortium.request("AT");
    let changes = consortium.approve("AT");
    consortium.next(&changes);
    let file = chain(&consortium).to_file();
    let founding = RosterChain::found(&consortium.id(), &file.rosters[0], &Verifier).unwrap();
    let good = codec::encode(&file.rosters[1]);
    let mut reached_signatures = 0;
    for seed in 0..2_500u64 {
        let bytes = mutate(&good, seed);
        let Ok(signed) = codec::decode::<SignedRoster>(&bytes, bytes.len()) else { continue };
        if bytes == good {
            continue;
        }
        reached_signatures += 1;
        assert!(founding.clone().accept(&signed, now(), &Verifier).is_err(), "seed {seed}");
    }
    assert!(reached_signatures > 500, "{reached_signatures}");
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
        0..=2 => bytes[at] ^= 1 << draw(8),
        3 => bytes.truncate(at),
        _ => bytes.swap(at, draw(good.len())),
    }
    bytes
}
