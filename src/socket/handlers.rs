//! What clients ask for: `join_room` and `leave_room` (wire contract A §2).
//!
//! Every request is answered, by an event and, where the client passed a callback, by that too. One socket's requests are
//! answered one after the other in the order in which they came: the library calls a handler at once but runs what it
//! returns as a task of its own, so a request takes its place in the socket's queue during the call, and one task answers
//! all that is there. Clients ask for a hundred rooms at once after they have connected, thousands of them when a network is
//! back: a request that waits is a few words long.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use socketioxide::extract::{AckSender, Event, SocketRef, TryData};

use super::events::{self, Denial, Membership};
use super::guests::Who;
use super::lock;
use super::member::{Admission, Member};
use super::recovery::{Interrupted, replay_room};
use crate::domain::{Room, RoomName};

/// Requests of one socket that may wait for their turn.
const MAX_WAITING: usize = 512;
/// How long a request waits for the connect handler, which runs right after CONNECT or never.
const START_PATIENCE: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Join,
    Leave,
}

impl Wish {
    fn by_name(event: &str) -> Option<Self> {
        match event {
            "join_room" => Some(Self::Join),
            "leave_room" => Some(Self::Leave),
            _ => None,
        }
    }
}

/// A client's request, in the queue.
struct Request {
    wish: Wish,
    /// `None`: it names none, or one that is longer than any.
    room: Option<String>,
    socket: SocketRef,
    ack: AckSender,
}

/// A socket's requests, in the order in which they came.
#[derive(Default)]
pub(super) struct Requests {
    waiting: VecDeque<Request>,
    /// Whether a task answers them.
    are_answered: bool,
}

/// Has the socket answer. To be called before CONNECT is answered: a fast client's first event comes right behind it.
///
/// One handler takes all events, known or not: thousands of sockets keep what they were given here.
pub(super) fn register(socket: &SocketRef, member: &Arc<Member>) {
    let member = Arc::clone(member);
    socket.on_fallback(
        move |socket: SocketRef, Event(event): Event, TryData(payload): TryData<Value>, ack: AckSender| {
            if let Some(wish) = Wish::by_name(&event) {
                let room = payload.as_ref().ok().and_then(room_in);
                let room = room.filter(|room| room.len() <= Denial::MAX_ECHO).map(str::to_owned);
                let request = Request {
                    wish,
                    room,
                    socket,
                    ack,
                };
                take(&member, request);
            } else if !is_admitted(&member) {
                // Events that nobody knows are not answered, but they count.
                refuse(&member, &socket, ack, Denial::RateLimited, None);
            }
            std::future::ready(())
        },
    );
}

pub(super) fn is_admitted(member: &Member) -> bool {
    match member.admit() {
        Admission::Admitted => true,
        Admission::Refused => {
            member.hub.metrics.client_events_limited.inc();
            false
        }
        Admission::Exhausted => {
            member.hub.metrics.client_events_limited.inc();
            tracing::info!(conn.id = member.conn.id, "cut off a client that sends too many events");
            member.conn.cut();
            false
        }
    }
}

/// Gives a request its place, and sees to it that somebody answers.
fn take(member: &Arc<Member>, request: Request) {
    let is_admitted = is_admitted(member);
    let mut requests = lock(&member.requests);
    if !is_admitted || requests.waiting.len() >= MAX_WAITING {
        drop(requests);
        let Request { room, socket, ack, .. } = request;
        return refuse(member, &socket, ack, Denial::RateLimited, room.as_deref());
    }
    requests.waiting.push_back(request);
    if !std::mem::replace(&mut requests.are_answered, true) {
        tokio::spawn(answer_all(Arc::clone(member)));
    }
}

/// Answers one request after the other until there is none.
async fn answer_all(member: Arc<Member>) {
    let _turn = match tokio::time::timeout(START_PATIENCE, member.turn.lock()).await {
        Ok(turn) => turn,
        Err(_) if member.is_before_start() => {
            // CONNECT could not be sent. Requests hold the socket, which holds this member: let go.
            return member.forget_requests();
        }
        Err(_) => member.turn.lock().await,
    };
    while let Some(request) = next(&member) {
        answer(&member, request).await;
    }
}

