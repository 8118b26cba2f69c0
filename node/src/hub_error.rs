//! Why the hub says no, with what to do next: becomes an HTTP answer and an exit code.

use cresset_provenance::StoreError;

use crate::exit_code::ExitCode;
use crate::publish::PublishError;

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct HubError {
    /// Stable code, for scripts.
    pub(crate) code: &'static str,
    /// HTTP status.
    pub(crate) status: u16,
    /// For people.
    pub(crate) message: String,
    /// What to do next.
    pub(crate) hint: Option<String>,
}

impl HubError {
    fn new(code: &'static str, status: u16, message: impl Into<String>) -> Self {
        Self { code, status, message: message.into(), hint: None }
    }

    /// The caller asked for something impossible.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new("refused", 400, message)
    }

    /// No such thing.
    pub(crate) fn not_found(what: &str) -> Self {
        Self::new("not-found", 404, format!("{what} is not here"))
    }

    /// No such thing, in the words of whoever looked.
    pub(crate) fn not_found_text(message: impl Into<String>) -> Self {
        Self::new("not-found", 404, message)
    }

    /// Too much is outstanding.
    pub(crate) fn busy() -> Self {
        Self::new("busy", 503, "too much is waiting to be signed").hint("try again in a second")
    }

    /// Something does not verify.
    pub(crate) fn integrity(message: impl Into<String>) -> Self {
        Self::new("integrity", 422, message)
    }

    /// A fault of this node or its machine.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new("failure", 500, message)
    }

    /// Adds what to do next.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The exit code of a command that got this answer.
    pub(crate) fn exit_code(code: &str) -> ExitCode {
        match code {
            "not-found" => ExitCode::NotFound,
            "busy" => ExitCode::Busy,
            "integrity" => ExitCode::Integrity,
            "token" => ExitCode::Token,
            "unreachable" => ExitCode::Unreachable,
            _ => ExitCode::Failure,
        }
    }
}

impl From<StoreError> for HubError {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::UnknownLog { .. } => Self::not_found("the log"),
            StoreError::Inconsistent { .. } | StoreError::RootMismatch { .. } => Self::integrity(error.to_string()),
            _ => Self::internal(error.to_string()),
        }
    }
}

impl From<PublishError> for HubError {
    fn from(error: PublishError) -> Self {
        match &error {
            PublishError::Store(_) | PublishError::Randomness(_) | PublishError::Encrypt(_) => {
                Self::internal(error.to_string())
            }
            _ => Self::usage(error.to_string()),
        }
    }
}
