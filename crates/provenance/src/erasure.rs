//! Data keys of opened objects, in `erase/`: destroying one makes its payload unreadable, in the database and in every
//! backup of it.
//!
//! `erase/kek` holds the key-encryption key, wrapped by the hub's token. `erase/<segment>` holds 4,096 fixed slots of one
//! data key each, encrypted under it; a segment has its full length from the start, so that adding a key costs one data
//! sync. Destroying a key rewrites its segment without it; the old file's blocks are freed.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use cresset_protocol::domain::AT_REST;
use cresset_token::keystore::{KeyName, KeyStore};
use minicbor::{Decode, Encode};
use zeroize::Zeroizing;

use crate::error::{Result, StoreError};

/// Names one data key; never re-used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(transparent)]
pub struct DataKeyId(#[n(0)] pub u64);

/// The data keys, opened with the token.
pub struct DataKeys {
    dir: PathBuf,
    kek: LessSafeKey,
    next: Mutex<u64>,
}

const KEY_BYTES: usize = 32;
const TAG_BYTES: usize = 16;
const SLOT_BYTES: usize = NONCE_LEN + KEY_BYTES + TAG_BYTES;
const SLOTS_PER_SEGMENT: u64 = 4_096;
const SEGMENT_DIGITS: usize = 8;
/// Fills the slot of a destroyed key. Slots never used hold zeroes.
const ERASED: u8 = 0xff;

impl DataKeys {
    /// Opens the directory, or creates it with a fresh key that `keys` wraps under `name`.
    ///
    /// # Errors
    /// The key store's refusal, [`StoreError::DataKeys`] for a damaged file, I/O errors.
    pub fn open(dir: &Path, keys: &dyn KeyStore, name: &KeyName) -> Result<Self> {
        create_private_dir(dir)?;
        let path = dir.join("kek");
        let kek = match std::fs::read(&path) {
            Ok(wrapped) => keys.unwrap(name, AT_REST.as_bytes(), &wrapped)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let kek = Zeroizing::new(random::<KEY_BYTES>(dir)?.to_vec());
                let wrapped = keys.wrap(name, AT_REST.as_bytes(), &kek)?;
                write_whole(dir, &path, &wrapped)?;
                kek
            }
            Err(error) => return Err(StoreError::io(&path)(error)),
        };
        let next = next_slot(dir)?;
        Ok(Self { dir: dir.to_owned(), kek: gcm(&kek).ok_or_else(|| damaged(dir))?, next: Mutex::new(next) })
    }

    /// Encrypts each plaintext under a data key of its own. The keys are on disk when this returns; `context(i)` is
    /// authenticated with the i-th payload.
    ///
    /// # Errors
    /// I/O errors; nothing is promised then.
    pub fn encrypt(&self, payloads: &[(&[u8], &[u8])]) -> Result<Vec<(DataKeyId, Vec<u8>)>> {
        let mut keys = Vec::with_capacity(payloads.len());
        let mut out = Vec::with_capacity(payloads.len());
        let ids = self.allocate(payloads.len() as u64);
        for (id, (context, plaintext)) in ids.clone().zip(payloads) {
            let key = Zeroizing::new(random::<KEY_BYTES>(&self.dir)?);
            let cipher = gcm(&*key).ok_or_else(|| damaged(&self.dir))?;
            // The key encrypts this one payload, so its nonce may be constant.
            let sealed = seal(&cipher, [0; NONCE_LEN], context, plaintext).ok_or_else(|| damaged(&self.dir))?;
            out.push((DataKeyId(id), sealed));
            keys.push(self.slot(id, &*key)?);
        }
        self.write_slots(ids, &keys)?;
        Ok(out)
    }

    /// Decrypts one payload.
    ///
    /// # Errors
    /// [`StoreError::Erased`] if its key was destroyed, [`StoreError::DataKeys`] if anything does not fit.
    pub fn decrypt(&self, id: DataKeyId, context: &[u8], ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let path = self.segment_path(id.0 / SLOTS_PER_SEGMENT);
        let mut slot = [0u8; SLOT_BYTES];
        let file = File::open(&path).map_err(StoreError::io(&path))?;
        file.read_exact_at(&mut slot, slot_offset(id.0)).map_err(StoreError::io(&path))?;
        if slot == [ERASED; SLOT_BYTES] {
            return Err(StoreError::Erased);
        }
        let key = self.open_sealed(&slot_context(id.0), &slot)?;
        let cipher = gcm(&key).ok_or_else(|| damaged(&self.dir))?;
        open(&cipher, [0; NONCE_LEN], context, ciphertext).ok_or_else(|| damaged(&self.dir))
    }

    /// Destroys data keys. When this returns, no file below `erase/` holds them.
    ///
    /// # Errors
    /// I/O errors; some may then still be there, and the call can be repeated.
    pub fn destroy(&self, ids: &[DataKeyId]) -> Result<()> {
        // No slot may be added to a segment while it is being rewritten.
        let _next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let mut ids: Vec<u64> = ids.iter().map(|id| id.0).collect();
        ids.sort_unstable();
        for segment in ids.chunk_by(|a, b| a / SLOTS_PER_SEGMENT == b / SLOTS_PER_SEGMENT) {
            let Some(first) = segment.first() else { continue };
            let path = self.segment_path(first / SLOTS_PER_SEGMENT);
            let mut bytes = Zeroizing::new(std::fs::read(&path).map_err(StoreError::io(&path))?);
            for id in segment {
                let start = usize::try_from(slot_offset(*id)).unwrap_or(usize::MAX);
                if let Some(slot) = start.checked_add(SLOT_BYTES).and_then(|end| bytes.get_mut(start..end)) {
                    slot.fill(ERASED);
                }
            }
            write_whole(&self.dir, &path, &bytes)?;
        }
        Ok(())
    }

    /// Encrypts a small secret of the database (an audience key) under the key-encryption key.
    ///
    /// # Errors
    /// Only if the operating system has no randomness.
    pub fn wrap(&self, context: &[u8], secret: &[u8]) -> Result<Vec<u8>> {
        let nonce = random::<NONCE_LEN>(&self.dir)?;
        let sealed = seal(&self.kek, nonce, &AT_REST.message(&[context]), secret).ok_or_else(|| damaged(&self.dir))?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    /// Undoes [`DataKeys::wrap`].
    ///
    /// # Errors
    /// [`StoreError::DataKeys`] if anything does not fit.
    pub fn unwrap(&self, context: &[u8], wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        self.open_sealed(&AT_REST.message(&[context]), wrapped)
    }

    fn open_sealed(&self, aad: &[u8], wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let (nonce, sealed) = wrapped.split_first_chunk::<NONCE_LEN>().ok_or_else(|| damaged(&self.dir))?;
        open(&self.kek, *nonce, aad, sealed).ok_or_else(|| damaged(&self.dir))
    }

    fn slot(&self, id: u64, key: &[u8]) -> Result<Vec<u8>> {
        let nonce = random::<NONCE_LEN>(&self.dir)?;
        let sealed = seal(&self.kek, nonce, &slot_context(id), key).ok_or_else(|| damaged(&self.dir))?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    fn allocate(&self, count: u64) -> std::ops::Range<u64> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let first = *next;
        *next += count;
        first..*next
    }

    fn write_slots(&self, ids: std::ops::Range<u64>, slots: &[Vec<u8>]) -> Result<()> {
        // Held so that a concurrent rewrite of the segment cannot lose these slots.
        let _next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let pairs: Vec<(u64, &Vec<u8>)> = ids.zip(slots).collect();
        for segment in pairs.chunk_by(|a, b| a.0 / SLOTS_PER_SEGMENT == b.0 / SLOTS_PER_SEGMENT) {
            let Some((first, _)) = segment.first() else { continue };
            let path = self.segment_path(first / SLOTS_PER_SEGMENT);
            let is_new = !path.exists();
            let file = private().create(true).truncate(false).open(&path).map_err(StoreError::io(&path))?;
            let bytes: Vec<u8> = segment.iter().flat_map(|(_, slot)| slot.iter().copied()).collect();
            if is_new {
                let blank = vec![0; SLOTS_PER_SEGMENT as usize * SLOT_BYTES];
                file.write_all_at(&blank, 0).and_then(|()| file.sync_all()).map_err(StoreError::io(&path))?;
                sync_dir(&self.dir)?;
            }
            file.write_all_at(&bytes, slot_offset(*first))
                .and_then(|()| file.sync_data())
                .map_err(StoreError::io(&path))?;
        }
        Ok(())
    }

    fn segment_path(&self, segment: u64) -> PathBuf {
        self.dir.join(format!("{segment:0SEGMENT_DIGITS$}"))
    }
}

impl std::fmt::Debug for DataKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DataKeys").field("dir", &self.dir).finish_non_exhaustive()
    }
}

