//! Prometheus metrics on their own address, read from the hub at each scrape.
//!
//! Peers are named by the domain in the roster, refusals by our own reason words: labels are bounded by both.

use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::hub::{Figures, Hub};

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The one route.
pub(crate) fn router(hub: Arc<Hub>) -> Router {
    Router::new().route("/metrics", get(scrape)).with_state(hub)
}

async fn scrape(State(hub): State<Arc<Hub>>) -> Response {
    match render(&hub.figures()) {
        Ok(text) => ([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response(),
        Err(fmt::Error) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Peer {
    peer: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Reason {
    reason: String,
}

fn render(figures: &Figures) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("cresset");
    let gauge = |registry: &mut Registry, name: &str, help: &str, value: u64| {
        let gauge = Gauge::<i64>::default();
        gauge.set(signed(value));
        registry.register(name, help, gauge);
    };
    gauge(&mut registry, "log_leaves", "Leaves in the own log", figures.leaves);
    gauge(&mut registry, "log_signed_leaves", "Leaves of the own log under a signed checkpoint", figures.signed_leaves);
    gauge(&mut registry, "writer_outstanding_leaves", "Leaves accepted and not yet signed", figures.writer_outstanding);
    gauge(&mut registry, "replication_lag_leaves", "Leaves of other logs known and not yet held", figures.lag);
    gauge(&mut registry, "envelopes_missing", "Envelopes announced and not yet fetched", figures.envelopes_missing);
    gauge(&mut registry, "outbox_deliveries", "Direct deliveries waiting for their recipient", figures.outbox);
    let connected = figures.peers.iter().filter(|(_, connected, _)| *connected).count();
    gauge(&mut registry, "peers_connected", "Other hubs with a session", u64::try_from(connected).unwrap_or(u64::MAX));
    gauge(
        &mut registry,
        "peers_known",
        "Other hubs in the roster",
        u64::try_from(figures.peers.len()).unwrap_or(u64::MAX),
    );

    let sign = Gauge::<f64, std::sync::atomic::AtomicU64>::default();
    sign.set(f64::from(u32::try_from(figures.sign_ms).unwrap_or(u32::MAX)) / 1_000.0);
    registry.register("checkpoint_sign_seconds", "Time that the token took for the last checkpoint", sign);

    let up = Family::<Peer, Gauge>::default();
    let mirrored = Family::<Peer, Gauge>::default();
    for (domain, connected, leaves) in &figures.peers {
        let peer = Peer { peer: domain.clone() };
        up.get_or_create(&peer).set(i64::from(*connected));
        mirrored.get_or_create(&peer).set(signed(*leaves));
    }
    registry.register("peer_connected", "Whether a session with the hub is up", up);
    registry.register("peer_mirrored_leaves", "Leaves of the hub's log held here", mirrored);

    let refused = Family::<Reason, Counter>::default();
    for (reason, count) in &figures.refused {
        refused.get_or_create(&Reason { reason: reason.clone() }).inc_by(*count);
    }
    registry.register("refused_messages", "Messages of peers that were refused", refused);

    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_become_openmetrics_text() {
        let figures = Figures {
            leaves: 9,
            signed_leaves: 8,
            sign_ms: 42,
            lag: 3,
            peers: vec![("ee.hub.example".into(), true, 7), ("lu.hub.example".into(), false, 0)],
            writer_outstanding: 1,
            outbox: 2,
            envelopes_missing: 4,
            refused: [("bad-signature".to_owned(), 5)].into(),
        };
        let text = render(&figures).unwrap();
        for line in [
            "cresset_log_leaves 9",
            "cresset_checkpoint_sign_seconds 0.042",
            "cresset_peers_connected 1",
            "cresset_peer_mirrored_leaves{peer=\"ee.hub.example\"} 7",
            "cresset_peer_connected{peer=\"lu.hub.example\"} 0",
            "cresset_refused_messages_total{reason=\"bad-signature\"} 5",
            "# EOF",
        ] {
            assert!(text.lines().any(|have| have == line), "no `{line}` in\n{text}");
        }
    }
}
