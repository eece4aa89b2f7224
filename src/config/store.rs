//! `[store]`

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Deserializer, de};

use super::section::{Checks, Section};

/// What is kept, and for how long.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Store {
    /// The database's file.
    #[serde(rename = "url", deserialize_with = "sqlite_file")]
    pub file: PathBuf,
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

const MINUTE: Duration = Duration::from_mins(1);
const TEN_YEARS: Duration = Duration::from_hours(10 * 365 * 24);

impl Section for Store {
    fn validate(&self) -> Vec<(&'static str, String)> {
        Checks::default()
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

/// The file of `sqlite://data/wardbell.db` (relative) or `sqlite:///var/lib/wardbell.db`. URLs may carry passwords, so none
/// is ever repeated in a message.
fn sqlite_file<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
    let url = String::deserialize(deserializer)?;
    let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
    if scheme.starts_with("postgres") {
        return Err(de::Error::custom(
            "PostgreSQL is not available in this version: use sqlite://path/to/file, on a disk of this machine",
        ));
    }
    match url.strip_prefix("sqlite://") {
        Some(path) if path.contains(['?', '#']) => Err(de::Error::custom("takes a path only, without parameters")),
        Some(path) if !path.is_empty() && !path.contains(":memory:") => Ok(PathBuf::from(path)),
        Some(_) => Err(de::Error::custom(
            "must name a file: what is accepted has to survive a restart",
        )),
        None => Err(de::Error::custom(
            "must be sqlite:// and a path, such as sqlite://data/wardbell.db",
        )),
    }
}
