//! Tokens as Flask-JWT-Extended 4 issues them: verified with one configured algorithm and key, against the clock that is
//! handed in.

use std::collections::HashSet;
use std::time::Duration;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{DecodingKey, EncodingKey, Header, Validation};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Authenticated, Mode};
use crate::domain::access::{Identity, Proof, Role};
use crate::domain::{HospitalId, PatientId, StaffId, Timestamp, UserId};

/// The longest token that is looked at, in bytes. Ours have a few hundred; headers end at a few thousand anyway.
pub const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// How tokens are signed. A token that names another algorithm is refused, whatever key it would match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// HMAC with SHA-256 and a shared secret.
    Hs256,
    /// RSA PKCS#1 v1.5 with SHA-256 and a public key.
    Rs256,
    /// ECDSA on P-256 with SHA-256 and a public key.
    Es256,
}

impl std::fmt::Display for Algorithm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Hs256 => "HS256",
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
        })
    }
}

impl From<Algorithm> for jsonwebtoken::Algorithm {
    fn from(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Hs256 => Self::HS256,
            Algorithm::Rs256 => Self::RS256,
            Algorithm::Es256 => Self::ES256,
        }
    }
}

/// What the authenticator is built from.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What is asked of whoever comes.
    pub mode: Mode,
    /// The one algorithm that is accepted.
    pub algorithm: Algorithm,
    /// The shared secret of HS256.
    pub secret: Option<SecretString>,
    /// The public key of RS256 or ES256, PEM.
    pub public_key_pem: Option<Vec<u8>>,
    /// The `aud` that tokens must carry; without one, tokens that carry an `aud` are for somebody else.
    pub audience: Option<String>,
    /// By how much clocks may differ.
    pub leeway: Duration,
}

/// The authenticator cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The mode asks for tokens and there is nothing to verify them with.
    #[error("{0} mode needs a key that tokens are verified with")]
    Missing(Mode),
    /// The key cannot be used with the algorithm.
    #[error("the public key is not a PEM key for {algorithm}")]
    Unusable {
        /// The algorithm that it was meant for.
        algorithm: Algorithm,
        /// What the library says.
        #[source]
        source: jsonwebtoken::errors::Error,
    },
}

/// Why a token is refused. The texts may be shown to whoever sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// There is none.
    #[error("a token is required")]
    Missing,
    /// There is no key: this server was not set up for tokens.
    #[error("this server takes no tokens")]
    NoKey,
    /// Longer than [`MAX_TOKEN_BYTES`].
    #[error("the token is too long")]
    TooLong,
    /// Not a JSON web token.
    #[error("the token cannot be read")]
    Malformed,
    /// Signed with an algorithm other than the configured one, or not at all.
    #[error("the token is signed with another algorithm")]
    WrongAlgorithm,
    /// The signature does not match.
    #[error("the token's signature does not match")]
    BadSignature,
    /// `exp` is past.
    #[error("the token has expired")]
    Expired,
    /// `nbf` is still to come.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// A refresh token, or of no type at all.
    #[error("only access tokens are accepted")]
    WrongType,
    /// Issued for somebody else.
    #[error("the token is for another audience")]
    WrongAudience,
    /// A claim that is needed is not there.
    #[error("the token has no `{0}`")]
    MissingClaim(&'static str),
    /// A claim is there and makes no sense.
    #[error("the token's `{0}` is not valid")]
    BadClaim(&'static str),
}

/// A token cannot be signed here.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// There is only a public key: it verifies, and what it verifies is signed elsewhere.
    #[error("{0} tokens are signed where the private key is; this server has only the public key")]
    PublicKeyOnly(Algorithm),
    /// There is no secret.
    #[error("signing needs the secret that the server verifies with: set JWT_SECRET_KEY")]
    NoSecret,
    /// The library failed.
    #[error("the token could not be signed")]
    Failed(#[source] jsonwebtoken::errors::Error),
}

/// Turns tokens into identities.
pub struct Authenticator {
    mode: Mode,
    algorithm: Algorithm,
    leeway: Duration,
    audience: Option<String>,
    validation: Validation,
    key: Option<DecodingKey>,
    signing_key: Option<EncodingKey>,
}

impl std::fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            mode,
            algorithm,
            leeway,
            audience,
            key,
            ..
        } = self;
        f.debug_struct("Authenticator")
            .field("mode", mode)
            .field("algorithm", algorithm)
            .field("leeway", leeway)
            .field("audience", audience)
            .field("has_key", &key.is_some())
            .finish_non_exhaustive()
    }
}

