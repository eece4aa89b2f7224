//! `[alerts]`

use serde::Deserialize;

use super::section::{Checks, Section};

/// The alert limiter.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alerts {
    /// Alerts of one patient in any minute.
    pub per_minute: u32,
}

impl Section for Alerts {
    fn validate(&self) -> Vec<(&'static str, String)> {
        Checks::default()
            .require(
                "per_minute",
                (1..=10_000).contains(&self.per_minute),
                "must be between 1 and 10000",
            )
            .done()
    }
}
