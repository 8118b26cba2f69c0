//! What went wrong inside one attempt, and how far up the recovery ladder it sends us.

use cryptoki::error::{Error, RvError};

use crate::error::KeyStoreError;
use crate::keystore::KeyName;

/// A failed attempt.
#[derive(Debug)]
pub(crate) enum Fault {
    /// No recovery helps: the request is at fault, or the PIN.
    Final(KeyStoreError),
    /// The module answered with an error.
    Token(Error),
    /// The session turned out not to be logged in.
    NotLoggedIn,
    /// The configured token is not there. It may come back.
    NoToken(KeyStoreError),
    /// A key that was there is not there any more: somebody destroyed it, or the module lost sight of its storage.
    Vanished(KeyName),
}

/// How an attempt starts. Each failure goes at least one rung up; past the last one the store fails closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rung {
    /// With a pooled session.
    AsIs,
    /// With a session opened for the purpose, and handles looked up again.
    NewSession,
    /// After logging in again.
    LogIn,
    /// After C_Finalize and C_Initialize.
    Initialise,
}

impl Fault {
    /// The rung for the next attempt, or `None` when there is none.
    pub(crate) fn next(&self, tried: Rung) -> Option<Rung> {
        let wanted = match self {
            Self::Final(_) => return None,
            Self::NotLoggedIn => Rung::LogIn,
            Self::NoToken(_) | Self::Vanished(_) => Rung::Initialise,
            Self::Token(Error::Pkcs11(code, _)) => wanted(*code)?,
            Self::Token(_) => return None,
        };
        wanted.max(above(tried)?).into()
    }

    /// Whether the whole store is to be closed for a while, rather than this one call refused.
    pub(crate) fn closes_store(&self) -> bool {
        match self {
            Self::Final(_) | Self::Vanished(_) => false,
            Self::NotLoggedIn | Self::NoToken(_) => true,
            Self::Token(Error::Pkcs11(code, _)) => wanted(*code).is_some(),
            Self::Token(_) => false,
        }
    }

    /// The fault as the caller sees it.
    pub(crate) fn into_error(self) -> KeyStoreError {
        match self {
            Self::Final(error) | Self::NoToken(error) => error,
            Self::Vanished(name) => KeyStoreError::NotFound { name: name.as_str().to_owned() },
            Self::NotLoggedIn => KeyStoreError::Token { code: "UserNotLoggedIn".into() },
            Self::Token(error) => KeyStoreError::Token { code: code_name(&error) },
        }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Token(error)
    }
}

impl From<KeyStoreError> for Fault {
    fn from(error: KeyStoreError) -> Self {
        Self::Final(error)
    }
}

/// Name of a module error. The binding's own texts are paragraphs and may quote the platform, so they are not used.
pub(crate) fn code_name(error: &Error) -> String {
    match error {
        Error::Pkcs11(code, function) => format!("{code:?} in {function:?}"),
        Error::NullFunctionPointer => "a function is missing".into(),
        Error::LibraryLoading(_) | Error::MissingSymbol(_) => "not a PKCS#11 module".into(),
        _ => "a malformed answer".into(),
    }
}

/// The lowest rung that can help, or `None` when the request itself is at fault.
fn wanted(code: RvError) -> Option<Rung> {
    match code {
        RvError::SessionClosed
        | RvError::SessionHandleInvalid
        | RvError::SessionCount
        | RvError::OperationActive
        | RvError::OperationNotInitialized
        | RvError::KeyHandleInvalid
        | RvError::ObjectHandleInvalid
        | RvError::Cancel
        | RvError::FunctionCanceled => Some(Rung::NewSession),
        RvError::UserNotLoggedIn => Some(Rung::LogIn),
        RvError::CryptokiNotInitialized
        | RvError::TokenNotPresent
        | RvError::TokenNotRecognized
        | RvError::DeviceRemoved
        | RvError::SlotIdInvalid => Some(Rung::Initialise),
        // Says nothing: kryoptic reports a logout this way, SoftHSM lost storage. Every rung in turn.
        RvError::GeneralError
        | RvError::FunctionFailed
        | RvError::DeviceError
        | RvError::DeviceMemory
        | RvError::HostMemory
        | RvError::VendorDefined(_)
        | RvError::UnknownErrorCode(_) => Some(Rung::NewSession),
        _ => None,
    }
}

fn above(rung: Rung) -> Option<Rung> {
    match rung {
        Rung::AsIs => Some(Rung::NewSession),
        Rung::NewSession => Some(Rung::LogIn),
        Rung::LogIn => Some(Rung::Initialise),
        Rung::Initialise => None,
    }
}

#[cfg(test)]
mod tests {
    use cryptoki::context::Function;

    use super::*;

    fn token(code: RvError) -> Fault {
        Fault::Token(Error::Pkcs11(code, Function::Sign))
    }

    #[test]
    fn every_failure_climbs_and_the_ladder_ends() {
        for code in [RvError::GeneralError, RvError::SessionClosed, RvError::UserNotLoggedIn, RvError::TokenNotPresent]
        {
            let mut rung = Rung::AsIs;
            while let Some(next) = token(code).next(rung) {
                assert!(next > rung, "{code:?} went from {rung:?} to {next:?}");
                rung = next;
            }
            assert_eq!(rung, Rung::Initialise);
        }
    }

    #[test]
    fn known_failures_skip_rungs_that_cannot_help() {
        assert_eq!(token(RvError::SessionClosed).next(Rung::AsIs), Some(Rung::NewSession));
        assert_eq!(token(RvError::UserNotLoggedIn).next(Rung::AsIs), Some(Rung::LogIn));
        assert_eq!(Fault::NotLoggedIn.next(Rung::AsIs), Some(Rung::LogIn));
        assert_eq!(token(RvError::DeviceRemoved).next(Rung::AsIs), Some(Rung::Initialise));
    }

    #[test]
    fn the_pin_and_bad_requests_are_never_retried() {
        for code in [RvError::PinIncorrect, RvError::PinLocked, RvError::MechanismInvalid, RvError::DataLenRange] {
            assert_eq!(token(code).next(Rung::AsIs), None);
            assert!(!token(code).closes_store());
        }
        assert_eq!(Fault::Final(KeyStoreError::PinRefused).next(Rung::AsIs), None);
    }
}
