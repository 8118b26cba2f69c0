//! The logs of a consortium as lines of a policy file, to choose from.

use std::fmt::Write as _;

use cresset_protocol::ids::ConsortiumId;

use crate::bundle::Bundle;
use crate::finding::Findings;
use crate::membership;
use crate::source::Source;
use crate::vkey;

/// `log` and `witness` lines for every log that active hubs write, as the bundle's verified roster has them.
///
/// # Errors
/// In words: why there is no such roster.
pub fn policy_lines(source: &dyn Source, consortium: &ConsortiumId) -> Result<String, String> {
    let bundle = Bundle::open(source).map_err(|e| crate::words::chain(&e))?;
    let mut findings = Findings::default();
    let chain = membership::verify(&bundle, consortium, &mut findings);
    let why = || findings.clone().into_parts().0.into_iter().map(|f| f.what).next().unwrap_or_default();
    let chain = chain.ok_or_else(why)?;
    let roster = chain.current();
    let mut out = format!("# consortium {consortium}, roster version {}\n", roster.version());
    for hub in roster.active_hubs() {
        let newest = hub.current_log().and_then(|log| Some((log, &log.keys.last()?.keys)));
        let Some((log, keys)) = newest else { continue };
        let key = vkey::to_text(&log.origin, keys);
        let _ = write!(out, "# {} {}\nlog {key}\nwitness {} {key}\n", hub.country, hub.domain, hub.domain);
    }
    Ok(out)
}
