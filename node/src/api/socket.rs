//! The control socket: who may reach it, and whether somebody else already answers there.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::{Path, PathBuf};

use thiserror::Error;
use tokio::net::UnixListener;

const SOCKET_MODE: u32 = 0o660;
const DIRECTORY_MODE: u32 = 0o750;
const WRITABLE_BY_ALL: u32 = 0o002;

/// The socket file, removed when this is dropped.
#[derive(Debug)]
pub(crate) struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // A file that stays behind is recognised as stale at the next start.
        let _ = fs::remove_file(&self.0);
    }
}

/// Takes the socket for this process.
pub(crate) fn claim(path: &Path) -> Result<(UnixListener, SocketFile), SocketError> {
    let at = |source| SocketError::Io { path: path.to_owned(), source };
    check_directory(path)?;
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(at(error)),
        Ok(found) if !found.file_type().is_socket() => return Err(SocketError::NoSocket(path.to_owned())),
        Ok(_) if BlockingStream::connect(path).is_ok() => return Err(SocketError::Taken(path.to_owned())),
        Ok(_) => fs::remove_file(path).map_err(at)?,
    }
    let listener = UnixListener::bind(path).map_err(at)?;
    let file = SocketFile(path.to_owned());
    fs::set_permissions(path, fs::Permissions::from_mode(SOCKET_MODE)).map_err(at)?;
    Ok((listener, file))
}

/// Whoever can write the directory can put another socket there, so it must not be everybody.
fn check_directory(path: &Path) -> Result<(), SocketError> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let at = |source| SocketError::Io { path: directory.to_owned(), source };
    if !directory.exists() {
        fs::DirBuilder::new().mode(DIRECTORY_MODE).create(directory).map_err(at)?;
    }
    let mode = fs::metadata(directory).map_err(at)?.mode();
    if mode & WRITABLE_BY_ALL != 0 {
        return Err(SocketError::Directory { path: directory.to_owned(), mode: mode & 0o7777 });
    }
    Ok(())
}

/// Why the socket cannot be had.
#[derive(Debug, Error)]
pub(crate) enum SocketError {
    /// Another daemon answers.
    #[error("another daemon answers at `{}`", .0.display())]
    Taken(PathBuf),
    /// Something else is in the place.
    #[error("`{}` is there and is no socket", .0.display())]
    NoSocket(PathBuf),
    /// Everybody may write the directory.
    #[error("everybody may write `{}` (mode {mode:o})", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The system refused.
    #[error("cannot use `{}`", path.display())]
    Io {
        /// Socket or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl SocketError {
    /// What to do next.
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            Self::Taken(_) => "stop it first, or give this one another [api] socket and data_dir",
            Self::NoSocket(_) => "move it away, or choose another [api] socket",
            Self::Directory { .. } => "the directory is the access control: give it mode 0750",
            Self::Io { .. } => "[api] socket needs a directory that this user may write",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn private_directory() -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o750)).unwrap();
        directory
    }

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
        let directory = private_directory();
        let path = directory.path().join("c.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let (listener, file) = claim(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, SOCKET_MODE);
        assert!(matches!(claim(&path), Err(SocketError::Taken(_))));
        drop((listener, file));
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn what_is_no_socket_stays() {
        let directory = private_directory();
        let path = directory.path().join("c.sock");
        fs::write(&path, "precious").unwrap();
        assert!(matches!(claim(&path), Err(SocketError::NoSocket(_))));
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }

    #[tokio::test]
    async fn a_directory_that_everybody_writes_is_refused() {
        let directory = private_directory();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(claim(&directory.path().join("c.sock")), Err(SocketError::Directory { mode: 0o777, .. })));
    }
}
