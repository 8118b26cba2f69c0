//! Files that a command line names.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::CommandError;

/// Reads a file, or standard input for `-`, no further than the limit.
pub(crate) fn read(path: &Path, bytes_max: usize) -> Result<Vec<u8>, CommandError> {
    let at = |source| CommandError::file(path, source);
    let mut bytes = Vec::new();
    let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    if path == Path::new("-") {
        io::stdin().lock().take(limit).read_to_end(&mut bytes).map_err(at)?;
    } else {
        File::open(path).map_err(at)?.take(limit).read_to_end(&mut bytes).map_err(at)?;
    }
    if bytes.len() > bytes_max {
        return Err(CommandError::TooLong { path: path.to_owned(), bytes_max });
    }
    Ok(bytes)
}

/// Writes a file anew.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), CommandError> {
    let at = |source| CommandError::file(path, source);
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o644).open(path).map_err(at)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(at)
}
