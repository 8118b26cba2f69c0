//! The thread that owns the own log's writer and carries out its commands: database, fence, token.
//!
//! A hung token blocks neither callers nor this thread: both signatures are made by threads of their own.

mod executor;
mod signer;

use std::path::PathBuf;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use cresset_protocol::ids::{HubId, LeafIndex, LogId, TreeSize, UnixSeconds};
use cresset_protocol::log::checkpoint::{Origin, SignedCheckpoint};
use cresset_protocol::log::entry::Entry;
use cresset_protocol::log::merkle::Frontier;
use cresset_protocol::log::record::{AuditPart, Opening};
use cresset_protocol::log::writer::{GateOpening, Head, Pace, PeerView};
use cresset_protocol::signing::LogKeys;
use cresset_token::error::KeyStoreError;
use cresset_token::keystore::{KeyName, KeyStore};

use crate::error::{Result, StoreError};
use crate::fence::Fence;
use crate::objects::NewObject;
use crate::own_log::{PreparedLeaf, PublishKey};
use crate::queues::{Delivery, QueueNumber};
use crate::store::Store;

pub use cresset_protocol::log::writer::Lane;

use executor::Executor;

/// A leaf to append, with everything that must be durable together with it.
#[derive(Clone, Debug)]
pub struct NewLeaf {
    /// Leaf, wire form of the header, opening of a public kind.
    pub entry: Entry,
    /// Opening of a private kind: stays here.
    pub opening: Option<Opening>,
    /// Audit part: stays here.
    pub audit: Option<AuditPart>,
    /// Envelope whose header digest is the leaf's X.
    pub envelope: Option<Vec<u8>>,
    /// Own copy of the object; its reference's index is filled in.
    pub object: Option<NewObject>,
    /// Direct deliveries, queued with the leaf.
    pub deliveries: Vec<Delivery>,
    /// Makes a repetition harmless.
    pub publish_key: Option<PublishKey>,
    /// Statements that this slot leaf takes out of their queue.
    pub statements: Vec<QueueNumber>,
}

impl NewLeaf {
    /// A leaf with nothing but its entry.
    pub fn bare(entry: Entry) -> Self {
        Self {
            entry,
            opening: None,
            audit: None,
            envelope: None,
            object: None,
            deliveries: Vec::new(),
            publish_key: None,
            statements: Vec::new(),
        }
    }
}

/// Answer to an append.
#[derive(Clone, Debug)]
pub enum AppendAnswer {
    /// Under a signed, stored checkpoint. Proofs come from [`Store::tree`].
    Signed {
        /// Index of the first leaf.
        first: LeafIndex,
        /// Size of the signed tree.
        size: TreeSize,
    },
    /// Durable with an index; the signature follows.
    Pending {
        /// Index of the first leaf.
        first: LeafIndex,
    },
    /// Durable; index and signature follow.
    Queued,
    /// The same publish was accepted before; with its index, if it has one.
    Repeated {
        /// Index of its first leaf.
        first: Option<LeafIndex>,
    },
    /// Too much is outstanding; try later. Nothing was accepted.
    Busy,
    /// More leaves or bytes than one flush takes. Nothing was accepted.
    TooLarge,
    /// Not durable in time; it may still happen, a repetition under the same key is harmless.
    Unavailable,
    /// The objects or leaves could not be prepared. Nothing was accepted.
    Refused(Arc<StoreError>),
}

/// What others have to know or do.
#[derive(Debug)]
pub enum WriterEvent {
    /// A flush is signed and stored: announce it.
    FlushSigned(FlushSigned),
    /// Ask every reachable peer for its newest head of this log and report it with [`LogWriter::peer_head`].
    AskPeers,
    /// The gate is open.
    GateOpened(GateOpening),
    /// A peer holds more of this log: stop this writer, pull the log back, start again.
    Restored {
        /// Who.
        hub: HubId,
        /// What it holds.
        head: Head,
    },
    /// A peer holds a contradicting head: people must look.
    Diverged {
        /// Who.
        hub: HubId,
        /// What it holds.
        head: Head,
    },
    /// The fence was moved by someone else. Nothing is signed any more.
    Halted,
    /// The token refused; signing is repeated.
    TokenTrouble(KeyStoreError),
    /// The disk refused; the write is repeated.
    StorageTrouble(StoreError),
}

/// A flush under its signed checkpoint.
#[derive(Clone, Debug)]
pub struct FlushSigned {
    /// The checkpoint.
    pub checkpoint: SignedCheckpoint,
    /// Index of the first entry.
    pub first: LeafIndex,
    /// Frontier before it.
    pub before: Frontier,
    /// The entries.
    pub entries: Vec<Entry>,
    /// How long both signatures took, in milliseconds.
    pub sign_ms: u64,
}

/// What a log writer is told once.
pub struct LogWriterConfig {
    /// The log, registered with the store.
    pub log: LogId,
    /// Its origin.
    pub origin: Origin,
    /// Its keys in the current roster.
    pub keys: LogKeys,
    /// Token names of the two keys.
    pub key_names: LogKeyNames,
    /// Active hubs of the roster, this one included.
    pub active_hubs: usize,
    /// Intervals.
    pub pace: Pace,
    /// Directory of the fence.
    pub fence_dir: PathBuf,
    /// Wall clock.
    pub clock: Arc<dyn Fn() -> UnixSeconds + Send + Sync>,
}

/// Names of the log's keys in the key store.
#[derive(Clone, Debug)]
pub struct LogKeyNames {
    /// ECDSA P-384.
    pub p384: KeyName,
    /// ML-DSA-65.
    pub ml_dsa_65: KeyName,
}

