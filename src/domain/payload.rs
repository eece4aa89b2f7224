//! JSON that passes through unread.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A JSON object whose fields are other people's business: `alert_data`, a risk explanation, a bed's extra fields.
///
/// Fields keep their order and pass through unchanged.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FreeForm(pub Map<String, Value>);

impl FreeForm {
    /// Whether there is no field.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The object without the named fields: those that the server sets and nobody may overwrite.
    #[must_use]
    pub fn without(&self, reserved: &[&str]) -> Self {
        Self(
            self.0
                .iter()
                .filter(|(key, _)| !reserved.contains(&key.as_str()))
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect(),
        )
    }
}

/// A JSON value of any form that is other people's business: the explanation of a predicting service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FreeValue(pub Value);

impl From<FreeForm> for FreeValue {
    fn from(object: FreeForm) -> Self {
        Self(Value::Object(object.0))
    }
}

/// An event's payload: a JSON object as text, encoded once and then stored, sent and answered as it is.
#[derive(Clone, PartialEq, Eq)]
pub struct Payload(Arc<str>);

impl Payload {
    /// Encodes `object`, which must serialize as a JSON object.
    ///
    /// # Errors
    /// If `object` cannot be JSON (a map with keys that are not strings, for example).
    pub fn encode<T: Serialize>(object: &T) -> Result<Self, serde_json::Error> {
        serde_json::to_string(object).map(|json| Self(json.into()))
    }

    /// Takes JSON text that was encoded before, as the store gives it back.
    pub fn from_json(json: impl Into<Arc<str>>) -> Self {
        Self(json.into())
    }

    /// The JSON text.
    pub fn as_json(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Payload {
    /// Says how long it is: payloads carry clinical data and never belong in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({} bytes)", self.0.len())
    }
}
