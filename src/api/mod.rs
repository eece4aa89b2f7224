//! REST, contract A §5: every route on one screen, and one file for each resource.
//!
//! It reads requests, asks the services, and writes their outcomes and refusals as JSON. It refuses to know sockets, SQL and
//! what a role may do.

mod alerts;
mod answer;
mod beds;
mod console;
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
mod values;

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
    /// Routes of another contract on the same port, and what is documented of them. They are observed and documented like
    /// ours, and answered by whoever made them.
    pub beside: Option<(Router, utoipa::openapi::OpenApi)>,
    /// What can be chosen.
    pub settings: Settings,
}

/// What can be chosen about the API.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of its own in the configuration"
)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The largest body, in bytes; larger ones are answered 413.
    pub max_body_bytes: usize,
    /// Requests a caller (a token's `sub`) may send in a second, as many at once; 0 is no limit. Alerts and predictions
    /// are never refused for it.
    pub rate_limit_per_second: u32,
    /// Whether `/api/openapi.json` and `/api/docs` are served.
    pub serve_docs: bool,
    /// Whether browsers are shown the console at `/`.
    pub serve_console: bool,
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
            serve_console: true,
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

/// Pages of the documentation, which the document does not list; nor does it list the console's assets.
const DOCS: [&str; 3] = ["/api/docs", "/api/docs/", "/api/docs/{*asset}"];

/// The whole REST API, with its own answers to what is no route (404) and no method of one (405).
///
/// # Panics
/// Never: that two routes do not collide is a matter of the code, and every test starts here.
pub fn router(mut deps: Deps) -> Router {
    let beside = deps.beside.take();
    let mut all = routes();
    if deps.settings.serve_metrics {
        all = all.merge(metrics());
    }
    if deps.settings.serve_docs {
        all = all.merge(docs());
    }
    if deps.settings.serve_console {
        all = all.route(console::ASSETS, routing::get(console::asset));
    }
    let (mut router, mut document) = all.split_for_parts();
    if let Some((theirs, documented)) = beside {
        router = router.merge(theirs.with_state(()));
        document.merge(documented);
    }
    let api = Api::new(deps, &document);
    router
        .fallback(|| async { error::ApiError::not_found("there is no such route") })
        .method_not_allowed_fallback(|| async { error::ApiError::method_not_allowed() })
        .layer(middleware::from_fn_with_state(api.clone(), observe::observe))
        .with_state(api)
}

