//! The store and the bus, which go together: what orders events, and what brings them to every node.
//!
//! | store | bus | for |
//! | --- | --- | --- |
//! | SQLite | in this process | one node that needs nothing else |
//! | PostgreSQL, a spool before it | in this process | one node whose data is kept elsewhere; a second one is refused |

use std::sync::Arc;

use anyhow::Context as _;

use super::settings;
use crate::bus::local::LocalBus;
use crate::clock::Clock;
use crate::config::{Config, Database};
use crate::domain::Position;
use crate::ports::{Bus, EventStore as _, Store};
use crate::store::postgres::{Nodes, PostgresStore};
use crate::store::spool::SpoolingStore;
use crate::store::sqlite::{self, SqliteStore};
use crate::telemetry::Metrics;

/// Opens the store and makes the bus that suits it.
pub(super) async fn open(
    config: &Config,
    clock: &Arc<dyn Clock>,
    metrics: &Metrics,
) -> anyhow::Result<(Arc<dyn Store>, Arc<dyn Bus>)> {
    match &config.store.database {
        Database::Sqlite(file) => {
            let (settings, clock) = (sqlite::Settings::at(file), clock.clone());
            let opened = tokio::task::spawn_blocking(move || SqliteStore::open(settings, clock)).await?;
            let store = opened.context("cannot open the store")?;
            Ok((Arc::new(store), Arc::new(LocalBus::new())))
        }
        Database::Postgres(url) => {
            let settings = settings::postgres(&config.store, url, Nodes::One);
            let store = PostgresStore::open(settings, clock.clone()).await;
            let store = store.context("cannot open the store")?;
            let spool = settings::spool(&config.store);
            let store = SpoolingStore::open(store, spool, clock.clone(), metrics.clone()).await;
            let store = store.context("cannot open the store")?;
            // If it is gone just now, what is spooled comes before everything: those who have it see it twice, nobody misses it.
            let last = store.last_position().await.unwrap_or(Position::START);
            Ok((Arc::new(store), Arc::new(LocalBus::after(last))))
        }
    }
}
