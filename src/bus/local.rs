//! The bus of a single node: in this process, the position is the store's sequence number.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::mpsc;

use super::ahead::Ahead;
use crate::domain::{Event, Position, RoomName};
use crate::ports::{Bus, BusError, Positioned, SPOOLED};

/// Events that may wait for delivery. Beyond that publishing waits, and with it the posts.
const MAX_WAITING: usize = 4_096;

/// A queue from the emitter to this process's delivery.
#[derive(Debug)]
pub struct LocalBus {
    /// `None` once the bus is closed.
    sender: Mutex<Option<mpsc::Sender<Positioned>>>,
    /// `None` once somebody subscribed.
    receiver: Mutex<Option<mpsc::Receiver<Positioned>>>,
    /// Of the last event that was published.
    last: Mutex<Position>,
    ahead: Ahead,
}

impl LocalBus {
    /// An empty bus.
    pub fn new() -> Self {
        Self::after(Position::START)
    }

    /// An empty bus that goes on behind the last event of an earlier run.
    pub fn after(last: Position) -> Self {
        let (sender, receiver) = mpsc::channel(MAX_WAITING);
        Self {
            sender: Mutex::new(Some(sender)),
            receiver: Mutex::new(Some(receiver)),
            last: Mutex::new(last),
            ahead: Ahead::default(),
        }
    }

    fn place(&self, number: u64) -> Position {
        let mut last = lock(&self.last);
        let position = if number < SPOOLED {
            Position::from_sequence(number)
        } else {
            Position {
                minor: last.minor + 1,
                ..*last
            }
        };
        *last = position.max(*last);
        position
    }
}

impl Default for LocalBus {
    fn default() -> Self {
        Self::new()
    }
}

/// The bus takes no more events: this node is ending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the bus is closed")]
pub struct Closed;

#[async_trait]
impl Bus for LocalBus {
    async fn publish(&self, events: Vec<(u64, Arc<Event>)>) -> Result<Vec<Position>, BusError> {
        let sender = lock(&self.sender).clone().ok_or(BusError(Box::new(Closed)))?;
        let mut positions = Vec::with_capacity(events.len());
        for (number, event) in events {
            let position = self.place(number);
            positions.push(position);
            if event.alert.as_ref().is_some_and(|alert| alert.is_suppressed) {
                continue;
            }
            if number >= SPOOLED {
                self.ahead.keep(position, Arc::clone(&event));
            }
            sender
                .send(Positioned { position, event })
                .await
                .or(Err(BusError(Box::new(Closed))))?;
        }
        Ok(positions)
    }

    fn subscribe(&self) -> mpsc::Receiver<Positioned> {
        // A second subscriber would share nothing with the first: it gets a bus on which nothing ever happens.
        lock(&self.receiver).take().unwrap_or_else(|| mpsc::channel(1).1)
    }

    fn ahead_of_store(&self, rooms: &[RoomName], after: Position, through: Position) -> Vec<Positioned> {
        self.ahead.published_in(rooms, after, through)
    }

    async fn check(&self) -> Result<(), BusError> {
        Ok(())
    }

    fn close(&self) {
        lock(&self.sender).take();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{EventId, EventName, Payload, Timestamp};

    fn event() -> Arc<Event> {
        Arc::new(Event {
            id: EventId::new(),
            name: EventName::RISK_UPDATED,
            rooms: vec!["patient_P1".into()],
            payload: Payload::from_json("{}"),
            raised_at: Timestamp::from_micros(0),
            alert: None,
        })
    }

    #[tokio::test]
    async fn events_arrive_in_order_under_their_sequence_numbers() {
        let bus = LocalBus::new();
        let mut delivered = bus.subscribe();

        let positions = bus.publish(vec![(7, event()), (9, event())]).await.unwrap();

        assert_eq!(positions, [Position::from_sequence(7), Position::from_sequence(9)]);
        assert_eq!(delivered.recv().await.unwrap().position, positions[0]);
        assert_eq!(delivered.recv().await.unwrap().position, positions[1]);
    }

    #[tokio::test]
    async fn what_was_spooled_comes_between_the_last_sequence_number_and_the_next() {
        let bus = LocalBus::after(Position::from_sequence(6));
        let _delivered = bus.subscribe();

        let spooled = [(SPOOLED, event()), (SPOOLED + 1, event())];
        let first = bus.publish(spooled.to_vec()).await.unwrap();
        let then = bus.publish(vec![(7, event())]).await.unwrap();

        assert!(Position::from_sequence(6) < first[0]);
        assert!(first[0] < first[1]);
        assert!(first[1] < then[0]);
    }

    #[tokio::test]
    async fn what_was_published_is_still_handed_out_after_the_end() {
        let bus = LocalBus::new();
        let mut delivered = bus.subscribe();
        bus.publish(vec![(1, event())]).await.unwrap();

        bus.close();

        assert!(bus.publish(vec![(2, event())]).await.is_err());
        assert!(delivered.recv().await.is_some());
        assert!(delivered.recv().await.is_none());
    }
}
