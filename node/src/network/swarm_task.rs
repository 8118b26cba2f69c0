//! The task that owns the swarm: drives connections, passes requests and events on, and follows the roster.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use cresset_protocol::ids::HubId;
use cresset_protocol::limits::{CONNECTION_AGE_HOURS_MAX, ROSTERS_PER_MESSAGE_MAX};
use cresset_protocol::sync::engine::{MessageId, Verdict};
use futures::StreamExt;
use libp2p::gossipsub::{self, MessageAcceptance, PublishError};
use libp2p::request_response::{self, OutboundFailure, OutboundRequestId, ResponseChannel};
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{self, ConnectionId, DialError, Swarm, SwarmEvent};
use libp2p::{Multiaddr, PeerId};
use libp2p_stream::Control;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::behaviour::{Behaviour, BehaviourEvent, FullEvent};
use super::budget::{Budgets, Spending};
use super::dialer::Dialer;
use super::handle::{Command, RequestError};
use super::messages::{LogRequest, LogResponse, Refusal, RosterRequest, RosterResponse};
use super::peers::{Peer, Peers};
use super::serve::Server;
use super::streams::{StreamKind, StreamServer};
use super::{EVENTS_WAITING_MAX, NetworkError, NetworkEvent, gossip, multiaddr, resolve};
use crate::transport::{Authenticated, Built, Member, MembershipReader, Sessions, peer_id};

const TICK: Duration = Duration::from_millis(250);
/// Longer than the maximum age, which we enforce ourselves.
const IDLE_TIMEOUT: Duration = Duration::from_secs((CONNECTION_AGE_HOURS_MAX + 1) * 3_600);
/// Answers being computed at once; beyond it peers are told that we are busy.
const ANSWERS_PENDING_MAX: usize = 256;

pub(crate) struct SwarmParts {
    pub(crate) built: Built,
    pub(crate) behaviour: Behaviour,
    pub(crate) me: HubId,
    pub(crate) membership: MembershipReader,
    pub(crate) server: Server,
    pub(crate) networks: Vec<String>,
    pub(crate) peers: Peers,
    pub(crate) budgets: Arc<Mutex<Budgets>>,
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) events: mpsc::Sender<NetworkEvent>,
    pub(crate) control: Control,
}

pub(crate) struct SwarmTask {
    swarm: Swarm<Behaviour>,
    topic: gossipsub::IdentTopic,
    sessions: Sessions,
    membership: MembershipReader,
    server: Server,
    networks: Vec<String>,
    peers: Peers,
    budgets: Arc<Mutex<Budgets>>,
    commands: mpsc::Receiver<Command>,
    events: mpsc::Sender<NetworkEvent>,
    control: Control,
    dialer: Dialer,
    allowed: BTreeSet<PeerId>,
    connections: BTreeMap<ConnectionId, Live>,
    dialling: BTreeMap<ConnectionId, HubId>,
    /// Events that the node has not taken yet. Announcements count against [`EVENTS_WAITING_MAX`]; ups and downs are
    /// few (the roster and the back-off bound them) and never dropped.
    waiting: VecDeque<NetworkEvent>,
    log_requests: HashMap<OutboundRequestId, oneshot::Sender<Result<LogResponse, RequestError>>>,
    roster_requests: HashMap<OutboundRequestId, oneshot::Sender<Result<RosterResponse, RequestError>>>,
    answers: JoinSet<Answer>,
    resolving: JoinSet<(HubId, PeerId, Vec<SocketAddr>)>,
}

/// An established connection with its own hello: the table of sessions knows only the newest of each peer.
struct Live {
    since: Instant,
    peer: PeerId,
    session: Authenticated,
}

/// A computed answer on its way back.
enum Answer {
    Log(ResponseChannel<LogResponse>, LogResponse),
    Roster(ResponseChannel<RosterResponse>, RosterResponse),
}

