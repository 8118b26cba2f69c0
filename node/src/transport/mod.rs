//! The transport between hubs (`protocol-spec/07-transport.md`): TCP, hybrid-only TLS 1.3, the hello, yamux.
//!
//! A connection that libp2p sees is already authenticated: certificate, roster, and ML-DSA-65 signature over the TLS
//! session. Deliberately absent: multistream-select before or around TLS, Noise, QUIC, relays, and any second key
//! exchange.

mod handshake;
mod hello;
mod kx;
mod membership;
mod places;
mod profile;
mod sessions;
mod signer;
mod tls;
mod verifier;

use std::sync::Arc;
use std::time::Duration;

use cresset_protocol::ids::HubId;
use cresset_protocol::limits::{CLIENT_HELLO_SECONDS_MAX, HANDSHAKE_SECONDS_MAX, STREAMS_PER_CONNECTION_MAX};
use cresset_protocol::signing::SignatureVerifier;
use cresset_token::keystore::{KeyName, KeyStore};
use futures_rustls::TlsStream;
use libp2p::PeerId;
use libp2p::core::ConnectedPoint;
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::{Boxed, Transport as _};
use libp2p::core::upgrade::{InboundConnectionUpgrade as _, OutboundConnectionUpgrade as _};
use libp2p::{tcp, yamux};

pub use handshake::HandshakeError;
pub use hello::{
    Authenticated, EXPORTER_BYTES, EXPORTER_LABEL, Hello, HelloAgreed, HelloBody, HelloError, HelloProof, Role,
    RosterRelation,
};
pub use membership::{Member, Membership, MembershipError, MembershipReader, SUPPORTED_VERSIONS, key_of_peer, peer_id};
pub use profile::ProfileError;
pub(crate) use sessions::Sessions;
pub use tls::{ALPN, Clock, TlsError, TlsIdentity, spki_digest};
pub use verifier::CertificateRefused;
pub(crate) use verifier::judge_certificate;

/// Who we are on the wire.
#[derive(Clone)]
pub struct Identity {
    /// Our hub.
    pub hub: HubId,
    /// Certificate and TLS key.
    pub tls: TlsIdentity,
    /// Holder of the authentication key.
    pub keys: Arc<dyn KeyStore>,
    /// Name of the ML-DSA-65 authentication key.
    pub authentication_key: KeyName,
}

/// A transport and the name under which it speaks.
pub(crate) struct Built {
    pub(crate) transport: Boxed<(PeerId, StreamMuxerBox)>,
    pub(crate) peer: PeerId,
    pub(crate) sessions: Sessions,
}

/// Builds the transport.
pub(crate) fn build(
    identity: Identity,
    membership: MembershipReader,
    clock: Clock,
    verifier: Arc<dyn SignatureVerifier + Send + Sync>,
) -> Result<Built, TlsError> {
    let own_key = identity.tls.spki_digest()?;
    let configs = tls::TlsConfigs::new(&identity.tls, membership.clone(), clock)?;
    let handshaker = Arc::new(handshake::Handshaker {
        configs,
        membership,
        hub: identity.hub,
        own_key,
        keys: identity.keys,
        authentication_key: identity.authentication_key,
        verifier,
    });
    let sessions = Sessions::default();
    let places = places::Places::new();
    let table = sessions.clone();
    let transport = tcp::tokio::Transport::new(tcp::Config::default().nodelay(true))
        .and_then(move |stream, endpoint| upgrade(handshaker.clone(), places.clone(), table.clone(), stream, endpoint))
        .boxed();
    Ok(Built { transport, peer: peer_id(&own_key), sessions })
}

async fn upgrade<S>(
    handshaker: Arc<handshake::Handshaker>,
    places: places::Places,
    sessions: Sessions,
    stream: S,
    endpoint: ConnectedPoint,
) -> Result<(PeerId, StreamMuxerBox), HandshakeError>
where
    S: futures::AsyncRead + futures::AsyncWrite + Unpin + Send + 'static,
{
    let role = if endpoint.is_dialer() { Role::Dialer } else { Role::Listener };
    let handshake = authenticate(&handshaker, &places, stream, &endpoint);
    let outcome = tokio::time::timeout(Duration::from_secs(HANDSHAKE_SECONDS_MAX), handshake).await;
    let (session, tls) = outcome.map_err(|_| HandshakeError::TimedOut).flatten().inspect_err(|error| {
        let cause = std::error::Error::source(error).map(ToString::to_string);
        tracing::debug!(?role, %error, cause, "connection refused");
    })?;
    let mut config = yamux::Config::default();
    config.set_max_num_streams(STREAMS_PER_CONNECTION_MAX);
    let muxer = match role {
        Role::Dialer => config.upgrade_outbound(tls, "").await?,
        Role::Listener => config.upgrade_inbound(tls, "").await?,
    };
    let peer = peer_id(&session.key);
    sessions.insert(peer, session);
    Ok((peer, StreamMuxerBox::new(muxer)))
}

/// Waiting for a place counts against the time, so that a flood of half-open connections drains within the limit.
async fn authenticate<S>(
    handshaker: &handshake::Handshaker,
    places: &places::Places,
    stream: S,
    endpoint: &ConnectedPoint,
) -> Result<(Authenticated, TlsStream<S>), HandshakeError>
where
    S: futures::AsyncRead + futures::AsyncWrite + Unpin + Send,
{
    let ConnectedPoint::Listener { send_back_addr, .. } = endpoint else {
        let _place = places.take(Role::Dialer).await?;
        return handshaker.dial(stream).await;
    };
    let _counted = places.count(send_back_addr)?;
    // A sender that says nothing takes no place from those that speak.
    let limit = Duration::from_secs(CLIENT_HELLO_SECONDS_MAX);
    let client = tokio::time::timeout(limit, handshaker.client_hello(stream)).await;
    let client = client.map_err(|_| HandshakeError::TimedOut).flatten()?;
    let _place = places.take(Role::Listener).await?;
    handshaker.answer(client).await
}

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
#[path = "transport_tests.rs"]
mod tests;
