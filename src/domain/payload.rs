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

    /// The fields of `object`, which must serialize as a JSON object.
    ///
    /// # Errors
    /// If it does not.
    pub fn of<T: Serialize>(object: &T) -> Result<Self, serde_json::Error> {
        serde_json::from_value(serde_json::to_value(object)?)
    }

    /// A field's value, if it is there and not `null`.
    pub fn field(&self, name: &str) -> Option<impl Serialize + '_> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// Takes over the fields of `changes`; a `null` takes the field of that name away (RFC 7396, on the top level).
    pub fn merge(&mut self, changes: Self) {
        for (name, value) in changes.0 {
            if value.is_null() {
                self.0.shift_remove(&name);
            } else {
                self.0.insert(name, value);
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn form(json: &str) -> FreeForm {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn merging_replaces_adds_and_takes_away() {
        let mut kept = form(r#"{"a":1,"b":{"x":1},"c":3}"#);

        kept.merge(form(r#"{"d":4,"b":{"y":2},"a":null,"e":null}"#));

        assert_eq!(serde_json::to_string(&kept).unwrap(), r#"{"b":{"y":2},"c":3,"d":4}"#);
    }

    #[test]
    fn a_null_field_is_not_there() {
        let data = form(r#"{"a":null,"b":false}"#);

        assert!(data.field("a").is_none());
        assert!(data.field("b").is_some());
        assert!(data.field("c").is_none());
    }

    #[test]
    fn a_payload_does_not_show_itself_in_logs() {
        let payload = Payload::encode(&form(r#"{"name":"Erika"}"#)).unwrap();

        assert_eq!(format!("{payload:?}"), "Payload(16 bytes)");
    }
}
