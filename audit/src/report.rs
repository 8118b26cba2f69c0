//! The result: deterministic JSON, whose digest is its name, and a text for people.

use std::fmt::Write as _;

use cresset_protocol::ids::{ConsortiumId, UnixSeconds};
use cresset_protocol::log::bundle::BundledLog;
use cresset_protocol::membership::chain::RosterChain;
use data_encoding::HEXLOWER;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::anchor::Anchoring;
use crate::finding::Finding;
use crate::journey::Journey;
use crate::log::{Gathered, LogReplay};
use crate::records::RecordCounts;
use crate::replay::Request;
use crate::verdict::Verdict;

/// Version of the JSON.
pub const FORMAT: &str = "cresset-audit/1";

/// The result of a replay. Nothing in it depends on when, where or from which path it was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// [`FORMAT`].
    pub format: &'static str,
    /// The verdict's word.
    pub verdict: &'static str,
    /// Its exit code.
    pub exit_code: u8,
    /// The consortium; none if no bundle could be opened.
    pub consortium: Option<String>,
    /// Whether the auditor named it.
    pub consortium_named: bool,
    /// End of the period in scope, where one was named.
    pub until: Option<u64>,
    /// Bundles in ascending digest.
    pub bundles: Vec<BundleReport>,
    /// The roster chain.
    pub rosters: Option<RosterReport>,
    /// Logs in ascending id.
    pub logs: Vec<LogReport>,
    /// Objects by log, uuid and version.
    pub objects: Vec<Journey>,
    /// Objects left out.
    pub objects_omitted: u64,
    /// What weighs on the verdict.
    pub findings: Vec<Finding>,
    /// Findings left out.
    pub findings_omitted: u64,
    /// What the evidence cannot show.
    pub limits: Limits,
    #[serde(skip)]
    worst: Verdict,
}

/// A bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BundleReport {
    /// Digest of its manifest file.
    pub digest: String,
    /// Files that the manifest lists.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The exporting hub's log.
    pub own_log: Option<String>,
}

/// The roster chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RosterReport {
    /// Newest version.
    pub version: u64,
    /// Its digest.
    pub digest: String,
    /// Active hubs in it.
    pub active_hubs: u64,
}

/// A log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LogReport {
    /// Log id.
    pub log: String,
    /// Origin.
    pub origin: String,
    /// Hub id, if a roster lists the log.
    pub hub: Option<String>,
    /// Its country.
    pub country: Option<String>,
    /// Whether it is the exporting hub's.
    pub own: bool,
    /// Whether it weighs on the verdict in full.
    pub in_scope: bool,
    /// Verdict on this log.
    pub verdict: &'static str,
    /// Leaves.
    pub size: u64,
    /// Root over them; none if they could not be followed to the end.
    pub root: Option<String>,
    /// Checkpoints, each with both signatures verified.
    pub checkpoints: u64,
    /// Time stamp of the newest.
    pub newest: Option<u64>,
    /// Leaves before this index need confirmation.
    pub scope_end: u64,
    /// Confirmations.
    pub confirmations: Option<Anchoring>,
    /// Figures.
    pub records: RecordCounts,
    #[serde(skip)]
    judged: Verdict,
}

/// What the evidence cannot show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Limits(pub Vec<String>);

impl RosterReport {
    pub(crate) fn of(chain: &RosterChain) -> Self {
        let current = chain.current();
        Self {
            version: current.version().0,
            digest: current.digest().to_string(),
            active_hubs: current.active_hubs().count() as u64,
        }
    }
}

impl LogReport {
    pub(crate) fn of(replay: &LogReplay, confirmations: Anchoring, worst: Option<Verdict>) -> Self {
        let witnessed = confirmations.confirmed_size >= replay.records.scope_end;
        let base = match (witnessed, replay.continues) {
            (true, false) => Verdict::Witnessed,
            (true, true) => Verdict::Recovered,
            (false, _) => Verdict::SignedOnly,
        };
        let judged = worst.map_or(base, |worst| worst.max(base));
        Self {
            log: replay.listed.log.to_string(),
            origin: replay.listed.origin.to_string(),
            hub: replay.owner.as_ref().map(|owner| owner.hub.to_string()),
            country: replay.owner.as_ref().map(|owner| owner.country.clone()),
            own: replay.listed.own,
            in_scope: false,
            verdict: judged.name(),
            size: replay.listed.size.0,
            root: Some(replay.root.to_string()),
            checkpoints: replay.checkpoints,
            newest: Some(replay.newest.0),
            scope_end: replay.records.scope_end,
            confirmations: Some(confirmations),
            records: replay.records.counts.clone(),
            judged,
        }
    }

