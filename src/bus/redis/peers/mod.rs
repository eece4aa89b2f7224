//! What nodes tell each other beside the events: a hash with each node's share, and a short stream that says what changed.
//!
//! Every word in the stream carries the node's number, counted up by one. Whoever hears the next number applies the word;
//! whoever hears another one has missed something and reads the hash. A node that is silent for [`SILENT`] while Redis
//! answers is dead. While Redis does not answer nobody is pronounced dead, and what is said is dropped: the shares are
//! written anew when it is back.

mod hearing;
mod telling;
mod word;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::hearing::Hearing;
use self::telling::Telling;
use super::Settings;
use crate::ports::{Heard, Peers};

/// What may wait for being said. Beyond that it is dropped.
const MAX_WAITING: usize = 8_192;
/// Words that may wait for whoever listens.
const MAX_HEARD: usize = 1_024;
/// How often a node says that it lives.
const BEAT: Duration = Duration::from_secs(3);
/// How long a node may be silent that lives.
const SILENT: Duration = Duration::from_secs(12);
/// How long a share stays that nobody looks after.
const FORGOTTEN: Duration = Duration::from_mins(1);
/// Words that the stream keeps, about: what a node misses beyond that it reads from the shares.
const STREAM_WORDS: u32 = 10_000;
/// How long Redis may take to answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// Between two attempts to reach Redis, growing from the first to the second.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// What has changed in this node's share and is not told yet: of each key the last, so there are as many as there are keys.
#[derive(Default)]
struct Changes {
    last: Mutex<BTreeMap<String, Option<String>>>,
    there_are_some: Notify,
}

impl Changes {
    fn put(&self, key: &str, value: Option<String>) {
        lock(&self.last).insert(key.to_owned(), value);
        self.there_are_some.notify_one();
    }

    fn take(&self) -> BTreeMap<String, Option<String>> {
        std::mem::take(&mut *lock(&self.last))
    }
}

/// The nodes that share a Redis under one prefix.
pub struct RedisPeers {
    changes: Arc<Changes>,
    say: mpsc::Sender<String>,
    /// `None` once somebody subscribed.
    heard: Mutex<Option<mpsc::Receiver<Heard>>>,
}

/// The tasks behind a [`RedisPeers`].
pub struct PeerTasks {
    telling: Telling,
    hearing: Hearing,
}

impl PeerTasks {
    /// Works until `stop`, then tells what was said until then and takes this node's share away.
    pub async fn run(self, stop: CancellationToken) {
        let hearing = self.hearing.run(stop.clone());
        tokio::join!(self.telling.run(stop), hearing);
    }
}

impl RedisPeers {
    /// A node among them. Redis need not be there yet.
    pub fn new(settings: &Settings) -> (Self, PeerTasks) {
        let node = Uuid::new_v4().simple().to_string();
        let keys = Keys {
            stream: format!("{}:peers", settings.prefix),
            shares: format!("{}:share:", settings.prefix),
        };
        let (say, said) = mpsc::channel(MAX_WAITING);
        let (tell, heard) = mpsc::channel(MAX_HEARD);
        let changes = Arc::<Changes>::default();
        let asked = Arc::new(Notify::new());
        let whose = || (settings.server.clone(), keys.clone(), node.clone());
        let telling = Telling::new(whose(), Arc::clone(&changes), said, Arc::clone(&asked));
        let hearing = Hearing::new(whose(), tell, asked);
        let peers = Self {
            changes,
            say,
            heard: Mutex::new(Some(heard)),
        };
        (peers, PeerTasks { telling, hearing })
    }
}

impl Peers for RedisPeers {
    fn put(&self, key: &str, value: Option<String>) {
        self.changes.put(key, value);
    }

    fn say(&self, text: String) {
        // Now or never.
        drop(self.say.try_send(text));
    }

    fn subscribe(&self) -> mpsc::Receiver<Heard> {
        // A second subscriber would share nothing with the first: it gets nodes that never say anything.
        lock(&self.heard).take().unwrap_or_else(|| mpsc::channel(1).1)
    }
}

/// Where things are in Redis.
#[derive(Clone)]
struct Keys {
    stream: String,
    shares: String,
}

impl Keys {
    fn share(&self, node: &str) -> String {
        [self.shares.as_str(), node].concat()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
