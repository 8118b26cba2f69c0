//! Giving an empty token its label and PINs: for test networks, demonstrations and the first step of an enrolment.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use cryptoki::session::UserType;
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;

use crate::config::TokenSelector;
use crate::error::KeyStoreError;
use crate::pin::Pin;
use crate::pkcs11::fault::Fault;
use crate::pkcs11::login::find_token;
use crate::pkcs11::module::{Entered, Module};

/// An empty token and what it is to become.
pub struct InitToken<'a> {
    /// Absolute path of the module.
    pub module: &'a Path,
    /// Slot of the empty token; the first empty one when absent.
    pub slot: Option<u64>,
    /// Label, at most 32 bytes, not yet used by a token of the module.
    pub label: &'a str,
    /// PIN of the security officer, who can only reset the user PIN.
    pub so_pin: &'a Pin,
    /// PIN that the hub logs in with.
    pub user_pin: &'a Pin,
}

/// A token ready for use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitialisedToken {
    /// Its slot now. Some modules give a token a new slot when it is initialised, so prefer the label.
    pub slot: u64,
    /// Its serial number.
    pub serial: String,
}

/// Initialises an empty token. One that holds anything is never touched.
///
/// # Errors
/// [`KeyStoreError::TokenInUse`] when the token is initialised already, [`KeyStoreError::NoToken`] when there is no empty
/// one, [`KeyStoreError::AmbiguousToken`] when the label is taken.
pub fn init_token(request: &InitToken<'_>) -> Result<InitialisedToken, KeyStoreError> {
    let module = Module::load(request.module)?;
    initialise(&module.enter(), request).map_err(Fault::into_error)
}

/// The configuration file of a software token: slot numbers and the database file of each.
///
/// `KRYOPTIC_CONF` must name the file when the process starts. A process has one such file, so whoever needs several
/// tokens lists several slots.
pub fn softtoken_configuration(slots: &[(u32, PathBuf)]) -> String {
    let mut text = String::new();
    for (slot, database) in slots {
        let path = database.display().to_string().replace('\\', "\\\\").replace('"', "\\\"");
        // Writing to a string does not fail.
        let _ = writeln!(text, "[[slots]]\nslot = {slot}\ndbtype = \"sqlite\"\ndbargs = \"{path}\"\n");
    }
    text
}

fn initialise(entered: &Entered<'_>, request: &InitToken<'_>) -> Result<InitialisedToken, Fault> {
    let selector = TokenSelector::Label(request.label.to_owned());
    match find_token(entered, &selector) {
        Err(Fault::NoToken(_)) => {}
        Err(fault) => return Err(fault),
        Ok(_) => return Err(Fault::Final(KeyStoreError::AmbiguousToken { selector: selector.to_string() })),
    }
    let slot = empty_slot(entered, request.slot)?;
    entered.pkcs11().init_token(slot, &auth(request.so_pin), request.label)?;
    let slot = find_token(entered, &selector)?;
    let session = entered.pkcs11().open_rw_session(slot)?;
    session.login(UserType::So, Some(&auth(request.so_pin)))?;
    session.init_pin(&auth(request.user_pin))?;
    session.logout()?;
    let serial = entered.pkcs11().get_token_info(slot)?.serial_number().to_owned();
    Ok(InitialisedToken { slot: slot.id(), serial })
}

fn empty_slot(entered: &Entered<'_>, wanted: Option<u64>) -> Result<Slot, Fault> {
    if let Some(id) = wanted {
        let selector = TokenSelector::Slot(id);
        let slot = find_token(entered, &selector)?;
        if entered.pkcs11().get_token_info(slot)?.token_initialized() {
            return Err(Fault::Final(KeyStoreError::TokenInUse { selector: selector.to_string() }));
        }
        return Ok(slot);
    }
    for slot in entered.pkcs11().get_slots_with_token()? {
        if !entered.pkcs11().get_token_info(slot)?.token_initialized() {
            return Ok(slot);
        }
    }
    Err(Fault::Final(KeyStoreError::NoToken { selector: "an empty slot".into() }))
}

fn auth(pin: &Pin) -> AuthPin {
    AuthPin::new(pin.expose().into())
}
