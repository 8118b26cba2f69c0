//! Endpoints of the roster to socket addresses. IP literals need no resolver; names go to the system's, with a deadline.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use cresset_protocol::membership::roster::Endpoint;

const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);
/// Addresses tried for one hub, over all its endpoints.
const ADDRESSES_MAX: usize = 8;

/// Endpoints on our networks, most preferred network first; all of them if we name none.
pub(crate) fn select(endpoints: &[Endpoint], networks: &[String]) -> Vec<Endpoint> {
    if networks.is_empty() {
        return endpoints.to_vec();
    }
    let on = |network: &String| {
        endpoints.iter().filter(|endpoint| endpoint.network == *network).cloned().collect::<Vec<_>>()
    };
    networks.iter().flat_map(on).collect()
}

/// Resolves endpoints; those that do not resolve are left out.
pub(crate) async fn resolve(endpoints: &[Endpoint]) -> Vec<SocketAddr> {
    let mut found = Vec::new();
    for endpoint in endpoints {
        if let Ok(ip) = endpoint.host.parse::<IpAddr>() {
            found.push(SocketAddr::new(ip, endpoint.port));
            continue;
        }
        let lookup = tokio::net::lookup_host((endpoint.host.as_str(), endpoint.port));
        match tokio::time::timeout(RESOLVE_TIMEOUT, lookup).await {
            Ok(Ok(addresses)) => found.extend(addresses),
            _ => tracing::debug!(host = endpoint.host, "the endpoint's name does not resolve"),
        }
    }
    found.truncate(ADDRESSES_MAX);
    found
}
