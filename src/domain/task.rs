//! Asynchronous predictions.

use serde::{Deserialize, Serialize};

use super::{HospitalId, TaskId, Timestamp, UserId};

/// How far a task has come; the words are Celery's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum TaskStatus {
    /// Accepted, not begun.
    Pending,
    /// Begun.
    Started,
    /// Done; `result` holds the answer.
    Success,
    /// Could not be done; `error` says why.
    Failure,
}

/// A prediction that was accepted and is worked on after the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Ours.
    pub id: TaskId,
    /// How far it has come.
    pub status: TaskStatus,
    /// The validated request, as JSON.
    pub request: String,
    /// Who asked; they and their hospital may ask for the result.
    pub requested_by: UserId,
    /// The hospital that the request or the requester belongs to.
    pub hospital_id: Option<HospitalId>,
    /// The answer, as JSON, once there is one.
    pub result: Option<String>,
    /// Why there is none.
    pub error: Option<String>,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}
