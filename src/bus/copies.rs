//! Copies of sessions in this process: for one node whose database is elsewhere.

use std::time::Duration;

use async_trait::async_trait;
use moka::sync::Cache;

use crate::domain::Timestamp;
use crate::ports::{BusError, Copied, Session, SessionCopies};

/// Sessions that are kept, at most.
const MAX_SESSIONS: u64 = 100_000;
/// How long one is kept. Sessions of connected clients are written anew four times as often.
const KEPT: Duration = Duration::from_hours(1);

/// Copies that end with the process.
#[derive(Debug)]
pub struct LocalCopies(Cache<String, (Session, Timestamp)>);

impl LocalCopies {
    /// None yet.
    pub fn new() -> Self {
        let kept = Cache::builder().max_capacity(MAX_SESSIONS).time_to_live(KEPT);
        Self(kept.build())
    }
}

impl Default for LocalCopies {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl SessionCopies for LocalCopies {
    async fn keep(&self, copies: &[Copied]) -> Result<(), BusError> {
        for copied in copies {
            let kept = self.0.get(&copied.pid);
            if kept.is_some_and(|(_, held_since)| held_since > copied.held_since) {
                continue;
            }
            match &copied.session {
                Some(session) => self.0.insert(copied.pid.clone(), (session.clone(), copied.held_since)),
                None => self.0.invalidate(&copied.pid),
            }
        }
        Ok(())
    }

    async fn copy(&self, pid: &str) -> Result<Option<(Session, Timestamp)>, BusError> {
        Ok(self.0.get(pid))
    }
}
