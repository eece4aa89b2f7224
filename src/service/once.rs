//! Committing what a use case decided; once, where the request has an `Idempotency-Key`.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Core, WriteError};
use crate::emitter::{Durability, Emitted};
use crate::ports::{Append, Once};

/// The `Idempotency-Key` of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnceKey {
    /// Who asked and for what: keys of different callers or routes never meet.
    pub scope: String,
    /// The key as it was sent.
    pub key: String,
    /// SHA-256 of the request's body.
    pub fingerprint: [u8; 32],
}

/// What was answered, and whether it happened now.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Settled<T> {
    /// It is committed and on its way.
    Now(T),
    /// It was asked before under the same key: this is the answer of then, and nothing happened now.
    Before(T),
}

impl<T> Settled<T> {
    pub(super) fn into_outcome(self) -> T {
        match self {
            Self::Now(outcome) | Self::Before(outcome) => outcome,
        }
    }
}

/// What a use case answers. Those that can be kept without the store say so.
pub(super) trait Outcome: Serialize + DeserializeOwned {
    /// Notes that it is kept on this node's own disk until the store is back.
    fn note_spooled(&mut self) {}
}

impl Outcome for () {}

/// Where an outcome is kept, if not in the store: `"durable": "spooled"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durable {
    /// On a node's own disk; it moves into the store when that is back.
    Spooled,
}

impl Core {
    /// Commits the append and answers `outcome`, or what was answered to the same request before.
    ///
    /// # Errors
    /// [`WriteError::Contended`] where the state that the append was decided on has changed: decide again.
    pub(super) async fn commit<T: Outcome>(
        &self,
        append: Append,
        once: Option<&OnceKey>,
        mut outcome: T,
    ) -> Result<Settled<T>, WriteError> {
        let once = match once {
            None => None,
            Some(OnceKey {
                scope,
                key,
                fingerprint,
            }) => Some(Once {
                scope: scope.clone(),
                key: key.clone(),
                fingerprint: *fingerprint,
                outcome: serde_json::to_string(&outcome)?,
                at: self.clock.now(),
            }),
        };
        match self.emitter.emit(Append { once, ..append }).await? {
            Emitted::Now(Durability::Committed) => Ok(Settled::Now(outcome)),
            Emitted::Now(Durability::Spooled) => {
                outcome.note_spooled();
                Ok(Settled::Now(outcome))
            }
            Emitted::Before(json) => Ok(Settled::Before(serde_json::from_str(&json)?)),
        }
    }
}
