//! Who uses the server, and the tokens that a Flask-JWT-Extended backend gives them.

use serde_json::{Value, json};
use wardbell::domain::Timestamp;

/// The secret of servers that tests start.
pub(crate) const SECRET: &str = "a-secret-of-tests-only-0123456789abcdef";

/// Somebody with a role. Without [`of`](Self::of) they belong to no hospital.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    role: &'static str,
    user_id: String,
    claims: serde_json::Map<String, Value>,
}

/// A doctor.
pub(crate) fn doctor() -> Person {
    Person::new("doctor")
}

/// A nurse.
pub(crate) fn nurse() -> Person {
    Person::new("nurse")
}

/// Other staff.
pub(crate) fn staff() -> Person {
    Person::new("staff")
}

/// An administrator.
pub(crate) fn admin() -> Person {
    Person::new("admin")
}

/// A backend.
pub(crate) fn service() -> Person {
    Person::new("service")
}

/// A patient.
pub(crate) fn patient(id: &str) -> Person {
    Person::new("patient").with("patient_id", json!(id))
}

impl Person {
    fn new(role: &'static str) -> Self {
        Self {
            role,
            user_id: format!("{role}-1"),
            claims: serde_json::Map::new(),
        }
    }

    /// Of this hospital.
    pub(crate) fn of(self, hospital: &str) -> Self {
        self.with("hospital_id", json!(hospital))
    }

    /// Known by this user id.
    pub(crate) fn named(mut self, user_id: &str) -> Self {
        user_id.clone_into(&mut self.user_id);
        self
    }

    /// With this claim in the token, or another value of it; `null` leaves it out.
    pub(crate) fn with(mut self, claim: &str, value: Value) -> Self {
        self.claims.insert(claim.to_owned(), value);
        self
    }

    /// The user id.
    pub(crate) fn user_id(&self) -> &str {
        &self.user_id
    }

    /// The role as tokens and handshakes write it.
    pub(crate) fn role(&self) -> &str {
        self.role
    }

    /// A token as Flask-JWT-Extended 4 issues it, good for an hour from `now`.
    pub(crate) fn token(&self, now: Timestamp) -> String {
        self.token_signed_with(now, SECRET)
    }

    /// The same token under another secret.
    pub(crate) fn token_signed_with(&self, now: Timestamp, secret: &str) -> String {
        let mut claims = json!({
            "fresh": false,
            "iat": now.as_secs(),
            "jti": "5b1f3a0e-6c7d-4a55-9a53-0d6d5c1f2a10",
            "type": "access",
            "sub": self.user_id,
            "nbf": now.as_secs(),
            "exp": now.as_secs() + 3600,
            "role": self.role,
        });
        for (claim, value) in &self.claims {
            claims[claim] = value.clone();
        }
        if let Some(claims) = claims.as_object_mut() {
            claims.retain(|_, value| !value.is_null());
        }
        let header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS256);
        jsonwebtoken::encode(
            &header,
            &claims,
            &jsonwebtoken::EncodingKey::from_secret(secret.as_bytes()),
        )
        .unwrap()
    }
}
