//! `[console]`

use serde::Deserialize;

use super::section::Section;

/// The page that browsers are shown at `/`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Console {
    /// Whether it is served.
    pub enabled: bool,
}

impl Section for Console {
    fn validate(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }
}
