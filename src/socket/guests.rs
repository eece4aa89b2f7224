//! Clients of the other contract ([`Contract`](crate::ports::Contract)) on the same namespace: they have their own handshake, rooms and events, and
//! share connections, delivery and recovery with ours. It refuses to know what any of that means.
//!
//! Their pages attach listeners after they have rendered: what is sent in the first quarter of a second is lost. So a guest
//! begins as a client that comes back and has everything to catch up on: its rooms go live a little later, with all that was
//! published in between.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use axum::http::header::COOKIE;
use axum::http::request::Parts;
use serde_json::Value;
use serde_json::value::RawValue;
use socketioxide::extract::{Event, SocketRef, TryData};
use tokio::sync::{Mutex as AsyncMutex, mpsc};
use tokio_util::sync::CancellationToken;

use super::handlers::is_admitted;
use super::handshake::{self, Rejection};
use super::hub::Hub;
use super::inbox::{Sent, inbox};
use super::member::Member;
use super::told::Told;
use super::{RoomAccess, recovery};
use crate::domain::access::Identity;
use crate::domain::{Payload, Room, RoomName, Timestamp};
use crate::ports::{Guest, Hello, Lasting, Line, Party, StoreError};

/// How long after CONNECT a guest's listeners are certainly there.
const SETTLING: Duration = Duration::from_millis(500);

/// Whose client it is.
pub(super) enum Who {
    /// One of our own.
    Ours(Identity),
    /// One of the other contract.
    Guest(Arc<dyn Party>),
}

impl Who {
    /// Whether it may be in a room of its session.
    pub(super) async fn may_be_in(&self, room: &RoomName, access: &dyn RoomAccess) -> Result<bool, StoreError> {
        match self {
            Self::Ours(identity) => match room.as_str().parse::<Room>() {
                Ok(room) => access.may_join(identity, &room).await,
                // A room that is no room any more is none that anybody may be in.
                Err(_) => Ok(false),
            },
            Self::Guest(party) => party.may_be_in(room).await,
        }
    }
}

/// Somebody who was let in, by whichever contract.
pub(super) struct Admitted {
    pub(super) who: Who,
    pub(super) owner: [u8; 32],
    pub(super) expires_at: Option<Timestamp>,
    pub(super) rooms: Vec<RoomName>,
}

/// Asks the contract whose client it is.
pub(super) fn admit(hub: &Hub, request: &Parts, auth: &Value) -> Result<Admitted, Rejection> {
    let cookies = request.headers.get(COOKIE).and_then(|cookies| cookies.to_str().ok());
    let hello = Hello { auth, cookies };
    let now = hub.clock.now();
    if let Some(contract) = hub.contract.as_ref().filter(|contract| contract.is_for(&hello)) {
        let Guest {
            owner,
            expires_at,
            rooms,
            party,
        } = contract.admit(&hello, now).map_err(Rejection::Guest)?;
        let who = Who::Guest(party);
        return Ok(Admitted {
            who,
            owner,
            expires_at,
            rooms,
        });
    }
    let authenticated = handshake::authenticate(&hub.authenticator, request, auth, now)?;
    Ok(Admitted {
        owner: recovery::owner(&authenticated.identity),
        who: Who::Ours(authenticated.identity),
        expires_at: authenticated.expires_at,
        rooms: Vec::new(),
    })
}

/// Whether events may carry their position. All guests run `socket.io-client` since 4.6, unless they say otherwise.
pub(super) fn understands_recovery(who: &Who, request: &Parts, auth: &Value) -> bool {
    match who {
        Who::Ours(_) => handshake::understands_recovery(request, auth),
        Who::Guest(_) => auth.get("recovery").and_then(Value::as_bool).unwrap_or(true),
    }
}

