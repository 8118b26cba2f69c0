//! The one key exchange between hubs: TLS group SecP384r1MLKEM1024 (0x11ed), which rustls 0.23 does not ship.
//!
//! Both shares are the P-384 point (97 bytes) followed by the ML-KEM-1024 part (key 1,568 bytes from the client,
//! ciphertext 1,568 bytes from the server); the secret is the ECDH x coordinate followed by the ML-KEM secret.

use rustls::crypto::aws_lc_rs::kx_group::{MLKEM1024, SECP384R1};
use rustls::crypto::{ActiveKeyExchange, CompletedKeyExchange, SharedSecret, SupportedKxGroup};
use rustls::ffdhe_groups::FfdheGroup;
use rustls::{Error, NamedGroup, PeerMisbehaved, ProtocolVersion};

/// Code point of the group.
pub(crate) const GROUP_CODE: u16 = 0x11ed;

/// The group, for a provider's list.
pub(crate) static SECP384R1_MLKEM1024: &dyn SupportedKxGroup = &SecP384r1MlKem1024;

const POINT_BYTES: usize = 97;
/// ML-KEM-1024 keys and ciphertexts have the same length.
const MLKEM1024_BYTES: usize = 1_568;
const BAD_SHARE: Error = Error::PeerMisbehaved(PeerMisbehaved::InvalidKeyShare);

#[derive(Debug)]
struct SecP384r1MlKem1024;

impl SupportedKxGroup for SecP384r1MlKem1024 {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        let (ecdh, kem) = (SECP384R1.start()?, MLKEM1024.start()?);
        let share = [ecdh.pub_key(), kem.pub_key()].concat();
        Ok(Box::new(Active { ecdh, kem, share }))
    }

    fn start_and_complete(&self, peer_share: &[u8]) -> Result<CompletedKeyExchange, Error> {
        let (point, kem_key) = split(peer_share)?;
        let ecdh = SECP384R1.start_and_complete(point)?;
        let kem = MLKEM1024.start_and_complete(kem_key)?;
        Ok(CompletedKeyExchange {
            group: self.name(),
            pub_key: [ecdh.pub_key.as_slice(), kem.pub_key.as_slice()].concat(),
            secret: combine(&ecdh.secret, &kem.secret),
        })
    }

    fn ffdhe_group(&self) -> Option<FfdheGroup<'static>> {
        None
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::from(GROUP_CODE)
    }

    fn usable_for_version(&self, version: ProtocolVersion) -> bool {
        version == ProtocolVersion::TLSv1_3
    }
}

struct Active {
    ecdh: Box<dyn ActiveKeyExchange>,
    kem: Box<dyn ActiveKeyExchange>,
    share: Vec<u8>,
}

impl ActiveKeyExchange for Active {
    fn complete(self: Box<Self>, peer_share: &[u8]) -> Result<SharedSecret, Error> {
        let (point, ciphertext) = split(peer_share)?;
        let (ecdh, kem) = (self.ecdh.complete(point)?, self.kem.complete(ciphertext)?);
        Ok(combine(&ecdh, &kem))
    }

    // `hybrid_component` stays `None`: offering the classical half alone would be a classical path.

    fn pub_key(&self) -> &[u8] {
        &self.share
    }

    fn ffdhe_group(&self) -> Option<FfdheGroup<'static>> {
        None
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::from(GROUP_CODE)
    }
}

fn split(share: &[u8]) -> Result<(&[u8], &[u8]), Error> {
    if share.len() != POINT_BYTES + MLKEM1024_BYTES {
        return Err(BAD_SHARE);
    }
    share.split_at_checked(POINT_BYTES).ok_or(BAD_SHARE)
}

fn combine(ecdh: &SharedSecret, kem: &SharedSecret) -> SharedSecret {
    // `SharedSecret` wipes itself, and takes the vector without copying it.
    SharedSecret::from([ecdh.secret_bytes(), kem.secret_bytes()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_agree_and_shares_have_the_registered_lengths() {
        let client = SECP384R1_MLKEM1024.start().unwrap();
        assert_eq!(client.pub_key().len(), 1_665);
        let server = SECP384R1_MLKEM1024.start_and_complete(client.pub_key()).unwrap();
        assert_eq!(server.pub_key.len(), 1_665);
        let secret = client.complete(&server.pub_key).unwrap();
        assert_eq!(secret.secret_bytes().len(), 48 + 32);
        assert_eq!(secret.secret_bytes(), server.secret.secret_bytes());
    }

    #[test]
    fn a_share_of_another_length_is_refused() {
        let share = SECP384R1_MLKEM1024.start().unwrap().pub_key().to_vec();
        for len in [0, POINT_BYTES, MLKEM1024_BYTES, share.len() - 1] {
            assert!(SECP384R1_MLKEM1024.start_and_complete(&share[..len]).is_err(), "{len}");
        }
        assert!(SECP384R1_MLKEM1024.start().unwrap().hybrid_component().is_none());
    }
}
