//! Keys on a PKCS#11 token.

mod backoff;
mod fault;
pub mod init;
mod keys;
mod ladder;
mod login;
mod module;
mod pool;
mod profile;
mod wrapping;

use std::sync::Arc;

use aws_lc_rs::digest::{SHA384, digest};
use cresset_protocol::membership::roster::PqCustody;
use cresset_protocol::signing::{
    MlDsa65PublicKey, MlDsa65Signature, MlDsa87PublicKey, MlDsa87Signature, P384PublicKey, P384Signature,
};
use cryptoki::mechanism::dsa::{HedgeType, SignAdditionalContext};
use cryptoki::mechanism::{Mechanism, MechanismType};
use zeroize::Zeroizing;

use crate::config::Pkcs11Config;
use crate::error::KeyStoreError;
use crate::file::keys::{KeyFiles, wrong_kind};
use crate::keystore::{KeyName, KeyStore};
use crate::kind::KeyKind;
use crate::pin::Pin;
use crate::pkcs11::fault::Fault;
use crate::pkcs11::keys::PublicHalf;
use crate::pkcs11::ladder::Token;
use crate::pkcs11::login::{Login, find_token};
use crate::pkcs11::module::{Entered, Module};
use crate::pkcs11::profile::{MlDsaUse, Profile};
use crate::release;
use crate::software::{SoftwareKey, WrappedParts, check_wrap_lengths};

/// Token key that wraps the ML-DSA keys of a token without ML-DSA. Made when first needed.
const SOFTWARE_KEYS: &str = "software-keys";

/// A token. Several stores of one process may use tokens of the same module; each token should have one store.
pub struct Pkcs11KeyStore {
    token: Token,
    profile: Profile,
    pq: PqKeys,
}

/// Where ML-DSA keys are.
enum PqKeys {
    OnToken,
    Wrapped(KeyFiles),
    Nowhere,
}

impl Pkcs11KeyStore {
    /// Loads the module, finds the token and logs in once.
    ///
    /// # Errors
    /// [`KeyStoreError::Module`], [`KeyStoreError::NoToken`], [`KeyStoreError::PinRefused`] and whatever the token says.
    pub fn open(config: &Pkcs11Config, pin: Pin) -> Result<Self, KeyStoreError> {
        let module = Module::load(&config.module)?;
        let (profile, has_ml_dsa) = survey(&module.enter(), config).map_err(Fault::into_error)?;
        if !profile.tested {
            tracing::warn!(
                profile = profile.name,
                "no test suite ran against such a token; rehearse before relying on it"
            );
        }
        let pq = match (&config.software_keys, has_ml_dsa) {
            (_, true) => PqKeys::OnToken,
            (Some(directory), false) => PqKeys::Wrapped(KeyFiles::open(directory)?),
            (None, false) => PqKeys::Nowhere,
        };
        let login = Login::new(config.token.clone(), pin);
        let token = Token::new(module, login, config.sessions.unwrap_or(profile.sessions));
        token.run_once(|_| Ok(()))?;
        Ok(Self { token, profile, pq })
    }

    fn generate(&self, name: &KeyName, kind: KeyKind) -> Result<(), KeyStoreError> {
        if let PqKeys::Wrapped(files) = &self.pq
            && files.contains(name)?
        {
            return Err(KeyStoreError::AlreadyExists { name: name.as_str().to_owned() });
        }
        self.token.run(|call| call.generate(name, kind, &self.profile))
    }

