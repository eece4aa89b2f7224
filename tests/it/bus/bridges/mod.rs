//! The bridges: what workers publish on a real Redis, heard by several nodes, becomes one event for each publication.

mod once;
mod outages;

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use wardbell::bus::bridges::{Bridges, Dialect, Settings};
use wardbell::bus::redis::Server;
use wardbell::clock::{Clock, SystemClock};
use wardbell::domain::{Event, EventId};
use wardbell::ports::Raise;
use wardbell::service::{self, Services, Workers};
use wardbell::store::postgres::{PostgresStore, Settings as PostgresSettings};

use crate::bus::node::{Node, database, settings};
use crate::support::eventually;
use crate::support::redis::Redis;

/// A node with bridges.
struct Ward {
    node: Node,
    listening: JoinHandle<()>,
}

impl Ward {
    async fn start(redis: &str, database: &str) -> Self {
        Self::raising(redis, database, |workers| Arc::new(workers)).await
    }

    /// A node that trusts these authorities, in PEM.
    async fn trusting(redis: &str, authorities: &[u8], database: &str) -> Self {
        let server = Server::parse(&redis.to_owned().into(), Some(authorities)).unwrap();
        Self::on(server, database, |workers| Arc::new(workers)).await
    }

    /// A node that raises what it hears in a way of its own.
    async fn raising(redis: &str, database: &str, raise: impl FnOnce(Workers) -> Arc<dyn Raise>) -> Self {
        let server = Server::parse(&redis.to_owned().into(), None).unwrap();
        Self::on(server, database, raise).await
    }

    async fn on(server: Server, database: &str, raise: impl FnOnce(Workers) -> Arc<dyn Raise>) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let store = PostgresStore::open(PostgresSettings::at(database.to_owned()), clock.clone())
            .await
            .unwrap();
        let store = Arc::new(store);
        let node = Node::on(settings(server.clone()), store.clone());
        let (services, _) = Services::new(
            store,
            node.emitter(),
            clock.clone(),
            node.metrics.clone(),
            service::Settings::default(),
        );
        let settings = Settings {
            server,
            prefix: "wardbell".to_owned(),
            python: vec!["flask-socketio".to_owned()],
            python_dialect: Dialect::Auto,
            node: vec!["socket.io".to_owned()],
            max_message_bytes: 100_000,
        };
        let bridges = Bridges::new(settings, raise(services.workers), clock, node.metrics.clone());
        let ward = Self {
            listening: tokio::spawn(bridges.run(CancellationToken::new())),
            node,
        };
        ward.until_listening(true).await;
        // From its own event on it hands on everything.
        let own = ward.node.emit().await;
        ward.node.hears_all("its own event", &[own]).await;
        ward.node.until_connected().await;
        ward
    }

    async fn until_listening(&self, is_up: bool) {
        eventually("the bridge comes or goes", async || {
            (self.node.counter("bridge_up") == u64::from(is_up)).then_some(())
        })
        .await;
    }

    fn counted(&self, result: &str) -> u64 {
        self.node.counter(&format!(
            r#"bridge_messages_total{{bridge="python",result="{result}"}}"#
        ))
    }

    /// Waits until it has done with so many events of ours, whoever has raised them.
    async fn has_settled(&self, count: u64) {
        eventually("every message is settled", async || {
            let settled = ["raised", "taken_over", "repeated"].map(|result| self.counted(result));
            (settled.iter().sum::<u64>() >= count).then_some(())
        })
        .await;
    }

    /// The `n` and the id of everything of a worker that it has handed to delivery.
    fn events(&self) -> Vec<(u64, EventId)> {
        let events = self.node.heard().into_iter().map(|positioned| positioned.event);
        let of_worker = |event: Arc<Event>| {
            let payload: Value = serde_json::from_str(event.payload.as_json()).unwrap();
            Some((payload["n"].as_u64()?, event.id))
        };
        events.filter_map(of_worker).collect()
    }

    /// The `n` of everything of a worker that it has handed to delivery.
    fn told(&self) -> Vec<u64> {
        self.events().into_iter().map(|(n, _)| n).collect()
    }

    /// Ends it at once, as kill -9 does.
    fn kill(&self) {
        self.listening.abort();
        self.node.kill();
    }
}

impl Drop for Ward {
    fn drop(&mut self) {
        self.kill();
    }
}

async fn three(redis: &Redis) -> Vec<Ward> {
    let database = database().await;
    let mut wards = Vec::new();
    for _ in 0..3 {
        wards.push(Ward::start(&redis.url(), &database).await);
    }
    wards
}

fn message(n: u64) -> String {
    let payload = json!({"n": n, "alert_type": "critical", "patient_id": "P1"});
    json!({"method": "emit", "event": "patient_alert", "data": [payload], "binary": false, "namespace": "/", "room": "patient_P1"})
        .to_string()
}

/// Publishes as a worker does; how many heard it.
async fn publish(redis: &Redis, body: impl AsRef<[u8]>) -> usize {
    let client = redis::Client::open(redis.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    redis::cmd("PUBLISH")
        .arg("flask-socketio")
        .arg(body.as_ref())
        .query_async(&mut connection)
        .await
        .unwrap()
}

/// Every node handed on exactly these, in this order; each is one event.
async fn assert_told(wards: &[Ward], expected: &[u64]) {
    for ward in wards {
        ward.has_settled(expected.len() as u64).await;
        eventually("everything is handed on", async || {
            (ward.told().len() >= expected.len()).then_some(())
        })
        .await;
        assert_eq!(ward.told(), expected);
    }
    for ward in wards {
        assert_eq!(ward.events(), wards[0].events(), "the same events on every node");
    }
}
