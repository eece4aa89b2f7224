//! The EHR's tokens (contract B, §1): HS256 with a secret of their own, and from them who somebody is.
//!
//! It refuses to know contract A's tokens, and to say why one is no good: every text would help somebody who tries.

use std::collections::HashSet;
use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;

use crate::domain::{TenantId, Timestamp, UserId};

/// The longest token that is looked at, in bytes.
const MAX_TOKEN_BYTES: usize = 8 * 1024;
/// The longest name that is taken over, in characters.
const MAX_NAME: usize = 200;
/// The year 9999. Whoever writes more meant milliseconds.
const MAX_SECONDS: f64 = 253_402_300_799.0;

/// Somebody who works with the EHR.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Person {
    /// For which clinic: all that they may hear and do is inside it.
    pub(super) tenant: TenantId,
    /// Who.
    pub(super) user: UserId,
    /// How people call them.
    pub(super) name: String,
}

/// Somebody whose token held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verified {
    pub(super) person: Person,
    pub(super) expires_at: Timestamp,
}

/// The token is no good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Invalid;

/// Verifies tokens.
pub(super) struct Tokens {
    key: DecodingKey,
    validation: Validation,
    leeway: Duration,
}

/// The claims that count, as they come.
#[derive(Deserialize)]
struct Claims {
    #[serde(default)]
    id: Value,
    #[serde(default, rename = "tenantId")]
    tenant_id: Value,
    #[serde(default)]
    email: Value,
    #[serde(default, rename = "fullName")]
    full_name: Value,
    #[serde(default)]
    exp: Value,
    #[serde(default)]
    nbf: Value,
    #[serde(default, rename = "type")]
    kind: Value,
    #[serde(default, rename = "tokenType")]
    token_kind: Value,
    /// A patient of the portal.
    #[serde(default, rename = "accountId")]
    account_id: Value,
}

#[derive(Deserialize)]
struct Glance {
    #[serde(default, rename = "tenantId")]
    tenant_id: Value,
}

/// The tenant that a token names, held or not: by it a connection or a request is told to be of contract B. Nothing else may
/// follow from it.
pub(super) fn claimed_tenant(token: &str) -> Option<String> {
    if token.len() > MAX_TOKEN_BYTES {
        return None;
    }
    let glance: Glance = jsonwebtoken::dangerous::insecure_decode_claims(token).ok()?;
    text(&glance.tenant_id)
}

/// The tenant that a token is bound to, which has been verified elsewhere; `None`: it is bound to none. Whatever else it says
/// of a tenant binds it to one that nobody knows.
pub(super) fn bound_tenant(token: &str) -> Result<Option<TenantId>, Invalid> {
    if token.len() > MAX_TOKEN_BYTES {
        return Err(Invalid);
    }
    let glance: Glance = jsonwebtoken::dangerous::insecure_decode_claims(token).or(Err(Invalid))?;
    if glance.tenant_id.is_null() {
        return Ok(None);
    }
    let tenant = text(&glance.tenant_id).ok_or(Invalid)?;
    TenantId::parse(&tenant).map(Some).or(Err(Invalid))
}

impl Tokens {
    /// Tokens signed with `secret`, by `issuer` where one is named.
    pub(super) fn new(secret: &SecretString, issuer: Option<&str>, leeway: Duration) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        // Time is ours: the library asks the system for it.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        validation.required_spec_claims = HashSet::new();
        if let Some(issuer) = issuer {
            validation.set_issuer(&[issuer]);
            validation.required_spec_claims.insert("iss".to_owned());
        }
        Self {
            key: DecodingKey::from_secret(secret.expose_secret().as_bytes()),
            validation,
            leeway,
        }
    }

    /// Who holds this token, at this instant.
    pub(super) fn verify(&self, token: &str, now: Timestamp) -> Result<Verified, Invalid> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(Invalid);
        }
        let token = jsonwebtoken::decode::<Claims>(token, &self.key, &self.validation).or(Err(Invalid))?;
        // Extensions that must be understood (RFC 7515 §4.1.11): none is.
        if token.header.crit.is_some() {
            return Err(Invalid);
        }
        let claims = token.claims;
        let expires_at = instant(&claims.exp).ok_or(Invalid)?;
        let is_over = now >= expires_at.plus(self.leeway);
        let is_early = instant(&claims.nbf).is_some_and(|from| now.plus(self.leeway) < from);
        let is_access = |kind: &Value| kind.is_null() || kind == "access";
        let is_of_staff = claims.account_id.is_null();
        if is_over || is_early || !is_access(&claims.kind) || !is_access(&claims.token_kind) || !is_of_staff {
            return Err(Invalid);
        }
        let user = UserId::parse(&text(&claims.id).ok_or(Invalid)?).or(Err(Invalid))?;
        let tenant = TenantId::parse(&text(&claims.tenant_id).ok_or(Invalid)?).or(Err(Invalid))?;
        let name = text(&claims.full_name).or_else(|| text(&claims.email));
        let name = name
            .unwrap_or_else(|| user.to_string())
            .chars()
            .take(MAX_NAME)
            .collect();
        Ok(Verified {
            person: Person { tenant, user, name },
            expires_at,
        })
    }
}

