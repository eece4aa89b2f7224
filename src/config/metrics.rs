//! `[metrics]`

use serde::Deserialize;

use super::section::Section;

/// Metrics.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metrics {
    /// Whether `/metrics` is served.
    pub enabled: bool,
    /// Whether `/metrics` asks for a token outside open mode.
    pub need_token: bool,
}

impl Section for Metrics {
    fn validate(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }
}
