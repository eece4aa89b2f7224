//! Reads what was heard, and asks Redis which event of ours it is, and who raises it.
//!
//! The event's id is the proposal of whoever asked first. It is raised at once by the *speaker*: the node that has been asking
//! for longest without a pause. One node at a time, because the messages of a worker must become events in the order in which
//! they were published. If Redis does not answer, the id follows from the bytes, the time of day in steps of ten seconds, and
//! how often they came in that time, so that nodes which heard the same mostly agree; all of them raise it then.
//!
//! Messages are taken in the order in which they were heard, and handed on in that order.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use sha2::{Digest as _, Sha256};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::time::Instant;
use uuid::Uuid;

use super::heard::{Digest, Memory, RedisTime};
use super::json::Unreadable;
use super::outbox::Claimed;
use super::script::{self, Answer, PATIENCE, Question};
use super::tally::{Fate, Tally};
use super::unanswered::Unanswered;
use super::{Bridge, MAX_ROOMS, Settings, node, python};
use crate::bus::redis::{Link, LinkError};
use crate::clock::Clock;
use crate::domain::{EventId, WorkerEvent};
use crate::ports::{Judged, Published, Raise};

/// Messages that are asked for together.
const MAX_BATCH: usize = 64;
/// How long it is asked again before a message goes without its answer.
const INSIST: Duration = Duration::from_secs(2);
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(50);
/// How long the others wait for the speaker to have raised an event.
const GRACE: Duration = Duration::from_secs(1);

/// What a server says that is about to be another's, or ready.
const PASSING: [&str; 7] = [
    "READONLY",
    "LOADING",
    "MASTERDOWN",
    "CLUSTERDOWN",
    "TRYAGAIN",
    "MOVED",
    "ASK",
];

/// What the listener tells.
pub(super) enum Heard {
    /// A subscription began: everything that is published from this time on is heard.
    Began(RedisTime),
    /// Something was published.
    Message {
        bridge: Bridge,
        message: redis::Msg,
        /// Its share of what may wait.
        share: OwnedSemaphorePermit,
    },
}

/// The task that reads and asks.
pub(super) struct Claims {
    settings: Arc<Settings>,
    raise: Arc<dyn Raise>,
    clock: Arc<dyn Clock>,
    tally: Arc<Tally>,
    /// Where events go, in order.
    outbox: UnboundedSender<Claimed>,
    /// What this node calls itself.
    listener: String,
    link: Option<Link>,
    memory: Memory,
    /// Whether the last question was given up. Then messages do not wait for the next one either.
    is_given_up: bool,
    unanswered: Unanswered,
}

/// An event that lacks its id.
struct Nameless {
    bridge: Bridge,
    event: WorkerEvent,
    digest: Digest,
    share: OwnedSemaphorePermit,
    proposal: EventId,
}

impl Claims {
    pub(super) fn new(
        settings: Arc<Settings>,
        raise: Arc<dyn Raise>,
        clock: Arc<dyn Clock>,
        tally: Arc<Tally>,
        outbox: UnboundedSender<Claimed>,
    ) -> Self {
        Self {
            settings,
            raise,
            clock,
            tally,
            outbox,
            listener: Uuid::new_v4().simple().to_string(),
            link: None,
            memory: Memory::since(0),
            is_given_up: false,
            unanswered: Unanswered::default(),
        }
    }

    /// Works until nothing can be heard any more.
    pub(super) async fn run(mut self, mut heard: UnboundedReceiver<Heard>) {
        let mut items = Vec::new();
        let mut batch = Vec::new();
        while heard.recv_many(&mut items, MAX_BATCH).await > 0 {
            for item in items.drain(..) {
                match item {
                    Heard::Began(since) => {
                        self.claim(&mut batch).await;
                        self.memory = Memory::since(since);
                        // The first message need not wait for it.
                        drop(self.connected().await);
                    }
                    Heard::Message { bridge, message, share } => {
                        let Some(nameless) = self.read(bridge, &message, share).await else {
                            continue;
                        };
                        // The second receipt of the same bytes cannot be asked for before the first is known.
                        if batch.iter().any(|earlier: &Nameless| earlier.digest == nameless.digest) {
                            self.claim(&mut batch).await;
                        }
                        batch.push(nameless);
                    }
                }
            }
            self.claim(&mut batch).await;
        }
    }

    /// Reads a message; what is an event of ours.
    async fn read(&self, bridge: Bridge, message: &redis::Msg, share: OwnedSemaphorePermit) -> Option<Nameless> {
        let bytes = message.get_payload_bytes();
        let published = match decode(&self.settings, bridge, bytes) {
            Ok(published) => published,
            Err(why) => {
                self.tally.unreadable(bridge, why);
                return None;
            }
        };
        let excludes = !published.except.is_empty();
        match self.raise.judge(published).await {
            Judged::Ours(event) => {
                if excludes {
                    self.tally.excluded();
                }
                Some(Nameless {
                    bridge,
                    event,
                    digest: digest(message.get_channel_name(), bytes),
                    share,
                    proposal: EventId::new(),
                })
            }
            Judged::Passed => {
                self.tally.count(bridge, Fate::Passed);
                None
            }
            Judged::Unknown => {
                let why = "its name or a room is not ours; bridges.allow_unknown passes such on";
                self.tally.dropped(bridge, Fate::Unknown, why);
                None
            }
            Judged::Refused => {
                let why = "an event of ours has one JSON object for a payload";
                self.tally.dropped(bridge, Fate::Refused, why);
                None
            }
        }
    }

