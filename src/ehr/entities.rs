//! What backends hand in, brought to the exact form that the EHR's pages expect (contract B, §3): complete, ids as text,
//! instants in UTC with milliseconds, nothing that is unset, and nothing beside it.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use super::events::Iso;
use super::token;
use crate::domain::{Timestamp, UserId};

/// A field cannot be what it is said to be. Tells the field and never its value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} {why}")]
pub(super) struct Wrong {
    field: String,
    why: Cow<'static, str>,
}

impl Wrong {
    pub(super) fn new(field: impl Into<String>, why: impl Into<Cow<'static, str>>) -> Self {
        Self {
            field: field.into(),
            why: why.into(),
        }
    }
}

#[derive(Clone, Copy)]
enum Kind {
    /// An id: a text, or a number that becomes one.
    Id,
    Text,
    Instant,
    OneOf(&'static [&'static str]),
}

type Fields = &'static [(&'static str, Kind, bool)];

/// The states of an appointment.
const STATUSES: &[&str] = &[
    "scheduled",
    "checked_in",
    "in_room",
    "with_provider",
    "completed",
    "cancelled",
    "no_show",
];

const APPOINTMENT: Fields = &[
    ("id", Kind::Id, true),
    ("patientId", Kind::Id, true),
    ("patientName", Kind::Text, false),
    ("providerId", Kind::Id, true),
    ("providerName", Kind::Text, false),
    ("locationId", Kind::Id, true),
    ("locationName", Kind::Text, false),
    ("scheduledStart", Kind::Instant, true),
    ("scheduledEnd", Kind::Instant, true),
    ("status", Kind::OneOf(STATUSES), true),
    ("appointmentTypeId", Kind::Id, true),
    ("appointmentTypeName", Kind::Text, false),
];

const MESSAGE: Fields = &[
    ("id", Kind::Id, true),
    ("threadId", Kind::Id, true),
    ("body", Kind::Text, true),
    ("sender", Kind::Id, true),
    ("senderFirstName", Kind::Text, false),
    ("senderLastName", Kind::Text, false),
    ("createdAt", Kind::Instant, true),
];

/// An appointment. One that lacks something would replace a whole one on every screen.
pub(super) fn appointment(given: &Map<String, Value>, id: Option<&str>) -> Result<Map<String, Value>, Wrong> {
    shaped("appointment", given, APPOINTMENT, &[("id", id)])
}

/// A message of a thread.
pub(super) fn message(given: &Map<String, Value>, thread: &str) -> Result<Map<String, Value>, Wrong> {
    shaped("message", given, MESSAGE, &[("threadId", Some(thread))])
}

/// The status of an appointment.
pub(super) fn status(given: &Value) -> Result<&'static str, Wrong> {
    let found = STATUSES.iter().find(|status| given.as_str() == Some(status));
    found.copied().ok_or(Wrong::new("status", "is none of an appointment"))
}

/// The fields of `form`, in its order. What the path says of some may be left out, and not be contradicted.
fn shaped(
    what: &str,
    given: &Map<String, Value>,
    form: Fields,
    of_path: &[(&str, Option<&str>)],
) -> Result<Map<String, Value>, Wrong> {
    let mut shaped = Map::new();
    for (name, kind, is_needed) in form {
        let wrong = |why| Wrong::new(format!("{what}.{name}"), why);
        let said = of_path
            .iter()
            .find(|(field, _)| field == name)
            .and_then(|(_, said)| *said);
        let value = match given.get(*name).filter(|value| !value.is_null()) {
            Some(value) => read(value, *kind).map_err(wrong)?,
            None => match said {
                Some(said) => json!(said),
                None if *is_needed => return Err(wrong("is missing")),
                None => continue,
            },
        };
        if said.is_some_and(|said| value != said) {
            return Err(wrong("is not the one that the path names"));
        }
        shaped.insert((*name).to_owned(), value);
    }
    Ok(shaped)
}