    fn generate_pq(&self, name: &KeyName, kind: KeyKind) -> Result<(), KeyStoreError> {
        match &self.pq {
            PqKeys::OnToken => self.generate(name, kind),
            PqKeys::Nowhere => Err(no_ml_dsa()),
            PqKeys::Wrapped(files) => {
                self.token.run(|call| match call.key(name, kind) {
                    Err(Fault::Final(KeyStoreError::NotFound { .. })) => Ok(()),
                    Ok(_) | Err(Fault::Final(_)) => {
                        Err(Fault::Final(KeyStoreError::AlreadyExists { name: name.as_str().to_owned() }))
                    }
                    Err(fault) => Err(fault),
                })?;
                let wrapper = software_keys()?;
                match self.generate_wrapping(&wrapper) {
                    Ok(()) | Err(KeyStoreError::AlreadyExists { .. }) => {}
                    Err(error) => return Err(error),
                }
                let seal = |secret: Zeroizing<Vec<u8>>| {
                    self.wrap(&wrapper, &software_context(name, kind), &secret).map(Zeroizing::new)
                };
                files.generate(name, kind, seal)
            }
        }
    }

    fn public(&self, name: &KeyName, kind: KeyKind) -> Result<PublicHalf, KeyStoreError> {
        Ok(self.token.run(|call| call.key(name, kind))?.public)
    }

    /// The wrapped key in memory, or `None` when ML-DSA keys are on the token.
    fn wrapped(&self, name: &KeyName, kind: KeyKind) -> Result<Option<Arc<SoftwareKey>>, KeyStoreError> {
        match &self.pq {
            PqKeys::OnToken => Ok(None),
            PqKeys::Nowhere => Err(no_ml_dsa()),
            PqKeys::Wrapped(files) => {
                let wrapper = software_keys()?;
                let unseal =
                    |content: Zeroizing<Vec<u8>>| self.unwrap(&wrapper, &software_context(name, kind), &content);
                files.key(name, kind, unseal).map(Some)
            }
        }
    }

    fn sign_pq(&self, name: &KeyName, kind: KeyKind, message: &[u8]) -> Result<Vec<u8>, KeyStoreError> {
        if let Some(key) = self.wrapped(name, kind)? {
            return key.sign(message).ok_or_else(|| wrong_kind(name, kind))?;
        }
        self.token.run(|call| {
            let mechanism = Mechanism::MlDsa(SignAdditionalContext::new(HedgeType::Preferred, None));
            Ok(call.session.sign(&mechanism, call.key(name, kind)?.handle, message)?)
        })
    }
}

/// The profile and whether the token does ML-DSA.
fn survey(entered: &Entered<'_>, config: &Pkcs11Config) -> Result<(Profile, bool), Fault> {
    let profile = match &config.profile {
        Some(name) => Profile::named(name)?,
        None => Profile::for_manufacturer(entered.pkcs11().get_library_info()?.manufacturer_id())?,
    };
    let slot = find_token(entered, &config.token)?;
    let mechanisms = entered.pkcs11().get_mechanism_list(slot)?;
    let listed =
        mechanisms.contains(&MechanismType::ML_DSA) && mechanisms.contains(&MechanismType::ML_DSA_KEY_PAIR_GEN);
    Ok((profile.clone(), listed && profile.ml_dsa == MlDsaUse::WhenListed))
}

fn software_keys() -> Result<KeyName, KeyStoreError> {
    KeyName::new(SOFTWARE_KEYS)
}

/// Binds a wrapped key to its name and kind, so that files cannot be exchanged.
fn software_context(name: &KeyName, kind: KeyKind) -> Vec<u8> {
    format!("{} {}", kind.as_str(), name.as_str()).into_bytes()
}

fn no_ml_dsa() -> KeyStoreError {
    KeyStoreError::Unsupported { what: "ML-DSA and no directory for software keys" }
}

impl KeyStore for Pkcs11KeyStore {
    fn pq_custody(&self) -> PqCustody {
        match self.pq {
            PqKeys::OnToken => PqCustody::Token,
            PqKeys::Wrapped(_) | PqKeys::Nowhere => PqCustody::Software,
        }
    }

    fn generate_p384(&self, name: &KeyName) -> Result<P384PublicKey, KeyStoreError> {
        self.generate(name, KeyKind::P384)?;
        self.p384(name)
    }

    fn generate_ml_dsa_65(&self, name: &KeyName) -> Result<MlDsa65PublicKey, KeyStoreError> {
        self.generate_pq(name, KeyKind::MlDsa65)?;
        self.ml_dsa_65(name)
    }

