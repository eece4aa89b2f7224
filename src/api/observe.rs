//! Around every request: its id, its time limit, what is counted and logged of it, and the headers that every answer has.
//!
//! Logs and metrics carry the route's pattern, never the path: paths carry ids.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use uuid::Uuid;

use super::Api;
use super::error::{ApiError, Cause};
use crate::telemetry::RequestLabels;

/// The longest request; what takes longer is answered 503.
const REQUEST_PATIENCE: Duration = Duration::from_secs(30);
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The longest request id of a client that is taken over, in characters.
const MAX_REQUEST_ID: usize = 128;
/// What is counted for a path that is no route.
const UNMATCHED: &str = "unmatched";

/// The one middleware of the API. One, because each costs an allocation or two on the way of every alert.
pub(super) async fn observe(State(api): State<Api>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let request_id = request_id(&request);
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();

    let handled = tokio::time::timeout(REQUEST_PATIENCE, AssertUnwindSafe(next.run(request)).catch_unwind()).await;
    let mut response = match handled {
        Ok(Ok(response)) => response,
        Ok(Err(_panic)) => ApiError::internal().because("the handler panicked").into_response(),
        Err(_elapsed) => ApiError::unavailable("the request took too long")
            .because("timed out")
            .into_response(),
    };

    let status = response.status();
    let route = route.as_ref().map_or(UNMATCHED, MatchedPath::as_str);
    api.requests.count(&method, route, status);
    let cause = response.extensions_mut().remove::<Cause>();
    log(&method, route, status, begun.elapsed(), &request_id, cause);

    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, request_id);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

/// The client's own id if it is sane (1 to 128 visible ASCII characters), else a new one.
fn request_id(request: &Request) -> HeaderValue {
    let is_sane =
        |id: &&HeaderValue| (1..=MAX_REQUEST_ID).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic);
    if let Some(theirs) = request.headers().get(REQUEST_ID).filter(is_sane) {
        return theirs.clone();
    }
    let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
    let id = Uuid::now_v7().hyphenated().encode_lower(&mut text);
    HeaderValue::from_str(id).unwrap_or(HeaderValue::from_static("unknown"))
}

fn log(method: &Method, route: &str, status: StatusCode, took: Duration, id: &HeaderValue, cause: Option<Cause>) {
    let (method, status, id) = (method.as_str(), status.as_u16(), id.to_str().unwrap_or_default());
    let duration_ms = took.as_secs_f64() * 1e3;
    let cause = cause.as_ref().map(|Cause(cause)| &**cause as &dyn std::error::Error);
    match status {
        500 => {
            tracing::error!(
                http.method = method,
                http.route = route,
                http.status = status,
                duration_ms,
                request.id = id,
                error = cause,
                "request failed"
            );
        }
        501.. => {
            tracing::warn!(
                http.method = method,
                http.route = route,
                http.status = status,
                duration_ms,
                request.id = id,
                error = cause,
                "request not served"
            );
        }
        400..=499 => {
            tracing::info!(
                http.method = method,
                http.route = route,
                http.status = status,
                duration_ms,
                request.id = id,
                error = cause,
                "request refused"
            );
        }
        _ => {
            tracing::debug!(
                http.method = method,
                http.route = route,
                http.status = status,
                duration_ms,
                request.id = id,
                "request"
            );
        }
    }
}

/// Methods and statuses that are counted without looking the counter up by its labels.
const METHODS: [Method; 7] = [
    Method::GET,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::HEAD,
    Method::OPTIONS,
    Method::DELETE,
];
const STATUSES: [StatusCode; 16] = [
    StatusCode::OK,
    StatusCode::CREATED,
    StatusCode::ACCEPTED,
    StatusCode::SEE_OTHER,
    StatusCode::BAD_REQUEST,
    StatusCode::UNAUTHORIZED,
    StatusCode::FORBIDDEN,
    StatusCode::NOT_FOUND,
    StatusCode::METHOD_NOT_ALLOWED,
    StatusCode::REQUEST_TIMEOUT,
    StatusCode::PAYLOAD_TOO_LARGE,
    StatusCode::UNSUPPORTED_MEDIA_TYPE,
    StatusCode::UNPROCESSABLE_ENTITY,
    StatusCode::TOO_MANY_REQUESTS,
    StatusCode::INTERNAL_SERVER_ERROR,
    StatusCode::SERVICE_UNAVAILABLE,
];

/// The counters of `http_requests`, at hand by route: looking one up in the family would allocate its labels each time.
#[derive(Debug)]
pub(super) struct RequestCounters {
    family: Family<RequestLabels, Counter>,
    routes: HashMap<String, [[OnceLock<Counter>; STATUSES.len()]; METHODS.len()]>,
}

impl RequestCounters {
    /// Counters for these route patterns.
    pub(super) fn new(family: Family<RequestLabels, Counter>, routes: impl IntoIterator<Item = String>) -> Self {
        let routes = routes
            .into_iter()
            .chain([UNMATCHED.to_owned()])
            .map(|route| (route, Default::default()))
            .collect();
        Self { family, routes }
    }

    fn count(&self, method: &Method, route: &str, status: StatusCode) {
        let at_hand = || {
            let method = METHODS.iter().position(|known| known == method)?;
            let status = STATUSES.iter().position(|known| *known == status)?;
            self.routes.get(route)?.get(method)?.get(status)
        };
        if let Some(counter) = at_hand() {
            counter
                .get_or_init(|| self.look_up(method.as_str(), route, status))
                .inc();
        } else {
            // A client can make methods up; it cannot make labels up.
            let method = if METHODS.contains(method) {
                method.as_str()
            } else {
                "other"
            };
            self.look_up(method, route, status).inc();
        }
    }

    fn look_up(&self, method: &str, route: &str, status: StatusCode) -> Counter {
        let labels = RequestLabels {
            method: method.to_owned(),
            route: route.to_owned(),
            status: status.as_u16(),
        };
        self.family.get_or_create_owned(&labels)
    }
}
