//! The store and the bus, which go together: what orders events, and what brings them to every node.
//!
//! | store | Redis | bus | for |
//! | --- | --- | --- | --- |
//! | SQLite | no | in this process | one node that needs nothing else |
//! | SQLite | yes | in this process | one node, and workers that publish through Redis; a second one is refused |
//! | PostgreSQL, a spool before it | no | in this process | one node whose data is kept elsewhere; a second one is refused |
//! | PostgreSQL, a spool before it | yes | the stream | many nodes |

use std::sync::Arc;

use anyhow::Context as _;
use secrecy::SecretString;

use super::settings;
use crate::bus::copies::LocalCopies;
use crate::bus::local::LocalBus;
use crate::bus::redis::{self, RedisBus, RedisCopies, RedisTasks, Sole};
use crate::clock::Clock;
use crate::config::{Config, Database};
use crate::domain::Position;
use crate::ports::{Bus, EventStore as _, SessionCopies, Store};
use crate::store::postgres::{Nodes, PostgresStore};
use crate::store::spool::SpoolingStore;
use crate::store::sqlite::{self, SqliteStore};
use crate::telemetry::Metrics;

/// What a node stands on.
pub(super) struct Backbone {
    pub(super) store: Arc<dyn Store>,
    pub(super) bus: Arc<dyn Bus>,
    /// Of the sessions, where the store may be away while this node serves.
    pub(super) copies: Option<Arc<dyn SessionCopies>>,
    pub(super) others: Others,
}

/// How this node stands to others.
pub(super) enum Others {
    /// Nobody else works on its store, and there is no Redis.
    None,
    /// Nobody else may use its Redis as a node; what says so.
    Refused(Box<Sole>),
    /// They share store and Redis; the tasks that carry events between them.
    Welcome(Box<redis::Settings>, Box<RedisTasks>),
}

/// Opens the store and makes the bus that suits it.
pub(super) async fn open(config: &Config, clock: &Arc<dyn Clock>, metrics: &Metrics) -> anyhow::Result<Backbone> {
    let redis = settings::redis(&config.redis).context("redis.url")?;
    match &config.store.database {
        Database::Sqlite(file) => {
            let (settings, clock) = (sqlite::Settings::at(file), clock.clone());
            let opened = tokio::task::spawn_blocking(move || SqliteStore::open(settings, clock)).await?;
            let store = opened.context("cannot open the store")?;
            let others = match redis {
                None => Others::None,
                Some(redis) => Others::Refused(Box::new(Sole::claim(redis, file).await?)),
            };
            Ok(Backbone {
                store: Arc::new(store),
                bus: Arc::new(LocalBus::new()),
                copies: None,
                others,
            })
        }
        Database::Postgres(url) => {
            let nodes = if redis.is_some() { Nodes::Many } else { Nodes::One };
            let store = open_postgres(config, url, nodes, clock, metrics).await?;
            Ok(match redis {
                None => {
                    // If it is gone just now, what is spooled comes before everything: those who have it see it twice, nobody misses it.
                    let last = store.last_position().await.unwrap_or(Position::START);
                    Backbone {
                        store: Arc::new(store),
                        bus: Arc::new(LocalBus::after(last)),
                        copies: Some(Arc::new(LocalCopies::new())),
                        others: Others::None,
                    }
                }
                Some(redis) => {
                    let store = Arc::new(store);
                    let (bus, tasks) = RedisBus::new(redis.clone(), store.clone(), metrics.clone());
                    Backbone {
                        store,
                        bus: Arc::new(bus),
                        copies: Some(Arc::new(RedisCopies::new(redis.clone()))),
                        others: Others::Welcome(Box::new(redis), Box::new(tasks)),
                    }
                }
            })
        }
    }
}

async fn open_postgres(
    config: &Config,
    url: &SecretString,
    nodes: Nodes,
    clock: &Arc<dyn Clock>,
    metrics: &Metrics,
) -> anyhow::Result<SpoolingStore> {
    let settings = settings::postgres(&config.store, url, nodes);
    let store = PostgresStore::open(settings, clock.clone()).await;
    let store = store.context("cannot open the store")?;
    let spool = settings::spool(&config.store);
    let store = SpoolingStore::open(store, spool, clock.clone(), metrics.clone()).await;
    store.context("cannot open the store")
}
