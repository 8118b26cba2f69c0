//! CTI objects that were published here or admitted from others: records, payloads encrypted at rest, and the index of
//! their observables.

use cresset_protocol::domain::AT_REST;
use cresset_protocol::ids::{
    HeaderDigest, HubId, LeafIndex, LogId, ObjectRoot, ObjectUuid, ObjectVersion, UnixSeconds,
};
use minicbor::{Decode, Encode};
use zeroize::Zeroizing;

use crate::db::{Batch, decode_row};
use crate::erasure::DataKeyId;
use crate::error::{Result, StoreError};
use crate::schema::{Cf, Key, LocalLog, OBJECT_KEY_BYTES};
use crate::store::Store;

/// Where a view of an object comes from: it names the object in this store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(map)]
pub struct ObjectRef {
    /// The object.
    #[n(0)]
    pub uuid: ObjectUuid,
    /// Its version.
    #[n(1)]
    pub version: ObjectVersion,
    /// Log of the PUBLISH leaf.
    #[n(2)]
    pub log: LogId,
    /// Index of the PUBLISH leaf.
    #[n(3)]
    pub index: LeafIndex,
}

/// Standing of an object at this hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(index_only)]
pub enum ObjectStanding {
    /// Published here.
    #[n(0)]
    Own,
    /// Passed the ingress policy.
    #[n(1)]
    Admitted,
    /// Held for review.
    #[n(2)]
    Held,
    /// Withdrawn by its owner; not served, destroyed under national rules.
    #[n(3)]
    Withdrawn,
}

/// What the store says of an object without opening its payload.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ObjectRecord {
    /// Its name here.
    #[n(0)]
    pub object: ObjectRef,
    /// The hub that published it.
    #[n(1)]
    pub origin: HubId,
    /// Its standing.
    #[n(2)]
    pub standing: ObjectStanding,
    /// When it was stored.
    #[n(3)]
    pub stored: UnixSeconds,
    /// Root of its attribute tree.
    #[n(4)]
    pub object_root: ObjectRoot,
    /// Header of the envelope it came in.
    #[n(5)]
    pub header: Option<HeaderDigest>,
    /// Format, for example `misp`.
    #[n(6)]
    pub format: String,
    /// Title for lists. Erased with the object.
    #[n(7)]
    pub title: String,
    /// Canonical bytes of the strictest marking of the view.
    #[cbor(n(8), with = "minicbor::bytes")]
    pub marking: Vec<u8>,
    /// Units disclosed to this hub.
    #[n(9)]
    pub units: u64,
    /// The payload's data key; set by the store.
    #[n(10)]
    pub data_key: Option<DataKeyId>,
    /// Index entries, for erasure; set by the store.
    #[n(11)]
    pub observables: Vec<String>,
    /// End of retention, if the publisher set one.
    #[n(12)]
    pub retain_until: Option<UnixSeconds>,
}

/// An object on its way into the store.
#[derive(Clone, Debug)]
pub struct NewObject {
    /// The record; the store fills in data key and observables.
    pub record: ObjectRecord,
    /// The payload, in the clear.
    pub payload: Zeroizing<Vec<u8>>,
    /// Observable values under which search finds it, normalised by the caller.
    pub observables: Vec<String>,
}

/// Longest indexed value; longer ones are indexed by their beginning.
pub const OBSERVABLE_BYTES_MAX: usize = 512;

impl Store {
    /// Stores objects: data keys first, then everything else in one synced batch. A repetition replaces the record.
    ///
    /// # Errors
    /// [`StoreError::DataKeys`] without data keys, [`StoreError::UnknownLog`], the database's.
    pub fn put_objects(&self, objects: Vec<NewObject>) -> Result<()> {
        let encrypted = self.encrypt_objects(objects)?;
        let mut batch = self.db.batch();
        for object in &encrypted {
            let number = self.number(&object.record.object.log)?;
            put_object(&mut batch, number, &object.record, &object.ciphertext);
        }
        batch.commit()
    }

    /// One object's record.
    ///
    /// # Errors
    /// [`StoreError::UnknownLog`] or the database's.
    pub fn object(&self, object: &ObjectRef) -> Result<Option<ObjectRecord>> {
        self.db.get_row(Cf::Object, self.object_key(object)?)
    }

    /// All records of a uuid, by version, then origin log.
    ///
    /// # Errors
    /// The database's.
    pub fn object_versions(&self, uuid: &ObjectUuid) -> Result<Vec<ObjectRecord>> {
        let rows = self.db.scan(Cf::Object, uuid.as_bytes(), None);
        rows.map(|row| decode_row(Cf::Object, &row?.1)).collect()
    }

    /// Records in the order of storing, from a time on, at most `limit`.
    ///
    /// # Errors
    /// The database's.
    pub fn objects_since(&self, from: UnixSeconds, limit: usize) -> Result<Vec<ObjectRecord>> {
        let start = Key::number(from.0);
        let rows = self.db.scan(Cf::ObjectByTime, &[], Some(start.as_ref())).take(limit);
        rows.map(|row| self.record_at(row?.0.get(8..).unwrap_or_default())).collect()
    }

    /// Records with an observable that starts with `prefix`, with the value found, at most `limit`.
    ///
    /// # Errors
    /// The database's.
    pub fn search(&self, prefix: &str, limit: usize) -> Result<Vec<(String, ObjectRecord)>> {
        let rows = self.db.scan(Cf::Observable, prefix.as_bytes(), None).take(limit);
        rows.map(|row| {
            let (key, _) = row?;
            let split = key.len().checked_sub(OBJECT_KEY_BYTES + 1).and_then(|at| key.split_at_checked(at));
            let (value, rest) = split.ok_or(StoreError::Inconsistent { what: "observable" })?;
            let value = String::from_utf8_lossy(value).into_owned();
            Ok((value, self.record_at(rest.get(1..).unwrap_or_default())?))
        })
        .collect()
    }

