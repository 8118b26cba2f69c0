//! The machine: daemon, clock, disk, fence, ports.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use cresset_crypto::Verifier;
use cresset_protocol::limits::CLOCK_SKEW_SECONDS_MAX;

use super::Finding;
use crate::api::types::{PeersAnswer, StatusAnswer};
use crate::client::{Client, ClientError, Query};
use crate::clock::system_clock;
use crate::commands::{CommandError, block_on};
use crate::config::Config;
use crate::home::Home;
use crate::output::{bytes, span, time};

const DISK_WARN_BYTES: u64 = 10 << 30;
const DISK_FAIL_BYTES: u64 = 1 << 30;

pub(super) fn daemon(answer: &Result<StatusAnswer, CommandError>) -> Finding {
    match answer {
        Ok(status) if status.gate == "open" => Finding::ok(
            "daemon",
            format!("{} has run for {}, {} peers", status.hub, span(status.uptime_s), status.peers),
        ),
        Ok(status) => Finding::warn(
            "daemon",
            format!("does not sign: {}", status.gate),
            "see its log; publishes are durable meanwhile",
        ),
        Err(CommandError::Client(ClientError::Unreachable { source, .. }))
            if source.kind() == std::io::ErrorKind::PermissionDenied =>
        {
            Finding::fail(
                "daemon",
                "this user may not use the control socket",
                "ask to be added to the group `cresset`",
            )
        }
        Err(CommandError::Client(ClientError::Unreachable { .. })) => {
            Finding::warn("daemon", "not running", "`systemctl start cresset`, or `cresset run` by hand")
        }
        Err(error) => Finding::fail("daemon", error.to_string(), "see its log"),
    }
}

/// A clock can only be compared with signed times: the roster's, and heads of other hubs when the daemon runs.
pub(super) fn clock(home: &Home, client: &Client, running: bool) -> Finding {
    const SET: &str = "set the clock of this machine, and have it kept by NTP";
    let now = system_clock()();
    let issued = home.chain(now, &Verifier).ok().map(|chain| chain.current().body().issued.0);
    if let Some(issued) = issued.filter(|issued| *issued > now.0.saturating_add(CLOCK_SKEW_SECONDS_MAX)) {
        return Finding::fail(
            "clock",
            format!("{}: the roster was issued later, at {}", time(now.0), time(issued)),
            SET,
        );
    }
    let peers = running.then(|| block_on(client.get::<PeersAnswer>("/v1/peers", Query::default())).ok()).flatten();
    let newest = peers.and_then(|answer| answer.peers.iter().filter_map(|peer| peer.head_time).max());
    match newest {
        Some(newest) if newest > now.0.saturating_add(CLOCK_SKEW_SECONDS_MAX) => {
            Finding::fail("clock", format!("a peer signed {} in our future", span(newest - now.0)), SET)
        }
        Some(_) => Finding::ok("clock", format!("{}, agrees with peers", time(now.0))),
        None => Finding::ok("clock", format!("{}, not before the roster; no peer to compare with", time(now.0))),
    }
}

pub(super) fn disk(config: &Config) -> Finding {
    let place = existing(&config.data_dir);
    match rustix::fs::statvfs(&place) {
        Err(error) => Finding::fail("disk", format!("{}: {error}", place.display()), "is data_dir right?"),
        Ok(disk) => {
            let free = disk.f_bavail.saturating_mul(disk.f_frsize);
            let words = format!("{} free at {}", bytes(free), place.display());
            match free {
                free if free < DISK_FAIL_BYTES => {
                    Finding::fail("disk", words, "make room: without it nothing can be logged")
                }
                free if free < DISK_WARN_BYTES => {
                    Finding::warn("disk", words, "make room, or lower [storage] relay_retention_days")
                }
                _ => Finding::ok("disk", words),
            }
        }
    }
}

pub(super) fn fence(config: &Config) -> Finding {
    let device = |path: &Path| std::fs::metadata(existing(path)).map(|found| found.dev()).ok();
    let fence = config.fence_dir();
    if device(&fence).is_some() && device(&fence) != device(&config.database_dir()) {
        return Finding::ok("fence", format!("{}, on another file system than the database", fence.display()));
    }
    Finding::warn(
        "fence",
        format!("{}, on the file system of the database", fence.display()),
        "[log] fence_dir on another one notices when the database alone is rolled back",
    )
}

pub(super) fn ports(config: &Config, running: bool) -> Vec<Finding> {
    let mut findings: Vec<Finding> =
        config.network.listen.iter().map(|address| port("port", *address, running)).collect();
    if findings.is_empty() {
        findings.push(Finding::ok("port", "none: this hub only dials"));
    }
    findings.push(port("metrics", config.metrics.listen, running));
    findings
}

fn port(check: &'static str, address: SocketAddr, running: bool) -> Finding {
    match TcpListener::bind(address) {
        Ok(_) if running => Finding::warn(
            check,
            format!("{address} is free although the daemon runs"),
            "restart it after a changed configuration",
        ),
        Ok(_) => Finding::ok(check, format!("{address} can be bound")),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse && running => {
            Finding::ok(check, format!("{address} is in use, by the daemon as it seems"))
        }
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => Finding::fail(
            check,
            format!("{address} is in use by another program"),
            "`ss -ltnp` names it; or choose another port",
        ),
        Err(error) => Finding::fail(check, format!("{address}: {error}"), "choose an address of this machine"),
    }
}

/// The path itself, or its nearest parent that is there.
fn existing(path: &Path) -> PathBuf {
    path.ancestors().find(|ancestor| ancestor.exists()).unwrap_or(Path::new("/")).to_owned()
}
