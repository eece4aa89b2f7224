//! `[api]`

use serde::Deserialize;

use super::section::Section;

/// REST.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Api {
    /// Requests that one caller may send, a second, for long; 0 is no limit.
    pub rate_limit_per_second: u32,
    /// Whether `/api/openapi.json` and `/api/docs` are served.
    pub docs: bool,
}

impl Section for Api {
    fn validate(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }
}
