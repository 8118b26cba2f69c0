//! The one exit-code table of all binaries (`docs/reference/exit-codes.md`).

/// Why a command ended as it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum ExitCode {
    /// Done.
    Ok = 0,
    /// Failed.
    Failure = 1,
    /// Wrong use of the command line.
    Usage = 2,
    /// Durable, not yet signed.
    Pending = 3,
    /// Policy released nothing.
    NothingReleased = 4,
    /// No such thing.
    NotFound = 5,
    /// Try again later.
    Busy = 6,
    /// Token or PIN.
    Token = 7,
    /// The daemon does not answer.
    Unreachable = 8,
    /// Something does not verify.
    Integrity = 9,
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code as u8)
    }
}
