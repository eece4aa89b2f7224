//! A socket in the namespace: who it is, which rooms it is in, and what it is owed.
//!
//! Everything that changes its rooms does so here and under one lock, so that a join that comes after the disconnect finds
//! the door closed instead of leaving a dead socket in a room.

mod joined;
mod session;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use serde::Serialize;
use serde_json::value::to_raw_value;
use socketioxide::TransportType;
use socketioxide::extract::SocketRef;
use socketioxide::socket::Sid;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};
use tokio_util::sync::CancellationToken;

use super::guests::Who;
use super::handlers::Requests;
use super::hub::Hub;
use super::lock;
use super::recovery::{Committed, Gap};
use super::rooms::{Form, Tally};
use super::told::Told;
use super::transport::{ByLibrary, Conn, FENCE, Sent};
use crate::domain::{Position, RoomName, Timestamp};
use crate::ports::SessionChange;
use joined::{Joined, JoinedRooms};
use session::OpenSession;

/// How a socket ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// It may come back for its session.
    Lost,
    /// The client said goodbye.
    Goodbye,
}

/// Who a member is, as the handshake found out.
pub(super) struct Card {
    pub(super) conn: Arc<Conn>,
    pub(super) sid: Sid,
    pub(super) who: Who,
    /// SHA-256 of who it is: who may take its session up again.
    pub(super) owner: [u8; 32],
    pub(super) expires_at: Option<Timestamp>,
    pub(super) form: Form,
}

/// The number of the next member: a connection can have several, one after the other.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// One socket.
pub(super) struct Member {
    number: u64,
    pub(super) hub: Arc<Hub>,
    pub(super) conn: Arc<Conn>,
    pub(super) sid: Sid,
    pub(super) who: Who,
    pub(super) expires_at: Option<Timestamp>,
    pub(super) form: Form,
    /// SHA-256 of who it is: who may take its session up again.
    pub(super) owner: [u8; 32],
    state: Mutex<State>,
    pub(super) requests: Mutex<Requests>,
    /// Held by whoever answers its requests. The connect handler holds it first.
    pub(super) turn: Arc<AsyncMutex<()>>,
    before_start: Mutex<Option<Box<BeforeStart>>>,
    limiter: DefaultDirectRateLimiter,
    excess: Mutex<Excess>,
    /// Made for who waits for its end: most sockets have nobody who does.
    over: OnceLock<CancellationToken>,
}

/// What there is until a member has started.
struct BeforeStart {
    _turn: OwnedMutexGuard<()>,
    /// What it missed and cannot be sent.
    gap: Option<Gap>,
}

#[derive(Default)]
struct State {
    is_over: bool,
    is_counted: bool,
    /// Its rooms are not live yet: what happens in them comes by replay.
    is_catching_up: bool,
    /// When it had caught up; `None`: it never had to.
    caught_up: Option<Instant>,
    rooms: JoinedRooms,
    /// Events and bytes that it was sent in rooms it has left, and beside its rooms.
    sent_before: (u64, u64),
    /// Its session. `None`: nothing is promised to it.
    session: Option<OpenSession>,
    /// For clients that come back with `lastEventId`: what was published after it is sent when they join.
    resume_after: Option<Position>,
}

impl State {
    fn positions(&self) -> BTreeMap<RoomName, Position> {
        self.rooms
            .iter()
            .map(|(room, joined)| (room.clone(), joined.at))
            .collect()
    }
}

struct Excess {
    refused: u32,
    last: Instant,
}

/// What became of asking for one event's worth of attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    Admitted,
    Refused,
    /// It has been refused so often that it has to go.
    Exhausted,
}

