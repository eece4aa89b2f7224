//! The bus of a single node: in this process, the position is the store's sequence number.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tokio::sync::mpsc;

use crate::domain::{Event, Position};
use crate::ports::{Bus, BusError, Positioned};

/// Events that may wait for delivery. Beyond that publishing waits, and with it the posts.
const MAX_WAITING: usize = 4_096;

/// A queue from the emitter to this process's delivery.
#[derive(Debug)]
pub struct LocalBus {
    sender: mpsc::Sender<Positioned>,
    receiver: Mutex<Option<mpsc::Receiver<Positioned>>>,
}

impl LocalBus {
    /// An empty bus.
    pub fn new() -> Self {
        let (sender, receiver) = mpsc::channel(MAX_WAITING);
        Self {
            sender,
            receiver: Mutex::new(Some(receiver)),
        }
    }
}

impl Default for LocalBus {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Bus for LocalBus {
    async fn publish(&self, events: Vec<(u64, Arc<Event>)>) -> Result<Vec<Position>, BusError> {
        let mut positions = Vec::with_capacity(events.len());
        for (sequence, event) in events {
            let position = Position::from_sequence(sequence);
            self.sender
                .send(Positioned { position, event })
                .await
                .map_err(|closed| BusError(Box::new(closed)))?;
            positions.push(position);
        }
        Ok(positions)
    }

    fn subscribe(&self) -> mpsc::Receiver<Positioned> {
        let taken = self.receiver.lock().unwrap_or_else(PoisonError::into_inner).take();
        // A second subscriber would share nothing with the first: it gets a bus on which nothing ever happens.
        taken.unwrap_or_else(|| mpsc::channel(1).1)
    }

    async fn check(&self) -> Result<(), BusError> {
        Ok(())
    }
}
