//! Alerts and their history.

use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{FreeForm, Id, Time};

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct History {
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

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(in crate::api) enum PatientAlertType {
    Critical,
    Warning,
    Info,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(in crate::api) enum HospitalAlertType {
    Emergency,
    Capacity,
    System,
    Info,
}

/// A patient's alert.
#[derive(ToSchema)]
#[schema(example = json!({"patient_id": "PAT-1A2B3C4D", "hospital_id": "hosp_456", "alert_type": "critical", "alert_data": {"message": "SpO2 81 %", "vitals": {"oxygen_saturation": 81}}}))]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct PatientAlert {
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
pub(in crate::api) struct HospitalAlert {
    hospital_id: Id,
    alert_type: HospitalAlertType,
    /// What the panel shows; wins over one in `alert_data`.
    message: Option<String>,
    /// Spread into the payload.
    alert_data: Option<FreeForm>,
}
