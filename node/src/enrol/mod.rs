//! Joining a consortium: the request that goes out to the officers, and the welcome that comes back.

pub(crate) mod finish;
#[cfg(test)]
mod finish_tests;
pub(crate) mod recovery;
pub(crate) mod request;

use cresset_crypto::{HpkeError, RandomnessError};
use cresset_protocol::codec::CodecError;
use cresset_protocol::ids::{ConsortiumId, EncryptionKeyId, HubId, RosterVersion};
use cresset_protocol::log::checkpoint::OriginError;
use cresset_protocol::membership::chain::ChainError;
use cresset_protocol::membership::enrolment::EnrolmentError;
use cresset_protocol::membership::verify::RosterError;
use cresset_token::KeyStoreError;
use thiserror::Error;

use self::recovery::RecoveryError;
use crate::exit_code::ExitCode;
use crate::home::HomeError;
use crate::transport::MembershipError;

/// Why a hub cannot be enrolled.
#[derive(Debug, Error)]
pub(crate) enum EnrolError {
    /// An argument is not what it should be.
    #[error("`{value}` is no {what}")]
    Argument {
        /// What was given.
        value: String,
        /// What it should be.
        what: &'static str,
    },
    /// The data directory holds the log of another domain.
    #[error("this data directory belongs to `{held}`, not `{asked}`")]
    OtherDomain {
        /// Domain of the log in the data directory.
        held: String,
        /// Domain asked for.
        asked: String,
    },
    /// The token lost or changed the log's keys since the manifest was made.
    #[error("the token does not hold the keys of log `{0}`")]
    OtherLogKeys(String),
    /// The welcome is for another consortium.
    #[error("the welcome is for consortium {found}, this hub joins {expected}")]
    OtherConsortium {
        /// Noted by `cresset init`.
        expected: ConsortiumId,
        /// In the welcome.
        found: ConsortiumId,
    },
    /// The welcome is for another hub.
    #[error("the welcome is for hub {found}, this is {expected}")]
    OtherHub {
        /// Ours.
        expected: HubId,
        /// In the welcome.
        found: HubId,
    },
    /// The welcome is encrypted to a key that is not here.
    #[error("the welcome is encrypted to key {0}, which this hub does not hold")]
    NoSuchKey(EncryptionKeyId),
    /// The roster does not list this hub as active.
    #[error("roster version {0} does not list this hub as active")]
    NotActive(RosterVersion),
    /// The roster is too old.
    #[error("roster version {0} has expired")]
    Expired(RosterVersion),
    /// The roster lists something else for this hub than what it has.
    #[error("the roster lists another {0} for this hub than it has")]
    Mismatch(&'static str),
    /// Leaf, issuing CA and root are expected.
    #[error("the welcome holds {0} certificates; leaf, issuing CA and root are expected")]
    CertificateCount(usize),
    /// Peers would refuse the certificate.
    #[error("peers would refuse the certificate: {0}")]
    Certificate(rustls::Error),
    /// The log's name.
    #[error(transparent)]
    Origin(#[from] OriginError),
    /// The request breaks a rule.
    #[error(transparent)]
    Request(#[from] EnrolmentError),
    /// Rosters do not verify.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// A roster breaks a rule.
    #[error(transparent)]
    Roster(#[from] RosterError),
    /// The roster and the certificates do not fit.
    #[error(transparent)]
    Membership(#[from] MembershipError),
    /// A file is not in canonical form.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// The welcome does not open.
    #[error(transparent)]
    Hpke(#[from] HpkeError),
    /// The recovery key's file.
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
    /// The hub's files.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The token.
    #[error(transparent)]
    KeyStore(#[from] KeyStoreError),
    /// No randomness.
    #[error(transparent)]
    Randomness(#[from] RandomnessError),
}

impl EnrolError {
    /// The exit code.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Argument { .. } | Self::Origin(_) => ExitCode::Usage,
            Self::KeyStore(_) | Self::OtherLogKeys(_) | Self::Home(HomeError::KeyStore(_)) => ExitCode::Token,
            Self::OtherDomain { .. } | Self::Recovery(_) | Self::Home(_) | Self::Randomness(_) => ExitCode::Failure,
            _ => ExitCode::Integrity,
        }
    }

    /// What to do next.
    pub(crate) fn hint(&self) -> Option<&'static str> {
        match self {
            Self::OtherDomain { .. } => Some("one data directory is one hub; use another data_dir for another domain"),
            Self::OtherLogKeys(_) => Some("is this the right token? A log's keys are named in its manifest for good"),
            Self::OtherConsortium { .. } => Some("compare the consortium id with the officers over a second channel"),
            Self::OtherHub { .. } | Self::NoSuchKey(_) => {
                Some("ask the officers for the welcome of this hub's newest request")
            }
            Self::NotActive(_) | Self::Expired(_) => {
                Some("ask the officers for a welcome made after the newest roster")
            }
            Self::Mismatch(_) => Some("the officers approved another request; send them the current one"),
            Self::Request(EnrolmentError::FromTheFuture) => Some("set the clock of this machine"),
            Self::Recovery(error) => Some(error.hint()),
            _ => None,
        }
    }
}
