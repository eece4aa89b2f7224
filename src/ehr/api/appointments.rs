//! `/api/appointments`.

use std::sync::Arc;

use axum::extract::State;
use serde_json::{Map, Value, json};

use super::schema::{self, EHR, TellProblems};
use super::{Answer, Body, Caller, Id, PathId, Refusal, event, tell, text, wrapped};
use crate::domain::{Fact, TenantId, Timestamp, Topic};
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
    post, path = "/api/appointments", operation_id = "ehr_appointment_created", tag = EHR, params(schema::OfTenant, schema::Once),
    request_body = schema::Appointment,
    responses((status = 202, description = "It is taken", body = schema::Told), TellProblems)
)]
pub(super) async fn created(State(shared): State<Arc<Shared>>, by: Caller, Body(body): Body) -> Answer {
    let appointment = entities::appointment(wrapped(&body, "appointment"), None)?;
    told(&shared, &by, CREATED, &appointment).await
}

/// Tell that an appointment is another now
#[utoipa::path(
    patch, path = "/api/appointments/{id}", operation_id = "ehr_appointment_updated", tag = EHR, params(schema::OfTenant, schema::Once, ("id" = String, Path, description = "Its id")),
    request_body = schema::Appointment,
    responses((status = 202, description = "It is taken", body = schema::Told), TellProblems)
)]
pub(super) async fn updated(
    State(shared): State<Arc<Shared>>,
    by: Caller,
    PathId(Id(id)): PathId<Id>,
    Body(body): Body,
) -> Answer {
    let appointment = entities::appointment(wrapped(&body, "appointment"), Some(&id))?;
    told(&shared, &by, UPDATED, &appointment).await
}

/// Tell that an appointment is cancelled
#[utoipa::path(
    delete, path = "/api/appointments/{id}", operation_id = "ehr_appointment_cancelled", tag = EHR, params(schema::OfTenant, schema::Once, ("id" = String, Path, description = "Its id")),
    request_body = schema::Cancellation,
    responses((status = 202, description = "It is taken", body = schema::Told), TellProblems)
)]
pub(super) async fn cancelled(
    State(shared): State<Arc<Shared>>,
    by: Caller,
    PathId(Id(id)): PathId<Id>,
    Body(body): Body,
) -> Answer {
    let now = shared.clock.now();
    let payload = events::object(
        [("appointmentId", Some(json!(id))), ("reason", text(&body, "reason"))],
        now,
    );
    let event = event(CANCELLED, vec![rooms::tenant(&by.tenant)], payload, now);
    tell(&shared, &by, vec![event], Vec::new()).await
}

/// Tell how an appointment stands
#[utoipa::path(
    patch, path = "/api/appointments/{id}/status", operation_id = "ehr_appointment_status", tag = EHR, params(schema::OfTenant, schema::Once, ("id" = String, Path, description = "Its id")),
    request_body = schema::StatusChange,
    responses((status = 202, description = "It is taken", body = schema::Told), TellProblems)
)]
pub(super) async fn status(
    State(shared): State<Arc<Shared>>,
    by: Caller,
    PathId(Id(id)): PathId<Id>,
    Body(body): Body,
) -> Answer {
    let now = shared.clock.now();
    let tenant = || vec![rooms::tenant(&by.tenant)];
    let status = entities::status(body.get("status").unwrap_or(&Value::Null))?;
    match status {
        "checked_in" => {
            let patient = text(&body, "patientId").ok_or(Wrong::new("patientId", "is missing"))?;
            let fields = [
                ("appointmentId", Some(json!(id))),
                ("patientId", Some(patient)),
                ("patientName", text(&body, "patientName")),
            ];
            let payload = events::object(fields, now);
            let both = CHECKED_IN.map(|name| event(name, tenant(), payload.clone(), now));
            tell(&shared, &by, both.into(), Vec::new()).await
        }
        "cancelled" => {
            let payload = events::object(
                [("appointmentId", Some(json!(id))), ("reason", text(&body, "reason"))],
                now,
            );
            tell(&shared, &by, vec![event(CANCELLED, tenant(), payload, now)], Vec::new()).await
        }
        _ => {
            let mut appointment = match body.get("appointment") {
                Some(Value::Object(given)) => given.clone(),
                Some(_) | None => known(&shared, &by.tenant, &id).await?,
            };
            appointment.insert("status".to_owned(), json!(status));
            let appointment = entities::appointment(&appointment, Some(&id))?;
            told(&shared, &by, UPDATED, &appointment).await
        }
    }
}

/// The appointment as it was told last: pages replace the one they have with what arrives, so it must be whole.
async fn known(shared: &Shared, tenant: &TenantId, id: &str) -> Result<Map<String, Value>, Refusal> {
    let fact = shared.store.fact(tenant, Topic::Appointment, id).await?;
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

fn remembered(tenant: &TenantId, appointment: &Map<String, Value>, at: Timestamp) -> StateChange {
    let id = appointment.get("id").and_then(Value::as_str).unwrap_or_default();
    StateChange::Fact(Fact {
        tenant: tenant.clone(),
        topic: Topic::Appointment,
        id: id.to_owned(),
        value: Value::Object(appointment.clone()).to_string(),
        at,
    })
}
