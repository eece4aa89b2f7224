//! Sessions as they are now, copied to where they can be read while the store cannot be asked.
//!
//! Copies are written a moment after the change, many at once, and again until they are written; nobody waits for them. A
//! store that is there is asked as well: what only one of the two knows counts, since hearing too much of a room that one has
//! just left is better than hearing nothing of one that one is in.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use uuid::Uuid;

use super::Sessions;
use crate::domain::Timestamp;
use crate::ports::{Copied, Session, SessionCopies};
use crate::socket::hub::Hub;
use crate::socket::lock;
use crate::socket::member::Member;
use crate::socket::transport::Conn;

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
    waiting: Mutex<HashMap<String, Waiting>>,
    /// Tells this node's sockets from those of others.
    node: u64,
}

/// What is to be copied of a session.
#[derive(Clone)]
struct Waiting {
    /// Whether its holder has just taken it up.
    takes_up: bool,
    what: What,
}

#[derive(Clone)]
enum What {
    /// What its holder has.
    Held,
    /// What this holder had when it left.
    Left(u128, Session),
    /// That it is over for this holder.
    Over(u128),
}

impl Copies {
    pub(in crate::socket) fn new(kept: Option<Arc<dyn SessionCopies>>) -> Self {
        Self {
            kept,
            waiting: Mutex::default(),
            node: Uuid::new_v4().as_u64_pair().0,
        }
    }

    pub(in crate::socket) fn are_kept(&self) -> bool {
        self.kept.is_some()
    }

    /// A socket on this node has taken a session up.
    pub(super) fn note_taken_up(&self, pid: &str) {
        self.wait(pid, true, What::Held);
    }

    /// A session of a socket on this node has changed.
    pub(super) fn note_changed(&self, pid: &str) {
        self.wait(pid, false, What::Held);
    }

    /// The socket that held a session has gone; it had this.
    pub(in crate::socket) fn note_left(&self, member: &Member, session: Session) {
        let pid = session.pid.clone();
        self.wait(&pid, false, What::Left(self.number(member), session));
    }

    /// The socket that held a session has said goodbye.
    pub(in crate::socket) fn note_over(&self, member: &Member, pid: &str) {
        self.wait(pid, false, What::Over(self.number(member)));
    }

    fn wait(&self, pid: &str, takes_up: bool, what: What) {
        if self.kept.is_none() {
            return;
        }
        let mut waiting = lock(&self.waiting);
        if let Some(before) = waiting.get_mut(pid) {
            before.takes_up |= takes_up;
            before.what = what;
        } else if waiting.len() < MAX_WAITING {
            waiting.insert(pid.to_owned(), Waiting { takes_up, what });
        }
    }

    /// Copies a session now that this socket begins with. Whether it could be.
    pub(super) async fn keep(&self, conn: &Conn, session: &Session) -> bool {
        let Some(kept) = &self.kept else { return false };
        let copied = Copied {
            pid: session.pid.clone(),
            holder: self.number_of(conn),
            takes_up: true,
            session: Some(session.clone()),
        };
        kept.keep(&[copied]).await.is_ok()
    }

    /// The copy of a session, if there is one that can be read.
    pub(super) async fn copy(&self, pid: &str) -> Option<Session> {
        let copy = self.kept.as_ref()?.copy(pid).await;
        copy.unwrap_or_else(|error| {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "could not read the copy of a session"
            );
            None
        })
    }

    /// Writes what waits, for ever.
    pub(in crate::socket) async fn run(&self, hub: &Hub) {
        let Some(kept) = &self.kept else {
            return std::future::pending().await;
        };
        loop {
            tokio::time::sleep(COLLECTED).await;
            while let Some(batch) = self.take() {
                let now = hub.clock.now();
                let copies: Vec<Copied> = batch
                    .iter()
                    .filter_map(|(pid, waiting)| self.copied(&hub.sessions, pid, waiting, now))
                    .collect();
                if let Err(error) = kept.keep(&copies).await {
                    tracing::debug!(
                        error = &error as &dyn std::error::Error,
                        "could not copy sessions; trying again"
                    );
                    self.give_back(batch);
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }

    fn take(&self) -> Option<Vec<(String, Waiting)>> {
        let mut waiting = lock(&self.waiting);
        let pids: Vec<String> = waiting.keys().take(MAX_BATCH).cloned().collect();
        let batch: Vec<_> = pids.iter().filter_map(|pid| waiting.remove_entry(pid)).collect();
        (!batch.is_empty()).then_some(batch)
    }

    fn give_back(&self, batch: Vec<(String, Waiting)>) {
        let mut waiting = lock(&self.waiting);
        for (pid, before) in batch {
            match waiting.entry(pid) {
                // What has come since is newer, and may be by whom nobody knows yet that it holds the session.
                Entry::Occupied(mut since) => since.get_mut().takes_up |= before.takes_up,
                Entry::Vacant(place) => _ = place.insert(before),
            }
        }
    }

    fn copied(&self, sessions: &Sessions, pid: &str, waiting: &Waiting, now: Timestamp) -> Option<Copied> {
        let (holder, session) = match &waiting.what {
            What::Held => {
                // Without a holder it has left meanwhile, and what it had waits for the next turn.
                let member = sessions.holder(pid)?;
                (self.number(&member), Some(member.session(now)?))
            }
            What::Left(holder, session) => (*holder, Some(session.clone())),
            What::Over(holder) => (*holder, None),
        };
        Some(Copied {
            pid: pid.to_owned(),
            holder,
            takes_up: waiting.takes_up,
            session,
        })
    }

    fn number(&self, member: &Member) -> u128 {
        self.number_of(&member.conn)
    }

    fn number_of(&self, conn: &Conn) -> u128 {
        (u128::from(self.node) << 64) | u128::from(conn.id)
    }
}
