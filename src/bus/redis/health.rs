//! Whether Redis answers, for whoever wants to know.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use tokio::sync::Notify;

use super::server::LinkError;
use crate::telemetry::Metrics;

/// The two connections that a node needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// The one that reads the stream.
    Reader = 1,
    /// The one that writes to it.
    Writer = 2,
}

const BOTH: u8 = Side::Reader as u8 | Side::Writer as u8;

/// Which of them work.
#[derive(Debug)]
pub(super) struct Health {
    up: AtomicU8,
    /// How often the writer had to look for Redis anew.
    searches: AtomicU64,
    changed: Notify,
    metrics: Metrics,
}

impl Health {
    pub(super) fn new(metrics: Metrics) -> Self {
        metrics.bus_up.set(0);
        Self {
            up: AtomicU8::new(0),
            searches: AtomicU64::new(0),
            changed: Notify::new(),
            metrics,
        }
    }

    pub(super) fn is_up(&self) -> bool {
        self.up.load(Ordering::Acquire) == BOTH
    }

    pub(super) fn up(&self, side: Side) {
        let before = self.up.fetch_or(side as u8, Ordering::AcqRel);
        if before & side as u8 == 0 {
            tracing::info!(side = ?side, "Redis answers");
            self.note();
        }
    }

    pub(super) fn down(&self, side: Side, error: &LinkError) {
        let before = self.up.fetch_and(!(side as u8), Ordering::AcqRel);
        if before & side as u8 != 0 {
            tracing::warn!(side = ?side, error = error as &dyn std::error::Error, "lost Redis; events come from the store until it is back");
            self.note();
        }
        if side == Side::Writer {
            self.searches.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Changes whenever the writer has lost Redis. A reader that still believes in its connection may then sit on a server
    /// that is no longer the master.
    pub(super) fn searches(&self) -> u64 {
        self.searches.load(Ordering::Acquire)
    }

    /// Returns when a side has come up or gone down.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    fn note(&self) {
        self.metrics.bus_up.set(i64::from(self.is_up()));
        self.changed.notify_one();
    }
}
