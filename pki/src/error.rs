//! What can go wrong, with the exit code that it has in every Cresset program.

use std::path::PathBuf;

use cresset_crypto::group::GroupError;
use cresset_crypto::{HpkeError, RandomnessError};
use cresset_protocol::codec::CodecError;
use cresset_protocol::ids::{RosterDigest, RosterVersion};
use cresset_protocol::membership::approval::ApprovalError;
use cresset_protocol::membership::chain::ChainError;
use cresset_protocol::membership::enrolment::EnrolmentError;
use cresset_protocol::membership::rules::RosterFault;
use cresset_protocol::membership::snapshot::FindHubError;
use cresset_protocol::membership::suspension::SuspensionError;
use cresset_protocol::membership::verify::RosterError;
use cresset_token::KeyStoreError;
use thiserror::Error;

use crate::certificate::CertificateError;

const FAILURE: u8 = 1;
const USAGE: u8 = 2;
const NOT_FOUND: u8 = 5;
const TOKEN: u8 = 7;
const INTEGRITY: u8 = 9;

/// A command failed.
#[derive(Debug, Error)]
pub(crate) enum PkiError {
    #[error("cannot read `{path}`")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("cannot write `{path}`")]
    Write { path: PathBuf, source: std::io::Error },
    #[error("`{path}` exists already")]
    Exists { path: PathBuf },
    #[error("`{path}` has {len} bytes where at most {max} are allowed")]
    TooLarge { path: PathBuf, len: u64, max: usize },
    #[error("configuration `{path}`")]
    Config { path: PathBuf, source: Box<toml::de::Error> },
    #[error("configuration `{path}` names no officer role")]
    NoRole { path: PathBuf },
    #[error("`{path}` holds no document that this program knows")]
    UnknownDocument { path: PathBuf },
    #[error("`{value}` is not a valid {what}")]
    BadValue { what: &'static str, value: String },
    #[error("{0} is needed once sharing groups exist")]
    Needs(&'static str),
    #[error("not confirmed; pass --yes after reading the changes")]
    NotConfirmed,
    #[error("nothing would change")]
    NoChange,
    #[error("no sharing group `{0}`")]
    UnknownGroup(String),
    #[error("`{role}` is no officer of this roster, or holds other keys")]
    NotAnOfficer { role: String },
    #[error("this officer has already signed version {version} with digest {signed}")]
    SecondDigest { version: RosterVersion, signed: RosterDigest },
    #[error("hub {0} is not active in the newest roster with this TLS key")]
    NotListed(String),
    #[error("the key in the store is not the key of `{0}`")]
    WrongAuthority(&'static str),
    #[error("the chain belongs to consortium {found}, not {expected}")]
    OtherConsortium { expected: String, found: String },
    #[error("certificate could not be made: {0}")]
    Issue(rcgen::Error),
    #[error(transparent)]
    Token(#[from] KeyStoreError),
    #[error(transparent)]
    FindHub(#[from] FindHubError),
    #[error(transparent)]
    Randomness(#[from] RandomnessError),
    #[error(transparent)]
    Hpke(#[from] HpkeError),
    #[error(transparent)]
    Group(#[from] GroupError),
    #[error(transparent)]
    Codec(#[from] CodecError),
    #[error(transparent)]
    Roster(#[from] RosterError),
    #[error(transparent)]
    Fault(#[from] RosterFault),
    #[error(transparent)]
    Chain(#[from] ChainError),
    #[error(transparent)]
    Enrolment(#[from] EnrolmentError),
    #[error(transparent)]
    Approval(#[from] ApprovalError),
    #[error(transparent)]
    Suspension(#[from] SuspensionError),
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

impl PkiError {
    /// 1 failure, 2 usage, 5 not found, 7 token, 9 integrity.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Read { source, .. } if source.kind() == std::io::ErrorKind::NotFound => NOT_FOUND,
            Self::FindHub(_) | Self::UnknownGroup(_) => NOT_FOUND,
            Self::Config { .. } | Self::NoRole { .. } | Self::BadValue { .. } | Self::Needs(_) | Self::NotConfirmed => {
                USAGE
            }
            Self::NoChange => USAGE,
            Self::Token(_) => TOKEN,
            Self::Read { .. } | Self::Write { .. } | Self::Exists { .. } | Self::Issue(_) | Self::Randomness(_) => {
                FAILURE
            }
            _ => INTEGRITY,
        }
    }

    /// What the reader can do about it.
    pub(crate) fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Token(KeyStoreError::PinRefused) => {
                Some("check the PIN; it is not tried again, so that the token does not lock")
            }
            Self::Token(KeyStoreError::NotFound { .. }) => {
                Some("the key store has no such key; is this the right token?")
            }
            Self::SecondDigest { .. } => {
                Some("two rosters of one version would split the consortium; make the next version instead")
            }
            Self::NotListed(_) => {
                Some("first put the hub into the roster: `cresset-pki roster next`, `sign`, `assemble`")
            }
            Self::OtherConsortium { .. } => Some("compare the consortium id over a second channel before you go on"),
            Self::Exists { .. } => Some("choose a new path; nothing is overwritten"),
            Self::Enrolment(EnrolmentError::Expired) => Some("ask the hub for a new request"),
            _ => None,
        }
    }
}
