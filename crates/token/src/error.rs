//! Why a key store did not do what it was asked.

use std::path::PathBuf;
use std::time::Duration;

use crate::pin::PinError;

/// A key store operation failed.
#[derive(Debug, thiserror::Error)]
pub enum KeyStoreError {
    /// A key name with characters or a length that is not allowed.
    #[error("key name `{name}` is not 1 to 32 lower-case letters, digits and hyphens")]
    BadName {
        /// The name offered.
        name: String,
    },
    /// No key of that name.
    #[error("no key named `{name}`")]
    NotFound {
        /// The name asked for.
        name: String,
    },
    /// The name is taken.
    #[error("a key named `{name}` exists already")]
    AlreadyExists {
        /// The name asked for.
        name: String,
    },
    /// The key of that name is of another kind.
    #[error("the key `{name}` is not an {expected} key")]
    WrongKind {
        /// The name asked for.
        name: String,
        /// The kind asked for.
        expected: &'static str,
    },
    /// The token holds several keys of that name; using either could be wrong.
    #[error("the token holds more than one key named `{name}`")]
    Ambiguous {
        /// The name asked for.
        name: String,
    },
    /// The token would let the private key out.
    #[error("the token holds `{name}` as extractable or not sensitive")]
    Unprotected {
        /// The key.
        name: String,
    },
    /// The store returned a signature that does not verify, or key material of the wrong form. It was not released.
    #[error("the store returned a wrong {what} for `{name}`")]
    Faulty {
        /// The key.
        name: String,
        /// What was wrong.
        what: &'static str,
    },
    /// The store cannot do this at all.
    #[error("this key store has no {what}")]
    Unsupported {
        /// The missing ability.
        what: &'static str,
    },
    /// A wrapped secret that was changed, or wrapped for another context or by another key.
    #[error("the wrapped secret does not open with the key `{name}` in this context")]
    NotAuthentic {
        /// The wrapping key.
        name: String,
    },
    /// A secret or context too long to wrap, or a wrapped secret of an impossible length.
    #[error("{len} bytes is no valid length for a wrapped or unwrapped secret")]
    BadLength {
        /// The length offered.
        len: usize,
    },
    /// The token refused the PIN. It will not be tried again by this store.
    #[error("the token refused the PIN, which will not be tried again")]
    PinRefused,
    /// The token is locked, or the next wrong PIN would lock it.
    #[error("the token's PIN is locked or one try away from it; log in by hand first")]
    PinLocked,
    /// The token was never given a user PIN.
    #[error("the token has no user PIN yet")]
    PinNotInitialised,
    /// The PIN could not be read.
    #[error("the PIN could not be read")]
    Pin(#[from] PinError),
    /// The PKCS#11 module could not be loaded.
    #[error("the PKCS#11 module `{path}` cannot be loaded: {reason}")]
    Module {
        /// Path of the module.
        path: PathBuf,
        /// What failed.
        reason: &'static str,
    },
    /// No token matches.
    #[error("no token matches {selector}")]
    NoToken {
        /// What was looked for.
        selector: String,
    },
    /// Several tokens carry the label.
    #[error("more than one token matches {selector}")]
    AmbiguousToken {
        /// What was looked for.
        selector: String,
    },
    /// A token that holds data was about to be initialised.
    #[error("the token in {selector} is initialised already")]
    TokenInUse {
        /// The slot.
        selector: String,
    },
    /// An unknown profile name.
    #[error("no device profile named `{name}`")]
    UnknownProfile {
        /// The name.
        name: String,
    },
    /// Recovery failed; the store refuses work until the back-off ends.
    #[error("the token is unavailable; next attempt in {} s", retry_after.as_secs_f32().ceil())]
    Unavailable {
        /// Time left.
        retry_after: Duration,
    },
    /// All sessions stayed in use.
    #[error("all token sessions are busy")]
    Busy,
    /// The token answered with an error that no recovery helps against.
    #[error("the token answered `{code}`")]
    Token {
        /// PKCS#11 return value by name.
        code: String,
    },
    /// A key file or directory could not be read or written.
    #[error("cannot access `{path}`")]
    File {
        /// The path.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A key file or directory that others may read or write.
    #[error("`{path}` is accessible to others (mode {mode:o})")]
    Permissions {
        /// The path.
        path: PathBuf,
        /// Its mode bits.
        mode: u32,
    },
    /// A key file that does not hold what its name says.
    #[error("`{path}` does not hold a key of its kind")]
    BadKeyFile {
        /// The path.
        path: PathBuf,
    },
    /// The cryptographic library refused.
    #[error("the cryptographic library failed at {what}")]
    Library {
        /// The operation.
        what: &'static str,
    },
}

impl KeyStoreError {
    /// Whether the same call may succeed later without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Busy)
    }
}
