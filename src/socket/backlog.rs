//! Clients that do not take what is sent to them.
//!
//! The queues, of the library and of websockets ([`outlet`](super::transport)), are practically endless, so that a fan-out
//! never finds one full and drops an event in silence; the bound on what waits is kept here. A websocket's is looked at. Nobody
//! outside of the library can see its queues, but what was sent to a socket and its rooms since everything was last seen taken,
//! less the bytes it took since, is what waits for it at most. Whoever lets too much wait, or has not caught up once for longer
//! than a heartbeat may take, is cut off on the transport level: it comes back, and recovers what it missed from the log.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::hub::Hub;
use super::transport::Conn;

/// How often those that are held up are looked at.
pub(super) const EVERY: Duration = Duration::from_millis(100);

/// What waits for one connection, as far as can be told from outside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Waiting {
    events: u64,
    bytes: u64,
}

impl From<(usize, usize)> for Waiting {
    fn from((frames, bytes): (usize, usize)) -> Self {
        Self {
            events: frames as u64,
            bytes: bytes as u64,
        }
    }
}

/// A connection as it was when its queue was last known to be empty, or when it was first seen to be held up.
#[derive(Clone, Copy, Debug)]
struct Mark {
    since: Instant,
    drained: u64,
    taken: u64,
    sent: (u64, u64),
}

impl Mark {
    fn waiting(&self, taken: u64, sent: (u64, u64)) -> Waiting {
        let (events, bytes) = (sent.0.saturating_sub(self.sent.0), sent.1.saturating_sub(self.sent.1));
        let left = bytes.saturating_sub(taken.saturating_sub(self.taken));
        // Only bytes can be seen going out; events are taken to go in proportion.
        let events = (u128::from(events) * u128::from(left))
            .checked_div(u128::from(bytes))
            .unwrap_or(0);
        Waiting {
            events: u64::try_from(events).unwrap_or(u64::MAX),
            bytes: left,
        }
    }
}

/// Looks after those that are held up.
#[derive(Default)]
pub(super) struct Backlog {
    marks: HashMap<u64, Mark>,
}

impl Backlog {
    /// Looks once, and cuts off whoever lets too much wait.
    pub(super) fn sweep(&mut self, hub: &Hub) {
        let held_up = hub.registry.held_up();
        if held_up.is_empty() {
            self.marks.clear();
            return;
        }
        let now = Instant::now();
        let patience = hub.settings.ping_interval + hub.settings.ping_timeout;
        let mut marks = HashMap::with_capacity(held_up.len());
        let mut waiting: Vec<(Arc<Conn>, Waiting)> = Vec::new();
        for conn in held_up {
            let sent = hub.members.on(conn.id).map(|member| member.sent()).unwrap_or_default();
            let drained = conn.drained();
            let mark = self.marks.get(&conn.id).copied().filter(|mark| mark.drained == drained);
            let mark = mark.unwrap_or(Mark {
                since: now,
                drained,
                taken: conn.taken(),
                sent,
            });
            let waits = conn.waiting().map(Waiting::from);
            let waits = waits.unwrap_or_else(|| mark.waiting(conn.taken(), sent));
            let is_too_much =
                waits.events > hub.settings.slow_client_events || waits.bytes > hub.settings.slow_client_bytes;
            if is_too_much || now.duration_since(mark.since) > patience {
                cut(hub, &conn, waits);
            } else {
                marks.insert(conn.id, mark);
                waiting.push((conn, waits));
            }
        }
        self.marks = marks;

        let mut total: u64 = waiting.iter().map(|(_, waits)| waits.bytes).sum();
        if total > hub.settings.backlog_bytes {
            waiting.sort_unstable_by_key(|(_, waits)| std::cmp::Reverse(waits.bytes));
            for (conn, waits) in waiting {
                if total <= hub.settings.backlog_bytes {
                    break;
                }
                total -= waits.bytes;
                cut(hub, &conn, waits);
            }
        }
    }
}

fn cut(hub: &Hub, conn: &Conn, waits: Waiting) {
    hub.metrics.overflowed.inc();
    tracing::info!(
        conn.id = conn.id,
        waiting.events = waits.events,
        waiting.bytes = waits.bytes,
        "cut off a client that takes nothing"
    );
    conn.cut();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark() -> Mark {
        Mark {
            since: Instant::now(),
            drained: 3,
            taken: 1_000,
            sent: (10, 5_000),
        }
    }

    #[test]
    fn what_was_sent_since_the_queue_was_empty_waits() {
        assert_eq!(mark().waiting(1_000, (10, 5_000)), Waiting { events: 0, bytes: 0 });
        assert_eq!(
            mark().waiting(1_000, (14, 6_000)),
            Waiting {
                events: 4,
                bytes: 1_000
            }
        );
    }

    #[test]
    fn what_was_taken_since_does_not_wait() {
        assert_eq!(mark().waiting(1_500, (14, 6_000)), Waiting { events: 2, bytes: 500 });
        assert_eq!(mark().waiting(9_999, (14, 6_000)), Waiting { events: 0, bytes: 0 });
    }
}
