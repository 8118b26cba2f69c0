//! The whole replay: bundles, rosters, logs, confirmations, verdict.

use std::collections::BTreeMap;

use cresset_policy::{BundleSet, PolicyBundle};
use cresset_protocol::ids::{ConsortiumId, LogId, UnixSeconds};
use cresset_protocol::log::bundle::policy_path;
use cresset_protocol::membership::chain::RosterChain;
use data_encoding::HEXLOWER;

use crate::anchor::anchoring;
use crate::bundle::Bundle;
use crate::demand::Demand;
use crate::log::{Context, Gathered, LogReplay, tree_of};
use crate::membership;
use crate::report::{BundleReport, Limits, LogReport, Report, RosterReport};
use crate::source::Source;
use crate::verdict::Verdict;
use crate::words::chain;

/// What to replay and what to demand.
pub struct Request<'s> {
    /// The bundles.
    pub sources: Vec<&'s dyn Source>,
    /// The consortium, as the auditor knows it from elsewhere.
    pub consortium: Option<ConsortiumId>,
    /// When a leaf counts as witnessed.
    pub demand: Demand,
    /// Private openings are not expected.
    pub public_only: bool,
    /// Leaves dated later need no confirmation.
    pub until: Option<UnixSeconds>,
    /// Hubs in scope, by domain, country code or hub id; empty: those that exported the bundles.
    pub hubs: Vec<String>,
}

/// A log that grows no more for so long before the bundle was made is stale, in seconds.
pub const STALE_SECONDS: u64 = 30 * 60;

/// Replays bundles. Every fault is a finding of the report; there is no other error.
pub fn replay(request: &Request<'_>) -> Report {
    let mut gathered = Gathered::default();
    let bundles = open(request, &mut gathered);
    let Some(first) = bundles.first().filter(|_| gathered.findings.worst_of_bundles().is_none()) else {
        // What is not the bundle that was made is not looked into.
        return Report::conclude(request, None, Vec::new(), Vec::new(), None, gathered);
    };
    let consortium = request.consortium.unwrap_or(first.manifest().consortium);
    if bundles.iter().any(|bundle| bundle.manifest().consortium != consortium) {
        gathered.findings.of_bundle(Verdict::Invalid, "a bundle is of another consortium");
    }
    let rosters = rosters(&bundles, &consortium, &mut gathered);
    let policies = policies(&bundles, &mut gathered);
    let primaries = primaries(&bundles);
    let trees = primaries.iter().map(|(log, (bundle, size))| (*log, tree_of(bundle, *log, *size))).collect();
    let (public_only, until) = (request.public_only, request.until);
    let cx = Context { consortium, chain: rosters, trees, policies, public_only, until };
    let replays = logs(&cx, &bundles, &primaries, &mut gathered);
    for (log, index, step) in std::mem::take(&mut gathered.statements.list) {
        gathered.journeys.about(&log, index, step);
    }
    anchors_named(request, &replays, &mut gathered);
    let newest_made: BTreeMap<LogId, UnixSeconds> =
        primaries.iter().map(|(log, (bundle, _))| (*log, bundle.manifest().created)).collect();
    let mut reports = Vec::new();
    for (log, (bundle, _)) in &primaries {
        let listed = bundle.manifest().logs.iter().find(|listed| listed.log == *log);
        let Some(listed) = listed else { continue };
        reports.push(match replays.get(log) {
            Some(replay) => {
                let made = newest_made.get(log).copied().unwrap_or_default();
                let anchoring = anchoring(replay, &replays, cx.chain.as_ref(), &request.demand);
                stale(replay, made, &mut gathered);
                LogReport::of(replay, anchoring, gathered.findings.worst_of(log))
            }
            None => LogReport::failed(listed),
        });
    }
    let named = bundles.iter().map(BundleReport::of).collect();
    let rosters = cx.chain.as_ref().map(RosterReport::of);
    Report::conclude(request, Some(consortium), named, reports, rosters, gathered)
}