impl SwarmTask {
    pub(crate) fn new(parts: SwarmParts) -> Self {
        let config = swarm::Config::with_tokio_executor().with_idle_connection_timeout(IDLE_TIMEOUT);
        let consortium = parts.membership.borrow().consortium;
        Self {
            swarm: Swarm::new(parts.built.transport, parts.behaviour, parts.built.peer, config),
            topic: gossip::topic(&consortium),
            sessions: parts.built.sessions,
            membership: parts.membership,
            server: parts.server,
            networks: parts.networks,
            peers: parts.peers,
            budgets: parts.budgets,
            commands: parts.commands,
            events: parts.events,
            control: parts.control,
            dialer: Dialer::new(parts.me),
            allowed: BTreeSet::new(),
            connections: BTreeMap::new(),
            dialling: BTreeMap::new(),
            waiting: VecDeque::new(),
            log_requests: HashMap::new(),
            roster_requests: HashMap::new(),
            answers: JoinSet::new(),
            resolving: JoinSet::new(),
        }
    }

    pub(crate) fn listen(&mut self, address: SocketAddr) -> Result<(), NetworkError> {
        let listening = self.swarm.listen_on(multiaddr(address));
        listening.map(drop).map_err(|error| NetworkError::Listen { address, reason: error.to_string() })
    }

    /// Runs until every [`super::NetworkHandle`] is gone.
    pub(crate) async fn run(mut self) {
        // Owned here, so that the stream servers end with the swarm.
        let mut servers = self.start_stream_servers();
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // A handle of its own: a borrow of `self` could not outlive the other branches.
        let events = self.events.clone();
        self.follow_membership();
        loop {
            tokio::select! {
                event = self.swarm.select_next_some() => self.on_swarm_event(event),
                command = self.commands.recv() => match command {
                    Some(command) => self.on_command(command),
                    None => break,
                },
                changed = self.membership.changed() => match changed {
                    Ok(()) => self.follow_membership(),
                    Err(_) => break,
                },
                Some(Ok(answer)) = self.answers.join_next(), if !self.answers.is_empty() => self.send_answer(answer),
                Some(Ok((hub, peer, addresses))) = self.resolving.join_next(), if !self.resolving.is_empty() => {
                    self.dial(hub, peer, addresses);
                }
                permit = events.reserve(), if !self.waiting.is_empty() => {
                    // Nobody listens any more: the node is shutting down.
                    let Ok(permit) = permit else { break };
                    if let Some(event) = self.waiting.pop_front() {
                        permit.send(event);
                    }
                }
                _ = ticks.tick() => self.on_tick(Instant::now()),
            }
        }
        servers.shutdown().await;
    }

    fn start_stream_servers(&mut self) -> JoinSet<()> {
        let mut servers = JoinSet::new();
        for kind in StreamKind::ALL {
            let server = StreamServer {
                kind,
                server: self.server.clone(),
                peers: self.peers.clone(),
                budgets: self.budgets.clone(),
            };
            if let Some(incoming) = server.register(&mut self.control) {
                servers.spawn(server.run(incoming));
            }
        }
        servers
    }

    /// Brings allow list, dial targets and live sessions in line with the newest roster.
    fn follow_membership(&mut self) {
        let membership = self.membership.borrow_and_update().clone();
        let allowed: BTreeSet<PeerId> =
            membership.admitted().flat_map(|member| member.tls_keys.iter().map(peer_id)).collect();
        for gone in self.allowed.difference(&allowed) {
            // Closes its connections too.
            self.swarm.behaviour_mut().allowed.disallow_peer(*gone);
        }
        for new in allowed.difference(&self.allowed) {
            self.swarm.behaviour_mut().allowed.allow_peer(*new);
        }
        // Not when a connection closes: the hello of the next one may be in the table already.
        self.sessions.retain(|session| session.stands(&membership));
        self.allowed = allowed;
        self.dialer.set_targets(membership.admitted().map(|member| member.hub), Instant::now());
        self.budgets.lock().unwrap_or_else(PoisonError::into_inner).retain(|hub| membership.hub(hub).is_some());
        self.close(|live| !live.session.stands(&membership));
    }

    /// Closes connections. Not by hub: during a key rotation one has several peer ids.
    fn close(&mut self, unwanted: impl Fn(&Live) -> bool) {
        let unwanted = self.connections.iter().filter(|(_, live)| unwanted(live)).map(|(connection, _)| *connection);
        for connection in unwanted.collect::<Vec<_>>() {
            self.swarm.close_connection(connection);
        }
    }

