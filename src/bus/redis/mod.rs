//! The bus of many nodes: a Redis stream that brings every event to every node, over one database that orders them.
//!
//! **Order comes from the store.** A store that nodes share numbers events in the order of its commits, without holes that
//! matter, and an event's position is its sequence number, exactly as on one node. Redis carries events quickly but decides
//! nothing. So it can be slow, cut off, restarted with or without its data, failed over with the last writes missing, or
//! deliver an entry twice: no client's offset becomes wrong, and no event is handed on twice or not at all.
//!
//! **A node hands on** what it committed itself, what it reads from the stream, and, where something is missing for 30 ms
//! between two numbers, what it reads from the store (`line`, `feed`). It also asks the store once a second, since a node
//! that is cut from Redis writes nothing there, and ten times a second while it cannot read the stream itself. While Redis
//! is gone every client of every node is therefore served, a tenth of a second later.
//!
//! **The stream is a short memory** (`max_age`, `max_events`): whoever was away for longer reads the store.
//!
//! **While the store is gone** events come out of a node's spool and have no sequence number. They get a position just after
//! the last number, ordered by their entries in the stream, keep it when they move into the store, and are known to
//! recovery meanwhile ([`Bus::ahead_of_store`]). If Redis is gone as well, a node tells its own sockets at once, and all once
//! more when the event gets its place: twice rather than never.
//!
//! It refuses to know what an event means, and who is connected.

mod copies;
mod entry;
mod feed;
mod health;
mod line;
mod peers;
mod presence;
mod reader;
mod server;
mod sole;
mod writer;

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use sha2::{Digest as _, Sha256};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use self::entry::{Entry, spooled_position};
use self::feed::{Ends, Feed, Own};
use self::health::Health;
use self::reader::Reader;
use self::writer::{Outgoing, Writer};
use super::ahead::Ahead;
use super::local::Closed;
use crate::domain::{Event, EventId, Position, RoomName};
use crate::ports::{Bus, BusError, EventStore, Positioned, SPOOLED};
use crate::telemetry::Metrics;

pub use self::copies::RedisCopies;
pub use self::peers::{PeerTasks, RedisPeers};
pub use self::presence::Presence;
pub(crate) use self::server::Link;
pub use self::server::{InvalidServer, LinkError, Server};
pub use self::sole::{NotSole, Sole};

/// Batches that may wait for being put in order. Beyond that publishing waits, and with it the posts.
const MAX_INBOX: usize = 64;
/// Entries that may wait for being written. Beyond that the other nodes read them from the store.
const MAX_OUTBOX: usize = 8_192;
/// Reads of the stream that may wait for being put in order.
const MAX_READ: usize = 8;
/// Events that may wait for delivery.
const MAX_WAITING: usize = 4_096;
/// How long an event without the store may wait for its place.
const PATIENCE: Duration = Duration::from_secs(1);
/// Instead of a sequence number, as long as no node has told this one any.
const UNKNOWN: u64 = u64::MAX;

/// Where the stream is, and how long it is kept.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which Redis.
    pub server: Server,
    /// What every key of ours begins with. Nodes with the same prefix on the same Redis must share a database.
    pub prefix: String,
    /// How many events the stream keeps, roughly.
    pub max_events: u64,
    /// How long it keeps them.
    pub max_age: Duration,
}

impl Settings {
    /// The usual settings for this Redis.
    pub fn at(server: Server) -> Self {
        Self {
            server,
            prefix: "wardbell".to_owned(),
            max_events: 100_000,
            max_age: Duration::from_mins(10),
        }
    }
}

/// A node's part of the bus.
pub struct RedisBus {
    /// `None` once the bus is closed.
    inbox: Mutex<Option<mpsc::Sender<Own>>>,
    outbox: mpsc::Sender<Outgoing>,
    /// `None` once somebody subscribed.
    receiver: Mutex<Option<mpsc::Receiver<Positioned>>>,
    ahead: Arc<Ahead>,
    /// The greatest sequence number that this node knows of.
    highest: Arc<AtomicU64>,
    /// Events that were handed to this node alone and have no place yet.
    alone: Mutex<HashSet<EventId>>,
    health: Arc<Health>,
    metrics: Metrics,
    stop: CancellationToken,
}

