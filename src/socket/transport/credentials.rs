//! What a session's requests are authorised with: the later ones must show what the first one showed.

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, Uri};
use sha2::{Digest as _, Sha256};

use super::{Asked, query};

/// What a request is authorised with, hashed: how long a comparison takes says nothing about what was hashed. Most sessions show
/// theirs in CONNECT and nothing here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Credentials {
    authorization: Option<Box<[u8; 32]>>,
    token: Option<Box<[u8; 32]>>,
}

impl Credentials {
    /// What this request shows.
    pub(super) fn of(headers: &HeaderMap, uri: &Uri) -> Self {
        let hash = |bytes: &[u8]| Box::new(Sha256::digest(bytes).into());
        Self {
            authorization: headers.get(AUTHORIZATION).map(|value| hash(value.as_bytes())),
            token: query(uri).remove("token").map(|token| hash(token.as_bytes())),
        }
    }

    /// Whether a request with `shown` may act for a session whose handshake showed these.
    pub(super) fn allow(&self, shown: &Self, asked: Asked) -> bool {
        let may_lack_header = asked == Asked::Websocket && shown.authorization.is_none();
        self.token == shown.token && (may_lack_header || self.authorization == shown.authorization)
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn later_requests_must_show_what_the_handshake_showed() {
        let with = |header: Option<&'static str>, query: &str| {
            let headers = header.map(|value| (AUTHORIZATION, HeaderValue::from_static(value)));
            Credentials::of(
                &HeaderMap::from_iter(headers),
                &format!("/socket.io/?EIO=4{query}").parse().unwrap(),
            )
        };
        let nothing = with(None, "");
        let header = with(Some("Bearer a"), "");
        let token = with(None, "&token=a");

        for (shown, other) in [
            (&nothing, &header),
            (&header, &nothing),
            (&token, &nothing),
            (&token, &with(None, "&token=b")),
        ] {
            assert!(shown.allow(shown, Asked::Polling));
            assert!(!shown.allow(other, Asked::Polling), "{shown:?} {other:?}");
        }
        assert!(
            header.allow(&nothing, Asked::Websocket),
            "browsers send no header with a websocket"
        );
        assert!(!header.allow(&with(Some("Bearer b"), ""), Asked::Websocket));
        assert!(!token.allow(&nothing, Asked::Websocket));
    }
}
