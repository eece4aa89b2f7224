//! What is wrong, as the wire says it: `{error, status_code, details?}`, contract A §5.
//!
//! Every refusal of the API is an [`ApiError`], and every error of the inside becomes one here, exhaustively. What the client
//! did is told to the client; what we could not do is a fixed text, and its cause goes to the log, once, with the request's id
//! (see `observe`).

use std::borrow::Cow;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::ser::{SerializeMap, SerializeStruct};
use serde::{Serialize, Serializer};

use crate::domain::access::Denied;
use crate::ports::StoreError;
use crate::service::{Problem, ReadError, WriteError};

/// Fields that one answer explains.
const MAX_DETAILS: usize = 64;

/// What is wrong with the fields, in the order in which it was found: `{field: ["why"]}`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Details(Vec<(String, Vec<Cow<'static, str>>)>);

impl Details {
    /// One field, one reason.
    pub(super) fn of(field: impl Into<String>, why: impl Into<Cow<'static, str>>) -> Self {
        let mut details = Self::default();
        details.add(field, why);
        details
    }

    /// Notes a reason. What is noted first is kept; a body of a million wrong fields does not get a million reasons back.
    pub(super) fn add(&mut self, field: impl Into<String>, why: impl Into<Cow<'static, str>>) {
        let field = field.into();
        if self.0.len() >= MAX_DETAILS {
            return;
        }
        match self.0.iter_mut().find(|(known, _)| *known == field) {
            Some((_, reasons)) => reasons.push(why.into()),
            None => self.0.push((field, vec![why.into()])),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Details {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (field, reasons) in &self.0 {
            map.serialize_entry(field, reasons)?;
        }
        map.end()
    }
}

/// Why a request was refused. Small: it travels through every `Result` of the API.
#[derive(Debug)]
pub(super) struct ApiError(Box<Refusal>);

#[derive(Debug)]
struct Refusal {
    status: StatusCode,
    error: Cow<'static, str>,
    details: Details,
    retry_after_secs: Option<u64>,
    challenge: Option<&'static str>,
    cause: Option<Cause>,
}

/// What really happened, for the log. Travels beside the answer as a response extension; the client never sees it.
#[derive(Clone, Debug)]
pub(super) struct Cause(pub(super) Arc<dyn std::error::Error + Send + Sync>);

impl ApiError {
    fn new(status: StatusCode, error: impl Into<Cow<'static, str>>) -> Self {
        let (details, retry_after_secs) = (Details::default(), None);
        Self(Box::new(Refusal {
            status,
            error: error.into(),
            details,
            retry_after_secs,
            challenge: None,
            cause: None,
        }))
    }

    /// 400: the request cannot be read.
    pub(super) fn malformed(error: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error)
    }

    /// 401: no token, or none that counts.
    pub(super) fn unauthenticated(error: impl Into<Cow<'static, str>>, challenge: &'static str) -> Self {
        let mut refused = Self::new(StatusCode::UNAUTHORIZED, error);
        refused.0.challenge = Some(challenge);
        refused
    }

    /// 403: known, and not allowed.
    pub(super) fn forbidden(error: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::FORBIDDEN, error)
    }

