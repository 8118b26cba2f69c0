//! A PKCS#11 library as the process sees it: loaded once, initialised once, re-initialised by one thread alone.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};

use crate::error::KeyStoreError;

/// Modules stay loaded and initialised until the process ends: unloading one that started threads is not safe, and
/// C_Finalize would take it away from every other store of the process.
static LOADED: Mutex<BTreeMap<PathBuf, Arc<Module>>> = Mutex::new(BTreeMap::new());

/// A loaded module, shared by all stores of the process that use one of its tokens.
pub(crate) struct Module {
    pkcs11: Pkcs11,
    /// Counts initialisations. Held for reading during every call and for writing while re-initialising.
    generation: RwLock<u64>,
}

/// The right to call the module; while it is held nobody re-initialises it.
pub(crate) struct Entered<'a> {
    pkcs11: &'a Pkcs11,
    generation: RwLockReadGuard<'a, u64>,
}

impl Module {
    /// Loads and initialises the module, or returns it if the process has it already.
    pub(crate) fn load(path: &Path) -> Result<Arc<Self>, KeyStoreError> {
        let failed = |reason| KeyStoreError::Module { path: path.to_owned(), reason };
        // A bare name would be searched for in LD_LIBRARY_PATH, where a PIN thief could put his own.
        if !path.is_absolute() {
            return Err(failed("the path is not absolute"));
        }
        let path = path.canonicalize().map_err(|_| failed("no such file"))?;
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(module) = loaded.get(&path) {
            return Ok(Arc::clone(module));
        }
        let pkcs11 = Pkcs11::new(&path).map_err(|_| failed("not a PKCS#11 module"))?;
        initialise(&pkcs11).map_err(|_| failed("it refused to initialise; is its own configuration in place?"))?;
        let module = Arc::new(Self { pkcs11, generation: RwLock::new(1) });
        loaded.insert(path, Arc::clone(&module));
        Ok(module)
    }

    /// Enters the module for calls.
    pub(crate) fn enter(&self) -> Entered<'_> {
        let generation = self.generation.read().unwrap_or_else(PoisonError::into_inner);
        Entered { pkcs11: &self.pkcs11, generation }
    }

    /// Finalises and initialises the module unless somebody did so since generation `seen`. Waits for calls to end.
    pub(crate) fn reinitialise(&self, seen: u64) -> Result<(), Error> {
        let mut generation = self.generation.write().unwrap_or_else(PoisonError::into_inner);
        if *generation != seen {
            return Ok(());
        }
        tracing::warn!("re-initialising the PKCS#11 module");
        // Whatever happens below, sessions and handles of the old generation are gone.
        *generation += 1;
        match self.pkcs11.clone().finalize() {
            Ok(()) | Err(Error::Pkcs11(RvError::CryptokiNotInitialized, _)) => {}
            Err(error) => tracing::warn!(code = super::fault::code_name(&error), "the module does not finalise"),
        }
        initialise(&self.pkcs11)
    }
}

impl Entered<'_> {
    pub(crate) fn pkcs11(&self) -> &Pkcs11 {
        self.pkcs11
    }

    pub(crate) fn generation(&self) -> u64 {
        *self.generation
    }
}

fn initialise(pkcs11: &Pkcs11) -> Result<(), Error> {
    match pkcs11.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(path: &str) -> &'static str {
        match Module::load(Path::new(path)) {
            Err(KeyStoreError::Module { reason, .. }) => reason,
            _ => "loaded",
        }
    }

    #[test]
    fn what_is_no_module_is_refused() {
        assert_eq!(reason("libsofthsm2.so"), "the path is not absolute");
        assert_eq!(reason("/nonexistent/module.so"), "no such file");
        assert_eq!(reason("/etc/hostname"), "not a PKCS#11 module");
    }
}
