//! Consortium, roster and certificate, as they lie on disk.

use cresset_crypto::Verifier;
use cresset_protocol::membership::roster::HubStatus;
use cresset_protocol::membership::snapshot::{Validity, VerifiedRoster};
use rustls::pki_types::CertificateDer;
use x509_cert::Certificate;
use x509_cert::der::Decode;

use super::Finding;
use crate::clock::system_clock;
use crate::home::{Home, HomeError};
use crate::output::{span, time};
use crate::transport::spki_digest;

const ENROL: &str = "`cresset enrol request`, then `cresset enrol finish` with the welcome of the officers";
/// Certificates and rosters are renewed in good time.
const SOON_SECONDS: u64 = 30 * 86_400;

pub(super) fn check(home: &Home) -> Vec<Finding> {
    let consortium = match home.consortium() {
        Ok(consortium) => consortium,
        Err(_) => return vec![Finding::fail("consortium", "none noted", "`cresset init --consortium ID`")],
    };
    let now = system_clock()();
    let mut findings = vec![Finding::ok("consortium", consortium.to_string())];
    let roster = match home.chain(now, &Verifier) {
        Ok(chain) if chain.twin().is_some() => {
            let twin = "two quorum-valid rosters of one version";
            findings.push(Finding::fail(
                "roster",
                twin,
                "tell the officers: only a resolution that names both ends it",
            ));
            chain.effective()
        }
        Ok(chain) => chain.effective(),
        Err(HomeError::Missing { .. }) => {
            findings.push(Finding::fail("roster", "not enrolled yet", ENROL));
            return findings;
        }
        Err(error) => {
            findings.push(Finding::fail(
                "roster",
                error.to_string(),
                "docs/guides/data-directory.md: import the chain again",
            ));
            return findings;
        }
    };
    findings.push(validity(&roster, now.0));
    findings.push(standing(home, &roster));
    findings.push(certificate(home, &roster, now.0));
    findings
}

fn validity(roster: &VerifiedRoster, now: u64) -> Finding {
    let expires = roster.body().expires.0;
    let words =
        format!("version {}, {} active hubs, until {}", roster.version(), roster.active_hubs().count(), time(expires));
    const RENEW: &str = "ask the officers for the next version, then `cresset roster import FILE`";
    match roster.validity(system_clock()()) {
        Validity::Current if expires.saturating_sub(now) < SOON_SECONDS => Finding::warn("roster", words, RENEW),
        Validity::Current => Finding::ok("roster", words),
        Validity::Grace => Finding::warn("roster", format!("{words}: expired, within its grace"), RENEW),
        Validity::Expired => Finding::fail("roster", format!("{words}: expired"), RENEW),
    }
}

fn standing(home: &Home, roster: &VerifiedRoster) -> Finding {
    let me = match home.manifest() {
        Ok(manifest) => manifest.value().hub,
        Err(error) => return Finding::fail("membership", error.to_string(), ENROL),
    };
    match roster.hub(&me).map(|hub| (hub.status, format!("{} {}", hub.country, hub.domain))) {
        Some((HubStatus::Active, name)) => Finding::ok("membership", format!("{name} is active")),
        Some((HubStatus::Suspended, name)) => Finding::fail(
            "membership",
            format!("{name} is suspended"),
            "talk to the officers; a suspension lasts 48 hours at most",
        ),
        Some((_, name)) => Finding::fail("membership", format!("{name} is no member any more"), "talk to the officers"),
        None => Finding::fail("membership", format!("the roster does not list hub {me}"), ENROL),
    }
}

fn certificate(home: &Home, roster: &VerifiedRoster, now: u64) -> Finding {
    const RENEW: &str = "`cresset enrol request` again, and have the officers issue anew";
    let certificates = match home.certificates() {
        Ok(certificates) => certificates,
        Err(error) => return Finding::fail("certificate", error.to_string(), ENROL),
    };
    let leaf = certificates.chain.first();
    let parsed = leaf.and_then(|leaf| Certificate::from_der(leaf).ok());
    let listed = leaf
        .and_then(|leaf| spki_digest(&CertificateDer::from(leaf.as_slice())).ok())
        .is_some_and(|digest| roster.hub_by_spki(&digest).is_some());
    let Some(parsed) = parsed.filter(|_| listed) else {
        return Finding::fail("certificate", "its key is not in the roster", RENEW);
    };
    let until = parsed.tbs_certificate().validity().not_after.to_unix_duration().as_secs();
    match until.checked_sub(now) {
        None => Finding::fail("certificate", format!("expired at {}", time(until)), RENEW),
        Some(left) if left < SOON_SECONDS => Finding::warn("certificate", format!("expires in {}", span(left)), RENEW),
        Some(left) => Finding::ok("certificate", format!("good for {}", span(left))),
    }
}
