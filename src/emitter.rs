//! The one way out: every event of ours is stored, then published, here and nowhere else.
//!
//! One task takes all appends that wait, commits them together, publishes their events in the order of their sequence
//! numbers and answers. So two hundred concurrent posts share a handful of commits, and the order in which events are
//! stored, published and delivered is one order. What is stored and could not be published is published later, by the same
//! task, before anything newer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::domain::{Event, Position};
use crate::ports::{Append, Appended, Bus, EventStore, StoreError};
use crate::telemetry::{EventLabel, Metrics};

/// Appends that may wait for a commit. Beyond that, posts are refused at once instead of piling up in memory.
const MAX_WAITING: usize = 16_384;
/// Appends that share a commit. Larger ones would make the first of them wait for the last.
const MAX_BATCH: usize = 1_024;
/// How long an append waits for its commit before its caller is told that the store is not available.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often publishing is tried again while the bus is down, and the store is asked for leftovers.
const RETRY: Duration = Duration::from_millis(250);
/// How often the spool of a store that nodes share is asked for what could not be published.
const LEFTOVERS: Duration = Duration::from_secs(2);
/// Events that are read back from the store at once when catching up.
const CATCH_UP_PAGE: usize = 512;

/// Why nothing was emitted. In every case nothing was kept, unless said otherwise.
#[derive(Debug, thiserror::Error)]
pub enum EmitError {
    /// The state was changed by somebody else since it was read; decide again.
    #[error("the state has changed in the meantime")]
    Conflict,
    /// The idempotency key was used before with another body.
    #[error("this Idempotency-Key was used with another body")]
    KeyReused,
    /// The store cannot keep it now.
    #[error("the store is unavailable")]
    Unavailable(#[source] StoreError),
    /// Too many appends wait already, or the commit took too long. In the second case it may yet be kept: send it again
    /// with the same `Idempotency-Key`.
    #[error("too busy")]
    Busy,
}

/// Where an append is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// In the store.
    Committed,
    /// On this node's own disk until the store is back. REST says `"durable":"spooled"`.
    Spooled,
}

/// What became of an append that did not fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Emitted {
    /// Durable; its events are on their way.
    Now(Durability),
    /// It was asked before under the same idempotency key: nothing was emitted, here is the outcome of then.
    Before(String),
}

/// The handle that use cases emit with. Clones share one queue.
#[derive(Clone, Debug)]
pub struct Emitter {
    queue: mpsc::Sender<Request>,
    metrics: Metrics,
}

#[derive(Debug)]
struct Request {
    append: Append,
    answer: oneshot::Sender<Result<Emitted, EmitError>>,
}

impl Emitter {
    /// An emitter and the task behind it. Nothing is committed until [`EmitterTask::run`] is polled.
    pub fn new(
        store: Arc<dyn EventStore>,
        bus: Arc<dyn Bus>,
        clock: Arc<dyn Clock>,
        metrics: Metrics,
    ) -> (Self, EmitterTask) {
        let (queue, requests) = mpsc::channel(MAX_WAITING);
        let emitter = Self {
            queue,
            metrics: metrics.clone(),
        };
        let has_backlog = true; // the last run may have left some
        (
            emitter,
            EmitterTask {
                store,
                bus,
                clock,
                metrics,
                requests,
                has_backlog,
                unnoted: Vec::new(),
            },
        )
    }

    /// Keeps the append and publishes its events. When this returns `Ok`, the append is durable.
    ///
    /// # Errors
    /// See [`EmitError`]. Never takes longer than five seconds.
    pub async fn emit(&self, append: Append) -> Result<Emitted, EmitError> {
        let begun = Instant::now();
        let (answer, answered) = oneshot::channel();
        self.queue
            .try_send(Request { append, answer })
            .or(Err(EmitError::Busy))?;
        let outcome = match tokio::time::timeout(PATIENCE, answered).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) | Err(_) => Err(EmitError::Busy),
        };
        self.metrics.emit.observe(begun.elapsed().as_secs_f64());
        outcome
    }
}

/// The task that commits and publishes.
pub struct EmitterTask {
    store: Arc<dyn EventStore>,
    bus: Arc<dyn Bus>,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
    requests: mpsc::Receiver<Request>,
    /// Whether the store holds events that are not published. While it does, new ones wait behind them.
    has_backlog: bool,
    /// Published, and not yet noted as such in the store. Until they are, the store would hand them out again.
    unnoted: Vec<(u64, Position)>,
}

