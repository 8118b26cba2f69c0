//! Turns an accepted or dialled TCP stream into an authenticated session: TLS, then the hello's four frames.
//!
//! Order on the wire: dialer's body, listener's body, dialer's proof, listener's proof. The listener proves itself only
//! after it has accepted the dialer, so a finished hello is finished at both ends (a TLS 1.3 dialer alone would believe
//! itself connected before its certificate was judged).

use std::io;
use std::sync::Arc;

use cresset_protocol::ids::{HubId, SpkiDigest};
use cresset_protocol::limits::{CERTIFICATE_CHAIN_MAX, HELLO_FRAME_BYTES_MAX};
use cresset_protocol::signing::{MlDsa65Signature, SignatureVerifier};
use cresset_token::error::KeyStoreError;
use cresset_token::keystore::{KeyName, KeyStore};
use futures::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use futures_rustls::{LazyConfigAcceptor, StartHandshake, TlsConnector, TlsStream};
use rustls::pki_types::ServerName;
use rustls::server::Acceptor;

use super::hello::{Authenticated, EXPORTER_BYTES, EXPORTER_LABEL, Hello, HelloAgreed, HelloError, Role};
use super::membership::MembershipReader;
use super::tls::{ALPN, TlsConfigs, TlsError, spki_digest};
use super::verifier::CertificateRefused;

/// Everything that a handshake needs, shared by all of them.
pub(crate) struct Handshaker {
    pub(crate) configs: TlsConfigs,
    pub(crate) membership: MembershipReader,
    pub(crate) hub: HubId,
    pub(crate) own_key: SpkiDigest,
    pub(crate) keys: Arc<dyn KeyStore>,
    pub(crate) authentication_key: KeyName,
    pub(crate) verifier: Arc<dyn SignatureVerifier + Send + Sync>,
}

impl Handshaker {
    /// Runs TLS and hello as the dialler. The caller bounds the time of this and of the following two.
    pub(crate) async fn dial<S>(&self, stream: S) -> Result<(Authenticated, TlsStream<S>), HandshakeError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        // Never sent (no SNI) and never looked at; rustls merely wants one.
        let name = ServerName::try_from("hub.invalid").map_err(|_| HandshakeError::Session)?;
        let tls = TlsConnector::from(self.configs.client.clone()).connect(name, stream).await?;
        self.greet(tls.into(), Role::Dialer).await
    }

    /// Reads the ClientHello. Costs no cryptography.
    pub(crate) async fn client_hello<S>(&self, stream: S) -> Result<StartHandshake<S>, HandshakeError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        Ok(LazyConfigAcceptor::new(Acceptor::default(), stream).await?)
    }

    /// Runs the rest of TLS and the hello as the listener.
    pub(crate) async fn answer<S>(
        &self,
        client: StartHandshake<S>,
    ) -> Result<(Authenticated, TlsStream<S>), HandshakeError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let tls = client.into_stream(self.configs.server.clone()).await?;
        self.greet(tls.into(), Role::Listener).await
    }

    async fn greet<S>(&self, mut tls: TlsStream<S>, role: Role) -> Result<(Authenticated, TlsStream<S>), HandshakeError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let (peer_key, exporter) = session_facts(&tls)?;
        let membership = self.membership.borrow().clone();
        let (hello, body) = Hello::start(membership, role, exporter, self.hub, self.own_key, peer_key);
        let peer = match self.exchange(&mut tls, role, hello, &body).await {
            Ok(peer) => peer,
            Err(error) => {
                // Best effort: the peer's operator should see the reason, but a hung peer must not hold us.
                if let HandshakeError::Hello(reason) = &error
                    && !matches!(reason, HelloError::Refused { .. })
                {
                    let _ = write_frame(&mut tls, &reason.refusal()).await;
                    let _ = tls.close().await;
                }
                return Err(error);
            }
        };
        Ok((peer, tls))
    }

    async fn exchange<S>(
        &self,
        tls: &mut TlsStream<S>,
        role: Role,
        hello: Hello,
        body: &[u8],
    ) -> Result<Authenticated, HandshakeError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        // Bodies are small enough for any socket buffer, so sending first on both sides cannot deadlock.
        write_frame(tls, body).await?;
        let agreed = hello.on_body(&read_frame(tls).await?)?;
        let message = agreed.message_to_sign();
        match role {
            Role::Dialer => {
                let proof = HelloAgreed::proof(self.sign(message).await?);
                write_frame(tls, &proof).await?;
                Ok(agreed.on_proof(&read_frame(tls).await?, &*self.verifier)?)
            }
            Role::Listener => {
                let peer = agreed.on_proof(&read_frame(tls).await?, &*self.verifier)?;
                let proof = HelloAgreed::proof(self.sign(message).await?);
                write_frame(tls, &proof).await?;
                Ok(peer)
            }
        }
    }

    async fn sign(&self, message: Vec<u8>) -> Result<MlDsa65Signature, HandshakeError> {
        let (keys, name) = (self.keys.clone(), self.authentication_key.clone());
        let signed = tokio::task::spawn_blocking(move || keys.sign_ml_dsa_65(&name, &message)).await;
        Ok(signed.map_err(|_| HandshakeError::Session)??)
    }
}

