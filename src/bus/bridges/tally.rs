//! Counts what becomes of messages, and says so in the log, seldom: whoever can publish must not be able to fill it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::Bridge;
use super::json::Unreadable;
use crate::telemetry::{BridgeLabels, Metrics};

/// How often the same is said again.
const SELDOM: Duration = Duration::from_mins(1);

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Fate {
    /// This node has raised it.
    Raised,
    /// Another node had claimed it and did not raise it in time; this one did.
    TakenOver,
    /// Another node has raised it.
    Repeated,
    /// It is no event of ours; this node's sockets were told.
    Passed,
    /// The same, and it was dropped.
    Unknown,
    /// It is for other servers.
    Foreign,
    /// It is an event of ours by name, and its payload is not one JSON object.
    Refused,
    /// It carries bytes.
    Binary,
    /// Nobody can read it.
    Malformed,
    /// It is larger than allowed.
    TooLarge,
    /// More came than could be stored.
    Overflowed,
    /// It could not be stored for so long that it was dropped.
    GivenUp,
}

impl Fate {
    const fn name(self) -> &'static str {
        match self {
            Self::Raised => "raised",
            Self::TakenOver => "taken_over",
            Self::Repeated => "repeated",
            Self::Passed => "passed",
            Self::Unknown => "unknown",
            Self::Foreign => "foreign",
            Self::Refused => "refused",
            Self::Binary => "binary",
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
            Self::Overflowed => "overflowed",
            Self::GivenUp => "given_up",
        }
    }
}

/// What is counted, and what was said last.
pub(super) struct Tally {
    metrics: Metrics,
    said: Mutex<HashMap<(Bridge, Fate), Instant>>,
}

impl Tally {
    pub(super) fn new(metrics: Metrics) -> Self {
        Self {
            metrics,
            said: Mutex::default(),
        }
    }

    /// Counts a message that is no failure.
    pub(super) fn count(&self, bridge: Bridge, fate: Fate) {
        let labels = BridgeLabels {
            bridge: bridge.name(),
            result: fate.name(),
        };
        self.metrics.bridge_messages.get_or_create(&labels).inc();
    }

    /// Counts a message that was dropped, and says why unless that was said a moment ago.
    pub(super) fn dropped(&self, bridge: Bridge, fate: Fate, why: &'static str) {
        self.count(bridge, fate);
        if !self.is_news(bridge, fate) {
            return;
        }
        let (bridge, result) = (bridge.name(), fate.name());
        if fate == Fate::GivenUp {
            tracing::error!(
                bridge,
                result,
                why,
                "dropped what a worker published; more of the same is counted only"
            );
        } else {
            tracing::warn!(
                bridge,
                result,
                why,
                "dropped what a worker published; more of the same is counted only"
            );
        }
    }

    /// Counts a message that could not be read.
    pub(super) fn unreadable(&self, bridge: Bridge, why: Unreadable) {
        match why {
            Unreadable::Malformed(why) => self.dropped(bridge, Fate::Malformed, why),
            Unreadable::TooLarge => self.dropped(
                bridge,
                Fate::TooLarge,
                "it is larger than bridges.max_message_bytes, as it came or unpacked",
            ),
            Unreadable::Binary => self.dropped(bridge, Fate::Binary, "it carries bytes"),
            // Other servers may share the channel: nothing is wrong.
            Unreadable::Foreign(_) => self.count(bridge, Fate::Foreign),
        }
    }

    /// Counts a message that named somebody to be left out of an event of ours, which is nobody.
    pub(super) fn excluded(&self) {
        self.metrics.bridge_exclusions.inc();
    }

    fn is_news(&self, bridge: Bridge, fate: Fate) -> bool {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let is_news = said
            .get(&(bridge, fate))
            .is_none_or(|at| now.duration_since(*at) >= SELDOM);
        if is_news {
            said.insert((bridge, fate), now);
        }
        is_news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_same_failure_is_said_once_a_minute_and_always_counted() {
        let metrics = Metrics::new();
        let tally = Tally::new(metrics.clone());

        assert!(tally.is_news(Bridge::Python, Fate::Malformed));
        assert!(!tally.is_news(Bridge::Python, Fate::Malformed));
        assert!(tally.is_news(Bridge::Node, Fate::Malformed));
        tokio::time::advance(SELDOM).await;
        assert!(tally.is_news(Bridge::Python, Fate::Malformed));

        for _ in 0..3 {
            tally.unreadable(Bridge::Node, Unreadable::Binary);
        }
        let text = metrics.encode(Duration::ZERO).unwrap();
        assert!(
            text.contains(r#"wardbell_bridge_messages_total{bridge="node",result="binary"} 3"#),
            "{text}"
        );
    }
}
