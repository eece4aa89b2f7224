//! Subscribes to the workers' channels, for as long as the node lives.
//!
//! Redis keeps nothing of what it publishes, and neither does this: what is published while no node is subscribed is gone, so
//! a lost subscription is begun anew at once. A Redis that hangs is noticed by pings on the connection itself.
//!
//! The client library reads a message whole before anybody can refuse it, and the connection's buffer stays as large as that was.
//! So a connection that has carried a huge message is replaced after a while, without a gap: the new one listens before the old
//! one ends, and what both have heard is one receipt of each (`heard` says why). Not all nodes do so at once: should one take
//! a receipt of the same bytes for another in that moment, the others know better.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _};
use redis::aio::{PubSubSink, PubSubStream};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::claims::Heard;
use super::heard::RedisTime;
use super::json::Unreadable;
use super::script;
use super::tally::{Fate, Tally};
use super::{Bridge, LEAST_BYTES, Settings};
use crate::bus::redis::LinkError;
use crate::telemetry::Metrics;

/// How often Redis is asked whether it is there.
const PING: Duration = Duration::from_secs(2);
/// How long it may take to answer: a large message may be in the way.
const PATIENCE: Duration = Duration::from_secs(4);
/// Between two attempts to reach it, growing from the first to the second.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));
/// From this size on, a message leaves a connection behind that is replaced.
const HUGE: usize = 4 << 20;
/// How long after that, at least and at most.
const REST: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(10));

/// The task that listens.
pub(super) struct Listener {
    pub(super) settings: Arc<Settings>,
    /// What may wait on this node, in bytes.
    pub(super) room: Arc<Semaphore>,
    pub(super) hear: UnboundedSender<Heard>,
    pub(super) tally: Arc<Tally>,
    pub(super) metrics: Metrics,
}

/// A connection that hears what is published.
struct Subscription {
    sink: PubSubSink,
    stream: PubSubStream,
    since: RedisTime,
}

/// Why a subscription ended, or did not begin.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error("Redis has closed the subscription")]
    Closed,
    #[error("more was published than can be stored")]
    FellBehind,
    #[error("it has carried a huge message")]
    Bloated,
}

impl Listener {
    /// Listens until it is stopped.
    pub(super) async fn run(self, stop: CancellationToken) {
        self.metrics.bridge_up.set(0);
        tokio::select! {
            () = self.listen_for_ever() => {}
            () = stop.cancelled() => {}
        }
        self.metrics.bridge_up.set(0);
    }

