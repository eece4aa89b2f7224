//! `[risk]`

use serde::Deserialize;

use super::section::{Checks, Section};

/// From score to level to alert.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Risk {
    /// From this score on, a risk is medium.
    pub medium_from: f64,
    /// From this score on, high.
    pub high_from: f64,
    /// Above this score, critical.
    pub critical_above: f64,
    /// The lowest level that alerts.
    pub alert_from: RiskLevel,
}

/// How high a risk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RiskLevel {
    /// Low.
    Low,
    /// Medium.
    Medium,
    /// High.
    High,
    /// Critical.
    Critical,
}

impl Section for Risk {
    fn validate(&self) -> Vec<(&'static str, String)> {
        let is_score = |score: f64| (0.0..=1.0).contains(&score);
        Checks::default()
            .require("medium_from", is_score(self.medium_from), "must be between 0 and 1")
            .require("high_from", is_score(self.high_from), "must be between 0 and 1")
            .require(
                "critical_above",
                is_score(self.critical_above),
                "must be between 0 and 1",
            )
            .require(
                "high_from",
                self.high_from >= self.medium_from,
                "must not be below risk.medium_from",
            )
            .require(
                "critical_above",
                self.critical_above >= self.high_from,
                "must not be below risk.high_from",
            )
            .done()
    }
}