impl Authenticator {
    /// Prepares the key.
    ///
    /// # Errors
    /// If a mode that asks for tokens has no key, or the key is unusable.
    pub fn new(settings: Settings) -> Result<Self, KeyError> {
        let Settings {
            mode,
            algorithm,
            secret,
            public_key_pem,
            audience,
            leeway,
        } = settings;
        let unusable = |source| KeyError::Unusable { algorithm, source };
        let key = match algorithm {
            Algorithm::Hs256 => secret
                .as_ref()
                .map(|secret| DecodingKey::from_secret(secret.expose_secret().as_bytes())),
            Algorithm::Rs256 => public_key_pem
                .map(|pem| DecodingKey::from_rsa_pem(&pem))
                .transpose()
                .map_err(unusable)?,
            Algorithm::Es256 => public_key_pem
                .map(|pem| DecodingKey::from_ec_pem(&pem))
                .transpose()
                .map_err(unusable)?,
        };
        if key.is_none() && mode != Mode::Open {
            return Err(KeyError::Missing(mode));
        }
        let signing_key = match algorithm {
            Algorithm::Hs256 => secret.map(|secret| EncodingKey::from_secret(secret.expose_secret().as_bytes())),
            Algorithm::Rs256 | Algorithm::Es256 => None,
        };
        Ok(Self {
            mode,
            algorithm,
            leeway,
            validation: validation(algorithm, audience.as_deref()),
            audience,
            key,
            signing_key,
        })
    }

    /// What is asked of whoever comes.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Who holds this token, at this instant.
    ///
    /// # Errors
    /// Says why the token is refused.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Authenticated, TokenError> {
        let key = self.key.as_ref().ok_or(TokenError::NoKey)?;
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::TooLong);
        }
        let token = jsonwebtoken::decode::<Claims>(token, key, &self.validation).map_err(|error| refusal(&error))?;
        // Extensions that must be understood (RFC 7515 §4.1.11): none is.
        if token.header.crit.is_some() {
            return Err(TokenError::Malformed);
        }
        token.claims.authenticated(now, self.leeway)
    }

    /// Signs an access token of the shape that Flask-JWT-Extended gives its own.
    ///
    /// # Errors
    /// Without a shared secret.
    pub fn sign(&self, identity: &Identity, issued_at: Timestamp, valid_for: Duration) -> Result<String, SignError> {
        let key = self.signing_key.as_ref().ok_or(match self.algorithm {
            Algorithm::Hs256 => SignError::NoSecret,
            Algorithm::Rs256 | Algorithm::Es256 => SignError::PublicKeyOnly(self.algorithm),
        })?;
        let claims = SignedClaims {
            fresh: false,
            iat: issued_at.as_secs(),
            jti: Uuid::new_v4().to_string(),
            token_type: ACCESS,
            sub: identity.user_id.as_str(),
            nbf: issued_at.as_secs(),
            exp: issued_at.plus(valid_for).as_secs(),
            aud: self.audience.as_deref(),
            role: identity.role.as_str(),
            hospital_id: identity.hospital_id.as_ref().map(HospitalId::as_str),
            staff_id: identity.staff_id.as_ref().map(StaffId::as_str),
            patient_id: identity.patient_id.as_ref().map(PatientId::as_str),
            name: identity.name.as_deref(),
        };
        jsonwebtoken::encode(&Header::new(self.algorithm.into()), &claims, key).map_err(SignError::Failed)
    }
}

/// Algorithm, signature and audience are the library's; time is ours, because the library asks the system for it.
fn validation(algorithm: Algorithm, audience: Option<&str>) -> Validation {
    let mut validation = Validation::new(algorithm.into());
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.required_spec_claims = HashSet::new();
    if let Some(audience) = audience {
        validation.set_audience(&[audience]);
        validation.required_spec_claims.insert("aud".to_owned());
    }
    validation
}

