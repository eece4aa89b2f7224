//! `[redis]`: the bus of many nodes, which this version does not have.

use serde::Deserialize;

use super::section::{Checks, Section};

/// Read only to be refused: a server that ignored its Redis would silently lose what workers emit through it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Redis {
    url: String,
}

impl Section for Redis {
    fn validate(&self) -> Vec<(&'static str, String)> {
        Checks::default()
            .require(
                "url",
                self.url.is_empty(),
                "Redis is not available in this version: one node serves all; unset it, and let workers POST their alerts",
            )
            .done()
    }
}
