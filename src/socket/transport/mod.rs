//! Engine.IO requests, in front of the library: what it would answer wrongly is answered here, what it cannot see is seen here.
//!
//! Websockets are upgraded here and handed to the library as streams, polling requests pass through; both are watched, so
//! that a client that takes nothing is known and can be cut off, and both are looked at until CONNECT went by (see
//! [`shim`](super::recovery::shim)). Errors are Engine.IO's own, as Node's server words them.
//!
//! To the library the Engine.IO session id and the Socket.IO id are one, and the contract has the server tell the Socket.IO
//! id in `connection_response`: whoever learns that could poll in the client's place. So a client is told another id for its
//! session ([`session`]), and the library's opens nothing from outside: open packets are rewritten on their way out, and the
//! library is asked for a session under an address that is made here. Ours also names the node, for the proxy in front.
//! Neither is ever logged, and beside its id every later request of a session must show the credentials that its handshake
//! showed. One exception: a browser cannot send `Authorization` with a websocket, so an upgrade may come without it.

mod conn;
mod credentials;
mod engine;
mod measure;
mod outlet;
mod polling;
mod session;
mod websocket;

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_TYPE, COOKIE, HeaderName, ORIGIN, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION, UPGRADE, USER_AGENT,
};
use axum::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use bytes::Bytes;
use hyper::upgrade::Parts;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use conn::{Carrier, Refused};
pub(super) use conn::{Conn, ConnGuard, Registry};
use credentials::Credentials;
pub(super) use engine::Engine;
use engine::session_uri;
use measure::Measure;
pub(super) use outlet::{ByLibrary, FENCE, Sent, Staged};
use websocket::WebsocketIo;

use super::Settings;

/// What a handshake keeps of its request's headers. The rest of them, and the read buffer that they all point into (16 KiB),
/// is let go. Cookies are kept where somebody reads them.
const KEPT: [HeaderName; 3] = [AUTHORIZATION, USER_AGENT, ORIGIN];
/// The longest header value that is kept. A token has at most 8 KiB.
const MAX_KEPT: usize = 9 * 1024;

struct Transport {
    engine: Arc<Engine>,
    registry: Arc<Registry>,
    allow_polling: bool,
    allow_websocket: bool,
    max_message_bytes: usize,
    keeps_cookies: bool,
}

