//! What clients ask for: `join_room` and `leave_room` (wire contract A §2).
//!
//! Every request is answered, by an event and, where the client passed a callback, by that too. One socket's requests are
//! answered one after the other in the order in which they came: the library calls a handler at once but runs what it
//! returns as a task, so a request takes its place in the socket's queue during the call, and its task then answers
//! whichever request is first.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use socketioxide::extract::{AckSender, SocketRef, TryData};

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

/// A client's request, in the queue.
pub(super) struct Request {
    wish: Wish,
    payload: Option<Value>,
    socket: SocketRef,
    ack: AckSender,
}

/// Has the socket answer. To be called before CONNECT is answered: a fast client's first event comes right behind it.
pub(super) fn register(socket: &SocketRef, member: &Arc<Member>) {
    for (name, wish) in [("join_room", Wish::Join), ("leave_room", Wish::Leave)] {
        let member = Arc::clone(member);
        socket.on(
            name,
            move |socket: SocketRef, TryData(payload): TryData<Value>, ack: AckSender| {
                take(
                    member.clone(),
                    Request {
                        wish,
                        payload: payload.ok(),
                        socket,
                        ack,
                    },
                )
            },
        );
    }
    let member = Arc::clone(member);
    socket.on_fallback(move |socket: SocketRef, ack: AckSender| {
        // Events that nobody knows are not answered, but they count.
        if !is_admitted(&member) {
            refuse(&socket, ack, Denial::RateLimited, None);
        }
        std::future::ready(())
    });
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

/// Gives a request its place, and answers the first one in the queue when it is this task's turn.
fn take(member: Arc<Member>, request: Request) -> impl Future<Output = ()> + Send + 'static {
    let refused = if is_admitted(&member) {
        let mut requests = lock(&member.requests);
        if requests.len() < MAX_WAITING {
            requests.push_back(request);
            None
        } else {
            Some(request)
        }
    } else {
        Some(request)
    };
    let waits = refused.is_none();
    if let Some(Request {
        payload, socket, ack, ..
    }) = refused
    {
        refuse(&socket, ack, Denial::RateLimited, payload.as_ref().and_then(room_in));
    }
    async move {
        if waits {
            answer_next(&member).await;
        }
    }
}

async fn answer_next(member: &Member) {
    let _turn = match tokio::time::timeout(START_PATIENCE, member.turn.lock()).await {
        Ok(turn) => turn,
        Err(_) if member.is_before_start() => {
            // CONNECT could not be sent. Requests hold the socket, which holds this member: let go.
            drop(std::mem::take(&mut *lock(&member.requests)));
            return;
        }
        Err(_) => member.turn.lock().await,
    };
    let first = {
        let mut requests = lock(&member.requests);
        let first = requests.pop_front();
        if requests.is_empty() {
            // Most sockets ask for a few rooms and are silent for the rest of the day.
            requests.shrink_to_fit();
        }
        first
    };
    let Some(Request {
        wish,
        payload,
        socket,
        ack,
    }) = first
    else {
        return;
    };
    let room = payload.as_ref().and_then(room_in);
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
            reply(
                &socket,
                ack,
                event,
                &Membership {
                    room: room.as_str(),
                    status,
                    timestamp: member.hub.clock.now(),
                },
            );
        }
        Err(Stopped::Denied(denial)) => refuse(&socket, ack, denial, room),
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
    member.leave(&name).wait().await;
    Ok(name)
}

fn refuse(socket: &SocketRef, ack: AckSender, denial: Denial, room: Option<&str>) {
    reply(socket, ack, events::ERROR, &denial.about(room));
}

/// Tells the socket, and calls its callback if it passed one.
fn reply<T: Serialize>(socket: &SocketRef, ack: AckSender, event: &str, answer: &T) {
    // A socket that is gone needs no answer.
    if socket.emit(event, answer).is_ok() {
        drop(ack.send(answer));
    }
}
