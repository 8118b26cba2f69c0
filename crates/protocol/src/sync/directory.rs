//! What the sync engine needs to know of the roster: which logs exist, whose they are, which keys sign them.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::ids::{ConsortiumId, HubId, LogId, UnixSeconds};
use crate::log::checkpoint::{Checkpoint, NoteError, Origin, SignedCheckpoint};
use crate::membership::roster::{HubStatus, LogKeyPeriod, RosterBody};
use crate::signing::{LogKeys, SignatureVerifier};

/// The logs of a consortium under one roster version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory {
    consortium: ConsortiumId,
    logs: BTreeMap<LogId, KnownLog>,
}

/// One log of the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownLog {
    /// Whose log it is.
    pub hub: HubId,
    /// Its origin line.
    pub origin: String,
    /// Whether it may still grow: the last generation of an active hub.
    pub live: bool,
    keys: Vec<LogKeyPeriod>,
}

impl Directory {
    /// Reads the logs out of a verified roster. Removed hubs' logs stay known, so that they stay verifiable.
    pub fn from_roster(consortium: ConsortiumId, roster: &RosterBody) -> Self {
        let mut logs = BTreeMap::new();
        for hub in &roster.hubs {
            let last = hub.logs.len().saturating_sub(1);
            for (generation, log) in hub.logs.iter().enumerate() {
                let live = generation == last && hub.status == HubStatus::Active;
                let known = KnownLog { hub: hub.id, origin: log.origin.clone(), live, keys: log.keys.clone() };
                logs.insert(log.id, known);
            }
        }
        Self { consortium, logs }
    }

    /// The consortium.
    pub fn consortium(&self) -> &ConsortiumId {
        &self.consortium
    }

    /// Looks a log up.
    pub fn log(&self, id: &LogId) -> Option<&KnownLog> {
        self.logs.get(id)
    }

    /// Every log in ascending id.
    pub fn logs(&self) -> impl Iterator<Item = (&LogId, &KnownLog)> {
        self.logs.iter()
    }
}

impl KnownLog {
    /// The keys whose period covers a checkpoint's time stamp.
    pub fn keys_at(&self, time: UnixSeconds) -> Option<&LogKeys> {
        self.keys.iter().rev().find(|period| period_covers(period, time)).map(|period| &period.keys)
    }

    /// All key periods, ascending.
    pub fn key_periods(&self) -> &[LogKeyPeriod] {
        &self.keys
    }
}

impl KnownLog {
    /// Parses a note of this log under the key period that its time stamp falls into. Verifies no signature.
    ///
    /// # Errors
    /// [`NoteRefused`] says whether the note is malformed or signed by keys that the roster does not name.
    pub fn parse_note(&self, note: &str) -> Result<UnverifiedNote, NoteRefused> {
        let origin = Origin::parse(&self.origin).map_err(|_| NoteRefused::UnknownKeys)?;
        let mut malformed = None;
        for period in self.keys.iter().rev() {
            match SignedCheckpoint::parse(note, &origin, &period.keys) {
                Ok(signed) if period_covers(period, signed.timestamp) => {
                    return Ok(UnverifiedNote {
                        checkpoint: signed.checkpoint.clone(),
                        signed,
                        keys: period.keys.clone(),
                    });
                }
                // Signed by keys of another period, or of one that this roster does not name yet.
                Ok(_) | Err(NoteError::MissingLine) => {}
                Err(error) => malformed = Some(error),
            }
        }
        Err(malformed.map_or(NoteRefused::UnknownKeys, NoteRefused::Malformed))
    }

    /// Verifies both signatures of a parsed note.
    ///
    /// # Errors
    /// [`NoteRefused::Signature`] if either half fails.
    pub fn verify_note(
        &self,
        note: UnverifiedNote,
        verifier: &dyn SignatureVerifier,
    ) -> Result<SignedCheckpoint, NoteRefused> {
        note.signed.verify(&note.keys, verifier).map_err(|_| NoteRefused::Signature)?;
        Ok(note.signed)
    }
}

fn period_covers(period: &LogKeyPeriod, time: UnixSeconds) -> bool {
    period.from <= time && period.until.is_none_or(|until| time < until)
}

/// A note that parses under known keys; its signatures have not been looked at.
#[derive(Clone, Debug)]
pub struct UnverifiedNote {
    /// What it claims.
    pub checkpoint: Checkpoint,
    signed: SignedCheckpoint,
    keys: LogKeys,
}

/// Why a note is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NoteRefused {
    /// Not a checkpoint note of this log.
    #[error(transparent)]
    Malformed(NoteError),
    /// No key period of the roster covers it.
    #[error("note is not signed by keys that the roster names for its time")]
    UnknownKeys,
    /// A signature fails.
    #[error("a checkpoint signature does not verify")]
    Signature,
}
