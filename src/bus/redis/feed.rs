//! Brings together what this node committed, what the stream tells and what the store knows, and hands it to delivery.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::entry::{Entry, EntryId, spooled_position};
use super::health::Health;
use super::line::{Line, Question, Slot};
use super::reader::Read;
use crate::bus::ahead::Ahead;
use crate::domain::{Event, Position};
use crate::ports::{EventStore, Positioned, StoreError};
use crate::telemetry::Metrics;

/// How long an event waits for its predecessor from the stream before the store is asked. Nodes that commit at the same time
/// write to the stream in any order, within milliseconds.
const REORDERING: Duration = Duration::from_millis(30);
/// How often the store is asked for what the stream did not bring while Redis answers: a node that is cut from Redis writes
/// nothing there, and nobody else notices.
const POLL: Duration = Duration::from_secs(1);
/// How often the store is asked while Redis does not answer.
const POLL_ALONE: Duration = Duration::from_millis(100);
/// How long the store may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// When the store is asked again that did not answer.
const RETRY: Duration = Duration::from_millis(250);
/// How long events wait for a predecessor that only the store could tell, while the store is away.
const GIVE_UP: Duration = Duration::from_secs(2);
/// Events that are read from the store at once.
const PAGE: usize = 512;

/// What this node published.
pub(super) enum Own {
    /// Committed under these sequence numbers.
    Committed(Vec<(u64, Slot)>),
    /// Neither store nor bus could take these.
    Alone(Vec<Arc<Event>>),
}

type Answer = Pin<Box<dyn Future<Output = (Question, Result<Vec<Positioned>, StoreError>)> + Send>>;

/// The task that hands on.
pub(super) struct Feed {
    store: Arc<dyn EventStore>,
    /// Begins where the store is, as soon as that is known.
    line: Line,
    inbox: mpsc::Receiver<Own>,
    stream: mpsc::Receiver<Read>,
    sender: mpsc::Sender<Positioned>,
    ahead: Arc<Ahead>,
    highest: Arc<AtomicU64>,
    health: Arc<Health>,
    metrics: Metrics,
    stop: CancellationToken,
    /// What the store is being asked.
    asked: Option<Answer>,
    /// When the store is asked next.
    poll_at: Instant,
    /// Not before this, because it did not answer.
    rest_until: Instant,
    /// Since when the first event in the line waits for its predecessor.
    waits_since: Option<Instant>,
    /// The sequence number that was last handed on when it began to.
    waits_behind: u64,
    out: Vec<Positioned>,
}

/// Where a feed gets its events, and where they go.
pub(super) struct Ends {
    pub(super) inbox: mpsc::Receiver<Own>,
    pub(super) stream: mpsc::Receiver<Read>,
    pub(super) sender: mpsc::Sender<Positioned>,
}

impl Feed {
    pub(super) fn new(
        store: Arc<dyn EventStore>,
        ends: Ends,
        shared: (Arc<Ahead>, Arc<AtomicU64>, Arc<Health>),
        metrics: Metrics,
        stop: CancellationToken,
    ) -> Self {
        let (ahead, highest, health) = shared;
        Self {
            store,
            line: Line::new(Position::START),
            inbox: ends.inbox,
            stream: ends.stream,
            sender: ends.sender,
            ahead,
            highest,
            health,
            metrics,
            stop,
            asked: None,
            poll_at: Instant::now(),
            rest_until: Instant::now(),
            waits_since: None,
            waits_behind: 0,
            out: Vec::new(),
        }
    }

    /// Hands on until the bus is closed and what this node published is handed on, or nobody listens any more.
    pub(super) async fn run(mut self) {
        self.begin().await;
        loop {
            if self.flush().await.is_err() {
                return;
            }
            self.ask();
            let wake = self.wake();
            tokio::select! {
                biased;
                own = self.inbox.recv() => match own {
                    Some(own) => self.take_own(own),
                    // Closed, and emptied. What still waits for its predecessor is told to nobody here: whoever heard it
                    // would come back to another node as one who has heard the predecessor too.
                    None => return,
                },
                read = self.stream.recv(), if !self.stop.is_cancelled() => match read {
                    Some(read) => self.take_read(read),
                    None => self.stop.cancel(),
                },
                (question, answer) = answered(&mut self.asked) => {
                    self.asked = None;
                    self.take_answer(question, answer);
                }
                () = self.health.changed() => self.poll_at = Instant::now(),
                () = tokio::time::sleep_until(wake) => {}
            }
        }
    }

    /// Finds out where to begin: behind what the store has, or, if the store is away, behind what the stream has. What the
    /// stream lacks is then read when the store is back.
    async fn begin(&mut self) {
        let mut in_stream = 0;
        let mut is_caught_up = false;
        loop {
            let in_store = tokio::time::timeout(PATIENCE, self.store.last_position()).await;
            let begin = match in_store {
                Ok(Ok(position)) => Some(position),
                Ok(Err(_)) | Err(_) if is_caught_up => Some(Position::from_sequence(in_stream)),
                Ok(Err(_)) | Err(_) => None,
            };
            if let Some(begin) = begin {
                self.line = Line::new(begin);
                return;
            }
            let again = tokio::time::sleep(RETRY);
            tokio::pin!(again);
            loop {
                tokio::select! {
                    // What is new waits there: nothing is handed on yet.
                    read = self.stream.recv(), if !is_caught_up => match read {
                        Some(Read::Old(entries)) => in_stream = self.take_old(entries).max(in_stream),
                        Some(Read::CaughtUp) => {
                            is_caught_up = true;
                            break;
                        }
                        Some(Read::New(_) | Read::Connected) => {}
                        None => return,
                    },
                    () = self.stop.cancelled() => return,
                    () = &mut again => break,
                }
            }
        }
    }