/// Has the socket heard. To be called before CONNECT is answered: a fast client's first event comes right behind it.
pub(super) fn register(socket: &SocketRef, member: &Arc<Member>, party: &Arc<dyn Party>) {
    let Some(contract) = member.hub.contract.clone() else {
        return;
    };
    let (inbox, sent) = inbox();
    let heard_from = Arc::downgrade(member);
    // One handler for all events, known or not: thousands of sockets keep what they were given here.
    socket.on_fallback(move |Event(name): Event, TryData(payload): TryData<Value>| {
        // Counted in any case, and heard in any case where something is over.
        let is_within = heard_from.upgrade().is_some_and(|member| is_admitted(&member));
        let known = contract.events().iter().find(|event| **event == name);
        let is_taken = known.is_some_and(|event| {
            // What cannot be read is passed on as nothing: whoever knows the event drops and counts it.
            let payload = payload.unwrap_or_default();
            let lasting = contract.lasting(event, &payload);
            let is_heard = is_within || matches!(lasting, Some(Lasting::Ends(_)));
            is_heard && inbox.take(event, payload, lasting)
        });
        if !is_taken {
            contract.dropped();
        }
        std::future::ready(())
    });
    // Without the member: one that never gets as far as being disconnected ends when nobody holds it any more.
    let (turn, over, party) = (Arc::clone(&member.turn), member.over().clone(), Arc::clone(party));
    member.hub.hearing.spawn(async move {
        hear(&turn, &over, &*party, sent).await;
        party.heard_last().await;
    });
}

/// Has a guest's events heard, one after the other, until it is gone. What is being heard then is heard to its end: half of it
/// would leave somebody with the other half.
async fn hear(turn: &AsyncMutex<()>, over: &CancellationToken, party: &dyn Party, mut sent: mpsc::Receiver<Sent>) {
    // The connect handler has it first.
    let Some(_turn) = over.run_until_cancelled(turn.lock()).await else {
        return;
    };
    while let Some(Some((event, payload))) = over.run_until_cancelled(sent.recv()).await {
        party.hear(event, &payload).await;
    }
}

/// After CONNECT was answered.
pub(super) async fn welcome(member: &Arc<Member>, party: &Arc<dyn Party>, socket: &SocketRef) {
    let line = Arc::new(GuestLine {
        member: Arc::downgrade(member),
        id: member.sid.to_string(),
        socket: socket.clone(),
    });
    party.connected(line).await;
    if member.over().is_cancelled() {
        // It went while it was being introduced: whoever has been told of it last must hear that it is gone.
        party.departed();
        return;
    }
    member.take_requests();
    let settled = async {
        tokio::time::sleep(SETTLING).await;
        recovery::replay_session(member, socket).await
    };
    if let Some(Ok(())) = member.over().run_until_cancelled(settled).await {
        party.settled().await;
    } else {
        tracing::debug!(conn.id = member.conn.id, "a client went away before it had settled");
    }
}

struct GuestLine {
    member: Weak<Member>,
    id: String,
    socket: SocketRef,
}

#[async_trait]
impl Line for GuestLine {
    fn id(&self) -> &str {
        &self.id
    }

    fn rooms(&self) -> BTreeSet<RoomName> {
        let rooms = self.member.upgrade().map(|member| member.rooms());
        rooms.unwrap_or_default().into_keys().collect()
    }

    async fn join(&self, room: &RoomName) -> bool {
        let Some(member) = self.member.upgrade() else {
            return false;
        };
        if member.is_in(room) {
            return true;
        }
        if member.room_count() >= member.hub.settings.max_rooms {
            return false;
        }
        let committed = {
            // Under the gate, so that it is told of exactly what is delivered after this position.
            let _gate = member.hub.gate.lock().await;
            let now = member.hub.recent.last();
            member.enter(room, now, now)
        };
        committed.wait().await;
        true
    }

    async fn leave(&self, room: &RoomName) -> bool {
        let Some(member) = self.member.upgrade().filter(|member| member.is_in(room)) else {
            return false;
        };
        member.leave_between_events(room).await;
        true
    }

    fn tell(&self, event: &str, payload: &Payload) {
        let Some(member) = self.member.upgrade() else { return };
        let Ok(payload) = serde_json::from_str::<&RawValue>(payload.as_json()) else {
            return;
        };
        if !member.tell(&self.socket, &Told::new(event, [payload], None)) {
            tracing::debug!(conn.id = member.conn.id, "a socket was gone before it was told");
        }
    }
}
