//! Finding the token and logging in to it, once.

use std::sync::{Mutex, PoisonError};

use cryptoki::error::{Error, RvError};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;

use crate::config::TokenSelector;
use crate::error::KeyStoreError;
use crate::pin::Pin;
use crate::pkcs11::fault::{Fault, code_name};
use crate::pkcs11::module::Entered;

/// The login of one store.
pub(crate) struct Login {
    selector: TokenSelector,
    pin: Pin,
    state: Mutex<State>,
}

/// Which login sessions and handles belong to. Those of an older one are not used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Epoch {
    pub(crate) generation: u64,
    pub(crate) login: u64,
}

struct State {
    logins: u64,
    standing: Standing,
}

enum Standing {
    Out,
    In {
        epoch: Epoch,
        slot: Slot,
        /// Does no work: closing the last session of a token logs out, and this one stays open.
        anchor: Session,
    },
    /// A login that does not hold any more.
    Stale {
        generation: u64,
        anchor: Session,
    },
    /// The token refused the PIN, or may have. For good: each further try brings it closer to locking.
    Refused,
}

/// What the answer to a submitted PIN means.
#[derive(Debug)]
enum Answer {
    LoggedIn,
    /// The token cannot have looked at the PIN; recovery may submit it again.
    NotAsked(Error),
    /// It refused the PIN, or may have counted a failed try.
    Refused(KeyStoreError),
}

impl Login {
    pub(crate) fn new(selector: TokenSelector, pin: Pin) -> Self {
        Self { selector, pin, state: Mutex::new(State { logins: 0, standing: Standing::Out }) }
    }

    /// The slot and the epoch, logging in when this module generation has not seen us yet.
    pub(crate) fn ensure(&self, entered: &Entered<'_>) -> Result<(Slot, Epoch), Fault> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match &state.standing {
            Standing::Refused => return Err(Fault::Final(KeyStoreError::PinRefused)),
            Standing::In { epoch, slot, .. } if epoch.generation == entered.generation() => return Ok((*slot, *epoch)),
            _ => {}
        }
        if let Standing::Stale { generation, anchor } = std::mem::replace(&mut state.standing, Standing::Out)
            && generation == entered.generation()
        {
            // Before logging in: if this is the token's last session, closing it logs out. It may be gone already.
            let _ = anchor.close();
        }
        let slot = find_token(entered, &self.selector)?;
        let anchor = entered.pkcs11().open_rw_session_no_drop(slot)?;
        let answer = self.log_in(entered, slot, &anchor);
        let fault = match answer {
            Ok(Answer::LoggedIn) => None,
            Ok(Answer::NotAsked(error)) => Some(Fault::Token(error)),
            Ok(Answer::Refused(error)) => {
                state.standing = Standing::Refused;
                Some(Fault::Final(error))
            }
            Err(fault) => Some(fault),
        };
        if let Some(fault) = fault {
            // The session never became an anchor; leaving it open would leak one session per failed attempt.
            let _ = anchor.close();
            return Err(fault);
        }
        state.logins += 1;
        let epoch = Epoch { generation: entered.generation(), login: state.logins };
        state.standing = Standing::In { epoch, slot, anchor };
        Ok((slot, epoch))
    }

    /// Makes the next [`Login::ensure`] log in again, unless that happened since `seen`.
    pub(crate) fn forget(&self, seen: Epoch) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.standing = match std::mem::replace(&mut state.standing, Standing::Out) {
            Standing::In { epoch, anchor, .. } if epoch == seen => {
                Standing::Stale { generation: epoch.generation, anchor }
            }
            other => other,
        };
    }

    /// Submits the PIN once. An error means that it was not submitted.
    fn log_in(&self, entered: &Entered<'_>, slot: Slot, anchor: &Session) -> Result<Answer, Fault> {
        let token = entered.pkcs11().get_token_info(slot)?;
        if !token.user_pin_initialized() {
            return Err(Fault::Final(KeyStoreError::PinNotInitialised));
        }
        // A service that restarts in a loop must not be what locks the token.
        if token.user_pin_locked() || token.user_pin_final_try() {
            return Err(Fault::Final(KeyStoreError::PinLocked));
        }
        Ok(judge(anchor.login(UserType::User, Some(&AuthPin::new(self.pin.expose().into())))))
    }
}

