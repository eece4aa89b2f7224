//! `/api/events`, `/api/presence` and a patient's viewers.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde_json::{Map, Value, json};

use super::clinical::NOTIFICATION;
use super::schema::{self, AskProblems, EHR, NoSense, Taken};
use super::{Answer, Body, Caller, PathId, Refusal, tell};
use crate::domain::{Event, PatientId, TenantId};
use crate::ehr::entities::{self, Wrong};
use crate::ehr::events::{self, Iso};
use crate::ehr::notifications;
use crate::ehr::rooms::{self, Place};
use crate::ehr::shared::Shared;
use crate::ehr::token;

/// What becomes a notification for everybody of the tenant.
const URGENT_ALERT: &str = "urgent_alert";
/// What a provider is notified of besides.
const PRIOR_AUTHORISATION: &str = "prior_auth:";

/// Tell a further event
#[utoipa::path(
    post, path = "/api/events", operation_id = "ehr_event", tag = EHR, params(schema::Telling),
    request_body = schema::Further,
    responses(Taken)
)]
pub(super) async fn event(State(shared): State<Arc<Shared>>, by: Caller, Body(body): Body) -> Answer {
    let name = body.get("event").and_then(Value::as_str).unwrap_or_default();
    let Some(Value::Object(entity)) = body.get("entity").cloned().map(entities::without_nulls) else {
        return Err(Wrong::new("entity", "must be an object").into());
    };
    let now = shared.clock.now();
    if name == URGENT_ALERT {
        let alert = notifications::urgent_alert(&entity).ok_or(Wrong::new("entity.message", "is missing"))?;
        let told = super::event(NOTIFICATION, vec![rooms::tenant(&by.tenant)], alert.payload(now), now);
        return tell(&shared, &by, vec![told], Vec::new()).await;
    }
    if !events::FURTHER.contains(&name) {
        return Err(Wrong::new("event", "is none that can be told this way").into());
    }
    let room = match body.get("room").filter(|room| !room.is_null()) {
        None => Place::Tenant,
        Some(room) => room
            .as_str()
            .and_then(|room| Place::parse(room, &by.tenant))
            .ok_or(Wrong::new("room", "must be user:<id>, thread:<id> or patient:<id>"))?,
    };
    let payload = events::nested("entity", &entity, now);
    let mut told = vec![super::event(name, vec![room.name(&by.tenant)], payload, now)];
    told.extend(prior_authorisation(&shared, &by.tenant, name, &entity));
    tell(&shared, &by, told, Vec::new()).await
}

/// The notification of whoever asked for an authorisation, where the entity says who that is.
fn prior_authorisation(
    shared: &Shared,
    tenant: &TenantId,
    name: &str,
    entity: &Map<String, Value>,
) -> Option<Arc<Event>> {
    let change = name
        .strip_prefix(PRIOR_AUTHORISATION)
        .filter(|change| *change != "created")?;
    let user = notifications::providers_user(entity)?;
    let id = entity.get("id").and_then(token::text)?;
    let said = entity.get("status").and_then(token::text);
    let status = said.unwrap_or_else(|| change.replace('_', " "));
    let now = shared.clock.now();
    let payload = notifications::prior_authorisation(&id, entity, &status).payload(now);
    Some(super::event(
        NOTIFICATION,
        vec![rooms::user(tenant, &user)],
        payload,
        now,
    ))
}

/// Who is there
#[utoipa::path(
    get, path = "/api/presence", operation_id = "ehr_presence", tag = EHR, params(schema::Asking),
    responses((status = 200, description = "Who", body = Vec<schema::Person>), AskProblems)
)]
pub(super) async fn presence(State(shared): State<Arc<Shared>>, by: Caller) -> Result<impl IntoResponse, Refusal> {
    let people = shared.presence.people(&by.tenant).await;
    let people: Vec<Value> = people.iter().map(events::person).collect();
    Ok((StatusCode::OK, Json(people)))
}

/// Who views a patient
#[utoipa::path(
    get, path = "/api/patients/{id}/viewers", operation_id = "ehr_viewers", tag = EHR, params(schema::Asking, schema::OfPatient),
    responses((status = 200, description = "Who", body = Vec<schema::Viewer>), AskProblems, NoSense)
)]
pub(super) async fn viewers(
    State(shared): State<Arc<Shared>>,
    by: Caller,
    PathId(patient): PathId<PatientId>,
) -> Result<impl IntoResponse, Refusal> {
    let viewers = shared.presence.viewers(&by.tenant, &patient).await;
    let viewers: Vec<Value> = viewers
        .iter()
        .map(|viewer| json!({"userId": viewer.user, "userName": viewer.name, "startedAt": Iso(viewer.started_at)}))
        .collect();
    Ok((StatusCode::OK, Json(viewers)))
}
