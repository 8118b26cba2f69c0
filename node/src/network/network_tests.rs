//! Real swarms over loopback TCP.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cresset_protocol::ids::{
    Binding, Commitment, HeaderDigest, LeafIndex, LogId, NodeHash, RosterDigest, RosterVersion, TreeSize, UnixSeconds,
};
use cresset_protocol::limits::{DELIVERY_BYTES_MAX, ENVELOPE_RANGE_BYTES_MAX};
use cresset_protocol::log::leaf::{Leaf, LeafFlags, LeafKind};
use cresset_protocol::membership::roster::{HubStatus, SignedRoster};
use cresset_protocol::sync::engine::Verdict;
use tokio::sync::watch;

use super::*;
use crate::transport::Membership;
use crate::transport::fixture::{Consortium, clock, hub_params, name};

const LOG: LogId = LogId([4; 32]);
const PATIENCE: Duration = Duration::from_secs(60);

/// Answers from the request alone, so that a test knows what must come.
#[derive(Default)]
struct Echo {
    deliveries: AtomicUsize,
}

impl Serve for Echo {
    fn log(&self, _: &Peer, request: LogRequest) -> LogResponse {
        match request {
            LogRequest::Heads => LogResponse::Heads(vec![Head { log: LOG, note: "note\n".into() }]),
            LogRequest::Checkpoint(_) => LogResponse::Refused(Refusal::NotFound),
            LogRequest::Consistency(_) => LogResponse::Consistency(vec![NodeHash([1; 32])]),
        }
    }

    fn roster(&self, _: &Peer, request: RosterRequest) -> RosterResponse {
        let version = match request {
            RosterRequest::After(version) => version,
            RosterRequest::Push(rosters) => RosterVersion(rosters.len() as u64),
        };
        RosterResponse::Standing(RosterStanding { version, digest: RosterDigest([2; 32]) })
    }

    fn package(&self, _: &Peer, _: &EntriesRequest, at: LeafIndex) -> Result<(Vec<u8>, LeafIndex), Refusal> {
        if at.0 >= 1_024 { Err(Refusal::NotFound) } else { Ok((vec![at.0 as u8; 300_000], LeafIndex(at.0 + 256))) }
    }

    fn envelope(&self, _: &Peer, range: &EnvelopeRange) -> Result<EnvelopeBytes, Refusal> {
        const TOTAL: u64 = 5 << 20;
        if range.header != HeaderDigest([3; 32]) {
            return Err(Refusal::NotAllowed);
        }
        let length = range.length.min(TOTAL - range.offset);
        Ok(EnvelopeBytes { total: TOTAL, bytes: vec![8; length as usize] })
    }

    fn deliver(&self, _: &Peer, delivery: Delivery) -> Result<DeliveryAck, Refusal> {
        assert_eq!(delivery.envelope.len() as u64, delivery.head.envelope_bytes);
        let before = self.deliveries.fetch_add(1, Ordering::SeqCst);
        Ok(if before == 0 { DeliveryAck::Stored } else { DeliveryAck::Known })
    }
}

struct Running {
    network: Network,
    membership: watch::Sender<Arc<Membership>>,
    /// Events that a test skipped while it waited for another.
    seen: Vec<NetworkEvent>,
}

