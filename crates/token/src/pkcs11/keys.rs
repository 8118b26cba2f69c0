//! Keys on the token: making, finding, checking and destroying them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use cresset_protocol::signing::{MlDsa65PublicKey, MlDsa87PublicKey, P384PublicKey};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, MlDsaParameterSetType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, SessionState};

use crate::ec_point::ec_point;
use crate::error::KeyStoreError;
use crate::file::keys::wrong_kind;
use crate::keystore::KeyName;
use crate::kind::KeyKind;
use crate::pkcs11::fault::Fault;
use crate::pkcs11::ladder::Call;
use crate::pkcs11::login::Epoch;
use crate::pkcs11::profile::{OptionalAttribute, Profile};

/// DER of the object identifier 1.3.132.0.34, secp384r1.
const P384_OID: [u8; 7] = [0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22];
/// AES-256.
const WRAPPING_KEY_BYTES: u64 = 32;

/// A key on the token.
#[derive(Clone)]
pub(crate) struct TokenKey {
    /// Private or secret key.
    pub(crate) handle: ObjectHandle,
    pub(crate) public: PublicHalf,
}

/// The public half, which also says the kind.
#[derive(Clone)]
pub(crate) enum PublicHalf {
    P384(P384PublicKey),
    MlDsa65(MlDsa65PublicKey),
    MlDsa87(MlDsa87PublicKey),
    /// A wrapping key has none.
    Wrapping,
}

impl PublicHalf {
    fn kind(&self) -> KeyKind {
        match self {
            Self::P384(_) => KeyKind::P384,
            Self::MlDsa65(_) => KeyKind::MlDsa65,
            Self::MlDsa87(_) => KeyKind::MlDsa87,
            Self::Wrapping => KeyKind::Wrapping,
        }
    }
}

/// Keys found before. Handles are good for one epoch.
#[derive(Default)]
pub(crate) struct KeyCache {
    found: Mutex<BTreeMap<KeyName, (Epoch, TokenKey)>>,
    /// Names seen before, whatever became of their handles.
    known: Mutex<BTreeSet<KeyName>>,
}

impl KeyCache {
    pub(crate) fn clear(&self) {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Stops expecting the key.
    pub(crate) fn forget(&self, name: &KeyName) {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    fn knows(&self, name: &KeyName) -> bool {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).contains(name)
    }

    fn get(&self, epoch: Epoch, name: &KeyName) -> Option<TokenKey> {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.get(name).filter(|(of, _)| *of == epoch).map(|(_, key)| key.clone())
    }

    fn put(&self, epoch: Epoch, name: &KeyName, key: TokenKey) {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone(), (epoch, key));
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone());
    }
}

impl Call<'_> {
    /// The named key, which must be of the kind.
    pub(crate) fn key(&self, name: &KeyName, kind: KeyKind) -> Result<TokenKey, Fault> {
        let key = match self.keys.get(self.epoch, name) {
            Some(key) => key,
            None => {
                let key = find(self.session, name).map_err(|fault| match fault {
                    Fault::Final(KeyStoreError::NotFound { .. }) if self.keys.knows(name) => {
                        Fault::Vanished(name.clone())
                    }
                    fault => fault,
                })?;
                self.keys.put(self.epoch, name, key.clone());
                key
            }
        };
        if key.public.kind() == kind { Ok(key) } else { Err(Fault::Final(wrong_kind(name, kind))) }
    }

    /// Makes a key, unless the name is taken.
    pub(crate) fn generate(&self, name: &KeyName, kind: KeyKind, profile: &Profile) -> Result<(), Fault> {
        if !objects(self.session, name)?.is_empty() {
            return Err(Fault::Final(KeyStoreError::AlreadyExists { name: name.as_str().to_owned() }));
        }
        logged_in(self.session)?;
        let public = public_template(name, kind);
        let private = private_template(name, kind, profile);
        match kind {
            KeyKind::P384 => self.session.generate_key_pair(&Mechanism::EccKeyPairGen, &public, &private).map(drop)?,
            KeyKind::MlDsa65 | KeyKind::MlDsa87 => {
                self.session.generate_key_pair(&Mechanism::MlDsaKeyPairGen, &public, &private).map(drop)?;
            }
            KeyKind::Wrapping => self.session.generate_key(&Mechanism::AesKeyGen, &private).map(drop)?,
        }
        // Reading it back checks what the token really made of the template.
        match self.key(name, kind) {
            Err(Fault::Final(error)) => {
                self.destroy(name)?;
                Err(Fault::Final(error))
            }
            other => other.map(drop),
        }
    }

    /// Destroys every key object of that name. Other objects, such as certificates, stay.
    pub(crate) fn destroy(&self, name: &KeyName) -> Result<(), Fault> {
        let found = objects(self.session, name)?;
        if found.is_empty() {
            // Without a login private keys are invisible, and "nothing to destroy" would be a lie.
            logged_in(self.session)?;
        }
        for object in found {
            self.session.destroy_object(object)?;
        }
        self.keys.forget(name);
        Ok(())
    }
}

