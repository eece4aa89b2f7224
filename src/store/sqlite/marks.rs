//! What the writer and the store's handle both know, and what may be written down later than it was said.
//!
//! That an event was published is known at once and written with the next transaction: should the process be killed in between,
//! it is published again, which is better than never. When that was, and who got it, is written a few times a second.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain::{EventId, Timestamp};
use crate::ports::Receipt;

/// What may be written later and is not, because the disk refuses: beyond this many, receipts are dropped and publication
/// times merged.
const MAX_LAZY: usize = 65_536;
/// What the writer and the store's handle both know, without asking the database.
#[derive(Debug, Default)]
pub(super) struct Marks {
    /// Every event up to this sequence number is published, or suppressed.
    pub(super) published: AtomicU64,
    /// Events up to this sequence number may have been swept.
    pub(super) horizon: AtomicU64,
    /// Transactions that were committed.
    pub(super) transactions: AtomicU64,
    lazy: Mutex<Lazy>,
}

/// What may be written later than it was said.
#[derive(Debug, Default)]
pub(super) struct Lazy {
    /// Up to which event was published, and when. Ascending.
    pub(super) published: Vec<(u64, Timestamp)>,
    /// Sockets that got an alert, and that recovered it.
    pub(super) receipts: HashMap<EventId, (u64, u64)>,
}

impl Lazy {
    pub(super) fn is_empty(&self) -> bool {
        self.published.is_empty() && self.receipts.is_empty()
    }

    /// Puts back what could not be written, before what was said since.
    pub(super) fn restore(&mut self, mut unwritten: Self) {
        unwritten.published.append(&mut self.published);
        self.published = unwritten.published;
        for (event, (delivered, recovered)) in unwritten.receipts {
            self.add(event, delivered, recovered);
        }
    }

    fn add(&mut self, event: EventId, delivered: u64, recovered: u64) {
        if self.receipts.len() >= MAX_LAZY && !self.receipts.contains_key(&event) {
            return;
        }
        let counts = self.receipts.entry(event).or_default();
        counts.0 += delivered;
        counts.1 += recovered;
    }
}

impl Marks {
    /// Notes that everything up to `through` is published. Whether the writer must be told that something waits.
    pub(super) fn publish(&self, through: u64, at: Timestamp) -> bool {
        if self.published.fetch_max(through, Ordering::AcqRel) >= through {
            return false;
        }
        let mut lazy = self.lazy();
        let was_empty = lazy.is_empty();
        if lazy.published.len() >= MAX_LAZY {
            lazy.published.pop();
        }
        lazy.published.push((through, at));
        was_empty
    }

    /// Adds receipts. Whether the writer must be told that something waits.
    pub(super) fn receive(&self, receipts: Vec<Receipt>) -> bool {
        let mut lazy = self.lazy();
        let was_empty = lazy.is_empty();
        for receipt in receipts {
            lazy.add(receipt.event_id, receipt.delivered, receipt.recovered);
        }
        was_empty && !lazy.is_empty()
    }

    /// Whether something was said and is not written yet.
    pub(super) fn has_lazy(&self) -> bool {
        !self.lazy().is_empty()
    }

    pub(super) fn lazy(&self) -> MutexGuard<'_, Lazy> {
        self.lazy.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
