//! Opening the store, its identity, and the state shared by all operations.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

use cresset_protocol::ids::{ConsortiumId, HubId, LogId};
use minicbor::{Decode, Encode};

use crate::db::Db;
use crate::erasure::DataKeys;
use crate::error::{Result, StoreError};
use crate::schema::{Cf, Key, LocalLog, SCHEMA_VERSION};
use crate::tree::Edges;

/// Everything that a hub keeps on disk, behind typed operations. Cheap to share in an `Arc`; safe from many threads.
pub struct Store {
    pub(crate) db: Db,
    pub(crate) logs: RwLock<BTreeMap<LogId, LocalLog>>,
    pub(crate) edges: Mutex<BTreeMap<LocalLog, Edges>>,
    /// Serialises read-modify-write commits; RocksDB orders the batches themselves.
    pub(crate) commit: Mutex<()>,
    pub(crate) data_keys: OnceLock<DataKeys>,
}

/// Memory and file limits.
#[derive(Clone, Copy, Debug)]
pub struct StoreOptions {
    /// Cache of blocks, indexes and filters of all column families.
    pub cache_bytes: usize,
    /// Unflushed rows of all column families.
    pub memtable_bytes: usize,
    /// Open files.
    pub open_files: i32,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self { cache_bytes: 16 << 20, memtable_bytes: 16 << 20, open_files: 256 }
    }
}

/// Whom a data directory belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Identity {
    /// The consortium.
    #[n(0)]
    pub consortium: ConsortiumId,
    /// The hub.
    #[n(1)]
    pub hub: HubId,
    /// The log that it writes now.
    #[n(2)]
    pub log: LogId,
}

const SCHEMA_KEY: &[u8] = b"schema";
const IDENTITY_KEY: &[u8] = b"identity";

impl Store {
    /// Creates the database, or opens the one that is there.
    ///
    /// # Errors
    /// [`StoreError::Locked`], [`StoreError::NewerSchema`], [`StoreError::Damaged`], [`StoreError::DiskFull`] or others.
    pub fn create(path: &Path, options: &StoreOptions) -> Result<Self> {
        std::fs::create_dir_all(path).map_err(StoreError::io(path))?;
        Self::open_any(path, options)
    }

    /// Opens an existing database.
    ///
    /// # Errors
    /// As [`Store::create`], and [`StoreError::Absent`].
    pub fn open(path: &Path, options: &StoreOptions) -> Result<Self> {
        // RocksDB would create an empty database in the place of a lost or mistyped one.
        if !path.join("CURRENT").is_file() {
            return Err(StoreError::Absent { path: path.to_owned() });
        }
        Self::open_any(path, options)
    }

    fn open_any(path: &Path, options: &StoreOptions) -> Result<Self> {
        let db = Db::open(path, options)?;
        check_schema(&db)?;
        let store = Self {
            logs: RwLock::new(crate::logs::load_numbers(&db)?),
            db,
            edges: Mutex::default(),
            commit: Mutex::default(),
            data_keys: OnceLock::new(),
        };
        Ok(store)
    }

    /// Binds the directory to a hub and its log. Fails if it belongs to others; another log of the same hub replaces
    /// the former one (a new generation).
    ///
    /// # Errors
    /// [`StoreError::Foreign`].
    pub fn bind(&self, identity: &Identity) -> Result<()> {
        let _commit = self.lock_commit();
        match self.identity()? {
            Some(bound) if bound.consortium != identity.consortium => {
                return Err(StoreError::Foreign { what: "consortium" });
            }
            Some(bound) if bound.hub != identity.hub => return Err(StoreError::Foreign { what: "hub" }),
            _ => {}
        }
        let mut batch = self.db.batch();
        batch.put_row(Cf::Meta, Key::bytes(IDENTITY_KEY), identity);
        batch.commit()
    }

    /// Whom the directory belongs to, if it is bound.
    ///
    /// # Errors
    /// The database's.
    pub fn identity(&self) -> Result<Option<Identity>> {
        self.db.get_row(Cf::Meta, Key::bytes(IDENTITY_KEY))
    }

    /// Gives the store the keys of opened objects; without them payloads and audience keys stay closed.
    pub fn attach_data_keys(&self, keys: DataKeys) {
        // Attached once at start-up; a second attempt has nothing to add.
        let _ = self.data_keys.set(keys);
    }

    pub(crate) fn data_keys(&self) -> Result<&DataKeys> {
        self.data_keys.get().ok_or_else(|| StoreError::DataKeys { path: self.db.path().to_owned() })
    }

    /// Directory of the database.
    pub fn path(&self) -> &Path {
        self.db.path()
    }

    /// A consistent copy for an auditor, by hard links on the same file system.
    ///
    /// # Errors
    /// The database's.
    pub fn snapshot_to(&self, path: &Path) -> Result<()> {
        self.db.snapshot_to(path)
    }

    pub(crate) fn lock_commit(&self) -> MutexGuard<'_, ()> {
        // The guarded value is empty: a panicked holder leaves nothing half done.
        self.commit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn check_schema(db: &Db) -> Result<()> {
    let found = match db.get(Cf::Meta, SCHEMA_KEY)? {
        Some(bytes) => {
            let bytes: [u8; 4] =
                bytes.as_slice().try_into().map_err(|_| StoreError::Inconsistent { what: "schema version" })?;
            u32::from_be_bytes(bytes)
        }
        None => 0,
    };
    if found > SCHEMA_VERSION {
        return Err(StoreError::NewerSchema { found, known: SCHEMA_VERSION });
    }
    if found < SCHEMA_VERSION {
        let mut batch = db.batch();
        for version in found..SCHEMA_VERSION {
            migrate(version, db, &mut batch)?;
        }
        batch.put(Cf::Meta, SCHEMA_KEY, SCHEMA_VERSION.to_be_bytes());
        batch.commit()?;
    }
    Ok(())
}

/// Changes that lead from one schema version to the next, all in the batch that raises the version.
fn migrate(from: u32, _db: &Db, _batch: &mut crate::db::Batch<'_>) -> Result<()> {
    match from {
        // Version 0 is the empty database.
        0 => Ok(()),
        _ => Err(StoreError::Inconsistent { what: "schema version" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_schema_is_refused_and_the_own_one_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let options = StoreOptions::default();
        let store = Store::create(dir.path(), &options).unwrap();
        let mut batch = store.db.batch();
        batch.put(Cf::Meta, SCHEMA_KEY, (SCHEMA_VERSION + 1).to_be_bytes());
        batch.commit().unwrap();
        drop(store);
        let newer = Store::open(dir.path(), &options);
        assert!(
            matches!(newer, Err(StoreError::NewerSchema { found, known }) if found == SCHEMA_VERSION + 1 && known == SCHEMA_VERSION)
        );
    }
}