    async fn listen_for_ever(&self) {
        let mut pause = BACKOFF.0;
        let mut is_told = false;
        loop {
            match self.subscribe().await {
                Ok(subscription) => {
                    self.metrics.bridge_up.set(1);
                    tracing::info!("hears what workers publish");
                    let ended = self.follow(subscription).await;
                    self.metrics.bridge_up.set(0);
                    self.metrics.bridge_cuts.inc();
                    tracing::warn!(
                        error = &ended as &dyn std::error::Error,
                        "lost the subscription; what workers publish now is not heard by this node"
                    );
                    (pause, is_told) = (BACKOFF.0, true);
                }
                Err(error) => {
                    if !std::mem::replace(&mut is_told, true) {
                        tracing::warn!(
                            error = &error as &dyn std::error::Error,
                            "cannot subscribe to what workers publish; trying again"
                        );
                    }
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(BACKOFF.1);
        }
    }

    /// Hears what is published until the subscription is lost.
    async fn follow(&self, mut subscription: Subscription) -> Ended {
        loop {
            self.tell(Heard::Began(subscription.since));
            let ended = tokio::select! {
                ended = self.hear(&mut subscription.stream) => ended,
                ended = watch(subscription.sink.clone()) => ended,
            };
            if !matches!(ended, Ended::Bloated) {
                return ended;
            }
            let next = match self.subscribe().await {
                Ok(next) => next,
                Err(error) => return error,
            };
            // Once it has answered, everything is here that it was sent before the other one listened.
            let answered = tokio::time::timeout(PATIENCE, subscription.sink.ping::<redis::Value>()).await;
            while let Some(Some(message)) = subscription.stream.next().now_or_never() {
                if let Err(ended) = self.take(message) {
                    return ended;
                }
            }
            match answered {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return LinkError::from(error).into(),
                Err(_) => return LinkError::Silent.into(),
            }
            subscription = next;
        }
    }

    async fn subscribe(&self) -> Result<Subscription, Ended> {
        let Settings {
            server,
            prefix,
            python,
            node,
            ..
        } = &*self.settings;
        // The time before the subscription: whatever is claimed from then on, it could have heard of.
        let mut link = server.connect(PATIENCE).await?;
        let since = script::time(&mut link, prefix).await?;
        let patterns: Vec<String> = node.iter().map(|key| pattern(key)).collect();
        let (sink, stream) = server.subscribe(python, &patterns).await?;
        Ok(Subscription { sink, stream, since })
    }

    /// Takes what comes, faster than Redis can send it. The client library's queue has no bound of its own.
    ///
    /// Returns [`Ended::Bloated`] a while after something huge has come.
    async fn hear(&self, stream: &mut PubSubStream) -> Ended {
        let mut replace_at: Option<Instant> = None;
        loop {
            let rest = async {
                match replace_at {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                message = stream.next() => match message.map(|message| self.take(message)) {
                    Some(Ok(bytes)) if bytes > HUGE => {
                        replace_at.get_or_insert_with(|| Instant::now() + rest_for());
                    }
                    Some(Ok(_)) => {}
                    Some(Err(ended)) => return ended,
                    None => return Ended::Closed,
                },
                () = rest => return Ended::Bloated,
            }
        }
    }

    /// Takes a message, unless it is too large; its size.
    fn take(&self, message: redis::Msg) -> Result<usize, Ended> {
        let bridge = if message.from_pattern() {
            Bridge::Node
        } else {
            Bridge::Python
        };
        let bytes = message.get_payload_bytes().len();
        if bytes > self.settings.max_message_bytes {
            self.tally.unreadable(bridge, Unreadable::TooLarge);
            return Ok(bytes);
        }
        let weight = u32::try_from(bytes.max(LEAST_BYTES)).unwrap_or(u32::MAX);
        let Ok(share) = Arc::clone(&self.room).try_acquire_many_owned(weight) else {
            self.tally
                .dropped(bridge, Fate::Overflowed, "more was published than can be stored");
            return Err(Ended::FellBehind);
        };
        self.tell(Heard::Message { bridge, message, share });
        Ok(bytes)
    }

    fn tell(&self, heard: Heard) {
        // Nobody takes it only if this node is being torn down.
        drop(self.hear.send(heard));
    }
}

/// A while that is another on every node.
fn rest_for() -> Duration {
    let (least, most) = REST;
    let spread = most.saturating_sub(least).as_millis();
    let chance = Uuid::new_v4().as_u128().checked_rem(spread).unwrap_or_default();
    least + Duration::from_millis(u64::try_from(chance).unwrap_or_default())
}

/// Returns when Redis does not answer any more.
async fn watch(mut sink: PubSubSink) -> Ended {
    loop {
        tokio::time::sleep(PING).await;
        match tokio::time::timeout(PATIENCE, sink.ping::<redis::Value>()).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return LinkError::from(error).into(),
            Err(_) => return LinkError::Silent.into(),
        }
    }
}

/// The channels of the namespace `/` that an emitter with this key publishes on.
fn pattern(key: &str) -> String {
    let mut pattern = String::new();
    for character in key.chars() {
        if matches!(character, '*' | '?' | '[' | ']' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern + "#/#*"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_never_a_pattern() {
        assert_eq!(pattern("socket.io"), "socket.io#/#*");
        assert_eq!(pattern(r"a*b?[c]\"), r"a\*b\?\[c\]\\#/#*");
    }
}
