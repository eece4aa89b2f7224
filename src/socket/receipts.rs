//! How many sockets got which alert, gathered and written down a few times a second.

use std::collections::HashMap;
use std::sync::Mutex;

use super::lock;
use crate::domain::{Event, EventId};
use crate::ports::{EventStore, Receipt};

/// Alerts that may wait for being written down. Beyond that, new ones are not counted: receipts may be lost, memory may not.
const MAX_WAITING: usize = 65_536;

/// What is not written down yet: sent as it happened, and sent on recovery.
#[derive(Default)]
pub(super) struct Receipts {
    waiting: Mutex<HashMap<EventId, (u64, u64)>>,
}

impl Receipts {
    /// So many sockets were sent this event as it happened.
    pub(super) fn delivered(&self, event: &Event, sockets: usize) {
        self.add(event, (sockets as u64, 0));
    }

    /// A socket got this event when it came back.
    pub(super) fn recovered(&self, event: &Event) {
        self.add(event, (0, 1));
    }

    fn add(&self, event: &Event, (delivered, recovered): (u64, u64)) {
        if event.alert.is_none() || (delivered, recovered) == (0, 0) {
            return;
        }
        let mut waiting = lock(&self.waiting);
        if waiting.len() < MAX_WAITING || waiting.contains_key(&event.id) {
            let sum = waiting.entry(event.id).or_default();
            *sum = (sum.0 + delivered, sum.1 + recovered);
        }
    }

    /// Writes down what waits.
    pub(super) async fn write<S: EventStore + ?Sized>(&self, store: &S) {
        let waiting = std::mem::take(&mut *lock(&self.waiting));
        if waiting.is_empty() {
            return;
        }
        let receipts = waiting
            .into_iter()
            .map(|(event_id, (delivered, recovered))| Receipt {
                event_id,
                delivered,
                recovered,
            })
            .collect();
        if let Err(error) = store.add_receipts(receipts).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "could not write down how many sockets got which alert"
            );
        }
    }
}
