//! What a node does by itself, without being asked.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config;
use crate::ports::{EventStore, Retention};

/// Removes what is older than its retention, from the start on and then again and again, until `stop` is cancelled.
pub(super) async fn sweep(
    store: Arc<dyn EventStore>,
    clock: Arc<dyn Clock>,
    keep: config::Store,
    stop: CancellationToken,
) {
    let mut due = every(keep.sweep_interval);
    loop {
        tokio::select! {
            _ = due.tick() => {}
            () = stop.cancelled() => return,
        }
        let now = clock.now();
        let retention = Retention {
            events_before: now.minus(keep.keep_events),
            alerts_before: now.minus(keep.keep_alerts),
            outcomes_before: now.minus(keep.keep_idempotency),
            tasks_before: now.minus(keep.keep_tasks),
            sessions_before: now.minus(keep.keep_sessions),
        };
        match store.sweep(retention).await {
            Ok(swept) => tracing::debug!(
                swept.events,
                swept.outcomes,
                swept.tasks,
                swept.sessions,
                "removed what was older than its retention"
            ),
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "could not remove what is old; trying again later"
                );
            }
        }
    }
}

fn every(period: Duration) -> tokio::time::Interval {
    let mut due = interval(period);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    due
}