    /// Answers the greatest sequence number among them.
    fn take_old(&mut self, entries: Vec<(EntryId, Entry)>) -> u64 {
        let mut greatest = 0;
        for (id, entry) in entries {
            match entry {
                Entry::Committed(number, _) | Entry::Hole(number) => greatest = greatest.max(number),
                Entry::Spooled(after, event) => {
                    greatest = greatest.max(after);
                    self.ahead.keep(spooled_position(after, id), event);
                }
            }
        }
        greatest
    }

    async fn flush(&mut self) -> Result<(), mpsc::error::SendError<Positioned>> {
        if !self.line.has_gap() {
            self.waits_since = None;
        } else if self.waits_since.is_none() || self.waits_behind != self.line.last().major {
            self.waits_since = Some(Instant::now());
            self.waits_behind = self.line.last().major;
        }
        self.highest.store(self.line.highest(), Ordering::Release);
        for positioned in self.out.drain(..) {
            self.sender.send(positioned).await?;
        }
        Ok(())
    }

    fn take_own(&mut self, own: Own) {
        match own {
            Own::Committed(slots) => {
                for (number, slot) in slots {
                    if self.line.take_own(number, slot, &mut self.out) {
                        tracing::error!(
                            sequence = number,
                            last = %self.line.last(),
                            "the store counts from an older state than this node: was it restored? restart all nodes"
                        );
                    }
                }
            }
            Own::Alone(events) => {
                for event in events {
                    self.line.take_alone(event, &mut self.out);
                }
            }
        }
    }

    fn take_read(&mut self, read: Read) {
        match read {
            Read::Connected => self.poll_at = Instant::now(),
            Read::CaughtUp => {}
            Read::Old(entries) => {
                self.take_old(entries);
            }
            Read::New(entries) => {
                for (id, entry) in entries {
                    self.take_entry(id, entry);
                }
            }
        }
    }

    fn take_entry(&mut self, id: EntryId, entry: Entry) {
        match entry {
            Entry::Committed(number, event) => self.line.take(number, Some(event), &mut self.out),
            Entry::Hole(number) => self.line.take(number, None, &mut self.out),
            Entry::Spooled(after, event) => {
                let position = spooled_position(after, id);
                self.ahead.keep(position, Arc::clone(&event));
                self.line.take_spooled(position, event, &mut self.out);
            }
        }
    }

    fn take_answer(&mut self, question: Question, answer: Result<Vec<Positioned>, StoreError>) {
        let now = Instant::now();
        match answer {
            Ok(page) => {
                let is_whole = page.len() < PAGE;
                let before = self.out.len();
                self.line.take_page(question, page, is_whole, &mut self.out);
                self.metrics
                    .bus_filled
                    .inc_by(u64::try_from(self.out.len() - before).unwrap_or(0));
                let pause = if !is_whole {
                    Duration::ZERO
                } else if self.health.is_up() {
                    POLL
                } else {
                    POLL_ALONE
                };
                self.poll_at = now + pause;
            }
            Err(error) => {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "could not ask the store for events"
                );
                self.rest_until = now + RETRY;
                if self.waits_since.is_some_and(|since| now - since > GIVE_UP) {
                    tracing::warn!("the store does not answer: handing on events without those before them");
                    self.line.pass_over(&mut self.out);
                }
            }
        }
    }

    /// Asks the store if it is time to.
    fn ask(&mut self) {
        if self.asked.is_some() || self.ask_at() > Instant::now() {
            return;
        }
        let (store, question) = (Arc::clone(&self.store), self.line.question());
        self.asked = Some(Box::pin(async move {
            let answer = tokio::time::timeout(PATIENCE, store.published_after(question.after, PAGE)).await;
            let answer = answer.unwrap_or_else(|late| Err(StoreError::Unavailable(Box::new(late))));
            (question, answer)
        }));
    }

    /// When the store is to be asked.
    fn ask_at(&self) -> Instant {
        let for_gap = self.waits_since.map(|since| since + REORDERING);
        // Where nobody else writes to the store, nothing can be in it that this node does not know.
        let for_others = (self.store.is_shared() || self.line.is_owed()).then_some(self.poll_at);
        let at = for_gap.into_iter().chain(for_others).min();
        at.unwrap_or_else(far_future).max(self.rest_until)
    }

    /// When something is to be done even if nothing comes.
    fn wake(&self) -> Instant {
        if self.asked.is_some() {
            far_future()
        } else {
            self.ask_at()
        }
    }
}

fn far_future() -> Instant {
    Instant::now() + Duration::from_hours(1)
}

async fn answered(asked: &mut Option<Answer>) -> (Question, Result<Vec<Positioned>, StoreError>) {
    match asked {
        Some(answer) => answer.await,
        None => std::future::pending().await,
    }
}
