//! `[auth]`

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use serde::{Deserialize, Deserializer};

use super::layers::Layers;
use super::problem::Findings;
use super::section::{Checks, Section};
use super::server::Server;

/// Who is let in.
#[derive(Clone, Debug)]
pub struct Auth {
    /// What is asked of whoever comes.
    pub mode: Mode,
    /// The one algorithm that tokens are signed with.
    pub algorithm: Algorithm,
    /// The shared secret of HS256.
    pub secret: Option<SecretString>,
    /// The public key of RS256 or ES256, PEM.
    pub public_key_pem: Option<Vec<u8>>,
    /// The `aud` that tokens must carry.
    pub audience: Option<String>,
    /// By how much clocks may differ.
    pub leeway: Duration,
    /// How long a socket whose token has expired may stay.
    pub expiry_grace: Duration,
}

/// What is asked of whoever comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Nothing; loopback only.
    Open,
    /// A token, on REST and sockets.
    Token,
    /// A token on REST; sockets are believed.
    Legacy,
}

/// How tokens are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Algorithm {
    /// A shared secret.
    #[serde(rename = "HS256")]
    Hs256,
    /// An RSA key.
    #[serde(rename = "RS256")]
    Rs256,
    /// A P-256 key.
    #[serde(rename = "ES256")]
    Es256,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum WrittenMode {
    Auto,
    Open,
    Token,
    Legacy,
}

/// The section as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    mode: WrittenMode,
    algorithm: Algorithm,
    #[serde(deserialize_with = "unless_empty")]
    secret: Option<String>,
    #[serde(deserialize_with = "unless_empty")]
    public_key_file: Option<PathBuf>,
    #[serde(deserialize_with = "unless_empty")]
    audience: Option<String>,
    #[serde(with = "humantime_serde")]
    leeway: Duration,
    #[serde(with = "humantime_serde")]
    expiry_grace: Duration,
}

impl Section for Written {
    fn validate(&self) -> Vec<(&'static str, String)> {
        Checks::default()
            .duration("leeway", self.leeway, Duration::ZERO, Duration::from_mins(10))
            .duration(
                "expiry_grace",
                self.expiry_grace,
                Duration::ZERO,
                Duration::from_hours(24),
            )
            .done()
    }
}

/// The least length of a secret for HS256, in bytes: the hash's own (RFC 7518 §3.2).
pub(super) const MIN_SECRET_BYTES: usize = 32;

/// What a public key may measure; certificates with chains stay below.
const MAX_KEY_BYTES: u64 = 64 * 1024;

/// Secrets from manuals, tutorials and this kind of server's own defaults. Whoever can read them can sign as a doctor.
const PLACEHOLDERS: [&str; 22] = [
    "change-me",
    "changeme",
    "change-me-in-production",
    "change-this",
    "change-this-in-production",
    "default",
    "dev",
    "dev-key",
    "dev-secret",
    "dev-secret-key",
    "dev-secret-key-change-in-production",
    "jwt-secret",
    "jwt-secret-key",
    "my-secret-key",
    "mysecretkey",
    "password",
    "secret",
    "secret-key",
    "super-secret",
    "your-jwt-secret-key",
    "your-secret-key",
    "your-secret-key-here",
];

