//! `/api/tasks`, `/api/lab-results`, `/api/orders`, `/api/patients`: who is notified, and what a patient's viewers see.

use std::sync::Arc;

use axum::extract::State;
use serde_json::{Map, Value, json};

use super::schema::{self, EHR, Taken};
use super::{Answer, Body, Caller, Id, PathId, event, id_in, tell, wrapped};
use crate::domain::{Event, Fact, PatientId, TenantId, Topic, UserId};
use crate::ehr::notifications::{self, Notification, Priority};
use crate::ehr::shared::Shared;
use crate::ehr::{entities, events, rooms, token};
use crate::ports::StateChange;

pub(super) const NOTIFICATION: &str = "notification:new";

fn to_user(shared: &Shared, tenant: &TenantId, user: &UserId, notification: Notification) -> Arc<Event> {
    let now = shared.clock.now();
    let payload = notification.payload(now);
    event(NOTIFICATION, vec![rooms::user(tenant, user)], payload, now)
}

/// Whether something is otherwise than it was said to be before. What nobody has said before is news, and so is what nobody
/// can be asked about: rather twice than never.
async fn is_news(shared: &Shared, tenant: &TenantId, topic: Topic, id: &str, value: &str) -> bool {
    match shared.fact(tenant, topic, id).await {
        Ok(before) => before.is_none_or(|before| before.value != value),
        Err(error) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "it is not known what the EHR said before; notifying"
            );
            true
        }
    }
}

fn said(shared: &Shared, tenant: &TenantId, topic: Topic, id: &str, value: &str) -> StateChange {
    StateChange::Fact(Fact {
        tenant: tenant.clone(),
        topic,
        id: id.to_owned(),
        value: value.to_owned(),
        at: shared.clock.now(),
    })
}

/// Notify whoever has a new task
#[utoipa::path(
    post, path = "/api/tasks", operation_id = "ehr_task_created", tag = EHR, params(schema::Telling),
    request_body = schema::Task,
    responses(Taken)
)]
pub(super) async fn task_created(State(shared): State<Arc<Shared>>, by: Caller, Body(body): Body) -> Answer {
    let task = wrapped(&body, "task");
    let id = id_in(task)?;
    assigned(&shared, &by, &id, task, true).await
}

/// Notify whoever has a task now and had it not before
#[utoipa::path(
    patch, path = "/api/tasks/{id}", operation_id = "ehr_task_changed", tag = EHR, params(schema::Telling, schema::OfThing),
    request_body = schema::Task,
    responses(Taken)
)]
pub(super) async fn task_changed(
    State(shared): State<Arc<Shared>>,
    by: Caller,
    PathId(Id(id)): PathId<Id>,
    Body(body): Body,
) -> Answer {
    let task = wrapped(&body, "task");
    assigned(&shared, &by, &id, task, false).await
}

/// Notifies whom a task is assigned to, if that is said and is new.
async fn assigned(shared: &Shared, by: &Caller, id: &str, task: &Map<String, Value>, is_new: bool) -> Answer {
    if !task.contains_key("assignedTo") {
        // What is not in the change has not changed.
        return tell(shared, by, Vec::new(), Vec::new()).await;
    }
    let _turn = shared.turn(&by.tenant, Topic::Assignee, id).await;
    let user = notifications::assignee(task);
    // Nobody has it as well: whoever gets it back has it anew.
    let name = user.as_ref().map_or("", UserId::as_str);
    let mut told = Vec::new();
    if let Some(user) = &user
        && (is_new || is_news(shared, &by.tenant, Topic::Assignee, id, name).await)
    {
        told.push(to_user(
            shared,
            &by.tenant,
            user,
            notifications::task_assigned(id, task),
        ));
    }
    let kept = said(shared, &by.tenant, Topic::Assignee, id, name);
    tell(shared, by, told, vec![kept]).await
}

fn status_of(thing: &Map<String, Value>) -> String {
    thing.get("status").and_then(token::text).unwrap_or_default()
}

/// Notify of a result of the laboratory
#[utoipa::path(
    post, path = "/api/lab-results", operation_id = "ehr_lab_result_created", tag = EHR, params(schema::Telling),
    request_body = schema::LabResult,
    responses(Taken)
)]
pub(super) async fn result_created(State(shared): State<Arc<Shared>>, by: Caller, Body(body): Body) -> Answer {
    let result = wrapped(&body, "labResult");
    let id = id_in(result)?;
    let _turn = shared.turn(&by.tenant, Topic::LabStatus, &id).await;
    let user = notifications::providers_user(result);
    let notify = |user| to_user(&shared, &by.tenant, &user, notifications::lab_result_ready(&id, result));
    let told = user.map(notify).into_iter().collect();
    let kept = said(&shared, &by.tenant, Topic::LabStatus, &id, &status_of(result));
    tell(&shared, &by, told, vec![kept]).await
}