    fn generate_ml_dsa_87(&self, name: &KeyName) -> Result<MlDsa87PublicKey, KeyStoreError> {
        self.generate_pq(name, KeyKind::MlDsa87)?;
        self.ml_dsa_87(name)
    }

    fn generate_wrapping(&self, name: &KeyName) -> Result<(), KeyStoreError> {
        self.generate(name, KeyKind::Wrapping)
    }

    fn p384(&self, name: &KeyName) -> Result<P384PublicKey, KeyStoreError> {
        match self.public(name, KeyKind::P384)? {
            PublicHalf::P384(key) => Ok(key),
            _ => Err(wrong_kind(name, KeyKind::P384)),
        }
    }

    fn ml_dsa_65(&self, name: &KeyName) -> Result<MlDsa65PublicKey, KeyStoreError> {
        if let Some(key) = self.wrapped(name, KeyKind::MlDsa65)? {
            return key.ml_dsa_65().ok_or_else(|| wrong_kind(name, KeyKind::MlDsa65));
        }
        match self.public(name, KeyKind::MlDsa65)? {
            PublicHalf::MlDsa65(key) => Ok(key),
            _ => Err(wrong_kind(name, KeyKind::MlDsa65)),
        }
    }

    fn ml_dsa_87(&self, name: &KeyName) -> Result<MlDsa87PublicKey, KeyStoreError> {
        if let Some(key) = self.wrapped(name, KeyKind::MlDsa87)? {
            return key.ml_dsa_87().ok_or_else(|| wrong_kind(name, KeyKind::MlDsa87));
        }
        match self.public(name, KeyKind::MlDsa87)? {
            PublicHalf::MlDsa87(key) => Ok(key),
            _ => Err(wrong_kind(name, KeyKind::MlDsa87)),
        }
    }

    fn sign_p384(&self, name: &KeyName, message: &[u8]) -> Result<P384Signature, KeyStoreError> {
        // Hashed here because SoftHSM has no CKM_ECDSA_SHA384.
        let hash = digest(&SHA384, message);
        let (public, raw) = self.token.run(|call| {
            let key = call.key(name, KeyKind::P384)?;
            Ok((key.public, call.session.sign(&Mechanism::Ecdsa, key.handle, hash.as_ref())?))
        })?;
        match public {
            PublicHalf::P384(public) => release::p384(name, &public, message, &raw),
            _ => Err(wrong_kind(name, KeyKind::P384)),
        }
    }

    fn sign_ml_dsa_65(&self, name: &KeyName, message: &[u8]) -> Result<MlDsa65Signature, KeyStoreError> {
        let raw = self.sign_pq(name, KeyKind::MlDsa65, message)?;
        release::ml_dsa_65(name, &self.ml_dsa_65(name)?, message, &raw)
    }

    fn sign_ml_dsa_87(&self, name: &KeyName, message: &[u8]) -> Result<MlDsa87Signature, KeyStoreError> {
        let raw = self.sign_pq(name, KeyKind::MlDsa87, message)?;
        release::ml_dsa_87(name, &self.ml_dsa_87(name)?, message, &raw)
    }

    fn wrap(&self, name: &KeyName, context: &[u8], secret: &[u8]) -> Result<Vec<u8>, KeyStoreError> {
        check_wrap_lengths(context, secret)?;
        self.token.run(|call| call.wrap(name, self.profile.gcm_nonce, context, secret))
    }

    fn unwrap(&self, name: &KeyName, context: &[u8], wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyStoreError> {
        let parts = WrappedParts::parse(wrapped)?;
        self.token.run(|call| call.unwrap(name, self.profile.gcm_nonce, context, &parts))
    }

    fn destroy(&self, name: &KeyName) -> Result<(), KeyStoreError> {
        if let PqKeys::Wrapped(files) = &self.pq {
            files.destroy(name)?;
        }
        self.token.run(|call| call.destroy(name))
    }
}
