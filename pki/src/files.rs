//! Reading and writing the small files that officers exchange.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::error::PkiError;

const PUBLIC: u32 = 0o644;
const SECRET: u32 = 0o600;

/// Reads a file of at most `max` bytes.
pub(crate) fn read(path: &Path, max: usize) -> Result<Vec<u8>, PkiError> {
    let cannot = |source| PkiError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(cannot)?;
    let limit = max as u64 + 1;
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() > max {
        return Err(PkiError::TooLarge { path: path.to_owned(), len: bytes.len() as u64, max });
    }
    Ok(bytes)
}

/// Writes a public file, whole or not at all.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), PkiError> {
    write_with_mode(path, bytes, PUBLIC)
}

/// Writes a file that only the owner may read, whole or not at all.
pub(crate) fn write_secret(path: &Path, bytes: &[u8]) -> Result<(), PkiError> {
    write_with_mode(path, bytes, SECRET)
}

/// Refuses a path that is taken.
pub(crate) fn must_be_new(path: &Path) -> Result<(), PkiError> {
    if path.exists() { Err(PkiError::Exists { path: path.to_owned() }) } else { Ok(()) }
}

/// Creates a directory and its parents.
pub(crate) fn create_directory(path: &Path) -> Result<(), PkiError> {
    fs::create_dir_all(path).map_err(|source| PkiError::Write { path: path.to_owned(), source })
}

fn write_with_mode(path: &Path, bytes: &[u8], mode: u32) -> Result<(), PkiError> {
    let cannot = |source| PkiError::Write { path: path.to_owned(), source };
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&temporary).map_err(cannot)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(cannot)?;
    fs::rename(&temporary, path).map_err(cannot)?;
    // The rename itself must survive a power cut: the signing journal depends on it.
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(cannot)
}
