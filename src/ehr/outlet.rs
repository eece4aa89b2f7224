//! The way out for what a backend has told (contract B, §6): answered at once, and told again and again behind that.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::domain::EventId;
use crate::emitter::{EmitError, Emitted, Emitter};
use crate::ports::Append;
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
}

/// Nothing more can be promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

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

    /// Keeps the append and publishes its events, now or as soon as that is possible; behind whatever waits for that already.
    pub(super) async fn tell(&self, append: Append) -> Result<Told, Full> {
        let event_id = append.events.first().map(|event| event.id);
        let mut is_delivered = false;
        if self.lock().is_empty() {
            is_delivered = self.attempt(append.clone()).await;
        }
        if !is_delivered {
            let mut waiting = self.lock();
            if waiting.len() >= MAX_WAITING {
                return Err(Full);
            }
            waiting.push_back(append);
            self.count(&waiting);
            self.something_waits.notify_one();
        }
        Ok(Told { event_id, is_delivered })
    }

    async fn attempt(&self, append: Append) -> bool {
        match self.emitter.emit(append).await {
            // In a conflict its ids are there already: an attempt that seemed to fail was kept.
            Ok(Emitted::Now(_) | Emitted::Before(_)) | Err(EmitError::Conflict | EmitError::KeyReused) => true,
            Err(error @ (EmitError::Unavailable(_) | EmitError::Busy)) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "an event of the EHR waits; trying again"
                );
                false
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
            if self.attempt(first.clone()).await {
                then(&first);
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
