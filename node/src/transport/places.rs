//! Who may be in a handshake: bounds per direction, so that a flood from outside never stops us from dialling, and per
//! source, so that one sender does not fill the bound for inbound ones alone.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use cresset_protocol::limits::{HANDSHAKES_CONCURRENT_MAX, HANDSHAKES_PER_SOURCE_MAX};
use libp2p::Multiaddr;
use libp2p::core::multiaddr::Protocol;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::handshake::HandshakeError;
use super::hello::Role;

/// Bits of an IPv6 address that whoever holds a subnet can choose freely.
const SUBNET_BITS: u32 = 64;

/// All places.
#[derive(Clone)]
pub(crate) struct Places {
    inbound: Arc<Semaphore>,
    outbound: Arc<Semaphore>,
    sources: Sources,
}

/// Inbound connections that have not finished their handshake, by source.
#[derive(Clone, Default)]
struct Sources(Arc<Mutex<BTreeMap<IpAddr, usize>>>);

/// One inbound connection counted against its source until dropped.
pub(crate) struct Counted {
    sources: Sources,
    source: Option<IpAddr>,
}

impl Places {
    pub(crate) fn new() -> Self {
        let places = || Arc::new(Semaphore::new(HANDSHAKES_CONCURRENT_MAX));
        Self { inbound: places(), outbound: places(), sources: Sources::default() }
    }

    /// Waits for a place in its direction.
    pub(crate) async fn take(&self, role: Role) -> Result<OwnedSemaphorePermit, HandshakeError> {
        let places = match role {
            Role::Dialer => &self.outbound,
            Role::Listener => &self.inbound,
        };
        places.clone().acquire_owned().await.map_err(|_| HandshakeError::Session)
    }

    /// Counts an inbound connection.
    ///
    /// Not those of this machine: a proxy in front of us would otherwise make one source of all hubs.
    pub(crate) fn count(&self, from: &Multiaddr) -> Result<Counted, HandshakeError> {
        let source = ip(from).filter(|ip| !ip.is_loopback()).map(subnet);
        if let Some(source) = source {
            let mut counts = self.sources.0.lock().unwrap_or_else(PoisonError::into_inner);
            let count = counts.entry(source).or_default();
            if *count >= HANDSHAKES_PER_SOURCE_MAX {
                return Err(HandshakeError::TooMany { sender: source });
            }
            *count += 1;
        }
        Ok(Counted { sources: self.sources.clone(), source })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let Some(source) = self.source else { return };
        let mut counts = self.sources.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&source) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.remove(&source);
            }
        }
    }
}

fn ip(address: &Multiaddr) -> Option<IpAddr> {
    match address.iter().next()? {
        Protocol::Ip4(ip) => Some(ip.into()),
        Protocol::Ip6(ip) => Some(IpAddr::from(ip).to_canonical()),
        _ => None,
    }
}

fn subnet(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() >> SUBNET_BITS << SUBNET_BITS).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(places: &Places, from: impl Fn(usize) -> String) -> Result<Vec<Counted>, HandshakeError> {
        (0..=HANDSHAKES_PER_SOURCE_MAX).map(|n| places.count(&from(n).parse().unwrap())).collect()
    }

    #[test]
    fn one_source_has_no_more_than_its_share_and_gets_it_back() {
        let places = Places::new();
        let full = |from: fn(usize) -> String| matches!(fill(&places, from), Err(HandshakeError::TooMany { .. }));
        // The counts of a failed attempt are dropped with it, so each line starts afresh.
        assert!(full(|n| format!("/ip4/192.0.2.1/tcp/{}", 1_000 + n)));
        assert!(full(|n| format!("/ip4/192.0.2.1/tcp/{}", 1_000 + n)));
        assert!(full(|n| format!("/ip6/2001:db8::{n:x}/tcp/1")), "a subnet is one source");
        assert!(full(|n| format!("/ip6/::ffff:192.0.2.1/tcp/{}", 1_000 + n)));
        assert!(!full(|n| format!("/ip4/192.0.2.{n}/tcp/1")));
        assert!(!full(|n| format!("/ip4/127.0.0.1/tcp/{}", 1_000 + n)));
        assert!(places.sources.0.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_flood_from_outside_leaves_every_place_for_dialling() {
        let places = Places::new();
        let mut taken = Vec::new();
        for _ in 0..HANDSHAKES_CONCURRENT_MAX {
            taken.push(places.take(Role::Listener).await.unwrap());
        }
        assert_eq!(places.inbound.available_permits(), 0);
        assert_eq!(places.outbound.available_permits(), HANDSHAKES_CONCURRENT_MAX);
        assert!(places.take(Role::Dialer).await.is_ok());
    }
}
