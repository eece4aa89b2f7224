//! `/api/triage`.

use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;

use super::Api;
use super::answer::{Answer, json};
use super::error::ApiError;
use super::extract::{Caller, PathId, Query};
use super::fields::Fields;
use super::openapi::TRIAGE;
use super::posted::{Asked, Posted, Sent, created};
use super::schema::{self, IdempotencyKey, ReadProblems, WriteProblems};
use crate::domain::access::Action;
use crate::domain::triage::TriageCase;
use crate::domain::{EventId, TriageId};
use crate::service::{NewTriage, TriageChange, TriageRequest, TriageSaved};

/// The most cases that one answer lists.
const MAX_LIMIT: usize = 1_000;

impl Asked for NewTriage {
    type Documented = schema::NewTriage;
    const ACTION: Action = Action::WriteTriage;

    fn read(fields: &mut Fields) -> Option<Self> {
        let triage_id = fields.optional("triage_id");
        // It must be said, and may be `null`: somebody whom nobody knows yet waits too.
        let patient_id = fields.required_or_null("patient_id");
        let hospital_id = fields.optional("hospital_id");
        let status = fields.required("status");
        let extra = fields.rest(&["event_id"]);
        Some(Self {
            triage_id,
            patient_id: patient_id?,
            hospital_id,
            status: status?,
            extra,
        })
    }
}

/// A change, and the id that the body may repeat.
pub(super) struct Put {
    triage_id: Option<TriageId>,
    change: TriageChange,
}

impl Asked for Put {
    type Documented = schema::TriageChange;
    const ACTION: Action = Action::WriteTriage;

    fn read(fields: &mut Fields) -> Option<Self> {
        let triage_id = fields.optional("triage_id");
        let patient_id = fields.change("patient_id");
        let hospital_id = fields.optional("hospital_id");
        let status = fields.optional("status");
        let extra = fields.rest(&["event_id"]);
        Some(Self {
            triage_id,
            change: TriageChange {
                patient_id,
                hospital_id,
                status,
                extra,
            },
        })
    }
}

impl Put {
    fn of(self, id: &TriageId) -> Result<TriageChange, ApiError> {
        super::same_id("triage_id", self.triage_id.as_ref(), id)?;
        Ok(self.change)
    }
}

#[derive(Serialize)]
struct Saved<'a> {
    #[serde(flatten)]
    case: &'a TriageCase,
    event_id: EventId,
}

fn saved(TriageSaved { case, event_id, is_new }: &TriageSaved) -> Answer {
    json(
        created(*is_new),
        &Saved {
            case,
            event_id: *event_id,
        },
    )
}

/// Open a triage case
///
/// Tells `triage_{triage_id}`, `patient_{patient_id}` and `triage_queue`: `triage_updated`, and the hospital: `hospital_alert`.
#[utoipa::path(
    post, path = "/api/triage", operation_id = "open_case", tag = TRIAGE, params(IdempotencyKey), request_body = schema::NewTriage,
    responses(
        (status = 201, description = "It is durable, and on its way", body = schema::TriageCase),
        (status = 409, description = "There is a case with this id", body = schema::Problem),
        WriteProblems,
    )
)]
pub(super) async fn open(State(api): State<Api>, posted: Posted<NewTriage>) -> Answer {
    let triage = &api.services.triage;
    posted
        .once(
            &api,
            |by, case, once| async move { triage.open(&by, case, once).await },
            saved,
        )
        .await
}

/// Move a triage case on, or open it under this id
///
/// What is left out stays; a case that is not there yet needs `status` and `patient_id`.
#[utoipa::path(
    put, path = "/api/triage/{triage_id}", operation_id = "put_case", tag = TRIAGE, request_body = schema::TriageChange,
    params(("triage_id" = schema::Id, Path, description = "The case")),
    responses(
        (status = 200, description = "It is durable, and on its way", body = schema::TriageCase),
        (status = 201, description = "The same, and the case is new", body = schema::TriageCase),
        WriteProblems,
    )
)]
pub(super) async fn put(State(api): State<Api>, PathId(id): PathId<TriageId>, Sent { by, asked }: Sent<Put>) -> Answer {
    let change = asked.of(&id)?;
    saved(&api.services.triage.put(&by, id, change).await?)
}

/// Move a triage case on
///
/// What is left out stays.
#[utoipa::path(
    patch, path = "/api/triage/{triage_id}", operation_id = "patch_case", tag = TRIAGE, request_body = schema::TriageChange,
    params(("triage_id" = schema::Id, Path, description = "The case")),
    responses(
        (status = 200, description = "It is durable, and on its way", body = schema::TriageCase),
        (status = 404, description = "There is none, or it is not for the asker", body = schema::Problem),
        WriteProblems,
    )
)]
pub(super) async fn patch(
    State(api): State<Api>,
    PathId(id): PathId<TriageId>,
    Sent { by, asked }: Sent<Put>,
) -> Answer {
    let change = asked.of(&id)?;
    saved(&api.services.triage.patch(&by, id, change).await?)
}

/// Triage cases, the one that waits longest first
#[utoipa::path(
    get, path = "/api/triage", operation_id = "list_cases", tag = TRIAGE, params(schema::TriageList),
    responses((status = 200, description = "The cases that the asker may see", body = Vec<schema::TriageCase>), ReadProblems)
)]
pub(super) async fn list(State(api): State<Api>, Caller(by): Caller, Query(mut fields): Query) -> Answer {
    let request = TriageRequest {
        hospital_id: fields.optional("hospital_id"),
        patient_id: fields.optional("patient_id"),
        status: fields.optional("status"),
        limit: fields.limit("limit", MAX_LIMIT, MAX_LIMIT),
    };
    let request = fields.finish(Some(request))?;
    json(StatusCode::OK, &api.services.triage.list(&by, request).await?)
}

/// A triage case
#[utoipa::path(
    get, path = "/api/triage/{triage_id}", operation_id = "read_case", tag = TRIAGE, params(("triage_id" = schema::Id, Path, description = "The case")),
    responses(
        (status = 200, description = "The case", body = schema::TriageCase),
        (status = 404, description = "There is none, or it is not for the asker", body = schema::Problem),
        ReadProblems,
    )
)]
pub(super) async fn case(State(api): State<Api>, Caller(by): Caller, PathId(id): PathId<TriageId>) -> Answer {
    json(StatusCode::OK, &api.services.triage.case(&by, &id).await?)
}
