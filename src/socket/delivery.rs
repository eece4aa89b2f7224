//! From the bus to the sockets: every event to the members of its rooms, once each, in the bus's order.

use std::sync::Arc;

use serde_json::value::RawValue;
use socketioxide::{BroadcastError, SocketError, SocketIo};
use tokio::sync::mpsc;

use super::backlog;
use super::hub::Hub;
use super::recovery::Offset;
use super::rooms::{Form, Tally};
use crate::domain::{Event, Position, RoomName};
use crate::ports::Positioned;

/// Delivers until the bus ends.
pub(super) async fn run(hub: &Hub, io: &SocketIo, first: Option<Positioned>, mut events: mpsc::Receiver<Positioned>) {
    if let Some(first) = first {
        deliver(hub, io, first).await;
    }
    while let Some(event) = events.recv().await {
        deliver(hub, io, event).await;
        // Writers run between two events, however many wait.
        tokio::task::yield_now().await;
    }
}

async fn deliver(hub: &Hub, io: &SocketIo, positioned: Positioned) {
    let _gate = hub.gate.lock().await;
    // What was published twice, because the first time could not be noted, was delivered already.
    if !hub.recent.push(positioned.clone()) {
        return;
    }
    let Positioned { position, event } = positioned;
    let rooms = hub.rooms.of(&event.rooms);
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
    let offset = Offset::of(position, event.id);
    let plain = fan_out(hub, io, &event, &rooms, Form::Plain, &(payload,)).await;
    let positioned = fan_out(hub, io, &event, &rooms, Form::Positioned, &(payload, offset)).await;
    hub.metrics.deliveries.inc_by((plain + positioned) as u64);
    hub.receipts.delivered(&event, plain + positioned);
}

/// Sends one form to the sockets that get it; to how many.
async fn fan_out<T: serde::Serialize + Sync>(
    hub: &Hub,
    io: &SocketIo,
    event: &Event,
    rooms: &[(&RoomName, Arc<Tally>)],
    form: Form,
    arguments: &T,
) -> usize {
    let live = rooms.iter().filter(|(_, tally)| tally.live_members(form) > 0);
    let names: Vec<String> = live.clone().map(|(room, _)| form.room(room)).collect();
    let Some(root) = io.of("/").filter(|_| !names.is_empty()) else {
        return 0;
    };
    let count = match names.len() {
        1 => live.map(|(_, tally)| tally.live_members(form)).sum(),
        // Who is in several of them counts once.
        _ => root.clone().within(names.clone()).sockets().len(),
    };
    match root.within(names).emit(event.name.as_str(), arguments).await {
        Ok(()) => {}
        Err(BroadcastError::Socket(errors)) => {
            // A closed socket is on its way out and recovers if it returns.
            let full = errors
                .iter()
                .filter(|error| matches!(error, SocketError::InternalChannelFull))
                .count();
            if full > 0 {
                tracing::error!(event.id = %event.id, sockets = full, "queues were full; cutting off who is held up");
                backlog::cut_held_up_in(hub, &event.rooms);
            }
        }
        Err(error) => {
            tracing::error!(event.id = %event.id, error = &error as &dyn std::error::Error, "an event could not be sent");
        }
    }
    count
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