/// The peer's key and the exporter, after checking that the session is the only kind we speak.
fn session_facts<S>(tls: &TlsStream<S>) -> Result<(SpkiDigest, [u8; EXPORTER_BYTES]), HandshakeError> {
    let (_, common) = tls.get_ref();
    if common.alpn_protocol() != Some(ALPN) {
        return Err(HandshakeError::Alpn);
    }
    let chain = common.peer_certificates().unwrap_or_default();
    if chain.len() > CERTIFICATE_CHAIN_MAX {
        return Err(HandshakeError::Session);
    }
    let key = spki_digest(chain.first().ok_or(HandshakeError::Session)?)?;
    let blank = [0; EXPORTER_BYTES];
    let exporter = match tls {
        TlsStream::Client(stream) => stream.get_ref().1.export_keying_material(blank, EXPORTER_LABEL, None),
        TlsStream::Server(stream) => stream.get_ref().1.export_keying_material(blank, EXPORTER_LABEL, None),
    };
    Ok((key, exporter.map_err(|_| HandshakeError::Session)?))
}

/// Length as u32 big-endian, then that many bytes.
async fn write_frame<W: AsyncWrite + Unpin>(stream: &mut W, frame: &[u8]) -> io::Result<()> {
    let length = u32::try_from(frame.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    stream.write_all(&[&length.to_be_bytes(), frame].concat()).await?;
    stream.flush().await
}

async fn read_frame<R: AsyncRead + Unpin>(stream: &mut R) -> Result<Vec<u8>, HandshakeError> {
    let mut head = [0; 4];
    stream.read_exact(&mut head).await?;
    let length = u32::from_be_bytes(head) as usize;
    if length > HELLO_FRAME_BYTES_MAX {
        return Err(HandshakeError::FrameTooLarge { length });
    }
    let mut frame = vec![0; length];
    stream.read_exact(&mut frame).await?;
    Ok(frame)
}

/// Why a connection did not become a session.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// TCP or TLS failed; the source says which alert or rule.
    #[error("the TLS handshake failed")]
    Io(#[source] io::Error),
    /// We refuse the peer's certificate.
    #[error("the peer's certificate is refused")]
    Certificate(#[source] CertificateRefused),
    /// The peer's certificate cannot be read again.
    #[error("the peer's certificate is unusable")]
    Tls(#[from] TlsError),
    /// The peer did not choose our protocol.
    #[error("the peer does not speak `cresset/1`")]
    Alpn,
    /// The session lacks a certificate or an exporter.
    #[error("the TLS session is unusable")]
    Session,
    /// A hello frame beyond its limit.
    #[error("a hello frame of {length} bytes is too large")]
    FrameTooLarge {
        /// As announced.
        length: usize,
    },
    /// The hello failed.
    #[error("the hello failed")]
    Hello(#[from] HelloError),
    /// Our own key store did not sign.
    #[error("the key store did not sign the hello")]
    KeyStore(#[from] KeyStoreError),
    /// Too many unfinished handshakes of one source.
    #[error("`{sender}` has too many unfinished handshakes")]
    TooMany {
        /// Address, or start of the IPv6 subnet.
        sender: std::net::IpAddr,
    },
    /// Took longer than the limit.
    #[error("the handshake took too long")]
    TimedOut,
}

impl From<io::Error> for HandshakeError {
    fn from(error: io::Error) -> Self {
        match CertificateRefused::in_io_error(&error) {
            Some(refused) => Self::Certificate(refused),
            None => Self::Io(error),
        }
    }
}
