//! Hands over what waits in the spool, in order, as soon as the store is back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Shared;
use super::file::Waiting;
use crate::ports::StoreError;
use crate::store::postgres::{Absorb, PostgresStore};

/// Appends that are handed over together.
const CHUNK: usize = 200;
/// How often it is looked whether the store is back.
const LOOK: Duration = Duration::from_millis(200);
/// How long an append waits here for its events to be published: then they are known to the store under the same positions
/// as to everybody else. Without the bus they are published with the move.
const FOR_BUS: Duration = Duration::from_secs(3);

/// The task that hands over.
pub(super) struct Drain {
    store: PostgresStore,
    shared: Arc<Shared>,
    /// Since when appends were seen here that are not published.
    seen: BTreeMap<i64, Instant>,
    was_waiting: bool,
}

/// What a round came to.
enum Round {
    Empty,
    Moved,
    /// Nothing can be handed over now.
    Blocked,
}

impl Drain {
    pub(super) fn new(store: PostgresStore, shared: Arc<Shared>) -> Self {
        Self {
            store,
            shared,
            seen: BTreeMap::new(),
            was_waiting: false,
        }
    }

    /// Hands over until the store is closed.
    pub(super) async fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        let _ended = shared.stop.run_until_cancelled(self.work()).await;
    }

    async fn work(&mut self) {
        loop {
            match self.round().await {
                Ok(Round::Moved) => {}
                Ok(Round::Empty) => self.shared.something_waits.notified().await,
                Ok(Round::Blocked) => tokio::time::sleep(LOOK).await,
                Err(error) => {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "could not hand over what was spooled"
                    );
                    tokio::time::sleep(LOOK * 5).await;
                }
            }
        }
    }

    async fn round(&mut self) -> Result<Round, StoreError> {
        let puts = self.shared.lock_waiting().puts;
        let oldest = self.shared.file.oldest(CHUNK).await?;
        {
            let mut waiting = self.shared.lock_waiting();
            if waiting.puts == puts {
                waiting.has_some = !oldest.is_empty();
            }
        }
        self.tell(&oldest).await;
        if oldest.is_empty() {
            return Ok(Round::Empty);
        }
        if self.store.is_down() {
            self.look_at(&oldest);
            return Ok(Round::Blocked);
        }
        let ready = self.ready(oldest);
        if ready.is_empty() {
            return Ok(Round::Blocked);
        }
        self.hand_over(ready).await
    }

    /// Those from the front that nothing stands against.
    fn ready(&mut self, oldest: Vec<Waiting>) -> Vec<Waiting> {
        self.look_at(&oldest);
        let is_ready = |waiting: &Waiting| {
            waiting.is_settled || self.seen.get(&waiting.n).is_some_and(|since| since.elapsed() > FOR_BUS)
        };
        oldest.into_iter().take_while(is_ready).collect()
    }

    fn look_at(&mut self, oldest: &[Waiting]) {
        let now = Instant::now();
        self.seen = oldest
            .iter()
            .filter(|waiting| !waiting.is_settled)
            .map(|waiting| (waiting.n, self.seen.get(&waiting.n).copied().unwrap_or(now)))
            .collect();
    }

    async fn hand_over(&mut self, ready: Vec<Waiting>) -> Result<Round, StoreError> {
        let numbers: Vec<i64> = ready.iter().map(|waiting| waiting.n).collect();
        let batch: Vec<Absorb> = ready
            .into_iter()
            .map(|waiting| Absorb {
                append: waiting.append,
                stored_at: waiting.stored_at,
                published: waiting.published,
            })
            .collect();
        match self.store.absorb(&batch).await {
            Ok(_) => {
                self.shared.file.remove(numbers).await?;
                Ok(Round::Moved)
            }
            Err(StoreError::Unavailable(_) | StoreError::Uncertain(_)) => Ok(Round::Blocked),
            // One of them is at fault. All others must not wait behind it for ever.
            Err(StoreError::Damaged(_)) => {
                for (n, absorb) in numbers.into_iter().zip(batch) {
                    match self.store.absorb(&[absorb]).await {
                        Ok(_) => self.shared.file.remove(vec![n]).await?,
                        Err(StoreError::Unavailable(_) | StoreError::Uncertain(_)) => return Ok(Round::Blocked),
                        Err(StoreError::Damaged(error)) => {
                            tracing::error!(
                                spool.append = n,
                                error = &*error as &dyn std::error::Error,
                                "the store refuses an append for good; it stays in the spool's table of refused ones"
                            );
                            self.shared.file.put_aside(n).await?;
                        }
                    }
                }
                Ok(Round::Moved)
            }
        }
    }

    /// Says when appends begin to wait and when the last of them is handed over.
    async fn tell(&mut self, oldest: &[Waiting]) {
        let is_waiting = !oldest.is_empty();
        let count = if is_waiting {
            self.shared.file.count().await.unwrap_or(1)
        } else {
            0
        };
        self.shared
            .metrics
            .spooled
            .set(i64::try_from(count).unwrap_or(i64::MAX));
        match (self.was_waiting, is_waiting) {
            (false, true) => tracing::warn!(spool.appends = count, "appends wait in the spool for the store"),
            (true, false) => tracing::info!("everything that was spooled is in the store"),
            (true, true) | (false, false) => {}
        }
        self.was_waiting = is_waiting;
    }
}
