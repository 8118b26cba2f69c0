//! The running hubs of a test network.

use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::eventually::eventually;
use crate::hub::Hub;
use crate::process::{Daemon, Lifetime, Programs};
use crate::topology::{HubSite, Topology};

/// How long a hub may take to open its database, check itself and answer.
const START_DEADLINE: Duration = Duration::from_secs(60);
/// How long hubs may take to find each other and to open their logs.
const CONNECT_DEADLINE: Duration = Duration::from_secs(90);
/// How long hubs may take to hold each other's leaves and envelopes.
const CATCH_UP_DEADLINE: Duration = Duration::from_secs(120);
/// Lines of a log file that an error shows.
const LOG_LINES: usize = 12;

/// Hubs as child processes. Dropping it kills those that run.
#[derive(Debug)]
pub(crate) struct Network<'a> {
    programs: &'a Programs,
    topology: &'a Topology,
    daemons: Vec<Option<Daemon>>,
    lifetime: Lifetime,
}

impl<'a> Network<'a> {
    /// Starts every hub for as long as this process lives.
    pub(crate) fn start(programs: &'a Programs, topology: &'a Topology, lifetime: Lifetime) -> Result<Self> {
        let daemons = topology.hubs.iter().map(|_| None).collect();
        let mut network = Self { programs, topology, daemons, lifetime };
        for n in 0..topology.hubs.len() {
            network.launch(n)?;
        }
        for n in 0..topology.hubs.len() {
            network.wait_until_answering(n)?;
        }
        Ok(network)
    }

    /// Every hub, running or not.
    pub(crate) fn hubs(&self) -> impl Iterator<Item = Hub<'a>> + use<'a> {
        let programs = self.programs;
        self.topology.hubs.iter().map(move |site| Hub::new(programs, site))
    }

    /// The hub of a number.
    pub(crate) fn hub(&self, n: usize) -> Hub<'a> {
        Hub::new(self.programs, &self.topology.hubs[n])
    }

    /// Process id of a hub.
    pub(crate) fn pid(&self, n: usize) -> Option<u32> {
        self.daemons[n].as_ref().map(Daemon::pid)
    }

    /// Starts a hub that was stopped or killed, and waits until it answers.
    pub(crate) fn restart(&mut self, n: usize) -> Result<()> {
        self.launch(n)?;
        self.wait_until_answering(n)
    }

    /// SIGTERM and an orderly end.
    pub(crate) fn stop(&mut self, n: usize) -> Result<()> {
        let daemon = self.daemons[n].take().context("the hub does not run")?;
        daemon.stop().with_context(|| explain(&self.topology.hubs[n], "does not stop"))
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self, n: usize) -> Result<()> {
        self.daemons[n].take().context("the hub does not run")?.kill()
    }

    /// Stops all that run.
    pub(crate) fn stop_all(&mut self) -> Result<()> {
        (0..self.daemons.len())
            .filter(|n| self.daemons[*n].is_some())
            .collect::<Vec<_>>()
            .into_iter()
            .try_for_each(|n| self.stop(n))
    }

    /// Waits until every running hub is connected to every other and may sign.
    pub(crate) fn wait_until_connected(&mut self) -> Result<()> {
        let peers = self.running().len().saturating_sub(1);
        for n in self.running() {
            let what = format!("{} to connect to {peers} hubs and open its log", self.topology.hubs[n].name);
            self.wait(n, &what, CONNECT_DEADLINE, |hub| {
                let status = hub.status()?;
                let ready = status.peers >= peers && status.gate == "open" && status.signed_size > 0;
                if !ready {
                    bail!("it has {} peers, gate {}, {} signed leaves", status.peers, status.gate, status.signed_size);
                }
                Ok(Some(()))
            })?;
        }
        Ok(())
    }

    /// Waits until every running hub holds every running hub's log with the same root, every envelope for it, and nobody
    /// has anything left to deliver to a running hub.
    pub(crate) fn wait_until_equal(&mut self) -> Result<()> {
        let running = self.running();
        for &owner in &running {
            for &n in &running {
                let site = &self.topology.hubs[owner];
                let truth = self.hub(owner);
                let what = format!("{} to hold the log of {}", self.topology.hubs[n].name, site.name);
                self.wait(n, &what, CATCH_UP_DEADLINE, |hub| {
                    let (held, own) = (hub.log_state(&site.country)?, truth.log_state(&site.country)?);
                    if held != own {
                        bail!("it holds {} of {} leaves", held.0, own.0);
                    }
                    let status = hub.status()?;
                    if status.lag > 0 || status.envelopes_missing > 0 || status.signed_size < status.size {
                        bail!("{} leaves and {} envelopes are missing", status.lag, status.envelopes_missing);
                    }
                    Ok(Some(()))
                })?;
            }
        }
        Ok(())
    }

    /// Polls a hub until it gives a value; an error shows the end of its log file, or how it ended.
    pub(crate) fn wait<T>(
        &mut self,
        n: usize,
        what: &str,
        deadline: Duration,
        mut look: impl FnMut(Hub<'a>) -> Result<Option<T>>,
    ) -> Result<T> {
        let hub = self.hub(n);
        let daemon = &mut self.daemons[n];
        let mut died = None;
        let waited = eventually(what, deadline, || {
            if let Some(daemon) = daemon.as_mut() {
                died = daemon.ended()?;
            }
            if died.is_some() { Ok(Some(None)) } else { Ok(look(hub)?.map(Some)) }
        });
        match (waited, died) {
            (Ok(Some(value)), _) => Ok(value),
            (_, Some(status)) => bail!("{}", explain(hub.site, &format!("ended with {status}"))),
            (Ok(None), None) => bail!("{}", explain(hub.site, "is gone")),
            (Err(error), None) => Err(error.context(explain(hub.site, "does not get there"))),
        }
    }

    /// Lets every hub outlive this process; gives their process ids.
    pub(crate) fn detach(mut self) -> Vec<Option<u32>> {
        self.daemons.iter_mut().map(|daemon| daemon.take().map(Daemon::detach)).collect()
    }

    fn running(&self) -> Vec<usize> {
        self.daemons.iter().enumerate().filter(|(_, daemon)| daemon.is_some()).map(|(n, _)| n).collect()
    }

    fn launch(&mut self, n: usize) -> Result<()> {
        let hub = self.hub(n);
        let mut command = hub.prepare(self.programs.daemon_command("cresset", self.lifetime), &["run"]);
        let daemon = Daemon::start(&mut command, &hub.site.log());
        self.daemons[n] = Some(daemon.with_context(|| explain(hub.site, "does not start"))?);
        Ok(())
    }

    fn wait_until_answering(&mut self, n: usize) -> Result<()> {
        let what = format!("{} to answer", self.topology.hubs[n].name);
        self.wait(n, &what, START_DEADLINE, |hub| hub.status().map(Some)).map(drop)
    }
}

/// Which hub, where its log file is, and how that ends.
fn explain(site: &HubSite, what: &str) -> String {
    let log = std::fs::read(site.log()).unwrap_or_default();
    let log = String::from_utf8_lossy(&log);
    let lines: Vec<&str> = log.lines().collect();
    let end = lines.iter().skip(lines.len().saturating_sub(LOG_LINES)).map(|line| format!("\n  | {line}"));
    format!("{} {what}; its log file {} ends with:{}\n", site.name, site.log().display(), end.collect::<String>())
}