impl Written {
    /// What follows from the section together with the address.
    pub(super) fn resolve(self, server: Option<&Server>, layers: &Layers, findings: &mut Findings) -> Option<Auth> {
        let before = findings.problems.len();
        let source = |key: &str| layers.source_of("auth", key);
        let public_key_pem = self.public_key(&source, findings);
        let has_key = match self.algorithm {
            Algorithm::Hs256 => self.secret.is_some(),
            Algorithm::Rs256 | Algorithm::Es256 => self.public_key_file.is_some(),
        };
        let mode = match self.mode {
            WrittenMode::Auto if has_key => Mode::Token,
            WrittenMode::Auto | WrittenMode::Open => Mode::Open,
            WrittenMode::Token => Mode::Token,
            WrittenMode::Legacy => Mode::Legacy,
        };
        let is_loopback = server.is_none_or(Server::is_loopback);
        match mode {
            Mode::Open if !is_loopback => {
                let message = "open mode asks nobody for a token, so it refuses any address but loopback: \
                               set JWT_SECRET_KEY to what the backends sign with, or HOST=127.0.0.1";
                findings.problem("auth.mode", source("mode"), message);
            }
            Mode::Token | Mode::Legacy if !has_key => {
                let needed = match self.algorithm {
                    Algorithm::Hs256 => "the secret that tokens are signed with: set JWT_SECRET_KEY or SECRET_KEY",
                    Algorithm::Rs256 | Algorithm::Es256 => "auth.public_key_file",
                };
                findings.problem(
                    "auth.mode",
                    source("mode"),
                    format!("{} mode needs {needed}", mode.as_str()),
                );
            }
            Mode::Open | Mode::Token | Mode::Legacy => {}
        }
        if mode == Mode::Legacy {
            findings.warn(
                "LEGACY MODE: sockets are believed whatever user and role they name. \
                 Whoever reaches this address can listen to any patient. Only behind a proxy that lets nobody else in",
            );
        }
        self.judge_secret(is_loopback, &source, findings);
        (findings.problems.len() == before).then(|| Auth {
            mode,
            algorithm: self.algorithm,
            secret: self.secret.map(SecretString::from),
            public_key_pem,
            audience: self.audience,
            leeway: self.leeway,
            expiry_grace: self.expiry_grace,
        })
    }

    fn public_key(&self, source: &impl Fn(&str) -> Option<String>, findings: &mut Findings) -> Option<Vec<u8>> {
        let key = "auth.public_key_file";
        match (self.algorithm, &self.public_key_file) {
            (Algorithm::Hs256, None) => None,
            (Algorithm::Hs256, Some(_)) => {
                let message = "a public key is for RS256 or ES256: set auth.algorithm as well";
                findings.problem(key, source("public_key_file"), message);
                None
            }
            (Algorithm::Rs256 | Algorithm::Es256, None) => {
                findings.problem(
                    key,
                    None,
                    "RS256 and ES256 need the public key that tokens are verified with",
                );
                None
            }
            (Algorithm::Rs256 | Algorithm::Es256, Some(file)) => {
                let pem = std::fs::metadata(file).and_then(|about| {
                    if about.len() > MAX_KEY_BYTES {
                        Err(std::io::Error::other("too large for a key"))
                    } else {
                        std::fs::read(file)
                    }
                });
                pem.map_err(|error| {
                    findings.problem(
                        key,
                        source("public_key_file"),
                        format!("{} cannot be read: {error}", file.display()),
                    );
                })
                .ok()
            }
        }
    }

    fn judge_secret(&self, is_loopback: bool, source: &impl Fn(&str) -> Option<String>, findings: &mut Findings) {
        let Some(secret) = self.secret.as_deref().filter(|_| self.algorithm == Algorithm::Hs256) else {
            return;
        };
        let name = source("secret").unwrap_or_else(|| "auth.secret".to_owned());
        if is_placeholder(secret) {
            let message =
                "is a placeholder from a manual, so anybody can sign tokens with it: set a secret of your own";
            if is_loopback {
                findings.warn(format!("{name} {message}"));
            } else {
                findings.problem("auth.secret", Some(name), message);
            }
        } else if secret.len() < MIN_SECRET_BYTES {
            findings.warn(format!(
                "{name} IS SHORT: {} bytes, and under {MIN_SECRET_BYTES} a secret can be guessed from any token. \
                 Existing tokens keep working; change it together with the backends",
                secret.len()
            ));
        }
    }
}

/// Whether it is one of the [`PLACEHOLDERS`], however it is spelt.
pub(super) fn is_placeholder(secret: &str) -> bool {
    let plain = secret.trim().to_ascii_lowercase().replace(['_', ' ', '.'], "-");
    PLACEHOLDERS.contains(&plain.as_str())
}

impl Mode {
    /// `open`, `token` or `legacy`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Token => "token",
            Self::Legacy => "legacy",
        }
    }
}

fn unless_empty<'de, D: Deserializer<'de>, T: From<String>>(deserializer: D) -> Result<Option<T>, D::Error> {
    let text = String::deserialize(deserializer)?;
    Ok((!text.is_empty()).then(|| T::from(text)))
}