impl Member {
    pub(super) fn new(hub: Arc<Hub>, card: Card) -> Arc<Self> {
        let quota = Quota::per_second(hub.event_rate).allow_burst(hub.event_burst);
        let turn = Arc::new(AsyncMutex::new(()));
        let before_start = Arc::clone(&turn).try_lock_owned().ok();
        let before_start = before_start.map(|turn| BeforeStart { _turn: turn, gap: None });
        let Card {
            conn,
            sid,
            who,
            owner,
            expires_at,
            form,
        } = card;
        let member = Arc::new(Self {
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            hub,
            conn,
            sid,
            who,
            expires_at,
            form,
            owner,
            state: Mutex::default(),
            requests: Mutex::default(),
            turn,
            before_start: Mutex::new(before_start.map(Box::new)),
            limiter: RateLimiter::direct(quota),
            excess: Mutex::new(Excess {
                refused: 0,
                last: Instant::now(),
            }),
            over: OnceLock::new(),
        });
        member.conn.carry_member(member.number);
        member.hub.members.add(&member);
        member
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Has it in these rooms, which are live once it has got what was published in each after its position.
    pub(super) fn catch_up_in(&self, rooms: &BTreeMap<RoomName, Position>) {
        let mut state = lock(&self.state);
        if state.is_over {
            return;
        }
        state.is_catching_up = true;
        for (room, at) in rooms {
            let (room, tally) = self.hub.rooms.enter(room);
            state.rooms.insert(
                room,
                Joined {
                    at: *at,
                    tally,
                    live_since: None,
                },
            );
        }
    }

    /// Has it get what was published after this position whenever it joins a room.
    pub(super) fn resume_after(&self, position: Position) {
        lock(&self.state).resume_after = Some(position);
    }

    pub(super) fn resumes_after(&self) -> Option<Position> {
        lock(&self.state).resume_after
    }

    pub(super) fn is_catching_up(&self) -> bool {
        lock(&self.state).is_catching_up
    }

    /// Counts it among the connected. Whether it still is.
    pub(super) fn start(&self) -> bool {
        let mut state = lock(&self.state);
        if state.is_over {
            return false;
        }
        state.is_counted = true;
        self.hub.members.note_connected();
        true
    }

    /// Has it know, when it starts, what it missed and cannot be sent.
    pub(super) fn note_gap(&self, gap: Option<Gap>) {
        if let Some(before) = &mut *lock(&self.before_start) {
            before.gap = gap;
        }
    }

    /// What it missed and cannot be sent. To be asked before it takes requests.
    pub(super) fn gap(&self) -> Option<Gap> {
        lock(&self.before_start).as_ref()?.gap
    }

    /// Begins to answer its requests.
    pub(super) fn take_requests(&self) {
        drop(lock(&self.before_start).take());
    }

    /// Whether its requests are still held back because the connect handler has not run.
    pub(super) fn is_before_start(&self) -> bool {
        lock(&self.before_start).is_some()
    }

    /// Asks whether it may send one event more.
    pub(super) fn admit(&self) -> Admission {
        if self.limiter.check().is_ok() {
            return Admission::Admitted;
        }
        let mut excess = lock(&self.excess);
        if excess.last.elapsed() > Excess::FORGIVEN_AFTER {
            excess.refused = 0;
        }
        excess.last = Instant::now();
        excess.refused += 1;
        let most = match self.who {
            Who::Ours(_) => Excess::MAX,
            Who::Guest(_) => Excess::MAX_OF_GUEST,
        };
        if excess.refused > most {
            Admission::Exhausted
        } else {
            Admission::Refused
        }
    }

    pub(super) fn is_in(&self, room: &RoomName) -> bool {
        lock(&self.state).rooms.contains(room)
    }

    pub(super) fn room_count(&self) -> usize {
        lock(&self.state).rooms.len()
    }

    /// Its rooms, and from where on everything published in each is owed to it.
    pub(super) fn rooms(&self) -> BTreeMap<RoomName, Position> {
        lock(&self.state).positions()
    }

    /// Enters a room, live unless it is catching up. Its session is told; the answer says when that is committed.
    /// `owed_after` is from where on the room's events are owed to it, `at` the same for its session.
    pub(super) fn enter(&self, room: &RoomName, owed_after: Position, at: Position) -> Committed {
        let mut state = lock(&self.state);
        if state.is_over || state.rooms.contains(room) {
            return Committed::nothing();
        }
        let (room, tally) = self.hub.rooms.enter(room);
        let live_since = (!state.is_catching_up).then(|| self.go_live_in(&tally));
        state.rooms.insert(
            room.clone(),
            Joined {
                at: owed_after,
                tally,
                live_since,
            },
        );
        // Handed over under the lock: the store learns of changes in the order in which they were made.
        let joined = |pid| SessionChange::Join {
            pid,
            room: room.clone(),
            at,
        };
        self.hub
            .sessions
            .save(state.session.as_ref().map(|session| joined(session.pid.clone())))
    }

    fn go_live_in(&self, tally: &Tally) -> (u64, u64) {
        tally.go_live(self.form, self.number, Arc::clone(&self.conn));
        tally.sent()
    }

    /// Has all its rooms live from now on. To be called under the delivery gate.
    pub(super) fn go_live(&self) {
        let mut state = lock(&self.state);
        state.is_catching_up = false;
        state.caught_up = Some(Instant::now());
        if state.is_over {
            return;
        }
        for joined in state.rooms.values_mut() {
            if joined.live_since.is_none() {
                joined.live_since = Some(self.go_live_in(&joined.tally));
            }
        }
    }

    /// Leaves a room once an event that is being delivered has come: what comes after this was told is of other rooms.
    pub(super) async fn leave_between_events(&self, room: &RoomName) {
        let left = {
            let _gate = self.hub.gate.lock().await;
            self.leave(room)
        };
        left.wait().await;
    }

    /// Leaves a room; leaving one that it is not in is harmless.
    fn leave(&self, room: &RoomName) -> Committed {
        let mut state = lock(&self.state);
        let Some(joined) = state.rooms.remove(room) else {
            return Committed::nothing();
        };
        let sent = sent_since(&joined);
        state.sent_before = (state.sent_before.0 + sent.0, state.sent_before.1 + sent.1);
        self.hub.rooms.leave(room, &joined.tally, self.form, self.number);
        let left = |pid| SessionChange::Leave {
            pid,
            room: room.clone(),
        };
        self.hub
            .sessions
            .save(state.session.as_ref().map(|session| left(session.pid.clone())))
    }

    /// Tells it an event that happened in a room, behind those that it was told before. Whether it is still there.
    pub(super) fn tell_of_room(&self, socket: &SocketRef, told: &Told<'_>) -> bool {
        let by_library = Library {
            socket,
            told,
            conn: &self.conn,
        };
        self.conn.carries(self.number) && self.conn.tell(&told.frame, &by_library) != Sent::Gone
    }

    /// Tells it an event beside those of its rooms. Whether it is still there.
    pub(super) fn tell(&self, socket: &SocketRef, told: &Told<'_>) -> bool {
        self.note_sent(told.frame.len() as u64);
        self.tell_of_room(socket, told)
    }

    /// Tells it an event that is for it alone. Whether it is still there.
    pub(super) fn say(&self, socket: &SocketRef, event: &str, argument: &impl Serialize) -> bool {
        let Ok(argument) = to_raw_value(argument) else {
            return false;
        };
        self.tell(socket, &Told::new(event, [&*argument], None))
    }

    fn note_sent(&self, bytes: u64) {
        let mut state = lock(&self.state);
        state.sent_before = (state.sent_before.0 + 1, state.sent_before.1 + bytes);
    }

    /// Events and bytes that were sent to it so far.
    pub(super) fn sent(&self) -> (u64, u64) {
        let state = lock(&self.state);
        state
            .rooms
            .values()
            .map(sent_since)
            .fold(state.sent_before, |sum, sent| (sum.0 + sent.0, sum.1 + sent.1))
    }

    /// Somebody else has taken its session up: it ends at once and leaves the session alone.
    pub(super) fn replaced(&self) {
        lock(&self.state).session = None;
        self.conn.cut();
        self.depart(Ending::Lost);
    }

    /// Takes it out of everything. Idempotent, never blocks, never panics: the library leaks a socket whose disconnect handler
    /// does.
    pub(super) fn depart(&self, ending: Ending) {
        let mut state = lock(&self.state);
        if state.is_over {
            return;
        }
        state.is_over = true;
        if let Some(over) = self.over.get() {
            over.cancel();
        }
        self.conn.part_with(self.number, ending == Ending::Goodbye);
        let copies = &self.hub.sessions.copies;
        if let Some(open) = state.session.as_ref().filter(|_| copies.are_kept()) {
            match ending {
                Ending::Lost => {
                    let left = self.session_of(open, &state, self.hub.clock.now());
                    copies.note_left(left, open.held_since);
                }
                Ending::Goodbye => copies.note_over(&open.pid, open.held_since),
            }
        }
        for (room, joined) in std::mem::take(&mut state.rooms) {
            self.hub.rooms.leave(&room, &joined.tally, self.form, self.number);
        }
        if let Some(OpenSession { pid, .. }) = state.session.take() {
            self.hub.sessions.release(&pid, self);
            let change = match ending {
                Ending::Lost => SessionChange::Seen {
                    pid,
                    at: self.hub.clock.now(),
                },
                Ending::Goodbye => SessionChange::Forget { pid },
            };
            drop(self.hub.sessions.save(Some(change)));
        }
        self.hub.expiries.remove(self);
        self.hub.members.remove(self, state.is_counted);
        drop(state);
        if let Who::Guest(party) = &self.who {
            party.departed();
        }
        self.take_requests();
        self.forget_requests();
    }

    /// Cancelled when it is over.
    pub(super) fn over(&self) -> &CancellationToken {
        let over = self.over.get_or_init(CancellationToken::new);
        // Either it ended before and is seen here, or what ends it sees the token.
        if lock(&self.state).is_over {
            over.cancel();
        }
        over
    }

    /// Lets go of requests that nobody will answer: they hold the socket, which holds their handler, which holds this.
    pub(super) fn forget_requests(&self) {
        drop(std::mem::take(&mut *lock(&self.requests)));
    }
}

/// The library's way to a socket, for one event.
struct Library<'a> {
    socket: &'a SocketRef,
    told: &'a Told<'a>,
    conn: &'a Conn,
}

