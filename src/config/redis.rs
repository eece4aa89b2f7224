//! `[redis]`

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;

use super::layers::Layers;
use super::problem::Findings;
use super::section::{Checks, Section, given};

/// What many nodes share beside the database, and what workers publish on.
#[derive(Clone, Debug)]
pub struct Redis {
    /// Which Redis; it may carry a password. `None`: there is none.
    pub url: Option<SecretString>,
    /// Its password, where that is not in the URL.
    pub password: Option<SecretString>,
    /// Certificate authorities in PEM that TLS trusts instead of the system's.
    pub authorities_pem: Option<Vec<u8>>,
    /// What every key of ours begins with.
    pub prefix: String,
    /// How many events the stream keeps.
    pub stream_events: u64,
    /// How long it keeps them.
    pub stream_age: Duration,
}

/// The section as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    #[serde(deserialize_with = "given")]
    url: Option<SecretString>,
    #[serde(deserialize_with = "given")]
    password: Option<SecretString>,
    ca_file: PathBuf,
    prefix: String,
    stream_events: u64,
    #[serde(with = "humantime_serde")]
    stream_age: Duration,
}

/// The longest prefix: it is part of every key.
const MAX_PREFIX: usize = 64;

impl Section for Written {
    fn validate(&self) -> Vec<(&'static str, String)> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.:".contains(&byte);
        Checks::default()
            .require(
                "prefix",
                (1..=MAX_PREFIX).contains(&self.prefix.len()) && self.prefix.bytes().all(is_plain),
                "must be 1 to 64 letters, digits, or _ - . :",
            )
            .require(
                "stream_events",
                (1_000..=10_000_000).contains(&self.stream_events),
                "must be between 1000 and 10000000",
            )
            .duration(
                "stream_age",
                self.stream_age,
                Duration::from_secs(10),
                Duration::from_hours(24),
            )
            .done()
    }
}

impl Written {
    /// Reads the file that it names.
    pub(super) fn resolve(self, layers: &Layers, findings: &mut Findings) -> Option<Redis> {
        let authorities_pem = if self.ca_file.as_os_str().is_empty() {
            None
        } else {
            match std::fs::read(&self.ca_file) {
                Ok(pem) => Some(pem),
                Err(error) => {
                    let message = format!("{} cannot be read: {error}", self.ca_file.display());
                    findings.problem("redis.ca_file", layers.source_of("redis", "ca_file"), message);
                    return None;
                }
            }
        };
        Some(Redis {
            url: self.url,
            password: self.password,
            authorities_pem,
            prefix: self.prefix,
            stream_events: self.stream_events,
            stream_age: self.stream_age,
        })
    }
}