/// State for people and metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WriterStatus {
    /// Whether signing is allowed.
    pub gate_open: bool,
    /// Newest head under a stored note.
    pub signed: Option<Head>,
    /// Leaves accepted and not yet signed.
    pub outstanding: usize,
    /// Whether the fence stopped the writer for good.
    pub halted: bool,
}

/// Receives the answer to one append.
pub type Reply = Box<dyn FnOnce(AppendAnswer) + Send>;

/// Handle of the writer thread. Dropping it stops the thread after the commands in hand; what is pending stays durable.
pub struct LogWriter {
    store: Arc<Store>,
    messages: SyncSender<Message>,
    status: Arc<Mutex<WriterStatus>>,
    thread: Option<JoinHandle<()>>,
}

/// Messages that wait for the thread. A full channel answers Busy to appends; everything else waits.
const MESSAGES_MAX: usize = 4_096;

pub(crate) enum Message {
    Append { leaves: Vec<PreparedLeaf>, lane: Lane, reply: Reply },
    PeerHead { hub: HubId, view: PeerView },
    RosterChanged { keys: Box<LogKeys>, active_hubs: usize },
    Override,
    Half(signer::Half),
    Stop,
}

impl LogWriter {
    /// Reads the own log's state, opens the fence and starts the thread. `events` must not block for long.
    ///
    /// # Errors
    /// [`StoreError::Locked`] if another writer holds the fence; [`StoreError::Inconsistent`] if head and tiles disagree.
    pub fn start(
        store: Arc<Store>,
        keys: Arc<dyn KeyStore>,
        config: LogWriterConfig,
        events: Box<dyn Fn(WriterEvent) + Send>,
    ) -> Result<Self> {
        let fence = Fence::open(&config.fence_dir, &config.origin)?;
        let (messages, inbox) = sync_channel(MESSAGES_MAX);
        let status = Arc::new(Mutex::new(WriterStatus::default()));
        let signers = signer::Signers::start(keys, &config.key_names, &messages);
        let executor = Executor::new(Arc::clone(&store), fence, config, signers, events, Arc::clone(&status))?;
        let thread = std::thread::Builder::new()
            .name("log-writer".into())
            .spawn(move || executor.run(&inbox))
            .map_err(StoreError::io("log-writer"))?;
        Ok(Self { store, messages, status, thread: Some(thread) })
    }

    /// Appends leaves, which stay together and in order. Encrypts the objects at rest in the caller's thread, then
    /// returns; `reply` gets exactly one answer, in the writer's thread, unless the writer stops first.
    pub fn append(&self, leaves: Vec<NewLeaf>, lane: Lane, reply: Reply) {
        let leaves = match self.prepare(leaves) {
            Ok(leaves) => leaves,
            Err(fault) => return reply(AppendAnswer::Refused(Arc::new(fault))),
        };
        match self.messages.try_send(Message::Append { leaves, lane, reply }) {
            Ok(()) => {}
            Err(TrySendError::Full(Message::Append { reply, .. })) => reply(AppendAnswer::Busy),
            Err(TrySendError::Disconnected(Message::Append { reply, .. })) => reply(AppendAnswer::Unavailable),
            Err(_) => {}
        }
    }

    /// [`LogWriter::append`], waiting for the answer.
    pub fn append_and_wait(&self, leaves: Vec<NewLeaf>, lane: Lane) -> AppendAnswer {
        let (sender, receiver) = sync_channel(1);
        self.append(leaves, lane, Box::new(move |answer| drop(sender.send(answer))));
        receiver.recv().unwrap_or(AppendAnswer::Unavailable)
    }

    /// Reports what a peer holds of this log.
    pub fn peer_head(&self, hub: HubId, view: PeerView) {
        // A stopped writer has no use for it.
        let _ = self.messages.send(Message::PeerHead { hub, view });
    }

    /// Reports the keys and the number of active hubs of a new roster.
    pub fn roster_changed(&self, keys: LogKeys, active_hubs: usize) {
        let _ = self.messages.send(Message::RosterChanged { keys: Box::new(keys), active_hubs });
    }

    /// Opens the gate on the word of two local operators; the caller has logged it.
    pub fn override_gate(&self) {
        let _ = self.messages.send(Message::Override);
    }

    /// Current state.
    pub fn status(&self) -> WriterStatus {
        *self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn prepare(&self, leaves: Vec<NewLeaf>) -> Result<Vec<PreparedLeaf>> {
        let mut out = Vec::with_capacity(leaves.len());
        let mut objects = Vec::new();
        let mut owners = Vec::new();
        for (row, leaf) in leaves.into_iter().enumerate() {
            if let Some(object) = leaf.object {
                owners.push(row);
                objects.push(object);
            }
            out.push(PreparedLeaf {
                entry: leaf.entry,
                opening: leaf.opening,
                audit: leaf.audit,
                envelope: leaf.envelope,
                object: None,
                deliveries: leaf.deliveries,
                publish_key: leaf.publish_key,
                statements: leaf.statements.iter().map(|number| number.0).collect(),
            });
        }
        if !objects.is_empty() {
            for (row, object) in owners.into_iter().zip(self.store.encrypt_objects(objects)?) {
                if let Some(leaf) = out.get_mut(row) {
                    leaf.object = Some(object);
                }
            }
        }
        Ok(out)
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        let _ = self.messages.send(Message::Stop);
        if let Some(thread) = self.thread.take() {
            // A panic in the thread was reported there; there is nothing left to stop.
            let _ = thread.join();
        }
    }
}
