//! REST, contract A §5: every route on one screen, and one file for each resource.
//!
//! It reads requests, asks the services, and writes their outcomes and refusals as JSON. It refuses to know sockets, SQL and
//! what a role may do.

mod alerts;
mod answer;
mod beds;
mod error;
mod extract;
mod fields;
mod limit;
mod observe;
mod openapi;
mod operating;
mod posted;
mod risk;
mod schema;
mod staff;
mod triage;

#[cfg(test)]
mod tests;

use std::ops::Deref;
use std::sync::Arc;
use std::time::Instant;

use axum::{Router, middleware, routing};
use bytes::Bytes;
use utoipa::OpenApi as _;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::{self, Authenticator};
use crate::clock::Clock;
use crate::domain::access::Identity;
use crate::ports::{Bus, Connections, Store};
use crate::service::Services;
use crate::shutdown::Readiness;
use crate::telemetry::Metrics;

/// The service's name, as it says it.
const SERVICE: &str = "wardbell";

/// What the API is built from.
pub struct Deps {
    /// The use cases.
    pub services: Services,
    /// The store: idempotency keys, readiness.
    pub store: Arc<dyn Store>,
    /// The bus: readiness.
    pub bus: Arc<dyn Bus>,
    /// Who is connected.
    pub connections: Arc<dyn Connections>,
    /// Who asks.
    pub authenticator: Arc<Authenticator>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// What is counted.
    pub metrics: Metrics,
    /// Whether this node may be sent work.
    pub readiness: Readiness,
    /// What can be chosen.
    pub settings: Settings,
}

/// What can be chosen about the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The largest body, in bytes; larger ones are answered 413.
    pub max_body_bytes: usize,
    /// Requests a caller (a token's `sub`) may send in a second, as many at once; 0 is no limit. Alerts and predictions
    /// are never refused for it.
    pub rate_limit_per_second: u32,
    /// Whether `/api/openapi.json` and `/api/docs` are served.
    pub serve_docs: bool,
    /// Whether `/metrics` is served.
    pub serve_metrics: bool,
    /// Whether `/metrics` asks for a token outside open mode. Prometheus usually scrapes without one, inside the network.
    pub metrics_need_token: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_body_bytes: 1024 * 1024,
            rate_limit_per_second: 0,
            serve_docs: true,
            serve_metrics: true,
            metrics_need_token: false,
        }
    }
}

/// What handlers share. Cheap to clone.
#[derive(Clone)]
struct Api(Arc<Shared>);

struct Shared {
    deps: Deps,
    /// Who everybody is in open mode.
    open_identity: Identity,
    callers: limit::CallerLimit,
    requests: observe::RequestCounters,
    last_check: operating::LastCheck,
    openapi: Bytes,
    started_at: Instant,
}

impl Deref for Api {
    type Target = Shared;
    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl Deref for Shared {
    type Target = Deps;
    fn deref(&self) -> &Deps {
        &self.deps
    }
}

/// Every route, with what is documented of it.
fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::with_openapi(openapi::Document::openapi())
        .routes(routes!(alerts::raise_for_patient))
        .routes(routes!(alerts::raise_for_hospital))
        .routes(routes!(alerts::history))
        .routes(routes!(alerts::timeline))
        .routes(routes!(risk::predict))
        .routes(routes!(risk::predict_async))
        .routes(routes!(risk::task_status))
        .routes(routes!(triage::open, triage::list))
        .routes(routes!(triage::put, triage::patch, triage::case))
        .routes(routes!(staff::set_availability))
        .routes(routes!(staff::login))
        .routes(routes!(staff::logout))
        .routes(routes!(staff::available))
        .routes(routes!(beds::put, beds::patch))
        .routes(routes!(beds::list))
        .routes(routes!(operating::socket_status))
        .routes(routes!(operating::health))
        .routes(routes!(operating::ready))
        .routes(routes!(operating::index))
}

/// `/metrics`, where it is served.
fn metrics() -> OpenApiRouter<Api> {
    OpenApiRouter::default().routes(routes!(operating::metrics))
}

/// The documentation, where it is served.
fn docs() -> OpenApiRouter<Api> {
    OpenApiRouter::default()
        .routes(routes!(operating::openapi_json))
        .route(DOCS[0], routing::get(operating::docs_folder))
        .route(DOCS[1], routing::get(operating::docs_page))
        .route(DOCS[2], routing::get(operating::docs_asset))
}

/// The pages that the document does not list.
const DOCS: [&str; 3] = ["/api/docs", "/api/docs/", "/api/docs/{*asset}"];

/// The whole REST API, with its own answers to what is no route (404) and no method of one (405).
///
/// # Panics
/// Never: that two routes do not collide is a matter of the code, and every test starts here.
pub fn router(deps: Deps) -> Router {
    let mut all = routes();
    if deps.settings.serve_metrics {
        all = all.merge(metrics());
    }
    if deps.settings.serve_docs {
        all = all.merge(docs());
    }
    let (router, document) = all.split_for_parts();
    let api = Api::new(deps, &document);
    router
        .fallback(|| async { error::ApiError::not_found("there is no such route") })
        .method_not_allowed_fallback(|| async { error::ApiError::method_not_allowed() })
        .layer(middleware::from_fn_with_state(api.clone(), observe::observe))
        .with_state(api)
}

impl Api {
    fn new(deps: Deps, document: &utoipa::openapi::OpenApi) -> Self {
        let routes = document.paths.paths.keys().cloned().chain(DOCS.map(Into::into));
        Self(Arc::new(Shared {
            open_identity: auth::open_identity(),
            callers: limit::CallerLimit::per_second(deps.settings.rate_limit_per_second),
            requests: observe::RequestCounters::new(deps.metrics.requests.clone(), routes),
            last_check: operating::LastCheck::default(),
            openapi: Bytes::from(serde_json::to_vec(document).unwrap_or_default()),
            started_at: Instant::now(),
            deps,
        }))
    }
}

/// The body may repeat the id of the path, not contradict it.
fn same_id<T: PartialEq>(field: &'static str, said: Option<&T>, id: &T) -> Result<(), error::ApiError> {
    match said {
        Some(said) if said != id => Err(error::ApiError::invalid(error::Details::of(
            field,
            "is not the one that the path names",
        ))),
        Some(_) | None => Ok(()),
    }
}
