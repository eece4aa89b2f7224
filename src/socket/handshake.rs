//! Who is it? From a handshake to an [`Identity`], or to the `connect_error` that says why not.
//!
//! A token may come as `auth: {token}`, as `Authorization: Bearer …` or as the query parameter `token`, looked for in that
//! order. In `legacy` mode the query's `user_id` and `user_role` are believed, in `open` mode they are taken as a name tag.

use std::fmt;

use axum::http::header::USER_AGENT;
use axum::http::request::Parts;
use serde_json::Value;

use crate::auth::{Authenticated, Authenticator, Mode, TokenError, bearer, open_identity};
use crate::domain::access::{Identity, Proof, Role};
use crate::domain::{PatientId, Timestamp, UserId};
use crate::socket::transport;

/// Why a socket was not let in, as its `connect_error` says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rejection {
    /// There is no token.
    Unauthenticated,
    /// The token is over.
    Expired,
    /// The token is no good.
    InvalidToken,
    /// The query does not say who it is (`legacy` mode).
    Nameless,
    /// The server cannot take it now.
    Unavailable,
    /// The other contract refuses its own client, in its own words.
    Guest(&'static str),
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unauthenticated => "Authentication required",
            Self::Expired => "Token expired",
            Self::InvalidToken => "Invalid token",
            Self::Nameless => "user_id and user_role required",
            Self::Unavailable => "Temporarily unavailable",
            Self::Guest(text) => text,
        })
    }
}

/// The identity behind a handshake.
pub(super) fn authenticate(
    authenticator: &Authenticator,
    request: &Parts,
    auth: &Value,
    now: Timestamp,
) -> Result<Authenticated, Rejection> {
    let mut query = transport::query(&request.uri);
    match authenticator.mode() {
        Mode::Open => {
            let nobody = open_identity();
            let user_id = query
                .get("user_id")
                .and_then(|id| UserId::parse(id).ok())
                .unwrap_or(nobody.user_id);
            let role = query
                .get("user_role")
                .and_then(|role| role.parse().ok())
                .unwrap_or(nobody.role);
            Ok(Authenticated {
                identity: Identity {
                    user_id,
                    role,
                    ..open_identity()
                },
                expires_at: None,
            })
        }
        Mode::Legacy => {
            let user_id = query
                .get("user_id")
                .and_then(|id| UserId::parse(id).ok())
                .ok_or(Rejection::Nameless)?;
            let role: Role = query
                .get("user_role")
                .and_then(|role| role.parse().ok())
                .ok_or(Rejection::Nameless)?;
            // A backend speaks REST; a page that says it is one is not believed that.
            let role = Some(role)
                .filter(|role| *role != Role::Service)
                .ok_or(Rejection::Nameless)?;
            let patient_id = (role == Role::Patient)
                .then(|| PatientId::parse(user_id.as_str()).ok())
                .flatten();
            let identity = Identity {
                user_id,
                role,
                hospital_id: None,
                staff_id: None,
                patient_id,
                name: None,
                proof: Proof::Claimed,
            };
            Ok(Authenticated {
                identity,
                expires_at: None,
            })
        }
        Mode::Token => {
            let token = auth
                .get("token")
                .and_then(Value::as_str)
                .map(|token| token.strip_prefix("Bearer ").unwrap_or(token).to_owned())
                .or_else(|| bearer(&request.headers).map(str::to_owned))
                .or_else(|| query.remove("token"))
                .filter(|token| !token.is_empty())
                .ok_or(Rejection::Unauthenticated)?;
            authenticator.verify(&token, now).map_err(|error| match error {
                TokenError::Missing => Rejection::Unauthenticated,
                TokenError::Expired => Rejection::Expired,
                TokenError::NoKey
                | TokenError::TooLong
                | TokenError::Malformed
                | TokenError::WrongAlgorithm
                | TokenError::BadSignature
                | TokenError::NotYetValid
                | TokenError::WrongType
                | TokenError::WrongAudience
                | TokenError::MissingClaim(_)
                | TokenError::BadClaim(_) => Rejection::InvalidToken,
            })
        }
    }
}

/// Whether the client understands connection state recovery, so that events may carry their position.
///
/// It does if it says so (`auth: {recovery: true}`) or already has a `pid`. Otherwise by its user agent: browsers, and the
/// Node client while it polls, run `socket.io-client`, whose handlers do not mind one argument more. `Origin` says nothing:
/// Python's websocket clients send one, too.
pub(super) fn understands_recovery(request: &Parts, auth: &Value) -> bool {
    if let Some(says) = auth.get("recovery").and_then(Value::as_bool) {
        return says;
    }
    if auth.get("pid").is_some_and(Value::is_string) {
        return true;
    }
    let agent = request
        .headers
        .get(USER_AGENT)
        .and_then(|agent| agent.to_str().ok())
        .unwrap_or_default();
    agent.starts_with("Mozilla/") || agent.starts_with("node-XMLHttpRequest")
}

#[cfg(test)]
mod tests {
    use axum::http::Request;
    use serde_json::json;

    use super::*;

    fn request(query: &str, agent: &str) -> Parts {
        let builder = Request::builder()
            .uri(format!("/socket.io/?EIO=4&{query}"))
            .header(USER_AGENT, agent);
        builder.body(()).unwrap().into_parts().0
    }

    #[test]
    fn browsers_and_the_polling_node_client_understand_recovery() {
        for agent in [
            "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
            "node-XMLHttpRequest",
        ] {
            assert!(understands_recovery(&request("", agent), &Value::Null), "{agent}");
        }
    }

    #[test]
    fn python_clients_and_unknown_ones_do_not_unless_they_say_so() {
        for agent in [
            "",
            "python-requests/2.32.3",
            "Python/3.13 aiohttp/3.12.0",
            "okhttp/4.12.0",
        ] {
            assert!(!understands_recovery(&request("", agent), &Value::Null), "{agent}");
            assert!(
                understands_recovery(&request("", agent), &json!({"recovery": true})),
                "{agent}"
            );
            assert!(
                understands_recovery(&request("", agent), &json!({"pid": "x"})),
                "{agent}"
            );
        }
    }

    #[test]
    fn a_browser_can_say_that_it_does_not() {
        assert!(!understands_recovery(
            &request("", "Mozilla/5.0"),
            &json!({"recovery": false})
        ));
    }
}