/// The routes of `/socket.io/`. `keeps_cookies`: somebody finds out by them who a client is.
pub(super) fn router(engine: Arc<Engine>, registry: Arc<Registry>, settings: &Settings, keeps_cookies: bool) -> Router {
    registry.attach(&engine);
    let transport = Arc::new(Transport {
        engine,
        registry,
        allow_polling: settings.allow_polling,
        allow_websocket: settings.allow_websocket,
        max_message_bytes: settings.max_message_bytes,
        keeps_cookies,
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

impl Asked {
    const fn name(self) -> &'static str {
        match self {
            Self::Polling => "polling",
            Self::Websocket => "websocket",
        }
    }
}

/// An Engine.IO request's query.
#[derive(Debug, PartialEq, Eq)]
struct Call<'a> {
    asked: Asked,
    /// The session that it says it is of. A text that cannot be an id is an unknown session, never a new one.
    session: Option<&'a str>,
}

impl<'a> Call<'a> {
    fn parse(method: &Method, uri: &'a Uri, allow_polling: bool, allow_websocket: bool) -> Result<Self, Refusal> {
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
        let session = parameter("sid");
        match (method, asked, session) {
            (&Method::GET, _, _) | (&Method::POST, Asked::Polling, Some(_)) => Ok(Self { asked, session }),
            (_, _, None) => Err(Refusal::BadHandshakeMethod),
            (_, _, Some(_)) => Err(Refusal::BadRequest),
        }
    }
}

async fn serve(State(transport): State<Arc<Transport>>, mut request: Request<Body>) -> Response<Body> {
    let answered = async {
        let Transport {
            allow_polling,
            allow_websocket,
            ..
        } = *transport;
        let call = Call::parse(request.method(), request.uri(), allow_polling, allow_websocket)?;
        let credentials = Credentials::of(request.headers(), request.uri());
        let asked = call.asked;
        let session = match call.session {
            None => None,
            Some(id) => {
                let conn = transport.registry.find(id).ok_or(Refusal::UnknownSession)?;
                if conn.is_over() || !conn.credentials().allow(&credentials, asked) {
                    return Err(Refusal::UnknownSession);
                }
                let uri = conn.sid().and_then(|sid| session_uri(asked.name(), sid));
                *request.uri_mut() = uri.ok_or(Refusal::UnknownSession)?;
                Some(conn)
            }
        };
        match (asked, session) {
            (Asked::Polling, None) => {
                let guard = transport.registry.open(Carrier::Polling, credentials)?;
                let kept = kept(&request, transport.keeps_cookies);
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
    let mut kept = kept(&request, transport.keeps_cookies);
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
        let upgraded = match upgraded.await {
            Ok(upgraded) => upgraded,
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
        // The TCP connection as it was accepted, and what hyper has read of it behind the request.
        let Ok(Parts { io, read_buf, .. }) = upgraded.downcast::<TokioIo<TcpStream>>() else {
            tracing::error!("an upgraded connection is no TCP connection");
            conn.cut();
            return;
        };
        let (stream, early) = (io.into_inner(), Bytes::copy_from_slice(&read_buf));
        let measure = Measure::new(transport.max_message_bytes);
        let io = if is_new {
            WebsocketIo::new(stream, early, measure, Arc::clone(&conn))
        } else {
            WebsocketIo::upgrading(stream, early, measure, Arc::clone(&conn))
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
fn kept(request: &Request<Body>, keeps_cookies: bool) -> Request<()> {
    let mut kept = Request::new(());
    *kept.method_mut() = Method::GET;
    if let Some(Ok(uri)) = request.uri().path_and_query().map(|path| path.as_str().parse()) {
        *kept.uri_mut() = uri;
    }
    let names = KEPT.into_iter().chain(keeps_cookies.then_some(COOKIE));
    let names: Vec<_> = names.filter(|name| request.headers().contains_key(name)).collect();
    // Room for these: a map that grows begins with room for eight.
    *kept.headers_mut() = HeaderMap::with_capacity(names.len());
    for name in names {
        if let Some(value) = request.headers().get(&name)
            && value.len() <= MAX_KEPT
            && let Ok(copy) = HeaderValue::from_bytes(value.as_bytes())
        {
            kept.headers_mut().insert(name, copy);
        }
    }
    kept
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

    fn call<'a>(method: &str, uri: &'a Uri) -> Result<Call<'a>, Refusal> {
        Call::parse(&method.parse().unwrap(), uri, true, true)
    }

    fn uri(query: &str) -> Uri {
        format!("/socket.io/?{query}").parse().unwrap()
    }

    #[test]
    fn handshakes_and_requests_of_a_session_are_told_apart() {
        assert_eq!(
            call("GET", &uri("EIO=4&transport=polling")),
            Ok(Call {
                asked: Asked::Polling,
                session: None
            })
        );
        assert_eq!(
            call("GET", &uri("EIO=4&transport=websocket&t=x")),
            Ok(Call {
                asked: Asked::Websocket,
                session: None
            })
        );
        for method in ["GET", "POST"] {
            assert_eq!(
                call(method, &uri("EIO=4&transport=polling&t=x&sid=a.0123")),
                Ok(Call {
                    asked: Asked::Polling,
                    session: Some("a.0123")
                })
            );
        }
        assert_eq!(
            call("GET", &uri("EIO=4&transport=polling&sid=")),
            Ok(Call {
                asked: Asked::Polling,
                session: Some("")
            }),
            "a session without an id is no new one"
        );
    }

    #[test]
    fn what_is_no_engine_io_request_is_refused_as_node_does() {
        for (method, query, refusal) in [
            ("GET", "", Refusal::UnknownTransport),
            ("GET", "EIO=4&transport=webtransport", Refusal::UnknownTransport),
            ("GET", "EIO=3&transport=polling", Refusal::UnsupportedProtocol),
            ("GET", "transport=polling", Refusal::UnsupportedProtocol),
            ("POST", "EIO=4&transport=polling", Refusal::BadHandshakeMethod),
            ("PUT", "EIO=4&transport=polling&sid=a.0123", Refusal::BadRequest),
            ("POST", "EIO=4&transport=websocket&sid=a.0123", Refusal::BadRequest),
        ] {
            assert_eq!(call(method, &uri(query)), Err(refusal), "{method} {query}");
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

        assert_eq!(kept(&request, true).headers()["cookie"], "x=y");
        let kept = kept(&request, false);

        assert_eq!(kept.uri(), "/socket.io/?EIO=4&user_id=u1");
        assert_eq!(kept.headers().len(), 1);
        assert_eq!(kept.headers()["authorization"], "Bearer a.b.c");
    }
}
