//! `Idempotency-Key`: what a backend tells again under the same key is told once, and answered as it was the first time.
//!
//! Keys are those of a tenant and a route. A key belongs to one path and body: with another it is refused, so that nothing is
//! ever taken for something else that was told before.

use std::sync::Arc;

use axum::extract::{FromRequest as _, FromRequestParts as _, MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, request::Parts};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::{Caller, Refusal, accepted, whole};
use crate::ehr::entities::Wrong;
use crate::ehr::outlet::{Key, Told};
use crate::ehr::shared::Shared;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Says that an answer is one that was given before.
pub(super) const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// The longest key, in characters.
const MAX_KEY: usize = 255;

/// Answers what was told before under the same key; hands everything else on, with its [`Key`] for [`Caller`] to find.
pub(super) async fn once(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    // Questions change nothing: they may be asked as often as somebody likes.
    if request.method() == Method::GET || !request.headers().contains_key(IDEMPOTENCY_KEY) {
        return next.run(request).await;
    }
    match look_up(&shared, request).await {
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

async fn look_up(shared: &Arc<Shared>, request: Request) -> Result<Found, Refusal> {
    let (mut parts, body) = request.into_parts();
    let caller = Caller::from_request_parts(&mut parts, shared).await?;
    let key = key(&parts.headers)?;
    let body = whole(Bytes::from_request(Request::from_parts(parts.clone(), body), shared).await)?;
    let key = Key {
        scope: scope(&caller, &parts),
        text: key,
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

/// The key: 1 to 255 visible ASCII characters, once.
fn key(headers: &HeaderMap) -> Result<String, Wrong> {
    let mut keys = headers.get_all(IDEMPOTENCY_KEY).iter().map(HeaderValue::to_str);
    match (keys.next(), keys.next()) {
        (Some(Ok(key)), None)
            if (1..=MAX_KEY).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic()) =>
        {
            Ok(key.to_owned())
        }
        _ => Err(Wrong::new(
            "Idempotency-Key",
            "must be one value of 1 to 255 visible ASCII characters",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(values: &[&[u8]]) -> Result<String, String> {
        let headers = values
            .iter()
            .map(|value| (IDEMPOTENCY_KEY, HeaderValue::from_bytes(value).unwrap()))
            .collect();
        key(&headers).map_err(|wrong| wrong.to_string())
    }

    #[test]
    fn a_key_is_taken_as_it_is() {
        assert_eq!(keys(&[b"a-1"]), Ok("a-1".to_owned()));
        assert_eq!(keys(&["k".repeat(255).as_bytes()]), Ok("k".repeat(255)));
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
            let why = keys(wrong).unwrap_err();

            assert!(why.contains("Idempotency-Key"), "{why}");
        }
    }
}
