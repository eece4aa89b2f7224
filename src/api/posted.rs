//! What is written: POST, PUT and PATCH, read whole, from those who may; a POST with an `Idempotency-Key`
//! is done once.
//!
//! A repetition is answered from what was kept of the first time, before its body is looked at any closer. Two that run at
//! the same time both get here; the store lets one of them through and the other one gets its outcome.

use std::marker::PhantomData;

use axum::extract::{FromRequest, MatchedPath, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::Api;
use super::answer::{Answer, REPLAYED};
use super::error::{ApiError, Details};
use super::extract::{JsonBody, authenticate};
use super::fields::Fields;
use crate::domain::access::{self, Action, Identity};
use crate::domain::idempotency_key;
use crate::service::{OnceKey, WriteError};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// What a body is read as.
pub(super) trait Asked: Sized {
    /// What the documentation says of it; a test holds the two together.
    type Documented: utoipa::ToSchema;
    /// What it asks for. Whose role may not do that is refused before their body is read.
    const ACTION: Action;
    /// Whether no body at all is the same as `{}`.
    const MAY_BE_EMPTY: bool = false;
    /// Whether a caller's rate can hold it back. What may be about somebody's life is never held back.
    const IS_RATE_LIMITED: bool = true;

    /// Takes its fields. `None` only after a problem was noted.
    fn read(fields: &mut Fields) -> Option<Self>;
}

/// Reads a body.
///
/// # Errors
/// 400 and 422.
pub(super) fn read<T: Asked>(body: &[u8]) -> Result<T, ApiError> {
    let body = if T::MAY_BE_EMPTY && body.is_empty() {
        b"{}"
    } else {
        body
    };
    let mut fields = Fields::from_body(body)?;
    let asked = T::read(&mut fields);
    fields.finish(asked)
}

/// Lets through who may ask for a `T` now.
///
/// # Errors
/// 401, 403 and 429.
fn admit<T: Asked>(headers: &HeaderMap, api: &Api) -> Result<Identity, ApiError> {
    let by = authenticate(headers, api)?;
    access::check(&by, T::ACTION)?;
    if T::IS_RATE_LIMITED {
        api.callers.check(&by.user_id)?;
    }
    Ok(by)
}

/// A PUT or PATCH of a `T`: who sent it, and what they ask.
#[derive(Debug)]
pub(super) struct Sent<T> {
    pub(super) by: Identity,
    pub(super) asked: T,
}

impl<T: Asked> FromRequest<Api> for Sent<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, api: &Api) -> Result<Self, ApiError> {
        let by = admit::<T>(request.headers(), api)?;
        let JsonBody(body) = JsonBody::from_request(request, api).await?;
        Ok(Self {
            by,
            asked: read(&body)?,
        })
    }
}

/// A POST of a `T`: who sent it, under which key, and its body.
#[derive(Debug)]
pub(super) struct Posted<T> {
    by: Identity,
    once: Option<OnceKey>,
    body: Bytes,
    asked: PhantomData<fn() -> T>,
}

impl<T: Asked> FromRequest<Api> for Posted<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, api: &Api) -> Result<Self, ApiError> {
        let by = admit::<T>(request.headers(), api)?;
        let key = key(request.headers())?;
        let route = request.extensions().get::<MatchedPath>().cloned();
        let JsonBody(body) = JsonBody::from_request(request, api).await?;
        let once = key.map(|key| {
            let route = route.as_ref().map_or("", MatchedPath::as_str);
            let scope = format!("{} {} {route}", by.user_id, Method::POST);
            OnceKey {
                scope,
                key,
                fingerprint: Sha256::digest(&body).into(),
            }
        });
        Ok(Self {
            by,
            once,
            body,
            asked: PhantomData,
        })
    }
}

impl<T: Asked> Posted<T> {
    /// Does `work` with what was asked, or finds out that it was done before; `answer` makes the answer of either.
    ///
    /// # Errors
    /// Those of reading, of `work`, and 422 for a key that belongs to another body.
    pub(super) async fn once<O, W>(
        self,
        api: &Api,
        work: impl FnOnce(Identity, T, Option<OnceKey>) -> W,
        answer: fn(&O) -> Answer,
    ) -> Answer
    where
        O: DeserializeOwned,
        W: Future<Output = Result<O, WriteError>>,
    {
        if let Some(once) = &self.once
            && let Some((fingerprint, outcome)) = api.store.outcome_of(&once.scope, &once.key).await?
        {
            if fingerprint != once.fingerprint {
                return Err(ApiError::key_reused());
            }
            let outcome: O = serde_json::from_str(&outcome).map_err(|error| ApiError::internal().because(error))?;
            return answer(&outcome).map(replayed);
        }
        let asked: T = read(&self.body)?;
        answer(&work(self.by, asked, self.once).await?)
    }
}

fn replayed(mut response: Response) -> Response {
    response
        .headers_mut()
        .insert(REPLAYED, HeaderValue::from_static("true"));
    response
}

/// The request's `Idempotency-Key`.
fn key(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let sent = headers.get_all(IDEMPOTENCY_KEY).iter().map(HeaderValue::as_bytes);
    let key = idempotency_key(sent);
    let key = key.map_err(|invalid| ApiError::invalid(Details::of("Idempotency-Key", invalid.to_string())))?;
    Ok(key.map(str::to_owned))
}

/// What 201 and 200 are for: something new, or something that was there before.
pub(super) fn created(is_new: bool) -> StatusCode {
    if is_new { StatusCode::CREATED } else { StatusCode::OK }
}