    pub(crate) fn failed(listed: &BundledLog) -> Self {
        Self {
            log: listed.log.to_string(),
            origin: listed.origin.to_string(),
            hub: None,
            country: None,
            own: listed.own,
            in_scope: false,
            verdict: Verdict::Invalid.name(),
            size: listed.size.0,
            root: None,
            checkpoints: 0,
            newest: None,
            scope_end: listed.size.0,
            confirmations: None,
            records: RecordCounts::default(),
            judged: Verdict::Invalid,
        }
    }

    fn is_of(&self, hub: &str) -> bool {
        let domain = self.origin.split('/').next().unwrap_or_default();
        let country = self.country.as_deref().is_some_and(|country| country.eq_ignore_ascii_case(hub));
        country || domain == hub || self.hub.as_deref() == Some(hub)
    }
}

impl Report {
    /// Draws the verdict: the worst of the bundles, of the logs in scope, and of a fork or forgery anywhere.
    pub(crate) fn conclude(
        request: &Request<'_>,
        consortium: Option<ConsortiumId>,
        bundles: Vec<BundleReport>,
        mut logs: Vec<LogReport>,
        rosters: Option<RosterReport>,
        mut gathered: Gathered,
    ) -> Self {
        let any_own = logs.iter().any(|log| log.own);
        for log in &mut logs {
            log.in_scope = match request.hubs.as_slice() {
                [] => log.own || !any_own,
                hubs => hubs.iter().any(|hub| log.is_of(hub)),
            };
        }
        for hub in request.hubs.iter().filter(|hub| !logs.iter().any(|log| log.is_of(hub))) {
            gathered.findings.of_bundle(Verdict::Incomplete, format!("no log of hub `{}`", crate::words::plain(hub)));
        }
        if logs.is_empty() && gathered.findings.worst_of_bundles().is_none() {
            gathered.findings.of_bundle(Verdict::Incomplete, "there is no log to replay");
        }
        let grave = gathered.findings.worst_of_logs().filter(|verdict| *verdict >= Verdict::Diverged);
        let in_scope = logs.iter().filter(|log| log.in_scope).map(|log| log.judged).max();
        let worst = [gathered.findings.worst_of_bundles(), grave, in_scope].into_iter().flatten().max();
        // Without any of the three nothing was shown, and nothing is no pass.
        let worst = worst.unwrap_or(Verdict::Incomplete);
        let limits = Limits::of(request, &logs);
        let (objects, objects_omitted) = gathered.journeys.into_parts();
        let (findings, findings_omitted) = gathered.findings.into_parts();
        Self {
            format: FORMAT,
            verdict: worst.name(),
            exit_code: worst.exit_code(),
            consortium: consortium.map(|id| id.to_string()),
            consortium_named: request.consortium.is_some(),
            until: request.until.map(|until| until.0),
            bundles,
            rosters,
            logs,
            objects,
            objects_omitted,
            findings,
            findings_omitted,
            limits,
            worst,
        }
    }

    /// The verdict.
    pub fn verdict(&self) -> Verdict {
        self.worst
    }

    /// The JSON: the bytes that the result's name is the digest of.
    pub fn to_json(&self) -> String {
        // Maps are ordered, floats do not occur: one report has one text.
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }

    /// Name of the result: SHA-256 of the JSON.
    pub fn digest(&self) -> String {
        HEXLOWER.encode(&Sha256::digest(self.to_json()))
    }

