//! A polling session's requests: rewritten until CONNECT went by, watched for whether a poll is waiting.

use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderValue, Method, Request, Response, StatusCode};
use bytes::Bytes;
use http_body::Frame;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use super::conn::{Conn, ConnGuard, Registry};
use super::engine::Engine;
use super::session;
use crate::socket::recovery::shim;

/// Answers the request that opens a session.
pub(super) async fn open(
    engine: &Engine,
    registry: &Arc<Registry>,
    guard: Arc<ConnGuard>,
    request: Request<()>,
) -> Response<Body> {
    let conn = Arc::clone(&guard.conn);
    let mut request = request.map(|()| Body::empty());
    request.extensions_mut().insert(guard);
    let (mut parts, body) = engine.answer(request).await.into_parts();
    let opened = conn.session_id().and_then(|id| session::reopen(&body, &id));
    let Some((sid, packet)) = opened else {
        return Response::from_parts(parts, Body::from(body));
    };
    registry.expect_requests(&conn, sid);
    conn.note_drained();
    conn.note_held_up(); // until its first poll comes
    parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(packet.len()));
    Response::from_parts(parts, Body::from(packet))
}

/// Answers a request of a session. `max_bytes` is how long a client's message may be.
pub(super) async fn answer(
    engine: &Engine,
    conn: Arc<Conn>,
    request: Request<Body>,
    max_bytes: usize,
) -> Response<Body> {
    if request.method() != Method::GET {
        let answer = post(engine, &conn, request, max_bytes).await;
        if answer.status() == StatusCode::PAYLOAD_TOO_LARGE {
            conn.note_too_large();
        }
        return answer;
    }
    let poll = InFlight { conn };
    let response = {
        let mut answered = std::pin::pin!(engine.answer(request));
        let mut has_waited = false;
        let answered = std::future::poll_fn(|cx| {
            let answer = answered.as_mut().poll(cx);
            if answer.is_pending() && !has_waited {
                // It waits, so there was nothing to give it.
                has_waited = true;
                poll.conn.note_drained();
            }
            answer
        });
        answered.await
    };
    // Without a packet the library answers when the session ends while a poll waits; no stock client knows what that means.
    let has_ended = response.status() == StatusCode::OK && response.body().is_empty();
    if has_ended || poll.conn.is_over() {
        // Engine.IO's close packet, so that the client knows at once.
        let mut closing = Response::new(Body::from("1"));
        closing
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=UTF-8"));
        return closing;
    }
    let (mut parts, mut body) = response.into_parts();
    if parts.status == StatusCode::OK && !poll.conn.has_connected() {
        let payload = shim::rewrite_payload(&body, poll.conn.pid());
        if let Some(rewritten) = payload.rewritten {
            body = Bytes::from(rewritten);
            parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        }
        if payload.had_connect {
            poll.conn.note_connected();
        }
    }
    let body = PollBody {
        bytes: Some(body).filter(|bytes| !bytes.is_empty()),
        poll,
    };
    Response::from_parts(parts, Body::new(body))
}

/// Answers a client's packets.
async fn post(engine: &Engine, conn: &Conn, request: Request<Body>, max_bytes: usize) -> Response<Body> {
    if conn.has_connected() {
        return engine.answer(request).await.map(Body::from);
    }
    // The library keeps a session that has not joined the namespace, even if its client closes it or sends too much: look for
    // that.
    let (parts, body) = request.into_parts();
    let body = match Limited::new(body, max_bytes).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => {
            let is_too_large = error.is::<LengthLimitError>();
            if is_too_large {
                conn.finish();
            }
            let mut refusal = Response::new(Body::empty());
            *refusal.status_mut() = if is_too_large {
                StatusCode::PAYLOAD_TOO_LARGE
            } else {
                StatusCode::BAD_REQUEST
            };
            return refusal;
        }
    };
    let is_goodbye = body.split(|byte| *byte == shim::SEPARATOR).any(|packet| packet == b"1");
    let response = engine.answer(Request::from_parts(parts, Body::from(body))).await;
    if is_goodbye {
        conn.finish();
    }
    response.map(Body::from)
}

/// A poll, until its answer is handed over or the client has gone away.
struct InFlight {
    conn: Arc<Conn>,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        // Between two polls nobody takes anything. Most come back within milliseconds.
        self.conn.note_held_up();
    }
}

/// The answer to a poll.
struct PollBody {
    bytes: Option<Bytes>,
    poll: InFlight,
}

impl http_body::Body for PollBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        Poll::Ready(this.bytes.take().map(|bytes| {
            this.poll.conn.note_taken(bytes.len());
            Ok(Frame::data(bytes))
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        http_body::SizeHint::with_exact(self.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}
