//! A websocket's bytes: rewritten until CONNECT went by (the open packet gets our session id, CONNECT its `pid`), watched for whether the peer takes them, and cut when it must end.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::conn::{Carrier, Conn};
use super::session;
use crate::socket::recovery::shim::FrameRewriter;

/// A Close frame that says 1001, "going away" (RFC 6455 §7.4.1): clients come back after it.
const GOING_AWAY: [u8; 4] = [0x88, 0x02, 0x03, 0xe9];

/// The stream under a websocket.
pub(super) struct WebsocketIo<S> {
    stream: S,
    conn: Arc<Conn>,
    /// `None` once CONNECT went by and everything that was held back is written.
    rewriting: Option<Rewriting>,
    /// Whether what was written ends with a whole frame, so that one of ours may follow.
    is_between_frames: bool,
    /// Set while the session still polls and tries this websocket out.
    probing: Option<Probe>,
}

#[derive(Default)]
struct Rewriting {
    /// Our id for the session, until the open packet is told with it.
    session_id: Option<String>,
    rewriter: FrameRewriter,
    out: Vec<u8>,
    written: usize,
}

impl<S> WebsocketIo<S> {
    /// A websocket that the session began with.
    pub(super) fn new(stream: S, conn: Arc<Conn>) -> Self {
        Self {
            rewriting: Some(Rewriting {
                session_id: conn.session_id(),
                ..Rewriting::default()
            }),
            stream,
            conn,
            is_between_frames: true,
            probing: None,
        }
    }

    /// A websocket that a polling session wants to change to.
    pub(super) fn upgrading(stream: S, conn: Arc<Conn>) -> Self {
        let mut io = Self::new(stream, conn);
        io.probing = Some(Probe::default());
        io
    }
}

impl<S: AsyncWrite + Unpin> WebsocketIo<S> {
    /// Writes what the rewriter let out.
    fn poll_rewritten(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(rewriting) = &mut self.rewriting else {
            return Poll::Ready(Ok(()));
        };
        while let Some(rest) = rewriting.out.get(rewriting.written..).filter(|rest| !rest.is_empty()) {
            let n = ready!(Pin::new(&mut self.stream).poll_write(cx, rest))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            rewriting.written += n;
            self.conn.note_taken(n);
        }
        rewriting.out.clear();
        rewriting.written = 0;
        if rewriting.rewriter.is_done() {
            self.conn.note_connected();
            self.rewriting = None;
        }
        Poll::Ready(Ok(()))
    }

    fn has_rewritten_rest(&self) -> bool {
        self.rewriting
            .as_ref()
            .is_some_and(|rewriting| rewriting.written < rewriting.out.len())
    }

    /// Says goodbye if a frame can be written without waiting. Whoever takes nothing gets no goodbye.
    fn say_goodbye(&mut self, cx: &mut Context<'_>) {
        if self.is_between_frames && !self.has_rewritten_rest() {
            self.is_between_frames = false;
            if let Poll::Ready(Ok(_)) = Pin::new(&mut self.stream).poll_write(cx, &GOING_AWAY) {
                drop(Pin::new(&mut self.stream).poll_flush(cx));
            }
        }
    }
}

