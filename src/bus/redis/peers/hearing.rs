//! Hears what the other nodes say, and notices when one says nothing any more.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use redis::Value;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::super::server::{Link, LinkError, Server};
use super::telling::ask;
use super::word::{NUMBER, Word, entries};
use super::{BACKOFF, Keys, PATIENCE, SILENT};
use crate::ports::Heard;

/// How long a read waits for something new.
const BLOCK: Duration = Duration::from_secs(1);
/// Words that are read at once.
const PAGE: usize = 512;

/// The task that hears.
pub(super) struct Hearing {
    server: Server,
    keys: Keys,
    node: String,
    tell: mpsc::Sender<Heard>,
    /// Has this node make itself heard.
    asked: Arc<Notify>,
    others: HashMap<String, Other>,
}

/// Another node.
struct Other {
    /// The number of the last change that is known of it.
    number: u64,
    heard_at: Instant,
}

/// Nobody listens any more.
struct Unheard;

/// Why following ended.
enum End {
    Unheard,
    Lost(LinkError),
}

impl From<LinkError> for End {
    fn from(error: LinkError) -> Self {
        Self::Lost(error)
    }
}

impl From<Unheard> for End {
    fn from(_: Unheard) -> Self {
        Self::Unheard
    }
}

impl Hearing {
    pub(super) fn new(
        (server, keys, node): (Server, Keys, String),
        tell: mpsc::Sender<Heard>,
        asked: Arc<Notify>,
    ) -> Self {
        Self {
            server,
            keys,
            node,
            tell,
            asked,
            others: HashMap::new(),
        }
    }

    pub(super) async fn run(mut self, stop: CancellationToken) {
        stop.run_until_cancelled(self.hear_for_ever()).await;
    }

    async fn hear_for_ever(&mut self) {
        let mut pause = BACKOFF.0;
        loop {
            match self.server.connect(BLOCK + PATIENCE).await {
                Ok(link) => match self.follow(link).await {
                    Ok(()) | Err(End::Unheard) => return,
                    Err(End::Lost(error)) => {
                        pause = BACKOFF.0;
                        tracing::debug!(error = &error as &dyn std::error::Error, "lost the other nodes");
                    }
                },
                Err(error) => {
                    tracing::debug!(error = &error as &dyn std::error::Error, "cannot hear the other nodes");
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(BACKOFF.1);
        }
    }

    async fn follow(&mut self, mut link: Link) -> Result<(), End> {
        // What was said while this node could not hear is over; what has changed the next beat of each node tells.
        let mut command = redis::cmd("XREVRANGE");
        command.arg(&self.keys.stream).arg("+").arg("-").arg("COUNT").arg(1);
        let answer: Value = ask(&mut link, &command).await?;
        let mut cursor = entries(&answer).pop().map_or_else(|| "0-0".to_owned(), |(id, _)| id);
        let now = Instant::now();
        for other in self.others.values_mut() {
            other.heard_at = now;
        }
        self.asked.notify_one();
        loop {
            for (id, word) in self.next(&mut link, &cursor).await? {
                cursor = id;
                if let Some(word) = word.filter(|word| word.node != self.node) {
                    self.take(&mut link, word).await?;
                }
            }
            self.pronounce_dead().await?;
        }
    }

    async fn next(&self, link: &mut Link, after: &str) -> Result<Vec<(String, Option<Word>)>, LinkError> {
        let mut command = redis::cmd("XREAD");
        command.arg("COUNT").arg(PAGE);
        command.arg("BLOCK").arg(BLOCK.as_millis().to_string());
        command.arg("STREAMS").arg(&self.keys.stream).arg(after);
        let answer: Value = match tokio::time::timeout(BLOCK + PATIENCE, command.query_async(link)).await {
            Ok(answer) => answer?,
            Err(_) => return Err(LinkError::Silent),
        };
        // RESP2 answers a list of streams, each a list of its key and its entries.
        let Value::Array(streams) = answer else {
            return Ok(Vec::new());
        };
        Ok(match streams.first() {
            Some(Value::Array(stream)) => stream.get(1).map(entries).unwrap_or_default(),
            Some(_) | None => Vec::new(),
        })
    }

    async fn take(&mut self, link: &mut Link, word: Word) -> Result<(), End> {
        let Word {
            node,
            number,
            changes,
            said,
            asks,
            is_last,
        } = word;
        if is_last {
            self.others.remove(&node);
            return Ok(self.tell(Heard::Gone { node }).await?);
        }
        if asks {
            self.asked.notify_one();
        }
        let known = self.others.get(&node).map(|other| other.number);
        let mut number = number;
        match known {
            Some(known) if number <= known => number = known,
            Some(known) if number == known + 1 && !changes.is_empty() => {
                for (key, value) in changes {
                    let node = node.clone();
                    self.tell(Heard::Changed { node, key, value }).await?;
                }
            }
            Some(_) | None => number = self.read_share(link, &node).await?,
        }
        let heard_at = Instant::now();
        self.others.insert(node, Other { number, heard_at });
        for text in said {
            self.tell(Heard::Said(text)).await?;
        }
        Ok(())
    }

    /// Reads a node's share whole; up to which number.
    async fn read_share(&self, link: &mut Link, node: &str) -> Result<u64, End> {
        let command_key = self.keys.share(node);
        let mut entries: BTreeMap<String, String> = ask(link, redis::cmd("HGETALL").arg(command_key)).await?;
        let number = entries.remove(NUMBER).and_then(|number| number.parse().ok());
        let node = node.to_owned();
        self.tell(Heard::Share { node, entries }).await?;
        Ok(number.unwrap_or(0))
    }

    async fn pronounce_dead(&mut self) -> Result<(), Unheard> {
        let now = Instant::now();
        let is_dead = |other: &Other| now.duration_since(other.heard_at) > SILENT;
        let dead: Vec<String> = self
            .others
            .iter()
            .filter(|(_, other)| is_dead(other))
            .map(|(node, _)| node.clone())
            .collect();
        for node in dead {
            self.others.remove(&node);
            tracing::info!(node, "a node fell silent; its sockets count no longer");
            self.tell(Heard::Gone { node }).await?;
        }
        Ok(())
    }

    async fn tell(&self, heard: Heard) -> Result<(), Unheard> {
        self.tell.send(heard).await.or(Err(Unheard))
    }
}