/// First unused slot: after the last used one of the last segment, so that an id is never given twice even if the
/// database was restored.
fn next_slot(dir: &Path) -> Result<u64> {
    let mut last = None;
    for entry in std::fs::read_dir(dir).map_err(StoreError::io(dir))? {
        let entry = entry.map_err(StoreError::io(dir))?;
        let is_segment = |name: &&str| name.len() == SEGMENT_DIGITS && name.bytes().all(|b| b.is_ascii_digit());
        let segment = entry.file_name().to_str().filter(is_segment).and_then(|name| name.parse::<u64>().ok());
        last = last.max(segment.map(|segment| (segment, entry.path())));
    }
    let Some((segment, path)) = last else { return Ok(0) };
    let bytes = std::fs::read(&path).map_err(StoreError::io(&path))?;
    let used = bytes
        .rchunks(SLOT_BYTES)
        .position(|slot| slot.iter().any(|byte| *byte != 0))
        .map_or(0, |unused| (bytes.len().div_ceil(SLOT_BYTES) - unused) as u64);
    Ok(segment * SLOTS_PER_SEGMENT + used)
}

fn slot_offset(id: u64) -> u64 {
    (id % SLOTS_PER_SEGMENT) * SLOT_BYTES as u64
}

fn slot_context(id: u64) -> Vec<u8> {
    AT_REST.message(&[b"slot", &id.to_be_bytes()])
}

