//! The fields of a request, taken out one by one: what is wrong with each is noted, and all of it is answered together.
//!
//! It refuses to know what the fields mean; the resources say which they take, and types say what they can be.

use std::ops::RangeInclusive;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value};

use super::error::{ApiError, Details};
use super::values::FieldValue;
use crate::domain::FreeForm;
use crate::service::Change;

/// A JSON object whose fields are taken out one by one.
#[derive(Debug, Default)]
pub(super) struct Fields {
    left: Map<String, Value>,
    problems: Details,
}

impl Fields {
    /// Reads a body.
    ///
    /// # Errors
    /// 400 if it is no JSON, or nested deeper than 128; 422 if it is something else than an object. A field that is there
    /// twice is noted like any other problem.
    pub(super) fn from_body(body: &[u8]) -> Result<Self, ApiError> {
        let mut reader = serde_json::Deserializer::from_slice(body);
        let top = Top::deserialize(&mut reader)
            .and_then(|top| reader.end().map(|()| top))
            .map_err(unreadable)?;
        match top {
            Top::Object { fields, twice } => {
                let mut problems = Details::default();
                for field in twice {
                    problems.add(field, "is there twice");
                }
                Ok(Self { left: fields, problems })
            }
            Top::Other => Err(ApiError::unprocessable(
                "the body must be a JSON object",
                Details::default(),
            )),
        }
    }

    /// Reads the parameters of a query string.
    ///
    /// # Errors
    /// 400 if it cannot be decoded.
    pub(super) fn from_query(uri: &axum::http::Uri) -> Result<Self, ApiError> {
        let axum::extract::Query(pairs) = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(uri)
            .map_err(|_rejected| ApiError::malformed("the query string cannot be decoded"))?;
        let mut fields = Self::default();
        for (name, value) in pairs {
            if fields.left.contains_key(&name) {
                fields.problems.add(name, "is there twice");
            } else {
                fields.left.insert(name, Value::String(value));
            }
        }
        Ok(fields)
    }

    /// Takes a field that must be there.
    pub(super) fn required<T: FieldValue>(&mut self, name: &'static str) -> Option<T> {
        if let Some(value) = self.left.shift_remove(name) {
            self.read(name, value)
        } else {
            self.problems.add(name, "is required");
            None
        }
    }

    /// Takes a field that may be left out; `null` is the same as leaving it out.
    pub(super) fn optional<T: FieldValue>(&mut self, name: &'static str) -> Option<T> {
        match self.left.shift_remove(name) {
            None | Some(Value::Null) => None,
            Some(value) => self.read(name, value),
        }
    }

    /// Takes a field that must be there and may be `null`.
    #[expect(
        clippy::option_option,
        reason = "outside: whether it can be gone on with; inside: the field's own `null`"
    )]
    pub(super) fn required_or_null<T: FieldValue>(&mut self, name: &'static str) -> Option<Option<T>> {
        if self.left.get(name).is_some_and(Value::is_null) {
            self.left.shift_remove(name);
            return Some(None);
        }
        self.required(name).map(Some)
    }

    /// Takes a query parameter that is a whole number in `range`.
    pub(super) fn number(&mut self, name: &'static str, range: RangeInclusive<u64>) -> Option<u64> {
        let text: String = self.optional(name)?;
        let number = text.parse().ok().filter(|number| range.contains(number));
        if number.is_none() {
            self.problem(
                name,
                format!("must be a whole number from {} to {}", range.start(), range.end()),
            );
        }
        number
    }

    /// Takes a query parameter that says how many are wanted.
    pub(super) fn limit(&mut self, name: &'static str, default: usize, most: usize) -> usize {
        let limit = self.number(name, 1..=most.try_into().unwrap_or(u64::MAX));
        limit.map_or(default, |limit| limit.try_into().unwrap_or(most))
    }

    /// Whether a field is there, and not `null`.
    pub(super) fn has(&self, name: &str) -> bool {
        self.left.get(name).is_some_and(|value| !value.is_null())
    }

    /// Takes a field that may be left out or cleared.
    pub(super) fn change<T: FieldValue>(&mut self, name: &'static str) -> Change<T> {
        match self.left.shift_remove(name) {
            None => Change::Keep,
            Some(Value::Null) => Change::Clear,
            Some(value) => self.read(name, value).map_or(Change::Keep, Change::Set),
        }
    }

    /// Notes a problem that a single type cannot see.
    pub(super) fn problem(&mut self, name: impl Into<String>, why: impl Into<std::borrow::Cow<'static, str>>) {
        self.problems.add(name, why);
    }

    /// Takes all fields that nobody asked for: the request is free-form. `answered` are those that our answers add to what
    /// is kept: whoever sends an answer back does not mean to keep them.
    pub(super) fn rest(&mut self, answered: &[&str]) -> FreeForm {
        for name in answered {
            self.left.shift_remove(*name);
        }
        FreeForm(std::mem::take(&mut self.left))
    }

    /// Ends the reading: `value` if nothing was wrong.
    ///
    /// # Errors
    /// 422 with every problem; fields that nobody asked for are problems too.
    pub(super) fn finish<T>(mut self, value: Option<T>) -> Result<T, ApiError> {
        for (name, _) in std::mem::take(&mut self.left) {
            self.problems.add(name, "is not a field of this request");
        }
        match value {
            Some(value) if self.problems.is_empty() => Ok(value),
            Some(_) | None => Err(ApiError::invalid(self.problems)),
        }
    }

    fn read<T: FieldValue>(&mut self, name: &'static str, value: Value) -> Option<T> {
        T::from_value(value).map_err(|why| self.problems.add(name, why)).ok()
    }
}

