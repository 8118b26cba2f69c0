//! The control API: HTTP and JSON over a Unix socket. The socket's directory is the access control.
//!
//! Routes translate; every answer and refusal is the [`Hub`]'s.

pub(crate) mod socket;
pub(crate) mod types;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use cresset_protocol::limits::{OBJECT_BYTES_MAX, ROSTER_CHAIN_BYTES_MAX};
use tokio::sync::Semaphore;

use self::types::{
    ErrorAnswer, ExportAnswer, ExportRequest, LogAnswer, LogQuery, ObjectAnswer, PeersAnswer, PublishAnswer,
    PublishQuery, RosterAnswer, SearchAnswer, SearchQuery, StatusAnswer,
};
use crate::hub::Hub;
use crate::hub_error::HubError;

/// Documents taken in at a time: each may be as large as the object limit, and all of it is in memory.
const UPLOADS_CONCURRENT_MAX: usize = 4;
/// Largest body of a request that carries no document.
const REQUEST_BYTES_MAX: usize = 64 << 10;

/// What the routes share.
struct Api {
    hub: Arc<Hub>,
    uploads: Semaphore,
}

type Answer<T> = Result<Json<T>, Refusal>;
type Asked<T> = Result<Query<T>, QueryRejection>;

/// All routes.
pub(crate) fn router(hub: Arc<Hub>) -> Router {
    let api = Api { hub, uploads: Semaphore::new(UPLOADS_CONCURRENT_MAX) };
    Router::new()
        .route("/v1/publish", post(publish))
        .route("/v1/search", get(search))
        .route("/v1/objects/{uuid}", get(object))
        .route("/v1/log", get(log))
        .route("/v1/peers", get(peers))
        .route("/v1/status", get(status))
        .route("/v1/export", post(export))
        .route("/v1/roster", post(roster))
        .fallback(|| async { Refusal(HubError::not_found("that route")) })
        .method_not_allowed_fallback(|| async { refuse("refused", 405, "that route does not take this method") })
        .with_state(Arc::new(api))
}

async fn publish(State(api): State<Arc<Api>>, query: Asked<PublishQuery>, body: Body) -> Answer<PublishAnswer> {
    let query = asked(query)?;
    let _permit = api.uploads.try_acquire().map_err(|_| HubError::busy())?;
    let native = read(body, usize::try_from(OBJECT_BYTES_MAX).unwrap_or(usize::MAX)).await?;
    Ok(Json(api.hub.publish(native, query).await?))
}

async fn search(State(api): State<Arc<Api>>, query: Asked<SearchQuery>) -> Answer<SearchAnswer> {
    Ok(Json(api.hub.search(asked(query)?).await?))
}

async fn object(State(api): State<Arc<Api>>, Path(uuid): Path<String>) -> Answer<ObjectAnswer> {
    Ok(Json(api.hub.object(&uuid).await?))
}

async fn log(State(api): State<Arc<Api>>, query: Asked<LogQuery>) -> Answer<LogAnswer> {
    Ok(Json(api.hub.log(asked(query)?).await?))
}

async fn peers(State(api): State<Arc<Api>>) -> Answer<PeersAnswer> {
    Ok(Json(api.hub.peers().await?))
}

async fn status(State(api): State<Arc<Api>>) -> Answer<StatusAnswer> {
    Ok(Json(api.hub.status().await?))
}

async fn export(State(api): State<Arc<Api>>, body: Body) -> Answer<ExportAnswer> {
    let body = read(body, REQUEST_BYTES_MAX).await?;
    let request: ExportRequest = serde_json::from_slice(&body).map_err(|error| HubError::usage(error.to_string()))?;
    Ok(Json(api.hub.export(request).await?))
}

async fn roster(State(api): State<Arc<Api>>, body: Body) -> Answer<RosterAnswer> {
    let _permit = api.uploads.try_acquire().map_err(|_| HubError::busy())?;
    let bytes = read(body, ROSTER_CHAIN_BYTES_MAX).await?;
    Ok(Json(api.hub.adopt_roster(bytes).await?))
}

fn asked<T>(query: Asked<T>) -> Result<T, Refusal> {
    query.map(|Query(query)| query).map_err(|rejection| Refusal(HubError::usage(rejection.body_text())))
}

/// Reads a body, no further than its limit.
async fn read(body: Body, bytes_max: usize) -> Result<Vec<u8>, Refusal> {
    let too_large = || refuse("too-large", 413, format!("the body is longer than {bytes_max} bytes or broke off"));
    axum::body::to_bytes(body, bytes_max).await.map(Vec::from).map_err(|_| too_large())
}

/// A refusal as HTTP says it.
struct Refusal(HubError);

fn refuse(code: &'static str, status: u16, message: impl Into<String>) -> Refusal {
    Refusal(HubError { code, status, message: message.into(), hint: None })
}

impl From<HubError> for Refusal {
    fn from(error: HubError) -> Self {
        Self(error)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self(error) = self;
        let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let answer = ErrorAnswer { code: error.code.to_owned(), error: error.message, hint: error.hint };
        (status, Json(answer)).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_is_read_to_its_limit_and_no_further() {
        assert_eq!(read(Body::from(vec![7; 10]), 10).await.map_err(|refusal| refusal.0), Ok(vec![7; 10]));
        let refused = read(Body::from(vec![7; 11]), 10).await.map_err(|refusal| refusal.0.status);
        assert_eq!(refused, Err(413));
    }

    #[tokio::test]
    async fn a_refusal_carries_code_and_hint() {
        let response = Refusal(HubError::busy()).into_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        let body = axum::body::to_bytes(response.into_body(), 1 << 16).await.unwrap();
        let answer: ErrorAnswer = serde_json::from_slice(&body).unwrap();
        assert_eq!((answer.code.as_str(), answer.hint.is_some()), ("busy", true));
    }
}