fn read(value: &Value, kind: Kind) -> Result<Value, &'static str> {
    match kind {
        Kind::Id => id(value).ok_or("must be an id"),
        Kind::Text => value.as_str().map(|text| json!(text)).ok_or("must be a text"),
        Kind::Instant => instant(value).ok_or("must be an ISO 8601 date and time with an offset"),
        Kind::OneOf(words) => match words.iter().find(|word| value.as_str() == Some(word)) {
            Some(word) => Ok(json!(word)),
            None => Err("is not a value that it can have"),
        },
    }
}

/// An id, bounded as all that stores look things up by: what the body calls a thing must be what a path can call it.
fn id(value: &Value) -> Option<Value> {
    let text = token::text(value)?;
    UserId::parse(&text).is_ok().then_some(Value::String(text))
}

/// An instant as the pages expect it.
pub(super) fn instant(value: &Value) -> Option<Value> {
    let at: Timestamp = value.as_str()?.parse().ok()?;
    Some(json!(Iso(at)))
}

/// Other people's fields, without those that are unset, at any depth.
pub(super) fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(
            fields
                .into_iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(name, value)| (name, without_nulls(value)))
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.into_iter().map(without_nulls).collect()),
        plain @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => plain,
    }
}

/// The first hundred UTF-16 units, as JavaScript's `slice(0, 100)` counts them; half a character is left out.
pub(super) fn preview(body: &str) -> String {
    const UNITS: usize = 100;
    let mut units = 0;
    let fits = |character: &char| {
        units += character.len_utf16();
        units <= UNITS
    };
    body.chars().take_while(fits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given() -> Map<String, Value> {
        let given = json!({
            "id": 7, "patientId": "P1", "patientName": null, "providerId": "D1", "locationId": "L1",
            "scheduledStart": "2026-02-15T11:30:00+01:00", "scheduledEnd": "2026-02-15T10:45:00.5Z",
            "status": "scheduled", "appointmentTypeId": "T1", "internalNote": "not for screens",
        });
        given.as_object().unwrap().clone()
    }

    #[test]
    fn an_appointment_has_the_keys_of_the_contract_and_no_others() {
        let shaped = appointment(&given(), Some("7")).unwrap();

        assert_eq!(
            Value::Object(shaped).to_string(),
            r#"{"id":"7","patientId":"P1","providerId":"D1","locationId":"L1","scheduledStart":"2026-02-15T10:30:00.000Z","scheduledEnd":"2026-02-15T10:45:00.500Z","status":"scheduled","appointmentTypeId":"T1"}"#
        );
    }

    #[test]
    fn what_is_missing_or_makes_no_sense_is_named_and_not_repeated() {
        for (field, value) in [
            ("patientId", Value::Null),
            ("id", json!("8")),
            ("providerId", json!("x".repeat(129))),
            ("locationId", json!("L\u{0}1")),
            ("status", json!("postponed")),
            ("scheduledStart", json!("tomorrow")),
            ("patientName", json!({"first": "Erika"})),
        ] {
            let mut given = given();
            given[field] = value.clone();

            let wrong = appointment(&given, Some("7")).unwrap_err().to_string();

            assert!(wrong.starts_with(&format!("appointment.{field} ")), "{wrong}");
            assert!(!wrong.contains("Erika") && !wrong.contains("postponed"), "{wrong}");
        }
    }

    #[test]
    fn a_preview_is_counted_as_javascript_counts() {
        assert_eq!(preview(&"x".repeat(150)), "x".repeat(100));
        assert_eq!(preview(&"😀".repeat(60)), "😀".repeat(50));
        assert_eq!(preview(&format!("{}😀", "x".repeat(99))), "x".repeat(99));
        assert_eq!(preview("short"), "short");
    }

    #[test]
    fn what_is_unset_is_absent_at_any_depth() {
        let given = json!({"a": null, "b": {"c": null, "d": [{"e": null}]}});

        assert_eq!(without_nulls(given), json!({"b": {"d": [{}]}}));
    }
}
