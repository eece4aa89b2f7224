//! Sending again: what a socket is owed, page by page as it takes them, up to the point where it goes live.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use serde_json::value::RawValue;
use socketioxide::extract::SocketRef;
use tokio::sync::Semaphore;

use super::offset::Offset;
use super::recent::Page;
use crate::domain::{EventId, Position, RoomName};
use crate::ports::{Positioned, StoreError};
use crate::socket::delivery::wire_size;
use crate::socket::hub::Hub;
use crate::socket::member::Member;
use crate::socket::rooms::Form;
use crate::socket::told::Told;

/// Events of one page. A client takes it before it gets the next.
const PAGE: usize = 256;
/// Bytes that are handed over before the client must have taken them.
const MAX_UNTAKEN: u64 = 512 * 1024;
/// Events that may be sent while everybody else's delivery waits.
const LAST_PAGE: usize = 32;
/// Pages that are read from the store at once, for all sockets together.
static READERS: Semaphore = Semaphore::const_new(8);
/// How often and how long reading is tried again before the client is sent away.
const RETRIES: u32 = 60;
const RETRY: Duration = Duration::from_millis(500);

/// The socket is gone, or was cut off; whoever returns begins anew.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::socket) struct Interrupted;

/// What is replayed.
#[derive(Clone, Copy)]
enum Scope<'a> {
    /// All rooms of a session that was taken up, with positions.
    Session,
    /// One room, for a client that keeps its own account: without positions.
    Room(&'a RoomName),
}

/// Sends a socket what it is owed in the rooms of the session that it took up, then has them live.
pub(in crate::socket) async fn replay_session(member: &Member, socket: &SocketRef) -> Result<(), Interrupted> {
    let after = member
        .rooms()
        .into_values()
        .min()
        .unwrap_or_else(|| member.hub.recent.last());
    let replay = Replay {
        hub: &member.hub,
        member,
        socket,
        scope: Scope::Session,
    };
    member
        .over()
        .run_until_cancelled(replay.run(after))
        .await
        .unwrap_or(Err(Interrupted))
        .map(drop)
}

/// Sends a socket what was published in `room` after `after`, then has it in the room. Answers where it went live.
pub(in crate::socket) async fn replay_room(
    member: &Member,
    socket: &SocketRef,
    room: &RoomName,
    after: Position,
) -> Result<super::Committed, Interrupted> {
    let replay = Replay {
        hub: &member.hub,
        member,
        socket,
        scope: Scope::Room(room),
    };
    member
        .over()
        .run_until_cancelled(replay.run(after))
        .await
        .unwrap_or(Err(Interrupted))
}

struct Replay<'a> {
    hub: &'a Hub,
    member: &'a Member,
    socket: &'a SocketRef,
    scope: Scope<'a>,
}

