//! The way out for what a backend has told (contract B, §6): answered at once, and told again and again behind that.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::domain::{EventId, Fact, TenantId, Timestamp, Topic};
use crate::emitter::{EmitError, Emitted, Emitter};
use crate::ports::{Append, Once, Store, StoreError};
use crate::telemetry::Metrics;

/// Appends that may wait for being told again. Beyond that nothing more can be promised.
const MAX_WAITING: usize = 10_000;
/// Between two attempts.
const RETRY: Duration = Duration::from_millis(500);
/// Attempts at the end, when the node is stopping.
const LAST_ATTEMPTS: usize = 4;

/// What was told, as REST answers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Told {
    /// The id of the event that the request is about.
    pub(super) event_id: Option<EventId>,
    /// Whether it is durable and on its way. If not, it is tried again.
    pub(super) is_delivered: bool,
    /// Whether it was told before, under the same key, and nothing happened now.
    pub(super) is_replayed: bool,
}

/// Why something is not told.
#[derive(Debug, thiserror::Error)]
pub(super) enum TellError {
    /// Too much waits already.
    #[error("nothing more can be promised")]
    Full,
    /// The key belongs to something else.
    #[error("this Idempotency-Key was used with another request")]
    KeyReused,
    /// What was kept under the key cannot be read.
    #[error("what was told before under this Idempotency-Key cannot be read")]
    Damaged(#[source] serde_json::Error),
}

/// The `Idempotency-Key` of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    /// Whose it is, and for what.
    pub(super) scope: String,
    /// As it was sent.
    pub(super) text: String,
    /// SHA-256 of what was asked.
    pub(super) fingerprint: [u8; 32],
}

/// What is kept of an answer under its key.
#[derive(Debug, Serialize, Deserialize)]
struct Outcome {
    event_id: Option<EventId>,
}

impl Key {
    /// Has an append that begins with this event happen once.
    pub(super) fn once(self, event_id: Option<EventId>, at: Timestamp) -> Once {
        let Self {
            scope,
            text: key,
            fingerprint,
        } = self;
        Once {
            scope,
            key,
            fingerprint,
            // Ids always have a JSON form.
            outcome: serde_json::to_string(&Outcome { event_id }).unwrap_or_default(),
            at,
        }
    }

    /// What was answered, by what was kept of it, if that belongs to the same request.
    fn replay(&self, fingerprint: [u8; 32], outcome: &str, is_delivered: bool) -> Result<Told, TellError> {
        if fingerprint != self.fingerprint {
            return Err(TellError::KeyReused);
        }
        replayed(outcome, is_delivered)
    }
}

fn replayed(outcome: &str, is_delivered: bool) -> Result<Told, TellError> {
    let Outcome { event_id } = serde_json::from_str(outcome).map_err(TellError::Damaged)?;
    Ok(Told {
        event_id,
        is_delivered,
        is_replayed: true,
    })
}

/// What became of one attempt.
enum Attempt {
    Kept,
    /// It was kept before under the same key: this is the outcome of then.
    Before(String),
    KeyReused,
    Failed,
}

/// Tells events, later if not now.
pub(super) struct Outlet {
    emitter: Emitter,
    metrics: Metrics,
    waiting: Mutex<VecDeque<Append>>,
    something_waits: Notify,
}

impl Outlet {
    pub(super) fn new(emitter: Emitter, metrics: Metrics) -> Self {
        Self {
            emitter,
            metrics,
            waiting: Mutex::default(),
            something_waits: Notify::new(),
        }
    }

    /// What was told before under this key, here or on any node; `None`: nothing that is known.
    pub(super) async fn told_before(&self, key: &Key, store: &dyn Store) -> Result<Option<Told>, TellError> {
        let kept = match store.outcome_of(&key.scope, &key.text).await {
            Ok(kept) => kept,
            Err(error) => {
                // Those that wait are known, and the store looks once more at what waits behind them.
                log_store(&error);
                None
            }
        };
        if let Some((fingerprint, outcome)) = kept {
            return key.replay(fingerprint, &outcome, true).map(Some);
        }
        self.waiting_under(key).transpose()
    }