impl ByLibrary for Library<'_> {
    fn send_event(&self) -> bool {
        self.socket.emit(self.told.name, self.told).is_ok()
    }

    fn send_fence(&self) -> bool {
        self.socket.emit(&FENCE.name, &Told::new(&FENCE.name, [], None)).is_ok()
    }

    fn has_changed_over(&self) -> bool {
        // The connection knows when the client has said so, the library when it has heard it: a poll may get the rest until then.
        self.conn.is_websocket() && self.socket.transport_type() == TransportType::Websocket
    }
}

impl Excess {
    /// Refusals after which a socket is closed.
    const MAX: u32 = 500;
    /// The same for a client of the other contract, which is not told and so cannot hold back.
    const MAX_OF_GUEST: u32 = 50_000;
    /// How long without a refusal until earlier ones are forgotten.
    const FORGIVEN_AFTER: std::time::Duration = std::time::Duration::from_secs(10);
}

fn sent_since(joined: &Joined) -> (u64, u64) {
    let Some((events, bytes)) = joined.live_since else {
        return (0, 0);
    };
    let now = joined.tally.sent();
    (now.0.saturating_sub(events), now.1.saturating_sub(bytes))
}

impl Drop for Member {
    /// For sockets that never got as far as a disconnect handler.
    fn drop(&mut self) {
        self.depart(Ending::Lost);
    }
}
