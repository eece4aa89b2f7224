//! What can be configured: `config/default.toml` < the file given by `--config` < the environment.
//!
//! It refuses to know what the values do: `app` and `cli` hand every part its own settings. The environment is handed in,
//! so that tests never touch the real one. Everything that is wrong is found in one go, each with its key and where it
//! came from.

mod alerts;
mod api;
mod auth;
mod bridges;
mod capacity;
mod console;
mod ehr;
mod layers;
mod log;
mod metrics;
mod problem;
mod redis;
mod risk;
mod section;
mod server;
mod socket;
mod store;
mod variables;

use std::path::Path;

pub use alerts::Alerts;
pub use api::Api;
pub use auth::{Algorithm, Auth, Mode};
pub use bridges::{Bridges, PythonDialect};
pub use capacity::Capacity;
pub use console::Console;
pub use ehr::Ehr;
pub use log::{Format, Log};
pub use metrics::Metrics;
pub use problem::{Invalid, Note, Problem};
pub use redis::Redis;
pub use risk::{Risk, RiskLevel};
pub use server::Server;
pub use socket::{Socket, Transport};
pub use store::{Database, Store};
pub use variables::Environment;

use layers::Layers;
use problem::Findings;

/// The defaults: every key, its value, one line why.
pub const DEFAULTS: &str = include_str!("../../config/default.toml");

/// Everything that can be configured, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where and how long it listens.
    pub server: Server,
    /// Who is let in.
    pub auth: Auth,
    /// Socket.IO.
    pub socket: Socket,
    /// What is kept, and for how long.
    pub store: Store,
    /// What many nodes share beside the database.
    pub redis: Redis,
    /// What is heard of what workers publish.
    pub bridges: Bridges,
    /// Contract B.
    pub ehr: Ehr,
    /// From score to level to alert.
    pub risk: Risk,
    /// The alert limiter.
    pub alerts: Alerts,
    /// When a hospital or ward is full.
    pub capacity: Capacity,
    /// REST.
    pub api: Api,
    /// The page at `/`.
    pub console: Console,
    /// Logs.
    pub log: Log,
    /// Metrics.
    pub metrics: Metrics,
    /// What should be logged about the configuration, once there is a log.
    pub notes: Vec<Note>,
}

impl Config {
    /// Puts the layers together and checks them.
    ///
    /// # Errors
    /// All problems of all layers, together.
    pub fn load(file: Option<&Path>, environment: &Environment) -> Result<Self, Invalid> {
        let mut findings = Findings::default();
        let layers = Layers::read(DEFAULTS, file, environment, &mut findings);

        // Each section answers `None` where it cannot be read, after having said why.
        let server: Option<Server> = layers.section("server", &mut findings);
        let auth = layers.section("auth", &mut findings);
        let socket: Option<Socket> = layers.section("socket", &mut findings);
        let store: Option<Store> = layers.section("store", &mut findings);
        let redis = layers.section("redis", &mut findings);
        let bridges: Option<Bridges> = layers.section("bridges", &mut findings);
        let ehr: Option<Ehr> = layers.section("ehr", &mut findings);
        let risk = layers.section("risk", &mut findings);
        let alerts = layers.section("alerts", &mut findings);
        let capacity = layers.section("capacity", &mut findings);
        let api = layers.section("api", &mut findings);
        let console = layers.section("console", &mut findings);
        let log = layers.section("log", &mut findings);
        let metrics = layers.section("metrics", &mut findings);
        let auth = auth.and_then(|auth: auth::Written| auth.resolve(server.as_ref(), &layers, &mut findings));
        if let Some(ehr) = &ehr {
            ehr.judge_secret(server.as_ref(), auth.as_ref(), &layers, &mut findings);
        }
        let redis = redis.and_then(|redis: redis::Written| redis.resolve(&layers, &mut findings));
        if let (Some(bridges), Some(redis)) = (&bridges, &redis) {
            bridges.check_redis(redis, &layers, &mut findings);
        }

        if let (Some(server), Some(socket), Some(store), Some(redis)) = (&server, &socket, &store, &redis) {
            let is_one_of_many = redis.url.is_some() && matches!(store.database, Database::Postgres(_));
            if is_one_of_many && server.node.is_empty() && socket.transports.contains(&Transport::Polling) {
                findings.warn(
                    "server.node is empty: with several nodes behind a proxy, give each a name (WARDBELL__SERVER__NODE), by which \
                     the proxy sends polling clients to their node; or set socket.transports to websocket alone",
                );
            }
        }

        let Findings { problems, notes } = findings;
        let whole = (|| {
            Some(Self {
                server: server?,
                auth: auth?,
                socket: socket?,
                store: store?,
                redis: redis?,
                bridges: bridges?,
                ehr: ehr?,
                risk: risk?,
                alerts: alerts?,
                capacity: capacity?,
                api: api?,
                console: console?,
                log: log?,
                metrics: metrics?,
                notes,
            })
        })();
        whole.filter(|_| problems.is_empty()).ok_or(Invalid(problems))
    }
}

#[cfg(test)]
mod tests;