fn next(member: &Member) -> Option<Request> {
    let mut requests = lock(&member.requests);
    let next = requests.waiting.pop_front();
    if next.is_none() {
        // Most sockets ask for a few rooms and are silent for the rest of the day.
        *requests = Requests::default();
    }
    next
}

async fn answer(member: &Member, request: Request) {
    let Request {
        wish,
        room,
        socket,
        ack,
    } = request;
    let room = room.as_deref();
    let done = match wish {
        Wish::Join => join(member, &socket, room).await,
        Wish::Leave => leave(member, room).await,
    };
    match done {
        Ok(room) => {
            let (event, status) = match wish {
                Wish::Join => (events::ROOM_JOINED, "joined"),
                Wish::Leave => (events::ROOM_LEFT, "left"),
            };
            let membership = Membership {
                room: room.as_str(),
                status,
                timestamp: member.hub.clock.now(),
            };
            reply(member, &socket, ack, event, &membership);
        }
        Err(Stopped::Denied(denial)) => refuse(member, &socket, ack, denial, room),
        Err(Stopped::Gone) => {}
    }
}

/// Why a request was not done.
enum Stopped {
    Denied(Denial),
    /// Nobody waits for the answer.
    Gone,
}

impl From<Denial> for Stopped {
    fn from(denial: Denial) -> Self {
        Self::Denied(denial)
    }
}

impl From<Interrupted> for Stopped {
    fn from(_: Interrupted) -> Self {
        Self::Gone
    }
}

fn room_in(payload: &Value) -> Option<&str> {
    payload.get("room")?.as_str()
}

async fn join(member: &Member, socket: &SocketRef, room: Option<&str>) -> Result<RoomName, Stopped> {
    let hub = &member.hub;
    let room: Room = room.and_then(|room| room.parse().ok()).ok_or(Denial::InvalidRoom)?;
    let name = RoomName::from(&room);
    let Who::Ours(identity) = &member.who else {
        return Err(Denial::Unauthorized.into());
    };
    match hub.access.may_join(identity, &room).await {
        Ok(true) => {}
        Ok(false) => return Err(Denial::Unauthorized.into()),
        Err(error) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "could not find out who may join a room"
            );
            return Err(Denial::Unavailable.into());
        }
    }
    if member.is_in(&name) {
        return Ok(name);
    }
    if member.room_count() >= hub.settings.max_rooms {
        return Err(Denial::TooManyRooms.into());
    }
    let committed = match member.resumes_after() {
        Some(after) if !member.is_catching_up() => replay_room(member, socket, &name, after).await?,
        Some(_) | None => {
            // Under the gate, so that it is told of exactly what is delivered after this position.
            let _gate = hub.gate.lock().await;
            let now = hub.recent.last();
            member.enter(&name, now, now)
        }
    };
    // Where it could not be committed the socket is in the room all the same; its session is not trusted until it is
    // written anew.
    committed.wait().await;
    Ok(name)
}

async fn leave(member: &Member, room: Option<&str>) -> Result<RoomName, Stopped> {
    let room: Room = room.and_then(|room| room.parse().ok()).ok_or(Denial::InvalidRoom)?;
    let name = RoomName::from(&room);
    member.leave_between_events(&name).await;
    Ok(name)
}

fn refuse(member: &Member, socket: &SocketRef, ack: AckSender, denial: Denial, room: Option<&str>) {
    reply(member, socket, ack, events::ERROR, &denial.about(room));
}

/// Tells the socket, and calls its callback if it passed one.
fn reply<T: Serialize>(member: &Member, socket: &SocketRef, ack: AckSender, event: &str, answer: &T) {
    // A socket that is gone needs no answer.
    if member.say(socket, event, answer) {
        drop(ack.send(answer));
    }
}
