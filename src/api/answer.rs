//! Answers: JSON, encoded once.

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::error::ApiError;

/// `Content-Type` of every answer that is not a page or the metrics.
pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Says that this is the answer of an earlier request with the same `Idempotency-Key`, and that nothing was done again.
pub(super) const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// A handler's answer.
pub(super) type Answer = Result<Response, ApiError>;

/// `body` as JSON.
pub(super) fn json<T: Serialize>(status: StatusCode, body: &T) -> Answer {
    match serde_json::to_vec(body) {
        Ok(bytes) => Ok(raw(status, bytes)),
        Err(error) => Err(ApiError::internal().because(error)),
    }
}

/// JSON that is encoded already.
pub(super) fn raw(status: StatusCode, json: impl Into<Body>) -> Response {
    (status, [(header::CONTENT_TYPE, JSON)], json.into()).into_response()
}
