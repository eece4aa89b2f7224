//! Who is connected, over all nodes: each node writes its share beside the others', and adds up what is there.
//!
//! A share carries a beat. A node whose beat stands still for fifteen seconds is dead or cut off, and counts no longer; no
//! clock is compared with another. It refuses to wait for Redis: without an answer a node tells its own share and says so.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::server::{Link, LinkError, Server};
use crate::ports::{Connections, NodeStatus, SocketStatus};

/// How often a node looks whether its share has changed.
const LOOK: Duration = Duration::from_secs(1);
/// How often it writes its share although that has not changed.
const BEAT: Duration = Duration::from_secs(4);
/// How long a share counts whose beat stands still.
const SILENT: Duration = Duration::from_secs(15);
/// How long it stays written.
const FORGOTTEN: Duration = Duration::from_mins(1);
/// How long Redis may take while somebody waits for the status.
const PATIENCE: Duration = Duration::from_millis(500);
/// The largest share that is read: a hundred thousand rooms.
const MAX_SHARE_BYTES: usize = 16 << 20;

/// One node's share.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Share {
    #[serde(rename = "b")]
    beat: u64,
    /// What the node is called.
    #[serde(rename = "n", default)]
    name: String,
    #[serde(rename = "c")]
    connections: usize,
    #[serde(rename = "r")]
    rooms: HashMap<String, usize>,
}

/// The connections of all nodes.
pub struct Presence {
    server: Server,
    key: String,
    node: String,
    local: Arc<dyn Connections>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// A connection that worked a moment ago.
    link: Option<Link>,
    /// The beat of each other node, and since when it is that.
    beats: HashMap<String, (u64, Instant)>,
}

impl Presence {
    /// This node's connections are `local`. Nothing is written until [`run`](Self::run) is polled.
    pub fn new(server: Server, prefix: &str, local: Arc<dyn Connections>) -> Self {
        Self {
            server,
            key: format!("{prefix}:nodes"),
            node: Uuid::new_v4().simple().to_string(),
            local,
            state: Mutex::default(),
        }
    }

    /// Keeps this node's share written until `stop`, then takes it away.
    pub async fn run(&self, stop: CancellationToken) {
        let mut written = Share::default();
        let mut due = Instant::now();
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = look.tick() => {}
                () = stop.cancelled() => break,
            }
            let status = self.local.status().await;
            let rooms: HashMap<String, usize> = status.rooms.into_iter().collect();
            let is_changed = status.active_connections != written.connections || rooms != written.rooms;
            if !is_changed && Instant::now() < due {
                continue;
            }
            let share = Share {
                beat: written.beat + 1,
                name: status.nodes.into_iter().next().unwrap_or_default().node,
                connections: status.active_connections,
                rooms,
            };
            match self.write(&share).await {
                Ok(()) => {
                    written = share;
                    due = Instant::now() + BEAT;
                    // Looking at the others now and then is what notices that one of them stands still.
                    if let Ok(others) = self.others().await {
                        tracing::trace!(others = others.len(), "wrote this node's share of the connections");
                    }
                }
                Err(error) => tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "could not write the connections"
                ),
            }
        }
        if let Err(error) = self.ask(redis::cmd("HDEL").arg(&self.key).arg(&self.node)).await {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "could not take the connections away"
            );
        }
    }

    async fn write(&self, share: &Share) -> Result<(), LinkError> {
        // A share is numbers and names: it always has a JSON form.
        let json = serde_json::to_string(share).unwrap_or_default();
        self.ask(redis::cmd("HSET").arg(&self.key).arg(&self.node).arg(json))
            .await?;
        // Should all nodes end, nothing stays behind.
        self.ask(redis::cmd("EXPIRE").arg(&self.key).arg(FORGOTTEN.as_secs()))
            .await?;
        Ok(())
    }

    /// The shares of the other nodes that are alive.
    async fn others(&self) -> Result<Vec<Share>, LinkError> {
        let answer = self.ask(redis::cmd("HGETALL").arg(&self.key)).await?;
        let all: HashMap<String, Vec<u8>> = redis::from_redis_value(answer).map_err(redis::RedisError::from)?;
        let now = Instant::now();
        let (mut shares, mut dead) = (Vec::new(), Vec::new());
        {
            let mut state = lock(&self.state);
            state.beats.retain(|node, _| all.contains_key(node));
            for (node, json) in all {
                if node == self.node || json.len() > MAX_SHARE_BYTES {
                    continue;
                }
                let Ok(share) = serde_json::from_slice::<Share>(&json) else {
                    continue;
                };
                let (beat, since) = state.beats.entry(node.clone()).or_insert((share.beat, now));
                if *beat != share.beat {
                    (*beat, *since) = (share.beat, now);
                }
                let silence = now.duration_since(*since);
                if silence < SILENT {
                    shares.push(share);
                } else if silence > FORGOTTEN {
                    dead.push(node);
                }
            }
        }
        if !dead.is_empty() {
            self.ask(redis::cmd("HDEL").arg(&self.key).arg(dead)).await?;
        }
        Ok(shares)
    }

    async fn ask(&self, command: &redis::Cmd) -> Result<redis::Value, LinkError> {
        let kept = lock(&self.state).link.take();
        let mut link = match kept {
            Some(link) => link,
            None => self.server.connect(PATIENCE).await?,
        };
        match tokio::time::timeout(PATIENCE, command.query_async(&mut link)).await {
            Ok(answer) => {
                let answer = answer?;
                lock(&self.state).link = Some(link);
                Ok(answer)
            }
            Err(_) => Err(LinkError::Silent),
        }
    }
}

#[async_trait]
impl Connections for Presence {
    async fn status(&self) -> SocketStatus {
        let mut status = self.local.status().await;
        match tokio::time::timeout(2 * PATIENCE, self.others()).await {
            Ok(Ok(shares)) => {
                for share in shares {
                    status.active_connections += share.connections;
                    status.nodes.push(NodeStatus {
                        node: share.name,
                        active_connections: share.connections,
                    });
                    for (room, members) in share.rooms {
                        *status.rooms.entry(room).or_default() += members;
                    }
                }
                status.nodes.sort();
            }
            Ok(Err(_)) | Err(_) => status.is_partial = true,
        }
        status
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