/// Notify of a result whose status is another now
#[utoipa::path(
    patch, path = "/api/lab-results/{id}", operation_id = "ehr_lab_result_changed", tag = EHR, params(schema::Telling, schema::OfThing),
    request_body = schema::LabResult,
    responses(Taken)
)]
pub(super) async fn result_changed(
    State(shared): State<Arc<Shared>>,
    by: Caller,
    PathId(Id(id)): PathId<Id>,
    Body(body): Body,
) -> Answer {
    let result = wrapped(&body, "labResult");
    let status = status_of(result);
    if status.is_empty() {
        // What is not in the change has not changed.
        return tell(&shared, &by, Vec::new(), Vec::new()).await;
    }
    let _turn = shared.turn(&by.tenant, Topic::LabStatus, &id).await;
    let mut told = Vec::new();
    if let Some(user) = notifications::providers_user(result)
        && is_news(&shared, &by.tenant, Topic::LabStatus, &id, &status).await
    {
        told.push(to_user(
            &shared,
            &by.tenant,
            &user,
            notifications::lab_result_ready(&id, result),
        ));
    }
    let kept = said(&shared, &by.tenant, Topic::LabStatus, &id, &status);
    tell(&shared, &by, told, vec![kept]).await
}

/// Notify of an order
#[utoipa::path(
    post, path = "/api/orders", operation_id = "ehr_order_created", tag = EHR, params(schema::Telling),
    request_body = schema::Order,
    responses(Taken)
)]
pub(super) async fn order_created(State(shared): State<Arc<Shared>>, by: Caller, Body(body): Body) -> Answer {
    let order = wrapped(&body, "order");
    let id = id_in(order)?;
    let notify = |user| to_user(&shared, &by.tenant, &user, notifications::order(&id, order, None));
    let told = notifications::providers_user(order).map(notify).into_iter().collect();
    tell(&shared, &by, told, Vec::new()).await
}

/// Notify of an urgent order's new status
#[utoipa::path(
    patch, path = "/api/orders/{id}/status", operation_id = "ehr_order_changed", tag = EHR, params(schema::Telling, schema::OfThing),
    request_body = schema::Order,
    responses(Taken)
)]
pub(super) async fn order_changed(
    State(shared): State<Arc<Shared>>,
    by: Caller,
    PathId(Id(id)): PathId<Id>,
    Body(body): Body,
) -> Answer {
    let order = wrapped(&body, "order");
    let status = [&body, order]
        .map(status_of)
        .into_iter()
        .find(|status| !status.is_empty());
    let status = status.as_deref().unwrap_or("changed");
    let is_urgent = Priority::of(order) == Priority::Urgent;
    let notify = |user| {
        to_user(
            &shared,
            &by.tenant,
            &user,
            notifications::order(&id, order, Some(status)),
        )
    };
    let user = notifications::providers_user(order).filter(|_| is_urgent);
    tell(&shared, &by, user.map(notify).into_iter().collect(), Vec::new()).await
}

/// Tell a patient's vital signs to those who view them
#[utoipa::path(
    patch, path = "/api/patients/{id}/vitals", operation_id = "ehr_vitals", tag = EHR, params(schema::Telling, schema::OfPatient),
    request_body = schema::PatientData,
    responses(Taken)
)]
pub(super) async fn vitals(
    State(shared): State<Arc<Shared>>,
    by: Caller,
    PathId(patient): PathId<PatientId>,
    Body(body): Body,
) -> Answer {
    to_viewers(&shared, &by, &patient, "patient:vitals-updated", body).await
}

/// Tell a patient's allergies to those who view them
#[utoipa::path(
    post, path = "/api/patients/{id}/allergies", operation_id = "ehr_allergies", tag = EHR, params(schema::Telling, schema::OfPatient),
    request_body = schema::PatientData,
    responses(Taken)
)]
pub(super) async fn allergies(
    State(shared): State<Arc<Shared>>,
    by: Caller,
    PathId(patient): PathId<PatientId>,
    Body(body): Body,
) -> Answer {
    to_viewers(&shared, &by, &patient, "patient:allergies-updated", body).await
}

/// Tell a patient's medications to those who view them
#[utoipa::path(
    post, path = "/api/patients/{id}/medications", operation_id = "ehr_medications", tag = EHR, params(schema::Telling, schema::OfPatient),
    request_body = schema::PatientData,
    responses(Taken)
)]
pub(super) async fn medications(
    State(shared): State<Arc<Shared>>,
    by: Caller,
    PathId(patient): PathId<PatientId>,
    Body(body): Body,
) -> Answer {
    to_viewers(&shared, &by, &patient, "patient:medications-updated", body).await
}

/// `{patientId, …data, timestamp}`, the first and last of which are ours.
async fn to_viewers(shared: &Shared, by: &Caller, patient: &PatientId, name: &str, data: Map<String, Value>) -> Answer {
    let now = shared.clock.now();
    let Value::Object(data) = entities::without_nulls(Value::Object(data)) else {
        return tell(shared, by, Vec::new(), Vec::new()).await;
    };
    let own = ["patientId", "timestamp"];
    let data = data.iter().filter(|(field, _)| !own.contains(&field.as_str()));
    let data = data.map(|(field, value)| (field.as_str(), Some(value.clone())));
    let fields = [("patientId", Some(json!(patient)))].into_iter().chain(data);
    let payload = events::object(fields, now);
    let told = event(name, vec![rooms::patient(&by.tenant, patient)], payload, now);
    tell(shared, by, vec![told], Vec::new()).await
}
