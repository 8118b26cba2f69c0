//! Running one operation on the token, climbing the recovery ladder when it fails.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use cryptoki::session::Session;

use crate::error::KeyStoreError;
use crate::pkcs11::backoff::Backoff;
use crate::pkcs11::fault::{Fault, Rung, code_name};
use crate::pkcs11::keys::KeyCache;
use crate::pkcs11::login::{Epoch, Login};
use crate::pkcs11::module::Module;
use crate::pkcs11::pool::{Permit, Pool};

/// A token in use: module, login, sessions and handles.
pub(crate) struct Token {
    module: std::sync::Arc<Module>,
    login: Login,
    pool: Pool,
    keys: KeyCache,
    backoff: Mutex<Backoff>,
}

/// What an operation works with.
pub(crate) struct Call<'a> {
    pub(crate) session: &'a Session,
    pub(crate) keys: &'a KeyCache,
    pub(crate) epoch: Epoch,
}

impl Token {
    pub(crate) fn new(module: std::sync::Arc<Module>, login: Login, sessions: u16) -> Self {
        Self { module, login, pool: Pool::new(sessions), keys: KeyCache::default(), backoff: Mutex::default() }
    }

    /// Runs the operation: as is, then in a new session, after a new login, after re-initialising the module; then the
    /// store closes for a while. The operation may run several times and must be safe to repeat.
    pub(crate) fn run<T>(&self, operation: impl Fn(&Call<'_>) -> Result<T, Fault>) -> Result<T, KeyStoreError> {
        if let Some(retry_after) = self.backoff().remaining(Instant::now()) {
            return Err(KeyStoreError::Unavailable { retry_after });
        }
        // Taken before the module is entered: waiting for a permit inside would stop a re-initialisation.
        let permit = self.pool.permit()?;
        let mut rung = Rung::AsIs;
        let mut seen = Epoch::default();
        loop {
            match self.attempt(&permit, rung, &mut seen, &operation) {
                Ok(value) => {
                    self.backoff().reset();
                    return Ok(value);
                }
                Err(fault) => match fault.next(rung) {
                    Some(next) => rung = next,
                    None if fault.closes_store() => return Err(self.close(&fault)),
                    None => {
                        if let Fault::Vanished(name) = &fault {
                            // A fresh module does not see it either: it was destroyed, and the next call need not ask.
                            self.keys.forget(name);
                        }
                        return Err(fault.into_error());
                    }
                },
            }
        }
    }

    /// Runs the operation once, for the opening of a store: whoever opens wants to hear what is wrong, not to wait.
    pub(crate) fn run_once<T>(&self, operation: impl Fn(&Call<'_>) -> Result<T, Fault>) -> Result<T, KeyStoreError> {
        let permit = self.pool.permit()?;
        self.attempt(&permit, Rung::AsIs, &mut Epoch::default(), &operation).map_err(Fault::into_error)
    }

    fn attempt<T>(
        &self,
        permit: &Permit<'_>,
        rung: Rung,
        seen: &mut Epoch,
        operation: impl Fn(&Call<'_>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        if rung > Rung::AsIs {
            tracing::warn!(?rung, "recovering from a token failure");
            self.keys.clear();
        }
        match rung {
            Rung::AsIs | Rung::NewSession => {}
            Rung::LogIn => self.login.forget(*seen),
            Rung::Initialise => self.module.reinitialise(seen.generation)?,
        }
        let entered = self.module.enter();
        seen.generation = entered.generation();
        let (slot, epoch) = self.login.ensure(&entered)?;
        *seen = epoch;
        let session = permit.session(&entered, slot, epoch, rung)?;
        let result = operation(&Call { session: &session, keys: &self.keys, epoch });
        match &result {
            // A refused request leaves the session as good as new; anything else makes it suspect.
            Ok(_) | Err(Fault::Final(_)) => permit.keep(epoch, session),
            Err(_) => permit.discard(&entered, epoch, session),
        }
        result
    }

    fn close(&self, fault: &Fault) -> KeyStoreError {
        let retry_after = self.backoff().close(Instant::now());
        let code = match fault {
            Fault::Token(error) => code_name(error),
            Fault::NotLoggedIn => "not logged in".into(),
            Fault::Final(_) | Fault::NoToken(_) | Fault::Vanished(_) => "no such token".into(),
        };
        tracing::error!(
            code,
            retry_after_seconds = retry_after.as_secs(),
            "the token cannot be recovered; failing closed"
        );
        KeyStoreError::Unavailable { retry_after }
    }

    fn backoff(&self) -> std::sync::MutexGuard<'_, Backoff> {
        self.backoff.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
