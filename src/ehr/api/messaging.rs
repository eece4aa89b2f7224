//! `/api/messaging` and `/api/messages`.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::schema::{self, AskProblems, Away, EHR, NoSense, Taken};
use super::{Answer, Body, Caller, Id, PathId, event, list, tell};
use crate::domain::{RoomName, TenantId, ThreadId, UserId};
use crate::ehr::entities::{self, Wrong};
use crate::ehr::events::{self, Iso};
use crate::ehr::mail::Mail;
use crate::ehr::shared::Shared;
use crate::ehr::{rooms, token};
use crate::ports::{MessageFor, StateChange};

/// People in one thread. Each message is kept once for each of them.
const MAX_PARTICIPANTS: usize = 256;

fn participants_in(body: &Map<String, Value>) -> Result<Option<BTreeSet<UserId>>, Wrong> {
    match list::<UserId>(body, "participants")? {
        Some(ids) if ids.len() > MAX_PARTICIPANTS => Err(Wrong::new("participants", "must be 256 at most")),
        ids => Ok(ids.map(BTreeSet::from_iter)),
    }
}

fn rooms_of<'a>(tenant: &TenantId, users: impl IntoIterator<Item = &'a UserId>) -> Vec<RoomName> {
    users.into_iter().map(|user| rooms::user(tenant, user)).collect()
}

/// Say who takes part in a thread
#[utoipa::path(
    put, path = "/api/messaging/{id}/participants", operation_id = "ehr_participants", tag = EHR, params(schema::Telling, schema::OfThread),
    request_body = schema::Participants,
    responses(Taken)
)]
pub(super) async fn participants(
    State(shared): State<Arc<Shared>>,
    by: Caller,
    PathId(thread): PathId<ThreadId>,
    Body(body): Body,
) -> Answer {
    let participants = participants_in(&body)?.ok_or(Wrong::new("participants", "is missing"))?;
    let said = Mail::said(&by.tenant, &thread, &participants, shared.clock.now());
    tell(&shared, &by, Vec::new(), vec![StateChange::Fact(said)]).await
}

/// Tell a message to its thread
#[utoipa::path(
    post, path = "/api/messaging/{id}/messages", operation_id = "ehr_message_sent", tag = EHR, params(schema::Telling, schema::OfThread),
    request_body = schema::Sent,
    responses(Taken)
)]
pub(super) async fn sent(
    State(shared): State<Arc<Shared>>,
    by: Caller,
    PathId(thread): PathId<ThreadId>,
    Body(body): Body,
) -> Answer {
    let now = shared.clock.now();
    let tenant = &by.tenant;
    let Some(Value::Object(given)) = body.get("message") else {
        return Err(Wrong::new("message", "is missing").into());
    };
    let message = entities::message(given, thread.as_str())?;
    let field = |name: &str| message.get(name).and_then(Value::as_str).unwrap_or_default();
    let sender: UserId = field("sender")
        .parse()
        .or(Err(Wrong::new("message.sender", "is not an id")))?;
    let Id(message_id) = field("id").parse().or(Err(Wrong::new("message.id", "is not an id")))?;

    let mut changes = Vec::new();
    let participants = if let Some(said) = participants_in(&body)? {
        changes.push(StateChange::Fact(Mail::said(tenant, &thread, &said, now)));
        said
    } else {
        let known = shared.mail.participants(&shared, tenant, &thread).await?;
        known
            .ok_or(Wrong::new(
                "participants",
                "is missing, and this server was not told of them before",
            ))?
            .as_ref()
            .clone()
    };
    let others: Vec<&UserId> = participants.iter().filter(|user| **user != sender).collect();
    let everybody = others.iter().copied().chain([&sender]);

    let new = events::nested("message", &message, now);
    let mut events = vec![event("message:new", rooms_of(tenant, everybody), new, now)];
    if !others.is_empty() {
        let fields = [
            ("threadId", Some(json!(thread))),
            ("messageId", Some(json!(message_id))),
            ("sender", Some(json!(sender))),
            ("preview", Some(json!(entities::preview(field("body"))))),
        ];
        let notification = events::object(fields, now);
        let to = rooms_of(tenant, others.iter().copied());
        events.push(event("message:notification", to, notification, now));
    }
    changes.extend(others.into_iter().map(|user| {
        StateChange::Unread(MessageFor {
            tenant: tenant.clone(),
            user: user.clone(),
            message: message_id.clone(),
            at: now,
        })
    }));
    tell(&shared, &by, events, changes).await
}

/// Tell that somebody has read a message
#[utoipa::path(
    patch, path = "/api/messages/{id}/read", operation_id = "ehr_message_read", tag = EHR, params(schema::Telling, schema::OfThing),
    request_body = schema::Read,
    responses(Taken)
)]
pub(super) async fn read(
    State(shared): State<Arc<Shared>>,
    by: Caller,
    PathId(Id(message)): PathId<Id>,
    Body(body): Body,
) -> Answer {
    let now = shared.clock.now();
    let tenant = &by.tenant;
    let id = |field: &'static str| {
        let id = body.get(field).and_then(token::text);
        id.ok_or(Wrong::new(field, "is missing"))
    };
    let thread: ThreadId = id("threadId")?
        .parse()
        .or(Err(Wrong::new("threadId", "is not an id")))?;
    let reader: UserId = id("readBy")?.parse().or(Err(Wrong::new("readBy", "is not an id")))?;
    let read_at = match body.get("readAt").filter(|at| !at.is_null()) {
        Some(at) => entities::instant(at).ok_or(Wrong::new("readAt", "must be an ISO 8601 date and time"))?,
        None => json!(Iso(now)),
    };
    let participants = shared.mail.participants(&shared, tenant, &thread).await;
    let participants = participants.unwrap_or_else(|error| {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "it is not known who takes part in a thread; telling whoever has read"
        );
        None
    });
    let participants = participants.unwrap_or_default();
    let mut to: BTreeSet<&UserId> = participants.iter().collect();
    to.insert(&reader);
    let fields = [
        ("messageId", Some(json!(message))),
        ("threadId", Some(json!(thread))),
        ("readBy", Some(json!(reader))),
        ("readAt", Some(read_at)),
    ];
    let payload = events::object(fields, now);
    let read = StateChange::Read(MessageFor {
        tenant: tenant.clone(),
        user: reader.clone(),
        message,
        at: now,
    });
    let told = event("message:read", rooms_of(tenant, to), payload, now);
    tell(&shared, &by, vec![told], vec![read]).await
}

/// Whose count a backend asks for.
#[derive(Deserialize)]
pub(super) struct Whose {
    #[serde(rename = "userId")]
    user: Option<UserId>,
}

/// How many messages somebody has not read
#[utoipa::path(
    get, path = "/api/messaging/unread-count", operation_id = "ehr_unread_count", tag = EHR, params(schema::Asking, schema::OfUser),
    responses((status = 200, description = "How many", body = schema::Count), AskProblems, NoSense, Away)
)]
pub(super) async fn unread_count(
    State(shared): State<Arc<Shared>>,
    by: Caller,
    whose: Result<Query<Whose>, axum::extract::rejection::QueryRejection>,
) -> Answer {
    // A person asks for their own, whatever the query says.
    let said = whose.ok().and_then(|Query(whose)| whose.user);
    let user = by.user.or(said).ok_or(Wrong::new("userId", "is missing"))?;
    let count = shared.store.unread(&by.tenant, &user).await?;
    Ok((StatusCode::OK, Json(json!({"count": count}))).into_response())
}
