//! Writes this node's events to the stream, many at a time, and keeps the stream short.
//!
//! It refuses to insist: what Redis does not take soon the other nodes have read from the store by then.

use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::{Cmd, Pipeline, Value};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::entry::{Entry, EntryId, entry_id};
use super::health::{Health, Side};
use super::server::{Link, LinkError, Server};
use crate::telemetry::Metrics;

/// How long Redis may take to answer a batch.
const PATIENCE: Duration = Duration::from_secs(1);
/// Entries that go in one round trip.
const MAX_BATCH: usize = 256;
/// Bytes that go in one round trip, roughly.
const MAX_BATCH_BYTES: usize = 1 << 20;
/// When an entry is no longer worth writing: the other nodes have it from the store.
const STALE: Duration = Duration::from_secs(2);
/// How often old entries are removed, and Redis is asked whether it is there.
const TRIM: Duration = Duration::from_secs(5);
/// Between two attempts to reach Redis, growing from the first to the second.
pub(super) const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// An entry on its way out.
pub(super) struct Outgoing {
    pub(super) entry: Entry,
    /// Whoever wants to know its id.
    pub(super) answer: Option<oneshot::Sender<EntryId>>,
    pub(super) since: Instant,
}

/// The task that writes.
pub(super) struct Writer {
    pub(super) server: Server,
    pub(super) key: String,
    pub(super) max_events: u64,
    pub(super) max_age: Duration,
    pub(super) outbox: mpsc::Receiver<Outgoing>,
    pub(super) health: Arc<Health>,
    pub(super) metrics: Metrics,
    pub(super) stop: CancellationToken,
}

impl Writer {
    /// Works until it is stopped, or nobody can send it anything.
    pub(super) async fn run(mut self) {
        let mut pause = BACKOFF.0;
        loop {
            let connected = tokio::select! {
                connected = self.server.connect(PATIENCE) => connected,
                () = self.stop.cancelled() => return,
            };
            match connected {
                Ok(link) => match self.serve(link).await {
                    Ok(()) => return,
                    Err(error) => {
                        self.health.down(Side::Writer, &error);
                        pause = BACKOFF.0;
                    }
                },
                Err(error) => self.health.down(Side::Writer, &error),
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(BACKOFF.1),
                () = self.stop.cancelled() => return,
            }
        }
    }

    async fn serve(&mut self, mut link: Link) -> Result<(), LinkError> {
        let mut trim = tokio::time::interval(TRIM);
        trim.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut batch = Vec::with_capacity(MAX_BATCH);
        loop {
            tokio::select! {
                biased;
                received = self.outbox.recv_many(&mut batch, MAX_BATCH) => {
                    if received == 0 {
                        return Ok(());
                    }
                    self.write(&mut link, &mut batch).await?;
                }
                _ = trim.tick() => {
                    self.trim(&mut link).await?;
                    self.health.up(Side::Writer);
                }
                // Only now that nothing waits any more: what was published before the end still goes out.
                () = self.stop.cancelled() => return Ok(()),
            }
        }
    }

    async fn write(&self, link: &mut Link, batch: &mut Vec<Outgoing>) -> Result<(), LinkError> {
        let now = Instant::now();
        let mut waiting = batch.drain(..).filter(|outgoing| {
            let is_worth_it = match &outgoing.answer {
                Some(answer) => !answer.is_closed(),
                None => now.duration_since(outgoing.since) < STALE,
            };
            if !is_worth_it {
                self.metrics.bus_unsent.inc();
            }
            is_worth_it
        });
        loop {
            let mut pipeline = Pipeline::new();
            let mut answers = Vec::new();
            let mut bytes = 0;
            while bytes < MAX_BATCH_BYTES
                && let Some(outgoing) = waiting.next()
            {
                bytes += outgoing.entry.weight();
                pipeline.add_command(self.addition(&outgoing.entry));
                answers.push(outgoing.answer);
            }
            if answers.is_empty() {
                return Ok(());
            }
            let ids: Vec<Value> = timely(pipeline.query_async(link)).await?;
            for (answer, id) in answers.into_iter().zip(ids) {
                if let (Some(answer), Ok(id)) = (answer, entry_id(&id)) {
                    // Nobody may wait any more; the entry is there all the same.
                    answer.send(id).ok();
                }
            }
            self.health.up(Side::Writer);
        }
    }

    fn addition(&self, entry: &Entry) -> Cmd {
        let mut command = redis::cmd("XADD");
        command
            .arg(&self.key)
            .arg("MAXLEN")
            .arg("~")
            .arg(self.max_events)
            .arg("*");
        entry.write(&mut command);
        command
    }

    /// Removes entries that are too old, by the clock that numbered them.
    async fn trim(&self, link: &mut Link) -> Result<(), LinkError> {
        let (seconds, _micros): (u64, u64) = timely(redis::cmd("TIME").query_async(link)).await?;
        let oldest = seconds.saturating_sub(self.max_age.as_secs()).saturating_mul(1_000);
        let mut trim = redis::cmd("XTRIM");
        trim.arg(&self.key).arg("MINID").arg("=").arg(oldest);
        let _removed: u64 = timely(trim.query_async(link)).await?;
        Ok(())
    }
}

/// The client library's own bound does not hold where a Cluster looks for another server first.
async fn timely<T>(asked: impl Future<Output = redis::RedisResult<T>>) -> Result<T, LinkError> {
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(answered) => Ok(answered?),
        Err(_) => Err(LinkError::Silent),
    }
}
