//! Events that were published before the store had them, kept until clients that come back no longer miss them.
//!
//! While the store is away, events are published out of the spool and clients get them at once. A client that was gone just
//! then comes back when the store is there again, and perhaps before the spool has been moved into it: what the store does
//! not tell such a client yet, this does.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain::{Event, EventId, Position, RoomName};
use crate::ports::Positioned;

/// Events that are kept: an outage of a quarter of an hour in a large hospital. Older ones are let go first.
const MAX_EVENTS: usize = 16_384;

/// The latest events that were published without the store.
#[derive(Debug, Default)]
pub(super) struct Ahead(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    by_position: BTreeMap<Position, Arc<Event>>,
    by_id: HashMap<EventId, Position>,
}

impl Ahead {
    /// Keeps an event. Of two positions it is known under the first.
    pub(super) fn keep(&self, position: Position, event: Arc<Event>) {
        let mut kept = self.lock();
        if kept.by_id.contains_key(&event.id) {
            return;
        }
        kept.by_id.insert(event.id, position);
        kept.by_position.insert(position, event);
        if kept.by_position.len() > MAX_EVENTS
            && let Some((_, oldest)) = kept.by_position.pop_first()
        {
            kept.by_id.remove(&oldest.id);
        }
    }

    /// Where an event was published, if it is kept.
    pub(super) fn position_of(&self, event: EventId) -> Option<Position> {
        self.lock().by_id.get(&event).copied()
    }

    /// The kept events of any of `rooms` with `after < position <= through`, in order.
    pub(super) fn published_in(&self, rooms: &[RoomName], after: Position, through: Position) -> Vec<Positioned> {
        if after >= through {
            return Vec::new();
        }
        let kept = self.lock();
        let span = (std::ops::Bound::Excluded(after), std::ops::Bound::Included(through));
        let of_rooms = kept
            .by_position
            .range(span)
            .filter(|(_, event)| event.rooms.iter().any(|room| rooms.contains(room)));
        of_rooms
            .map(|(position, event)| Positioned {
                position: *position,
                event: Arc::clone(event),
            })
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{EventName, Payload, Timestamp};

    fn event_in(room: &str) -> Arc<Event> {
        Arc::new(Event {
            id: EventId::new(),
            name: EventName::PATIENT_ALERT,
            rooms: vec![room.into()],
            payload: Payload::from_json("{}"),
            raised_at: Timestamp::from_micros(0),
            alert: None,
        })
    }

    fn at(major: u64, minor: u64) -> Position {
        Position { major, minor }
    }

    #[test]
    fn tells_what_was_published_in_some_rooms_between_two_positions() {
        let ahead = Ahead::default();
        let wanted = event_in("patient_P1");
        ahead.keep(at(7, 1), event_in("patient_P1"));
        ahead.keep(at(7, 2), Arc::clone(&wanted));
        ahead.keep(at(7, 3), event_in("patient_P2"));
        ahead.keep(at(7, 4), event_in("patient_P1"));

        let told = ahead.published_in(&["patient_P1".into()], at(7, 1), at(7, 3));

        assert_eq!(told.len(), 1);
        assert_eq!(told[0].event.id, wanted.id);
        assert!(
            ahead
                .published_in(&["patient_P1".into()], at(7, 3), at(7, 1))
                .is_empty()
        );
    }

    #[test]
    fn an_event_keeps_its_first_place() {
        let ahead = Ahead::default();
        let event = event_in("patient_P1");

        ahead.keep(at(7, 1), Arc::clone(&event));
        ahead.keep(at(7, 9), Arc::clone(&event));

        assert_eq!(ahead.position_of(event.id), Some(at(7, 1)));
        assert_eq!(ahead.published_in(&["patient_P1".into()], at(0, 0), at(9, 0)).len(), 1);
    }
}
