//! Preparing tokens for a ceremony or an enrolment.

use std::path::Path;

use cresset_token::pin::PromptSource;
use cresset_token::{InitToken, Pin, PinSource, init_token};
use serde_json::json;

use crate::cli::{TokenCommand, TokenInitArguments};
use crate::error::PkiError;
use crate::report::Report;

pub(crate) fn run(command: &TokenCommand) -> Result<Report, PkiError> {
    match command {
        TokenCommand::Init(arguments) => init(arguments),
    }
}

fn init(arguments: &TokenInitArguments) -> Result<Report, PkiError> {
    let so_pin = read_pin(arguments.so_pin_file.as_deref(), "the security officer")?;
    let user_pin = read_pin(arguments.pin_file.as_deref(), "the user")?;
    let token = init_token(&InitToken {
        module: &arguments.module,
        slot: arguments.slot,
        label: &arguments.label,
        so_pin: &so_pin,
        user_pin: &user_pin,
    })?;
    let lines =
        vec![format!("Token `{}` is ready in slot {} (serial {}).", arguments.label, token.slot, token.serial.trim())];
    Ok(Report::new(lines, json!({ "label": arguments.label, "slot": token.slot, "serial": token.serial.trim() })))
}

fn read_pin(file: Option<&Path>, whose: &str) -> Result<Pin, PkiError> {
    let source = file.map_or(PinSource::Prompt(PromptSource {}), PinSource::file);
    Ok(source.read(whose).map_err(cresset_token::KeyStoreError::from)?)
}
