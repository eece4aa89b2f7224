//! Writes this node's share and says what changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use super::super::server::{Link, LinkError, Server};
use super::word::{FIELD, NUMBER, Word};
use super::{BACKOFF, BEAT, Changes, FORGOTTEN, Keys, PATIENCE, STREAM_WORDS};

/// Words that go together.
const MAX_BATCH: usize = 256;
/// Texts of a share that are written at once.
const PART: usize = 512;

/// The task that tells.
pub(super) struct Telling {
    server: Server,
    keys: Keys,
    node: String,
    changes: Arc<Changes>,
    said: mpsc::Receiver<String>,
    asked: Arc<Notify>,
    /// This node's share, as it is written.
    share: BTreeMap<String, String>,
    /// The number of the last change.
    number: u64,
}

impl Telling {
    pub(super) fn new(
        (server, keys, node): (Server, Keys, String),
        changes: Arc<Changes>,
        said: mpsc::Receiver<String>,
        asked: Arc<Notify>,
    ) -> Self {
        Self {
            server,
            keys,
            node,
            changes,
            said,
            asked,
            share: BTreeMap::new(),
            number: 0,
        }
    }

    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut pause = BACKOFF.0;
        loop {
            let server = self.server.clone();
            let connected = tokio::select! {
                connected = server.connect(PATIENCE) => connected,
                () = self.let_go() => return,
                () = stop.cancelled() => return,
            };
            let lost = match connected {
                Ok(link) => match self.serve(link, &stop).await {
                    Ok(()) => return,
                    Err(error) => {
                        pause = BACKOFF.0;
                        error
                    }
                },
                Err(error) => error,
            };
            tracing::debug!(
                error = &lost as &dyn std::error::Error,
                "cannot tell the other nodes; trying again"
            );
            tokio::select! {
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(BACKOFF.1),
                () = self.let_go() => return,
                () = stop.cancelled() => return,
            }
        }
    }

    /// Lets go of what is said while nobody can hear it. Ends when nobody says anything any more.
    async fn let_go(&mut self) {
        while self.said.recv().await.is_some() {}
    }

    async fn serve(&mut self, mut link: Link, stop: &CancellationToken) -> Result<(), LinkError> {
        self.write_all(&mut link).await?;
        let changes = Arc::clone(&self.changes);
        let mut beat = tokio::time::interval(BEAT);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut said = Vec::with_capacity(MAX_BATCH);
        loop {
            tokio::select! {
                () = changes.there_are_some.notified() => self.tell(&mut link, Vec::new()).await?,
                received = self.said.recv_many(&mut said, MAX_BATCH) => {
                    if received == 0 {
                        return Ok(());
                    }
                    self.tell(&mut link, std::mem::take(&mut said)).await?;
                }
                _ = beat.tick() => self.beat(&mut link).await?,
                () = self.asked.notified() => self.beat(&mut link).await?,
                () = stop.cancelled() => {
                    self.tell_the_rest(&mut link).await?;
                    return self.say_goodbye(&mut link).await;
                }
            }
        }
    }

    /// Writes the share whole: Redis may have lost it, or never had it.
    async fn write_all(&mut self, link: &mut Link) -> Result<(), LinkError> {
        let key = self.keys.share(&self.node);
        for (key, value) in self.changes.take() {
            set(&mut self.share, key, value);
        }
        self.number += 1;
        ask::<()>(link, redis::cmd("DEL").arg(&key)).await?;
        let entries: Vec<(&String, &String)> = self.share.iter().collect();
        for part in entries.chunks(PART) {
            let mut command = redis::cmd("HSET");
            command.arg(&key);
            for (name, value) in part {
                command.arg(name.as_str()).arg(value.as_str());
            }
            ask::<()>(link, &command).await?;
        }
        ask::<()>(link, redis::cmd("HSET").arg(&key).arg(NUMBER).arg(self.number)).await?;
        let word = Word {
            asks: true,
            ..self.word()
        };
        self.say(link, &word).await?;
        self.beat(link).await
    }

    async fn tell(&mut self, link: &mut Link, said: Vec<String>) -> Result<(), LinkError> {
        let changes = self.changes.take();
        if changes.is_empty() && said.is_empty() {
            return Ok(());
        }
        let key = self.keys.share(&self.node);
        if !changes.is_empty() {
            self.number += 1;
            let (mut gone, mut put) = (redis::cmd("HDEL"), redis::cmd("HSET"));
            gone.arg(&key);
            put.arg(&key).arg(NUMBER).arg(self.number);
            let mut has_gone = false;
            for (name, value) in &changes {
                set(&mut self.share, name.clone(), value.clone());
                if let Some(value) = value {
                    put.arg(name).arg(value);
                } else {
                    has_gone = true;
                    gone.arg(name);
                }
            }
            if has_gone {
                ask::<()>(link, &gone).await?;
            }
            ask::<()>(link, &put).await?;
        }
        let word = Word {
            changes: changes.into_iter().collect(),
            said,
            ..self.word()
        };
        self.say(link, &word).await
    }

    /// Tells what was said until now.
    async fn tell_the_rest(&mut self, link: &mut Link) -> Result<(), LinkError> {
        loop {
            let mut said = Vec::new();
            while said.len() < MAX_BATCH
                && let Ok(text) = self.said.try_recv()
            {
                said.push(text);
            }
            let is_all = said.len() < MAX_BATCH;
            self.tell(link, said).await?;
            if is_all {
                return Ok(());
            }
        }
    }

    async fn beat(&self, link: &mut Link) -> Result<(), LinkError> {
        let key = self.keys.share(&self.node);
        let mut command = redis::cmd("PEXPIRE");
        command.arg(&key).arg(FORGOTTEN.as_millis().to_string());
        if !ask::<bool>(link, &command).await? {
            // Redis has forgotten it.
            return Err(LinkError::Silent);
        }
        self.say(link, &self.word()).await
    }

    async fn say_goodbye(&self, link: &mut Link) -> Result<(), LinkError> {
        ask::<()>(link, redis::cmd("DEL").arg(self.keys.share(&self.node))).await?;
        let word = Word {
            is_last: true,
            ..self.word()
        };
        self.say(link, &word).await
    }

    fn word(&self) -> Word {
        Word {
            node: self.node.clone(),
            number: self.number,
            ..Word::default()
        }
    }

    async fn say(&self, link: &mut Link, word: &Word) -> Result<(), LinkError> {
        // Texts always have a JSON form.
        let json = serde_json::to_string(word).unwrap_or_default();
        let mut command = redis::cmd("XADD");
        command.arg(&self.keys.stream).arg("MAXLEN").arg("~").arg(STREAM_WORDS);
        command.arg("*").arg(FIELD).arg(json);
        let _id: String = ask(link, &command).await?;
        Ok(())
    }
}

fn set(share: &mut BTreeMap<String, String>, key: String, value: Option<String>) {
    match value {
        Some(value) => drop(share.insert(key, value)),
        None => drop(share.remove(&key)),
    }
}

pub(super) async fn ask<T: redis::FromRedisValue>(link: &mut Link, command: &redis::Cmd) -> Result<T, LinkError> {
    match tokio::time::timeout(PATIENCE, command.query_async(link)).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(LinkError::Silent),
    }
}
