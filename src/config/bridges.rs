//! `[bridges]`

use serde::Deserialize;

use super::layers::Layers;
use super::problem::Findings;
use super::redis::Redis;
use super::section::{Checks, Section};

/// What is heard of what workers publish on Redis.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bridges {
    /// Whether anything is.
    pub enabled: bool,
    /// Channels of python-socketio.
    pub python: Vec<String>,
    /// How its lists are read.
    pub python_dialect: PythonDialect,
    /// Keys of `@socket.io/redis-emitter`.
    pub node: Vec<String>,
    /// Whether what is no event of ours is passed on.
    pub allow_unknown: bool,
    /// The largest message, as it comes and unpacked.
    pub max_message_bytes: usize,
}

/// How a list in `data` is read where the message does not say what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PythonDialect {
    /// By the form of the message.
    Auto,
    /// As the arguments.
    Arguments,
    /// As one argument.
    Raw,
}

/// More channels than any hospital's workers have.
const MAX_CHANNELS: usize = 64;
/// The longest channel.
const MAX_CHANNEL: usize = 256;

impl Section for Bridges {
    fn validate(&self) -> Vec<(&'static str, String)> {
        let are_channels = |channels: &[String]| {
            channels.len() <= MAX_CHANNELS
                && channels
                    .iter()
                    .all(|channel| (1..=MAX_CHANNEL).contains(&channel.len()) && !channel.contains(char::is_control))
        };
        let message =
            format!("must be up to {MAX_CHANNELS} names of 1 to {MAX_CHANNEL} bytes without control characters");
        // One connection would be handed such a message twice, once in each dialect.
        let is_shared = self.node.iter().any(|key| {
            self.python
                .iter()
                .any(|channel| channel.starts_with(&format!("{key}#/#")))
        });
        Checks::default()
            .require("python", are_channels(&self.python), message.as_str())
            .require("python", !is_shared, "must be no channel of an emitter in bridges.node")
            .require("node", are_channels(&self.node), message.as_str())
            // It ends the key in the names of channels.
            .require(
                "node",
                !self.node.iter().any(|key| key.contains('#')),
                "must not contain #",
            )
            .require(
                "node",
                !(self.enabled && self.python.is_empty() && self.node.is_empty()),
                "must name something, or bridges.python must, or bridges.enabled be false",
            )
            .require(
                "max_message_bytes",
                (1_024..=16 << 20).contains(&self.max_message_bytes),
                "must be between 1024 and 16777216",
            )
            .done()
    }
}

impl Bridges {
    /// Workers are heard on Redis: there must be one.
    pub(super) fn check_redis(&self, redis: &Redis, layers: &Layers, findings: &mut Findings) {
        if self.enabled && redis.url.is_none() {
            let message = "needs redis.url (REDIS_URL): the Redis that the workers publish on";
            findings.problem("bridges.enabled", layers.source_of("bridges", "enabled"), message);
        }
    }
}
