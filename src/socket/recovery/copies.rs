//! Sessions as they are now, copied to where they can be read while the store cannot be asked.
//!
//! Copies are written a moment after the change, many at once, and again until they are written; nobody waits for them. A
//! store that is there is asked as well: what only one of the two knows counts, since hearing too much of a room that one has
//! just left is better than hearing nothing of one that one is in.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::Sessions;
use crate::domain::Timestamp;
use crate::ports::{Copied, Session, SessionCopies};
use crate::socket::hub::Hub;
use crate::socket::lock;

/// How long changes are collected.
const COLLECTED: Duration = Duration::from_millis(100);
/// When writing is tried again that failed.
const RETRY: Duration = Duration::from_secs(1);
/// Sessions that are copied together.
const MAX_BATCH: usize = 512;
/// Sessions that may wait for being copied. Copies that cannot be written for longer than that takes are behind.
const MAX_WAITING: usize = 100_000;

/// The copies of this node's sessions.
pub(in crate::socket) struct Copies {
    /// `None`: the store cannot go away while this node lives.
    kept: Option<Arc<dyn SessionCopies>>,
    waiting: Mutex<Queue>,
}

/// What is to be copied, by session.
#[derive(Default)]
struct Queue {
    waiting: HashMap<String, Waiting>,
    /// What is being written: not written yet.
    in_hand: HashMap<String, Waiting>,
}

/// What is to be copied of a session.
#[derive(Clone)]
enum Waiting {
    /// What its holder has.
    Held,
    /// What this socket had when it left, which had held it since then.
    Left(Session, Timestamp),
    /// That it is over for the socket that had held it since then.
    Over(Timestamp),
}

impl Copies {
    pub(in crate::socket) fn new(kept: Option<Arc<dyn SessionCopies>>) -> Self {
        Self {
            kept,
            waiting: Mutex::default(),
        }
    }

    pub(in crate::socket) fn are_kept(&self) -> bool {
        self.kept.is_some()
    }

    /// A session of a socket on this node has changed.
    pub(super) fn note_changed(&self, pid: &str) {
        self.wait(pid, Waiting::Held);
    }

    /// The socket that held a session has gone; it had this.
    pub(in crate::socket) fn note_left(&self, session: Session, held_since: Timestamp) {
        let pid = session.pid.clone();
        self.wait(&pid, Waiting::Left(session, held_since));
    }

    /// The socket that held a session has said goodbye.
    pub(in crate::socket) fn note_over(&self, pid: &str, held_since: Timestamp) {
        self.wait(pid, Waiting::Over(held_since));
    }

    fn wait(&self, pid: &str, what: Waiting) {
        if self.kept.is_none() {
            return;
        }
        let waiting = &mut lock(&self.waiting).waiting;
        if waiting.len() < MAX_WAITING || waiting.contains_key(pid) {
            waiting.insert(pid.to_owned(), what);
        }
    }

    /// Copies a session now that a socket has held since then. Whether it could be.
    pub(super) async fn keep(&self, session: &Session, held_since: Timestamp) -> bool {
        let Some(kept) = &self.kept else { return false };
        let copied = Copied {
            pid: session.pid.clone(),
            held_since,
            session: Some(session.clone()),
        };
        kept.keep(&[copied]).await.is_ok()
    }