fn find(session: &Session, name: &KeyName) -> Result<TokenKey, Fault> {
    let secret = objects_of(session, name, ObjectClass::SECRET_KEY)?;
    let private = objects_of(session, name, ObjectClass::PRIVATE_KEY)?;
    let (handle, public) = match (private.as_slice(), secret.as_slice()) {
        ([], []) => {
            logged_in(session)?;
            return Err(Fault::Final(KeyStoreError::NotFound { name: name.as_str().to_owned() }));
        }
        ([handle], []) => (*handle, public_half(session, name)?),
        ([], [handle]) => (*handle, wrapping_half(session, name, *handle)?),
        _ => return Err(Fault::Final(KeyStoreError::Ambiguous { name: name.as_str().to_owned() })),
    };
    check_protection(session, name, handle)?;
    Ok(TokenKey { handle, public })
}

fn public_half(session: &Session, name: &KeyName) -> Result<PublicHalf, Fault> {
    let faulty = || Fault::Final(KeyStoreError::Faulty { name: name.as_str().to_owned(), what: "public key" });
    let object = match objects_of(session, name, ObjectClass::PUBLIC_KEY)?.as_slice() {
        [object] => *object,
        [] => return Err(faulty()),
        _ => return Err(Fault::Final(KeyStoreError::Ambiguous { name: name.as_str().to_owned() })),
    };
    if key_type(session, object)? == Some(KeyType::EC) {
        let value = bytes_of(session, object, AttributeType::EcPoint)?;
        return ec_point(&value).map(PublicHalf::P384).ok_or_else(faulty);
    }
    let value = bytes_of(session, object, AttributeType::Value)?;
    if let Ok(key) = MlDsa65PublicKey::try_from(value.as_slice()) {
        return Ok(PublicHalf::MlDsa65(key));
    }
    MlDsa87PublicKey::try_from(value.as_slice()).map(PublicHalf::MlDsa87).map_err(|_| faulty())
}

fn wrapping_half(session: &Session, name: &KeyName, handle: ObjectHandle) -> Result<PublicHalf, Fault> {
    match key_type(session, handle)? {
        Some(KeyType::AES) => Ok(PublicHalf::Wrapping),
        _ => Err(Fault::Final(wrong_kind(name, KeyKind::Wrapping))),
    }
}

/// A key that can be read out is no better than a file, and looks like more.
fn check_protection(session: &Session, name: &KeyName, handle: ObjectHandle) -> Result<(), Fault> {
    let attributes = session.get_attributes(handle, &[AttributeType::Sensitive, AttributeType::Extractable])?;
    if attributes.contains(&Attribute::Sensitive(true)) && attributes.contains(&Attribute::Extractable(false)) {
        return Ok(());
    }
    Err(Fault::Final(KeyStoreError::Unprotected { name: name.as_str().to_owned() }))
}

