//! Predictions.

use utoipa::ToSchema;
use uuid::Uuid;

use super::{FreeForm, Id, Probability, Time};

/// A prediction (`risk_score`), or vital signs to be scored by NEWS2 (`vitals`); one of the two.
#[derive(ToSchema)]
#[schema(example = json!({"patient_id": "PAT-1A2B3C4D", "vitals": {"respiratory_rate": 24, "oxygen_saturation": 92, "supplemental_oxygen": true, "blood_pressure": "105/70", "heart_rate": 118, "consciousness": "A", "temperature": 38.6}}))]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct Predict {
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
pub(in crate::api) enum RiskLevel {
    Low,
    Medium,
    High,
    Critical,
}

/// A risk that was told.
#[derive(ToSchema)]
#[schema(example = json!({"patient_id": "PAT-1A2B3C4D", "risk_score": 0.87, "risk_level": "critical", "confidence": 0.9, "explanation": {"model": "v3"}, "timestamp": "2026-02-15T10:30:00.123456+00:00", "alert_id": "019c5a3e-7b1c-7c3e-8a52-6f1b2c3d4e5f"}))]
pub(in crate::api) struct RiskAssessed {
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
    /// Only while the database is gone: it is kept on the server's own disk and moves there later.
    durable: Option<Durable>,
}

/// Where something is kept that is not in the database yet.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(in crate::api) enum Durable {
    Spooled,
}

#[derive(ToSchema)]
#[schema(rename_all = "UPPERCASE")]
pub(in crate::api) enum TaskStatus {
    Pending,
    Started,
    Success,
    Failure,
}

/// A prediction that was accepted.
#[derive(ToSchema)]
pub(in crate::api) struct TaskAccepted {
    task_id: Uuid,
    status: TaskStatus,
    /// For people.
    message: String,
    /// Only while the database is gone: it is kept on the server's own disk and moves there later.
    durable: Option<Durable>,
}

/// How far a prediction has come.
#[derive(ToSchema)]
pub(in crate::api) struct TaskState {
    task_id: Uuid,
    status: TaskStatus,
    /// With `SUCCESS`.
    result: Option<RiskAssessed>,
    /// With `FAILURE`: why.
    error: Option<String>,
}
