//! `cresset publish`.

use cresset_protocol::limits::OBJECT_BYTES_MAX;

use super::{Outcome, block_on, files};
use crate::api::types::PublishAnswer;
use crate::cli::{LaneArgument, PublishArguments};
use crate::client::{Client, Query};
use crate::exit_code::ExitCode;
use crate::output::{self, Output};

pub(crate) fn run(client: &Client, arguments: &PublishArguments, output: Output) -> Outcome {
    let native = files::read(&arguments.file, usize::try_from(OBJECT_BYTES_MAX).unwrap_or(usize::MAX))?;
    let lane = match arguments.lane {
        LaneArgument::Urgent => "urgent",
        LaneArgument::Normal => "normal",
    };
    let query = Query::default()
        .with("group", arguments.group.as_ref())
        .with("to", arguments.to.as_ref())
        .with("only", Some(arguments.only))
        .with("lane", Some(lane))
        .with("dry_run", Some(arguments.dry_run));
    let answer: PublishAnswer = block_on(client.post("/v1/publish", query, native))?;
    output.print(&answer, output::publish::text);
    Ok(exit_code(&answer))
}

/// Nothing for anybody comes before not yet signed.
fn exit_code(answer: &PublishAnswer) -> ExitCode {
    if answer.objects.iter().all(|object| object.hubs.iter().all(|hub| hub.released.is_empty())) {
        return ExitCode::NothingReleased;
    }
    let mut leaves =
        answer.objects.iter().flat_map(|object| object.views.iter().map(|view| &view.leaf).chain(&object.release));
    if leaves.any(|leaf| leaf.state == "pending") { ExitCode::Pending } else { ExitCode::Ok }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::types::{HubRelease, LeafPosition, PublishedObject, UnitLabel};

    fn answer(released: usize, state: &str) -> PublishAnswer {
        let unit = |position| UnitLabel { position, label: "attribute url".into(), tlp: "GREEN".into() };
        let hub = HubRelease {
            country: "EE".into(),
            domain: "ee.hub.example".into(),
            released: (0..released).map(unit).collect(),
            held: Vec::new(),
            carrier: "audience".into(),
        };
        let release =
            LeafPosition { state: state.into(), origin: "o".into(), index: None, size: None, leaf_hash: None };
        PublishAnswer {
            objects: vec![PublishedObject {
                uuid: "u".into(),
                version: 1,
                units: 1,
                hubs: vec![hub],
                views: Vec::new(),
                release: Some(release),
                warnings: Vec::new(),
            }],
        }
    }

    #[test]
    fn the_exit_code_tells_signed_pending_and_nothing_apart() {
        assert_eq!(exit_code(&answer(1, "signed")), ExitCode::Ok);
        assert_eq!(exit_code(&answer(1, "pending")), ExitCode::Pending);
        assert_eq!(exit_code(&answer(0, "signed")), ExitCode::NothingReleased);
    }
}
