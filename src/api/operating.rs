//! What operators and machines ask: alive, ready, how much, who is connected, and what the API looks like.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Serialize;
use tokio::sync::Mutex;
use tokio::time::Instant;
use utoipa::ToSchema;

use super::answer::{Answer, json, raw};
use super::console;
use super::error::ApiError;
use super::extract::{Caller, authenticate};
use super::openapi::OPERATING;
use super::schema::Problem;
use super::{Api, SERVICE};
use crate::domain::Room;
use crate::domain::access::{Identity, Reach, Role};
use crate::shutdown::Phase;

/// How long an answer about the parts is good for. Asking the store writes; a stranger who asks often must not make it.
const CHECK_LASTS: Duration = Duration::from_secs(1);
/// How long a part may take to say that it is up.
const CHECK_PATIENCE: Duration = Duration::from_secs(2);

// ---------------------------------------------------------------- who is this

/// What this server is.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Index {
    /// Always `wardbell`.
    service: &'static str,
    version: &'static str,
    /// Where a person reads on.
    documentation: &'static str,
    /// Where a machine reads on.
    openapi: &'static str,
    health: &'static str,
    /// What is asked of whoever comes: `open`, `token` or `legacy`.
    #[schema(example = "token")]
    auth_mode: String,
}

/// What this server is, and where to read on
///
/// Browsers, which ask for `text/html`, are shown the console instead.
#[utoipa::path(
    get, path = "/", tag = OPERATING, security(()),
    responses((status = 200, description = "What this is", content((Index = "application/json"), (String = "text/html"))))
)]
pub(super) async fn index(State(api): State<Api>, headers: HeaderMap) -> Answer {
    let mut response = if api.settings.serve_console && console::is_asked_for(&headers) {
        console::page(&headers)
    } else {
        described(&api)?
    };
    response
        .headers_mut()
        .append(header::VARY, HeaderValue::from_static("accept"));
    Ok(response)
}

fn described(api: &Api) -> Answer {
    let (documentation, openapi, health) = ("/api/docs", "/api/openapi.json", "/health");
    json(
        StatusCode::OK,
        &Index {
            auth_mode: api.authenticator.mode().to_string(),
            service: SERVICE,
            version: env!("CARGO_PKG_VERSION"),
            documentation,
            openapi,
            health,
        },
    )
}

/// The process lives.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Health {
    /// Always `healthy`: whoever can answer is.
    #[schema(example = "healthy")]
    status: &'static str,
    #[schema(example = "wardbell")]
    service: &'static str,
    version: &'static str,
}

/// Liveness: touches nothing else
#[utoipa::path(get, path = "/health", tag = OPERATING, security(()), responses((status = 200, description = "The process lives", body = Health)))]
pub(super) async fn health() -> Answer {
    json(
        StatusCode::OK,
        &Health {
            status: "healthy",
            service: SERVICE,
            version: env!("CARGO_PKG_VERSION"),
        },
    )
}

// ---------------------------------------------------------------- readiness

/// What is said of a store that is gone while appends are kept on this node's own disk.
const SPOOLING: &str = "spooling";

/// Whether work may be sent here.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Ready {
    /// `ready`; `degraded`, if parts are away that this node can do without for a while; or `unready`.
    #[schema(example = "ready")]
    status: &'static str,
    /// Each part: `up`, or what is the matter with it. A store that is `spooling` is gone, and a bus that is `down` carries
    /// nothing to other nodes, which then ask the store: work is welcome all the same.
    #[schema(value_type = BTreeMap<String, String>, example = json!({"server": "up", "store": "up", "bus": "up"}))]
    parts: BTreeMap<&'static str, String>,
}

/// What was last found out about the parts, and when.
#[derive(Debug, Default)]
pub(super) struct LastCheck(Mutex<Option<(Instant, Parts)>>);

#[derive(Clone, Copy, Debug)]
struct Parts {
    is_store_up: bool,
    /// It is gone, and what is posted is kept here.
    is_spooling: bool,
    is_bus_up: bool,
}

