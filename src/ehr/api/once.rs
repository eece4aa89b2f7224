//! `Idempotency-Key`: what a backend tells again under the same key is told once, and answered as it was the first time.
//!
//! Keys are those of a tenant and a route. A key belongs to one path and body: with another it is refused, so that nothing is
//! ever taken for something else that was told before.

use std::sync::Arc;

use axum::extract::{FromRequest as _, FromRequestParts as _, MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, request::Parts};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::{Caller, Refusal, accepted, whole};
use crate::domain::{InvalidIdempotencyKey, idempotency_key};
use crate::ehr::entities::Wrong;
use crate::ehr::outlet::{Key, Told};
use crate::ehr::shared::Shared;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Says that an answer is one that was given before.
pub(super) const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Answers what was told before under the same key; hands everything else on, with its [`Key`] for [`Caller`] to find.
pub(super) async fn once(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    // Questions change nothing: they may be asked as often as somebody likes.
    if request.method() == Method::GET {
        return next.run(request).await;
    }
    let sent = request
        .headers()
        .get_all(IDEMPOTENCY_KEY)
        .iter()
        .map(HeaderValue::as_bytes);
    let key = idempotency_key(sent).map(|key| key.map(str::to_owned));
    let Some(key) = key.transpose() else {
        return next.run(request).await;
    };
    match look_up(&shared, key, request).await {
        Ok(Found::Before(told)) => accepted(told),
        Ok(Found::Nothing(request)) => next.run(*request).await,
        Err(refusal) => refusal.into_response(),
    }
}

enum Found {
    Before(Told),
    /// The request, as it can be read again.
    Nothing(Box<Request>),
}

async fn look_up(
    shared: &Arc<Shared>,
    key: Result<String, InvalidIdempotencyKey>,
    request: Request,
) -> Result<Found, Refusal> {
    let (mut parts, body) = request.into_parts();
    let caller = Caller::from_request_parts(&mut parts, shared).await?;
    // Nobody is told what is wrong with it before it is known who they are.
    let text = key.map_err(|invalid| Wrong::new("Idempotency-Key", invalid.to_string()))?;
    let body = whole(Bytes::from_request(Request::from_parts(parts.clone(), body), shared).await)?;
    let key = Key {
        scope: scope(&caller, &parts),
        text,
        fingerprint: fingerprint(&parts, &body),
    };
    if let Some(told) = shared.outlet.told_before(&key, &*shared.store).await? {
        return Ok(Found::Before(told));
    }
    parts.extensions.insert(key);
    Ok(Found::Nothing(Box::new(Request::from_parts(parts, body.into()))))
}

/// Whose key it is. It ends with a route that only contract B has, so none of contract A's is the same.
fn scope(caller: &Caller, parts: &Parts) -> String {
    let route = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
    format!("ehr {} {} {route}", caller.tenant.as_str(), parts.method)
}

fn fingerprint(parts: &Parts, body: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(parts.uri.path());
    hash.update([0]);
    hash.update(body);
    hash.finalize().into()
}
