//! How many alerts a patient's watchers are shown: a sliding window for each patient.

use std::time::Duration;

/// How many alerts of one patient are emitted in how long a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AlertLimit {
    /// That many.
    pub alerts: u32,
    /// In any window of this length.
    pub window: Duration,
}

impl Default for AlertLimit {
    /// The contract's figures: 10 a minute.
    fn default() -> Self {
        Self {
            alerts: 10,
            window: Duration::from_secs(60),
        }
    }
}