/// An id or name: text, or a number as text.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A `NumericDate`: seconds since the epoch, fractions allowed (RFC 7519 §2).
fn instant(value: &Value) -> Option<Timestamp> {
    let seconds = value.as_f64().filter(|seconds| (0.0..=MAX_SECONDS).contains(seconds))?;
    #[expect(clippy::cast_possible_truncation, reason = "in range, checked on the line above")]
    Some(Timestamp::from_micros((seconds * 1e6) as i64))
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{EncodingKey, Header};
    use serde_json::json;

    use super::*;

    const SECRET: &str = "the-secret-of-the-ehr-0123456789abcdef";

    fn now() -> Timestamp {
        Timestamp::from_micros(1_771_151_400_000_000)
    }

    fn claims() -> Value {
        let now = now().as_secs();
        json!({"id": "u1", "tenantId": "clinic-a", "role": "provider", "email": "ada@clinic.example",
               "fullName": "Ada Lovelace", "iat": now, "exp": now + 900, "iss": "derm-app"})
    }

    fn signed(claims: &Value, algorithm: Algorithm, secret: &str) -> String {
        let key = EncodingKey::from_secret(secret.as_bytes());
        jsonwebtoken::encode(&Header::new(algorithm), claims, &key).unwrap()
    }

    fn verify(claims: &Value) -> Result<Person, Invalid> {
        let tokens = Tokens::new(&SECRET.into(), Some("derm-app"), Duration::from_secs(30));
        let verified = tokens.verify(&signed(claims, Algorithm::HS256, SECRET), now());
        verified.map(|verified| verified.person)
    }

    fn with(claim: &str, value: Value) -> Value {
        let mut claims = claims();
        claims[claim] = value;
        claims
    }

    #[test]
    fn a_token_of_the_ehr_is_its_holder() {
        let person = verify(&claims()).unwrap();

        assert_eq!(
            (person.tenant.as_str(), person.user.as_str(), person.name.as_str()),
            ("clinic-a", "u1", "Ada Lovelace")
        );
        assert_eq!(verify(&with("type", json!("access"))), Ok(person));
    }

    #[test]
    fn a_name_is_the_full_one_else_the_address_else_the_id() {
        let mut nameless = with("fullName", Value::Null);

        assert_eq!(verify(&nameless).unwrap().name, "ada@clinic.example");
        nameless["email"] = json!("");
        assert_eq!(verify(&nameless).unwrap().name, "u1");
    }

    #[test]
    fn what_is_no_access_token_of_staff_of_a_tenant_is_invalid() {
        for (claim, value) in [
            ("id", Value::Null),
            ("id", json!("")),
            ("id", json!("x".repeat(129))),
            ("tenantId", Value::Null),
            ("tenantId", json!({"$ne": 1})),
            ("exp", Value::Null),
            ("exp", json!(now().as_secs() - 31)),
            ("exp", json!("never")),
            ("nbf", json!(now().as_secs() + 31)),
            ("type", json!("refresh")),
            ("tokenType", json!("refresh")),
            ("tokenType", json!(1)),
            ("accountId", json!("portal-1")),
            ("iss", json!("somebody-else")),
            ("iss", Value::Null),
        ] {
            assert_eq!(verify(&with(claim, value.clone())), Err(Invalid), "{claim}: {value}");
        }
    }

    #[test]
    fn the_algorithm_and_the_secret_are_pinned() {
        let tokens = Tokens::new(&SECRET.into(), None, Duration::ZERO);
        let unsigned = "eyJhbGciOiJub25lIn0.eyJpZCI6InUxIiwidGVuYW50SWQiOiJhIiwiZXhwIjo5OTk5OTk5OTk5fQ.";

        for token in [
            signed(&claims(), Algorithm::HS512, SECRET),
            signed(&claims(), Algorithm::HS256, "another-secret-0123456789abcdefghij"),
            unsigned.to_owned(),
            "x".repeat(MAX_TOKEN_BYTES + 1),
            String::new(),
        ] {
            assert_eq!(tokens.verify(&token, now()), Err(Invalid));
        }
    }

    #[test]
    fn the_tenant_of_a_token_can_be_read_before_it_is_known_to_hold() {
        let foreign = signed(&claims(), Algorithm::HS256, "another-secret-0123456789abcdefghij");

        assert_eq!(claimed_tenant(&foreign).as_deref(), Some("clinic-a"));
        assert_eq!(
            claimed_tenant(&signed(&json!({"sub": "u"}), Algorithm::HS256, SECRET)),
            None
        );
        assert_eq!(claimed_tenant("no token"), None);
    }
}
