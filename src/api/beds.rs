//! `/api/beds`.

use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;

use super::Api;
use super::answer::{Answer, json};
use super::error::ApiError;
use super::extract::{Caller, PathId, Query};
use super::fields::Fields;
use super::openapi::BEDS;
use super::posted::{Asked, Sent, created};
use super::schema::{self, ReadProblems, WriteProblems};
use crate::domain::access::Action;
use crate::domain::bed::Bed;
use crate::domain::{BedId, EventId};
use crate::service::{BedChange, BedSaved};

/// A change, and the id that the body may repeat.
pub(super) struct Put {
    bed_id: Option<BedId>,
    change: BedChange,
}

impl Asked for Put {
    type Documented = schema::BedChange;
    const ACTION: Action = Action::WriteBeds;

    fn read(fields: &mut Fields) -> Option<Self> {
        let bed_id = fields.optional("bed_id");
        let hospital_id = fields.optional("hospital_id");
        let status = fields.optional("status");
        let patient_id = fields.change("patient_id");
        let ward = fields.change("ward");
        let floor = fields.change("floor");
        let extra = fields.rest(&["event_id", "capacity_alerts"]);
        Some(Self {
            bed_id,
            change: BedChange {
                hospital_id,
                status,
                patient_id,
                ward,
                floor,
                extra,
            },
        })
    }
}

impl Put {
    fn of(self, id: &BedId) -> Result<BedChange, ApiError> {
        super::same_id("bed_id", self.bed_id.as_ref(), id)?;
        Ok(self.change)
    }
}

#[derive(Serialize)]
struct Saved<'a> {
    #[serde(flatten)]
    bed: &'a Bed,
    event_id: EventId,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    capacity_alerts: &'a [EventId],
}

fn saved(
    BedSaved {
        bed,
        event_id,
        is_new,
        capacity_alerts,
    }: &BedSaved,
) -> Answer {
    json(
        created(*is_new),
        &Saved {
            bed,
            event_id: *event_id,
            capacity_alerts,
        },
    )
}

/// Say how a bed is, or that there is a new one
///
/// What is left out stays; a bed that is not known yet needs `status`. Tells `hospital_{hospital_id}`: `bed_status_changed`, and
/// `hospital_alert` (`capacity`) when the hospital or the ward becomes full, or no longer is.
#[utoipa::path(
    put, path = "/api/beds/{bed_id}", operation_id = "put_bed", tag = BEDS, request_body = schema::BedChange,
    params(("bed_id" = schema::Id, Path, description = "The bed, unique inside its hospital")),
    responses(
        (status = 200, description = "It is durable, and on its way", body = schema::BedSaved),
        (status = 201, description = "The same, and the bed is new", body = schema::BedSaved),
        WriteProblems,
    )
)]
pub(super) async fn put(State(api): State<Api>, PathId(id): PathId<BedId>, Sent { by, asked }: Sent<Put>) -> Answer {
    let change = asked.of(&id)?;
    saved(&api.services.beds.put(&by, id, change).await?)
}

/// Say how a bed is
///
/// What is left out stays. Tells the same as `PUT`.
#[utoipa::path(
    patch, path = "/api/beds/{bed_id}", operation_id = "patch_bed", tag = BEDS, request_body = schema::BedChange,
    params(("bed_id" = schema::Id, Path, description = "The bed, unique inside its hospital")),
    responses(
        (status = 200, description = "It is durable, and on its way", body = schema::BedSaved),
        (status = 404, description = "There is none, or it is not for the asker", body = schema::Problem),
        WriteProblems,
    )
)]
pub(super) async fn patch(State(api): State<Api>, PathId(id): PathId<BedId>, Sent { by, asked }: Sent<Put>) -> Answer {
    let change = asked.of(&id)?;
    saved(&api.services.beds.patch(&by, id, change).await?)
}

/// A hospital's beds, by ward and id
#[utoipa::path(
    get, path = "/api/beds", operation_id = "list_beds", tag = BEDS, params(schema::OfHospital),
    responses((status = 200, description = "The beds", body = Vec<schema::Bed>), ReadProblems)
)]
pub(super) async fn list(State(api): State<Api>, Caller(by): Caller, Query(mut fields): Query) -> Answer {
    let hospital = fields.optional("hospital_id");
    let hospital = fields.finish(Some(hospital))?;
    json(StatusCode::OK, &api.services.beds.list(&by, hospital).await?)
}
