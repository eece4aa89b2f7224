//! A node whose store nobody can share, and that says so in Redis: a second one is refused instead of serving half a hospital.
//!
//! The claim is a key that expires unless it is renewed. It names the database file, which its process holds alone anyhow,
//! so that a node which was killed has its own claim again at once. It refuses to insist: without Redis there is no claim, and
//! alerts do not wait for one.

use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::server::{Link, LinkError};
use super::{Settings, digest};

/// How long a claim lasts that is not renewed.
const LASTS: Duration = Duration::from_secs(15);
/// How often it is renewed.
const RENEW: Duration = Duration::from_secs(4);
/// How often it is looked whether another's claim has run out.
const LOOK: Duration = Duration::from_millis(500);
/// How long Redis may take to answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// A claim to be the only node on this Redis.
pub struct Sole {
    settings: Settings,
    key: String,
    /// Which database: digested, since a path may tell more than it should.
    name: String,
}

/// Another node is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "another node with a SQLite file of its own uses this Redis (redis.prefix): several nodes need one PostgreSQL (DATABASE_URL); \
     end the other, or give each a Redis or prefix of its own"
)]
pub struct NotSole;

impl Sole {
    /// Claims to be the only node, for the node that keeps its events in `database`.
    ///
    /// Waits for as long as a node that has died still seems to be there. If Redis cannot be reached, there is nothing to be
    /// found out: the node starts, and [`run`](Self::run) makes the claim later.
    ///
    /// # Errors
    /// If another node holds on to its claim.
    pub async fn claim(settings: Settings, database: &Path) -> Result<Self, NotSole> {
        let sole = Self {
            key: format!("{}:sole", settings.prefix),
            name: name(database),
            settings,
        };
        let deadline = Instant::now() + LASTS + LOOK;
        loop {
            match sole.renew().await {
                Ok(true) => return Ok(sole),
                Ok(false) if Instant::now() > deadline => return Err(NotSole),
                Ok(false) => tokio::time::sleep(LOOK).await,
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "could not find out in Redis whether another node is there"
                    );
                    return Ok(sole);
                }
            }
        }
    }

    /// Which Redis, and where in it.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Keeps the claim until `stop`, then gives it up.
    pub async fn run(&self, stop: CancellationToken) {
        let mut due = tokio::time::interval(RENEW);
        due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut is_told = false;
        loop {
            tokio::select! {
                _ = due.tick() => {}
                () = stop.cancelled() => break,
            }
            match self.renew().await {
                Ok(true) => is_told = false,
                // It began while Redis could not be asked. Ending one of two nodes that serve people would help neither.
                Ok(false) if !is_told => {
                    tracing::error!("{NotSole}");
                    is_told = true;
                }
                Ok(false) => {}
                Err(error) => tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "could not renew the claim to be the only node"
                ),
            }
        }
        if let Err(error) = self.give_up().await {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "could not give up the claim to be the only node"
            );
        }
    }

    /// Whether the claim is this node's from now on.
    async fn renew(&self) -> Result<bool, LinkError> {
        let mut link = self.settings.server.connect(PATIENCE).await?;
        let lasts = LASTS.as_millis().to_string();
        match self.holder(&mut link).await? {
            Some(holder) if holder == self.name => {
                let mut renewed = redis::cmd("PEXPIRE");
                renewed.arg(&self.key).arg(lasts);
                Ok(timely(renewed.query_async::<bool>(&mut link)).await?)
            }
            Some(_) => Ok(false),
            None => {
                let mut claimed = redis::cmd("SET");
                claimed.arg(&self.key).arg(&self.name).arg("NX").arg("PX").arg(lasts);
                Ok(timely(claimed.query_async::<Option<String>>(&mut link))
                    .await?
                    .is_some())
            }
        }
    }

    async fn give_up(&self) -> Result<(), LinkError> {
        let mut link = self.settings.server.connect(PATIENCE).await?;
        if self.holder(&mut link).await? == Some(self.name.clone()) {
            timely(redis::cmd("DEL").arg(&self.key).query_async::<u64>(&mut link)).await?;
        }
        Ok(())
    }

    async fn holder(&self, link: &mut Link) -> Result<Option<String>, LinkError> {
        timely(redis::cmd("GET").arg(&self.key).query_async(link)).await
    }
}

/// This machine and this file, digested.
fn name(database: &Path) -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let file = database.canonicalize().unwrap_or_else(|_| database.to_owned());
    digest(&[host.as_bytes(), &[0], file.as_os_str().as_encoded_bytes()].concat())
}

async fn timely<T>(asked: impl Future<Output = redis::RedisResult<T>>) -> Result<T, LinkError> {
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(answered) => Ok(answered?),
        Err(_) => Err(LinkError::Silent),
    }
}
