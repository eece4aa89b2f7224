//! `[ehr]`

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::auth::{Auth, MIN_SECRET_BYTES, is_placeholder};
use super::layers::Layers;
use super::problem::Findings;
use super::section::{Checks, Section, given};
use super::server::Server;

/// Contract B.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ehr {
    /// What the EHR signs its tokens with. `None`: contract B is off.
    #[serde(deserialize_with = "given")]
    pub secret: Option<SecretString>,
    /// The `iss` that tokens must carry; empty: any.
    pub issuer: String,
    /// The cookie that carries the token.
    pub cookie: String,
    /// How long somebody without a socket is still there.
    #[serde(with = "humantime_serde")]
    pub presence_grace: Duration,
    /// How often a socket may say that its user types.
    #[serde(with = "humantime_serde")]
    pub typing_every: Duration,
    /// Client events a second of one tenant.
    pub tenant_events_per_second: u32,
}

impl Section for Ehr {
    fn validate(&self) -> Vec<(&'static str, String)> {
        // RFC 6265 §4.1.1, as far as anybody uses it.
        let is_cookie = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
        Checks::default()
            .require(
                "cookie",
                (1..=64).contains(&self.cookie.len()) && self.cookie.bytes().all(is_cookie),
                "must be 1 to 64 letters, digits, or _ - .",
            )
            .duration(
                "presence_grace",
                self.presence_grace,
                Duration::from_millis(100),
                Duration::from_secs(15),
            )
            .duration(
                "typing_every",
                self.typing_every,
                Duration::from_millis(100),
                Duration::from_mins(1),
            )
            .require(
                "tenant_events_per_second",
                (1..=1_000_000).contains(&self.tenant_events_per_second),
                "must be between 1 and 1000000",
            )
            .done()
    }
}

impl Ehr {
    /// Looks at the secret.
    pub(super) fn judge_secret(
        &self,
        server: Option<&Server>,
        auth: Option<&Auth>,
        layers: &Layers,
        findings: &mut Findings,
    ) {
        let Some(secret) = &self.secret else { return };
        let source = layers.source_of("ehr", "secret");
        let other = auth.and_then(|auth| auth.secret.as_ref());
        if other.is_some_and(|other| other.expose_secret() == secret.expose_secret()) {
            let message = "is that of auth.secret as well: whoever signs for one contract could sign for the other";
            findings.problem("ehr.secret", source, message);
        } else if is_placeholder(secret.expose_secret()) && !server.is_none_or(Server::is_loopback) {
            let message =
                "is a placeholder from a manual, so anybody can sign tokens with it: set a secret of your own";
            findings.problem("ehr.secret", source, message);
        } else if secret.expose_secret().len() < MIN_SECRET_BYTES {
            findings.warn(format!(
                "{} IS SHORT: under {MIN_SECRET_BYTES} bytes a secret can be guessed from any token",
                source.unwrap_or_else(|| "ehr.secret".to_owned())
            ));
        }
    }
}