/// The tasks behind a [`RedisBus`].
pub struct RedisTasks {
    reader: Reader,
    writer: Writer,
    feed: Feed,
    stop: CancellationToken,
}

impl RedisTasks {
    /// Works until the bus is closed and all that was published is handed on.
    pub async fn run(self) {
        let feed = async {
            self.feed.run().await;
            self.stop.cancel();
        };
        tokio::join!(self.reader.run(), self.writer.run(), feed);
    }
}

impl RedisBus {
    /// A bus that goes on behind what `store` has. Neither store nor Redis need be there yet.
    pub fn new(settings: Settings, store: Arc<dyn EventStore>, metrics: Metrics) -> (Self, RedisTasks) {
        let stop = CancellationToken::new();
        let health = Arc::new(Health::new(metrics.clone()));
        let ahead = Arc::new(Ahead::default());
        let highest = Arc::new(AtomicU64::new(UNKNOWN));
        let (inbox, own) = mpsc::channel(MAX_INBOX);
        let (outbox, outgoing) = mpsc::channel(MAX_OUTBOX);
        let (sender, receiver) = mpsc::channel(MAX_WAITING);
        let (read, stream) = mpsc::channel(MAX_READ);
        let key = format!("{}:events", settings.prefix);
        let ends = Ends {
            inbox: own,
            stream,
            sender,
        };
        let shared = (Arc::clone(&ahead), Arc::clone(&highest), Arc::clone(&health));
        let tasks = RedisTasks {
            reader: Reader {
                server: settings.server.clone(),
                key: key.clone(),
                feed: read,
                health: Arc::clone(&health),
                metrics: metrics.clone(),
                stop: stop.clone(),
            },
            writer: Writer {
                server: settings.server,
                key,
                max_events: settings.max_events,
                max_age: settings.max_age,
                outbox: outgoing,
                health: Arc::clone(&health),
                metrics: metrics.clone(),
                stop: stop.clone(),
            },
            feed: Feed::new(store, ends, shared, metrics.clone(), stop.clone()),
            stop: stop.clone(),
        };
        let bus = Self {
            inbox: Mutex::new(Some(inbox)),
            outbox,
            receiver: Mutex::new(Some(receiver)),
            ahead,
            highest,
            alone: Mutex::default(),
            health,
            metrics,
            stop,
        };
        (bus, tasks)
    }

    fn send(&self, entry: Entry, answer: Option<oneshot::Sender<Position>>) {
        let outgoing = Outgoing {
            entry,
            answer,
            since: Instant::now(),
        };
        if self.outbox.try_send(outgoing).is_err() {
            self.metrics.bus_unsent.inc();
        }
    }

    /// Publishes what has no sequence number. Each event must be in the stream before it has a place.
    async fn publish_spooled(
        &self,
        inbox: &mpsc::Sender<Own>,
        events: Vec<Arc<Event>>,
    ) -> Result<Vec<Position>, BusError> {
        let mut placed = Vec::with_capacity(events.len());
        for event in &events {
            // An attempt that seemed to fail may have reached the stream.
            if let Some(position) = self.ahead.position_of(event.id) {
                placed.push(Place::Known(position));
                continue;
            }
            let after = self.highest.load(Ordering::Acquire);
            if after != UNKNOWN && self.health.is_up() {
                let (answer, answered) = oneshot::channel();
                self.send(Entry::Spooled(after, Arc::clone(event)), Some(answer));
                placed.push(Place::Asked(after, answered));
            } else {
                placed.push(Place::Nowhere);
            }
        }
        let deadline = tokio::time::Instant::now() + PATIENCE;
        let mut positions = Vec::with_capacity(placed.len());
        let mut unplaced = Vec::new();
        for (place, event) in placed.into_iter().zip(events) {
            let position = match place {
                Place::Known(position) => Some(position),
                Place::Asked(after, answered) => match tokio::time::timeout_at(deadline, answered).await {
                    Ok(Ok(id)) => Some(spooled_position(after, id)),
                    Ok(Err(_)) | Err(_) => None,
                },
                Place::Nowhere => None,
            };
            match position {
                Some(position) => {
                    lock(&self.alone).remove(&event.id);
                    positions.push(position);
                }
                None => unplaced.push(event),
            }
        }
        if unplaced.is_empty() {
            return Ok(positions);
        }
        unplaced.retain(|event| lock(&self.alone).insert(event.id));
        if !unplaced.is_empty() {
            inbox.send(Own::Alone(unplaced)).await.or(Err(closed()))?;
        }
        Err(BusError(Box::new(LinkError::Silent)))
    }

