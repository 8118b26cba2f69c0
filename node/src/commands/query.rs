//! The commands that only ask: `search`, `show`, `log`, `peers`, `status`.

use super::{Outcome, block_on};
use crate::api::types::{LogAnswer, ObjectAnswer, PeersAnswer, SearchAnswer, StatusAnswer};
use crate::cli::{LogArguments, SearchArguments, ShowArguments};
use crate::client::{Client, Query, percent_encode};
use crate::exit_code::ExitCode;
use crate::output::{Output, views};

pub(crate) fn search(client: &Client, arguments: &SearchArguments, output: Output) -> Outcome {
    let query = Query::default().with("q", Some(&arguments.value)).with("limit", arguments.limit);
    let answer: SearchAnswer = block_on(client.get("/v1/search", query))?;
    if answer.objects.is_empty() && !output.json {
        eprintln!("no object that this hub holds has exactly this value");
        return Ok(ExitCode::NotFound);
    }
    output.print(&answer, views::search);
    Ok(if answer.objects.is_empty() { ExitCode::NotFound } else { ExitCode::Ok })
}

pub(crate) fn show(client: &Client, arguments: &ShowArguments, output: Output) -> Outcome {
    let path = format!("/v1/objects/{}", percent_encode(&arguments.uuid));
    let answer: ObjectAnswer = block_on(client.get(&path, Query::default()))?;
    output.print(&answer, views::object);
    Ok(if answer.included || answer.anchoring.level == "pending" { ExitCode::Ok } else { ExitCode::Integrity })
}

pub(crate) fn log(client: &Client, arguments: &LogArguments, output: Output) -> Outcome {
    let query = Query::default()
        .with("origin", arguments.origin.as_ref())
        .with("from", arguments.from)
        .with("limit", arguments.limit);
    let answer: LogAnswer = block_on(client.get("/v1/log", query))?;
    output.print(&answer, views::log);
    Ok(ExitCode::Ok)
}

pub(crate) fn peers(client: &Client, output: Output) -> Outcome {
    let answer: PeersAnswer = block_on(client.get("/v1/peers", Query::default()))?;
    output.print(&answer, views::peers);
    Ok(ExitCode::Ok)
}

pub(crate) fn status(client: &Client, output: Output) -> Outcome {
    let answer: StatusAnswer = block_on(client.get("/v1/status", Query::default()))?;
    output.print(&answer, views::status);
    Ok(ExitCode::Ok)
}
