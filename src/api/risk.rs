//! `/api/risk` and `/api/task-status`.

use axum::extract::State;
use axum::http::StatusCode;

use super::Api;
use super::answer::{Answer, json};
use super::extract::{Caller, PathId};
use super::fields::Fields;
use super::openapi::RISK;
use super::posted::{Asked, Posted};
use super::schema::{self, IdempotencyKey, ReadProblems, WriteProblems};
use crate::domain::access::Action;
use crate::domain::{FreeForm, TaskId};
use crate::service::{Assessment, Predict, RiskAssessed, TaskAccepted};

impl Asked for Predict {
    type Documented = schema::Predict;
    const ACTION: Action = Action::Predict;
    /// Only its score tells how urgent it is, and that is what is being asked.
    const IS_RATE_LIMITED: bool = false;

    fn read(fields: &mut Fields) -> Option<Self> {
        let patient_id = fields.required("patient_id");
        let hospital_id = fields.optional("hospital_id");
        let assessment = assessment(fields);
        Some(Self {
            patient_id: patient_id?,
            hospital_id,
            assessment: assessment?,
        })
    }
}

/// Either a score that somebody predicted, or vital signs to be scored here.
fn assessment(fields: &mut Fields) -> Option<Assessment> {
    let has_vitals = fields.has("vitals");
    let has_score = fields.has("risk_score");
    let vitals = fields.optional::<FreeForm>("vitals");
    let risk_score = fields.optional("risk_score");
    let risk_level = fields.optional("risk_level");
    let explanation = fields.optional("explanation");
    let confidence = fields.optional("confidence");
    match (has_score, has_vitals) {
        (true, false) => Some(Assessment::Predicted {
            risk_score: risk_score?,
            risk_level,
            explanation,
            confidence,
        }),
        (false, true) => {
            let is_told = [risk_level.is_some(), explanation.is_some(), confidence.is_some()];
            for (field, is_told) in ["risk_level", "explanation", "confidence"].into_iter().zip(is_told) {
                if is_told {
                    fields.problem(field, "cannot be given with vitals: it is found from them");
                }
            }
            vitals.map(Assessment::Vitals)
        }
        (true, true) => {
            fields.problem("vitals", "cannot be given with risk_score: give one of the two");
            None
        }
        (false, false) => {
            fields.problem("risk_score", "is required, or vitals to be scored");
            None
        }
    }
}

/// Tell a patient's risk
///
/// From a service that has predicted (`risk_score`), or from vital signs to be scored here by NEWS2 (`vitals`). Tells
/// `patient_{patient_id}`: `risk_updated`, and `patient_alert` where the level asks for it.
#[utoipa::path(
    post, path = "/api/risk/predict", operation_id = "predict", tag = RISK, params(IdempotencyKey), request_body = schema::Predict,
    responses((status = 200, description = "It is durable, and on its way", body = schema::RiskAssessed), WriteProblems)
)]
pub(super) async fn predict(State(api): State<Api>, posted: Posted<Predict>) -> Answer {
    let risk = &api.services.risk;
    let answer = |assessed: &RiskAssessed| json(StatusCode::OK, assessed);
    posted
        .once(
            &api,
            |by, request, once| async move { risk.predict(&by, request, once).await },
            answer,
        )
        .await
}

/// The same, later
///
/// Everything that can be said against it is said at once; the work and its events follow, restarts included.
#[utoipa::path(
    post, path = "/api/risk/predict-async", operation_id = "predict_later", tag = RISK, params(IdempotencyKey), request_body = schema::Predict,
    responses((status = 202, description = "It is durable, and will be worked on", body = schema::TaskAccepted), WriteProblems)
)]
pub(super) async fn predict_async(State(api): State<Api>, posted: Posted<Predict>) -> Answer {
    let predictions = &api.services.predictions;
    let answer = |accepted: &TaskAccepted| json(StatusCode::ACCEPTED, accepted);
    posted
        .once(
            &api,
            |by, request, once| async move { predictions.accept(&by, request, once).await },
            answer,
        )
        .await
}

/// How far a prediction has come
#[utoipa::path(
    get, path = "/api/task-status/{task_id}", operation_id = "read_task", tag = RISK, params(("task_id" = uuid::Uuid, Path, description = "The task")),
    responses(
        (status = 200, description = "How far it has come", body = schema::TaskState),
        (status = 404, description = "There is none, or it is not for the asker", body = schema::Problem),
        ReadProblems,
    )
)]
pub(super) async fn task_status(State(api): State<Api>, Caller(by): Caller, PathId(id): PathId<TaskId>) -> Answer {
    json(StatusCode::OK, &api.services.predictions.state(&by, id).await?)
}
