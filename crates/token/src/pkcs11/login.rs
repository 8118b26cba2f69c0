//! Finding the token and logging in to it, once.

use std::sync::{Mutex, PoisonError};

use cryptoki::error::{Error, RvError};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;

use crate::config::TokenSelector;
use crate::error::KeyStoreError;
use crate::pin::Pin;
use crate::pkcs11::fault::Fault;
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
    /// The token refused the PIN. For good: each further try brings it closer to locking.
    Refused,
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
        if let Err(fault) = self.log_in(entered, slot, &anchor) {
            // The session never became an anchor; leaving it open would leak one session per failed attempt.
            let _ = anchor.close();
            if matches!(fault, Fault::Final(KeyStoreError::PinRefused)) {
                state.standing = Standing::Refused;
            }
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

    fn log_in(&self, entered: &Entered<'_>, slot: Slot, anchor: &Session) -> Result<(), Fault> {
        let token = entered.pkcs11().get_token_info(slot)?;
        if !token.user_pin_initialized() {
            return Err(Fault::Final(KeyStoreError::PinNotInitialised));
        }
        // A service that restarts in a loop must not be what locks the token.
        if token.user_pin_locked() || token.user_pin_final_try() {
            return Err(Fault::Final(KeyStoreError::PinLocked));
        }
        match anchor.login(UserType::User, Some(&AuthPin::new(self.pin.expose().into()))) {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(()),
            Err(Error::Pkcs11(RvError::PinLocked, _)) => Err(Fault::Final(KeyStoreError::PinLocked)),
            Err(Error::Pkcs11(
                RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange | RvError::PinExpired,
                _,
            )) => {
                tracing::error!("the token refused the PIN");
                Err(Fault::Final(KeyStoreError::PinRefused))
            }
            Err(error) => Err(Fault::Token(error)),
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
