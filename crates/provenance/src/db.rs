//! The one place that talks to RocksDB: opening, typed rows, batches, error classes.

use std::path::{Path, PathBuf};

use cresset_protocol::codec;
use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamily, ColumnFamilyDescriptor, DB, DBCompressionType, DBRecoveryMode, Direction,
    IteratorMode, Options, ReadOptions, WriteBatch, WriteOptions,
};

use crate::error::{Result, StoreError};
use crate::schema::{Cf, Key, prefix_end};
use crate::store::StoreOptions;

/// Largest row that decoding accepts; everything larger is stored as raw bytes.
const ROW_BYTES_MAX: usize = 32 << 20;

pub(crate) struct Db {
    inner: DB,
    path: PathBuf,
}

/// One atomic change.
pub(crate) struct Batch<'a> {
    db: &'a Db,
    writes: WriteBatch,
}

impl Db {
    pub(crate) fn open(path: &Path, options: &StoreOptions) -> Result<Self> {
        let cache = Cache::new_lru_cache(options.cache_bytes);
        let mut db_options = Options::default();
        db_options.create_if_missing(true);
        db_options.create_missing_column_families(true);
        db_options.set_max_background_jobs(2);
        db_options.set_db_write_buffer_size(options.memtable_bytes);
        db_options.set_max_total_wal_size(options.memtable_bytes as u64 * 2);
        db_options.set_max_open_files(options.open_files);
        db_options.set_keep_log_file_num(2);
        // A write that was never synced may be torn by a power cut; damage in front of the tail is refused.
        db_options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
        db_options.set_paranoid_checks(true);
        let families =
            Cf::ALL.iter().map(|cf| ColumnFamilyDescriptor::new(cf.name(), family_options(*cf, options, &cache)));
        // Families of a newer schema must not make opening fail before the schema version can be read.
        let known: Vec<_> = Cf::ALL.iter().map(|cf| cf.name()).collect();
        let newer = DB::list_cf(&db_options, path)
            .unwrap_or_default()
            .into_iter()
            .filter(|name| name != "default" && !known.contains(&name.as_str()));
        let newer = newer.map(|name| ColumnFamilyDescriptor::new(name, Options::default()));
        let inner =
            DB::open_cf_descriptors(&db_options, path, families.chain(newer)).map_err(|e| classify(&e, path))?;
        Ok(Self { inner, path: path.to_owned() })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn get(&self, cf: Cf, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>> {
        self.inner.get_cf(self.family(cf), key).map_err(|e| classify(&e, &self.path))
    }

    pub(crate) fn get_row<T>(&self, cf: Cf, key: impl AsRef<[u8]>) -> Result<Option<T>>
    where
        T: minicbor::Encode<()> + for<'b> minicbor::Decode<'b, ()>,
    {
        self.get(cf, key)?.map(|bytes| decode_row(cf, &bytes)).transpose()
    }

    pub(crate) fn contains(&self, cf: Cf, key: impl AsRef<[u8]>) -> Result<bool> {
        let found = self.inner.get_pinned_cf(self.family(cf), key).map_err(|e| classify(&e, &self.path))?;
        Ok(found.is_some())
    }

    /// Rows whose key starts with `prefix`, from `from` (inclusive, itself with the prefix) on, in key order.
    pub(crate) fn scan<'a>(
        &'a self,
        cf: Cf,
        prefix: &[u8],
        from: Option<&[u8]>,
    ) -> impl Iterator<Item = Result<Row>> + 'a {
        let mut read = ReadOptions::default();
        if let Some(end) = prefix_end(prefix) {
            read.set_iterate_upper_bound(end);
        }
        let start = from.unwrap_or(prefix).to_vec();
        let mode = IteratorMode::From(&start, Direction::Forward);
        let rows = self.inner.iterator_cf_opt(self.family(cf), read, mode);
        rows.map(|row| row.map_err(|e| classify(&e, &self.path)))
    }

    pub(crate) fn batch(&self) -> Batch<'_> {
        Batch { db: self, writes: WriteBatch::default() }
    }

    /// Rewrites a key range, so that deleted rows leave the files.
    pub(crate) fn compact(&self, cf: Cf, prefix: &[u8]) {
        self.inner.compact_range_cf(self.family(cf), Some(prefix), prefix_end(prefix));
    }

    /// A consistent copy by hard links.
    pub(crate) fn snapshot_to(&self, path: &Path) -> Result<()> {
        let fault = |e| classify(&e, path);
        rocksdb::checkpoint::Checkpoint::new(&self.inner).map_err(fault)?.create_checkpoint(path).map_err(fault)
    }

    fn family(&self, cf: Cf) -> &ColumnFamily {
        self.inner.cf_handle(cf.name()).expect("every family was opened with the database")
    }
}

