//! Where the files of a bundle come from: a directory, or memory for damage tests.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Files by path with `/`. Every read is bounded by the caller.
pub trait Source {
    /// All paths, at most `max`.
    ///
    /// # Errors
    /// [`SourceError`] for anything that is no plain file, for too many, or if the medium fails.
    fn paths(&self, max: usize) -> Result<BTreeSet<String>, SourceError>;

    /// A whole file of at most `max` bytes.
    ///
    /// # Errors
    /// [`SourceError`] if it is missing, longer, or cannot be read.
    fn read(&self, path: &str, max: usize) -> Result<Vec<u8>, SourceError>;
}

/// A bundle on disk.
#[derive(Clone, Debug)]
pub struct Directory(PathBuf);

/// Depth of directories that a bundle can have; its own layout needs fewer.
const DEPTH_MAX: usize = 12;

impl Directory {
    /// The bundle below this directory.
    pub fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    fn walk(&self, below: &str, depth: usize, max: usize, out: &mut BTreeSet<String>) -> Result<(), SourceError> {
        if depth > DEPTH_MAX {
            return Err(SourceError::NotPlain(below.to_owned()));
        }
        for entry in std::fs::read_dir(self.0.join(below)).map_err(|e| io(below, &e))? {
            let entry = entry.map_err(|e| io(below, &e))?;
            let name = entry.file_name();
            let name = name.to_str().ok_or_else(|| SourceError::NotPlain(below.to_owned()))?;
            let path = if below.is_empty() { name.to_owned() } else { format!("{below}/{name}") };
            // Of the entry itself: a link is refused, wherever it leads.
            let kind = entry.file_type().map_err(|e| io(&path, &e))?;
            if kind.is_dir() {
                self.walk(&path, depth + 1, max, out)?;
            } else if kind.is_file() {
                out.insert(path);
            } else {
                return Err(SourceError::NotPlain(path));
            }
            if out.len() > max {
                return Err(SourceError::TooMany(max));
            }
        }
        Ok(())
    }
}

impl Source for Directory {
    fn paths(&self, max: usize) -> Result<BTreeSet<String>, SourceError> {
        let mut out = BTreeSet::new();
        self.walk("", 0, max, &mut out)?;
        Ok(out)
    }

    fn read(&self, path: &str, max: usize) -> Result<Vec<u8>, SourceError> {
        let file = std::fs::File::open(self.0.join(path)).map_err(|e| io(path, &e))?;
        let len = file.metadata().map_err(|e| io(path, &e))?.len();
        if len > max as u64 {
            return Err(SourceError::TooLarge { path: path.to_owned(), max });
        }
        let mut out = Vec::with_capacity(usize::try_from(len).unwrap_or(0));
        // The file may grow between the two calls.
        file.take(max as u64 + 1).read_to_end(&mut out).map_err(|e| io(path, &e))?;
        if out.len() > max { Err(SourceError::TooLarge { path: path.to_owned(), max }) } else { Ok(out) }
    }
}

fn io(path: &str, error: &std::io::Error) -> SourceError {
    SourceError::Io { path: path.to_owned(), kind: error.kind() }
}

/// A bundle in memory.
#[derive(Clone, Debug, Default)]
pub struct InMemory(pub BTreeMap<String, Vec<u8>>);

impl InMemory {
    /// Copies a bundle of at most `bytes_max`.
    ///
    /// # Errors
    /// [`SourceError`], among others if it is larger.
    pub fn load(source: &dyn Source, files_max: usize, bytes_max: usize) -> Result<Self, SourceError> {
        let mut out = BTreeMap::new();
        let mut left = bytes_max;
        for path in source.paths(files_max)? {
            let content = source.read(&path, left)?;
            left -= content.len();
            out.insert(path, content);
        }
        Ok(Self(out))
    }
}

impl Source for InMemory {
    fn paths(&self, max: usize) -> Result<BTreeSet<String>, SourceError> {
        if self.0.len() > max { Err(SourceError::TooMany(max)) } else { Ok(self.0.keys().cloned().collect()) }
    }

    fn read(&self, path: &str, max: usize) -> Result<Vec<u8>, SourceError> {
        let content = self.0.get(path);
        let content =
            content.ok_or_else(|| SourceError::Io { path: path.to_owned(), kind: std::io::ErrorKind::NotFound })?;
        if content.len() > max {
            Err(SourceError::TooLarge { path: path.to_owned(), max })
        } else {
            Ok(content.clone())
        }
    }
}

/// A bundle with some files replaced.
pub struct Altered<'s> {
    /// The bundle as it was.
    pub base: &'s dyn Source,
    /// What stands in place of files.
    pub replaced: BTreeMap<String, Vec<u8>>,
}

impl Source for Altered<'_> {
    fn paths(&self, max: usize) -> Result<BTreeSet<String>, SourceError> {
        self.base.paths(max)
    }

    fn read(&self, path: &str, max: usize) -> Result<Vec<u8>, SourceError> {
        match self.replaced.get(path) {
            Some(content) if content.len() <= max => Ok(content.clone()),
            Some(_) => Err(SourceError::TooLarge { path: path.to_owned(), max }),
            None => self.base.read(path, max),
        }
    }
}

/// Why a file of a bundle cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The medium fails, or the file is not there.
    #[error("`{path}` cannot be read: {kind}")]
    Io {
        /// Which.
        path: String,
        /// How.
        kind: std::io::ErrorKind,
    },
    /// Longer than its kind allows.
    #[error("`{path}` is longer than {max} bytes")]
    TooLarge {
        /// Which.
        path: String,
        /// The limit.
        max: usize,
    },
    /// A link, a device, a name that is no text, or nested too deeply.
    #[error("`{0}` is no plain file")]
    NotPlain(String),
    /// More files than a bundle may have.
    #[error("more than {0} files")]
    TooMany(usize),
}