fn refusal(error: &jsonwebtoken::errors::Error) -> TokenError {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the library may add kinds; whatever they are, the token is refused"
    )]
    match error.kind() {
        ErrorKind::InvalidSignature => TokenError::BadSignature,
        ErrorKind::InvalidAlgorithm | ErrorKind::InvalidAlgorithmName | ErrorKind::UnsupportedAlgorithm => {
            TokenError::WrongAlgorithm
        }
        ErrorKind::InvalidAudience => TokenError::WrongAudience,
        ErrorKind::MissingRequiredClaim(_) => TokenError::MissingClaim("aud"),
        _ => TokenError::Malformed,
    }
}

const ACCESS: &str = "access";

/// The claims that count. JSON values are taken as they come, so that a refusal can name the claim.
#[derive(Deserialize)]
struct Claims {
    #[serde(default)]
    exp: Claim,
    #[serde(default)]
    nbf: Claim,
    #[serde(default, rename = "type")]
    token_type: Claim,
    #[serde(default)]
    sub: Claim,
    #[serde(default)]
    role: Claim,
    #[serde(default)]
    hospital_id: Claim,
    #[serde(default)]
    staff_id: Claim,
    #[serde(default)]
    patient_id: Claim,
    #[serde(default)]
    name: Claim,
}

/// A claim's value; JSON `null` counts as absent, as Python's `None` is written that way.
type Claim = Option<serde_json::Value>;

impl Claims {
    fn authenticated(self, now: Timestamp, leeway: Duration) -> Result<Authenticated, TokenError> {
        let expires_at = instant(self.exp, "exp")?.ok_or(TokenError::MissingClaim("exp"))?;
        if now >= expires_at.plus(leeway) {
            return Err(TokenError::Expired);
        }
        if instant(self.nbf, "nbf")?.is_some_and(|not_before| now.plus(leeway) < not_before) {
            return Err(TokenError::NotYetValid);
        }
        if text(self.token_type, "type")?.as_deref() != Some(ACCESS) {
            return Err(TokenError::WrongType);
        }
        // A claim that bounds somebody must never be dropped because it is misspelt: an admin without hospital sees all.
        let identity = Identity {
            user_id: id(self.sub, "sub", UserId::parse)?.ok_or(TokenError::MissingClaim("sub"))?,
            role: id(self.role, "role", str::parse::<Role>)?.ok_or(TokenError::MissingClaim("role"))?,
            hospital_id: id(self.hospital_id, "hospital_id", HospitalId::parse)?,
            staff_id: id(self.staff_id, "staff_id", StaffId::parse)?,
            patient_id: id(self.patient_id, "patient_id", PatientId::parse)?,
            name: text(self.name, "name")?,
            proof: Proof::Token,
        };
        Ok(Authenticated {
            identity,
            expires_at: Some(expires_at),
        })
    }
}

fn text(claim: Claim, name: &'static str) -> Result<Option<String>, TokenError> {
    match claim {
        None | Some(serde_json::Value::Null) => Ok(None),
        Some(serde_json::Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(TokenError::BadClaim(name)),
    }
}

fn id<T, E>(claim: Claim, name: &'static str, parse: impl Fn(&str) -> Result<T, E>) -> Result<Option<T>, TokenError> {
    text(claim, name)?
        .map(|text| parse(&text).or(Err(TokenError::BadClaim(name))))
        .transpose()
}

/// A `NumericDate`: seconds since the epoch, fractions allowed (RFC 7519 §2).
fn instant(claim: Claim, name: &'static str) -> Result<Option<Timestamp>, TokenError> {
    let Some(value) = claim.filter(|value| !value.is_null()) else {
        return Ok(None);
    };
    let seconds = value
        .as_f64()
        .filter(|seconds| (0.0..=MAX_SECONDS).contains(seconds))
        .ok_or(TokenError::BadClaim(name))?;
    #[expect(clippy::cast_possible_truncation, reason = "in range, checked on the line above")]
    Ok(Some(Timestamp::from_micros((seconds * 1e6) as i64)))
}

/// The year 9999. Whoever writes more meant milliseconds.
const MAX_SECONDS: f64 = 253_402_300_799.0;

/// In the order of Flask-JWT-Extended.
#[derive(Serialize)]
struct SignedClaims<'a> {
    fresh: bool,
    iat: i64,
    jti: String,
    #[serde(rename = "type")]
    token_type: &'static str,
    sub: &'a str,
    nbf: i64,
    exp: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<&'a str>,
    role: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hospital_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    staff_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patient_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
}

#[cfg(test)]
mod tests;
