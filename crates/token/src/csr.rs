//! What a hub signs to be enrolled: the PKCS#10 request of its TLS key and the proofs of possession.
//!
//! The request holds a name, the key and a signature, no extension: an issuer takes nothing but the key from it.

use cresset_protocol::membership::digest::p384_spki;
use cresset_protocol::membership::enrolment::{EnrolmentBody, EnrolmentRequest, Possession, possession_bytes};
use cresset_protocol::signing::{LogSignatures, P384Signature};

use crate::error::KeyStoreError;
use crate::keystore::{KeyName, KeyStore};

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const UTF8_STRING: u8 = 0x0c;
const NO_ATTRIBUTES: [u8; 2] = [0xa0, 0x00];
/// OBJECT IDENTIFIER 2.5.4.3, commonName.
const COMMON_NAME: [u8; 5] = [0x06, 0x03, 0x55, 0x04, 0x03];
/// AlgorithmIdentifier of ecdsa-with-SHA384 (RFC 5758), without parameters.
const ECDSA_WITH_SHA384: [u8; 12] = [0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03];

/// Names of a hub's keys in its key store.
#[derive(Clone, Debug)]
pub struct HubKeyNames {
    /// TLS key (P-384).
    pub tls: KeyName,
    /// Authentication key (ML-DSA-65).
    pub authentication: KeyName,
    /// Log key, P-384 half.
    pub log_p384: KeyName,
    /// Log key, ML-DSA-65 half.
    pub log_ml_dsa: KeyName,
    /// Wrapping key (AES-256) of encryption and data keys.
    pub wrapping: KeyName,
}

impl HubKeyNames {
    /// The names that every hub uses: `tls`, `auth`, `log-p384`, `log-ml-dsa`, `wrap`.
    ///
    /// # Errors
    /// Never for these names; the checked constructor is the only one.
    pub fn standard() -> Result<Self, KeyStoreError> {
        Ok(Self {
            tls: KeyName::new("tls")?,
            authentication: KeyName::new("auth")?,
            log_p384: KeyName::new("log-p384")?,
            log_ml_dsa: KeyName::new("log-ml-dsa")?,
            wrapping: KeyName::new("wrap")?,
        })
    }
}

/// PKCS#10 request (RFC 2986), DER, for a P-384 key with the domain as its common name.
///
/// # Errors
/// As [`KeyStore::sign_p384`].
pub fn certificate_request(store: &dyn KeyStore, key: &KeyName, domain: &str) -> Result<Vec<u8>, KeyStoreError> {
    let public = store.p384(key)?;
    let common_name = tlv(SEQUENCE, &[&COMMON_NAME, &tlv(UTF8_STRING, &[domain.as_bytes()])]);
    let subject = tlv(SEQUENCE, &[&tlv(SET, &[&common_name])]);
    let info = tlv(SEQUENCE, &[&tlv(INTEGER, &[&[0]]), &subject, &p384_spki(&public), &NO_ATTRIBUTES]);
    let signature = p384_signature_der(&store.sign_p384(key, &info)?);
    Ok(tlv(SEQUENCE, &[&info, &ECDSA_WITH_SHA384, &tlv(BIT_STRING, &[&[0], &signature])]))
}

/// Signs the request's digest with every signing key of the hub.
///
/// # Errors
/// As the key store's.
pub fn prove_possession(
    store: &dyn KeyStore,
    names: &HubKeyNames,
    body: &EnrolmentBody,
) -> Result<EnrolmentRequest, KeyStoreError> {
    let message = possession_bytes(&body.digest());
    let possession = Possession {
        tls: store.sign_p384(&names.tls, &message)?,
        authentication: store.sign_ml_dsa_65(&names.authentication, &message)?,
        log: LogSignatures {
            p384: store.sign_p384(&names.log_p384, &message)?,
            ml_dsa_65: store.sign_ml_dsa_65(&names.log_ml_dsa, &message)?,
        },
    };
    Ok(body.with_possession(possession))
}

/// ECDSA-Sig-Value (RFC 3279): SEQUENCE of r and s, the form that X.509 and TLS use.
pub fn p384_signature_der(signature: &P384Signature) -> Vec<u8> {
    let (r, s) = signature.as_bytes().split_at(P384Signature::LEN / 2);
    tlv(SEQUENCE, &[&unsigned(r), &unsigned(s)])
}

/// INTEGER of a big-endian number: no leading zeros but the one that keeps it positive.
fn unsigned(bytes: &[u8]) -> Vec<u8> {
    let first = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len().saturating_sub(1));
    let digits = bytes.get(first..).unwrap_or_default();
    let sign: &[u8] = if digits.first().is_some_and(|byte| *byte & 0x80 != 0) { &[0] } else { &[] };
    tlv(INTEGER, &[sign, digits])
}

fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let len: usize = parts.iter().map(|part| part.len()).sum();
    let mut out = vec![tag];
    match len {
        0..=0x7f => out.push(len as u8),
        0x80..=0xff => out.extend([0x81, len as u8]),
        _ => out.extend([0x82, (len >> 8) as u8, len as u8]),
    }
    parts.iter().for_each(|part| out.extend_from_slice(part));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_minimal_and_positive() {
        assert_eq!(unsigned(&[0, 0, 1]), [2, 1, 1]);
        assert_eq!(unsigned(&[0, 0x80]), [2, 2, 0, 0x80]);
        assert_eq!(unsigned(&[0, 0]), [2, 1, 0]);
    }

    #[test]
    fn lengths_take_their_shortest_form() {
        assert_eq!(tlv(4, &[&[0; 127]])[..2], [4, 127]);
        assert_eq!(tlv(4, &[&[0; 128]])[..3], [4, 0x81, 128]);
        assert_eq!(tlv(4, &[&[0; 300]])[..4], [4, 0x82, 1, 44]);
    }
}
