//! Triage cases.

use serde::{Deserialize, Serialize};

use super::{FreeForm, HospitalId, PatientId, Timestamp, TriageId};

/// How far a case has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TriageStatus {
    /// Waiting to be seen.
    Pending,
    /// Seen, urgency known.
    Triaged,
    /// Somebody has taken it.
    Assigned,
}

/// A patient's way through triage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TriageCase {
    /// The backend's id, or ours (a UUIDv7) where it gave none.
    pub triage_id: TriageId,
    /// Who is waiting.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patient_id: Option<PatientId>,
    /// Where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hospital_id: Option<HospitalId>,
    /// How far the case has come.
    pub status: TriageStatus,
    /// Whatever else the backend keeps with it.
    #[serde(flatten)]
    pub extra: FreeForm,
    /// When it was opened.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}