fn open<'s>(request: &Request<'s>, gathered: &mut Gathered) -> Vec<Bundle<'s>> {
    let mut bundles: Vec<Bundle<'s>> = Vec::new();
    for source in &request.sources {
        match Bundle::open(*source) {
            Ok(bundle) => bundles.push(bundle),
            Err(fault) => gathered.findings.of_bundle(Verdict::Invalid, chain(&fault)),
        }
    }
    if bundles.is_empty() && request.sources.is_empty() {
        gathered.findings.of_bundle(Verdict::Incomplete, "no bundle");
    }
    // The order of arguments must not show in the result.
    bundles.sort_by_key(Bundle::digest);
    bundles.dedup_by_key(|bundle| bundle.digest());
    bundles
}

/// The longest of the bundles' chains; all must be of one history.
fn rosters(bundles: &[Bundle<'_>], consortium: &ConsortiumId, gathered: &mut Gathered) -> Option<RosterChain> {
    let mut longest: Option<RosterChain> = None;
    for bundle in bundles {
        let Some(chain) = membership::verify(bundle, consortium, &mut gathered.findings) else { continue };
        if let Some(other) = &longest {
            let twin = chain
                .iter()
                .find(|roster| other.version(roster.version()).is_some_and(|known| known.digest() != roster.digest()));
            if let Some(twin) = twin {
                let what = format!("two rosters of version {}, both signed by a quorum", twin.version());
                gathered.findings.of_bundle(Verdict::Diverged, what);
            }
        }
        let longer = longest.as_ref().is_none_or(|known| known.current().version() < chain.current().version());
        if longer {
            longest = Some(chain);
        }
    }
    longest
}

fn policies(bundles: &[Bundle<'_>], gathered: &mut Gathered) -> BundleSet {
    let mut policies = BundleSet::with_baseline();
    for bundle in bundles {
        for path in bundle.below("policy/") {
            let parsed = bundle.require(path).map_err(|e| chain(&e));
            let parsed = parsed.and_then(|bytes| PolicyBundle::from_bytes(&bytes).map_err(|e| chain(&e)));
            match parsed {
                Ok(policy) if policy_path(&policy.digest()) == path => {
                    policies.insert(policy);
                }
                Ok(_) => gathered.findings.of_bundle(Verdict::Invalid, format!("`{path}` is another policy bundle")),
                Err(why) => gathered.findings.of_bundle(Verdict::Invalid, format!("`{path}`: {why}")),
            }
        }
    }
    policies
}

type Primaries<'b, 's> = BTreeMap<LogId, (&'b Bundle<'s>, cresset_protocol::ids::TreeSize)>;

/// The replica of each log that counts: its own hub's, else the longest.
fn primaries<'b, 's>(bundles: &'b [Bundle<'s>]) -> Primaries<'b, 's> {
    let mut best: BTreeMap<LogId, (&Bundle<'_>, _, bool)> = BTreeMap::new();
    for bundle in bundles {
        for listed in &bundle.manifest().logs {
            let better = best.get(&listed.log).is_none_or(|(_, size, own)| (*own, *size) < (listed.own, listed.size));
            if better {
                best.insert(listed.log, (bundle, listed.size, listed.own));
            }
        }
    }
    best.into_iter().map(|(log, (bundle, size, _))| (log, (bundle, size))).collect()
}

/// Replays every replica; the others of a log must be of the same history as the one that counts.
fn logs<'b, 's: 'b>(
    cx: &Context<'b>,
    bundles: &'b [Bundle<'s>],
    primaries: &Primaries<'b, 's>,
    gathered: &mut Gathered,
) -> BTreeMap<LogId, LogReplay> {
    let mut replays = BTreeMap::new();
    for bundle in bundles {
        for listed in &bundle.manifest().logs {
            let Some((primary, size)) = primaries.get(&listed.log) else { continue };
            if std::ptr::eq(*primary, bundle) {
                if let Some(replay) = crate::log::replay(cx, bundle, listed, gathered) {
                    replays.insert(listed.log, replay);
                }
                continue;
            }
            // Journeys and statements of a further replica would count twice.
            let mut again = Gathered { findings: std::mem::take(&mut gathered.findings), ..Gathered::default() };
            let replica = crate::log::replay(cx, bundle, listed, &mut again);
            gathered.findings = again.findings;
            let Some(replica) = replica else { continue };
            let common = listed.size.min(*size);
            let here = tree_of(bundle, listed.log, listed.size).root_at(common);
            let there = cx.trees.get(&listed.log).and_then(|tree| tree.root_at(common));
            if here != there {
                let what = format!("two bundles have different roots of it at size {}, both signed", common);
                gathered.findings.of_log(Verdict::Diverged, &replica.listed.log, what);
            }
        }
    }
    replays
}

