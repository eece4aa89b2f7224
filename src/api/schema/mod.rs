//! What bodies, parameters and answers look like, for the OpenAPI document alone.
//!
//! The domain's and the services' types stay free of documentation frameworks; these stand in for them. Tests hold each
//! request to the fields that are really read, and each answer to those that are really written.

#![expect(clippy::struct_field_names, reason = "the names are the wire's")]
#![expect(
    dead_code,
    reason = "nothing here is ever built: it describes what other types read and write"
)]

mod alerts;
mod beds;
mod risk;
mod staff;
mod triage;

use std::collections::BTreeMap;

use utoipa::{IntoParams, IntoResponses, ToSchema};

pub(super) use alerts::*;
pub(super) use beds::*;
pub(super) use risk::*;
pub(super) use staff::*;
pub(super) use triage::*;

/// What is wrong.
#[derive(ToSchema)]
#[schema(as = Error, example = json!({"error": "some fields are not valid", "status_code": 422, "details": {"patient_id": ["is required"]}}))]
pub(super) struct Problem {
    /// What is wrong, in words.
    error: String,
    /// The answer's status.
    status_code: u16,
    /// What is wrong with which field.
    details: Option<BTreeMap<String, Vec<String>>>,
}

/// An identifier of another system.
#[derive(ToSchema)]
#[schema(
    min_length = 1,
    max_length = 128,
    pattern = "^[A-Za-z0-9_.:-]{1,128}$",
    example = "PAT-1A2B3C4D"
)]
pub(super) struct Id(String);

/// An instant. Written in UTC with microseconds; read with any offset.
#[derive(ToSchema)]
#[schema(format = DateTime, example = "2026-02-15T10:30:00.123456+00:00")]
pub(super) struct Time(String);

/// 0 to 1.
#[derive(ToSchema)]
#[schema(minimum = 0, maximum = 1, example = 0.87)]
pub(super) struct Probability(f64);

/// Any JSON object; passes through unread, its fields in order.
#[derive(ToSchema)]
#[schema(value_type = Object)]
pub(super) struct FreeForm(BTreeMap<String, String>);

/// Refusals that every reading route knows.
#[derive(IntoResponses)]
pub(super) enum ReadProblems {
    #[response(status = 400, description = "The path or the query cannot be read")]
    Malformed(Problem),
    #[response(status = 401, description = "No token, or a bad one", headers(("WWW-Authenticate" = String)))]
    Unauthenticated(Problem),
    #[response(status = 403, description = "Not for this role, or not of the asker's hospital")]
    Forbidden(Problem),
    #[response(status = 422, description = "A wrong value; `details` names it")]
    Invalid(Problem),
    #[response(status = 429, description = "Too many requests of this caller", headers(("Retry-After" = u64)))]
    TooMany(Problem),
    #[response(
        status = 500,
        description = "A fault of the server; the log has it under the answer's `X-Request-Id`"
    )]
    Internal(Problem),
    #[response(status = 503, description = "The store is unavailable; ask again", headers(("Retry-After" = u64)))]
    Unavailable(Problem),
}

/// Refusals that every writing route knows.
#[derive(IntoResponses)]
pub(super) enum WriteProblems {
    #[response(status = 400, description = "The body is not JSON")]
    Malformed(Problem),
    #[response(status = 401, description = "No token, or a bad one", headers(("WWW-Authenticate" = String)))]
    Unauthenticated(Problem),
    #[response(status = 403, description = "Not for this role, or not of the asker's hospital")]
    Forbidden(Problem),
    #[response(status = 408, description = "The body took too long to arrive")]
    TooSlow(Problem),
    #[response(status = 413, description = "The body is too large")]
    TooLarge(Problem),
    #[response(status = 415, description = "The body is not declared as `application/json`")]
    NotJson(Problem),
    #[response(
        status = 422,
        description = "A wrong value, or an `Idempotency-Key` that was used with another body; `details` names it"
    )]
    Invalid(Problem),
    #[response(status = 429, description = "Too many requests of this caller", headers(("Retry-After" = u64)))]
    TooMany(Problem),
    #[response(
        status = 500,
        description = "A fault of the server; the log has it under the answer's `X-Request-Id`"
    )]
    Internal(Problem),
    #[response(status = 503, description = "It could not be made durable and nothing was promised; send it again", headers(("Retry-After" = u64)))]
    Unavailable(Problem),
}

/// Makes repetitions harmless.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub(super) struct IdempotencyKey {
    /// 1 to 255 visible ASCII characters. For 24 hours a repetition with the same body gets the same answer, with
    /// `Idempotency-Replayed: true`, and has no effect; with another body it is refused.
    #[param(
        rename = "Idempotency-Key",
        min_length = 1,
        max_length = 255,
        example = "9f1c6d1e-vitals-1042"
    )]
    key: Option<String>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct OfHospital {
    /// Which hospital; the asker's own where it is left out.
    hospital_id: Option<Id>,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::{Map, Value, json};

    use super::super::{beds, posted, posted::Asked, staff, triage};
    use crate::service;

    /// Reads bodies of `T` and holds what it says of them to what is documented of it.
    fn reads_as_documented<T: Asked>() {
        let documented = serde_json::to_value(<T::Documented as utoipa::PartialSchema>::schema()).unwrap();
        let properties = documented["properties"].as_object().unwrap();
        let required: BTreeSet<&str> = documented["required"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();

        // Whoever sends nothing is told of every required field, and of no other.
        let missing = details::<T>(&json!({}));
        let missing: BTreeSet<&str> = missing
            .iter()
            .filter(|(_, why)| **why == json!(["is required"]))
            .map(|(name, _)| name.as_str())
            .collect();
        assert_eq!(missing, required);

        // Every documented field is really read: as something that no field can be, it is refused for what it is.
        let impossible: Map<String, Value> = properties.keys().map(|name| (name.clone(), json!([[]]))).collect();
        let refused = details::<T>(&impossible.into());
        for name in properties.keys().filter(|name| *name != "explanation") {
            let why = refused
                .get(name)
                .unwrap_or_else(|| panic!("{name} is documented and not read"));
            assert_ne!(*why, json!(["is not a field of this request"]), "{name}");
        }

        // Other fields are refused, unless the documentation says that they are kept.
        let other = details::<T>(&json!({"no such field": 1}));
        let is_free_form = documented["additionalProperties"] != json!(false);
        assert_eq!(other.contains_key("no such field"), !is_free_form);
    }

    fn details<T: Asked>(body: &Value) -> Map<String, Value> {
        match posted::read::<T>(body.to_string().as_bytes()) {
            Ok(_) => Map::new(),
            Err(refused) => {
                let body: Value = serde_json::from_str(&refused.shown().1).unwrap();
                body["details"].as_object().unwrap().clone()
            }
        }
    }

    #[test]
    fn what_is_documented_of_a_body_is_what_is_read() {
        reads_as_documented::<service::PatientAlert>();
        reads_as_documented::<service::HospitalAlert>();
        reads_as_documented::<service::NewTriage>();
        reads_as_documented::<triage::Put>();
        reads_as_documented::<service::Availability>();
        reads_as_documented::<staff::Coming<true>>();
        reads_as_documented::<staff::Coming<false>>();
        reads_as_documented::<beds::Put>();
    }

    #[test]
    fn a_prediction_is_read_as_documented_but_needs_one_of_score_and_vitals() {
        let needs = details::<service::Predict>(&json!({}));

        assert_eq!(needs.keys().collect::<Vec<_>>(), ["patient_id", "risk_score"]);
    }
}
