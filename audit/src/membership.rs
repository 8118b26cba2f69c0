//! The roster chain of a bundle, from the consortium id on.

use cresset_crypto::Verifier;
use cresset_protocol::codec;
use cresset_protocol::ids::{ConsortiumId, LogId, RosterVersion, UnixSeconds};
use cresset_protocol::limits::ROSTER_FRAME_BYTES_MAX;
use cresset_protocol::log::bundle::roster_path;
use cresset_protocol::membership::chain::{Accepted, RosterChain};
use cresset_protocol::membership::roster::{HubEntry, LogEntry, SignedRoster};

use crate::bundle::Bundle;
use crate::finding::Findings;
use crate::verdict::Verdict;

/// Verifies the rosters of a bundle. `None` if there is none, or version 0 is not the consortium's.
pub(crate) fn verify(bundle: &Bundle<'_>, consortium: &ConsortiumId, findings: &mut Findings) -> Option<RosterChain> {
    let now = bundle.manifest().created;
    let mut chain: Option<RosterChain> = None;
    for (number, path) in (0..).zip(bundle.below("roster/")) {
        // A gap would show as a wrong version below; a file under another version's name shows here.
        if path != roster_path(RosterVersion(number)) {
            findings.of_bundle(Verdict::Incomplete, format!("roster version {number} is not in the bundle"));
            break;
        }
        match next(bundle, path, consortium, chain.take(), now) {
            Ok(longer) => chain = Some(longer),
            Err(reason) => {
                findings.of_bundle(Verdict::Invalid, format!("roster version {number}: {reason}"));
                return None;
            }
        }
    }
    if chain.is_none() {
        findings.of_bundle(Verdict::Unanchored, "no roster leads from the consortium id to this bundle");
    }
    chain
}

fn next(
    bundle: &Bundle<'_>,
    path: &str,
    consortium: &ConsortiumId,
    chain: Option<RosterChain>,
    now: UnixSeconds,
) -> Result<RosterChain, String> {
    let bytes = bundle.require(path).map_err(|e| e.to_string())?;
    let signed: SignedRoster = codec::decode(&bytes, ROSTER_FRAME_BYTES_MAX).map_err(|e| e.to_string())?;
    let Some(mut chain) = chain else {
        return RosterChain::found(consortium, &signed, &Verifier).map_err(|e| e.to_string());
    };
    match chain.accept(&signed, now, &Verifier).map_err(|e| e.to_string())? {
        Accepted::Newer(_) => Ok(chain),
        Accepted::Known => Err("a version twice".to_owned()),
        Accepted::Twin(_) => Err("a twin of the version before".to_owned()),
    }
}

/// The entry of a log in the newest version that lists it. Past key periods never change, so the newest has them all.
pub(crate) fn log_entry<'c>(chain: &'c RosterChain, log: &LogId) -> Option<(&'c HubEntry, &'c LogEntry)> {
    chain.iter().filter_map(|roster| roster.log(log)).last()
}
