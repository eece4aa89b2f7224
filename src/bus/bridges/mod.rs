//! What Python and Node workers publish on Redis reaches our clients: unchanged workers, events like any other.
//!
//! ```text
//! listener ─► claims ─► outbox
//! subscribes  reads, asks Redis  raises what is this node's to raise,
//!             which event it is  and makes sure of the rest
//! ```
//!
//! Redis hands a publication to every node and gives it no name. So each node asks Redis which event the bytes that it has heard
//! are (`claims`), by one script: whoever asks first gives the event its id. One node at a time, the *speaker*, raises events at
//! once, which keeps them in order; everybody else waits a second and then sees to it that the store has each. So an event is
//! raised once, and the death of a node loses nothing that another has heard. Where Redis cannot be asked, twice is preferred
//! to never.
//!
//! Everything that a stranger can publish is bounded: a message's size, depth and rooms, what is kept of all messages together
//! (`MAX_WAITING_BYTES`), the lines in the log. It refuses to know what an event means: [`Raise`] does.

mod claims;
mod heard;
mod json;
mod listener;
mod msgpack;
mod node;
mod outbox;
mod pickle;
mod python;
mod script;
mod tally;
mod unanswered;

use std::sync::Arc;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use self::claims::{Claims, Heard};
use self::listener::Listener;
use self::outbox::Outbox;
use self::tally::Tally;
use super::redis::Server;
use crate::clock::Clock;
use crate::ports::Raise;
use crate::telemetry::Metrics;

pub use self::python::Dialect;

/// Bytes of messages that may wait on this node, in all. More than that waits only if messages come faster than they can be
/// stored; then the subscription is given up and begun anew, as Redis itself does to subscribers that fall behind.
const MAX_WAITING_BYTES: usize = 64 << 20;
/// What a message counts at least: it costs more than its bytes.
const LEAST_BYTES: usize = 1 << 10;
/// Rooms that one message may name.
const MAX_ROOMS: usize = 1_000;

/// Whom to listen to.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which Redis.
    pub server: Server,
    /// What every key of ours begins with.
    pub prefix: String,
    /// Channels of python-socketio's Redis managers.
    pub python: Vec<String>,
    /// How their lists are read.
    pub python_dialect: Dialect,
    /// The `key` of each `@socket.io/redis-emitter`.
    pub node: Vec<String>,
    /// The largest message, as it comes and unpacked.
    pub max_message_bytes: usize,
}

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Bridge {
    Python,
    Node,
}

impl Bridge {
    const fn name(self) -> &'static str {
        match self {
            Self::Python => "python",
            Self::Node => "node",
        }
    }
}

/// The bridges, not yet listening.
pub struct Bridges {
    listener: Listener,
    heard: UnboundedReceiver<Heard>,
    claims: Claims,
    outbox: Outbox,
}

impl Bridges {
    /// What is heard is raised by `raise`.
    pub fn new(settings: Settings, raise: Arc<dyn Raise>, clock: Arc<dyn Clock>, metrics: Metrics) -> Self {
        let settings = Arc::new(settings);
        let tally = Arc::new(Tally::new(metrics.clone()));
        // Neither is bounded by itself: whatever is in them has its share of what may wait.
        let (hear, heard) = mpsc::unbounded_channel();
        let (claim, claimed) = mpsc::unbounded_channel();
        Self {
            listener: Listener {
                settings: Arc::clone(&settings),
                room: Arc::new(Semaphore::new(MAX_WAITING_BYTES)),
                hear,
                tally: Arc::clone(&tally),
                metrics,
            },
            heard,
            claims: Claims::new(settings, Arc::clone(&raise), clock, Arc::clone(&tally), claim),
            outbox: Outbox { raise, tally, claimed },
        }
    }

    /// Listens until `stop`, and returns when everything that was heard before is raised.
    pub async fn run(self, stop: CancellationToken) {
        let Self {
            listener,
            heard,
            claims,
            outbox,
        } = self;
        tokio::join!(listener.run(stop.clone()), claims.run(heard), outbox.run(stop));
    }
}
