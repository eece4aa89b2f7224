//! What bodies, parameters and answers look like, for the OpenAPI document alone.
//!
//! The domain's and the services' types stay free of documentation frameworks; these stand in for them. Tests hold each
//! request to the fields that are really read, and each answer to those that are really written.

#![expect(clippy::struct_field_names, reason = "the names are the wire's")]
#![expect(
    dead_code,
    reason = "nothing here is ever built: it describes what other types read and write"
)]

use std::collections::BTreeMap;

use utoipa::{IntoParams, IntoResponses, ToSchema};
use uuid::Uuid;

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

// ---------------------------------------------------------------- refusals

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

// ---------------------------------------------------------------- parameters

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
pub(super) struct History {
    /// Of this patient.
    patient_id: Option<Id>,
    /// Of this hospital: its own and its patients'.
    hospital_id: Option<Id>,
    /// Raised not before.
    since: Option<Time>,
    /// Raised before.
    until: Option<Time>,
    /// Of this type.
    #[param(example = "critical")]
    alert_type: Option<String>,
    /// At most this many.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u64>,
    /// From the `Link` of the page before.
    #[param(minimum = 1)]
    cursor: Option<u64>,
    /// Published after this event (its `event_id`): what a client that knows its last event has missed.
    /// 422 where that event is no longer kept: then read the history without it.
    after: Option<Uuid>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct TriageList {
    /// Of this hospital.
    hospital_id: Option<Id>,
    /// Of this patient.
    patient_id: Option<Id>,
    /// In this state.
    #[param(inline)]
    status: Option<TriageStatus>,
    /// At most this many.
    #[param(minimum = 1, maximum = 1000, default = 1000)]
    limit: Option<u64>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct OfHospital {
    /// Which hospital; the asker's own where it is left out.
    hospital_id: Option<Id>,
}

// ---------------------------------------------------------------- alerts

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(super) enum PatientAlertType {
    Critical,
    Warning,
    Info,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(super) enum HospitalAlertType {
    Emergency,
    Capacity,
    System,
    Info,
}

/// A patient's alert.
#[derive(ToSchema)]
#[schema(example = json!({"patient_id": "PAT-1A2B3C4D", "hospital_id": "hosp_456", "alert_type": "critical", "alert_data": {"message": "SpO2 81 %", "vitals": {"oxygen_saturation": 81}}}))]
#[serde(deny_unknown_fields)]
pub(super) struct PatientAlert {
    patient_id: Id,
    /// The hospital that the patient belongs to from now on.
    hospital_id: Option<Id>,
    alert_type: PatientAlertType,
    /// Spread into the payload; cannot overwrite what the server sets, `timestamp` excepted.
    alert_data: FreeForm,
}

/// A hospital's alert.
#[derive(ToSchema)]
#[schema(example = json!({"hospital_id": "hosp_456", "alert_type": "emergency", "message": "Mass casualty incident, all hands"}))]
#[serde(deny_unknown_fields)]
pub(super) struct HospitalAlert {
    hospital_id: Id,
    alert_type: HospitalAlertType,
    /// What the panel shows; wins over one in `alert_data`.
    message: Option<String>,
    /// Spread into the payload.
    alert_data: Option<FreeForm>,
}

// ---------------------------------------------------------------- risk

/// A prediction (`risk_score`), or vital signs to be scored by NEWS2 (`vitals`); one of the two.
#[derive(ToSchema)]
#[schema(example = json!({"patient_id": "PAT-1A2B3C4D", "vitals": {"respiratory_rate": 24, "oxygen_saturation": 92, "supplemental_oxygen": true, "blood_pressure": "105/70", "heart_rate": 118, "consciousness": "A", "temperature": 38.6}}))]
#[serde(deny_unknown_fields)]
pub(super) struct Predict {
    patient_id: Id,
    /// The hospital that the patient belongs to from now on.
    hospital_id: Option<Id>,
    risk_score: Option<Probability>,
    /// `low`, `medium` (or `moderate`), `high`, `critical`, upper or lower case; by the thresholds where it is left out.
    #[schema(example = "high")]
    risk_level: Option<String>,
    /// Passed on unread.
    #[schema(value_type = Option<Object>)]
    explanation: Option<FreeForm>,
    confidence: Option<Probability>,
    /// `respiratory_rate`, `oxygen_saturation`, `oxygen_saturation_scale` (1 or 2), `supplemental_oxygen`, `systolic_bp` or
    /// `blood_pressure`, `heart_rate`, `consciousness` (A, C, V, P, U), `temperature` (°C), `age`, `pregnant`.
    vitals: Option<FreeForm>,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(super) enum RiskLevel {
    Low,
    Medium,
    High,
    Critical,
}

/// A risk that was told.
#[derive(ToSchema)]
#[schema(example = json!({"patient_id": "PAT-1A2B3C4D", "risk_score": 0.87, "risk_level": "critical", "confidence": 0.9, "explanation": {"model": "v3"}, "timestamp": "2026-02-15T10:30:00.123456+00:00", "alert_id": "019c5a3e-7b1c-7c3e-8a52-6f1b2c3d4e5f"}))]
pub(super) struct RiskAssessed {
    patient_id: Id,
    risk_score: Probability,
    risk_level: RiskLevel,
    /// `null` where nobody said, and for NEWS2, which has no such notion.
    #[schema(required)]
    confidence: Option<Probability>,
    /// What the predicting service said, or NEWS2's aggregate, points and response band.
    #[schema(value_type = Object)]
    explanation: FreeForm,
    timestamp: Time,
    /// The alert that followed, if one did.
    alert_id: Option<Uuid>,
    /// The alert that followed was over the limit: nobody was told of it.
    suppressed: Option<bool>,
}

#[derive(ToSchema)]
#[schema(rename_all = "UPPERCASE")]
pub(super) enum TaskStatus {
    Pending,
    Started,
    Success,
    Failure,
}

/// A prediction that was accepted.
#[derive(ToSchema)]
pub(super) struct TaskAccepted {
    task_id: Uuid,
    status: TaskStatus,
    /// For people.
    message: String,
}

/// How far a prediction has come.
#[derive(ToSchema)]
pub(super) struct TaskState {
    task_id: Uuid,
    status: TaskStatus,
    /// With `SUCCESS`.
    result: Option<RiskAssessed>,
    /// With `FAILURE`: why.
    error: Option<String>,
}

// ---------------------------------------------------------------- triage

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(super) enum TriageStatus {
    Pending,
    Triaged,
    Assigned,
}

/// A new case. Further fields are kept with it.
#[derive(ToSchema)]
#[schema(example = json!({"patient_id": "PAT-1A2B3C4D", "hospital_id": "hosp_456", "status": "pending", "complaint": "chest pain"}))]
pub(super) struct NewTriage {
    /// A new UUIDv7 where it is left out.
    triage_id: Option<Id>,
    /// `null` for somebody whom nobody knows yet.
    #[schema(required, nullable)]
    patient_id: Option<Id>,
    /// The patient's or the asker's where it is left out.
    hospital_id: Option<Id>,
    status: TriageStatus,
    /// Whatever else is kept with it.
    #[serde(flatten)]
    extra: BTreeMap<String, serde_json::Value>,
}

/// What changes of a case; what is left out stays. Further fields are kept with it, `null` takes one away.
#[derive(ToSchema)]
#[schema(example = json!({"status": "triaged", "priority": 2}))]
pub(super) struct TriageChange {
    /// The path's, if it is repeated here.
    triage_id: Option<Id>,
    /// `null` takes it away.
    #[schema(nullable)]
    patient_id: Option<Id>,
    hospital_id: Option<Id>,
    status: Option<TriageStatus>,
    /// Whatever else is kept with it.
    #[serde(flatten)]
    extra: BTreeMap<String, serde_json::Value>,
}

/// A case, with whatever else is kept with it.
#[derive(ToSchema)]
#[schema(example = json!({"triage_id": "TRI-7", "patient_id": "PAT-1A2B3C4D", "hospital_id": "hosp_456", "status": "triaged", "priority": 2, "created_at": "2026-02-15T10:30:00.123456+00:00", "updated_at": "2026-02-15T10:35:00.000000+00:00"}))]
pub(super) struct TriageCase {
    triage_id: Id,
    patient_id: Option<Id>,
    hospital_id: Option<Id>,
    status: TriageStatus,
    created_at: Time,
    updated_at: Time,
    /// In answers to a change: the `triage_updated` that told it.
    event_id: Option<Uuid>,
    /// Whatever else is kept with it.
    #[serde(flatten)]
    extra: BTreeMap<String, serde_json::Value>,
}

// ---------------------------------------------------------------- staff

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(super) enum StaffType {
    Doctor,
    Nurse,
}

/// Whether somebody can be called on. What is left out comes from the token.
#[derive(ToSchema)]
#[schema(example = json!({"staff_id": "DOC-9", "staff_type": "doctor", "hospital_id": "hosp_456", "available": true}))]
#[serde(deny_unknown_fields)]
pub(super) struct Availability {
    staff_id: Option<Id>,
    staff_type: Option<StaffType>,
    hospital_id: Option<Id>,
    available: bool,
}

/// Who comes or goes. What is left out comes from the token; all of it may be.
#[derive(ToSchema)]
#[schema(example = json!({"staff_id": "DOC-9", "staff_type": "doctor", "hospital_id": "hosp_456"}))]
#[serde(deny_unknown_fields)]
pub(super) struct Coming {
    staff_id: Option<Id>,
    staff_type: Option<StaffType>,
    hospital_id: Option<Id>,
    /// If it is there, `true` for a login and `false` for a logout.
    available: Option<bool>,
}

/// A member of staff.
#[derive(ToSchema)]
pub(super) struct StaffMember {
    hospital_id: Id,
    staff_id: Id,
    staff_type: StaffType,
    available: bool,
    /// Since when.
    updated_at: Time,
}

/// A member of staff, as they are now.
#[derive(ToSchema)]
pub(super) struct StaffSaved {
    hospital_id: Id,
    staff_id: Id,
    staff_type: StaffType,
    available: bool,
    /// Since when.
    updated_at: Time,
    /// The `staff_availability_changed` that told it.
    event_id: Uuid,
}

// ---------------------------------------------------------------- beds

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(super) enum BedStatus {
    Available,
    Occupied,
    Reserved,
    Cleaning,
    Maintenance,
}

/// `3` or `"3A"`.
#[derive(ToSchema)]
#[serde(untagged)]
pub(super) enum Floor {
    Number(i64),
    Name(String),
}

/// What changes of a bed; what is left out stays. Further fields are kept with it, `null` takes one away.
#[derive(ToSchema)]
#[schema(example = json!({"hospital_id": "hosp_456", "status": "occupied", "patient_id": "PAT-1A2B3C4D", "ward": "ICU", "floor": 3}))]
pub(super) struct BedChange {
    /// The path's, if it is repeated here.
    bed_id: Option<Id>,
    /// The asker's, or the only one with such a bed, where it is left out.
    hospital_id: Option<Id>,
    status: Option<BedStatus>,
    /// Left out, a bed that is no longer occupied or reserved loses its patient; `null` takes it away in any case.
    #[schema(nullable)]
    patient_id: Option<Id>,
    /// 1 to 128 characters; `null` takes it away.
    #[schema(nullable, min_length = 1, max_length = 128)]
    ward: Option<String>,
    /// `null` takes it away.
    #[schema(nullable)]
    floor: Option<Floor>,
    /// Whatever else is kept with it.
    #[serde(flatten)]
    extra: BTreeMap<String, serde_json::Value>,
}

/// A bed, with whatever else is kept with it.
#[derive(ToSchema)]
pub(super) struct Bed {
    bed_id: Id,
    hospital_id: Id,
    status: BedStatus,
    patient_id: Option<Id>,
    ward: Option<String>,
    floor: Option<Floor>,
    updated_at: Time,
    /// Whatever else is kept with it.
    #[serde(flatten)]
    extra: BTreeMap<String, serde_json::Value>,
}

/// A bed as it is now.
#[derive(ToSchema)]
pub(super) struct BedSaved {
    bed_id: Id,
    hospital_id: Id,
    status: BedStatus,
    patient_id: Option<Id>,
    ward: Option<String>,
    floor: Option<Floor>,
    updated_at: Time,
    /// The `bed_status_changed` that told it.
    event_id: Uuid,
    /// The `capacity` alerts that followed, if any.
    capacity_alerts: Option<Vec<Uuid>>,
    /// Whatever else is kept with it.
    #[serde(flatten)]
    extra: BTreeMap<String, serde_json::Value>,
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
