//! What handlers ask of a request: who asks, which id the path names, what the body says.
//!
//! Refuses to know what a caller may do (`domain::access`, asked by the services) and what the fields mean.

use std::str::FromStr;
use std::time::Duration;

use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use http_body::Body as _;
use http_body_util::BodyExt;

use super::Api;
use super::error::{ApiError, Details};
use super::fields::Fields;
use crate::auth::{self, Mode, TokenError};
use crate::domain::access::Identity;

/// How long a body may take to arrive.
const BODY_PATIENCE: Duration = Duration::from_secs(20);
/// How much of a body that is too large is read and thrown away, so that its sender gets to read the refusal.
const DRAIN_BYTES: usize = 16 * 1024 * 1024;
/// And for how long.
const DRAIN_PATIENCE: Duration = Duration::from_secs(2);

/// Who asks, within their rate.
#[derive(Clone, Debug)]
pub(super) struct Caller(pub(super) Identity);

impl FromRequestParts<Api> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        let identity = authenticate(&parts.headers, api)?;
        api.callers.check(&identity.user_id)?;
        Ok(Self(identity))
    }
}

/// Who asks.
///
/// # Errors
/// 401 without a token that counts, outside open mode.
pub(super) fn authenticate(headers: &HeaderMap, api: &Api) -> Result<Identity, ApiError> {
    match api.authenticator.mode() {
        Mode::Open => Ok(api.open_identity.clone()),
        // Legacy mode believes sockets; REST needs a token all the same.
        Mode::Token | Mode::Legacy => {
            let token = auth::bearer(headers).ok_or_else(|| unauthenticated(TokenError::Missing))?;
            let authenticated = api
                .authenticator
                .verify(token, api.clock.now())
                .map_err(unauthenticated)?;
            Ok(authenticated.identity)
        }
    }
}

fn unauthenticated(error: TokenError) -> ApiError {
    // RFC 6750 §3.1: no error code for a request that carries no token.
    let challenge = if error == TokenError::Missing {
        r#"Bearer realm="wardbell""#
    } else {
        r#"Bearer realm="wardbell", error="invalid_token""#
    };
    ApiError::unauthenticated(error.to_string(), challenge)
}

/// The one id of the path, percent-decoded and checked.
#[derive(Clone, Debug)]
pub(super) struct PathId<T>(pub(super) T);

impl<T, S> FromRequestParts<S> for PathId<T>
where
    T: FromStr + Send,
    T::Err: std::fmt::Display,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Path((name, text)) = Path::<Vec<(String, String)>>::from_request_parts(parts, state)
            .await
            .ok()
            .and_then(|Path(all)| all.into_iter().next().map(Path))
            .ok_or_else(|| ApiError::malformed("the path cannot be decoded"))?;
        text.parse()
            .map(Self)
            .map_err(|invalid: T::Err| ApiError::invalid(Details::of(name, invalid.to_string())))
    }
}

/// The parameters of the query string.
#[derive(Debug)]
pub(super) struct Query(pub(super) Fields);

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        Fields::from_query(&parts.uri).map(Self)
    }
}

/// A body that says it is JSON, read whole and not looked at yet.
#[derive(Debug)]
pub(super) struct JsonBody(pub(super) Bytes);

impl FromRequest<Api> for JsonBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, api: &Api) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let limit_bytes = api.settings.max_body_bytes;
        if body.size_hint().lower() > u64::try_from(limit_bytes).unwrap_or(u64::MAX) {
            // A client that asks first (`Expect: 100-continue`) has sent nothing yet and must not be asked to.
            if !parts.headers.contains_key(header::EXPECT) {
                drain(body).await;
            }
            return Err(ApiError::body_too_large(limit_bytes));
        }
        if body.is_end_stream() {
            // What is not there needs no type. Whether it may be missing is for whoever reads it to say.
            return Ok(Self(Bytes::new()));
        }
        if !says_json(&parts.headers) {
            drain(body).await;
            return Err(ApiError::not_json());
        }
        match tokio::time::timeout(BODY_PATIENCE, read(body, limit_bytes)).await {
            Ok(read) => read.map(Self),
            Err(_elapsed) => Err(ApiError::body_too_slow()),
        }
    }
}

/// `application/json` and the types that are JSON underneath (`application/…+json`). Anything else could be sent by a page
/// of another origin without asking.
fn says_json(headers: &HeaderMap) -> bool {
    let Some(stated) = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()) else {
        return false;
    };
    let essence = stated.split(';').next().unwrap_or_default().trim();
    let Some((kind, subtype)) = essence.split_once('/') else {
        return false;
    };
    let suffix = subtype.rsplit_once('+').map_or(subtype, |(_, suffix)| suffix);
    kind.eq_ignore_ascii_case("application") && suffix.eq_ignore_ascii_case("json")
}

async fn read(mut body: axum::body::Body, limit_bytes: usize) -> Result<Bytes, ApiError> {
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| ApiError::malformed("the body broke off").because(error))?;
        let Ok(data) = frame.into_data() else { continue };
        if first.len() + all.len() + data.len() > limit_bytes {
            drain(body).await;
            return Err(ApiError::body_too_large(limit_bytes));
        }
        // Nearly every body comes in one piece, which is then taken as it is.
        if first.is_empty() && all.is_empty() {
            first = data;
        } else {
            if all.is_empty() {
                all.extend_from_slice(&std::mem::take(&mut first));
            }
            all.extend_from_slice(&data);
        }
    }
    Ok(if all.is_empty() { first } else { all.freeze() })
}

/// Reads on without keeping anything. Closing while the other side still writes resets the connection, and the refusal
/// would be lost with it.
async fn drain(mut body: axum::body::Body) {
    let thrown_away = async {
        let mut left = DRAIN_BYTES;
        while let Some(Ok(frame)) = body.frame().await {
            match left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
                Some(remaining) => left = remaining,
                None => break,
            }
        }
    };
    // Whether it ended in time makes no difference: the refusal follows either way.
    drop(tokio::time::timeout(DRAIN_PATIENCE, thrown_away).await);
}
