//! `cresset run`: open the token, start the node, serve the control API and metrics, drain with a deadline.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use cresset_token::KeyStore;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{CommandError, Outcome};
use crate::api::{self, socket};
use crate::config::Config;
use crate::exit_code::ExitCode;
use crate::metrics;
use crate::startup::Node;

/// Answers under way at the end get this long; systemd kills after 30 s.
const DRAIN_DEADLINE: Duration = Duration::from_secs(15);
/// Blocking work (a signature under way) gets this long after that.
const THREADS_DEADLINE: Duration = Duration::from_secs(5);

pub(crate) fn run(config: &Config) -> Outcome {
    let keys = cresset_token::open(&config.keys)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(CommandError::Runtime)?;
    let outcome = runtime.block_on(serve(config, keys));
    runtime.shutdown_timeout(THREADS_DEADLINE);
    outcome
}

async fn serve(config: &Config, keys: Arc<dyn KeyStore>) -> Outcome {
    let mut terminate = signal(SignalKind::terminate()).map_err(CommandError::Runtime)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(CommandError::Runtime)?;
    let (control, _socket_file) = socket::claim(&config.api.socket)?;
    let address = config.metrics.listen;
    let scrapes = TcpListener::bind(address).await.map_err(|source| CommandError::Metrics { address, source })?;
    let node = Node::start(config, keys).await?;
    tracing::info!(socket = %config.api.socket.display(), metrics = %address, "the hub runs");

    let (stop, stopped) = watch::channel(());
    let mut servers = JoinSet::new();
    servers.spawn(serve_until(control, api::router(node.hub.clone()), stopped.clone()));
    servers.spawn(serve_until(scrapes, metrics::router(node.hub.clone()), stopped));
    let asked = tokio::select! {
        _ = terminate.recv() => true,
        _ = interrupt.recv() => true,
        _ = servers.join_next() => false,
    };
    drop(stop);
    let drained = tokio::time::timeout(DRAIN_DEADLINE, async { while servers.join_next().await.is_some() {} }).await;
    if drained.is_err() {
        tracing::warn!("some answers were still under way; what is durable stays");
    }
    node.stop();
    tracing::info!("the hub has stopped");
    if asked { Ok(ExitCode::Ok) } else { Err(CommandError::Runtime(io::Error::other("a listener ended"))) }
}

/// Serves until the sender is dropped and every answer under way is out.
async fn serve_until<L>(listener: L, router: Router, mut stopped: watch::Receiver<()>) -> io::Result<()>
where
    L: axum::serve::Listener,
    L::Addr: std::fmt::Debug,
{
    let stop = async move {
        // An error means that the sender is gone, which is the signal.
        while stopped.changed().await.is_ok() {}
    };
    axum::serve(listener, router).with_graceful_shutdown(stop).await
}
