//! `/api/appointments`.

use std::sync::Arc;

use axum::extract::State;
use serde_json::{Map, Value, json};

use super::schema::{self, EHR, Taken};
use super::{Answer, Body, Caller, Id, PathId, Refusal, event, tell, text, wrapped};
use crate::domain::{Event, Fact, TenantId, Timestamp, Topic};
use crate::ehr::entities::{self, Wrong};
use crate::ehr::shared::Shared;
use crate::ehr::{events, rooms};
use crate::ports::StateChange;

const CREATED: &str = "appointment:created";
const UPDATED: &str = "appointment:updated";
const CANCELLED: &str = "appointment:cancelled";
/// Two names for one thing: their listeners are different ones.
const CHECKED_IN: [&str; 2] = ["patient:checkin", "appointment:checkedin"];

/// Tell that an appointment was made
#[utoipa::path(
    post, path = "/api/appointments", operation_id = "ehr_appointment_created", tag = EHR, params(schema::Telling),
    request_body = schema::Appointment,
    responses(Taken)
)]
pub(super) async fn created(State(shared): State<Arc<Shared>>, by: Caller, Body(body): Body) -> Answer {
    let appointment = entities::appointment(wrapped(&body, "appointment"), None)?;
    let _turn = shared.turn(&by.tenant, Topic::Appointment, id_of(&appointment)).await;
    told(&shared, &by, CREATED, &appointment).await
}

/// Tell that an appointment is another now
#[utoipa::path(
    patch, path = "/api/appointments/{id}", operation_id = "ehr_appointment_updated", tag = EHR, params(schema::Telling, schema::OfThing),
    request_body = schema::Appointment,
    responses(Taken)
)]
pub(super) async fn updated(
    State(shared): State<Arc<Shared>>,
    by: Caller,
    PathId(Id(id)): PathId<Id>,
    Body(body): Body,
) -> Answer {
    let appointment = entities::appointment(wrapped(&body, "appointment"), Some(&id))?;
    let _turn = shared.turn(&by.tenant, Topic::Appointment, &id).await;
    told(&shared, &by, UPDATED, &appointment).await
}

/// Tell that an appointment is cancelled
#[utoipa::path(
    delete, path = "/api/appointments/{id}", operation_id = "ehr_appointment_cancelled", tag = EHR, params(schema::Telling, schema::OfThing),
    request_body = Option<schema::Cancellation>,
    responses(Taken)
)]
pub(super) async fn cancelled(
    State(shared): State<Arc<Shared>>,
    by: Caller,
    PathId(Id(id)): PathId<Id>,
    Body(body): Body,
) -> Answer {
    let now = shared.clock.now();
    tell(&shared, &by, vec![cancellation(&by, &id, &body, now)], Vec::new()).await
}

fn cancellation(by: &Caller, id: &str, body: &Map<String, Value>, now: Timestamp) -> Arc<Event> {
    let fields = [("appointmentId", Some(json!(id))), ("reason", text(body, "reason"))];
    let payload = events::object(fields, now);
    event(CANCELLED, vec![rooms::tenant(&by.tenant)], payload, now)
}

/// Tell how an appointment stands
#[utoipa::path(
    patch, path = "/api/appointments/{id}/status", operation_id = "ehr_appointment_status", tag = EHR, params(schema::Telling, schema::OfThing),
    request_body = schema::StatusChange,
    responses(Taken)
)]
pub(super) async fn status(
    State(shared): State<Arc<Shared>>,
    by: Caller,
    PathId(Id(id)): PathId<Id>,
    Body(body): Body,
) -> Answer {
    let now = shared.clock.now();
    let status = entities::status(body.get("status").unwrap_or(&Value::Null))?;
    let standing = |mut appointment: Map<String, Value>| {
        appointment.insert("status".to_owned(), json!(status));
        entities::appointment(&appointment, Some(&id))
    };
    let given = match body.get("appointment") {
        Some(Value::Object(given)) => Some(standing(given.clone())?),
        Some(_) | None => None,
    };
    let _turn = shared.turn(&by.tenant, Topic::Appointment, &id).await;
    // What comes next may leave the appointment out, whatever this was told for.
    let kept = || given.iter().map(|given| remembered(&by.tenant, given, now)).collect();
    match status {
        "checked_in" => {
            let patient = text(&body, "patientId").ok_or(Wrong::new("patientId", "is missing"))?;
            let fields = [
                ("appointmentId", Some(json!(id))),
                ("patientId", Some(patient)),
                ("patientName", text(&body, "patientName")),
            ];
            let payload = events::object(fields, now);
            let both = CHECKED_IN.map(|name| event(name, vec![rooms::tenant(&by.tenant)], payload.clone(), now));
            tell(&shared, &by, both.into(), kept()).await
        }
        "cancelled" => tell(&shared, &by, vec![cancellation(&by, &id, &body, now)], kept()).await,
        _ => {
            let appointment = match given {
                Some(given) => given,
                None => standing(known(&shared, &by.tenant, &id).await?)?,
            };
            told(&shared, &by, UPDATED, &appointment).await
        }
    }
}

/// The appointment as it was told last: pages replace the one they have with what arrives, so it must be whole.
async fn known(shared: &Shared, tenant: &TenantId, id: &str) -> Result<Map<String, Value>, Refusal> {
    let fact = shared.fact(tenant, Topic::Appointment, id).await?;
    let known = fact.and_then(|fact| serde_json::from_str(&fact.value).ok());
    let missing = Wrong::new("appointment", "is missing, and this server was not told of it before");
    known.ok_or(Refusal::Wrong(missing))
}

async fn told(shared: &Shared, by: &Caller, name: &str, appointment: &Map<String, Value>) -> Answer {
    let now = shared.clock.now();
    let payload = events::nested("appointment", appointment, now);
    let event = event(name, vec![rooms::tenant(&by.tenant)], payload, now);
    tell(shared, by, vec![event], vec![remembered(&by.tenant, appointment, now)]).await
}

fn id_of(appointment: &Map<String, Value>) -> &str {
    appointment.get("id").and_then(Value::as_str).unwrap_or_default()
}

fn remembered(tenant: &TenantId, appointment: &Map<String, Value>, at: Timestamp) -> StateChange {
    StateChange::Fact(Fact {
        tenant: tenant.clone(),
        topic: Topic::Appointment,
        id: id_of(appointment).to_owned(),
        value: Value::Object(appointment.clone()).to_string(),
        at,
    })
}
