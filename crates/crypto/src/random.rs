//! Random bytes from aws-lc's generator.

use thiserror::Error;
use zeroize::Zeroizing;

/// Fresh random bytes: identifiers, salts, nonces.
///
/// # Errors
/// [`RandomnessError`] if the operating system gives none.
pub fn random_bytes<const N: usize>() -> Result<[u8; N], RandomnessError> {
    let mut out = [0; N];
    fill(&mut out)?;
    Ok(out)
}

/// Fresh random bytes that are a secret.
///
/// # Errors
/// [`RandomnessError`] if the operating system gives none.
pub fn random_secret<const N: usize>() -> Result<Zeroizing<[u8; N]>, RandomnessError> {
    let mut out = Zeroizing::new([0; N]);
    fill(out.as_mut_slice())?;
    Ok(out)
}

pub(crate) fn fill(out: &mut [u8]) -> Result<(), RandomnessError> {
    aws_lc_rs::rand::fill(out).map_err(|_| RandomnessError)
}

/// The random generator failed; nothing may be encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the random generator failed")]
pub struct RandomnessError;
