//! Sessions: one per operation in flight, a bounded number of them, reused.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use cryptoki::session::Session;
use cryptoki::slot::Slot;

use crate::error::KeyStoreError;
use crate::pkcs11::fault::{Fault, Rung};
use crate::pkcs11::login::Epoch;
use crate::pkcs11::module::Entered;

/// How long a caller waits for another operation to end.
const PERMIT_WAIT: Duration = Duration::from_secs(30);

/// The sessions of one store.
pub(crate) struct Pool {
    state: Mutex<State>,
    returned: Condvar,
}

/// The right to have one operation in flight.
pub(crate) struct Permit<'a> {
    pool: &'a Pool,
}

struct State {
    free_permits: u16,
    idle: Vec<(Epoch, Session)>,
}

impl Pool {
    pub(crate) fn new(sessions: u16) -> Self {
        Self { state: Mutex::new(State { free_permits: sessions.max(1), idle: Vec::new() }), returned: Condvar::new() }
    }

    /// Waits for a permit. Taken before the module is entered, so that whoever waits here stops nobody.
    pub(crate) fn permit(&self) -> Result<Permit<'_>, KeyStoreError> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut state, _) = self
            .returned
            .wait_timeout_while(state, PERMIT_WAIT, |state| state.free_permits == 0)
            .unwrap_or_else(PoisonError::into_inner);
        state.free_permits = state.free_permits.checked_sub(1).ok_or(KeyStoreError::Busy)?;
        Ok(Permit { pool: self })
    }
}

impl Permit<'_> {
    /// A session of the epoch: an idle one on the first rung, a new one on every other.
    pub(crate) fn session(
        &self,
        entered: &Entered<'_>,
        slot: Slot,
        epoch: Epoch,
        rung: Rung,
    ) -> Result<Session, Fault> {
        if rung == Rung::AsIs
            && let Some(session) = self.idle(entered, epoch)
        {
            return Ok(session);
        }
        // Not closed on drop: after a re-initialisation its number may belong to somebody else.
        Ok(entered.pkcs11().open_rw_session_no_drop(slot)?)
    }

    /// Gives a working session back for reuse.
    pub(crate) fn keep(&self, epoch: Epoch, session: Session) {
        self.pool.state.lock().unwrap_or_else(PoisonError::into_inner).idle.push((epoch, session));
    }

    /// Closes a session that failed, while its generation lasts.
    pub(crate) fn discard(&self, entered: &Entered<'_>, epoch: Epoch, session: Session) {
        if epoch.generation == entered.generation() {
            // It failed, so it may well be gone already.
            let _ = session.close();
        }
    }

    fn idle(&self, entered: &Entered<'_>, epoch: Epoch) -> Option<Session> {
        let mut state = self.pool.state.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((of, session)) = state.idle.pop() {
            if of == epoch {
                return Some(session);
            }
            self.discard(entered, of, session);
        }
        None
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.pool.state.lock().unwrap_or_else(PoisonError::into_inner).free_permits += 1;
        self.pool.returned.notify_one();
    }
}
