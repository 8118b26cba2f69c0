//! Two threads, one per signature half, so that a flush waits for the slower key only.

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant};

use cresset_protocol::signing::{LogSignatures, MlDsa65Signature, P384Signature};
use cresset_token::error::KeyStoreError;
use cresset_token::keystore::KeyStore;

use super::{LogKeyNames, Message};

/// Result of one half of one job.
pub(crate) struct Half {
    job: u64,
    result: HalfResult,
    took: Duration,
}

enum HalfResult {
    P384(Result<P384Signature, KeyStoreError>),
    MlDsa65(Result<MlDsa65Signature, KeyStoreError>),
}

/// The threads and the one job in hand.
pub(crate) struct Signers {
    p384: SyncSender<Job>,
    ml_dsa_65: SyncSender<Job>,
    job: u64,
    parts: Option<Parts>,
}

#[derive(Clone)]
struct Job {
    number: u64,
    message: Arc<[u8]>,
}

#[derive(Default)]
struct Parts {
    p384: Option<Result<P384Signature, KeyStoreError>>,
    ml_dsa_65: Option<Result<MlDsa65Signature, KeyStoreError>>,
    took: Duration,
}

/// Outcome of a job.
pub(crate) type Outcome = (Result<LogSignatures, KeyStoreError>, Duration);

impl Signers {
    pub(crate) fn start(keys: Arc<dyn KeyStore>, names: &LogKeyNames, results: &SyncSender<Message>) -> Self {
        let (p384, p384_jobs) = sync_channel::<Job>(1);
        let (ml_dsa_65, ml_dsa_65_jobs) = sync_channel::<Job>(1);
        let (store, name, sender) = (Arc::clone(&keys), names.p384.clone(), results.clone());
        spawn("sign-p384", p384_jobs, sender, move |message| HalfResult::P384(store.sign_p384(&name, message)));
        let (store, name, sender) = (keys, names.ml_dsa_65.clone(), results.clone());
        spawn("sign-ml-dsa", ml_dsa_65_jobs, sender, move |message| {
            HalfResult::MlDsa65(store.sign_ml_dsa_65(&name, message))
        });
        Self { p384, ml_dsa_65, job: 0, parts: None }
    }

    /// Starts a job; false if a thread still hangs in an earlier one, or is gone.
    pub(crate) fn sign(&mut self, message: &[u8]) -> bool {
        self.job += 1;
        self.parts = Some(Parts::default());
        let job = Job { number: self.job, message: message.into() };
        let accepted = self.p384.try_send(job.clone()).is_ok() && self.ml_dsa_65.try_send(job).is_ok();
        if !accepted {
            self.parts = None;
        }
        accepted
    }

    /// Takes a half; gives the outcome when both are there. Halves of abandoned jobs are dropped.
    pub(crate) fn take(&mut self, half: Half) -> Option<Outcome> {
        let parts = self.parts.as_mut().filter(|_| half.job == self.job)?;
        parts.took = parts.took.max(half.took);
        match half.result {
            HalfResult::P384(result) => parts.p384 = Some(result),
            HalfResult::MlDsa65(result) => parts.ml_dsa_65 = Some(result),
        }
        if parts.p384.is_none() || parts.ml_dsa_65.is_none() {
            return None;
        }
        let Parts { p384: Some(p384), ml_dsa_65: Some(ml_dsa_65), took } = self.parts.take()? else { return None };
        let both = p384.and_then(|p384| Ok(LogSignatures { p384, ml_dsa_65: ml_dsa_65? }));
        Some((both, took))
    }
}

/// The thread ends when the job channel closes, or when nobody listens any more. It is not joined: a token call may hang.
fn spawn(
    name: &str,
    jobs: std::sync::mpsc::Receiver<Job>,
    results: SyncSender<Message>,
    sign: impl Fn(&[u8]) -> HalfResult + Send + 'static,
) {
    let run = move || {
        for job in jobs {
            let start = Instant::now();
            let result = sign(&job.message);
            let half = Half { job: job.number, result, took: start.elapsed() };
            if results.send(Message::Half(half)).is_err() {
                return;
            }
        }
    };
    if let Err(error) = std::thread::Builder::new().name(name.into()).spawn(run) {
        // Without its thread every job is refused, and the writer reports the token as unavailable.
        tracing::error!(%error, name, "cannot start a signing thread");
    }
}
