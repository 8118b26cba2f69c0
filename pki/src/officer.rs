//! An officer: hybrid signing keys in the key store, an encryption key wrapped by it, a signing journal.

use cresset_crypto::EncryptionKeyPair;
use cresset_protocol::domain;
use cresset_protocol::ids::{ConsortiumId, RosterDigest, RosterVersion};
use cresset_protocol::membership::VerifiedRoster;
use cresset_protocol::membership::digest::roster_signing_bytes;
use cresset_protocol::membership::roster::{Officer, RosterSignature};
use cresset_protocol::signing::{OfficerKeys, OfficerSignatures};
use cresset_token::KeyName;

use crate::error::PkiError;
use crate::files;
use crate::journal::Journal;
use crate::keyholder::Keyholder;

const P384: &str = "officer-p384";
const ML_DSA: &str = "officer-ml-dsa";
const WRAP: &str = "wrap";
const ENCRYPTION_FILE: &str = "encryption.key";
const WRAPPED_BYTES_MAX: usize = 4 << 10;

/// Creates an officer's keys. Fails if any exists.
pub(crate) fn create(holder: &Keyholder) -> Result<Officer, PkiError> {
    let role = holder.role()?.to_owned();
    let path = holder.directory.join(ENCRYPTION_FILE);
    files::must_be_new(&path)?;
    let keys = OfficerKeys {
        p384: holder.store.generate_p384(&KeyName::new(P384)?)?,
        ml_dsa_87: holder.store.generate_ml_dsa_87(&KeyName::new(ML_DSA)?)?,
    };
    let wrap = KeyName::new(WRAP)?;
    holder.store.generate_wrapping(&wrap)?;
    let pair = EncryptionKeyPair::generate()?;
    let wrapped = holder.store.wrap(&wrap, &wrap_context(&role), pair.to_secret_bytes().as_slice())?;
    files::write_secret(&path, &wrapped)?;
    Ok(Officer { role, keys, encryption: pair.public().clone() })
}

/// Signs a roster version, after the journal has noted it.
pub(crate) fn sign_roster(
    holder: &Keyholder,
    consortium: &ConsortiumId,
    version: RosterVersion,
    digest: RosterDigest,
) -> Result<RosterSignature, PkiError> {
    let role = holder.role()?.to_owned();
    let mut journal = Journal::open(&holder.directory)?;
    journal.commit(version, digest)?;
    let signatures = sign(holder, &roster_signing_bytes(consortium, version, &digest))?;
    // Held until here: whoever else signs for this officer has to read what was noted.
    drop(journal);
    Ok(RosterSignature { role, signatures })
}

/// Both halves over a message that starts with a domain separator.
pub(crate) fn sign(holder: &Keyholder, message: &[u8]) -> Result<OfficerSignatures, PkiError> {
    Ok(OfficerSignatures {
        p384: holder.store.sign_p384(&KeyName::new(P384)?, message)?,
        ml_dsa_87: holder.store.sign_ml_dsa_87(&KeyName::new(ML_DSA)?, message)?,
    })
}

/// Refuses to work for a roster that does not list this officer with the keys of this store.
pub(crate) fn check_seat(holder: &Keyholder, roster: &VerifiedRoster) -> Result<(), PkiError> {
    let role = holder.role()?;
    let stranger = || PkiError::NotAnOfficer { role: role.to_owned() };
    let officer = roster.body().officers.iter().find(|officer| officer.role == role).ok_or_else(stranger)?;
    let p384 = holder.store.p384(&KeyName::new(P384)?)?;
    let ml_dsa_87 = holder.store.ml_dsa_87(&KeyName::new(ML_DSA)?)?;
    if officer.keys == (OfficerKeys { p384, ml_dsa_87 }) { Ok(()) } else { Err(stranger()) }
}

/// The officer's encryption key pair, for group documents.
pub(crate) fn encryption_key(holder: &Keyholder) -> Result<EncryptionKeyPair, PkiError> {
    let wrapped = files::read(&holder.directory.join(ENCRYPTION_FILE), WRAPPED_BYTES_MAX)?;
    let secret = holder.store.unwrap(&KeyName::new(WRAP)?, &wrap_context(holder.role()?), &wrapped)?;
    Ok(EncryptionKeyPair::from_secret_bytes(&secret)?)
}

fn wrap_context(role: &str) -> Vec<u8> {
    domain::KEY_WRAP.message(&[b"officer ", role.as_bytes()])
}