    /// The copy of a session, if there is one that can be read, and since when whoever wrote it held it. What waits here to be
    /// written counts as written.
    pub(super) async fn copy(&self, pid: &str) -> Option<(Session, Timestamp)> {
        let waiting = {
            let queue = lock(&self.waiting);
            queue.waiting.get(pid).or_else(|| queue.in_hand.get(pid)).cloned()
        };
        let written = self.kept.as_ref()?.copy(pid).await.unwrap_or_else(|error| {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "could not read the copy of a session"
            );
            None
        });
        let (session, held_since) = match waiting {
            None | Some(Waiting::Held) => return written,
            Some(Waiting::Left(session, held_since)) => (Some(session), held_since),
            Some(Waiting::Over(held_since)) => (None, held_since),
        };
        match written {
            Some((_, since)) if since > held_since => written,
            Some(_) | None => session.map(|session| (session, held_since)),
        }
    }

    /// Writes what waits, for ever.
    pub(in crate::socket) async fn run(&self, hub: &Hub) {
        let Some(kept) = &self.kept else {
            return std::future::pending().await;
        };
        loop {
            tokio::time::sleep(COLLECTED).await;
            loop {
                let batch = self.take();
                if batch.is_empty() {
                    break;
                }
                let now = hub.clock.now();
                let copies: Vec<Copied> = batch
                    .iter()
                    .filter_map(|(pid, what)| copied(&hub.sessions, pid, what, now))
                    .collect();
                if let Err(error) = kept.keep(&copies).await {
                    tracing::debug!(
                        error = &error as &dyn std::error::Error,
                        "could not copy sessions; trying again"
                    );
                    self.give_back();
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }

    /// Takes some in hand. What was in hand before is written.
    fn take(&self) -> Vec<(String, Waiting)> {
        let mut queue = lock(&self.waiting);
        let pids: Vec<String> = queue.waiting.keys().take(MAX_BATCH).cloned().collect();
        queue.in_hand = pids.iter().filter_map(|pid| queue.waiting.remove_entry(pid)).collect();
        queue
            .in_hand
            .iter()
            .map(|(pid, what)| (pid.clone(), what.clone()))
            .collect()
    }

    fn give_back(&self) {
        let Queue { waiting, in_hand } = &mut *lock(&self.waiting);
        for (pid, before) in in_hand.drain() {
            // What has come since is newer.
            waiting.entry(pid).or_insert(before);
        }
    }
}

fn copied(sessions: &Sessions, pid: &str, what: &Waiting, now: Timestamp) -> Option<Copied> {
    let (session, held_since) = match what {
        // Without a holder it has left meanwhile, and what it had waits for the next turn.
        Waiting::Held => {
            let (session, held_since) = sessions.holder(pid)?.session(now)?;
            (Some(session), held_since)
        }
        Waiting::Left(session, held_since) => (Some(session.clone()), *held_since),
        Waiting::Over(held_since) => (None, *held_since),
    };
    Some(Copied {
        pid: pid.to_owned(),
        held_since,
        session,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use async_trait::async_trait;

    use super::*;
    use crate::domain::Position;
    use crate::ports::{BusError, SessionChange};

    /// What was written, and nothing more can be.
    struct Written(Session, Timestamp);

    #[async_trait]
    impl SessionCopies for Written {
        async fn keep(&self, _: &[Copied]) -> Result<(), BusError> {
            Err(BusError("away".into()))
        }

        async fn copy(&self, _: &str) -> Result<Option<(Session, Timestamp)>, BusError> {
            Ok(Some((self.0.clone(), self.1)))
        }
    }

    fn session(room: &str) -> Session {
        Session {
            pid: "pid".to_owned(),
            owner: [7; 32],
            began_at: Position::START,
            rooms: BTreeMap::from([(room.into(), Position::START)]),
            seen_at: at(1),
        }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    #[tokio::test]
    async fn what_a_socket_had_when_it_left_is_not_forgotten_before_it_is_written() {
        let written = Written(session("patient_P1"), at(1));
        let sessions = Sessions::new(Some(Arc::new(written)));

        sessions.copies.note_left(session("patient_P2"), at(1));
        // Its session is written anew in the store, by nobody who holds it.
        drop(sessions.save(Some(SessionChange::Open(session("patient_P1")))));

        assert_eq!(sessions.copies.copy("pid").await, Some((session("patient_P2"), at(1))));
    }

    #[tokio::test]
    async fn whoever_took_the_session_up_elsewhere_is_believed_rather_than_who_left_here() {
        let written = Written(session("patient_P1"), at(2));
        let sessions = Sessions::new(Some(Arc::new(written)));

        sessions.copies.note_left(session("patient_P2"), at(1));
        assert_eq!(sessions.copies.copy("pid").await, Some((session("patient_P1"), at(2))));
        sessions.copies.note_over("pid", at(3));
        assert_eq!(sessions.copies.copy("pid").await, None);
    }
}
