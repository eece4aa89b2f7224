//! PostgreSQL: the conformance suite, and what several nodes on one server ask for.

mod hosts;
mod nodes;
mod outage;
mod server;
mod tls;

use std::sync::Arc;

use wardbell::clock::ManualClock;
use wardbell::store::postgres::{PostgresStore, Settings};

use super::conformance::{self, Fresh, fixtures::START};
use crate::support::postgres::Postgres;

async fn fresh() -> Fresh {
    let clock = ManualClock::starting_at(START);
    let store = open_at(&database().await, &clock).await;
    Fresh {
        store: Arc::new(store),
        clock,
        _home: Box::new(()),
    }
}

conformance::suite!(fresh);

/// An empty database on the server that all tests share.
async fn database() -> String {
    tokio::task::spawn_blocking(|| Postgres::shared().database())
        .await
        .unwrap()
}

async fn open_at(url: &str, clock: &ManualClock) -> PostgresStore {
    PostgresStore::open(Settings::at(url), Arc::new(clock.clone()))
        .await
        .unwrap()
}

/// A node's store on this database.
async fn node_at(url: &str) -> PostgresStore {
    open_at(url, &ManualClock::starting_at(START)).await
}

/// The database's name in a URL.
fn name(url: &str) -> &str {
    url.rsplit_once('/').unwrap().1
}