fn cut() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "closed by the server")
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for WebsocketIo<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.conn.reader.register(cx.waker());
        if this.conn.is_over() {
            this.say_goodbye(cx);
            return Poll::Ready(Err(cut()));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        if let Some(probe) = &mut this.probing {
            match probe.push(buf.filled().get(before..).unwrap_or_default()) {
                Probed::Undecided => {}
                Probed::Upgraded => {
                    this.conn.carry_by(Carrier::Websocket);
                    this.probing = None;
                }
                Probed::Other => this.probing = None,
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for WebsocketIo<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.conn.writer.register(cx.waker());
        if this.conn.is_over() {
            this.say_goodbye(cx);
            return Poll::Ready(Err(cut()));
        }
        if this.poll_rewritten(cx)?.is_pending() {
            this.conn.note_held_up();
            return Poll::Pending;
        }
        if let Some(rewriting) = &mut this.rewriting {
            if this.conn.has_connected() {
                // CONNECT went by while polling: nothing to look for here. Between frames, as nothing was held back yet.
                this.rewriting = None;
            } else {
                // The library opens a websocket with the open packet, in one frame and one write.
                let opened = rewriting
                    .session_id
                    .take()
                    .and_then(|id| session::reopen_frame(buf, &id));
                let bytes = opened.as_deref().unwrap_or(buf);
                rewriting.rewriter.push(bytes, this.conn.pid(), &mut rewriting.out);
                // What cannot be written now is written before anything that follows.
                let _waits = this.poll_rewritten(cx)?;
                return Poll::Ready(Ok(buf.len()));
            }
        }
        match Pin::new(&mut this.stream).poll_write(cx, buf) {
            Poll::Ready(Ok(n)) => {
                this.is_between_frames = n == buf.len();
                this.conn.note_taken(n);
                Poll::Ready(Ok(n))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                this.conn.note_held_up();
                Poll::Pending
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.conn.writer.register(cx.waker());
        if this.conn.is_over() {
            return Poll::Ready(Err(cut()));
        }
        if this.poll_rewritten(cx)?.is_pending() || Pin::new(&mut this.stream).poll_flush(cx)?.is_pending() {
            this.conn.note_held_up();
            return Poll::Pending;
        }
        // The library flushes when its queue is empty. While probing, the queue is still the poller's.
        if this.probing.is_none() {
            this.conn.note_drained();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

impl<S> Drop for WebsocketIo<S> {
    fn drop(&mut self) {
        if self.conn.carrier() == Carrier::Websocket {
            self.conn.finish();
        } else {
            // An upgrade that fails would leave the session half upgraded: no ping, and every poll answered with a NOOP.
            // It ends instead, as it does where the library upgrades by itself; the client opens another.
            self.conn.cut();
        }
    }
}

/// What the first frames of an upgrading client say.
#[derive(Debug, PartialEq, Eq)]
enum Probed {
    Undecided,
    /// `2probe`, then `5`: from now on the session is carried here.
    Upgraded,
    /// It says something else; the library will have an opinion on it.
    Other,
}

/// Reads an upgrading client's frames until it says `5`.
#[derive(Debug, Default)]
struct Probe {
    bytes: Vec<u8>,
}

impl Probe {
    fn push(&mut self, bytes: &[u8]) -> Probed {
        self.bytes.extend_from_slice(bytes);
        loop {
            // A masked text message shorter than 126 bytes: two bytes of header, four of mask.
            let Some((&[first, second, m0, m1, m2, m3], rest)) = self.bytes.split_first_chunk::<6>() else {
                return Probed::Undecided;
            };
            let length = usize::from(second & 0x7f);
            if first != 0x81 || second & 0x80 == 0 || length > 16 {
                return Probed::Other;
            }
            let Some(payload) = rest.get(..length) else {
                return Probed::Undecided;
            };
            let payload: Vec<u8> = payload
                .iter()
                .zip([m0, m1, m2, m3].into_iter().cycle())
                .map(|(b, m)| b ^ m)
                .collect();
            match payload.as_slice() {
                b"2probe" => self.bytes.drain(..6 + length),
                b"5" => return Probed::Upgraded,
                _ => return Probed::Other,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(payload: &[u8]) -> Vec<u8> {
        let mask = [7, 77, 177, 9];
        let mut frame = vec![0x81, 0x80 | u8::try_from(payload.len()).unwrap()];
        frame.extend_from_slice(&mask);
        frame.extend(payload.iter().zip(mask.into_iter().cycle()).map(|(b, m)| b ^ m));
        frame
    }

    #[test]
    fn a_probe_and_the_upgrade_packet_are_recognised_byte_by_byte() {
        let stream = [masked(b"2probe"), masked(b"5")].concat();
        let (last, before) = stream.split_last().unwrap();
        let mut probe = Probe::default();

        for byte in before {
            assert_eq!(probe.push(&[*byte]), Probed::Undecided);
        }

        assert_eq!(probe.push(&[*last]), Probed::Upgraded);
    }

    #[test]
    fn a_client_that_says_something_else_is_not_upgraded() {
        assert_eq!(Probe::default().push(&masked(b"40")), Probed::Other);
        assert_eq!(Probe::default().push(&[0x88, 0x80, 0, 0, 0, 0]), Probed::Other);
    }
}
