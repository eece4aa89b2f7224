//! Which web pages may speak to this server.
//!
//! A browser says in `Origin` which page a request comes from, also where CORS does not apply: websockets, and posts that
//! need no preflight. So an origin that is not configured is refused here, before anything reads the request. Programs send
//! no `Origin` and pass.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Json;
use axum::Router;
use axum::extract::Request;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, LINK, ORIGIN, RETRY_AFTER};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, request::Parts};
use axum::response::{IntoResponse, Response};
use futures_util::future::{Either, Ready, ready};
use serde_json::json;
use tower::{Layer as _, Service};
use tower_http::cors::{AllowOrigin, Cors, CorsLayer};

/// The origins whose pages may speak to this server.
#[derive(Clone, Debug)]
pub(crate) struct OriginPolicy {
    allowed: Arc<[String]>,
    is_any_allowed: bool,
    /// Nobody is asked for a token: then the page's own host must be this machine, or any site could point its name here
    /// (DNS rebinding) and call itself same-origin.
    is_loopback_only: bool,
}

impl OriginPolicy {
    /// Allows the `configured` origins (`https://ward.example`), all if one of them is `*`, and the server's own pages.
    pub(crate) fn new(configured: &[String], is_loopback_only: bool) -> Self {
        Self {
            allowed: configured
                .iter()
                .map(|origin| origin.trim_end_matches('/').to_ascii_lowercase())
                .collect(),
            is_any_allowed: configured.iter().any(|origin| origin == "*"),
            is_loopback_only,
        }
    }

    /// Puts the policy, and the CORS headers that follow from it, around everything that `router` serves.
    pub(crate) fn guard(self, router: Router) -> Guarded {
        let cors = self.cors();
        let door = Door {
            policy: self,
            inner: router.clone(),
        };
        Guarded {
            programs: router,
            pages: Arc::new(cors.layer(door)),
        }
    }

    fn cors(&self) -> CorsLayer {
        let policy = self.clone();
        let layer = CorsLayer::new()
            .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
            .allow_headers([
                AUTHORIZATION,
                CONTENT_TYPE,
                HeaderName::from_static("idempotency-key"),
                HeaderName::from_static("x-request-id"),
                HeaderName::from_static("x-tenant-id"),
            ])
            .expose_headers([
                LINK,
                RETRY_AFTER,
                HeaderName::from_static("x-request-id"),
                HeaderName::from_static("idempotency-replayed"),
            ])
            .max_age(std::time::Duration::from_hours(1));
        if self.is_any_allowed {
            // Credentials and a wildcard exclude each other; tokens travel in `Authorization`, which needs none.
            layer.allow_origin(tower_http::cors::Any)
        } else {
            let is_allowed = move |origin: &HeaderValue, parts: &Parts| policy.allows(origin, parts.headers.get(HOST));
            layer
                .allow_origin(AllowOrigin::predicate(is_allowed))
                .allow_credentials(true)
        }
    }

    fn allows(&self, origin: &HeaderValue, host: Option<&HeaderValue>) -> bool {
        let Ok(origin) = origin.to_str() else { return false };
        let origin = origin.to_ascii_lowercase();
        self.is_any_allowed || self.allowed.contains(&origin) || self.is_own_page(&origin, host)
    }

    fn is_own_page(&self, origin: &str, host: Option<&HeaderValue>) -> bool {
        let Some(host) = host.and_then(|host| host.to_str().ok()) else {
            return false;
        };
        let authority = origin.split_once("://").map(|(_, authority)| authority);
        authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
            && (!self.is_loopback_only || is_loopback(host))
    }
}

/// Whether an authority (`host` or `host:port`) names this machine.
fn is_loopback(authority: &str) -> bool {
    let host = match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    host.eq_ignore_ascii_case("localhost") || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Everything that is served, behind the policy. What a program posts, such as every alert of a backend, has no `Origin`, nobody
/// caches its answer, and it passes without an allocation.
#[derive(Clone)]
pub(crate) struct Guarded {
    programs: Router,
    pages: Arc<Cors<Door>>,
}

impl Service<Request> for Guarded {
    type Response = Response;
    type Error = Infallible;
    type Future = Either<<Router as Service<Request>>::Future, <Cors<Door> as Service<Request>>::Future>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(())) // a router always is
    }

    fn call(&mut self, request: Request) -> Self::Future {
        if request.headers().contains_key(ORIGIN) || request.method().is_safe() {
            Either::Right(Cors::clone(&self.pages).call(request))
        } else {
            Either::Left(self.programs.call(request))
        }
    }
}

/// Refuses what comes from foreign pages.
#[derive(Clone)]
pub(crate) struct Door {
    policy: OriginPolicy,
    inner: Router,
}

impl Service<Request> for Door {
    type Response = Response;
    type Error = Infallible;
    type Future = Either<Ready<Result<Response, Infallible>>, <Router as Service<Request>>::Future>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(())) // a router always is
    }

    fn call(&mut self, request: Request) -> Self::Future {
        match request.headers().get(ORIGIN) {
            Some(origin) if !self.policy.allows(origin, request.headers().get(HOST)) => {
                let body = json!({"error": "Origin not allowed", "status_code": 403});
                Either::Left(ready(Ok((StatusCode::FORBIDDEN, Json(body)).into_response())))
            }
            Some(_) | None => Either::Right(self.inner.call(request)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(policy: &OriginPolicy, origin: &'static str, host: &'static str) -> bool {
        policy.allows(&HeaderValue::from_static(origin), Some(&HeaderValue::from_static(host)))
    }

    #[test]
    fn a_configured_origin_may_speak_and_no_other() {
        let policy = OriginPolicy::new(&["https://ward.example/".into()], false);

        assert!(allows(&policy, "https://ward.example", "alerts.example"));
        assert!(!allows(&policy, "http://ward.example", "alerts.example"));
        assert!(!allows(&policy, "https://ward.example.evil", "alerts.example"));
        assert!(!allows(&policy, "null", "alerts.example"));
    }

    #[test]
    fn the_servers_own_pages_may_speak() {
        let policy = OriginPolicy::new(&[], false);

        assert!(allows(&policy, "https://alerts.example", "alerts.example"));
        assert!(!allows(&policy, "https://alerts.example:8443", "alerts.example"));
    }

    #[test]
    fn without_tokens_a_name_that_is_rebound_to_this_machine_is_not_our_own_page() {
        let policy = OriginPolicy::new(&[], true);

        assert!(!allows(&policy, "http://evil.example:5000", "evil.example:5000"));
        assert!(allows(&policy, "http://localhost:5000", "localhost:5000"));
        assert!(allows(&policy, "http://[::1]:5000", "[::1]:5000"));
    }

    #[test]
    fn a_star_lets_every_page_speak() {
        assert!(allows(
            &OriginPolicy::new(&["*".into()], false),
            "https://anywhere.example",
            "alerts.example"
        ));
    }
}