/// Tells "there is no such key" from "we may not see it": private objects are hidden without a login.
fn logged_in(session: &Session) -> Result<(), Fault> {
    match session.get_session_info()?.session_state() {
        SessionState::RwUser | SessionState::RoUser => Ok(()),
        _ => Err(Fault::NotLoggedIn),
    }
}

fn objects(session: &Session, name: &KeyName) -> Result<Vec<ObjectHandle>, Fault> {
    let mut found = Vec::new();
    for class in [ObjectClass::PRIVATE_KEY, ObjectClass::SECRET_KEY, ObjectClass::PUBLIC_KEY] {
        found.extend(objects_of(session, name, class)?);
    }
    Ok(found)
}

fn objects_of(session: &Session, name: &KeyName, class: ObjectClass) -> Result<Vec<ObjectHandle>, Fault> {
    let id = name.as_str().as_bytes().to_vec();
    Ok(session.find_objects(&[Attribute::Token(true), Attribute::Class(class), Attribute::Id(id)])?)
}

fn key_type(session: &Session, object: ObjectHandle) -> Result<Option<KeyType>, Fault> {
    let attributes = session.get_attributes(object, &[AttributeType::KeyType])?;
    Ok(attributes.into_iter().find_map(|attribute| match attribute {
        Attribute::KeyType(key_type) => Some(key_type),
        _ => None,
    }))
}

fn bytes_of(session: &Session, object: ObjectHandle, wanted: AttributeType) -> Result<Vec<u8>, Fault> {
    let attributes = session.get_attributes(object, &[wanted])?;
    Ok(attributes
        .into_iter()
        .find_map(|attribute| match attribute {
            Attribute::EcPoint(value) | Attribute::Value(value) => Some(value),
            _ => None,
        })
        .unwrap_or_default())
}

fn public_template(name: &KeyName, kind: KeyKind) -> Vec<Attribute> {
    let mut template = named(name);
    template.extend([Attribute::Private(false), Attribute::Verify(true)]);
    match kind {
        KeyKind::P384 => template.push(Attribute::EcParams(P384_OID.to_vec())),
        KeyKind::MlDsa65 => template.push(Attribute::ParameterSet(MlDsaParameterSetType::ML_DSA_65.into())),
        KeyKind::MlDsa87 => template.push(Attribute::ParameterSet(MlDsaParameterSetType::ML_DSA_87.into())),
        KeyKind::Wrapping => {}
    }
    template
}

fn private_template(name: &KeyName, kind: KeyKind, profile: &Profile) -> Vec<Attribute> {
    let mut template = named(name);
    template.extend([Attribute::Private(true), Attribute::Sensitive(true), Attribute::Extractable(false)]);
    if kind == KeyKind::Wrapping {
        // Encrypts bytes only: with CKA_WRAP it could export other keys of the token under itself.
        template.extend([
            Attribute::ValueLen(WRAPPING_KEY_BYTES.into()),
            Attribute::Encrypt(true),
            Attribute::Decrypt(true),
        ]);
        template.extend(profile.keeps(OptionalAttribute::Wrap).then_some(Attribute::Wrap(false)));
        template.extend(profile.keeps(OptionalAttribute::Unwrap).then_some(Attribute::Unwrap(false)));
        return template;
    }
    template.push(Attribute::Sign(true));
    if kind == KeyKind::P384 {
        // A signing key that also does key agreement is a second use of one key.
        template.extend(profile.keeps(OptionalAttribute::Derive).then_some(Attribute::Derive(false)));
    }
    template
}

fn named(name: &KeyName) -> Vec<Attribute> {
    let bytes = name.as_str().as_bytes().to_vec();
    vec![Attribute::Token(true), Attribute::Label(bytes.clone()), Attribute::Id(bytes)]
}