impl LastCheck {
    /// Asks the parts, or answers what was found less than a second ago. While one asks, the others wait for the answer.
    async fn parts(&self, api: &Api) -> Parts {
        let mut last = self.0.lock().await;
        if let Some((at, parts)) = *last
            && at.elapsed() < CHECK_LASTS
        {
            return parts;
        }
        let (store, bus) = tokio::join!(
            tokio::time::timeout(CHECK_PATIENCE, api.store.check()),
            tokio::time::timeout(CHECK_PATIENCE, api.bus.check()),
        );
        if let Ok(Err(error)) = &store {
            tracing::warn!(error = error as &dyn std::error::Error, "the store is not ready");
        }
        if let Ok(Err(error)) = &bus {
            tracing::warn!(error = error as &dyn std::error::Error, "the bus is not ready");
        }
        let parts = Parts {
            is_store_up: matches!(store, Ok(Ok(()))),
            is_spooling: api.store.is_spooling(),
            is_bus_up: matches!(bus, Ok(Ok(()))),
        };
        api.metrics.store_up.set(i64::from(parts.is_store_up));
        *last = Some((Instant::now(), parts));
        parts
    }
}

/// Readiness: whether work may be sent here, and which parts are away
#[utoipa::path(
    get, path = "/ready", tag = OPERATING, security(()),
    responses(
        (status = 200, description = "It may", body = Ready,
         example = json!({"status": "degraded", "parts": {"server": "up", "store": "spooling", "bus": "up"}})),
        (status = 503, description = "It may not, and which part is the reason", body = Ready,
         example = json!({"status": "unready", "parts": {"server": "up", "store": "down", "bus": "up"}})),
    )
)]
pub(super) async fn ready(State(api): State<Api>) -> Answer {
    let Parts {
        is_store_up,
        is_spooling,
        is_bus_up,
    } = api.last_check.parts(&api).await;
    let word = |is_up: bool| if is_up { "up" } else { "down" }.to_owned();
    let phase = api.readiness.phase();
    let server = if phase == Phase::Serving {
        word(true)
    } else {
        phase.as_str().to_owned()
    };
    let store = if is_spooling && !is_store_up {
        SPOOLING.to_owned()
    } else {
        word(is_store_up)
    };
    let mut parts = BTreeMap::from([("server", server), ("store", store), ("bus", word(is_bus_up))]);
    parts.extend(api.readiness.parts_down());

    // Alerts are taken all the same while the store is gone, and reach everybody while Redis is gone. It is gone for all nodes at
    // once, most often: taking all of them out of service would turn a delay into an outage.
    let may_be_away = |part: &str, state: &str| state == SPOOLING || part == "bus";
    if parts
        .iter()
        .all(|(part, state)| state == "up" || may_be_away(part, state))
    {
        let is_whole = parts.values().all(|state| state == "up");
        let status = if is_whole { "ready" } else { "degraded" };
        return json(StatusCode::OK, &Ready { status, parts });
    }
    let mut unready = json(
        StatusCode::SERVICE_UNAVAILABLE,
        &Ready {
            status: "unready",
            parts,
        },
    )?;
    unready
        .headers_mut()
        .insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    Ok(unready)
}

// ---------------------------------------------------------------- metrics

