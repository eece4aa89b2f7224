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
use crate::service::{OnceKey, WriteError};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The longest key, in characters.
const MAX_KEY: usize = 255;

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

/// The request's `Idempotency-Key`: 1 to 255 visible ASCII characters, once.
fn key(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let mut keys = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(key) = keys.next() else { return Ok(None) };
    let is_valid =
        (1..=MAX_KEY).contains(&key.len()) && key.as_bytes().iter().all(u8::is_ascii_graphic) && keys.next().is_none();
    match key.to_str() {
        Ok(key) if is_valid => Ok(Some(key.to_owned())),
        Ok(_) | Err(_) => {
            let why = "must be one value of 1 to 255 visible ASCII characters";
            Err(ApiError::invalid(Details::of("Idempotency-Key", why)))
        }
    }
}

/// What 201 and 200 are for: something new, or something that was there before.
pub(super) fn created(is_new: bool) -> StatusCode {
    if is_new { StatusCode::CREATED } else { StatusCode::OK }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(values: &[&[u8]]) -> Result<Option<String>, (u16, String)> {
        let headers = values
            .iter()
            .map(|value| (IDEMPOTENCY_KEY, HeaderValue::from_bytes(value).unwrap()))
            .collect();
        key(&headers).map_err(|error| error.shown())
    }

    #[test]
    fn a_key_is_taken_as_it_is() {
        assert_eq!(keys(&[]), Ok(None));
        assert_eq!(keys(&[b"a-1"]), Ok(Some("a-1".to_owned())));
        assert_eq!(keys(&["k".repeat(255).as_bytes()]), Ok(Some("k".repeat(255))));
    }

    #[test]
    fn a_key_that_is_empty_long_invisible_or_double_is_refused_by_name() {
        for wrong in [
            &[b"".as_slice()] as &[_],
            &["k".repeat(256).as_bytes()],
            &[b"a b"],
            &[b"\xc3\xa4"],
            &[b"a", b"a"],
        ] {
            let (status, body) = keys(wrong).unwrap_err();

            assert_eq!(status, 422);
            assert!(body.contains("Idempotency-Key"), "{body}");
        }
    }
}
