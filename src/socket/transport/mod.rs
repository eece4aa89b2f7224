//! Engine.IO requests, in front of the library: what it would answer wrongly is answered here, what it cannot see is seen here.
//!
//! Websockets are upgraded here and handed to the library as streams, polling requests pass through; both are watched, so
//! that a client that takes nothing is known and can be cut off, and both are looked at until CONNECT went by (see
//! [`shim`](super::recovery::shim)). Errors are Engine.IO's own, as Node's server words them.
//!
//! The library's Socket.IO id is the Engine.IO session id, and the contract has the server tell it to the client in
//! `connection_response`; whoever else learns it could poll in the client's place. So ids (96 random bits) are told to nobody
//! else and never logged, and every later request of a session must show the credentials that its handshake showed. One
//! exception: a browser cannot send `Authorization` with a websocket, so an upgrade may come without it.

mod conn;
mod engine;
mod polling;
mod websocket;

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_TYPE, HeaderName, ORIGIN, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION, UPGRADE, USER_AGENT,
};
use axum::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use sha2::{Digest as _, Sha256};
use socketioxide::socket::Sid;

use conn::{Carrier, Refused};
pub(super) use conn::{Conn, ConnGuard, Registry};
pub(super) use engine::Engine;
use websocket::WebsocketIo;

use super::Settings;

/// What a handshake keeps of its request's headers. The rest of them, and the read buffer that they all point into (16 KiB),
/// is let go.
const KEPT: [HeaderName; 3] = [AUTHORIZATION, USER_AGENT, ORIGIN];
/// The longest header value that is kept. A token has at most 8 KiB.
const MAX_KEPT: usize = 9 * 1024;

struct Transport {
    engine: Arc<Engine>,
    registry: Arc<Registry>,
    allow_polling: bool,
    allow_websocket: bool,
    max_message_bytes: usize,
}

/// The routes of `/socket.io/`.
pub(super) fn router(engine: Arc<Engine>, registry: Arc<Registry>, settings: &Settings) -> Router {
    registry.attach(&engine);
    let transport = Arc::new(Transport {
        engine,
        registry,
        allow_polling: settings.allow_polling,
        allow_websocket: settings.allow_websocket,
        max_message_bytes: settings.max_message_bytes,
    });
    Router::new()
        .route("/socket.io", axum::routing::any(serve))
        .route("/socket.io/", axum::routing::any(serve))
        .with_state(transport)
}

/// What an Engine.IO request can be refused for, worded as Node's server does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    UnknownTransport,
    UnknownSession,
    BadHandshakeMethod,
    BadRequest,
    UnsupportedProtocol,
    Closing,
    Full,
}

