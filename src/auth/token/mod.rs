//! Tokens as Flask-JWT-Extended 4 issues them: verified with one configured algorithm and key, against the clock that is
//! handed in.

mod claims;

use std::collections::HashSet;
use std::time::Duration;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{DecodingKey, EncodingKey, Header, Validation};
use secrecy::{ExposeSecret, SecretString};

use self::claims::{Claims, SignedClaims};
use super::{Authenticated, Mode};
use crate::domain::Timestamp;
use crate::domain::access::Identity;

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
        let claims = SignedClaims::of(identity, issued_at, valid_for, self.audience.as_deref());
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

#[cfg(test)]
mod tests;