    /// 404: not there, or not for them; patient data does not tell the two apart.
    pub(super) fn not_found(error: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, error)
    }

    /// 405: the route is there, the method is not.
    pub(super) fn method_not_allowed() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "this route does not take that method")
    }

    /// 408: the body did not come.
    pub(super) fn body_too_slow() -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "the body took too long to arrive")
    }

    /// 409: it was opened before.
    pub(super) fn already_exists() -> Self {
        Self::new(
            StatusCode::CONFLICT,
            "there is one with this id already; PUT changes it",
        )
    }

    /// 413: the body is too large.
    pub(super) fn body_too_large(limit_bytes: usize) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the body is larger than {limit_bytes} bytes"),
        )
    }

    /// 415: the body is something else than JSON, or does not say that it is.
    pub(super) fn not_json() -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "the body must be sent as Content-Type: application/json",
        )
    }

    /// 422: it can be read, and says something impossible.
    pub(super) fn invalid(details: Details) -> Self {
        Self::unprocessable("some fields are not valid", details)
    }

    /// 422, in other words.
    pub(super) fn unprocessable(error: impl Into<Cow<'static, str>>, details: Details) -> Self {
        let mut refused = Self::new(StatusCode::UNPROCESSABLE_ENTITY, error);
        refused.0.details = details;
        refused
    }

    /// 422: the `Idempotency-Key` belongs to another body.
    pub(super) fn key_reused() -> Self {
        let error = "this Idempotency-Key was used with another body";
        Self::unprocessable(error, Details::of("Idempotency-Key", "was used with another body"))
    }

    /// 429: too many requests of one caller.
    pub(super) fn too_many(retry_after_secs: u64) -> Self {
        let mut refused = Self::new(StatusCode::TOO_MANY_REQUESTS, "too many requests");
        refused.0.retry_after_secs = Some(retry_after_secs);
        refused
    }

    /// 503: nothing was promised; send it again.
    pub(super) fn unavailable(error: &'static str) -> Self {
        let mut refused = Self::new(StatusCode::SERVICE_UNAVAILABLE, error);
        refused.0.retry_after_secs = Some(1);
        refused
    }

    /// 500: a fault of ours.
    pub(super) fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal server error")
    }

    /// Status and body.
    #[cfg(test)]
    pub(super) fn shown(&self) -> (u16, String) {
        (self.0.status.as_u16(), serde_json::to_string(&Shown(&self.0)).unwrap())
    }

    /// The same, with what really happened for the log.
    #[must_use]
    pub(super) fn because(mut self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.cause = Some(Cause(Arc::from(cause.into())));
        self
    }
}

struct Shown<'a>(&'a Refusal);

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Refusal {
            status, error, details, ..
        } = self.0;
        let mut shown = serializer.serialize_struct("Error", 3)?;
        shown.serialize_field("error", error)?;
        shown.serialize_field("status_code", &status.as_u16())?;
        if !details.is_empty() {
            shown.serialize_field("details", details)?;
        }
        shown.end()
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        // Strings and numbers always encode; an empty body would be the honest remainder.
        let body = serde_json::to_vec(&Shown(&self.0)).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.0.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, super::answer::JSON);
        if let Some(seconds) = self.0.retry_after_secs {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(challenge) = self.0.challenge {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if let Some(cause) = self.0.cause {
            response.extensions_mut().insert(cause);
        }
        response
    }
}

/// What is told of a store that failed while something was to be kept.
const NOTHING_KEPT: &str = "this could not be made durable and nothing was promised; send it again";

/// What is told when that may or may not have been kept.
const MAYBE_KEPT: &str =
    "this was not confirmed in time and nothing was promised; send it again, best with an Idempotency-Key";

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) => Self::unavailable("the store is unavailable; try again").because(error),
            StoreError::Uncertain(_) => Self::unavailable(MAYBE_KEPT).because(error),
            // Trying again does not help; a person must look.
            StoreError::Damaged(_) => Self::internal().because(error),
        }
    }
}

impl From<Denied> for ApiError {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Role | Denied::Hospital | Denied::Patient => Self::forbidden(denied.to_string()),
        }
    }
}

impl From<Vec<Problem>> for ApiError {
    fn from(problems: Vec<Problem>) -> Self {
        let mut details = Details::default();
        for Problem { field, why } in problems {
            details.add(field, why);
        }
        Self::invalid(details)
    }
}

impl From<WriteError> for ApiError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Denied(denied) => denied.into(),
            WriteError::Invalid(problems) => problems.into(),
            WriteError::NotFound => Self::not_found("there is no such thing"),
            WriteError::AlreadyExists => Self::already_exists(),
            WriteError::KeyReused => Self::key_reused(),
            WriteError::Contended => {
                Self::unavailable("others are changing the same thing; send it again").because(error)
            }
            WriteError::Busy | WriteError::Store(StoreError::Uncertain(_)) => {
                Self::unavailable(MAYBE_KEPT).because(error)
            }
            WriteError::Store(StoreError::Unavailable(_)) => Self::unavailable(NOTHING_KEPT).because(error),
            WriteError::Store(StoreError::Damaged(_)) | WriteError::Json(_) => Self::internal().because(error),
        }
    }
}

impl From<ReadError> for ApiError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Denied(denied) => denied.into(),
            ReadError::Invalid(problems) => problems.into(),
            ReadError::NotFound => Self::not_found("there is no such thing"),
            ReadError::Store(cause) => cause.into(),
            ReadError::Json(_) => Self::internal().because(error),
        }
    }
}