/// A key with its value.
pub(crate) type Row = (Box<[u8]>, Box<[u8]>);

impl Batch<'_> {
    pub(crate) fn put(&mut self, cf: Cf, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        self.writes.put_cf(self.db.family(cf), key, value);
    }

    pub(crate) fn put_row<T: minicbor::Encode<()>>(&mut self, cf: Cf, key: impl AsRef<[u8]>, value: &T) {
        self.put(cf, key, codec::encode(value));
    }

    pub(crate) fn delete(&mut self, cf: Cf, key: impl AsRef<[u8]>) {
        self.writes.delete_cf(self.db.family(cf), key);
    }

    /// Writes everything and waits until it is on disk.
    pub(crate) fn commit(self) -> Result<()> {
        let mut options = WriteOptions::default();
        options.set_sync(true);
        self.db.inner.write_opt(self.writes, &options).map_err(|e| classify(&e, &self.db.path))
    }

    /// Writes everything; a crash may lose it, but never a part of it. For what can be fetched or computed again.
    pub(crate) fn commit_unsynced(self) -> Result<()> {
        self.db.inner.write_opt(self.writes, &WriteOptions::default()).map_err(|e| classify(&e, &self.db.path))
    }
}

/// Decodes a row of our own making; a failure means damage or a foreign writer.
pub(crate) fn decode_row<T>(cf: Cf, bytes: &[u8]) -> Result<T>
where
    T: minicbor::Encode<()> + for<'b> minicbor::Decode<'b, ()>,
{
    codec::decode(bytes, ROW_BYTES_MAX).map_err(|_| StoreError::Inconsistent { what: cf.name() })
}

/// The next free number of a counter in `meta`, taken within `batch`.
pub(crate) fn next_number(db: &Db, batch: &mut Batch<'_>, counter: &str) -> Result<u64> {
    let key = Key::bytes(counter.as_bytes());
    let next = match db.get(Cf::Meta, &key)? {
        Some(bytes) => {
            let bytes: [u8; 8] =
                bytes.as_slice().try_into().map_err(|_| StoreError::Inconsistent { what: "counter" })?;
            u64::from_be_bytes(bytes)
        }
        None => 0,
    };
    batch.put(Cf::Meta, key, (next + 1).to_be_bytes());
    Ok(next)
}

fn family_options(cf: Cf, options: &StoreOptions, cache: &Cache) -> Options {
    let mut block = BlockBasedOptions::default();
    block.set_block_cache(cache);
    block.set_bloom_filter(10.0, false);
    block.set_cache_index_and_filter_blocks(true);
    let mut family = Options::default();
    family.set_block_based_table_factory(&block);
    family.set_write_buffer_size(options.memtable_bytes / 4);
    family.set_compression_type(if cf.is_incompressible() { DBCompressionType::None } else { DBCompressionType::Lz4 });
    if cf.holds_blobs() {
        family.set_enable_blob_files(true);
        family.set_min_blob_size(BLOB_BYTES_MIN);
        family.set_blob_file_size(64 << 20);
        family.set_enable_blob_gc(true);
        family.set_blob_compression_type(if cf == Cf::Audit {
            DBCompressionType::Zstd
        } else {
            DBCompressionType::None
        });
    }
    family
}

/// Smaller values stay in the tree. An ordinary object of 1 kB is a blob: compaction then never rewrites it.
const BLOB_BYTES_MIN: u64 = 512;

fn classify(error: &rocksdb::Error, path: &Path) -> StoreError {
    let detail = error.to_string();
    let path = path.to_owned();
    match error.kind() {
        rocksdb::ErrorKind::Corruption => StoreError::Damaged { detail },
        // RocksDB gives the operating system's words only.
        _ if detail.contains("No space left") => StoreError::DiskFull { path },
        rocksdb::ErrorKind::IOError if detail.contains("lock") && detail.contains("LOCK") => {
            StoreError::Locked { path }
        }
        _ => StoreError::Database { detail },
    }
}