    fn on_tick(&mut self, now: Instant) {
        let peers = self.peers.clone();
        for (hub, failures) in self.dialer.due(now, |hub| peers.get(hub).is_some()) {
            let membership = self.membership.borrow().clone();
            match membership.hub(&hub).and_then(|member| self.dial_plan(member, failures)) {
                Some((peer, endpoints)) => {
                    self.resolving.spawn(async move { (hub, peer, resolve::resolve(&endpoints).await) });
                }
                None => self.dialer.failed(&hub, now),
            }
        }
        let age_max = Duration::from_secs(CONNECTION_AGE_HOURS_MAX * 3_600);
        self.close(|live| now.saturating_duration_since(live.since) > age_max);
    }

    /// During a key rotation a hub has two TLS keys; failed dials alternate between them.
    fn dial_plan(
        &self,
        member: &Member,
        failures: u32,
    ) -> Option<(PeerId, Vec<cresset_protocol::membership::roster::Endpoint>)> {
        let endpoints = resolve::select(&member.endpoints, &self.networks);
        let keys = member.tls_keys.len();
        let key = member.tls_keys.get(failures as usize % keys.max(1))?;
        (!endpoints.is_empty()).then(|| (peer_id(key), endpoints))
    }

    fn dial(&mut self, hub: HubId, peer: PeerId, addresses: Vec<SocketAddr>) {
        let options = DialOpts::peer_id(peer)
            .addresses(addresses.into_iter().map(multiaddr).collect())
            .condition(PeerCondition::DisconnectedAndNotDialing)
            // Dialling from the listening port would invite simultaneous opens, which have two dialers.
            .allocate_new_port()
            .build();
        let connection = options.connection_id();
        match self.swarm.dial(options) {
            Ok(()) => {
                self.dialling.insert(connection, hub);
            }
            Err(error) => {
                tracing::debug!(%hub, %error, "cannot dial");
                self.dialer.failed(&hub, Instant::now());
            }
        }
    }

