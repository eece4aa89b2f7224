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
