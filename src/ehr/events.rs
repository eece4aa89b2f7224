//! Contract B's events to clients, §3: their names and the exact form of their payloads.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;

use super::presence::{Somebody, Status, Viewer};
use crate::domain::{EventName, Payload, Timestamp, UserId};
use crate::ports::Published;

pub(super) const USER_ONLINE: &str = "user:online";
pub(super) const USER_OFFLINE: &str = "user:offline";
pub(super) const USER_STATUS: &str = "user:status";
pub(super) const PATIENT_VIEWING: &str = "patient:viewing";
pub(super) const MESSAGE_TYPING: &str = "message:typing";
pub(super) const UNREAD_COUNT: &str = "message:unread-count";

/// An event's name.
pub(super) fn name(name: &str) -> EventName {
    EventName::from(name.to_owned())
}

/// What a backend may have told to a tenant by the generic route: `{entity, timestamp}`.
pub(super) const FURTHER: [&str; 24] = [
    "patient:updated",
    "encounter:created",
    "encounter:updated",
    "encounter:completed",
    "encounter:signed",
    "biopsy:created",
    "biopsy:updated",
    "biopsy:result_received",
    "biopsy:reviewed",
    "prescription:created",
    "prescription:sent",
    "prescription:status_changed",
    "claim:created",
    "claim:updated",
    "claim:status_changed",
    "claim:submitted",
    "claim:denied",
    "claim:paid",
    "payment:received",
    "payment:posted",
    "prior_auth:created",
    "prior_auth:status_changed",
    "prior_auth:approved",
    "prior_auth:denied",
];

/// An instant as JavaScript's `toISOString` writes it: `2026-02-15T10:30:00.123Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Iso(pub(super) Timestamp);

impl fmt::Display for Iso {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = i128::from(self.0.as_micros()) * 1_000;
        let at = OffsetDateTime::from_unix_timestamp_nanos(nanos).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
            at.year(),
            u8::from(at.month()),
            at.day(),
            at.hour(),
            at.minute(),
            at.second(),
            at.millisecond()
        )
    }
}

impl Serialize for Iso {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// `{<key>: entity, timestamp}`
pub(super) fn nested(key: &str, entity: &Map<String, Value>, now: Timestamp) -> Payload {
    object([(key, Some(Value::Object(entity.clone())))], now)
}

/// The fields that have a value, then `timestamp`.
pub(super) fn object<'a>(fields: impl IntoIterator<Item = (&'a str, Option<Value>)>, now: Timestamp) -> Payload {
    let mut all = Map::new();
    for (key, value) in fields {
        if let Some(value) = value {
            all.insert(key.to_owned(), value);
        }
    }
    all.insert("timestamp".to_owned(), json!(Iso(now)));
    Payload::from_json(Value::Object(all).to_string())
}

/// `user:online`, `user:offline`, `user:status`
pub(super) fn somebody(of: &Somebody) -> Payload {
    Payload::from_json(person(of).to_string())
}

/// `{userId, userName, status, lastSeen}`
pub(super) fn person(of: &Somebody) -> Value {
    let status = match of.status {
        Status::Online => "online",
        Status::Away => "away",
        Status::Offline => "offline",
    };
    json!({"userId": of.user, "userName": of.name, "status": status, "lastSeen": Iso(of.last_seen)})
}

/// `patient:viewing`
pub(super) fn viewing(of: &Viewer, is_viewing: bool, now: Timestamp) -> Payload {
    let fields = [
        ("userId", Some(json!(of.user))),
        ("userName", Some(json!(of.name))),
        ("patientId", Some(json!(of.patient))),
        ("isViewing", Some(json!(is_viewing))),
        ("startedAt", is_viewing.then(|| json!(Iso(of.started_at)))),
    ];
    object(fields, now)
}

/// `message:typing`, which has no timestamp.
pub(super) fn typing(thread: &str, user: &UserId, user_name: &str, is_typing: bool) -> Payload {
    let payload = json!({"threadId": thread, "userId": user, "userName": user_name, "isTyping": is_typing});
    Payload::from_json(payload.to_string())
}

/// `message:unread-count`
pub(super) fn unread(count: u64, now: Timestamp) -> Payload {
    object([("unreadCount", Some(json!(count)))], now)
}

/// A payload as an argument.
pub(super) fn raw(payload: &Payload) -> Option<Box<RawValue>> {
    RawValue::from_string(payload.as_json().to_owned()).ok()
}

/// What one node has another tell its sockets.
#[derive(Serialize, Deserialize)]
struct Said {
    #[serde(rename = "e")]
    event: String,
    #[serde(rename = "a")]
    arguments: Vec<Box<RawValue>>,
    #[serde(rename = "r")]
    rooms: Vec<String>,
}

/// For other nodes, whose sockets are none of those that are excepted.
pub(super) fn write_said(published: &Published) -> Option<String> {
    let said = Said {
        event: published.event.clone(),
        arguments: published.arguments.clone(),
        rooms: published.rooms.clone(),
    };
    serde_json::to_string(&said).ok()
}

/// What another node has written; never for everybody.
pub(super) fn read_said(text: &str) -> Option<Published> {
    let Said {
        event,
        arguments,
        rooms,
    } = serde_json::from_str(text).ok()?;
    (!rooms.is_empty()).then_some(Published {
        event,
        arguments,
        rooms,
        except: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_written_as_javascript_does() {
        assert_eq!(
            Iso(Timestamp::from_micros(1_771_151_400_123_456)).to_string(),
            "2026-02-15T10:30:00.123Z"
        );
    }

    #[test]
    fn what_has_no_value_is_absent() {
        let payload = object([("a", None), ("b", Some(json!(1)))], Timestamp::from_micros(0));

        assert_eq!(payload.as_json(), r#"{"b":1,"timestamp":"1970-01-01T00:00:00.000Z"}"#);
    }
}