    fn waiting_under(&self, key: &Key) -> Option<Result<Told, TellError>> {
        let waiting = self.lock();
        let mut onces = waiting.iter().filter_map(|append| append.once.as_ref());
        let once = onces.find(|once| once.scope == key.scope && once.key == key.text)?;
        Some(key.replay(once.fingerprint, &once.outcome, false))
    }

    /// What was said last of a thing, of all that waits here.
    pub(super) fn waiting_fact(&self, tenant: &TenantId, topic: Topic, id: &str) -> Option<Fact> {
        let waiting = self.lock();
        let mut said = waiting.iter().flat_map(Append::facts).rev();
        said.find(|fact| fact.tenant == *tenant && fact.topic == topic && fact.id == id)
            .cloned()
    }

    /// Keeps the append and publishes its events, now or as soon as that is possible; behind whatever waits for that already.
    pub(super) async fn tell(&self, append: Append) -> Result<Told, TellError> {
        let event_id = append.events.first().map(|event| event.id);
        let told = |is_delivered| Told {
            event_id,
            is_delivered,
            is_replayed: false,
        };
        if self.lock().is_empty() {
            match self.attempt(append.clone()).await {
                Attempt::Kept => return Ok(told(true)),
                Attempt::Before(outcome) => return replayed(&outcome, true),
                Attempt::KeyReused => return Err(TellError::KeyReused),
                Attempt::Failed => {}
            }
        }
        let mut waiting = self.lock();
        if waiting.len() >= MAX_WAITING {
            return Err(TellError::Full);
        }
        waiting.push_back(append);
        self.count(&waiting);
        self.something_waits.notify_one();
        Ok(told(false))
    }

    async fn attempt(&self, append: Append) -> Attempt {
        match self.emitter.emit(append).await {
            // In a conflict its ids are there already: an attempt that seemed to fail was kept.
            Ok(Emitted::Now(_)) | Err(EmitError::Conflict) => Attempt::Kept,
            Ok(Emitted::Before(outcome)) => Attempt::Before(outcome),
            Err(EmitError::KeyReused) => Attempt::KeyReused,
            Err(error @ (EmitError::Unavailable(_) | EmitError::Busy)) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "an event of the EHR waits; trying again"
                );
                Attempt::Failed
            }
        }
    }

    /// Tells what waits, until `stop`; then a few times more. Hands each that could be told to `then`.
    pub(super) async fn run(&self, stop: CancellationToken, then: impl Fn(&Append)) {
        let mut attempts = 0;
        loop {
            let first = self.lock().front().cloned();
            let Some(first) = first else {
                tokio::select! {
                    () = self.something_waits.notified() => continue,
                    () = stop.cancelled() => return,
                }
            };
            let is_over = match self.attempt(first.clone()).await {
                // It may have been this one that was kept before, by an attempt that seemed to fail.
                Attempt::Kept | Attempt::Before(_) => {
                    then(&first);
                    true
                }
                Attempt::KeyReused => {
                    tracing::warn!("an event of the EHR waited under a key that another node has used; it is not told");
                    true
                }
                Attempt::Failed => false,
            };
            if is_over {
                let mut waiting = self.lock();
                waiting.pop_front();
                self.count(&waiting);
                continue;
            }
            if stop.is_cancelled() {
                attempts += 1;
                if attempts >= LAST_ATTEMPTS {
                    tracing::error!(
                        events = self.lock().len(),
                        "events of the EHR could not be kept and are lost"
                    );
                    return;
                }
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    fn count(&self, waiting: &VecDeque<Append>) {
        let count = i64::try_from(waiting.len()).unwrap_or(i64::MAX);
        self.metrics.ehr_waiting.set(count);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Append>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn log_store(error: &StoreError) {
    tracing::warn!(
        error = error as &dyn std::error::Error,
        "could not look up an Idempotency-Key of the EHR; going on"
    );
}