impl Running {
    async fn wait_for(&mut self, what: &str, wanted: impl Fn(&NetworkEvent) -> bool) -> NetworkEvent {
        if let Some(at) = self.seen.iter().position(&wanted) {
            return self.seen.remove(at);
        }
        let waiting = async {
            loop {
                let event = self.network.events.recv().await.expect("the network runs");
                if wanted(&event) {
                    return event;
                }
                self.seen.push(event);
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("no {what}"))
    }

    async fn wait_up(&mut self, limited: bool) {
        self.wait_for("session", |event| matches!(event, NetworkEvent::PeerUp(peer) if peer.limited == limited)).await;
    }
}

/// A consortium whose hubs listen on free loopback ports.
fn on_loopback(n: u8) -> (Consortium, Vec<SocketAddr>) {
    let mut consortium = Consortium::found(n);
    // Held together so that no two are the same; free again when this returns.
    let sockets: Vec<_> = (0..n).map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let addresses: Vec<_> = sockets.iter().map(|socket| socket.local_addr().unwrap()).collect();
    for (hub, address) in addresses.iter().enumerate() {
        consortium.set_endpoint(hub, *address);
    }
    (consortium, addresses)
}

fn start(consortium: &Consortium, hub: usize, listen: Vec<SocketAddr>, membership: Membership) -> Running {
    start_as(consortium.identity(hub), listen, membership)
}

fn start_as(identity: Identity, listen: Vec<SocketAddr>, membership: Membership) -> Running {
    let (sender, reader) = watch::channel(Arc::new(membership));
    let network = Network::start(NetworkParts {
        identity,
        membership: reader,
        clock: clock(),
        verifier: Arc::new(cresset_crypto::Verifier),
        serve: Arc::new(Echo::default()),
        listen,
        networks: vec![],
    });
    Running { network: network.unwrap(), membership: sender, seen: vec![] }
}

fn start_all(consortium: &Consortium, addresses: &[SocketAddr]) -> Vec<Running> {
    let one = |(hub, address): (usize, &SocketAddr)| start(consortium, hub, vec![*address], consortium.membership());
    addresses.iter().enumerate().map(one).collect()
}

fn delivery(envelope: Vec<u8>) -> Delivery {
    let leaf = Leaf {
        kind: LeafKind::Private,
        flags: LeafFlags::default(),
        time: UnixSeconds(1),
        commitment: Commitment([1; 32]),
        binding: Binding([2; 32]),
    };
    let head = DeliveryHead {
        log: LOG,
        index: LeafIndex(7),
        leaf,
        header: vec![1; 150],
        note: "note\n".into(),
        proof: vec![],
        envelope_bytes: envelope.len() as u64,
    };
    Delivery { head, envelope }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hubs_connect_and_every_protocol_answers() {
    let (consortium, addresses) = on_loopback(2);
    let mut nodes = start_all(&consortium, &addresses);
    for node in &mut nodes {
        node.wait_up(false).await;
    }
    let (me, other) = (nodes[0].network.handle.clone(), consortium.hubs[1].id);
    assert_eq!(me.peers().iter().map(|peer| peer.hub).collect::<Vec<_>>(), [other]);

    assert_eq!(me.request_heads(other).await.unwrap(), [Head { log: LOG, note: "note\n".into() }]);
    let missing = me.request_checkpoint(other, LOG).await;
    assert!(matches!(missing, Err(RequestError::Refused(Refusal::NotFound))));
    let rosters = vec![SignedRoster { body: vec![1; 1_000], signatures: vec![] }; 3];
    assert_eq!(me.push_roster(other, rosters).await.unwrap().version, RosterVersion(3));

    let request = EntriesRequest { log: LOG, from: LeafIndex(0), to: LeafIndex(1_024), head: TreeSize(5_000) };
    let mut packages = me.fetch_entries(other, request).await.unwrap();
    let mut sizes = vec![];
    while let Some(package) = packages.next().await.unwrap() {
        sizes.push(package.len());
    }
    assert_eq!(sizes, [300_000; 4]);
    let beyond = EntriesRequest { from: LeafIndex(1_024), to: LeafIndex(1_025), ..request };
    let mut packages = me.fetch_entries(other, beyond).await.unwrap();
    assert!(matches!(packages.next().await, Err(RequestError::Refused(Refusal::NotFound))));
    assert!(packages.next().await.unwrap().is_none());

    let range = |header: u8| EnvelopeRange { header: HeaderDigest([header; 32]), offset: 10, length: 1_000 };
    let answers = me.fetch_envelopes(other, vec![range(3), range(9), range(3)]).await.unwrap();
    assert_eq!(answers[0].as_ref().unwrap().bytes, [8; 1_000]);
    assert_eq!(answers[1], Err(Refusal::NotAllowed));
    assert!(answers[2].is_ok());
    let whole = me.fetch_envelope(other, HeaderDigest([3; 32]), 8 << 20).await.unwrap();
    assert_eq!(whole.len(), 5 << 20);
    assert!(matches!(me.fetch_envelope(other, HeaderDigest([3; 32]), 1 << 20).await, Err(RequestError::TooLarge)));

    let sent = delivery(vec![6; 3 << 20]);
    assert_eq!(me.deliver(other, &sent).await.unwrap(), DeliveryAck::Stored);
    assert_eq!(me.deliver(other, &sent).await.unwrap(), DeliveryAck::Known);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_exceeds_a_limit_is_not_even_sent() {
    let (consortium, addresses) = on_loopback(2);
    let mut nodes = start_all(&consortium, &addresses);
    nodes[0].wait_up(false).await;
    let (me, other) = (nodes[0].network.handle.clone(), consortium.hubs[1].id);
    let range = |length| EnvelopeRange { header: HeaderDigest([3; 32]), offset: 0, length };
    for ranges in [vec![], vec![range(0)], vec![range(ENVELOPE_RANGE_BYTES_MAX + 1)], vec![range(1); 257]] {
        assert!(matches!(me.fetch_envelopes(other, ranges).await, Err(RequestError::TooLarge)));
    }
    let request = EntriesRequest { log: LOG, from: LeafIndex(0), to: LeafIndex(8_193), head: TreeSize(9_000) };
    for bad in
        [request, EntriesRequest { to: LeafIndex(0), ..request }, EntriesRequest { head: TreeSize(1), ..request }]
    {
        assert!(matches!(me.fetch_entries(other, bad).await.map(drop), Err(RequestError::TooLarge)));
    }
    let mut lying = delivery(vec![1]);
    lying.head.envelope_bytes = 2;
    assert!(matches!(me.deliver(other, &lying).await, Err(RequestError::TooLarge)));
    lying.head.envelope_bytes = DELIVERY_BYTES_MAX + 1;
    assert!(matches!(me.deliver(other, &lying).await, Err(RequestError::TooLarge)));
    assert!(matches!(me.publish_announcement(vec![0; (1 << 20) + 1]).await, Err(RequestError::TooLarge)));
    assert!(matches!(me.request_heads(HubId([0xaa; 16])).await, Err(RequestError::NotConnected)));
}

#[tokio::test(flavor = "multi_thread")]
async fn announcements_travel_only_after_a_verdict() {
    let (consortium, addresses) = on_loopback(3);
    let mut nodes = start_all(&consortium, &addresses);
    for node in &mut nodes {
        node.wait_up(false).await;
        node.wait_up(false).await;
    }
    // Sent again until gossip's mesh stands; each time other bytes, since equal ones are the same message.
    let is_announcement = |event: &NetworkEvent| matches!(event, NetworkEvent::Announcement { .. });
    let publisher = nodes[0].network.handle.clone();
    let sending = tokio::spawn(async move {
        for round in 0u8.. {
            publisher.publish_announcement(vec![round; 900_000]).await.unwrap();
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    });
    for node in &mut nodes[1..] {
        let event = node.wait_for("announcement", is_announcement).await;
        let NetworkEvent::Announcement { id, from, bytes } = event else { unreachable!() };
        assert_eq!(bytes.len(), 900_000);
        node.network.handle.report_validation(id, from, Verdict::Accept).await.unwrap();
    }
    sending.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_only_dials_is_reached_over_its_own_connection() {
    let (mut consortium, addresses) = on_loopback(2);
    consortium.roster.hubs[1].endpoints.clear();
    let mut listener = start(&consortium, 0, vec![addresses[0]], consortium.membership());
    let mut dialer = start(&consortium, 1, vec![], consortium.membership());
    listener.wait_up(false).await;
    dialer.wait_up(false).await;
    assert_eq!(listener.network.handle.request_heads(consortium.hubs[1].id).await.unwrap().len(), 1);
    assert_eq!(dialer.network.handle.request_heads(consortium.hubs[0].id).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_peer_speaks_only_roster_until_it_has_caught_up() {
    let (mut consortium, addresses) = on_loopback(2);
    let mut stale = start(&consortium, 0, vec![addresses[0]], consortium.membership());
    consortium.roster.version.0 += 1;
    let mut current = start(&consortium, 1, vec![addresses[1]], consortium.membership());
    stale.wait_up(true).await;
    current.wait_up(true).await;
    let (stale_hub, current_hub) = (consortium.hubs[0].id, consortium.hubs[1].id);
    let handle = current.network.handle.clone();
    assert!(handle.push_roster(stale_hub, vec![]).await.is_ok());
    assert!(matches!(handle.request_heads(stale_hub).await, Err(RequestError::Limited)));
    let range = EnvelopeRange { header: HeaderDigest([3; 32]), offset: 0, length: 1 };
    assert!(matches!(handle.fetch_envelopes(stale_hub, vec![range]).await, Err(RequestError::Limited)));

    stale.membership.send(Arc::new(consortium.membership())).unwrap();
    stale.wait_up(false).await;
    current.wait_up(false).await;
    assert!(handle.request_heads(stale_hub).await.is_ok());
    assert!(stale.network.handle.request_heads(current_hub).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_hub_is_cut_off_at_once_and_stays_out() {
    let (mut consortium, addresses) = on_loopback(2);
    let mut nodes = start_all(&consortium, &addresses);
    for node in &mut nodes {
        node.wait_up(false).await;
    }
    consortium.roster.version.0 += 1;
    consortium.roster.hubs[1].status = HubStatus::Removed;
    let cut = std::time::Instant::now();
    nodes[0].membership.send(Arc::new(consortium.membership())).unwrap();
    nodes[0].wait_for("end", |event| matches!(event, NetworkEvent::PeerDown(_))).await;
    nodes[1].wait_for("end", |event| matches!(event, NetworkEvent::PeerDown(_))).await;
    assert!(cut.elapsed() < Duration::from_secs(10));
    // It goes on dialling; none of its tries may become a session.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(nodes[0].network.handle.peers(), []);
    assert_eq!(nodes[1].network.handle.peers(), []);
}

/// The key was stolen: the roster names another one, and whoever came in with the old one must go.
#[tokio::test(flavor = "multi_thread")]
async fn a_changed_authentication_key_ends_the_sessions_of_the_old_one() {
    let (mut consortium, addresses) = on_loopback(2);
    let mut nodes = start_all(&consortium, &addresses);
    for node in &mut nodes {
        node.wait_up(false).await;
    }
    consortium.enrol(2);
    let new = consortium.roster.hubs.pop().unwrap().authentication_key;
    consortium.roster.version.0 += 1;
    consortium.roster.hubs[1].authentication_key = new;
    nodes[0].membership.send(Arc::new(consortium.membership())).unwrap();
    nodes[0].wait_for("end", |event| matches!(event, NetworkEvent::PeerDown(_))).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(nodes[0].network.handle.peers(), []);
}

/// During a rotation a hub is connected under both its TLS keys, and so under two peer ids.
#[tokio::test(flavor = "multi_thread")]
async fn disconnecting_a_hub_ends_its_sessions_under_every_key() {
    let (mut consortium, addresses) = on_loopback(2);
    let (tls, point) = (name("tls-2"), consortium.hubs[1].keys.generate_p384(&name("tls-2")).unwrap());
    let leaf = consortium.issue(&hub_params("hub-1.example"), point.as_bytes());
    let keys = &mut consortium.roster.hubs[1].tls_keys;
    keys.push(crate::transport::spki_digest(&leaf).unwrap());
    keys.sort();
    consortium.roster.hubs[1].endpoints.clear();
    let mut second = consortium.identity(1);
    second.tls.chain[0] = leaf;
    second.tls.key = tls;
    let mut listener = start(&consortium, 0, vec![addresses[0]], consortium.membership());
    let mut dialers =
        [start(&consortium, 1, vec![], consortium.membership()), start_as(second, vec![], consortium.membership())];
    for dialer in &mut dialers {
        dialer.wait_up(false).await;
    }
    listener.wait_up(false).await;
    listener.network.handle.disconnect(consortium.hubs[1].id).await.unwrap();
    for dialer in &mut dialers {
        dialer.wait_for("end", |event| matches!(event, NetworkEvent::PeerDown(_))).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_session_is_made_anew() {
    let (consortium, addresses) = on_loopback(2);
    let mut nodes = start_all(&consortium, &addresses);
    for node in &mut nodes {
        node.wait_up(false).await;
    }
    let handle = nodes[0].network.handle.clone();
    handle.disconnect(consortium.hubs[1].id).await.unwrap();
    nodes[0].wait_for("end", |event| matches!(event, NetworkEvent::PeerDown(_))).await;
    nodes[0].wait_up(false).await;
    assert!(handle.request_heads(consortium.hubs[1].id).await.is_ok());
}
