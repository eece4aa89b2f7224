//! `[log]`

use serde::{Deserialize, Deserializer};
use tracing_subscriber::EnvFilter;

use super::section::{Checks, Section};

/// Logs.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// A level, or directives as `tracing` reads them.
    #[serde(deserialize_with = "level")]
    pub level: String,
    /// How lines are written.
    pub format: Format,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For people.
    Human,
    /// For collectors: one JSON object a line.
    Json,
}

impl Section for Log {
    fn validate(&self) -> Vec<(&'static str, String)> {
        Checks::default()
            .require(
                "level",
                is_filter(&self.level),
                "must be error, warn, info, debug, trace, or directives such as info,wardbell::socket=debug",
            )
            .done()
    }
}

/// A single word that is no level would be taken for a module's name, and silence all others.
fn is_filter(text: &str) -> bool {
    let is_level = |text: &str| matches!(text, "off" | "error" | "warn" | "info" | "debug" | "trace");
    text.split(',')
        .all(|directive| is_level(directive.trim()) || directive.contains('='))
        && EnvFilter::try_new(text).is_ok()
}

/// Python's names of levels are what the existing deployments have in `LOG_LEVEL`.
fn level<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    Ok(match text.trim().to_ascii_lowercase().as_str() {
        "warning" => "warn".to_owned(),
        "critical" | "fatal" => "error".to_owned(),
        "error" | "warn" | "info" | "debug" | "trace" | "off" => text.trim().to_ascii_lowercase(),
        _ => text.trim().to_owned(),
    })
}
