use std::sync::Arc;

use cresset_protocol::ids::{HubId, RosterDigest, RosterVersion};
use cresset_protocol::membership::roster::HubStatus;
use tokio::sync::watch;

use super::*;
use crate::transport::fixture::Consortium;
use crate::transport::{Authenticated, Membership, RosterRelation, peer_id};

fn hello(consortium: &Consortium) -> Authenticated {
    let (membership, hub) = (consortium.membership(), &consortium.roster.hubs[1]);
    Authenticated {
        hub: hub.id,
        key: hub.tls_keys[0],
        version: 1,
        roster: RosterRelation::Same,
        roster_version: membership.version,
        roster_digest: membership.digest,
        authentication_key: hub.authentication_key.clone(),
        limited: false,
    }
}

fn gated(membership: Membership, hellos: &[&Authenticated]) -> (Gated<dummy::Behaviour>, PeerId) {
    let sessions = Sessions::default();
    for hello in hellos {
        sessions.insert(peer_id(&hello.key), (*hello).clone());
    }
    let (_sender, reader) = watch::channel(Arc::new(membership));
    (Gated::new(dummy::Behaviour, sessions, reader), peer_id(&hellos[0].key))
}

/// The hello ended under one roster, and the node has another when the connection is established.
#[test]
fn a_finished_hello_is_judged_by_the_roster_of_its_admission() {
    let mut consortium = Consortium::found(3);
    let before = hello(&consortium);
    let mut admit = |change: &mut dyn FnMut(&mut Consortium)| {
        consortium.roster.version.0 += 1;
        change(&mut consortium);
        let (mut gated, peer) = gated(consortium.membership(), &[&before]);
        gated.admit(peer, ConnectionId::new_unchecked(1)).ok()
    };
    assert!(admit(&mut |_| {}) == Some(Gate::Open), "a mere advance ends nothing");
    assert!(admit(&mut |c| c.roster.hubs[1].status = HubStatus::Suspended).is_none());
    assert!(admit(&mut |c| c.roster.hubs[1].status = HubStatus::Removed).is_none());
    assert!(admit(&mut |c| c.roster.hubs[1].status = HubStatus::Active) == Some(Gate::Open));
    let (own, other) = (consortium.roster.hubs[1].clone(), consortium.roster.hubs[2].clone());
    let mut with = |change: &dyn Fn(&mut Consortium)| {
        change(&mut consortium);
        let (mut gated, peer) = gated(consortium.membership(), &[&before]);
        let gate = gated.admit(peer, ConnectionId::new_unchecked(1)).ok();
        consortium.roster.hubs[1] = own.clone();
        gate
    };
    assert!(with(&|c| c.roster.hubs[1].authentication_key = other.authentication_key.clone()).is_none());
    assert!(with(&|c| c.roster.hubs[1].tls_keys = vec![cresset_protocol::ids::SpkiDigest([1; 32])]).is_none());
    assert!(with(&|c| c.roster.hubs[1].id = HubId([0xee; 16])).is_none());
    assert!(with(&|_| {}) == Some(Gate::Open));
    // Back at an older roster, as after a twin: what was the same is the same no more.
    assert!(with(&|c| c.roster.version = RosterVersion(before.roster_version.0 - 1)).is_none());
}

#[test]
fn a_limited_session_ends_when_a_new_hello_would_be_full() {
    let mut consortium = Consortium::found(2);
    let full = hello(&consortium);
    let suspended = Authenticated { limited: true, ..full.clone() };
    assert!(!suspended.stands(&consortium.membership()), "reinstated");
    let ahead = Authenticated {
        roster: RosterRelation::PeerAhead,
        roster_version: RosterVersion(full.roster_version.0 + 1),
        ..suspended.clone()
    };
    assert!(ahead.stands(&consortium.membership()), "we have not caught up");
    consortium.roster.version.0 += 1;
    let caught_up = consortium.membership();
    let disputed = Authenticated { roster_digest: RosterDigest([0xdd; 32]), ..ahead.clone() };
    assert!(disputed.stands(&caught_up), "a twin stays limited");
    let same = Authenticated { roster_digest: caught_up.digest, ..ahead };
    assert!(!same.stands(&caught_up));
}

#[test]
fn two_hellos_under_different_keys_cancel_out() {
    let consortium = Consortium::found(3);
    let old = hello(&consortium);
    let key = consortium.roster.hubs[2].authentication_key.clone();
    let new = Authenticated { authentication_key: key, ..old.clone() };
    let (mut gated, peer) = gated(consortium.membership(), &[&new, &old]);
    assert!(gated.admit(peer, ConnectionId::new_unchecked(1)).is_err());
    let (mut gated, peer) = self::gated(consortium.membership(), &[&old, &old]);
    assert!(gated.admit(peer, ConnectionId::new_unchecked(2)).is_ok());
}
