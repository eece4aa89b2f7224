//! A node without its edges: store, emitter and bus, and a delivery that notes what it is handed.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use wardbell::bus::redis::{RedisBus, Server, Settings};
use wardbell::clock::{Clock, SystemClock};
use wardbell::domain::{Event, EventId, Position};
use wardbell::emitter::{EmitError, Emitted, Emitter};
use wardbell::ports::{Append, Bus, EventStore, Positioned};
use wardbell::store::postgres::{PostgresStore, Settings as PostgresSettings};
use wardbell::telemetry::Metrics;

use crate::store::conformance::fixtures;
use crate::support::eventually;
use crate::support::postgres::Postgres;

/// The room that all events here are told to.
pub(super) const ROOM: &str = "patient_P1";

/// A database of its own on the shared server.
pub(super) async fn database() -> String {
    tokio::task::spawn_blocking(|| Postgres::shared().database())
        .await
        .unwrap()
}

/// One node.
pub(super) struct Node {
    pub(super) bus: Arc<RedisBus>,
    pub(super) store: Arc<dyn EventStore>,
    pub(super) metrics: Metrics,
    emitter: Emitter,
    heard: Arc<Mutex<Vec<Positioned>>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Node {
    /// A node on this Redis and this database.
    pub(super) async fn start(redis: &str, database: &str) -> Self {
        Self::with(
            settings(Server::parse(&redis.to_owned().into(), None).unwrap()),
            database,
        )
        .await
    }

    pub(super) async fn with(settings: Settings, database: &str) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let store = PostgresStore::open(PostgresSettings::at(database.to_owned()), clock.clone())
            .await
            .unwrap();
        Self::on(settings, Arc::new(store))
    }

    pub(super) fn on(settings: Settings, store: Arc<dyn EventStore>) -> Self {
        let (clock, metrics): (Arc<dyn Clock>, _) = (Arc::new(SystemClock), Metrics::new());
        let (bus, bus_tasks) = RedisBus::new(settings, store.clone(), metrics.clone());
        let bus = Arc::new(bus);
        let (emitter, emitter_task) = Emitter::new(store.clone(), bus.clone(), clock, metrics.clone());
        let heard = Arc::new(Mutex::new(Vec::new()));
        let mut events = bus.subscribe();
        let notes = heard.clone();
        let tasks = vec![
            tokio::spawn(bus_tasks.run()),
            tokio::spawn(emitter_task.run(CancellationToken::new())),
            tokio::spawn(async move {
                while let Some(positioned) = events.recv().await {
                    notes.lock().unwrap().push(positioned);
                }
            }),
        ];
        Self {
            bus,
            store,
            metrics,
            emitter,
            heard,
            tasks,
        }
    }

    /// Waits until Redis answers this node.
    pub(super) async fn until_connected(&self) {
        eventually("the node is connected", async || self.bus.check().await.ok()).await;
    }

    /// Emits an event, as a use case does.
    pub(super) async fn emit(&self) -> EventId {
        self.try_emit(fixtures::event(&[ROOM])).await.unwrap()
    }

    pub(super) async fn try_emit(&self, event: Event) -> Result<EventId, EmitError> {
        let id = event.id;
        let append = Append {
            events: vec![Arc::new(event)],
            ..Append::default()
        };
        match self.emitter.emit(append).await? {
            Emitted::Now(_) => Ok(id),
            Emitted::Before(_) => panic!("it has no idempotency key"),
        }
    }

    /// A handle that emits from another task.
    pub(super) fn emitter(&self) -> Emitter {
        self.emitter.clone()
    }

    /// What was handed to delivery so far.
    pub(super) fn heard(&self) -> Vec<Positioned> {
        self.heard.lock().unwrap().clone()
    }

    pub(super) fn ids(&self) -> Vec<EventId> {
        self.heard().iter().map(|positioned| positioned.event.id).collect()
    }

    pub(super) fn positions(&self) -> Vec<Position> {
        self.heard().iter().map(|positioned| positioned.position).collect()
    }

    /// Waits until it has handed on all of these.
    pub(super) async fn hears_all(&self, what: &str, expected: &[EventId]) {
        let expected: HashSet<EventId> = expected.iter().copied().collect();
        eventually(what, async || {
            let heard: HashSet<EventId> = self.ids().into_iter().collect();
            expected.is_subset(&heard).then_some(())
        })
        .await;
    }

    /// What a counter shows.
    pub(super) fn counter(&self, name: &str) -> u64 {
        let text = self.metrics.encode(Duration::ZERO).unwrap();
        let line = text.lines().find(|line| line.starts_with(&format!("wardbell_{name} ")));
        line.and_then(|line| line.rsplit(' ').next())
            .map_or(0, |value| value.parse().unwrap())
    }

    /// Waits until the bus has ended by itself, and all that it handed on is noted.
    pub(super) async fn ended(&self) {
        eventually("the bus ends", async || {
            (self.tasks[0].is_finished() && self.tasks[2].is_finished()).then_some(())
        })
        .await;
    }

    /// Ends it at once, as kill -9 does.
    pub(super) fn kill(&self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The usual settings on this Redis.
pub(super) fn settings(server: Server) -> Settings {
    Settings {
        server,
        prefix: "wardbell".to_owned(),
        max_events: 100_000,
        max_age: Duration::from_mins(10),
    }
}

/// Every node handed on exactly these, once each, in one order and with positions that never go back.
pub(super) fn assert_one_order(nodes: &[&Node], expected: &[EventId]) {
    let expected: HashSet<EventId> = expected.iter().copied().collect();
    let first = nodes[0].ids();
    for (index, node) in nodes.iter().enumerate() {
        let ids = node.ids();
        assert_eq!(ids.len(), expected.len(), "node {index}: each once");
        assert_eq!(
            ids.iter().copied().collect::<HashSet<_>>(),
            expected,
            "node {index}: all of them"
        );
        assert_eq!(ids, first, "node {index}: the same order as node 0");
        assert!(
            node.positions().is_sorted_by(|a, b| a < b),
            "node {index}: positions only grow"
        );
    }
}
