//! Raises events in the order in which they were heard, and sees to it that those which another node raises are raised.
//!
//! What another node raises waits here for a while, and whatever this node has to raise itself goes behind it: when the speaker
//! dies, the next one first makes good what it left. What cannot be stored is tried again for a while, everything newer behind it.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::future::{MaybeDone, join_all, maybe_done};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Bridge;
use super::heard::Digest;
use super::tally::{Fate, Tally};
use crate::domain::{EventId, WorkerEvent};
use crate::ports::{NotRaised, Raise, Raised};

/// Events that are raised together: they share a commit or two.
const MAX_BATCH: usize = 128;
/// Between two attempts, growing from the first to the second.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// How long the store may be gone, with its spool, before an event is given up.
const PATIENCE: Duration = Duration::from_mins(2);

/// An event with its id.
pub(super) struct Claimed {
    pub(super) bridge: Bridge,
    pub(super) event: WorkerEvent,
    pub(super) digest: Digest,
    pub(super) id: EventId,
    /// Whether this node raises it; else another does.
    pub(super) is_ours: bool,
    /// When it should have been raised.
    pub(super) due: Instant,
    /// Its share of what may wait, given back with it.
    #[expect(dead_code, reason = "held, not read")]
    pub(super) share: OwnedSemaphorePermit,
}

/// The task that raises.
pub(super) struct Outbox {
    pub(super) raise: Arc<dyn Raise>,
    pub(super) tally: Arc<Tally>,
    pub(super) claimed: UnboundedReceiver<Claimed>,
}

/// What waits, in order.
#[derive(Default)]
struct Waiting {
    events: VecDeque<Claimed>,
    /// So many from the front go now: the last of them is this node's to raise.
    urgent: usize,
}

impl Waiting {
    fn push(&mut self, claimed: Claimed) {
        let is_ours = claimed.is_ours;
        self.events.push_back(claimed);
        if is_ours {
            self.urgent = self.events.len();
        }
    }

    /// Those from the front that go now.
    fn take(&mut self, now: Instant) -> Vec<Claimed> {
        let due = self.events.iter().take_while(|claimed| claimed.due <= now).count();
        let count = due.max(self.urgent).min(MAX_BATCH);
        self.urgent = self.urgent.saturating_sub(count);
        self.events.drain(..count).collect()
    }
}

impl Outbox {
    /// Works until nothing can be claimed any more. From `stop` on nothing is waited for.
    pub(super) async fn run(self, stop: CancellationToken) {
        let Self {
            raise,
            tally,
            mut claimed,
        } = self;
        let work = Work { raise, tally, stop };
        let mut waiting = Waiting::default();
        loop {
            while let Ok(claimed) = claimed.try_recv() {
                waiting.push(claimed);
            }
            if work.stop.is_cancelled() {
                waiting.urgent = waiting.events.len();
            }
            let mut batch = waiting.take(Instant::now());
            if !batch.is_empty() {
                work.settle(&mut batch).await;
                continue;
            }
            let due = waiting.events.front().map(|first| first.due);
            let wait = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                received = claimed.recv() => match received {
                    Some(claimed) => waiting.push(claimed),
                    None if waiting.events.is_empty() => return,
                    None => waiting.urgent = waiting.events.len(),
                },
                () = wait => {}
                () = work.stop.cancelled(), if due.is_some() => {}
            }
        }
    }
}

struct Work {
    raise: Arc<dyn Raise>,
    tally: Arc<Tally>,
    stop: CancellationToken,
}

impl Work {
    /// Has all of them raised, or gives them up.
    async fn settle(&self, batch: &mut Vec<Claimed>) {
        let deadline = Instant::now() + PATIENCE;
        let mut pause = BACKOFF.0;
        loop {
            self.pass_over_raised(batch).await;
            let raising = batch
                .iter()
                .map(|claimed| self.raise.raise(claimed.id, &claimed.event, claimed.digest));
            let outcomes = in_order(raising).await;
            let mut outcomes = outcomes.into_iter();
            batch.retain(|claimed| match outcomes.next() {
                Some(Ok(raised)) => {
                    self.tally.count(claimed.bridge, fate(raised, claimed.is_ours));
                    false
                }
                Some(Err(error)) => {
                    tracing::debug!(event.id = %claimed.id, error = &error as &dyn std::error::Error, "trying again");
                    true
                }
                None => true,
            });
            if batch.is_empty() {
                return;
            }
            if self.stop.is_cancelled() || Instant::now() >= deadline {
                for claimed in batch.drain(..) {
                    self.tally
                        .dropped(claimed.bridge, Fate::GivenUp, "it could not be stored");
                }
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(BACKOFF.1),
                () = self.stop.cancelled() => {}
            }
        }
    }

    /// Takes out what another node has raised meanwhile.
    async fn pass_over_raised(&self, batch: &mut Vec<Claimed>) {
        let asked = batch.iter().map(async |claimed| {
            // A store that cannot be asked may yet keep it in its spool.
            !claimed.is_ours && self.raise.was_raised(claimed.id).await.unwrap_or(false)
        });
        let mut were_raised = join_all(asked).await.into_iter();
        batch.retain(|claimed| {
            let was_raised = were_raised.next().unwrap_or(false);
            if was_raised {
                self.tally.count(claimed.bridge, Fate::Repeated);
            }
            !was_raised
        });
    }
}

const fn fate(raised: Raised, is_ours: bool) -> Fate {
    match (raised, is_ours) {
        (Raised::Now, true) => Fate::Raised,
        (Raised::Now, false) => Fate::TakenOver,
        (Raised::Before, _) => Fate::Repeated,
    }
}

type Raising<'a> = Pin<Box<dyn Future<Output = Result<Raised, NotRaised>> + Send + 'a>>;

/// Begins all of them in their order, which is the order in which they take their places, and waits for all.
async fn in_order<'a>(raising: impl Iterator<Item = Raising<'a>>) -> Vec<Result<Raised, NotRaised>> {
    let mut raising: Vec<Pin<Box<MaybeDone<Raising<'a>>>>> = raising.map(|one| Box::pin(maybe_done(one))).collect();
    std::future::poll_fn(|context| {
        let mut are_done = true;
        for one in &mut raising {
            are_done &= one.as_mut().poll(context).is_ready();
        }
        if are_done { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    raising
        .into_iter()
        .filter_map(|mut one| one.as_mut().take_output())
        .collect()
}
