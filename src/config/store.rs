//! `[store]`

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use serde::{Deserialize, Deserializer, de};

use super::section::{Checks, Section, given};

/// What is kept, and for how long.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Store {
    /// The database.
    #[serde(rename = "url", deserialize_with = "database")]
    pub database: Database,
    /// PostgreSQL's password, where it is not in the URL.
    #[serde(deserialize_with = "given")]
    pub password: Option<SecretString>,
    /// Connections to PostgreSQL at most.
    pub connections: usize,
    /// The file in which events wait while PostgreSQL is gone.
    pub spool: PathBuf,
    /// How large that may grow.
    pub spool_max_bytes: u64,
    /// Events: how far back a client can recover.
    #[serde(with = "humantime_serde")]
    pub keep_events: Duration,
    /// Alerts: how far back the history goes.
    #[serde(with = "humantime_serde")]
    pub keep_alerts: Duration,
    /// Outcomes under idempotency keys.
    #[serde(with = "humantime_serde")]
    pub keep_idempotency: Duration,
    /// Finished tasks.
    #[serde(with = "humantime_serde")]
    pub keep_tasks: Duration,
    /// Sessions of clients that went away.
    #[serde(with = "humantime_serde")]
    pub keep_sessions: Duration,
    /// How often what is older is removed.
    #[serde(with = "humantime_serde")]
    pub sweep_interval: Duration,
}

/// Where the events are.
#[derive(Clone, Debug)]
pub enum Database {
    /// In a file of this node.
    Sqlite(PathBuf),
    /// In PostgreSQL, at this URL. It may carry a password.
    Postgres(SecretString),
}

impl fmt::Display for Database {
    /// Says where it is, without what a URL may carry.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(file) => write!(f, "{}", file.display()),
            Self::Postgres(_) => f.write_str("PostgreSQL"),
        }
    }
}

const MINUTE: Duration = Duration::from_mins(1);
const TEN_YEARS: Duration = Duration::from_hours(10 * 365 * 24);

impl Section for Store {
    fn validate(&self) -> Vec<(&'static str, String)> {
        Checks::default()
            .require(
                "connections",
                (3..=1_000).contains(&self.connections),
                "must be between 3 and 1000",
            )
            .require(
                "spool",
                !self.spool.as_os_str().is_empty(),
                "must name a file: without one, posts are refused whenever PostgreSQL is gone",
            )
            .require(
                "spool_max_bytes",
                self.spool_max_bytes >= 1 << 20,
                "must be at least 1048576",
            )
            .duration("keep_events", self.keep_events, MINUTE, TEN_YEARS)
            .duration("keep_alerts", self.keep_alerts, MINUTE, TEN_YEARS)
            .require(
                "keep_alerts",
                self.keep_alerts >= self.keep_events,
                "must be at least store.keep_events: what can be recovered is also in the history",
            )
            .duration("keep_idempotency", self.keep_idempotency, MINUTE, TEN_YEARS)
            .duration("keep_tasks", self.keep_tasks, MINUTE, TEN_YEARS)
            .duration("keep_sessions", self.keep_sessions, MINUTE, TEN_YEARS)
            .duration(
                "sweep_interval",
                self.sweep_interval,
                Duration::from_secs(1),
                Duration::from_hours(24),
            )
            .done()
    }
}

/// The file of `sqlite://data/wardbell.db` (relative) or `sqlite:///var/lib/wardbell.db`, or a URL of PostgreSQL. URLs may
/// carry passwords, so none is ever repeated in a message.
fn database<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Database, D::Error> {
    let url = String::deserialize(deserializer)?;
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        return Ok(Database::Postgres(url.into()));
    }
    match url.strip_prefix("sqlite://") {
        Some(path) if path.contains(['?', '#']) => Err(de::Error::custom("takes a path only, without parameters")),
        Some(path) if !path.is_empty() && !path.contains(":memory:") => Ok(Database::Sqlite(PathBuf::from(path))),
        Some(_) => Err(de::Error::custom(
            "must name a file: what is accepted has to survive a restart",
        )),
        None => Err(de::Error::custom(
            "must be sqlite:// and a path, such as sqlite://data/wardbell.db, or postgres://user:password@host/database",
        )),
    }
}
