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
    /// `0 < clear_below <= raise_at <= 1`.
    fn validate(&self) -> Vec<(&'static str, String)> {
        Checks::default()
            .require("clear_below", self.clear_below > 0.0, "must be above 0")
            .require("raise_at", self.raise_at <= 1.0, "must be at most 1")
            .require(
                "clear_below",
                self.clear_below <= self.raise_at,
                "must not be above capacity.raise_at",
            )
            .done()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::bed::CapacityPolicy;

    #[test]
    fn what_is_accepted_here_is_what_the_policy_accepts() {
        let values = [f64::NAN, -0.1, 0.0, 0.5, 0.85, 1.0, 1.1];

        for raise_at in values {
            for clear_below in values {
                let capacity = Capacity { raise_at, clear_below };

                let is_policy = CapacityPolicy::new(raise_at, clear_below).is_ok();

                assert_eq!(capacity.validate().is_empty(), is_policy, "{capacity:?}");
            }
        }
    }
}
