//! Why a command failed: words, a hint, an exit code.

use std::error::Error as _;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use cresset_token::KeyStoreError;
use thiserror::Error;

use crate::api::socket::SocketError;
use crate::client::ClientError;
use crate::config::ConfigError;
use crate::enrol::EnrolError;
use crate::exit_code::ExitCode;
use crate::home::HomeError;
use crate::output::clean;
use crate::startup::StartError;

/// A command failed.
#[derive(Debug, Error)]
pub(crate) enum CommandError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The daemon, or the way to it.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The hub's files.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The token.
    #[error(transparent)]
    KeyStore(#[from] KeyStoreError),
    /// Enrolment.
    #[error(transparent)]
    Enrol(#[from] EnrolError),
    /// The control socket.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The node does not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A file that the command names.
    #[error("cannot use `{}`", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file that is too long to be what it should be.
    #[error("`{}` is longer than {bytes_max} bytes", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// The limit.
        bytes_max: usize,
    },
    /// `cresset init` has not run.
    #[error("this hub does not know its consortium yet")]
    NotInitialised,
    /// Not a consortium id.
    #[error("`{0}` is no consortium id, nor a file with one")]
    ConsortiumId(String),
    /// The metrics address is taken.
    #[error("cannot serve metrics at {address}")]
    Metrics {
        /// The address.
        address: std::net::SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// No runtime, or no signals.
    #[error("the system refuses threads or signals")]
    Runtime(#[source] io::Error),
    /// A value that JSON cannot carry.
    #[error("that cannot be written as JSON")]
    Json(#[source] serde_json::Error),
}

impl CommandError {
    pub(crate) fn file(path: &Path, source: io::Error) -> Self {
        Self::File { path: path.to_owned(), source }
    }

    /// The exit code.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Config(_) | Self::ConsortiumId(_) => ExitCode::Usage,
            Self::Client(error) => error.exit_code(),
            Self::Enrol(error) => error.exit_code(),
            Self::KeyStore(_) | Self::Home(HomeError::KeyStore(_)) | Self::Start(StartError::KeyStore(_)) => {
                ExitCode::Token
            }
            Self::Start(StartError::Home(HomeError::KeyStore(_))) => ExitCode::Token,
            Self::File { source, .. } if source.kind() == io::ErrorKind::NotFound => ExitCode::NotFound,
            Self::Home(HomeError::Chain(_) | HomeError::Damaged { .. }) => ExitCode::Integrity,
            Self::Socket(SocketError::Taken(_)) => ExitCode::Busy,
            _ => ExitCode::Failure,
        }
    }

    /// What to do next.
    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Client(error) => return error.hint(),
            Self::Enrol(error) => return error.hint().map(str::to_owned),
            Self::Config(ConfigError::Read { .. }) => "`cresset init` writes a commented one; --config names another",
            Self::Config(ConfigError::Parse { .. }) => "the example in deploy/config/cresset.toml explains every key",
            Self::Socket(error) => error.hint(),
            Self::KeyStore(KeyStoreError::PinRefused) => {
                "check the PIN; it is not tried again, so that the token does not lock"
            }
            Self::KeyStore(_) => "`cresset doctor` looks at the token step by step",
            Self::Home(HomeError::OtherConsortium(_)) => "one data directory is one hub; use another data_dir",
            Self::NotInitialised => "`cresset init --consortium ID`, with the id that the officers gave you",
            Self::ConsortiumId(_) => "it has 64 hexadecimal digits; the officers publish it as `consortium.id`",
            Self::Metrics { .. } => "set [metrics] listen to a free address",
            _ => return None,
        };
        Some(hint.to_owned())
    }

    /// Prints message, causes and hint to stderr.
    pub(crate) fn print(&self) {
        let mut text = String::new();
        lines(&mut text, "error: ", &self.to_string());
        let mut cause = self.source();
        while let Some(error) = cause {
            lines(&mut text, "  because ", &error.to_string());
            cause = error.source();
        }
        if let Some(hint) = self.hint() {
            lines(&mut text, "hint: ", &hint);
        }
        // Nobody is left to tell if stderr is closed.
        let _ = io::stderr().lock().write_all(text.as_bytes());
    }
}

fn lines(text: &mut String, prefix: &str, message: &str) {
    text.push_str(prefix);
    let cleaned: Vec<String> = message.trim_end().lines().map(clean).collect();
    text.push_str(&cleaned.join("\n"));
    text.push('\n');
}
