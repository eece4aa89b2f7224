//! The last events, in memory: what clients that were away for seconds come back for, and what closes the gap between the
//! store's pages and the live events.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::watch;

use crate::domain::{EventId, Position};
use crate::ports::Positioned;
use crate::socket::delivery::wire_size;
use crate::socket::lock;

/// Events that are kept.
const MAX_EVENTS: usize = 16_384;
/// Bytes of them that are kept.
const MAX_BYTES: u64 = 64 * 1024 * 1024;
/// Events that are looked at for one page, so that the lock is never held for long.
const MAX_SCANNED: usize = 2_048;

/// The last events that were delivered on this node, in order.
pub(in crate::socket) struct Recent {
    inner: Mutex<Inner>,
    begun: watch::Sender<bool>,
}

struct Inner {
    /// Every event after this one is here.
    after: Position,
    last: Position,
    events: VecDeque<Positioned>,
    bytes: u64,
}

/// Some events, in order.
#[derive(Debug, Default)]
pub(in crate::socket) struct Page {
    pub(super) events: Vec<Positioned>,
    /// No event up to here was left out.
    pub(super) reached: Position,
    /// Whether nothing has been delivered after `reached`.
    pub(super) is_last: bool,
}

impl Recent {
    pub(in crate::socket) fn new() -> Self {
        let inner = Inner {
            after: Position::START,
            last: Position::START,
            events: VecDeque::new(),
            bytes: 0,
        };
        Self {
            inner: Mutex::new(inner),
            begun: watch::Sender::new(false),
        }
    }

    /// Begins after `last`.
    pub(in crate::socket) fn begin(&self, last: Position) {
        *lock(&self.inner) = Inner {
            after: last,
            last,
            events: VecDeque::new(),
            bytes: 0,
        };
        self.begun.send_replace(true);
    }

    /// Waits until it has begun: before, positions mean nothing.
    pub(in crate::socket) async fn begun(&self) {
        // It fails only when the sender is gone, which lives as long as this.
        drop(self.begun.subscribe().wait_for(|begun| *begun).await);
    }

    /// Waits until an event at `position` or a later one has been delivered.
    pub(super) async fn reaches(&self, position: Position) {
        const LOOK: Duration = Duration::from_millis(50);
        while self.last() < position {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The position of the last event that was delivered.
    pub(in crate::socket) fn last(&self) -> Position {
        lock(&self.inner).last
    }

    /// Whether this event is here, at this position.
    pub(super) fn is_at(&self, position: Position, event: EventId) -> bool {
        let inner = lock(&self.inner);
        let found = inner.events.binary_search_by_key(&position, |known| known.position);
        found.is_ok_and(|index| inner.events.get(index).is_some_and(|known| known.event.id == event))
    }

    /// Adds the next event; whether it is one: what is not newer than the last was delivered before.
    pub(in crate::socket) fn push(&self, event: Positioned) -> bool {
        let mut inner = lock(&self.inner);
        if event.position <= inner.last {
            return false;
        }
        inner.last = event.position;
        inner.bytes += wire_size(&event.event);
        inner.events.push_back(event);
        while inner.events.len() > MAX_EVENTS || inner.bytes > MAX_BYTES {
            let Some(oldest) = inner.events.pop_front() else { break };
            inner.bytes -= wire_size(&oldest.event);
            inner.after = oldest.position;
        }
        true
    }

    /// The position after which everything is here.
    pub(super) fn reaches_back_to(&self) -> Position {
        lock(&self.inner).after
    }

    /// At most `limit` wanted events after `after`; `None` if some of those are not here any more.
    pub(super) fn page(&self, after: Position, limit: usize, wanted: impl Fn(&Positioned) -> bool) -> Option<Page> {
        let inner = lock(&self.inner);
        if after < inner.after {
            return None;
        }
        let first = inner.events.partition_point(|event| event.position <= after);
        let mut page = Page {
            events: Vec::new(),
            reached: after,
            is_last: true,
        };
        for (scanned, event) in inner.events.iter().skip(first).enumerate() {
            if scanned == MAX_SCANNED || page.events.len() == limit {
                page.is_last = false;
                return Some(page);
            }
            page.reached = event.position;
            if wanted(event) {
                page.events.push(event.clone());
            }
        }
        Some(page)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::domain::{Event, EventName, Payload, RoomName, Timestamp};

    fn at(sequence: u64) -> Position {
        Position::from_sequence(sequence)
    }

    fn event(sequence: u64, room: &str, bytes: usize) -> Positioned {
        let event = Event {
            id: EventId::new(),
            name: EventName::PATIENT_ALERT,
            rooms: vec![RoomName::from(room)],
            payload: Payload::from_json("x".repeat(bytes)),
            raised_at: Timestamp::from_micros(0),
            alert: None,
        };
        Positioned {
            position: at(sequence),
            event: Arc::new(event),
        }
    }

    fn positions(page: &Page) -> Vec<u64> {
        page.events.iter().map(|event| event.position.major).collect()
    }

    #[test]
    fn a_page_holds_what_is_wanted_after_a_position() {
        let recent = Recent::new();
        recent.begin(at(10));
        for (sequence, room) in [(11, "a"), (12, "b"), (15, "a"), (16, "a")] {
            assert!(recent.push(event(sequence, room, 10)));
        }
        let in_a = |event: &Positioned| event.event.rooms.contains(&RoomName::from("a"));

        let all = recent.page(at(10), 9, in_a).unwrap();
        assert_eq!(
            (positions(&all), all.reached, all.is_last),
            (vec![11, 15, 16], at(16), true)
        );

        let first = recent.page(at(10), 2, in_a).unwrap();
        assert_eq!(
            (positions(&first), first.reached, first.is_last),
            (vec![11, 15], at(15), false)
        );

        let none = recent.page(at(16), 9, in_a).unwrap();
        assert_eq!((positions(&none), none.reached, none.is_last), (vec![], at(16), true));
    }

    #[test]
    fn what_is_not_here_any_more_is_never_answered_partially() {
        let recent = Recent::new();
        recent.begin(at(10));
        assert!(recent.page(at(9), 9, |_| true).is_none());

        for sequence in 11..=11 + MAX_EVENTS as u64 {
            recent.push(event(sequence, "a", 1));
        }

        assert_eq!(recent.reaches_back_to(), at(11));
        assert!(recent.page(at(10), 9, |_| true).is_none());
        assert_eq!(positions(&recent.page(at(11), 1, |_| true).unwrap()), [12]);
    }

    #[test]
    fn large_events_push_older_ones_out() {
        let recent = Recent::new();
        recent.begin(at(0));
        for sequence in 1..=5 {
            recent.push(event(sequence, "a", usize::try_from(MAX_BYTES / 3).unwrap()));
        }

        assert_eq!(recent.reaches_back_to(), at(3));
    }

    #[test]
    fn an_event_that_was_delivered_before_is_not_delivered_again() {
        let recent = Recent::new();
        recent.begin(at(10));

        assert!(!recent.push(event(10, "a", 1)));
        assert!(recent.push(event(11, "a", 1)));
        assert!(!recent.push(event(11, "a", 1)));
    }
}
