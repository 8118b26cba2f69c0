//! Where a token's PIN comes from: never the command line, never an environment variable.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use zeroize::Zeroizing;

/// Longest PIN accepted; PKCS#11 tokens stop at 255 bytes.
pub const PIN_BYTES_MAX: usize = 255;

/// A PIN. Zeroised when dropped, never printed.
#[derive(Clone)]
pub struct Pin(Zeroizing<String>);

impl Pin {
    /// Takes a PIN, checking its length.
    ///
    /// # Errors
    /// [`PinError::Length`] when empty or longer than [`PIN_BYTES_MAX`].
    pub fn new(pin: Zeroizing<String>) -> Result<Self, PinError> {
        if pin.is_empty() || pin.len() > PIN_BYTES_MAX {
            return Err(PinError::Length);
        }
        Ok(Self(pin))
    }

    /// The PIN, for the one call that submits it.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pin(..)")
    }
}

/// Where to read a PIN.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "source", rename_all = "kebab-case")]
pub enum PinSource {
    /// An open file descriptor that the parent process left to us.
    Fd(FdSource),
    /// A file readable by its owner only.
    File(FileSource),
    /// A systemd credential (`LoadCredential=` or `LoadCredentialEncrypted=`).
    Credential(CredentialSource),
    /// The terminal.
    Prompt(PromptSource),
}

/// `source = "fd"`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FdSource {
    /// Number of the descriptor.
    pub fd: u32,
}

/// `source = "file"`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileSource {
    /// Path of the file.
    pub path: PathBuf,
}

/// `source = "credential"`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CredentialSource {
    /// Name of the credential.
    pub name: String,
}

/// `source = "prompt"`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromptSource {}

impl PinSource {
    /// A file as source.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self::File(FileSource { path: path.into() })
    }

    /// Reads the PIN. A descriptor can be read only once. `what` names the token in a prompt.
    ///
    /// # Errors
    /// [`PinError`] when it cannot be read, others may read it, or it is no PIN.
    pub fn read(&self, what: &str) -> Result<Pin, PinError> {
        match self {
            Self::Fd(source) => read_path(Path::new(&format!("/dev/fd/{}", source.fd))),
            Self::File(source) => {
                private_file(&source.path)?;
                read_path(&source.path)
            }
            Self::Credential(source) => read_path(&credential_path(&source.name)?),
            Self::Prompt(_) => {
                let typed = rpassword::prompt_password(format!("PIN for {what}: ")).map(Zeroizing::new);
                Pin::new(typed.map_err(|source| PinError::Prompt { source })?)
            }
        }
    }
}

/// A PIN could not be read.
#[derive(Debug, thiserror::Error)]
pub enum PinError {
    /// Empty, or longer than any token accepts.
    #[error("a PIN has 1 to {PIN_BYTES_MAX} bytes")]
    Length,
    /// Not UTF-8.
    #[error("the PIN is not UTF-8 text")]
    NotText,
    /// The file cannot be read.
    #[error("cannot read `{path}`")]
    Read {
        /// The path.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// Others may read the file.
    #[error("`{path}` is accessible to others (mode {mode:o})")]
    Permissions {
        /// The path.
        path: PathBuf,
        /// Its mode bits.
        mode: u32,
    },
    /// The service manager passed no credentials, or the name is no file name.
    #[error("no systemd credential named `{name}`")]
    NoCredential {
        /// The name.
        name: String,
    },
    /// No terminal, or the prompt was interrupted.
    #[error("no PIN was typed")]
    Prompt {
        /// The cause.
        source: std::io::Error,
    },
}

fn credential_path(name: &str) -> Result<PathBuf, PinError> {
    let missing = || PinError::NoCredential { name: name.to_owned() };
    if name.is_empty() || name.starts_with('.') || name.contains('/') {
        return Err(missing());
    }
    let directory = std::env::var_os("CREDENTIALS_DIRECTORY").ok_or_else(missing)?;
    Ok(Path::new(&directory).join(name))
}

fn private_file(path: &Path) -> Result<(), PinError> {
    let mode = std::fs::metadata(path).map_err(|source| PinError::Read { path: path.into(), source })?.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(PinError::Permissions { path: path.into(), mode });
    }
    Ok(())
}

fn read_path(path: &Path) -> Result<Pin, PinError> {
    let failed = |source| PinError::Read { path: path.into(), source };
    // One allocation of the final size: a growing buffer would leave copies of the PIN in freed memory.
    let mut bytes = Zeroizing::new(Vec::with_capacity(PIN_BYTES_MAX + 3));
    File::open(path).map_err(failed)?.take(PIN_BYTES_MAX as u64 + 3).read_to_end(&mut bytes).map_err(failed)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| PinError::NotText)?;
    let line = text.strip_suffix('\n').unwrap_or(text);
    Pin::new(Zeroizing::new(line.strip_suffix('\r').unwrap_or(line).to_owned()))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn file(dir: &tempfile::TempDir, content: &[u8], mode: u32) -> PinSource {
        let path = dir.path().join("pin");
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        PinSource::file(path)
    }

    #[test]
    fn one_line_ending_is_not_part_of_the_pin() {
        let dir = tempfile::tempdir().unwrap();
        for (content, expected) in
            [("1234", "1234"), ("1234\n", "1234"), ("1234\r\n", "1234"), ("12 34\n\n", "12 34\n")]
        {
            assert_eq!(file(&dir, content.as_bytes(), 0o600).read("test").unwrap().expose(), expected);
        }
    }

    #[test]
    fn bad_pin_files_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let read = |content: &[u8], mode| file(&dir, content, mode).read("test");
        assert!(matches!(read(b"", 0o600), Err(PinError::Length)));
        assert!(matches!(read(b"\n", 0o600), Err(PinError::Length)));
        assert!(matches!(read(&[b'1'; 300], 0o600), Err(PinError::Length)));
        assert!(matches!(read(&[0xff, 0xfe], 0o600), Err(PinError::NotText)));
        assert!(matches!(read(b"1234", 0o640), Err(PinError::Permissions { mode: 0o640, .. })));
        assert!(matches!(PinSource::file("/nonexistent/pin").read("test"), Err(PinError::Read { .. })));
    }

    #[test]
    fn a_pin_comes_from_a_descriptor() {
        let (reader, mut writer) = std::io::pipe().unwrap();
        std::io::Write::write_all(&mut writer, b"4321\n").unwrap();
        drop(writer);
        let source = PinSource::Fd(FdSource { fd: u32::try_from(reader.as_raw_fd()).unwrap() });
        assert_eq!(source.read("test").unwrap().expose(), "4321");
    }

    #[test]
    fn credential_names_cannot_leave_the_directory() {
        for name in ["", "../pin", "a/b", ".hidden"] {
            let source = PinSource::Credential(CredentialSource { name: name.into() });
            assert!(matches!(source.read("test"), Err(PinError::NoCredential { .. })));
        }
    }

    #[test]
    fn a_pin_is_never_printed() {
        assert_eq!(format!("{:?}", Pin::new(Zeroizing::new("secret".into())).unwrap()), "Pin(..)");
    }
}