fn damaged(dir: &Path) -> StoreError {
    StoreError::DataKeys { path: dir.to_owned() }
}

fn gcm(key: &[u8]) -> Option<LessSafeKey> {
    UnboundKey::new(&AES_256_GCM, key).ok().map(LessSafeKey::new)
}

fn seal(key: &LessSafeKey, nonce: [u8; NONCE_LEN], aad: &[u8], plaintext: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(plaintext.len() + TAG_BYTES);
    out.extend_from_slice(plaintext);
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(aad), &mut out).ok()?;
    Some(out)
}

fn open(key: &LessSafeKey, nonce: [u8; NONCE_LEN], aad: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut buffer = Zeroizing::new(sealed.to_vec());
    let len = key.open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(aad), &mut buffer).ok()?.len();
    buffer.truncate(len);
    Some(buffer)
}

fn random<const N: usize>(dir: &Path) -> Result<[u8; N]> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| damaged(dir))?;
    Ok(bytes)
}

fn create_private_dir(dir: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(StoreError::io(dir))
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    options
}

fn write_whole(dir: &Path, path: &Path, bytes: &[u8]) -> Result<()> {
    let temporary = path.with_extension("new");
    let mut file = private().create(true).truncate(true).open(&temporary).map_err(StoreError::io(&temporary))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(StoreError::io(&temporary))?;
    std::fs::rename(&temporary, path).map_err(StoreError::io(path))?;
    sync_dir(dir)
}

fn sync_dir(dir: &Path) -> Result<()> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(StoreError::io(dir))
}
