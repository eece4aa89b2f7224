//! REST, contract B §6: what the EHR's backend tells after its own commit, and what its pages ask for.
//!
//! Every request is one tenant's: [`Caller`] says whose, and nothing else in a request can.

mod appointments;
mod clinical;
mod generic;
mod messaging;
mod once;
mod schema;

use std::sync::Arc;

use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, FromRequest, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, middleware};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use utoipa::OpenApi as _;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::entities::Wrong;
use super::events;
use super::outlet::{Key, TellError, Told};
use super::shared::Shared;
use super::token::{self, Verified};
use crate::auth;
use crate::domain::access::Role;
use crate::domain::{Event, EventId, InvalidName, Payload, RoomName, TenantId, Timestamp, UserId};
use crate::ports::{Append, StateChange, StoreError};

/// The header that names the tenant.
const TENANT: &str = "x-tenant-id";

/// All routes, and what is documented of them.
pub(super) fn routes(shared: Arc<Shared>) -> (Router, utoipa::openapi::OpenApi) {
    let max_body_bytes = shared.settings.max_body_bytes;
    let (router, document) = OpenApiRouter::with_openapi(schema::Document::openapi())
        .routes(routes!(appointments::created))
        .routes(routes!(appointments::updated, appointments::cancelled))
        .routes(routes!(appointments::status))
        .routes(routes!(messaging::unread_count))
        .routes(routes!(messaging::sent))
        .routes(routes!(messaging::participants))
        .routes(routes!(messaging::read))
        .routes(routes!(clinical::task_created))
        .routes(routes!(clinical::task_changed))
        .routes(routes!(clinical::result_created))
        .routes(routes!(clinical::result_changed))
        .routes(routes!(clinical::order_created))
        .routes(routes!(clinical::order_changed))
        .routes(routes!(clinical::vitals))
        .routes(routes!(clinical::allergies))
        .routes(routes!(clinical::medications))
        .routes(routes!(generic::viewers))
        .routes(routes!(generic::presence))
        .routes(routes!(generic::event))
        .split_for_parts();
    let router = router
        .layer(middleware::from_fn_with_state(Arc::clone(&shared), once::once))
        .layer(DefaultBodyLimit::max(max_body_bytes))
        .layer(middleware::from_fn(to_the_end));
    (router.with_state(shared), document)
}

/// Does what is asked to its end, whether whoever asked waits for the answer or hangs up: what is kept is to have all that follows
/// from it.
async fn to_the_end(request: Request, next: Next) -> Response {
    match tokio::spawn(next.run(request)).await {
        Ok(answer) => answer,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Refusal::Unavailable.into_response(), // the node is ending
        },
    }
}

type Answer = Result<Response, Refusal>;

/// Why a request was refused. Never says anything of another tenant, because it knows nothing of one.
#[derive(Debug)]
enum Refusal {
    MissingToken,
    InvalidToken,
    InvalidTenant,
    /// It cannot be read.
    Unreadable,
    TooLarge,
    /// It can be read and makes no sense.
    Wrong(Wrong),
    /// Nothing more can be promised now.
    Unavailable,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, error) = match self {
            Self::MissingToken => (StatusCode::UNAUTHORIZED, "Missing token".to_owned()),
            Self::InvalidToken => (StatusCode::UNAUTHORIZED, "Invalid token".to_owned()),
            Self::InvalidTenant => (StatusCode::FORBIDDEN, "Invalid tenant".to_owned()),
            Self::Unreadable => (StatusCode::BAD_REQUEST, "The body must be a JSON object".to_owned()),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "The body is too large".to_owned()),
            Self::Wrong(wrong) => (StatusCode::UNPROCESSABLE_ENTITY, wrong.to_string()),
            Self::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "Try again later".to_owned()),
        };
        let mut response = (status, Json(json!({"error": error}))).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            let second = HeaderValue::from_static("1");
            response.headers_mut().insert(header::RETRY_AFTER, second);
        }
        response
    }
}

impl From<Wrong> for Refusal {
    fn from(wrong: Wrong) -> Self {
        Self::Wrong(wrong)
    }
}

impl From<TellError> for Refusal {
    fn from(error: TellError) -> Self {
        match error {
            TellError::Full => Self::Unavailable,
            TellError::KeyReused => Wrong::new("Idempotency-Key", "was used with another request").into(),
            TellError::Damaged(_) => {
                tracing::error!(error = &error as &dyn std::error::Error, "could not answer the EHR");
                Self::Unavailable
            }
        }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        tracing::warn!(error = &error as &dyn std::error::Error, "could not answer the EHR");
        Self::Unavailable
    }
}

/// Who asks, for which tenant.
struct Caller {
    tenant: TenantId,
    /// A person's id; `None`: a backend of its own.
    user: Option<UserId>,
    /// Under which key, if what they tell shall be told once.
    key: Option<Key>,
}

