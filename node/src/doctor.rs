//! `cresset doctor`: looks at everything that a hub stands on and says what to do.

mod environment;
mod membership;
mod token;

use std::path::Path;

use serde::Serialize;

use crate::api::types::StatusAnswer;
use crate::client::{Client, Query};
use crate::commands::{Outcome, block_on};
use crate::config::Config;
use crate::exit_code::ExitCode;
use crate::home::Home;
use crate::output::Output;
use crate::output::table::Table;

/// How one check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    /// As it should be.
    Ok,
    /// Works, and should be better.
    Warn,
    /// Does not work.
    Fail,
}

/// One check.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Finding {
    check: &'static str,
    verdict: Verdict,
    finding: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<&'static str>,
}

#[derive(Debug, Serialize)]
struct Report {
    config: String,
    checks: Vec<Finding>,
}

impl Finding {
    fn ok(check: &'static str, finding: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Ok, finding: finding.into(), remedy: None }
    }

    fn warn(check: &'static str, finding: impl Into<String>, remedy: &'static str) -> Self {
        Self { check, verdict: Verdict::Warn, finding: finding.into(), remedy: Some(remedy) }
    }

    fn fail(check: &'static str, finding: impl Into<String>, remedy: &'static str) -> Self {
        Self { check, verdict: Verdict::Fail, finding: finding.into(), remedy: Some(remedy) }
    }
}

/// Checks everything; a failed check does not stop the others.
pub(crate) fn run(path: &Path, output: Output) -> Outcome {
    let config = Config::load(path)?;
    let home = Home::new(&config);
    let client = Client::new(&config.api.socket);
    let daemon = block_on(client.get::<StatusAnswer>("/v1/status", Query::default()));
    let running = daemon.is_ok();

    let mut checks = vec![environment::daemon(&daemon)];
    checks.extend(token::check(&config, &home));
    checks.extend(membership::check(&home));
    checks.push(environment::clock(&home, &client, running));
    checks.push(environment::disk(&config));
    checks.push(environment::fence(&config));
    checks.extend(environment::ports(&config, running));
    let failed = checks.iter().any(|finding| finding.verdict == Verdict::Fail);
    output.print(&Report { config: path.display().to_string(), checks }, text);
    Ok(if failed { ExitCode::Failure } else { ExitCode::Ok })
}

fn text(report: &Report) -> String {
    let mut table = Table::new(0);
    for finding in &report.checks {
        let verdict = match finding.verdict {
            Verdict::Ok => "ok",
            Verdict::Warn => "warn",
            Verdict::Fail => "FAIL",
        };
        table.row([verdict, finding.check, &finding.finding]);
        if let Some(remedy) = finding.remedy {
            table.row(["", "", &format!("-> {remedy}")]);
        }
    }
    table.render()
}
