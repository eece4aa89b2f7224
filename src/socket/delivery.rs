//! From the bus to the sockets: every event to the members of its rooms, once each, in the bus's order.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::value::RawValue;
use socketioxide::SocketIo;
use tokio::sync::mpsc;

use super::hub::Hub;
use super::recovery::Offset;
use super::rooms::{Form, Listeners, Tally};
use super::told::Told;
use super::transport::{Conn, Sent, Staged};
use crate::domain::{Event, Position, RoomName};
use crate::ports::Positioned;

/// Events that are delivered together at most. A socket that is told several of them is written to once.
const TOGETHER: usize = 64;
/// Frames that wait to be written, after which they are: neither the first of them nor whoever wants to join waits longer than
/// some milliseconds.
const MAX_STAGED: usize = 65_536;
/// Sockets that are written to before others get a turn: about half a millisecond.
pub(super) const TURN: usize = 128;

/// Delivers until the bus ends.
pub(super) async fn run(hub: &Hub, io: &SocketIo, first: Option<Positioned>, mut events: mpsc::Receiver<Positioned>) {
    let mut waiting: Vec<Positioned> = first.into_iter().collect();
    loop {
        let mut together = waiting.drain(..);
        while together.len() > 0 {
            Delivery::new(hub, io).deliver(&mut together).await;
            tokio::task::yield_now().await;
        }
        drop(together);
        // While these were delivered others came: the busier it is, the more go together.
        if events.recv_many(&mut waiting, TOGETHER).await == 0 {
            return;
        }
    }
}

struct Delivery<'a> {
    hub: &'a Hub,
    io: &'a SocketIo,
    /// Whether there is one event only: it is written as it comes to each socket.
    is_alone: bool,
    /// Connections with frames that wait to be written, and how many frames.
    staged: Vec<Arc<Conn>>,
    staged_frames: usize,
    /// Sockets that were told something since others had a turn.
    turn: usize,
}

impl<'a> Delivery<'a> {
    fn new(hub: &'a Hub, io: &'a SocketIo) -> Self {
        Self {
            hub,
            io,
            is_alone: false,
            staged: Vec::new(),
            staged_frames: 0,
            turn: 0,
        }
    }

    /// Delivers these events, or the first of them.
    async fn deliver(&mut self, events: &mut (impl ExactSizeIterator<Item = Positioned> + Send)) {
        let hub = self.hub;
        let _gate = hub.gate.lock().await;
        self.is_alone = events.len() == 1;
        while self.staged_frames < MAX_STAGED
            && let Some(event) = events.next()
        {
            self.tell(event).await;
        }
        for conn in std::mem::take(&mut self.staged) {
            conn.flush();
            self.take_turns().await;
        }
    }

    async fn tell(&mut self, positioned: Positioned) {
        // What was published twice, because the first time could not be noted, was delivered already.
        if !self.hub.recent.push(positioned.clone()) {
            return;
        }
        let Positioned { position, event } = positioned;
        let rooms = self.hub.rooms.of(&event.rooms);
        if rooms.is_empty() {
            return;
        }
        let payload: &RawValue = match serde_json::from_str(event.payload.as_json()) {
            Ok(payload) => payload,
            Err(error) => {
                tracing::error!(event.id = %event.id, event.name = %event.name, %error, "an event's payload is not JSON; nobody was told");
                return;
            }
        };
        let bytes = wire_size(&event);
        for (_, tally) in &rooms {
            tally.note_sent(bytes);
        }
        let mut sockets = 0;
        for (form, offset) in [
            (Form::Plain, None),
            (Form::Positioned, Some(Offset::of(position, event.id))),
        ] {
            let listeners = listeners(&rooms, form);
            if !listeners.is_empty() {
                let told = Told::new(event.name.as_str(), [payload], offset);
                sockets += self.fan_out(&listeners, &told).await;
            }
        }
        self.hub.metrics.deliveries.inc_by(sockets as u64);
        self.hub.receipts.delivered(&event, sockets);
    }

    /// Tells each of them, and answers how many were there. One that is gone meanwhile recovers if it returns.
    async fn fan_out(&mut self, listeners: &[(u64, Arc<Conn>)], told: &Told<'_>) -> usize {
        let mut sockets = 0;
        for (member, conn) in listeners {
            // It may have said goodbye since, and somebody else have come on the same connection.
            let is_told = conn.carries(*member) && self.tell_one(*member, conn, told);
            sockets += usize::from(is_told);
            self.take_turns().await;
        }
        sockets
    }

    fn tell_one(&mut self, member: u64, conn: &Arc<Conn>, told: &Told<'_>) -> bool {
        if self.is_alone {
            return match conn.push(&told.frame) {
                Sent::Taken | Sent::Waiting => true,
                Sent::Library => self.tell_by_library(member, conn, told),
                Sent::Gone => false,
            };
        }
        match conn.stage(&told.frame) {
            Staged::First => self.staged.push(Arc::clone(conn)),
            Staged::Behind => {}
            Staged::Library => return self.tell_by_library(member, conn, told),
            Staged::Gone => return false,
        }
        self.staged_frames += 1;
        true
    }

    /// Tells one that polls, or has just changed over.
    fn tell_by_library(&self, member: u64, conn: &Conn, told: &Told<'_>) -> bool {
        let member = self.hub.members.on(conn.id).filter(|there| there.number() == member);
        member.is_some_and(|member| {
            let socket = self.io.get_socket(member.sid);
            socket.is_some_and(|socket| member.tell_of_room(&socket, told))
        })
    }

    async fn take_turns(&mut self) {
        self.turn += 1;
        if self.turn == TURN {
            self.turn = 0;
            tokio::task::yield_now().await;
        }
    }
}

/// Who is told in this form. Who is in several of the rooms is told once.
fn listeners(rooms: &[(&RoomName, Arc<Tally>)], form: Form) -> Listeners {
    if let [(_, only)] = rooms {
        return only.listeners(form);
    }
    let mut seen = HashSet::new();
    let mut all = Vec::new();
    for (_, tally) in rooms {
        let listeners = tally.listeners(form);
        all.extend(listeners.iter().filter(|(member, _)| seen.insert(*member)).cloned());
    }
    all.into()
}

/// About how many bytes the event takes on the wire.
pub(super) fn wire_size(event: &Event) -> u64 {
    const AROUND: usize = 64; // `42["",,"1042-0-019ab5c83f007000800000000000000a"]` and a frame's header
    (event.payload.as_json().len() + event.name.as_str().len() + AROUND) as u64
}

/// Finds out where delivery stands when it begins: what was published before is in the store. While the store is away it
/// begins with the first event that comes, which it answers: alerts do not wait for the log.
pub(super) async fn begin(hub: &Hub, events: &mut mpsc::Receiver<Positioned>) -> Option<Positioned> {
    const RETRY: std::time::Duration = std::time::Duration::from_millis(250);
    let mut is_told = false;
    loop {
        match hub.store.last_position().await {
            Ok(position) => {
                hub.recent.begin(position);
                return None;
            }
            Err(error) if !is_told => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "could not read where the log ends; trying again"
                );
                is_told = true;
            }
            Err(_) => {}
        }
        if let Ok(first) = tokio::time::timeout(RETRY, events.recv()).await {
            hub.recent
                .begin(first.as_ref().map_or(Position::START, |first| before(first.position)));
            return first;
        }
    }
}

/// The last position before this one.
fn before(position: Position) -> Position {
    match position.minor.checked_sub(1) {
        Some(minor) => Position { minor, ..position },
        None => Position {
            major: position.major.saturating_sub(1),
            minor: u64::MAX,
        },
    }
}
