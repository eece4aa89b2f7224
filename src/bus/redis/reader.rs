//! Reads the stream on a connection of its own, from where it was left, for as long as the node lives.

use std::sync::Arc;
use std::time::Duration;

use redis::Value;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::entry::{Entry, EntryId, entry_id};
use super::health::{Health, Side};
use super::server::{Link, LinkError, Server};
use super::writer::BACKOFF;
use crate::telemetry::Metrics;

/// How long Redis may keep an answer back that has nothing in it: a sign of life.
const BLOCK: Duration = Duration::from_millis(500);
/// How long the answer may then still take.
const PATIENCE: Duration = Duration::from_millis(1_500);
/// Entries that are read at once.
const PAGE: usize = 256;

/// What the reader tells.
#[derive(Debug)]
pub(super) enum Read {
    /// Entries that were there before this node began.
    Old(Vec<(EntryId, Entry)>),
    /// Entries that came since.
    New(Vec<(EntryId, Entry)>),
    /// A connection was made. There may be a gap in front of what follows.
    Connected,
    /// Everything old has been told.
    CaughtUp,
}

/// The task that reads.
pub(super) struct Reader {
    pub(super) server: Server,
    pub(super) key: String,
    pub(super) feed: mpsc::Sender<Read>,
    pub(super) health: Arc<Health>,
    pub(super) metrics: Metrics,
    pub(super) stop: CancellationToken,
}

/// How far this node has read.
#[derive(Clone, Copy, Default)]
struct Cursor {
    /// The last entry that was read.
    read: EntryId,
    /// The last entry that was there when the node began; `None` until that is known.
    began: Option<EntryId>,
    /// Whether that has been told.
    is_caught_up: bool,
}

/// Whoever reads on behind the reader has gone: the node is ending.
struct Unheard;

impl Reader {
    /// Works until it is stopped.
    pub(super) async fn run(self) {
        let stop = self.stop.clone();
        tokio::select! {
            () = self.read_for_ever() => {}
            () = stop.cancelled() => {}
        }
    }

    async fn read_for_ever(self) {
        let mut cursor = Cursor::default();
        let mut pause = BACKOFF.0;
        loop {
            match self.server.connect(BLOCK + PATIENCE).await {
                Ok(link) => match self.follow(link, &mut cursor).await {
                    Ok(Unheard) => return,
                    Err(error) => {
                        self.health.down(Side::Reader, &error);
                        pause = BACKOFF.0;
                    }
                },
                Err(error) => self.health.down(Side::Reader, &error),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(BACKOFF.1);
        }
    }

    async fn follow(&self, mut link: Link, cursor: &mut Cursor) -> Result<Unheard, LinkError> {
        let searches = self.health.searches();
        let end = self.end(&mut link).await?;
        cursor.began.get_or_insert(end);
        if cursor.read > end {
            // This stream is not the one that was read before, or is its older self: everything in it may be new.
            cursor.read = EntryId::START;
        }
        if self.feed.send(Read::Connected).await.is_err() {
            return Ok(Unheard);
        }
        loop {
            let entries = self.next(&mut link, cursor.read).await?;
            self.health.up(Side::Reader);
            if let Some((last, _)) = entries.last() {
                cursor.read = *last;
            }
            // A stream that is lost meanwhile begins anew below what was there when the node began.
            let began = cursor.began.unwrap_or_default();
            let is_past = cursor.read >= began || end < began;
            let catches_up = is_past && !std::mem::replace(&mut cursor.is_caught_up, is_past);
            if self.tell(entries, began, catches_up).await.is_err() {
                return Ok(Unheard);
            }
            if self.health.searches() != searches {
                // The writer lost its server. What this connection reads may no longer be what others write.
                return Err(LinkError::Silent);
            }
        }
    }

    async fn tell(
        &self,
        entries: Vec<(EntryId, Option<Entry>)>,
        began: EntryId,
        catches_up: bool,
    ) -> Result<(), Unheard> {
        let mut old = Vec::new();
        let mut new = Vec::with_capacity(entries.len());
        for (id, entry) in entries {
            match entry {
                Some(entry) if id <= began => old.push((id, entry)),
                Some(entry) => new.push((id, entry)),
                None => {
                    self.metrics.bus_foreign.inc();
                }
            }
        }
        let told = [
            (!old.is_empty()).then_some(Read::Old(old)),
            catches_up.then_some(Read::CaughtUp),
            (!new.is_empty()).then_some(Read::New(new)),
        ];
        for told in told.into_iter().flatten() {
            self.feed.send(told).await.or(Err(Unheard))?;
        }
        Ok(())
    }

    /// The id of the last entry.
    async fn end(&self, link: &mut Link) -> Result<EntryId, LinkError> {
        let mut command = redis::cmd("XREVRANGE");
        command.arg(&self.key).arg("+").arg("-").arg("COUNT").arg(1);
        let answer = timely(command.query_async(link)).await?;
        Ok(entries(&answer).first().map_or(EntryId::START, |(id, _)| *id))
    }

    async fn next(&self, link: &mut Link, after: EntryId) -> Result<Vec<(EntryId, Option<Entry>)>, LinkError> {
        let mut command = redis::cmd("XREAD");
        command
            .arg("COUNT")
            .arg(PAGE)
            .arg("BLOCK")
            .arg(BLOCK.as_millis().to_string());
        command.arg("STREAMS").arg(&self.key).arg(after.to_string());
        let answer: Value = timely(command.query_async(link)).await?;
        // RESP2 answers a list of streams, each a list of its key and its entries.
        let Value::Array(streams) = answer else {
            return Ok(Vec::new());
        };
        Ok(match streams.first() {
            Some(Value::Array(stream)) => stream.get(1).map(entries).unwrap_or_default(),
            Some(_) | None => Vec::new(),
        })
    }
}

/// Reads a list of entries. One that is not ours keeps its id alone; one without an id cannot be.
fn entries(answer: &Value) -> Vec<(EntryId, Option<Entry>)> {
    let Value::Array(list) = answer else {
        return Vec::new();
    };
    list.iter()
        .filter_map(|entry| {
            let Value::Array(parts) = entry else {
                return None;
            };
            let id = entry_id(parts.first()?).ok()?;
            let read = match parts.get(1) {
                Some(Value::Array(fields)) => Entry::read(fields).ok(),
                Some(_) | None => None,
            };
            Some((id, read))
        })
        .collect()
}

async fn timely<T>(asked: impl Future<Output = redis::RedisResult<T>>) -> Result<T, LinkError> {
    match tokio::time::timeout(BLOCK + PATIENCE, asked).await {
        Ok(answered) => Ok(answered?),
        Err(_) => Err(LinkError::Silent),
    }
}