/// A result is anchored in the consortium id or in the logs of a policy file, never in what a bundle says of itself.
fn anchors_named(request: &Request<'_>, replays: &BTreeMap<LogId, LogReplay>, gathered: &mut Gathered) {
    for replay in replays.values() {
        let named = match &request.demand {
            Demand::Policy(policy) => policy.names_log(replay.listed.origin.as_str(), &replay.keys),
            Demand::Fraction(_) => None,
        };
        let log = &replay.listed.log;
        match (named, request.consortium) {
            (Some(false), _) if replay.listed.own => {
                gathered.findings.of_log(Verdict::Unanchored, log, "it is none of the policy file's logs");
            }
            (Some(true), _) | (_, Some(_)) => {}
            _ => {
                let what = "the auditor named neither the consortium nor this log: hint: `--consortium ID`";
                gathered.findings.of_log(Verdict::Unanchored, log, what);
            }
        }
    }
}

fn stale(replay: &LogReplay, made: UnixSeconds, gathered: &mut Gathered) {
    let expected = !replay.records.closed && replay.owner.as_ref().is_none_or(|owner| owner.active);
    let age = made.0.saturating_sub(replay.newest.0);
    if expected && age > STALE_SECONDS {
        let what = format!("its newest checkpoint is {} min older than the bundle", age / 60);
        gathered.findings.of_log(Verdict::Stale, &replay.listed.log, what);
    }
}

impl BundleReport {
    fn of(bundle: &Bundle<'_>) -> Self {
        let manifest = bundle.manifest();
        Self {
            digest: HEXLOWER.encode(&bundle.digest()),
            files: manifest.files.len() as u64,
            bytes: manifest.files.iter().map(|file| file.bytes).fold(0, u64::saturating_add),
            own_log: manifest.logs.iter().find(|log| log.own).map(|log| log.log.to_string()),
        }
    }
}

impl Limits {
    /// What the evidence cannot show, in sentences.
    pub(crate) fn of(request: &Request<'_>, logs: &[LogReport]) -> Self {
        let mut list = vec![
            "Times are the clocks of the hubs that wrote them; only the order within a log is proved.".to_owned(),
            "Payloads were not seen: a commitment shows that a record was not changed, not that it is true.".to_owned(),
            "Group memberships in decisions are claims of the deciding hub; country, standing and roles were compared \
             with the roster."
                .to_owned(),
            "A hub that logs nothing of what it does outside this system leaves no trace here.".to_owned(),
        ];
        if request.public_only {
            list.push("Private openings were not asked for: decisions and reception were not replayed.".to_owned());
        }
        if logs
            .iter()
            .any(|log| log.confirmations.as_ref().is_some_and(|c| c.needed.is_none() && c.demand != "policy file"))
        {
            list.push(
                "There are fewer than three other Member States with an active hub: no quorum can confirm.".to_owned(),
            );
        }
        if logs.iter().any(|log| log.scope_end < log.size) {
            list.push(
                "Heads, slots and private leaves at the end of a log, and leaves after the period asked for, need no \
                 confirmation: nothing comes after them that could carry one."
                    .to_owned(),
            );
        }
        Self(list)
    }
}