impl Replay<'_> {
    async fn run(&self, after: Position) -> Result<super::Committed, Interrupted> {
        let mut cursor = after;
        loop {
            let owed = self.member.rooms();
            let wanted = |event: &Positioned| self.is_wanted(&owed, event);
            let page = match self.hub.recent.page(cursor, PAGE, wanted) {
                Some(page) => page,
                None => self.stored_page(&owed, cursor).await?,
            };
            // Fewer than a full last page: whether a full one is the last cannot be seen while anything else follows it.
            if page.is_last && page.events.len() < LAST_PAGE {
                let _gate = self.hub.gate.lock().await;
                // What was joined or left meanwhile counts.
                let owed = self.member.rooms();
                let wanted = |event: &Positioned| self.is_wanted(&owed, event);
                if let Some(last) = self.hub.recent.page(cursor, LAST_PAGE, wanted)
                    && last.is_last
                {
                    for event in &last.events {
                        self.send(event)?;
                    }
                    return Ok(self.go_live(after, last.reached));
                }
                continue;
            }
            self.send_page(&page).await?;
            cursor = page.reached;
        }
    }

    fn is_wanted(&self, owed: &BTreeMap<RoomName, Position>, event: &Positioned) -> bool {
        let is_owed = |room: &RoomName| owed.get(room).is_some_and(|after| event.position > *after);
        match self.scope {
            Scope::Session => event.event.rooms.iter().any(is_owed),
            // What the socket's other rooms had or will have of it, it has got.
            Scope::Room(room) => event.event.rooms.contains(room) && !event.event.rooms.iter().any(is_owed),
        }
    }

    fn go_live(&self, from: Position, reached: Position) -> super::Committed {
        match self.scope {
            Scope::Session => {
                self.member.go_live();
                super::Committed::nothing()
            }
            Scope::Room(room) => self.member.enter(room, from, reached),
        }
    }

    /// Hands a page over, waiting whenever too much of it is not taken yet, and at its end.
    async fn send_page(&self, page: &Page) -> Result<(), Interrupted> {
        let conn = &self.member.conn;
        let mut untaken = 0;
        let mut drained = conn.drained();
        for (i, event) in page.events.iter().enumerate() {
            let is_last = i + 1 == page.events.len();
            untaken += wire_size(&event.event);
            if is_last || untaken > MAX_UNTAKEN {
                // Before the event that is waited for: its being taken may be noticed before `send` returns.
                drained = conn.drained();
            }
            self.send(event)?;
            if is_last || untaken > MAX_UNTAKEN {
                conn.drained_past(drained).await.or(Err(Interrupted))?;
                untaken = 0;
            }
        }
        Ok(())
    }

    fn send(&self, Positioned { position, event }: &Positioned) -> Result<(), Interrupted> {
        let Ok(payload) = serde_json::from_str::<&RawValue>(event.payload.as_json()) else {
            tracing::error!(event.id = %event.id, "a stored event's payload is not JSON; it was left out of a recovery");
            return Ok(());
        };
        let offset = match (self.scope, self.member.form) {
            (Scope::Session, Form::Positioned) => Some(Offset::of(*position, event.id)),
            (Scope::Session, Form::Plain) | (Scope::Room(_), _) => None,
        };
        if !self
            .member
            .tell(self.socket, &Told::new(event.name.as_str(), [payload], offset))
        {
            tracing::debug!(conn.id = self.member.conn.id, "a recovery was interrupted");
            self.member.conn.cut();
            return Err(Interrupted);
        }
        self.hub.metrics.replayed.inc();
        self.hub.receipts.recovered(event);
        Ok(())
    }

    /// A page from the store: events that are not in memory any more.
    async fn stored_page(&self, owed: &BTreeMap<RoomName, Position>, cursor: Position) -> Result<Page, Interrupted> {
        let through = self.hub.recent.reaches_back_to();
        for _ in 0..RETRIES {
            match self.read(owed, cursor, through).await {
                Ok(Some(page)) => return Ok(page),
                Ok(None) => {
                    tracing::info!(
                        conn.id = self.member.conn.id,
                        "a recovery was overtaken by the retention; the client begins anew"
                    );
                    self.member.conn.cut();
                    return Err(Interrupted);
                }
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "could not read a recovery's events; trying again"
                    );
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
        // It comes back with the offset that it has got to.
        self.member.conn.cut();
        Err(Interrupted)
    }

    /// `None`: events after `cursor` may have been swept.
    async fn read(
        &self,
        owed: &BTreeMap<RoomName, Position>,
        cursor: Position,
        through: Position,
    ) -> Result<Option<Page>, StoreError> {
        let rooms: Vec<RoomName> = match self.scope {
            Scope::Session => owed.keys().cloned().collect(),
            Scope::Room(room) => vec![room.clone()],
        };
        let mut events = {
            let _reader = READERS.acquire().await;
            self.hub.store.published_in(&rooms, cursor, through, PAGE).await?
        };
        if self.hub.store.horizon().await? > cursor {
            return Ok(None);
        }
        let reached = if events.len() < PAGE {
            through
        } else {
            events.last().map_or(through, |event| event.position)
        };
        let ahead = self.hub.bus.ahead_of_store(&rooms, cursor, reached);
        if !ahead.is_empty() {
            let stored: HashSet<EventId> = events.iter().map(|event| event.event.id).collect();
            events.extend(ahead.into_iter().filter(|event| !stored.contains(&event.event.id)));
            events.sort_by_key(|event| event.position);
        }
        events.retain(|event| self.is_wanted(owed, event));
        Ok(Some(Page {
            events,
            reached,
            is_last: false,
        }))
    }
}