impl Refusal {
    fn response(self) -> Response<Body> {
        let (status, code, message) = match self {
            Self::UnknownTransport => (StatusCode::BAD_REQUEST, 0, "Transport unknown"),
            Self::UnknownSession => (StatusCode::BAD_REQUEST, 1, "Session ID unknown"),
            Self::BadHandshakeMethod => (StatusCode::BAD_REQUEST, 2, "Bad handshake method"),
            Self::BadRequest => (StatusCode::BAD_REQUEST, 3, "Bad request"),
            Self::UnsupportedProtocol => (StatusCode::BAD_REQUEST, 5, "Unsupported protocol version"),
            Self::Closing => (StatusCode::SERVICE_UNAVAILABLE, 4, "Server is closing"),
            Self::Full => (StatusCode::SERVICE_UNAVAILABLE, 4, "Too many connections"),
        };
        let mut response = Response::new(Body::from(format!("{{\"code\":{code},\"message\":\"{message}\"}}")));
        *response.status_mut() = status;
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Closing => Self::Closing,
            Refused::Full => Self::Full,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Polling,
    Websocket,
}

/// An Engine.IO request's query.
#[derive(Debug, PartialEq, Eq)]
struct Call {
    asked: Asked,
    sid: Option<Sid>,
}

impl Call {
    fn parse(method: &Method, uri: &Uri, allow_polling: bool, allow_websocket: bool) -> Result<Self, Refusal> {
        let query = uri.query().unwrap_or_default();
        let parameter = |name: &str| {
            query
                .split('&')
                .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
        };
        let asked = match parameter("transport") {
            Some("polling") if allow_polling => Asked::Polling,
            Some("websocket") if allow_websocket => Asked::Websocket,
            Some(_) | None => return Err(Refusal::UnknownTransport),
        };
        if parameter("EIO") != Some("4") {
            return Err(Refusal::UnsupportedProtocol);
        }
        let sid = match parameter("sid") {
            // An id that cannot be one is an unknown session, never a new one.
            Some(sid) => Some(sid.parse().or(Err(Refusal::UnknownSession))?),
            None => None,
        };
        match (method, asked, sid) {
            (&Method::GET, _, _) | (&Method::POST, Asked::Polling, Some(_)) => Ok(Self { asked, sid }),
            (_, _, None) => Err(Refusal::BadHandshakeMethod),
            (_, _, Some(_)) => Err(Refusal::BadRequest),
        }
    }
}

async fn serve(State(transport): State<Arc<Transport>>, request: Request<Body>) -> Response<Body> {
    let answered = async {
        let Transport {
            allow_polling,
            allow_websocket,
            ..
        } = *transport;
        let call = Call::parse(request.method(), request.uri(), allow_polling, allow_websocket)?;
        let credentials = Credentials::of(request.headers(), request.uri());
        let conn = match call.sid {
            None => None,
            Some(sid) => {
                let conn = transport.registry.find(sid).ok_or(Refusal::UnknownSession)?;
                if conn.is_over() || !conn.credentials().allow(&credentials, call.asked) {
                    return Err(Refusal::UnknownSession);
                }
                Some(conn)
            }
        };
        match (call.asked, conn) {
            (Asked::Polling, None) => {
                let guard = transport.registry.open(Carrier::Polling, credentials)?;
                let kept = kept(&request);
                Ok(polling::open(&transport.engine, &transport.registry, Arc::new(guard), kept).await)
            }
            (Asked::Polling, Some(conn)) => {
                Ok(polling::answer(&transport.engine, conn, request, transport.max_message_bytes).await)
            }
            (Asked::Websocket, conn) => upgrade(&transport, conn, credentials, request),
        }
    };
    answered.await.unwrap_or_else(Refusal::response)
}

/// Upgrades to a websocket and hands it to the library.
fn upgrade(
    transport: &Arc<Transport>,
    conn: Option<Arc<Conn>>,
    credentials: Credentials,
    mut request: Request<Body>,
) -> Result<Response<Body>, Refusal> {
    let accept = websocket_accept(request.headers()).ok_or(Refusal::BadRequest)?;
    let mut kept = kept(&request);
    let (conn, is_new) = if let Some(conn) = conn {
        if !conn.begin_upgrade() {
            return Err(Refusal::BadRequest);
        }
        (conn, false)
    } else {
        let guard = Arc::new(transport.registry.open(Carrier::Websocket, credentials)?);
        let conn = Arc::clone(&guard.conn);
        kept.extensions_mut().insert(guard);
        (conn, true)
    };
    let upgraded = hyper::upgrade::on(&mut request);
    let transport = Arc::clone(transport);
    drop(tokio::spawn(async move {
        let stream = match upgraded.await {
            Ok(upgraded) => TokioIo::new(upgraded),
            Err(error) => {
                tracing::debug!(
                    conn.id = conn.id,
                    error = &error as &dyn std::error::Error,
                    "the upgrade did not happen"
                );
                conn.cut();
                return;
            }
        };
        let io = if is_new {
            WebsocketIo::new(stream, Arc::clone(&conn))
        } else {
            WebsocketIo::upgrading(stream, Arc::clone(&conn))
        };
        if !transport.engine.carry(io, kept).await {
            conn.cut();
        }
    }));

    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    Ok(response)
}

/// `Sec-WebSocket-Accept`, if these are the headers of a websocket's opening handshake (RFC 6455 §4.2.1).
fn websocket_accept(headers: &HeaderMap) -> Option<HeaderValue> {
    let names = |name: HeaderName, token: &str| {
        headers
            .get_all(name)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|value| value.trim().eq_ignore_ascii_case(token))
    };
    let is_upgrade = names(CONNECTION, "upgrade") && names(UPGRADE, "websocket") && names(SEC_WEBSOCKET_VERSION, "13");
    let key = headers.get(SEC_WEBSOCKET_KEY).filter(|_| is_upgrade)?;
    HeaderValue::try_from(tungstenite::handshake::derive_accept_key(key.as_bytes())).ok()
}

/// The request as the session keeps it: copied, so that it does not hold on to the buffer that it was read into.
fn kept(request: &Request<Body>) -> Request<()> {
    let mut kept = Request::new(());
    *kept.method_mut() = Method::GET;
    if let Some(Ok(uri)) = request.uri().path_and_query().map(|path| path.as_str().parse()) {
        *kept.uri_mut() = uri;
    }
    for name in KEPT {
        if let Some(value) = request.headers().get(&name)
            && value.len() <= MAX_KEPT
            && let Ok(copy) = HeaderValue::from_bytes(value.as_bytes())
        {
            kept.headers_mut().insert(name, copy);
        }
    }
    kept
}

/// What a request is authorised with, hashed: how long a comparison takes says nothing about what was hashed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Credentials {
    authorization: Option<[u8; 32]>,
    token: Option<[u8; 32]>,
}

