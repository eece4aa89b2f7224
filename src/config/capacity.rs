//! `[capacity]`

use serde::Deserialize;

use super::section::{Checks, Section};

/// When a hospital or ward is full.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Capacity {
    /// The occupancy at which the alert is raised, 0 to 1.
    pub raise_at: f64,
    /// The occupancy below which it is taken back, 0 to 1.
    pub clear_below: f64,
}

impl Section for Capacity {
    fn validate(&self) -> Vec<(&'static str, String)> {
        Checks::default()
            .require(
                "raise_at",
                self.raise_at > 0.0 && self.raise_at <= 1.0,
                "must be above 0 and at most 1",
            )
            .require(
                "clear_below",
                (0.0..=1.0).contains(&self.clear_below),
                "must be between 0 and 1",
            )
            .require(
                "clear_below",
                self.clear_below <= self.raise_at,
                "must not be above capacity.raise_at",
            )
            .done()
    }
}