fn unreadable(error: serde_json::Error) -> ApiError {
    // serde_json's own text may quote the body; where it stopped is all that a caller needs.
    ApiError::malformed(format!(
        "the body is not JSON: line {}, column {}",
        error.line(),
        error.column()
    ))
}

/// A JSON value, looked at no further than whether it is an object and has a field twice.
enum Top {
    Object {
        fields: Map<String, Value>,
        twice: Vec<String>,
    },
    Other,
}

impl<'de> Deserialize<'de> for Top {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TopVisitor;

        impl<'de> Visitor<'de> for TopVisitor {
            type Value = Top;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a JSON value")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Top, A::Error> {
                let (mut fields, mut twice) = (Map::new(), Vec::new());
                while let Some((name, value)) = access.next_entry::<String, Value>()? {
                    if fields.contains_key(&name) {
                        twice.push(name);
                    } else {
                        fields.insert(name, value);
                    }
                }
                Ok(Top::Object { fields, twice })
            }

            fn visit_bool<E>(self, _: bool) -> Result<Top, E> {
                Ok(Top::Other)
            }
            fn visit_i64<E>(self, _: i64) -> Result<Top, E> {
                Ok(Top::Other)
            }
            fn visit_u64<E>(self, _: u64) -> Result<Top, E> {
                Ok(Top::Other)
            }
            fn visit_f64<E>(self, _: f64) -> Result<Top, E> {
                Ok(Top::Other)
            }
            fn visit_str<E>(self, _: &str) -> Result<Top, E> {
                Ok(Top::Other)
            }
            fn visit_unit<E>(self) -> Result<Top, E> {
                Ok(Top::Other)
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut access: A) -> Result<Top, A::Error> {
                while access.next_element::<serde::de::IgnoredAny>()?.is_some() {}
                Ok(Top::Other)
            }
        }

        deserializer.deserialize_any(TopVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{BedId, PatientId, Timestamp, WardName};

    #[derive(Debug, PartialEq)]
    struct Reading {
        patient_id: PatientId,
        available: Option<bool>,
    }

    fn read(body: &str) -> Result<Reading, ApiError> {
        let mut fields = Fields::from_body(body.as_bytes())?;
        let patient_id = fields.required("patient_id");
        let available = fields.optional("available");
        fields.finish(patient_id.map(|patient_id| Reading { patient_id, available }))
    }

    fn refusal(body: &str) -> (u16, String) {
        read(body).unwrap_err().shown()
    }

    #[test]
    fn fields_are_read_and_null_is_the_same_as_left_out() {
        let reading = read(r#"{"patient_id": "P1", "available": null}"#).unwrap();

        assert_eq!(
            reading,
            Reading {
                patient_id: PatientId::parse("P1").unwrap(),
                available: None
            }
        );
    }

    #[test]
    fn everything_that_is_wrong_is_answered_at_once() {
        let (status, body) = refusal(r#"{"patient_id": "a b", "available": 1, "avialable": true}"#);

        assert_eq!(status, 422);
        insta::assert_snapshot!(body, @r#"{"error":"some fields are not valid","status_code":422,"details":{"patient_id":["must be 1 to 128 characters of A-Z a-z 0-9 _ - . :"],"available":["must be true or false"],"avialable":["is not a field of this request"]}}"#);
    }

    #[test]
    fn a_field_that_is_there_twice_is_refused_by_name() {
        let (status, body) = refusal(r#"{"patient_id": "P1", "patient_id": "P2"}"#);

        assert_eq!(status, 422);
        assert!(body.contains(r#""patient_id":["is there twice"]"#), "{body}");
    }

    #[test]
    fn what_is_no_json_is_malformed_and_the_body_is_not_quoted() {
        let too_deep = "[".repeat(100_000);
        for body in [
            "",
            "{",
            "nope",
            r#"{"patient_id": "P1"} x"#,
            "{\"secret\": \u{1}}",
            r#"{"patient_id": "\ud800"}"#,
            &too_deep,
        ] {
            let (status, answer) = refusal(body);

            assert_eq!(status, 400, "{answer}");
            assert!(!answer.contains("secret"), "{answer}");
        }
    }

    #[test]
    fn json_that_is_no_object_is_a_wrong_value() {
        for body in ["[]", "[1,{}]", "1", "-1", "1.5", "null", "true", "\"text\""] {
            assert_eq!(refusal(body).0, 422, "{body}");
        }
    }

    #[test]
    fn a_change_tells_leaving_out_from_taking_away() {
        let mut fields = Fields::from_body(br#"{"ward": null, "patient_id": "P1"}"#).unwrap();

        assert_eq!(fields.change::<WardName>("ward"), Change::Clear);
        assert_eq!(fields.change::<BedId>("bed_id"), Change::Keep);
        assert_eq!(
            fields.change("patient_id"),
            Change::Set(PatientId::parse("P1").unwrap())
        );
        assert!(fields.finish(Some(())).is_ok());
    }

    #[test]
    fn a_hostile_body_gets_a_bounded_answer() {
        let fields: Vec<String> = (0..10_000).map(|n| format!("\"field{n}\":0")).collect();

        let (status, body) = refusal(&format!("{{{}}}", fields.join(",")));

        assert_eq!(status, 422);
        assert!(body.len() < 8_192, "{} bytes", body.len());
    }

    #[test]
    fn query_parameters_are_decoded() {
        let uri = "/x?since=2026-02-15T10%3A30%3A00%2B00%3A00&patient_id=P1"
            .parse()
            .unwrap();
        let mut fields = Fields::from_query(&uri).unwrap();

        assert_eq!(fields.required::<PatientId>("patient_id"), PatientId::parse("P1").ok());
        assert_eq!(
            fields.required::<Timestamp>("since"),
            "2026-02-15T10:30:00Z".parse().ok()
        );
    }
}
