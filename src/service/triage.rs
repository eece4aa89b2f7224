//! Triage cases: opened, moved on, listed.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Change, Core, OnceKey, ReadError, WriteError};
use crate::domain::access::Identity;
use crate::domain::triage::{TriageCase, TriageStatus};
use crate::domain::{EventId, FreeForm, HospitalId, PatientId, TriageId};

/// `POST /api/triage`.
#[derive(Clone, Debug, PartialEq)]
pub struct NewTriage {
    /// The backend's id; a UUIDv7 of ours where it gave none.
    pub triage_id: Option<TriageId>,
    /// Who is waiting; `None` for somebody whom nobody knows yet (`null` in the request).
    pub patient_id: Option<PatientId>,
    /// Where: the patient's hospital or the asker's where it is left out.
    pub hospital_id: Option<HospitalId>,
    /// How far the case has come.
    pub status: TriageStatus,
    /// Whatever else the backend keeps with it.
    pub extra: FreeForm,
}

/// `PUT` and `PATCH /api/triage/{triage_id}`: what is left out stays.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TriageChange {
    /// Who is waiting.
    pub patient_id: Change<PatientId>,
    /// Where.
    pub hospital_id: Option<HospitalId>,
    /// How far the case has come.
    pub status: Option<TriageStatus>,
    /// Whatever else the backend keeps with it, field by field; `null` takes a field away.
    pub extra: FreeForm,
}

/// `GET /api/triage`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TriageRequest {
    /// Of this hospital.
    pub hospital_id: Option<HospitalId>,
    /// Of this patient.
    pub patient_id: Option<PatientId>,
    /// In this state.
    pub status: Option<TriageStatus>,
    /// At most this many.
    pub limit: usize,
}

/// A triage case was kept and told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TriageSaved {
    /// The case as it is now.
    pub case: TriageCase,
    /// The id of the `triage_updated` that told it.
    pub event_id: EventId,
    /// Whether it was opened by this request.
    pub is_new: bool,
}

/// Triage cases.
#[derive(Clone)]
pub struct Triage(pub(super) Arc<Core>);

impl Triage {
    /// Opens a case; its hospital is told too.
    ///
    /// # Errors
    /// [`WriteError::AlreadyExists`] where there is a case of that id.
    pub async fn open(&self, by: &Identity, case: NewTriage, once: Option<OnceKey>) -> Result<TriageSaved, WriteError> {
        drop((by, case, once));
        Err(WriteError::Busy)
    }

    /// Moves a case on, or opens it under this id (`PUT`): then `status` and `patient_id` must be there.
    pub async fn put(&self, by: &Identity, id: TriageId, change: TriageChange) -> Result<TriageSaved, WriteError> {
        drop((by, id, change));
        Err(WriteError::Busy)
    }

    /// Moves a case on (`PATCH`); one that is not there is not found.
    pub async fn patch(&self, by: &Identity, id: TriageId, change: TriageChange) -> Result<TriageSaved, WriteError> {
        drop((by, id, change));
        Err(WriteError::Busy)
    }

    /// One case. A case that they may not see is not found.
    pub async fn case(&self, by: &Identity, id: &TriageId) -> Result<TriageCase, ReadError> {
        drop((by, id));
        Err(ReadError::NotFound)
    }

    /// Cases, the one that waits longest first, as far as they may be seen.
    pub async fn list(&self, by: &Identity, request: TriageRequest) -> Result<Vec<TriageCase>, ReadError> {
        drop((by, request));
        Err(ReadError::NotFound)
    }
}