    /// Asks whose these are, and hands them on.
    async fn claim(&mut self, batch: &mut Vec<Nameless>) {
        let answers = self.ask(batch).await;
        for (nameless, answer) in batch.drain(..).zip(answers) {
            let (id, is_ours) = if let Some(Answer { receipt, id, speaks }) = answer {
                self.memory.note(nameless.digest, receipt);
                let Some(id) = id else {
                    self.tally.count(nameless.bridge, Fate::Repeated);
                    continue;
                };
                (id, speaks)
            } else {
                self.memory.lose_count();
                (self.unanswered.id(&nameless.digest, self.clock.now()), true)
            };
            let claimed = Claimed {
                bridge: nameless.bridge,
                event: nameless.event,
                digest: nameless.digest,
                id,
                is_ours,
                due: Instant::now() + GRACE,
                share: nameless.share,
            };
            // Nobody takes it only if this node is being torn down.
            drop(self.outbox.send(claimed));
        }
    }

    /// One answer for each, or `None` where Redis gave none in time.
    async fn ask(&mut self, batch: &[Nameless]) -> Vec<Option<Answer>> {
        let deadline = Instant::now() + if self.is_given_up { Duration::ZERO } else { INSIST };
        let mut answers: Vec<Option<Answer>> = batch.iter().map(|_| None).collect();
        let mut missing: HashSet<usize> = (0..batch.len()).collect();
        while !missing.is_empty() {
            let is_passing = match self.connected().await {
                Ok(link) => {
                    let questions = missing.iter().filter_map(|place| {
                        let nameless = batch.get(*place)?;
                        let question = Question {
                            prefix: &self.settings.prefix,
                            listener: &self.listener,
                            digest: &nameless.digest,
                            proposal: nameless.proposal,
                        };
                        let asked = script::ask(link.clone(), question.command(&self.memory));
                        Some(async move { (*place, asked.await) })
                    });
                    let mut is_passing = true;
                    for (place, answered) in join_all(questions).await {
                        match answered {
                            Ok(answer) => {
                                if let Some(slot) = answers.get_mut(place) {
                                    *slot = Some(answer);
                                }
                            }
                            Err(error) => is_passing = may_pass(&error) && is_passing,
                        }
                    }
                    missing.retain(|place| answers.get(*place).is_some_and(Option::is_none));
                    is_passing
                }
                Err(error) => may_pass(&error),
            };
            if missing.is_empty() {
                break;
            }
            self.link = None;
            if !is_passing || Instant::now() >= deadline {
                self.is_given_up = true;
                return answers;
            }
            tokio::time::sleep(PAUSE).await;
        }
        self.is_given_up = false;
        answers
    }

    async fn connected(&mut self) -> Result<Link, LinkError> {
        if let Some(link) = &self.link {
            return Ok(link.clone());
        }
        let link = tokio::time::timeout(INSIST, self.settings.server.connect(PATIENCE))
            .await
            .unwrap_or(Err(LinkError::Silent))?;
        self.link = Some(link.clone());
        Ok(link)
    }
}

/// Whether it may be over in a moment.
fn may_pass(error: &LinkError) -> bool {
    tracing::debug!(
        error = error as &dyn std::error::Error,
        "could not ask whose event a worker's message is"
    );
    match error {
        LinkError::Silent => true,
        LinkError::Redis(error) => error.code().is_none_or(|code| PASSING.contains(&code)),
    }
}

/// Reads a message in its bridge's dialect.
fn decode(settings: &Settings, bridge: Bridge, bytes: &[u8]) -> Result<Published, Unreadable> {
    let published = match bridge {
        Bridge::Python => python::read(bytes, settings.python_dialect, settings.max_message_bytes),
        Bridge::Node => node::read(bytes, settings.max_message_bytes),
    }?;
    if published.rooms.len() > MAX_ROOMS || published.except.len() > MAX_ROOMS {
        return Err(Unreadable::Malformed("it names too many rooms"));
    }
    Ok(published)
}

/// Bytes on one channel are not those on another.
fn digest(channel: &str, bytes: &[u8]) -> Digest {
    let mut digest = Sha256::new();
    digest.update(channel.len().to_le_bytes());
    digest.update(channel);
    digest.update(bytes);
    digest.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_bytes_on_another_channel_are_another_message() {
        assert_ne!(digest("a", b"bc"), digest("ab", b"c"));
    }
}
