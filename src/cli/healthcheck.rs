//! `wardbell healthcheck`: for containers, which have no `curl` inside.

use std::time::Duration;

use clap::Args;

use super::{Error, ask, base_url, say, wait_for};
use crate::config::Config;

/// What to ask.
#[derive(Debug, Args)]
pub(super) struct Healthcheck {
    /// Ask whether it is alive (/health), not whether it is ready (/ready)
    #[arg(long)]
    live: bool,
}

/// Less than the time after which Docker gives up on a check by itself (30 s), so that the reason is printed.
const PATIENCE: Duration = Duration::from_secs(5);

impl Healthcheck {
    /// Asks, and prints the answer.
    pub(super) fn ask(&self, config: &Config) -> Result<(), Error> {
        let url = format!("{}{}", base_url(config), if self.live { "/health" } else { "/ready" });
        let answer = wait_for(async { ask(&url, reqwest::Client::new().get(&url), PATIENCE).await })?;
        say(&answer)
    }
}