    /// Opens an object's payload.
    ///
    /// # Errors
    /// [`StoreError::Erased`] if it was destroyed, [`StoreError::DataKeys`] if it cannot be opened.
    pub fn payload(&self, object: &ObjectRef) -> Result<Option<Zeroizing<Vec<u8>>>> {
        let key = self.object_key(object)?;
        let Some(record) = self.db.get_row::<ObjectRecord>(Cf::Object, &key)? else { return Ok(None) };
        let Some(id) = record.data_key else { return Err(StoreError::Erased) };
        let Some(ciphertext) = self.db.get(Cf::Payload, &key)? else { return Err(StoreError::Erased) };
        self.data_keys()?.decrypt(id, &payload_context(object), &ciphertext).map(Some)
    }

    /// Changes an object's standing.
    ///
    /// # Errors
    /// The database's.
    pub fn set_object_standing(&self, object: &ObjectRef, standing: ObjectStanding) -> Result<()> {
        let _commit = self.lock_commit();
        let key = self.object_key(object)?;
        let Some(mut record) = self.db.get_row::<ObjectRecord>(Cf::Object, &key)? else { return Ok(()) };
        record.standing = standing;
        let mut batch = self.db.batch();
        batch.put_row(Cf::Object, &key, &record);
        batch.commit()
    }

    /// Destroys an object: data key first, then payload, title, marking and index entries; what remains says only that
    /// it was here.
    ///
    /// # Errors
    /// I/O errors; the call can be repeated.
    pub fn erase_object(&self, object: &ObjectRef) -> Result<()> {
        let _commit = self.lock_commit();
        let key = self.object_key(object)?;
        let Some(mut record) = self.db.get_row::<ObjectRecord>(Cf::Object, &key)? else { return Ok(()) };
        if let Some(id) = record.data_key.take() {
            self.data_keys()?.destroy(&[id])?;
        }
        let values = std::mem::take(&mut record.observables);
        record.title.clear();
        record.marking.clear();
        record.standing = ObjectStanding::Withdrawn;
        let mut batch = self.db.batch();
        for value in &values {
            batch.delete(Cf::Observable, observable_key(value, &key));
        }
        batch.delete(Cf::Payload, &key);
        batch.put_row(Cf::Object, &key, &record);
        batch.commit()?;
        for value in &values {
            self.db.compact(Cf::Observable, value.as_bytes());
        }
        self.db.compact(Cf::Payload, key.as_ref());
        self.db.compact(Cf::Object, key.as_ref());
        Ok(())
    }

    pub(crate) fn encrypt_objects(&self, objects: Vec<NewObject>) -> Result<Vec<EncryptedObject>> {
        let contexts: Vec<_> = objects.iter().map(|object| payload_context(&object.record.object)).collect();
        let payloads: Vec<(&[u8], &[u8])> = contexts
            .iter()
            .zip(&objects)
            .map(|(context, object)| (context.as_slice(), object.payload.as_slice()))
            .collect();
        let sealed = self.data_keys()?.encrypt(&payloads)?;
        let with_key = |(object, (id, ciphertext)): (NewObject, (DataKeyId, Vec<u8>))| {
            let observables = object.observables.iter().map(|value| clipped(value).to_owned()).collect();
            let record = ObjectRecord { data_key: Some(id), observables, ..object.record };
            EncryptedObject { record, ciphertext }
        };
        Ok(objects.into_iter().zip(sealed).map(with_key).collect())
    }

    fn object_key(&self, object: &ObjectRef) -> Result<Key> {
        Ok(Key::object(&object.uuid, object.version, self.number(&object.log)?, object.index))
    }

    fn record_at(&self, key: &[u8]) -> Result<ObjectRecord> {
        self.db.get_row(Cf::Object, key)?.ok_or(StoreError::Inconsistent { what: "object index" })
    }
}

/// An object whose payload is encrypted at rest, ready for a batch.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct EncryptedObject {
    #[n(0)]
    pub(crate) record: ObjectRecord,
    #[cbor(n(1), with = "minicbor::bytes")]
    pub(crate) ciphertext: Vec<u8>,
}

pub(crate) fn put_object(batch: &mut Batch<'_>, number: LocalLog, record: &ObjectRecord, ciphertext: &[u8]) {
    let key = Key::object(&record.object.uuid, record.object.version, number, record.object.index);
    batch.put_row(Cf::Object, &key, record);
    batch.put(Cf::Payload, &key, ciphertext);
    batch.put(Cf::ObjectByTime, Key::number(record.stored.0).then(key.as_ref()), []);
    for value in &record.observables {
        batch.put(Cf::Observable, observable_key(value, &key), []);
    }
}

fn observable_key(value: &str, object: &Key) -> Key {
    Key::bytes(value.as_bytes()).then_byte(0).then(object.as_ref())
}

/// The index is not part of the context: an own object is encrypted before its leaf has one.
fn payload_context(object: &ObjectRef) -> Vec<u8> {
    AT_REST.message(&[b"payload", object.uuid.as_bytes(), &object.version.0.to_be_bytes(), object.log.as_bytes()])
}

fn clipped(value: &str) -> &str {
    value.get(..value.floor_char_boundary(OBSERVABLE_BYTES_MAX)).unwrap_or(value)
}
