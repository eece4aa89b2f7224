//! From an event to its members: the real sockets, asked without a network by clients that poll.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use futures_util::future::join_all;
use http_body_util::BodyExt as _;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use tower::ServiceExt as _;
use wardbell::auth::Authenticator;
use wardbell::bus::local::LocalBus;
use wardbell::clock::{Clock, SystemClock};
use wardbell::config::{Config, Environment};
use wardbell::domain::access::Identity;
use wardbell::domain::alert::{PatientAlert, PatientAlertType};
use wardbell::domain::{EventId, PatientId, Position, Room};
use wardbell::ports::{Positioned, Store, StoreError};
use wardbell::socket::{self, Deps, RoomAccess, Settings};
use wardbell::store::sqlite::{self, SqliteStore};
use wardbell::telemetry::Metrics;

use super::{NOW, alert_data};

/// Whoever asks may: access is another path.
struct Everybody;

#[async_trait::async_trait]
impl RoomAccess for Everybody {
    async fn may_join(&self, _: &Identity, _: &Room) -> Result<bool, StoreError> {
        Ok(true)
    }
}

struct Ward {
    runtime: Runtime,
    router: Router,
    events: mpsc::Sender<Positioned>,
    last: u64,
    _folder: TempDir,
}

async fn answer(router: &Router, request: Request<Body>) -> String {
    let response = router.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

fn uri(sid: &str) -> String {
    let sid = if sid.is_empty() {
        String::new()
    } else {
        format!("&sid={sid}")
    };
    format!("/socket.io/?EIO=4&transport=polling&user_id=u1&user_role=nurse{sid}")
}

async fn poll(router: &Router, sid: &str) -> String {
    answer(router, Request::get(uri(sid)).body(Body::empty()).unwrap()).await
}

async fn say(router: &Router, sid: &str, packet: String) {
    answer(router, Request::post(uri(sid)).body(Body::from(packet)).unwrap()).await;
}

/// Polls until this event comes: pings and greetings may come before it.
async fn hear(router: &Router, sid: &str, event: &str) {
    while !poll(router, sid).await.contains(event) {}
}

impl Ward {
    fn open() -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let folder = TempDir::new().unwrap();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let settings = sqlite::Settings::at(folder.path().join("wardbell.db"));
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(settings, clock.clone()).unwrap());
        let environment = Environment::from_iter([("AUTH_MODE".to_owned(), "open".to_owned())]);
        let config = Config::load(None, &environment).unwrap_or_else(|invalid| panic!("{invalid}"));
        let deps = Deps {
            access: Arc::new(Everybody),
            contract: None,
            store,
            bus: Arc::new(LocalBus::new()),
            copies: None,
            authenticator: Arc::new(Authenticator::new(wardbell::app::settings::auth(&config.auth)).unwrap()),
            clock,
            metrics: Metrics::new(),
            // Nobody pings a client that is not there.
            settings: Settings {
                ping_interval: Duration::from_hours(24),
                ping_timeout: Duration::from_hours(24),
                events_burst: 1_000,
                ..Settings::default()
            },
        };
        let (router, server) = socket::new(deps);
        let (events, heard) = mpsc::channel(16);
        runtime.spawn(server.deliver(heard));
        Self {
            runtime,
            router,
            events,
            last: 0,
            _folder: folder,
        }
    }

    /// A client in these rooms, by its session id.
    fn join(&self, rooms: impl Iterator<Item = String>) -> String {
        self.runtime.block_on(async {
            let opened = poll(&self.router, "").await;
            let sid = opened.split('"').nth(3).unwrap().to_owned();
            say(&self.router, &sid, "40".to_owned()).await;
            hear(&self.router, &sid, "connection_response").await;
            for room in rooms {
                say(&self.router, &sid, format!(r#"42["join_room",{{"room":"{room}"}}]"#)).await;
                hear(&self.router, &sid, "room_joined").await;
            }
            sid
        })
    }

    /// Tells one event of `patient_P0`, and lets these clients take it.
    fn tell(&mut self, members: &[String]) {
        self.last += 1;
        let patient_id = PatientId::parse("P0").unwrap();
        let alert = PatientAlert {
            id: EventId::new(),
            patient_id: &patient_id,
            hospital_id: None,
            alert_type: PatientAlertType::Critical,
            data: &alert_data(),
            at: NOW,
            is_suppressed: false,
        };
        let event = Positioned {
            position: Position::from_sequence(self.last),
            event: Arc::new(alert.event().unwrap()),
        };
        self.runtime.block_on(async {
            self.events.send(event).await.unwrap();
            join_all(members.iter().map(|sid| hear(&self.router, sid, "patient_alert"))).await;
        });
    }
}

/// One event, 64 members of its room, each of whom takes it.
pub(super) fn event_to_64_members() -> Box<dyn FnMut()> {
    let mut ward = Ward::open();
    let members: Vec<String> = (0..64)
        .map(|_| ward.join(["patient_P0".to_owned()].into_iter()))
        .collect();
    Box::new(move || ward.tell(&members))
}

/// One event for one of a thousand rooms, each with one of eight members in it: what does not concern them must cost nothing.
pub(super) fn event_past_1000_rooms() -> Box<dyn FnMut()> {
    let mut ward = Ward::open();
    let members: Vec<String> = (0..8)
        .map(|member| ward.join((0..125).map(|number| format!("patient_P{}", number * 8 + member))))
        .collect();
    let concerned: Vec<String> = members.into_iter().take(1).collect();
    Box::new(move || ward.tell(&concerned))
}
