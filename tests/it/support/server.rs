//! A server inside the test's process, with a clock that the test moves.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use wardbell::app::App;
use wardbell::clock::{Clock, ManualClock};
use wardbell::config::{Config, Environment};
use wardbell::domain::Timestamp;
use wardbell::shutdown::Shutdown;

use super::people::SECRET;
use super::{Client, Packet, Person, Rest, Visitor, in_time};

/// When tests begin, unless they say otherwise: the wire contract's own example.
pub(crate) const START: &str = "2026-02-15T10:30:00.123456+00:00";

/// A running server on 127.0.0.1 with SQLite in a folder of its own.
pub(crate) struct TestServer {
    /// The server's clock.
    pub(crate) clock: ManualClock,
    addr: SocketAddr,
    setup: Builder,
    shutdown: Shutdown,
    running: JoinHandle<()>,
}

/// How a server is started.
#[derive(Clone)]
pub(crate) struct Builder {
    mode: &'static str,
    variables: Vec<(String, String)>,
    folder: Arc<TempDir>,
    clock: ManualClock,
}

impl Builder {
    /// `open`, `token` or `legacy`.
    pub(crate) fn mode(mut self, mode: &'static str) -> Self {
        self.mode = mode;
        self
    }

    /// With this environment variable, such as `WARDBELL__ALERTS__PER_MINUTE`.
    pub(crate) fn set(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    fn database(&self) -> PathBuf {
        self.folder.path().join("wardbell.db")
    }

    /// Starts it.
    pub(crate) async fn start(self) -> TestServer {
        let mut variables = vec![
            ("AUTH_MODE".to_owned(), self.mode.to_owned()),
            (
                "DATABASE_URL".to_owned(),
                format!("sqlite://{}", self.database().display()),
            ),
        ];
        if self.mode != "open" {
            variables.push(("JWT_SECRET_KEY".to_owned(), SECRET.to_owned()));
        }
        variables.extend(self.variables.iter().cloned());
        let config =
            Config::load(None, &Environment::from_iter(variables)).unwrap_or_else(|invalid| panic!("{invalid}"));

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let shutdown = Shutdown::without_signals(Duration::from_secs(5));
        let app = App::build(config, Arc::new(self.clock.clone())).await.unwrap();
        let running = {
            let shutdown = shutdown.clone();
            tokio::spawn(async move {
                app.run(listener, shutdown).await.unwrap();
            })
        };
        TestServer {
            clock: self.clock.clone(),
            addr,
            setup: self,
            shutdown,
            running,
        }
    }
}

impl TestServer {
    /// A server in open mode.
    pub(crate) async fn start() -> Self {
        Self::builder().start().await
    }

    /// A server that is still to be decided on.
    pub(crate) fn builder() -> Builder {
        let start: Timestamp = START.parse().unwrap();
        Builder {
            mode: "open",
            variables: Vec::new(),
            folder: Arc::new(TempDir::new().unwrap()),
            clock: ManualClock::starting_at(start),
        }
    }

    /// Where it listens.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// A REST client without a token.
    pub(crate) fn rest(&self) -> Rest {
        Rest::new(format!("http://{}", self.addr))
    }

    /// A REST client with this person's token.
    pub(crate) fn rest_as(&self, person: &Person) -> Rest {
        self.rest().token(&person.token(self.clock.now()))
    }

    /// Somebody at the door who says nothing about themselves.
    pub(crate) fn visitor(&self) -> Visitor {
        Visitor::at(self.addr)
    }

    /// This person at the door: in `token` mode with their token, else as the existing frontend does it.
    pub(crate) fn visitor_as(&self, person: &Person) -> Visitor {
        let visitor = self
            .visitor()
            .query("user_id", person.user_id())
            .query("user_role", person.role());
        if self.setup.mode == "token" {
            visitor.auth(json!({"token": person.token(self.clock.now())}))
        } else {
            visitor
        }
    }

    /// Connects this person over a websocket.
    pub(crate) async fn connect(&self, person: &Person) -> Client {
        self.visitor_as(person).connect().await
    }

    /// Posts an alert for this patient, as a backend, and answers the response's body.
    pub(crate) async fn alert(&self, patient_id: &str, alert_type: &str, message: &str) -> Value {
        let body = json!({"patient_id": patient_id, "alert_type": alert_type, "alert_data": {"message": message}});
        let rest = if self.setup.mode == "open" {
            self.rest()
        } else {
            self.rest_as(&super::service())
        };
        let answer = rest.post("/api/alerts/patient", &body).await;
        assert!(answer.status.is_success(), "{}: {}", answer.status, answer.text);
        answer.json()
    }

    /// Proves that nothing is on its way to this client, which may join the room of `patient_id`: a critical alert for that
    /// patient is the very next thing it hears.
    pub(crate) async fn assert_silent(&self, client: &mut Client, patient_id: &str) {
        let room = format!("patient_{patient_id}");
        client.emit("join_room", json!({"room": room}));
        match client.next("room_joined").await {
            Packet::Event(name, payload) if name == "room_joined" && payload[0]["room"] == room => {}
            other => panic!("not silent: {other:?}"),
        }
        self.alert(patient_id, "critical", "marker").await;
        match client.next("the marker").await {
            Packet::Event(name, payload) if name == "patient_alert" && payload[0]["message"] == "marker" => {}
            other => panic!("not silent: {other:?}"),
        }
    }

    /// The database file.
    pub(crate) fn database(&self) -> PathBuf {
        self.setup.database()
    }

    /// Ends it softly and starts it again, on a new port, with the same data, settings and clock.
    pub(crate) async fn restart(self) -> Self {
        self.stop().await.start().await
    }

    /// Ends it softly and waits for its end. Answers how to start it again.
    pub(crate) async fn stop(self) -> Builder {
        self.shutdown.begin();
        in_time("the server ends", self.running).await.unwrap();
        self.setup
    }
}