/// Reads the answer to C_Login. Tokens report a wrong PIN with all kinds of codes, so only those that cannot follow an
/// evaluation of the PIN allow another try: a ladder of four rungs would lock a token that allows three.
fn judge(result: Result<(), Error>) -> Answer {
    match result {
        Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Answer::LoggedIn,
        Err(
            error @ Error::Pkcs11(
                RvError::SessionClosed
                | RvError::SessionHandleInvalid
                | RvError::CryptokiNotInitialized
                | RvError::TokenNotPresent
                | RvError::DeviceRemoved,
                _,
            ),
        ) => Answer::NotAsked(error),
        Err(Error::Pkcs11(RvError::PinLocked, _)) => Answer::Refused(KeyStoreError::PinLocked),
        Err(error) => {
            tracing::error!(
                code = code_name(&error),
                "the token did not accept the login; the PIN is not submitted again"
            );
            Answer::Refused(KeyStoreError::PinRefused)
        }
    }
}

/// The slot of the selected token.
pub(crate) fn find_token(entered: &Entered<'_>, selector: &TokenSelector) -> Result<Slot, Fault> {
    let missing = || Fault::NoToken(KeyStoreError::NoToken { selector: selector.to_string() });
    let slots = entered.pkcs11().get_slots_with_token()?;
    let label = match selector {
        TokenSelector::Slot(id) => return slots.into_iter().find(|slot| slot.id() == *id).ok_or_else(missing),
        TokenSelector::Label(label) => label,
    };
    // A slot that does not answer is not ours; the others must stay usable.
    let labelled = |slot: &Slot| entered.pkcs11().get_token_info(*slot).is_ok_and(|token| token.label() == label);
    let mut found = slots.into_iter().filter(labelled);
    let slot = found.next().ok_or_else(missing)?;
    match found.next() {
        Some(_) => Err(Fault::Final(KeyStoreError::AmbiguousToken { selector: selector.to_string() })),
        None => Ok(slot),
    }
}

#[cfg(test)]
mod tests {
    use cryptoki::context::Function;

    use super::*;

    fn answered(code: RvError) -> Answer {
        judge(Err(Error::Pkcs11(code, Function::Login)))
    }

    #[test]
    fn only_codes_that_cannot_follow_a_look_at_the_pin_allow_another_try() {
        for code in [
            RvError::SessionClosed,
            RvError::SessionHandleInvalid,
            RvError::CryptokiNotInitialized,
            RvError::TokenNotPresent,
            RvError::DeviceRemoved,
        ] {
            assert!(matches!(answered(code), Answer::NotAsked(_)), "{code:?}");
        }
        for code in [
            RvError::PinIncorrect,
            RvError::PinInvalid,
            RvError::PinLenRange,
            RvError::PinExpired,
            RvError::GeneralError,
            RvError::FunctionFailed,
            RvError::FunctionCanceled,
            RvError::DeviceError,
            RvError::DeviceMemory,
            RvError::HostMemory,
            RvError::UserNotLoggedIn,
            RvError::VendorDefined(7),
            RvError::UnknownErrorCode(7),
        ] {
            assert!(matches!(answered(code), Answer::Refused(KeyStoreError::PinRefused)), "{code:?}");
        }
        assert!(matches!(answered(RvError::PinLocked), Answer::Refused(KeyStoreError::PinLocked)));
        assert!(matches!(answered(RvError::UserAlreadyLoggedIn), Answer::LoggedIn));
        assert!(matches!(judge(Ok(())), Answer::LoggedIn));
    }
}
