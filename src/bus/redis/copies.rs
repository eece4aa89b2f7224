//! Copies of sessions, a key each: for clients that come back to any node while the store cannot be asked.
//!
//! A key names the digest of the private id, so that nobody who reads Redis can take a session up. Beside the session it
//! holds since when whoever wrote it has held it, and takes nothing more from anybody who has held it for longer.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::try_join_all;
use redis::Cmd;
use serde::{Deserialize, Serialize};

use super::server::{Link, LinkError};
use super::{Settings, digest};
use crate::domain::{Position, RoomName, Timestamp};
use crate::ports::{BusError, Copied, Session, SessionCopies};

/// How long a copy is kept. Sessions of connected clients are written anew four times as often.
const KEPT: Duration = Duration::from_hours(1);
/// How long Redis may take.
const PATIENCE: Duration = Duration::from_secs(1);
/// The largest copy that is read: far more rooms than a socket may be in.
const MAX_BYTES: usize = 1 << 20;

/// Writes a session (`s`) unless somebody has taken it up since (`t`, microseconds).
const KEEP: &str = "
    local held_since = redis.call('HGET', KEYS[1], 't')
    if held_since and tonumber(held_since) > tonumber(ARGV[1]) then return 0 end
    if ARGV[2] == '' then return redis.call('DEL', KEYS[1]) end
    redis.call('HSET', KEYS[1], 't', ARGV[1], 's', ARGV[2])
    return redis.call('EXPIRE', KEYS[1], ARGV[3])";

/// Copies of all nodes' sessions.
pub struct RedisCopies {
    settings: Settings,
    /// A connection that worked a moment ago.
    link: Mutex<Option<Link>>,
}

/// A session, written.
#[derive(Serialize, Deserialize)]
struct Written {
    #[serde(rename = "o")]
    owner: [u8; 32],
    #[serde(rename = "b")]
    began_at: String,
    #[serde(rename = "r")]
    rooms: BTreeMap<String, String>,
    #[serde(rename = "s")]
    seen_at: i64,
    #[serde(rename = "h")]
    held_since: i64,
}

impl Written {
    fn of(session: &Session, held_since: Timestamp) -> Self {
        let room = |(name, at): (&RoomName, &Position)| (name.to_string(), at.to_string());
        Self {
            owner: session.owner,
            began_at: session.began_at.to_string(),
            rooms: session.rooms.iter().map(room).collect(),
            seen_at: session.seen_at.as_micros(),
            held_since: held_since.as_micros(),
        }
    }

    /// `None`: somebody else wrote it.
    fn read(json: &[u8], pid: &str) -> Option<(Session, Timestamp)> {
        let written: Self = serde_json::from_slice(json).ok().filter(|_| json.len() <= MAX_BYTES)?;
        let room = |(name, at): (String, String)| Some((RoomName::from(name.as_str()), at.parse().ok()?));
        let session = Session {
            pid: pid.to_owned(),
            owner: written.owner,
            began_at: written.began_at.parse().ok()?,
            rooms: written.rooms.into_iter().map(room).collect::<Option<_>>()?,
            seen_at: Timestamp::from_micros(written.seen_at),
        };
        Some((session, Timestamp::from_micros(written.held_since)))
    }
}

impl RedisCopies {
    /// Copies beside the stream.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            link: Mutex::default(),
        }
    }

    fn key(&self, pid: &str) -> String {
        format!("{}:session:{}", self.settings.prefix, digest(pid.as_bytes()))
    }

    fn command(&self, copied: &Copied) -> Cmd {
        // A session is numbers and names: it always has a JSON form. An empty text: it is over.
        let written = copied
            .session
            .as_ref()
            .map(|session| Written::of(session, copied.held_since));
        let json = written.and_then(|written| serde_json::to_string(&written).ok());
        let mut command = redis::cmd("EVAL");
        command.arg(KEEP).arg(1).arg(self.key(&copied.pid));
        command.arg(copied.held_since.as_micros());
        command.arg(json.unwrap_or_default()).arg(KEPT.as_secs());
        command
    }

    /// Runs all commands at once. Not as a pipeline: in a Cluster their keys are on different servers.
    async fn ask(&self, commands: &[Cmd]) -> Result<Vec<redis::Value>, LinkError> {
        let kept = self.lock_link().clone();
        let link = match kept {
            Some(link) => link,
            None => self.settings.server.connect(PATIENCE).await?,
        };
        let asked = commands.iter().map(|command| {
            let mut link = link.clone();
            async move { command.query_async::<redis::Value>(&mut link).await }
        });
        let answered = match tokio::time::timeout(PATIENCE, try_join_all(asked)).await {
            Ok(answered) => answered.map_err(LinkError::from),
            Err(_) => Err(LinkError::Silent),
        };
        *self.lock_link() = answered.is_ok().then_some(link);
        answered
    }

    fn lock_link(&self) -> std::sync::MutexGuard<'_, Option<Link>> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl SessionCopies for RedisCopies {
    async fn keep(&self, copies: &[Copied]) -> Result<(), BusError> {
        let commands: Vec<Cmd> = copies.iter().map(|copied| self.command(copied)).collect();
        self.ask(&commands).await.map_err(|error| BusError(Box::new(error)))?;
        Ok(())
    }

    async fn copy(&self, pid: &str) -> Result<Option<(Session, Timestamp)>, BusError> {
        let mut get = redis::cmd("HGET");
        get.arg(self.key(pid)).arg("s");
        let answers = self.ask(&[get]).await.map_err(|error| BusError(Box::new(error)))?;
        Ok(match answers.first() {
            Some(redis::Value::BulkString(json)) => Written::read(json, pid),
            Some(_) | None => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_read_as_it_was_written_and_nothing_else_is_one() {
        let session = Session {
            pid: "secret".to_owned(),
            owner: [7; 32],
            began_at: Position::from_sequence(3),
            rooms: BTreeMap::from([("patient_P1".into(), Position { major: 5, minor: 2 })]),
            seen_at: Timestamp::from_micros(1_763_679_000_123_456),
        };
        let held_since = Timestamp::from_micros(1_763_679_000_000_001);
        let json = serde_json::to_vec(&Written::of(&session, held_since)).unwrap();

        assert_eq!(Written::read(&json, "secret"), Some((session, held_since)));
        assert!(!String::from_utf8(json).unwrap().contains("secret"));
        for foreign in [&b""[..], b"{}", b"[1]", b"\xff"] {
            assert_eq!(Written::read(foreign, "secret"), None);
        }
    }
}