    fn on_swarm_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(event) => self.on_behaviour_event(event),
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, .. } => {
                let dialled = self.dialling.remove(&connection_id);
                self.on_established(peer_id, connection_id, dialled);
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, num_established, .. } => {
                self.connections.remove(&connection_id);
                if num_established == 0 {
                    self.on_session_lost(peer_id);
                }
            }
            SwarmEvent::OutgoingConnectionError { connection_id, error, .. } => {
                if let Some(hub) = self.dialling.remove(&connection_id) {
                    log_dial_failure(hub, &error);
                    self.dialer.failed(&hub, Instant::now());
                }
            }
            SwarmEvent::IncomingConnectionError { error, .. } => tracing::debug!(%error, "incoming connection refused"),
            SwarmEvent::NewListenAddr { address, .. } => tracing::info!(%address, "listening for hubs"),
            SwarmEvent::ListenerError { error, .. } => tracing::warn!(%error, "the listener failed"),
            SwarmEvent::ListenerClosed { .. } => tracing::warn!("the listener closed"),
            _ => {}
        }
    }

    fn on_established(&mut self, peer: PeerId, connection: ConnectionId, dialled: Option<HubId>) {
        let membership = self.membership.borrow().clone();
        // The roster may have changed between admission and now, before this connection was among those judged.
        let session = self.sessions.get(&peer).filter(|session| session.stands(&membership));
        let Some(session) = session else {
            self.swarm.close_connection(connection);
            dialled.iter().for_each(|hub| self.dialer.failed(hub, Instant::now()));
            return;
        };
        self.up(peer_of(peer, &session));
        self.connections.insert(connection, Live { since: Instant::now(), peer, session });
    }

    fn up(&mut self, peer: Peer) {
        self.dialer.connected(&peer.hub);
        if self.peers.insert(peer) != Some(peer) {
            tracing::debug!(hub = %peer.hub, limited = peer.limited, "session established");
            self.waiting.push_back(NetworkEvent::PeerUp(peer));
        }
    }

    fn on_session_lost(&mut self, peer_id: PeerId) {
        let Some(lost) = self.peers.by_peer(&peer_id) else { return };
        // The hub may be connected under its other TLS key.
        if let Some(live) = self.connections.values().find(|live| live.session.hub == lost.hub) {
            self.up(peer_of(live.peer, &live.session));
            return;
        }
        self.peers.remove(&lost.hub);
        self.dialer.lost(&lost.hub, Instant::now());
        self.waiting.push_back(NetworkEvent::PeerDown(lost.hub));
    }

    fn on_behaviour_event(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Full(FullEvent::Gossip(event)) => self.on_gossip(event),
            BehaviourEvent::Full(FullEvent::Log(event)) => self.on_log(event),
            BehaviourEvent::Roster(event) => self.on_roster(event),
            _ => {}
        }
    }

    fn on_gossip(&mut self, event: gossipsub::Event) {
        let gossipsub::Event::Message { propagation_source, message_id, message } = event else { return };
        let known = self.peers.by_peer(&propagation_source);
        let id = <[u8; 32]>::try_from(message_id.0.as_slice()).map(MessageId);
        let admitted = match (known, id) {
            (Some(peer), Ok(id)) if self.gossip_is_affordable(peer.hub, message.data.len()) => Some((peer.hub, id)),
            _ => None,
        };
        match admitted {
            Some((from, id)) if self.waiting.len() < EVENTS_WAITING_MAX => {
                self.waiting.push_back(NetworkEvent::Announcement { id, from, bytes: message.data });
            }
            // Not forwarded and not held against the sender: the heads will tell.
            _ => self.report(&message_id, &propagation_source, MessageAcceptance::Ignore),
        }
    }

    fn gossip_is_affordable(&self, hub: HubId, bytes: usize) -> bool {
        let now = Instant::now();
        let mut budgets = self.budgets.lock().unwrap_or_else(PoisonError::into_inner);
        budgets.spend(hub, Spending::GossipMessages, 1, now) && budgets.spend(hub, Spending::GossipBytes, bytes, now)
    }

    fn report(&mut self, id: &gossipsub::MessageId, from: &PeerId, acceptance: MessageAcceptance) {
        self.swarm.behaviour_mut().full.inner.gossip.report_message_validation_result(id, from, acceptance);
    }

    fn on_log(&mut self, event: request_response::Event<LogRequest, LogResponse>) {
        match event {
            request_response::Event::Message { peer, message, .. } => match message {
                request_response::Message::Request { request, channel, .. } => {
                    match self.admit(&peer, Spending::LogRequests) {
                        Ok(peer) => {
                            let server = self.server.clone();
                            self.answers.spawn(async move {
                                let answer = server.call(move |serve| serve.log(&peer, request)).await;
                                Answer::Log(channel, answer.unwrap_or(LogResponse::Refused(Refusal::Failed)))
                            });
                        }
                        Err(refusal) => self.send_answer(Answer::Log(channel, LogResponse::Refused(refusal))),
                    }
                }
                request_response::Message::Response { request_id, response } => {
                    settle(&mut self.log_requests, &request_id, Ok(response));
                }
            },
            request_response::Event::OutboundFailure { request_id, error, .. } => {
                settle(&mut self.log_requests, &request_id, Err(request_error(&error)));
            }
            _ => {}
        }
    }

    fn on_roster(&mut self, event: request_response::Event<RosterRequest, RosterResponse>) {
        match event {
            request_response::Event::Message { peer, message, .. } => match message {
                request_response::Message::Request { request, channel, .. } => {
                    let admitted = self.admit(&peer, Spending::RosterRequests);
                    let too_many =
                        matches!(&request, RosterRequest::Push(rosters) if rosters.len() > ROSTERS_PER_MESSAGE_MAX);
                    match admitted {
                        Ok(peer) if !too_many => {
                            let server = self.server.clone();
                            self.answers.spawn(async move {
                                let answer = server.call(move |serve| serve.roster(&peer, request)).await;
                                Answer::Roster(channel, answer.unwrap_or(RosterResponse::Refused(Refusal::Failed)))
                            });
                        }
                        refused => {
                            let refusal = refused.err().unwrap_or(Refusal::Invalid);
                            self.send_answer(Answer::Roster(channel, RosterResponse::Refused(refusal)));
                        }
                    }
                }
                request_response::Message::Response { request_id, response } => {
                    settle(&mut self.roster_requests, &request_id, Ok(response));
                }
            },
            request_response::Event::OutboundFailure { request_id, error, .. } => {
                settle(&mut self.roster_requests, &request_id, Err(request_error(&error)));
            }
            _ => {}
        }
    }

    /// Who asks, if there is room and budget for it.
    fn admit(&self, peer: &PeerId, on: Spending) -> Result<Peer, Refusal> {
        let peer = self.peers.by_peer(peer).ok_or(Refusal::Busy)?;
        let mut budgets = self.budgets.lock().unwrap_or_else(PoisonError::into_inner);
        if self.answers.len() < ANSWERS_PENDING_MAX && budgets.spend(peer.hub, on, 1, Instant::now()) {
            Ok(peer)
        } else {
            Err(Refusal::Busy)
        }
    }

    fn send_answer(&mut self, answer: Answer) {
        // An error only means that the peer has gone or waited too long.
        match answer {
            Answer::Log(channel, response) => {
                let _ = self.swarm.behaviour_mut().full.inner.log.send_response(channel, response);
            }
            Answer::Roster(channel, response) => {
                let _ = self.swarm.behaviour_mut().roster.send_response(channel, response);
            }
        }
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Publish { bytes, reply } => {
                let _ = reply.send(self.publish(bytes));
            }
            Command::Report { id, from, verdict } => {
                let acceptance = match verdict {
                    Verdict::Accept => MessageAcceptance::Accept,
                    Verdict::Ignore => MessageAcceptance::Ignore,
                    Verdict::Reject => MessageAcceptance::Reject,
                };
                // A neighbour that has gone meanwhile cannot be scored, but the message can still travel.
                let source = self.peers.get(&from).map_or(*self.swarm.local_peer_id(), |peer| peer.peer);
                self.report(&gossipsub::MessageId::from(id.0.to_vec()), &source, acceptance);
            }
            Command::Log { hub, request, reply } => match self.peers.get(&hub) {
                Some(peer) if peer.limited => drop(reply.send(Err(RequestError::Limited))),
                Some(peer) => {
                    let id = self.swarm.behaviour_mut().full.inner.log.send_request(&peer.peer, request);
                    self.log_requests.insert(id, reply);
                }
                None => drop(reply.send(Err(RequestError::NotConnected))),
            },
            Command::Roster { hub, request, reply } => match self.peers.get(&hub) {
                Some(peer) => {
                    let id = self.swarm.behaviour_mut().roster.send_request(&peer.peer, request);
                    self.roster_requests.insert(id, reply);
                }
                None => drop(reply.send(Err(RequestError::NotConnected))),
            },
            Command::Disconnect { hub } => self.close(|live| live.session.hub == hub),
            Command::ListenAddresses { reply } => {
                let addresses: Vec<Multiaddr> = self.swarm.listeners().cloned().collect();
                let _ = reply.send(addresses);
            }
        }
    }

    fn publish(&mut self, bytes: Vec<u8>) -> Result<(), RequestError> {
        let gossip = &mut self.swarm.behaviour_mut().full.inner.gossip;
        match gossip.publish(self.topic.hash(), bytes) {
            Ok(_) | Err(PublishError::Duplicate | PublishError::NoPeersSubscribedToTopic) => Ok(()),
            Err(PublishError::MessageTooLarge) => Err(RequestError::TooLarge),
            Err(_) => Err(RequestError::Overloaded),
        }
    }
}

fn peer_of(peer: PeerId, session: &Authenticated) -> Peer {
    Peer { hub: session.hub, peer, limited: session.limited, roster_version: session.roster_version }
}

fn settle<T>(
    pending: &mut HashMap<OutboundRequestId, oneshot::Sender<Result<T, RequestError>>>,
    id: &OutboundRequestId,
    outcome: Result<T, RequestError>,
) {
    if let Some(reply) = pending.remove(id) {
        // The caller may have given up.
        let _ = reply.send(outcome);
    }
}

fn request_error(failure: &OutboundFailure) -> RequestError {
    match failure {
        OutboundFailure::Timeout => RequestError::TimedOut,
        OutboundFailure::Io(error) if error.kind() == std::io::ErrorKind::InvalidData => RequestError::UnexpectedAnswer,
        _ => RequestError::NotConnected,
    }
}

fn log_dial_failure(hub: HubId, error: &DialError) {
    tracing::debug!(%hub, %error, "dial failed");
}