impl Credentials {
    fn of(headers: &HeaderMap, uri: &Uri) -> Self {
        let hash = |bytes: &[u8]| -> [u8; 32] { Sha256::digest(bytes).into() };
        Self {
            authorization: headers.get(AUTHORIZATION).map(|value| hash(value.as_bytes())),
            token: query(uri).remove("token").map(|token| hash(token.as_bytes())),
        }
    }

    /// Whether a request with `shown` may act for a session whose handshake showed these.
    fn allow(&self, shown: &Self, asked: Asked) -> bool {
        let may_lack_header = asked == Asked::Websocket && shown.authorization.is_none();
        self.token == shown.token && (may_lack_header || self.authorization == shown.authorization)
    }
}

/// The query's parameters, decoded. The last of several with one name counts.
pub(super) fn query(uri: &Uri) -> HashMap<String, String> {
    Query::try_from_uri(uri)
        .map(|Query(parameters)| parameters)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(method: &str, query: &str) -> Result<Call, Refusal> {
        Call::parse(
            &method.parse().unwrap(),
            &format!("/socket.io/?{query}").parse().unwrap(),
            true,
            true,
        )
    }

    #[test]
    fn handshakes_and_requests_of_a_session_are_told_apart() {
        let sid: Sid = "AAAAAAAAAAAAAAHs".parse().unwrap();

        assert_eq!(
            call("GET", "EIO=4&transport=polling"),
            Ok(Call {
                asked: Asked::Polling,
                sid: None
            })
        );
        assert_eq!(
            call("GET", "EIO=4&transport=websocket&t=x"),
            Ok(Call {
                asked: Asked::Websocket,
                sid: None
            })
        );
        for method in ["GET", "POST"] {
            let query = "EIO=4&transport=polling&t=x&sid=AAAAAAAAAAAAAAHs";
            assert_eq!(
                call(method, query),
                Ok(Call {
                    asked: Asked::Polling,
                    sid: Some(sid)
                })
            );
        }
    }

    #[test]
    fn what_is_no_engine_io_request_is_refused_as_node_does() {
        for (method, query, refusal) in [
            ("GET", "", Refusal::UnknownTransport),
            ("GET", "EIO=4&transport=webtransport", Refusal::UnknownTransport),
            ("GET", "EIO=3&transport=polling", Refusal::UnsupportedProtocol),
            ("GET", "transport=polling", Refusal::UnsupportedProtocol),
            ("POST", "EIO=4&transport=polling", Refusal::BadHandshakeMethod),
            ("GET", "EIO=4&transport=polling&sid=short", Refusal::UnknownSession),
            ("GET", "EIO=4&transport=polling&sid=", Refusal::UnknownSession),
            (
                "PUT",
                "EIO=4&transport=polling&sid=AAAAAAAAAAAAAAHs",
                Refusal::BadRequest,
            ),
            (
                "POST",
                "EIO=4&transport=websocket&sid=AAAAAAAAAAAAAAHs",
                Refusal::BadRequest,
            ),
        ] {
            assert_eq!(call(method, query), Err(refusal), "{method} {query}");
        }
    }

    #[test]
    fn a_transport_that_is_switched_off_is_unknown() {
        let uri = "/socket.io/?EIO=4&transport=polling".parse().unwrap();

        assert_eq!(
            Call::parse(&Method::GET, &uri, false, true),
            Err(Refusal::UnknownTransport)
        );
    }

    #[test]
    fn only_a_whole_websocket_handshake_is_accepted() {
        let headers = |connection: &'static str, version: &'static str| {
            HeaderMap::from_iter([
                (CONNECTION, HeaderValue::from_static(connection)),
                (UPGRADE, HeaderValue::from_static("WebSocket")),
                (SEC_WEBSOCKET_VERSION, HeaderValue::from_static(version)),
                (SEC_WEBSOCKET_KEY, HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ==")),
            ])
        };

        // RFC 6455 §1.3's own example
        let accept = websocket_accept(&headers("keep-alive, Upgrade", "13"));
        assert_eq!(accept, Some(HeaderValue::from_static("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")));
        assert_eq!(websocket_accept(&headers("keep-alive", "13")), None);
        assert_eq!(websocket_accept(&headers("upgrade", "8")), None);
        assert_eq!(websocket_accept(&HeaderMap::new()), None);
    }

    #[test]
    fn a_session_keeps_of_its_handshake_what_says_who_it_is() {
        let request = Request::builder()
            .uri("http://example.org/socket.io/?EIO=4&user_id=u1")
            .header("authorization", "Bearer a.b.c")
            .header("cookie", "x=y")
            .body(Body::empty())
            .unwrap();

        let kept = kept(&request);

        assert_eq!(kept.uri(), "/socket.io/?EIO=4&user_id=u1");
        assert_eq!(kept.headers().len(), 1);
        assert_eq!(kept.headers()["authorization"], "Bearer a.b.c");
    }

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
