//! Triage cases.

use std::collections::BTreeMap;

use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{Id, Time};

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct TriageList {
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

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(in crate::api) enum TriageStatus {
    Pending,
    Triaged,
    Assigned,
}

/// A new case. Further fields are kept with it.
#[derive(ToSchema)]
#[schema(example = json!({"patient_id": "PAT-1A2B3C4D", "hospital_id": "hosp_456", "status": "pending", "complaint": "chest pain"}))]
pub(in crate::api) struct NewTriage {
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
pub(in crate::api) struct TriageChange {
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
pub(in crate::api) struct TriageCase {
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
