//! `/api/staff`.

use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;

use super::Api;
use super::answer::{Answer, json};
use super::extract::{Caller, Query};
use super::fields::Fields;
use super::openapi::STAFF;
use super::posted::{Asked, Posted, Sent};
use super::schema::{self, IdempotencyKey, ReadProblems, WriteProblems};
use crate::domain::EventId;
use crate::domain::access::Action;
use crate::domain::staff::StaffMember;
use crate::service::{Availability, StaffSaved};

impl Asked for Availability {
    type Documented = schema::Availability;
    const ACTION: Action = Action::WriteStaff;

    fn read(fields: &mut Fields) -> Option<Self> {
        let (staff_id, staff_type) = (fields.optional("staff_id"), fields.optional("staff_type"));
        let hospital_id = fields.optional("hospital_id");
        let available = fields.required("available");
        Some(Self {
            staff_id,
            staff_type,
            hospital_id,
            available: available?,
        })
    }
}

/// The same, where the route says whether they are available.
pub(super) struct Coming<const AVAILABLE: bool>(Availability);

impl<const AVAILABLE: bool> Asked for Coming<AVAILABLE> {
    type Documented = schema::Coming;
    const ACTION: Action = Action::WriteStaff;
    const MAY_BE_EMPTY: bool = true;

    fn read(fields: &mut Fields) -> Option<Self> {
        let (staff_id, staff_type) = (fields.optional("staff_id"), fields.optional("staff_type"));
        let hospital_id = fields.optional("hospital_id");
        if fields.optional("available") == Some(!AVAILABLE) {
            fields.problem("available", "says the opposite of the route");
        }
        Some(Self(Availability {
            staff_id,
            staff_type,
            hospital_id,
            available: AVAILABLE,
        }))
    }
}

#[derive(Serialize)]
struct Saved<'a> {
    #[serde(flatten)]
    member: &'a StaffMember,
    event_id: EventId,
}

fn saved(StaffSaved { member, event_id }: &StaffSaved) -> Answer {
    json(
        StatusCode::OK,
        &Saved {
            member,
            event_id: *event_id,
        },
    )
}

/// Say whether somebody can be called on
///
/// What is left out comes from the token. Tells `hospital_{hospital_id}`: `staff_availability_changed`.
#[utoipa::path(
    put, path = "/api/staff/availability", operation_id = "set_availability", tag = STAFF, request_body = schema::Availability,
    responses((status = 200, description = "It is durable, and on its way", body = schema::StaffSaved), WriteProblems)
)]
pub(super) async fn set_availability(State(api): State<Api>, Sent { by, asked }: Sent<Availability>) -> Answer {
    saved(&api.services.staff.set_availability(&by, asked, None).await?)
}

/// Come on duty: the same with `available` true
#[utoipa::path(
    post, path = "/api/staff/login", operation_id = "login", tag = STAFF, params(IdempotencyKey), request_body = schema::Coming,
    responses((status = 200, description = "It is durable, and on its way", body = schema::StaffSaved), WriteProblems)
)]
pub(super) async fn login(State(api): State<Api>, posted: Posted<Coming<true>>) -> Answer {
    come_or_go(&api, posted).await
}

/// Go off duty: the same with `available` false
#[utoipa::path(
    post, path = "/api/staff/logout", operation_id = "logout", tag = STAFF, params(IdempotencyKey), request_body = schema::Coming,
    responses((status = 200, description = "It is durable, and on its way", body = schema::StaffSaved), WriteProblems)
)]
pub(super) async fn logout(State(api): State<Api>, posted: Posted<Coming<false>>) -> Answer {
    come_or_go(&api, posted).await
}

async fn come_or_go<const AVAILABLE: bool>(api: &Api, posted: Posted<Coming<AVAILABLE>>) -> Answer {
    let staff = &api.services.staff;
    let work = |by, Coming(availability): Coming<AVAILABLE>, once| async move {
        staff.set_availability(&by, availability, once).await
    };
    posted.once(api, work, saved).await
}

/// Who is available now, those longest available first
#[utoipa::path(
    get, path = "/api/staff", operation_id = "list_available", tag = STAFF, params(schema::OfHospital),
    responses((status = 200, description = "Who is available", body = Vec<schema::StaffMember>), ReadProblems)
)]
pub(super) async fn available(State(api): State<Api>, Caller(by): Caller, Query(mut fields): Query) -> Answer {
    let hospital = fields.optional("hospital_id");
    let hospital = fields.finish(Some(hospital))?;
    json(StatusCode::OK, &api.services.staff.available(&by, hospital).await?)
}
