//! From a token to an [`Identity`]. It knows tokens and keys; it refuses to know rooms, routes and what an identity may do
//! (`domain::access` decides that).

mod token;

use axum::http::{HeaderMap, header};

use crate::domain::Timestamp;
use crate::domain::UserId;
use crate::domain::access::{Identity, Proof, Role};

pub use token::{Algorithm, Authenticator, KeyError, MAX_TOKEN_BYTES, Settings, SignError, TokenError};

/// What is asked of whoever comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// No token anywhere. Only ever on a loopback address.
    Open,
    /// REST and sockets need a token.
    Token,
    /// REST needs a token; sockets are believed what their handshake says. For networks that a proxy already closes.
    Legacy,
}

impl std::fmt::Display for Mode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Open => "open",
            Self::Token => "token",
            Self::Legacy => "legacy",
        })
    }
}

/// Somebody whose token held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authenticated {
    /// Who it is.
    pub identity: Identity,
    /// When the token ends, without leeway; `None` where there is no token.
    pub expires_at: Option<Timestamp>,
}

/// Whoever comes in open mode: an administrator of everything, named `open`.
///
/// # Panics
/// Never: the name is a valid id.
pub fn open_identity() -> Identity {
    #[expect(clippy::expect_used, reason = "a constant that a test checks")]
    let user_id = UserId::parse("open").expect("`open` is a valid id");
    Identity {
        user_id,
        role: Role::Admin,
        hospital_id: None,
        staff_id: None,
        patient_id: None,
        name: None,
        proof: Proof::Open,
    }
}

/// The token of `Authorization: Bearer …`; `None` where there is none. The scheme's case does not matter (RFC 9110 §11.1).
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn authorization(value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_static(value))])
    }

    #[test]
    fn a_bearer_token_is_found_whatever_the_case_of_its_scheme() {
        assert_eq!(bearer(&authorization("Bearer a.b.c")), Some("a.b.c"));
        assert_eq!(bearer(&authorization("bearer  a.b.c ")), Some("a.b.c"));
    }

    #[test]
    fn other_schemes_and_empty_tokens_are_no_bearer_token() {
        assert_eq!(bearer(&HeaderMap::new()), None);
        assert_eq!(bearer(&authorization("Basic a.b.c")), None);
        assert_eq!(bearer(&authorization("Bearer ")), None);
        assert_eq!(bearer(&authorization("Bearer")), None);
        assert_eq!(bearer(&authorization("a.b.c")), None);
    }

    #[test]
    fn whoever_comes_in_open_mode_is_bound_to_no_hospital() {
        let open = open_identity();

        assert_eq!(
            (open.role, open.hospital_id, open.proof),
            (Role::Admin, None, Proof::Open)
        );
    }
}