impl FromRequestParts<Arc<Shared>> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, Refusal> {
        let key = parts.extensions.get::<Key>().cloned();
        let token = auth::bearer(&parts.headers).ok_or(Refusal::MissingToken)?;
        let now = shared.clock.now();
        if let Ok(Verified { person, .. }) = shared.tokens.verify(token, now) {
            let tenant = tenant(&parts.headers).filter(|said| *said == person.tenant);
            return Ok(Self {
                tenant: tenant.ok_or(Refusal::InvalidTenant)?,
                user: Some(person.user),
                key,
            });
        }
        let backend = shared.authenticator.verify(token, now).ok();
        let is_backend = backend.is_some_and(|backend| backend.identity.role == Role::Service);
        if !is_backend {
            return Err(Refusal::InvalidToken);
        }
        // A backend that is of one tenant says so in its token, which has been verified.
        let own = token::bound_tenant(token).or(Err(Refusal::InvalidTenant))?;
        let tenant = tenant(&parts.headers).filter(|said| own.as_ref().is_none_or(|own| own == said));
        Ok(Self {
            tenant: tenant.ok_or(Refusal::InvalidTenant)?,
            user: None,
            key,
        })
    }
}

fn tenant(headers: &HeaderMap) -> Option<TenantId> {
    TenantId::parse(headers.get(TENANT)?.to_str().ok()?).ok()
}

fn whole(body: Result<Bytes, BytesRejection>) -> Result<Bytes, Refusal> {
    body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Refusal::TooLarge,
        _broken_off => Refusal::Unreadable,
    })
}

/// A body that is a JSON object; nothing is an empty one.
struct Body(Map<String, Value>);

impl FromRequest<Arc<Shared>> for Body {
    type Rejection = Refusal;

    async fn from_request(request: Request, shared: &Arc<Shared>) -> Result<Self, Refusal> {
        let bytes = whole(Bytes::from_request(request, shared).await)?;
        if bytes.is_empty() {
            return Ok(Self(Map::new()));
        }
        serde_json::from_slice(&bytes).map(Self).or(Err(Refusal::Unreadable))
    }
}

/// The id that the path names.
struct PathId<T>(T);

impl<T: std::str::FromStr + Send> FromRequestParts<Arc<Shared>> for PathId<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, Refusal> {
        let wrong = || Refusal::Wrong(Wrong::new("The id in the path", "is not one"));
        let path = Path::<String>::from_request_parts(parts, shared).await;
        let id = path.ok().and_then(|Path(text)| text.parse().ok());
        id.map(Self).ok_or_else(wrong)
    }
}

/// The id of something that only the EHR knows: an appointment, a task.
struct Id(String);

impl std::str::FromStr for Id {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        // What a user may be called, a thing may be called as well.
        UserId::parse(text).map(|id| Self(id.as_str().to_owned()))
    }
}

/// What `name` holds if the body wraps it, else the body itself.
fn wrapped<'a>(body: &'a Map<String, Value>, name: &str) -> &'a Map<String, Value> {
    match body.get(name) {
        Some(Value::Object(inner)) => inner,
        Some(_) | None => body,
    }
}

/// The id of a thing, in the body where the path names none.
fn id_in(thing: &Map<String, Value>) -> Result<String, Wrong> {
    let id = thing
        .get("id")
        .and_then(token::text)
        .ok_or(Wrong::new("id", "is missing"))?;
    id.parse::<Id>()
        .map(|Id(id)| id)
        .or(Err(Wrong::new("id", "is not one")))
}

/// A field that may be a text.
fn text(body: &Map<String, Value>, field: &str) -> Option<Value> {
    body.get(field).and_then(token::text).map(Value::String)
}

fn event(name: &str, rooms: Vec<RoomName>, payload: Payload, now: Timestamp) -> Arc<Event> {
    Arc::new(Event {
        id: EventId::new(),
        name: events::name(name),
        rooms,
        payload,
        raised_at: now,
        alert: None,
    })
}

/// Tells a caller's events, and answers.
async fn tell(shared: &Shared, by: &Caller, events: Vec<Arc<Event>>, changes: Vec<StateChange>) -> Answer {
    let event_id = events.first().map(|event| event.id);
    if events.is_empty() && changes.is_empty() {
        // Nor is there anything that could happen twice.
        return Ok(accepted(Told {
            event_id,
            is_delivered: false,
            is_replayed: false,
        }));
    }
    let once = by.key.clone().map(|key| key.once(event_id, shared.clock.now()));
    let append = Append { events, changes, once };
    Ok(accepted(shared.tell(append).await?))
}

fn accepted(told: Told) -> Response {
    let Told {
        event_id,
        is_delivered,
        is_replayed,
    } = told;
    let answer = json!({"event_id": event_id, "delivered": is_delivered});
    let mut response = (StatusCode::ACCEPTED, Json(answer)).into_response();
    if is_replayed {
        let replayed = HeaderValue::from_static("true");
        response.headers_mut().insert(once::REPLAYED, replayed);
    }
    response
}

/// A list that must hold ids.
fn list<T: DeserializeOwned>(body: &Map<String, Value>, field: &'static str) -> Result<Option<Vec<T>>, Wrong> {
    let wrong = Wrong::new(field, "must be a list of ids");
    match body.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(items)) => {
            let ids = items.iter().map(|item| {
                let id = Value::String(token::text(item)?);
                serde_json::from_value(id).ok()
            });
            ids.collect::<Option<Vec<T>>>().map(Some).ok_or(wrong)
        }
        Some(_) => Err(wrong),
    }
}