impl Api {
    fn new(deps: Deps, document: &utoipa::openapi::OpenApi) -> Self {
        let routes = document
            .paths
            .paths
            .keys()
            .cloned()
            .chain(DOCS.map(Into::into))
            .chain([console::ASSETS.into()]);
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

#[cfg(test)]
mod tests {
    //! What cannot be brought about from outside: a part that fails, a handler that panics or hangs. Everything else is tested
    //! over HTTP, in `tests/it/api`.

    use std::sync::Arc;
    use std::time::Duration;

    use async_trait::async_trait;
    use axum::body::Body;
    use axum::http::{Request, Response, StatusCode};
    use axum::{Router, middleware, routing};
    use http_body_util::BodyExt;
    use tempfile::TempDir;
    use tokio_util::sync::CancellationToken;
    use tower::ServiceExt;
    use utoipa::OpenApi;

    use super::{Api, Deps, Settings, observe, openapi, router};
    use crate::auth::{self, Authenticator};
    use crate::bus::local::LocalBus;
    use crate::clock::SystemClock;
    use crate::emitter::Emitter;
    use crate::ports::{Bus, Connections, SocketStatus, Store};
    use crate::service::{self, Services};
    use crate::shutdown::Readiness;
    use crate::store::sqlite::{self, SqliteStore};
    use crate::telemetry::Metrics;

    /// Nobody is connected.
    struct Nobody;

    #[async_trait]
    impl Connections for Nobody {
        async fn status(&self) -> SocketStatus {
            SocketStatus::default()
        }
    }

    /// A node in open mode whose parts a test can take away.
    struct Node {
        store: Arc<dyn Store>,
        readiness: Readiness,
        metrics: Metrics,
        stop: CancellationToken,
        _folder: TempDir,
    }

    impl Node {
        fn new() -> (Self, Deps) {
            let folder = TempDir::new().unwrap();
            let clock = Arc::new(SystemClock);
            let settings = sqlite::Settings::at(folder.path().join("wardbell.db"));
            let store: Arc<dyn Store> = Arc::new(SqliteStore::open(settings, clock.clone()).unwrap());
            let bus: Arc<dyn Bus> = Arc::new(LocalBus::new());
            let (metrics, readiness, stop) = (Metrics::new(), Readiness::default(), CancellationToken::new());
            let (emitter, task) = Emitter::new(store.clone(), bus.clone(), clock.clone(), metrics.clone());
            tokio::spawn(task.run(stop.clone()));
            let settings = service::Settings::default();
            let (services, _worker) = Services::new(store.clone(), emitter, clock.clone(), metrics.clone(), settings);
            let authenticator = Authenticator::new(auth::Settings {
                mode: auth::Mode::Open,
                algorithm: auth::Algorithm::Hs256,
                secret: None,
                public_key_pem: None,
                audience: None,
                leeway: Duration::ZERO,
            });
            readiness.started(&stop);
            let deps = Deps {
                services,
                store: store.clone(),
                bus,
                connections: Arc::new(Nobody),
                authenticator: Arc::new(authenticator.unwrap()),
                clock,
                metrics: metrics.clone(),
                readiness: readiness.clone(),
                beside: None,
                settings: Settings::default(),
            };
            (
                Self {
                    store,
                    readiness,
                    metrics,
                    stop,
                    _folder: folder,
                },
                deps,
            )
        }
    }

    async fn ask(router: &Router, request: Request<Body>) -> (StatusCode, Response<()>, String) {
        let (head, body) = router.clone().oneshot(request).await.unwrap().into_parts();
        let body = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        (head.status, Response::from_parts(head, ()), body)
    }

    fn get(path: &str) -> Request<Body> {
        Request::get(path).body(Body::empty()).unwrap()
    }

    #[tokio::test]
    async fn readiness_names_the_part_that_is_down_and_asks_the_parts_once_a_second() {
        let (node, deps) = Node::new();
        let router = router(deps);
        assert_eq!(ask(&router, get("/ready")).await.0, StatusCode::OK);

        node.store.close().await;
        // Not earlier: while time stands still, waiting for the store's own thread would let it jump to the next timeout.
        tokio::time::pause();
        let (at_once, ..) = ask(&router, get("/ready")).await;
        tokio::time::advance(Duration::from_secs(1)).await;
        let (later, head, body) = ask(&router, get("/ready")).await;

        assert_eq!((at_once, later), (StatusCode::OK, StatusCode::SERVICE_UNAVAILABLE));
        assert_eq!(
            body,
            r#"{"status":"unready","parts":{"bus":"up","server":"up","store":"down"}}"#
        );
        assert!(head.headers().contains_key("retry-after"));
    }

    #[tokio::test]
    async fn a_node_that_stops_is_not_ready_and_lives() {
        let (node, deps) = Node::new();
        let router = router(deps);

        node.stop.cancel();
        let (ready, _, body) = ask(&router, get("/ready")).await;
        let (health, ..) = ask(&router, get("/health")).await;

        assert_eq!((ready, health), (StatusCode::SERVICE_UNAVAILABLE, StatusCode::OK));
        assert!(body.contains(r#""server":"stopping""#), "{body}");
    }

    #[tokio::test]
    async fn a_part_that_reports_itself_down_makes_the_node_unready() {
        let (node, deps) = Node::new();
        let router = router(deps);

        node.readiness.down("store", "no space left");
        let (status, _, body) = ask(&router, get("/ready")).await;

        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(body.contains(r#""store":"no space left""#), "{body}");
    }

    #[tokio::test]
    async fn what_cannot_be_made_durable_is_answered_503_and_the_cause_stays_inside() {
        let (node, deps) = Node::new();
        let router = router(deps);
        node.store.close().await;
        let alert = r#"{"patient_id":"P1","alert_type":"critical","alert_data":{}}"#;
        let post = Request::post("/api/alerts/patient").header("content-type", "application/json");

        let (status, head, body) = ask(&router, post.body(Body::from(alert)).unwrap()).await;

        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{body}");
        assert_eq!(head.headers().get("retry-after").unwrap(), "1");
        assert!(body.contains("send it again") && !body.contains("clos"), "{body}");
    }

    async fn panics() {
        panic!("a secret of the handler");
    }

    #[tokio::test(start_paused = true)]
    async fn a_handler_that_panics_or_hangs_is_answered_for() {
        let (node, deps) = Node::new();
        let api = Api::new(deps, &openapi::Document::openapi());
        let router = Router::new()
            .route("/panics", routing::get(panics))
            .route("/hangs", routing::get(std::future::pending::<()>))
            .layer(middleware::from_fn_with_state(api, observe::observe));

        let (panicked, head, body) = ask(&router, get("/panics")).await;
        let (hung, ..) = ask(&router, get("/hangs")).await;

        assert_eq!(
            (panicked, hung),
            (StatusCode::INTERNAL_SERVER_ERROR, StatusCode::SERVICE_UNAVAILABLE)
        );
        assert_eq!(body, r#"{"error":"internal server error","status_code":500}"#);
        assert!(head.headers().contains_key("x-request-id"));
        let metrics = node.metrics.encode(Duration::ZERO).unwrap();
        assert!(metrics.contains(r#"route="/panics",status="500"} 1"#), "{metrics}");
    }
}