const OPENMETRICS: HeaderValue = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// The metrics, OpenMetrics 1.0
///
/// Without a token, as Prometheus usually scrapes, unless `metrics.need_token` is set. They hold numbers, and no ids.
#[utoipa::path(
    get, path = "/metrics", tag = OPERATING, security((), ("bearer" = [])),
    responses(
        (status = 200, description = "The metrics", body = String, content_type = "application/openmetrics-text"),
        (status = 401, description = "Only if tokens are asked for: no token, or a bad one", body = Problem),
        (status = 403, description = "Only if tokens are asked for: the role `patient`", body = Problem),
    )
)]
pub(super) async fn metrics(State(api): State<Api>, headers: HeaderMap) -> Answer {
    if api.settings.metrics_need_token {
        api.services.rooms.may_see_status(&authenticate(&headers, &api)?)?;
    }
    let text = api
        .metrics
        .encode(api.started_at.elapsed())
        .map_err(|error| ApiError::internal().because(error))?;
    Ok(([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response())
}

// ---------------------------------------------------------------- sockets

/// Who is connected.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SocketStatus {
    /// Sockets connected to the namespace `/`, over all instances.
    #[schema(example = 2)]
    active_connections: usize,
    /// Members by room; rooms without members are not there. Whoever is bound to a hospital sees the rooms they may join.
    #[schema(example = json!({"hospital_hosp_456": 2, "patient_PAT-1A2B3C4D": 1}))]
    rooms: BTreeMap<String, usize>,
    /// Each instance, by name.
    nodes: Vec<NodeStatus>,
    /// There and true where the other instances could not be asked: then these are this one's alone.
    #[serde(rename = "partial", skip_serializing_if = "std::ops::Not::not")]
    is_partial: bool,
}

/// One instance's share.
#[derive(Debug, Serialize, ToSchema)]
struct NodeStatus {
    /// What it is called (`server.node`); empty where it has no name.
    #[schema(example = "a")]
    node: String,
    /// Its sockets.
    #[schema(example = 2)]
    active_connections: usize,
}

/// Sockets and rooms, over all instances
#[utoipa::path(
    get, path = "/api/status/socket", tag = OPERATING,
    responses(
        (status = 200, description = "Who is connected", body = SocketStatus),
        (status = 401, description = "No token, or a bad one", body = Problem),
        (status = 403, description = "The role `patient`", body = Problem),
    )
)]
pub(super) async fn socket_status(State(api): State<Api>, Caller(caller): Caller) -> Answer {
    api.services.rooms.may_see_status(&caller)?;
    let status = api.connections.status().await;
    let rooms = visible(&api, &caller, status.rooms).await?;
    json(
        StatusCode::OK,
        &SocketStatus {
            active_connections: status.active_connections,
            rooms,
            nodes: status
                .nodes
                .into_iter()
                .map(|of| NodeStatus {
                    node: of.node,
                    active_connections: of.active_connections,
                })
                .collect(),
            is_partial: status.is_partial,
        },
    )
}

/// The rooms that concern the asker: names of rooms carry ids of patients.
async fn visible(
    api: &Api,
    by: &Identity,
    rooms: BTreeMap<String, usize>,
) -> Result<BTreeMap<String, usize>, ApiError> {
    if by.reach() == Reach::Everything {
        return Ok(rooms);
    }
    // A service joins no rooms; one that is bound to a hospital sees what the hospital's staff may join.
    let role = if by.role == Role::Service { Role::Staff } else { by.role };
    let as_staff = Identity { role, ..by.clone() };
    let mut visible = BTreeMap::new();
    for (name, members) in rooms {
        if let Ok(room) = name.parse::<Room>()
            && api.services.rooms.may_join(&as_staff, &room).await?
        {
            visible.insert(name, members);
        }
    }
    Ok(visible)
}

// ---------------------------------------------------------------- documentation

/// This document
#[utoipa::path(get, path = "/api/openapi.json", tag = OPERATING, security(()), responses((status = 200, description = "The OpenAPI document", body = Object)))]
pub(super) async fn openapi_json(State(api): State<Api>) -> Response {
    raw(StatusCode::OK, api.openapi.clone())
}

/// Swagger UI needs inline styles and images from `data:`; scripts come from here alone, and it may talk to nobody else.
const DOCS_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// The folder: the page's assets are relative to it.
pub(super) async fn docs_folder() -> Redirect {
    // Relative, so that it holds behind a proxy that serves us under a prefix.
    Redirect::to("docs/")
}

/// The page.
pub(super) async fn docs_page() -> Answer {
    docs_file("index.html")
}

/// Its scripts, styles and images.
pub(super) async fn docs_asset(Path(name): Path<String>) -> Answer {
    docs_file(&name)
}

fn docs_file(name: &str) -> Answer {
    let config = Arc::new(utoipa_swagger_ui::Config::from("../openapi.json"));
    let file =
        utoipa_swagger_ui::serve(name, config).map_err(|error| ApiError::internal().because(error.to_string()))?;
    let file = file.ok_or_else(|| ApiError::not_found("there is no such page"))?;
    let mut response = Response::new(Body::from(file.bytes.into_owned()));
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::try_from(file.content_type).unwrap_or(super::answer::JSON),
    );
    headers.insert(header::CONTENT_SECURITY_POLICY, DOCS_POLICY);
    if file.gzpipped {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    Ok(response)
}