    async fn publish_committed(
        &self,
        inbox: &mpsc::Sender<Own>,
        events: Vec<(u64, Arc<Event>)>,
    ) -> Result<(), BusError> {
        let mut slots = Vec::with_capacity(events.len());
        for (number, event) in events {
            let is_suppressed = event.alert.as_ref().is_some_and(|alert| alert.is_suppressed);
            if is_suppressed {
                self.send(Entry::Hole(number), None);
                slots.push((number, None));
            } else {
                self.send(Entry::Committed(number, Arc::clone(&event)), None);
                slots.push((number, Some(event)));
            }
        }
        inbox.send(Own::Committed(slots)).await.or(Err(closed()))
    }
}

/// Where an event without a sequence number stands.
enum Place {
    Known(Position),
    Asked(u64, oneshot::Receiver<Position>),
    Nowhere,
}

#[async_trait]
impl Bus for RedisBus {
    async fn publish(&self, events: Vec<(u64, Arc<Event>)>) -> Result<Vec<Position>, BusError> {
        let inbox = lock(&self.inbox).clone().ok_or_else(closed)?;
        let mut positions = Vec::with_capacity(events.len());
        let mut rest = events.into_iter().peekable();
        while let Some((number, _)) = rest.peek() {
            let is_spooled = *number >= SPOOLED;
            let mut run = Vec::new();
            while let Some(next) = rest.next_if(|(number, _)| (*number >= SPOOLED) == is_spooled) {
                run.push(next);
            }
            if is_spooled {
                let events = run.into_iter().map(|(_, event)| event).collect();
                positions.extend(self.publish_spooled(&inbox, events).await?);
            } else {
                positions.extend(run.iter().map(|(number, _)| Position::from_sequence(*number)));
                self.publish_committed(&inbox, run).await?;
            }
        }
        Ok(positions)
    }

    fn subscribe(&self) -> mpsc::Receiver<Positioned> {
        // A second subscriber would share nothing with the first: it gets a bus on which nothing ever happens.
        lock(&self.receiver).take().unwrap_or_else(|| mpsc::channel(1).1)
    }

    fn ahead_of_store(&self, rooms: &[RoomName], after: Position, through: Position) -> Vec<Positioned> {
        self.ahead.published_in(rooms, after, through)
    }

    async fn check(&self) -> Result<(), BusError> {
        if self.health.is_up() {
            Ok(())
        } else {
            Err(BusError(Box::new(LinkError::Silent)))
        }
    }

    fn close(&self) {
        lock(&self.inbox).take();
    }
}

impl Drop for RedisBus {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// What stands in a key for something that nobody shall read there: 128 bits of its SHA-256, in hex.
fn digest(bytes: &[u8]) -> String {
    let digest: [u8; 32] = Sha256::digest(bytes).into();
    let head = digest.first_chunk().copied().unwrap_or_default();
    format!("{:032x}", u128::from_be_bytes(head))
}

fn closed() -> BusError {
    BusError(Box::new(Closed))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
