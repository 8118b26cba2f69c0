//! The control API from the other side: HTTP over the daemon's Unix socket.

use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use thiserror::Error;
use tokio::net::UnixStream;

use crate::api::types::ErrorAnswer;
use crate::exit_code::ExitCode;
use crate::hub_error::HubError;

/// Largest answer; an object comes back whole.
const ANSWER_BYTES_MAX: usize = 1 << 30;
/// A document at the size limit takes minutes to encrypt; beyond this the daemon hangs.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(600);

/// Talks to one daemon, one connection per call.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    socket: PathBuf,
}

/// A query string under construction.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(String);

impl Client {
    pub(crate) fn new(socket: &Path) -> Self {
        Self { socket: socket.to_owned() }
    }

    /// `GET`.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str, query: Query) -> Result<T, ClientError> {
        self.call(Method::GET, format!("{path}{}", query.0), Bytes::new()).await
    }

    /// `POST`.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        query: Query,
        body: Vec<u8>,
    ) -> Result<T, ClientError> {
        self.call(Method::POST, format!("{path}{}", query.0), Bytes::from(body)).await
    }

    async fn call<T: DeserializeOwned>(&self, method: Method, target: String, body: Bytes) -> Result<T, ClientError> {
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, self.exchange(method, target, body));
        let (status, bytes) = answer.await.map_err(|_| ClientError::Silent)??;
        if status.is_success() {
            return serde_json::from_slice(&bytes).map_err(ClientError::Answer);
        }
        Err(ClientError::Refused(serde_json::from_slice(&bytes).map_err(ClientError::Answer)?))
    }

    async fn exchange(&self, method: Method, target: String, body: Bytes) -> Result<(StatusCode, Bytes), ClientError> {
        let unreachable = |source| ClientError::Unreachable { socket: self.socket.clone(), source };
        let stream = UnixStream::connect(&self.socket).await.map_err(unreachable)?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let request = Request::builder()
            .method(method)
            .uri(target)
            .header(hyper::header::HOST, "cresset")
            .body(Full::new(body))
            .map_err(ClientError::Request)?;
        // The sender moves in and is dropped with the answer: while it lives, the connection waits for more requests.
        let answer = async move {
            let answer = sender.send_request(request).await?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
            Ok((status, body.map_err(|_| ClientError::Cut)?.to_bytes()))
        };
        // The connection has to be driven while the answer is read.
        let (answer, _) = tokio::join!(answer, connection);
        answer
    }
}

impl Query {
    /// Adds a parameter if there is a value.
    pub(crate) fn with(mut self, name: &str, value: Option<impl ToString>) -> Self {
        if let Some(value) = value {
            self.0.push(if self.0.is_empty() { '?' } else { '&' });
            self.0.push_str(name);
            self.0.push('=');
            self.0.push_str(&percent_encode(&value.to_string()));
        }
        self
    }
}

/// RFC 3986 section 2.3: everything but the unreserved characters.
pub(crate) fn percent_encode(text: &str) -> String {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| if unreserved(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// Why there is no answer.
#[derive(Debug, Error)]
pub(crate) enum ClientError {
    /// Nobody listens.
    #[error("the daemon does not answer at `{}`", socket.display())]
    Unreachable {
        /// Where it should.
        socket: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Connected, then nothing.
    #[error("the daemon took the request and did not answer in {} s", ANSWER_TIMEOUT.as_secs())]
    Silent,
    /// The connection broke.
    #[error("the connection to the daemon broke")]
    Http(#[from] hyper::Error),
    /// The answer broke off or is too long.
    #[error("the daemon's answer broke off")]
    Cut,
    /// A request that HTTP cannot carry.
    #[error("that cannot be asked over HTTP")]
    Request(#[source] hyper::http::Error),
    /// The answer is not what this version expects.
    #[error("the daemon answered something else than expected; is it of the same version?")]
    Answer(#[source] serde_json::Error),
    /// The daemon said no.
    #[error("{}", .0.error)]
    Refused(ErrorAnswer),
}

impl ClientError {
    /// The exit code.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Unreachable { .. } | Self::Silent | Self::Http(_) | Self::Cut => ExitCode::Unreachable,
            Self::Request(_) => ExitCode::Usage,
            Self::Answer(_) => ExitCode::Failure,
            Self::Refused(answer) => HubError::exit_code(&answer.code),
        }
    }

    /// What to do next.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Unreachable { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
                Some("this user may not use the control socket; ask to be added to the group `cresset`".into())
            }
            Self::Unreachable { .. } => Some("start it with `cresset run`, or name its file with --config".into()),
            Self::Silent | Self::Http(_) | Self::Cut => Some("the daemon's log says more".into()),
            Self::Refused(answer) => answer.hint.clone(),
            Self::Request(_) | Self::Answer(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_survive_the_query_string() {
        let query = Query::default().with("q", Some("a b&c=ü/?")).with("limit", None::<u64>).with("from", Some(7));
        assert_eq!(query.0, "?q=a%20b%26c%3D%C3%BC%2F%3F&from=7");
    }
}