impl EmitterTask {
    /// Works until `stop` is cancelled and every append that was taken is answered.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut batch = Vec::with_capacity(MAX_BATCH);
        let mut retry = ticks(RETRY);
        let mut leftovers = ticks(LEFTOVERS);
        let is_shared = self.store.is_shared();
        loop {
            tokio::select! {
                biased;
                // First, or a node that is never idle would leave what a crash left unpublished lying. It is rare enough to
                // starve nobody.
                _ = leftovers.tick(), if is_shared => self.catch_up().await,
                received = self.requests.recv_many(&mut batch, MAX_BATCH) => {
                    if received == 0 {
                        return;
                    }
                    self.gather(&mut batch).await;
                    self.commit_and_publish(&mut batch).await;
                }
                _ = retry.tick(), if self.has_backlog => self.catch_up().await,
                () = stop.cancelled(), if !self.requests.is_closed() => self.requests.close(),
            }
        }
    }

    /// Lets every request that is ready to go on add its append: a commit costs a hundred times what an append in it does.
    async fn gather(&mut self, batch: &mut Vec<Request>) {
        tokio::task::yield_now().await;
        while batch.len() < MAX_BATCH
            && let Ok(request) = self.requests.try_recv()
        {
            batch.push(request);
        }
    }

    async fn commit_and_publish(&mut self, batch: &mut Vec<Request>) {
        // Whoever stopped waiting was told that nothing is promised; committing it all the same would only surprise them.
        batch.retain(|request| !request.answer.is_closed());
        if batch.is_empty() {
            return;
        }
        let (appends, answers): (Vec<_>, Vec<_>) =
            batch.drain(..).map(|request| (request.append, request.answer)).unzip();
        let events: Vec<Vec<Arc<Event>>> = appends.iter().map(|append| append.events.clone()).collect();

        let begun = Instant::now();
        self.metrics.store_batch.observe(count(appends.len()));
        let outcomes = match self.store.commit(appends).await {
            Ok(outcomes) => outcomes,
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "could not commit; nothing was accepted"
                );
                self.metrics.store_up.set(0);
                refuse_all(answers, error);
                return;
            }
        };
        let is_spooled = outcomes.iter().any(|outcome| matches!(outcome, Appended::Spooled(_)));
        self.metrics.store_up.set(i64::from(!is_spooled));
        self.metrics.store_commit.observe(begun.elapsed().as_secs_f64());

        let mut committed = Vec::new();
        for ((outcome, events), answer) in outcomes.into_iter().zip(events).zip(answers) {
            let numbered = |sequences: Vec<u64>, durability| {
                committed.extend(sequences.into_iter().zip(events));
                Ok(Emitted::Now(durability))
            };
            let outcome = match outcome {
                Appended::Committed(sequences) => numbered(sequences, Durability::Committed),
                Appended::Spooled(sequences) => numbered(sequences, Durability::Spooled),
                Appended::Repeated(outcome) => Ok(Emitted::Before(outcome)),
                Appended::KeyReused => Err(EmitError::KeyReused),
                Appended::Conflict => Err(EmitError::Conflict),
            };
            // A caller that has gone away meanwhile has lost the answer only: the events go out.
            drop(answer.send(outcome));
        }
        // What a shared store has committed is published with that; only a spool's events can wait, and nothing waits behind
        // them.
        let waits_in_store = self.has_backlog && !self.store.is_shared();
        if !committed.is_empty() && !waits_in_store {
            self.publish(committed).await;
        }
        if self.has_backlog {
            self.catch_up().await;
        }
    }

    /// Publishes what is stored and not yet published, oldest first, until nothing is left or the bus refuses.
    async fn catch_up(&mut self) {
        loop {
            if !self.note_published().await {
                return;
            }
            match self.store.unpublished(CATCH_UP_PAGE).await {
                Ok(page) if page.is_empty() => {
                    self.has_backlog = false;
                    self.metrics.unpublished.set(0);
                    return;
                }
                Ok(page) => {
                    let page = page
                        .into_iter()
                        .map(|(sequence, event)| (sequence, Arc::new(event)))
                        .collect();
                    if !self.publish(page).await {
                        return;
                    }
                }
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "could not read what is unpublished; trying again"
                    );
                    return;
                }
            }
        }
    }

    /// Whether all of them were published and noted as such.
    async fn publish(&mut self, events: Vec<(u64, Arc<Event>)>) -> bool {
        let positions = match self.bus.publish(events.clone()).await {
            Ok(positions) => positions,
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "could not publish; trying again"
                );
                self.metrics
                    .unpublished
                    .set(i64::try_from(events.len()).unwrap_or(i64::MAX));
                self.has_backlog = true;
                return false;
            }
        };
        let told = events
            .into_iter()
            .zip(positions)
            .filter(|((_, event), _)| !is_suppressed(event));
        for ((sequence, event), position) in told {
            self.unnoted.push((sequence, position));
            self.metrics
                .events
                .get_or_create(&EventLabel {
                    event: event.name.to_string(),
                })
                .inc();
        }
        self.note_published().await
    }

    /// Whether the store knows everything that was published.
    async fn note_published(&mut self) -> bool {
        if self.unnoted.is_empty() {
            return true;
        }
        let noted = self.store.mark_published(self.unnoted.clone(), self.clock.now()).await;
        match noted {
            Ok(()) => self.unnoted.clear(),
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "could not note what was published; trying again"
                );
                self.has_backlog = true;
            }
        }
        self.unnoted.is_empty()
    }
}

fn ticks(every: Duration) -> tokio::time::Interval {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    ticks
}

fn is_suppressed(event: &Event) -> bool {
    event.alert.as_ref().is_some_and(|alert| alert.is_suppressed)
}

fn refuse_all(answers: Vec<oneshot::Sender<Result<Emitted, EmitError>>>, error: StoreError) {
    let cause = error.to_string();
    let again = match error {
        StoreError::Uncertain(_) => StoreError::Uncertain,
        StoreError::Unavailable(_) | StoreError::Damaged(_) => StoreError::Unavailable,
    };
    let mut first = Some(error);
    for answer in answers {
        let error = first.take().unwrap_or_else(|| again(cause.clone().into()));
        drop(answer.send(Err(EmitError::Unavailable(error))));
    }
}

#[expect(clippy::cast_precision_loss, reason = "batch sizes are far below 2^52")]
fn count(n: usize) -> f64 {
    n as f64
}
