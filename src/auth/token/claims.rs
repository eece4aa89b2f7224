//! The claims of Flask-JWT-Extended 4: which of them count, and which are signed.
//!
//! A patient's token without `patient_id` holds and opens nothing: there is no room that would be theirs.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::super::Authenticated;
use super::TokenError;
use crate::domain::access::{Identity, Proof, Role};
use crate::domain::{HospitalId, PatientId, StaffId, Timestamp, UserId};

const ACCESS: &str = "access";

/// The claims that count. JSON values are taken as they come, so that a refusal can name the claim.
#[derive(Deserialize)]
pub(super) struct Claims {
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
    /// Who they are of, if they hold at `now`.
    pub(super) fn authenticated(self, now: Timestamp, leeway: Duration) -> Result<Authenticated, TokenError> {
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
pub(super) struct SignedClaims<'a> {
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

impl<'a> SignedClaims<'a> {
    /// The claims of an access token.
    pub(super) fn of(
        identity: &'a Identity,
        issued_at: Timestamp,
        valid_for: Duration,
        audience: Option<&'a str>,
    ) -> Self {
        Self {
            fresh: false,
            iat: issued_at.as_secs(),
            jti: Uuid::new_v4().to_string(),
            token_type: ACCESS,
            sub: identity.user_id.as_str(),
            nbf: issued_at.as_secs(),
            exp: issued_at.plus(valid_for).as_secs(),
            aud: audience,
            role: identity.role.as_str(),
            hospital_id: identity.hospital_id.as_ref().map(HospitalId::as_str),
            staff_id: identity.staff_id.as_ref().map(StaffId::as_str),
            patient_id: identity.patient_id.as_ref().map(PatientId::as_str),
            name: identity.name.as_deref(),
        }
    }
}
