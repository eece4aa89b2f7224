//! The library's service, as this server calls it.

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, Uri};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use socketioxide::service::SocketIoService;
use socketioxide::socket::Sid;
use tokio::io::{AsyncRead, AsyncWrite};
use tower::Service as _;

/// socketioxide, behind our transport. The router inside answers what is not Engine.IO's, which never comes here.
pub(crate) struct Engine(SocketIoService<Router>);

impl Engine {
    pub(crate) fn new(service: SocketIoService<Router>) -> Self {
        Self(service)
    }

    /// Answers a polling request.
    pub(super) async fn answer(&self, request: Request<Body>) -> Response<Bytes> {
        let answered = self.0.clone().call(request).await;
        let (parts, body) = match answered {
            Ok(response) => response.into_parts(),
            Err(never) => match never {},
        };
        // The library's bodies are whole already: collecting them cannot fail.
        let body = body
            .collect()
            .await
            .map(http_body_util::Collected::to_bytes)
            .unwrap_or_default();
        Response::from_parts(parts, body)
    }

    /// Takes over an upgraded connection. Returns at once; whether the library understood the request.
    pub(super) async fn carry<S>(&self, stream: S, request: Request<()>) -> bool
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        self.0.clone().call((stream, request)).await.is_ok()
    }

    /// Ends a polling session as its client would: with Engine.IO's close packet.
    pub(super) fn end_polling(&self, sid: Sid) {
        let request = session_uri("polling", sid).map(|uri| Request::post(uri).body(Body::from("1")));
        if let Some(Ok(request)) = request {
            let engine = Self(self.0.clone());
            drop(tokio::spawn(async move { drop(engine.answer(request).await) }));
        }
    }
}

/// Where the library expects a session's requests. Nothing that a client wrote stands in it: what the library would read
/// there, and we would not, cannot make it another session's.
pub(super) fn session_uri(transport: &str, sid: Sid) -> Option<Uri> {
    format!("/socket.io/?EIO=4&transport={transport}&sid={sid}")
        .parse()
        .ok()
}