    /// The report for people.
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _ = self.write_text(&mut out);
        out
    }

    fn write_text(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out, "{}: {}", self.verdict, self.worst.words())?;
        writeln!(out, "result sha256:{}", self.digest())?;
        let named =
            if self.consortium_named { "named by the auditor" } else { "as the bundle says, NOT named by the auditor" };
        if let Some(consortium) = &self.consortium {
            writeln!(out, "consortium {consortium} ({named})")?;
        }
        if let Some(rosters) = &self.rosters {
            writeln!(out, "roster version {}, {} active hubs", rosters.version, rosters.active_hubs)?;
        }
        for bundle in &self.bundles {
            writeln!(out, "bundle {}: {} files, {} bytes", bundle.digest, bundle.files, bundle.bytes)?;
        }
        self.write_findings(out)?;
        self.logs.iter().try_for_each(|log| log.write_text(out))?;
        self.write_objects(out)?;
        writeln!(out, "\nLimits of this evidence")?;
        self.limits.0.iter().try_for_each(|limit| writeln!(out, "  * {limit}"))
    }

    fn write_findings(&self, out: &mut String) -> std::fmt::Result {
        if self.findings.is_empty() {
            return writeln!(out, "\nNo findings.");
        }
        writeln!(out, "\nFindings")?;
        for finding in &self.findings {
            let log = finding.log.as_deref().map_or(String::new(), |log| format!(" {}", self.name_of(log)));
            let index = finding.index.map_or(String::new(), |index| format!(" leaf {index}"));
            writeln!(out, "  {}{log}{index}: {}", finding.verdict, finding.what)?;
        }
        if self.findings_omitted > 0 {
            writeln!(out, "  and {} more", self.findings_omitted)?;
        }
        Ok(())
    }

    fn write_objects(&self, out: &mut String) -> std::fmt::Result {
        for journey in &self.objects {
            writeln!(out, "\nObject {} version {} of {}", journey.object, journey.version, self.name_of(&journey.log))?;
            for step in &journey.steps {
                writeln!(out, "  {}  {} leaf {}: {}", when(step.time), step.by, step.index, step.what)?;
            }
            if journey.steps_omitted > 0 {
                writeln!(out, "  and {} more steps", journey.steps_omitted)?;
            }
        }
        if self.objects_omitted > 0 {
            writeln!(out, "\nand {} more leaves of further objects", self.objects_omitted)?;
        }
        Ok(())
    }

    fn name_of<'r>(&'r self, log: &'r str) -> &'r str {
        self.logs.iter().find(|known| known.log == log).map_or(log, |known| known.origin.as_str())
    }
}

impl LogReport {
    fn write_text(&self, out: &mut String) -> std::fmt::Result {
        let country = self.country.as_deref().unwrap_or("??");
        let role = match (self.own, self.in_scope) {
            (true, true) => "own log, in scope",
            (true, false) => "own log",
            (false, true) => "in scope",
            (false, false) => "replica",
        };
        writeln!(out, "\nLog {} ({country}, {role}): {}", self.origin, self.verdict)?;
        writeln!(out, "  {} leaves, {} checkpoints with both signatures", self.size, self.checkpoints)?;
        if let (Some(root), Some(newest)) = (&self.root, self.newest) {
            writeln!(out, "  root {root}, newest checkpoint {}", when(newest))?;
        }
        let kinds: Vec<String> = self.records.leaves.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
        writeln!(out, "  leaves: {}", kinds.join(", "))?;
        if !self.records.private_openings.is_empty() {
            let kinds: Vec<String> =
                self.records.private_openings.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
            writeln!(out, "  private openings: {}", kinds.join(", "))?;
        }
        let RecordCounts { releases_confirmed, releases_not_confirmed, decisions, .. } = self.records;
        if releases_confirmed + releases_not_confirmed > 0 {
            let total = releases_confirmed + releases_not_confirmed;
            writeln!(
                out,
                "  decisions: {releases_confirmed} of {total} releases confirmed, {decisions} decisions evaluated anew"
            )?;
        }
        let Some(confirmed) = &self.confirmations else { return Ok(()) };
        let votes: Vec<String> =
            confirmed.votes.iter().map(|vote| format!("{} up to {}", vote.by, vote.size)).collect();
        let votes = if votes.is_empty() { "nobody".to_owned() } else { votes.join(", ") };
        writeln!(
            out,
            "  confirmed by {votes}; as demanded ({}) up to {} of the {} leaves in scope",
            confirmed.demand,
            confirmed.confirmed_size.min(self.scope_end),
            self.scope_end
        )
    }
}

fn when(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    time.map_or_else(|| UnixSeconds(seconds).to_string(), |time| time.to_string())
}
