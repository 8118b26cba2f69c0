//! Decisions: the table of a RELEASE evaluated again, its inputs compared with the roster, its views with the PUBLISH leaves.

use cresset_policy::replay::{Replayed, replay};
use cresset_policy::{BundleSet, ReleaseAudit};
use cresset_protocol::ids::{HubId, LeafIndex, UnixSeconds};
use cresset_protocol::log::private::{PublishAudit, ReleaseShare};
use cresset_protocol::membership::chain::RosterChain;
use cresset_protocol::object::marking::{Pap, Tlp};
use cresset_protocol::object::publish_share::PublishShare;
use sha2::{Digest, Sha256};

use crate::verdict::Verdict;

/// How far a decision may be dated after its leaf, in seconds: both are the same hub's clock.
const CLOCK_SECONDS_MAX: u64 = 300;

/// A RELEASE whose PUBLISH leaves are still to come.
pub(crate) struct OpenRelease {
    pub(crate) index: LeafIndex,
    share: ReleaseShare,
    /// TLP and PAP of the views that the table permits; `None` if the table is not shown.
    views: Option<Vec<(Tlp, Pap)>>,
    published: u32,
}

/// What the re-evaluation of one RELEASE came to.
pub(crate) struct Judged {
    pub(crate) open: OpenRelease,
    /// Decisions that came out as logged; `None` if not replayed.
    pub(crate) decisions: Option<u64>,
    pub(crate) faults: Vec<(Verdict, String)>,
    /// For the journey.
    pub(crate) words: String,
}

/// Judges a RELEASE with its audit part.
pub(crate) fn judge(
    index: LeafIndex,
    time: UnixSeconds,
    share: ReleaseShare,
    audit: Option<&[u8]>,
    origin: Option<&HubId>,
    chain: Option<&RosterChain>,
    policies: &BundleSet,
) -> Judged {
    let open = |share, views| OpenRelease { index, share, views, published: 0 };
    let failed = |share, verdict, what: String| Judged {
        open: open(share, None),
        decisions: None,
        words: format!("release: {what}"),
        faults: vec![(verdict, what)],
    };
    let Some(bytes) = audit else {
        return failed(share, Verdict::Incomplete, "the decision table of this RELEASE is not shown".to_owned());
    };
    if <[u8; 32]>::from(Sha256::digest(bytes)) != share.audit_digest {
        return failed(share, Verdict::Invalid, "the RELEASE names another decision table".to_owned());
    }
    let table = match ReleaseAudit::from_bytes(bytes) {
        Ok(table) => table,
        Err(error) => return failed(share, Verdict::Invalid, crate::words::chain(&error)),
    };
    let mut faults = Vec::new();
    if table.object != share.uuid || table.version != share.version || table.bundles != share.bundles {
        faults.push((Verdict::Invalid, "RELEASE and decision table are not about the same".to_owned()));
    }
    if table.situation.now.0 > time.0.saturating_add(CLOCK_SECONDS_MAX) {
        faults.push((Verdict::Invalid, "decisions are dated after the leaf that logs them".to_owned()));
    }
    faults.extend(compare_with_roster(&table, &share, origin, chain));
    let mut decisions = None;
    match replay(&table, policies) {
        Replayed::Confirmed { decisions: count } => decisions = Some(count as u64),
        Replayed::Differs { class, hub, logged, found } => {
            let whom = hub.map_or("carriers".to_owned(), |hub| format!("hub {hub}"));
            let what =
                format!("decision on class {class} for {whom} was logged as `{logged}` and comes out as `{found}`");
            faults.push((Verdict::Invalid, what));
        }
        Replayed::Malformed { reason } => faults.push((Verdict::Invalid, format!("decision table: {reason}"))),
        Replayed::NotReplayed { reason } => faults.push((Verdict::Incomplete, format!("NOT-REPLAYED: {reason}"))),
    }
    let hubs = (0..table.recipients.len()).filter(|at| !table.released_classes(*at).is_empty()).count();
    let replayed = if decisions.is_some() { "every decision comes out as logged" } else { "NOT confirmed" };
    let words = format!(
        "release of {} units in {} marking classes to {hubs} of {} hubs; {replayed}",
        table.unit_count(),
        table.classes.len(),
        table.recipients.len()
    );
    Judged { open: open(share, Some(views_of(&table))), decisions, faults, words }
}

/// Strictest TLP and PAP of every view that the table permits.
fn views_of(table: &ReleaseAudit) -> Vec<(Tlp, Pap)> {
    let strictest = |classes: Vec<u32>| {
        let of = |class: u32| table.classes.get(class as usize).map(|class| (class.tlp, class.pap));
        classes.into_iter().filter_map(of).reduce(|a, b| (a.0.max(b.0), a.1.max(b.1)))
    };
    table.groups_of_recipients().into_keys().filter_map(|group| strictest(group.into_keys().collect())).collect()
}

/// Inputs that the roster implies are recomputed; group memberships are encrypted and stay claims.
fn compare_with_roster(
    table: &ReleaseAudit,
    share: &ReleaseShare,
    origin: Option<&HubId>,
    chain: Option<&RosterChain>,
) -> Vec<(Verdict, String)> {
    let Some(chain) = chain else { return Vec::new() };
    let Some(roster) = chain.version(share.roster_version) else {
        return vec![(Verdict::Incomplete, format!("roster version {} is not in the bundle", share.roster_version))];
    };
    if roster.digest() != share.roster_digest {
        return vec![(Verdict::Invalid, "decided against a roster that is not the consortium's".to_owned())];
    }
    let mut faults = Vec::new();
    let own = origin.and_then(|id| roster.hub(id));
    if own.is_some_and(|own| own.country != table.situation.own_country) {
        faults.push((Verdict::Invalid, "decided in the name of another country".to_owned()));
    }
    for recipient in &table.recipients {
        let same = roster.hub(&recipient.hub).is_some_and(|hub| {
            hub.country == recipient.country
                && hub.jurisdiction == recipient.jurisdiction
                && hub.status == recipient.status
                && hub.roles == recipient.roles
        });
        if !same {
            faults.push((Verdict::Invalid, format!("hub {} is not in the roster as it was decided on", recipient.hub)));
        }
    }
    faults
}

impl OpenRelease {
    /// Takes one PUBLISH in; the fault, if it is not what was released.
    pub(crate) fn publish(&mut self, share: &PublishShare, audit: &PublishAudit) -> Option<&'static str> {
        self.published = self.published.saturating_add(1);
        if (share.uuid, share.version) != (self.share.uuid, self.share.version) {
            return Some("the RELEASE that it names is of another object");
        }
        if share.marking.tlp > audit.strictest.tlp || share.marking.pap > audit.strictest.pap {
            return Some("the view is marked more strictly than its object");
        }
        let view = (share.marking.tlp, share.marking.pap);
        let permitted = self.views.as_ref().is_none_or(|views| views.contains(&view));
        (!permitted).then_some("its RELEASE permits no view of this marking")
    }

    /// Whether all views have come.
    pub(crate) fn is_complete(&self) -> bool {
        self.published >= self.share.views
    }

    /// Views that are missing.
    pub(crate) fn outstanding(&self) -> u32 {
        self.share.views.saturating_sub(self.published)
    }
}
