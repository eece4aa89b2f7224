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
    /// Every level must be reachable: `0 < medium < high < critical < 1`.
    fn validate(&self) -> Vec<(&'static str, String)> {
        let is_inside = |score: f64| 0.0 < score && score < 1.0;
        Checks::default()
            .require(
                "medium_from",
                is_inside(self.medium_from),
                "must be above 0 and below 1",
            )
            .require("high_from", is_inside(self.high_from), "must be above 0 and below 1")
            .require(
                "critical_above",
                is_inside(self.critical_above),
                "must be above 0 and below 1",
            )
            .require(
                "high_from",
                self.high_from > self.medium_from,
                "must be above risk.medium_from",
            )
            .require(
                "critical_above",
                self.critical_above > self.high_from,
                "must be above risk.high_from",
            )
            .done()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::risk::{RiskLevel as Level, RiskPolicy, Thresholds};

    #[test]
    fn what_is_accepted_here_is_what_the_policy_accepts() {
        let values = [f64::NAN, -0.1, 0.0, 0.2, 0.3, 0.6, 0.9, 1.0, 1.1];

        for medium_from in values {
            for high_from in values {
                for critical_above in values {
                    let risk = Risk {
                        medium_from,
                        high_from,
                        critical_above,
                        alert_from: RiskLevel::Medium,
                    };
                    let thresholds = Thresholds {
                        critical_above,
                        high_from,
                        medium_from,
                    };

                    let is_policy = RiskPolicy::new(thresholds, Level::Medium).is_ok();

                    assert_eq!(risk.validate().is_empty(), is_policy, "{risk:?}");
                }
            }
        }
    }
}
