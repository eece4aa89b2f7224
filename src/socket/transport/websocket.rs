//! A websocket's bytes: rewritten until CONNECT went by (the open packet gets our session id, CONNECT its `pid`), rid of
//! fences, watched for whether the peer takes them, and cut when it must end.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::conn::{Carrier, Conn};
use super::measure::Measure;
use super::session;
use crate::socket::recovery::shim::FrameRewriter;

/// What is read of the kernel at once, in bytes.
const AT_ONCE: usize = 4_096;

/// The stream under a websocket, as the library reads and writes it. Events go past it ([`outlet`](super::outlet)).
///
/// One pointer: the library's task has room for it several times over, as it is handed from one call to the next.
pub(super) struct WebsocketIo(Box<Wire>);

struct Wire {
    stream: Arc<TcpStream>,
    conn: Arc<Conn>,
    /// What is only there while it begins or changes over: thousands that have, stand by.
    change: Option<Box<Change>>,
    /// How long the client's messages are.
    measure: Measure,
}

#[derive(Default)]
struct Change {
    /// What was read and the library has not asked for yet: behind the upgrade request, or of a long message.
    early: Bytes,
    /// `None` once CONNECT went by.
    rewriting: Option<Rewriting>,
    /// What is let out instead of what the library wrote, and how much of it is written.
    out: Vec<u8>,
    written: usize,
    /// Fences that stood in it.
    fences: usize,
    /// Set while the session still polls and tries this websocket out.
    probing: Option<Probe>,
}

struct Rewriting {
    /// Our id for the session, until the open packet is told with it.
    session_id: Option<String>,
    rewriter: FrameRewriter,
}

impl Change {
    fn is_over(&self) -> bool {
        self.early.is_empty() && self.rewriting.is_none() && self.out.is_empty() && self.probing.is_none()
    }
}

impl WebsocketIo {
    /// A websocket that the session began with.
    pub(super) fn new(stream: TcpStream, early: Bytes, measure: Measure, conn: Arc<Conn>) -> Self {
        Self::on(stream, early, measure, None, conn)
    }

    /// A websocket that a polling session wants to change to.
    pub(super) fn upgrading(stream: TcpStream, early: Bytes, measure: Measure, conn: Arc<Conn>) -> Self {
        Self::on(stream, early, measure, Some(Probe::default()), conn)
    }

    fn on(stream: TcpStream, early: Bytes, measure: Measure, probing: Option<Probe>, conn: Arc<Conn>) -> Self {
        let stream = Arc::new(stream);
        conn.outlet.attach(Arc::clone(&stream), probing.is_none());
        let change = Change {
            early,
            rewriting: Some(Rewriting {
                session_id: conn.session_id(),
                rewriter: FrameRewriter::new(),
            }),
            probing,
            ..Change::default()
        };
        Self(Box::new(Wire {
            stream,
            conn,
            change: Some(Box::new(change)),
            measure,
        }))
    }
}

impl Wire {
    /// Writes what was let out.
    fn poll_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(change) = &mut self.change else {
            return Poll::Ready(Ok(()));
        };
        while let Some(rest) = change.out.get(change.written..).filter(|rest| !rest.is_empty()) {
            let n = ready!(self.conn.poll_write(cx, rest))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            change.written += n;
        }
        change.out.clear();
        change.written = 0;
        let mut may_flush = false;
        let is_done = |rewriting: &Rewriting| rewriting.rewriter.is_done();
        if change.rewriting.as_ref().is_some_and(is_done) {
            self.conn.note_connected();
            change.rewriting = None;
            self.conn.outlet.connected();
            may_flush = true;
        }
        let fences = std::mem::take(&mut change.fences);
        if fences > 0 {
            self.conn.outlet.fences_passed(fences);
            may_flush = true;
        }
        if change.is_over() {
            self.change = None;
        }
        if may_flush {
            self.conn.flush();
        }
        Poll::Ready(Ok(()))
    }

    /// Reads what the client sent. The library asks for a few bytes at a time, as it keeps no room for more; a long message is
    /// not a system call for each of them.
    fn poll_more(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Some(change) = self.change.as_mut().filter(|change| !change.early.is_empty()) {
            let length = change.early.len().min(buf.remaining());
            buf.put_slice(&change.early.split_to(length));
            if change.is_over() {
                self.change = None;
            }
            return Poll::Ready(Ok(()));
        }
        let mut room = [const { MaybeUninit::uninit() }; AT_ONCE];
        let mut read = ReadBuf::uninit(&mut room);
        loop {
            ready!(self.stream.poll_read_ready(cx))?;
            match self.stream.try_read_buf(&mut read) {
                Ok(_) => break,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        let (asked, early) = read.filled().split_at(read.filled().len().min(buf.remaining()));
        buf.put_slice(asked);
        if !early.is_empty() {
            self.change.get_or_insert_default().early = Bytes::copy_from_slice(early);
        }
        Poll::Ready(Ok(()))
    }

    /// Lets out what the library wrote as it shall be; whether that is anything else than it is.
    fn rewrite(&mut self, bytes: &[u8]) -> bool {
        // The library writes whole frames: a fence never stands in two writes.
        let unfenced = self.conn.outlet.without_fences(bytes);
        let fences = unfenced.as_ref().map_or(0, |(_, fences)| *fences);
        if let Some(change) = &mut self.change
            && let Some(Rewriting { session_id, rewriter }) = &mut change.rewriting
        {
            if !self.conn.has_connected() {
                // The library opens a websocket with the open packet, in one frame and one write.
                let opened = session_id.take().and_then(|id| session::reopen_frame(bytes, &id));
                let bytes = unfenced.as_ref().map_or(bytes, |(frames, _)| frames);
                rewriter.push(opened.as_deref().unwrap_or(bytes), self.conn.pid(), &mut change.out);
                change.fences += fences;
                return true;
            }
            // CONNECT went by while polling: nothing to look for here. Between frames, as nothing was held back yet.
            change.rewriting = None;
        }
        let Some((frames, _)) = unfenced else {
            return false;
        };
        let change = self.change.get_or_insert_default();
        change.out = frames;
        change.fences += fences;
        true
    }

    /// Says goodbye if nothing of the library's stands half written in the way.
    fn say_goodbye(&self) {
        if self.change.as_ref().is_none_or(|change| change.out.is_empty()) {
            self.conn.outlet.say_goodbye();
        }
    }
}

fn cut() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "closed by the server")
}

impl AsyncRead for WebsocketIo {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self.get_mut().0;
        this.conn.reader.register(cx.waker());
        if this.conn.is_over() {
            this.say_goodbye();
            return Poll::Ready(Err(cut()));
        }
        let before = buf.filled().len();
        ready!(this.poll_more(cx, buf))?;
        let bytes = buf.filled().get(before..).unwrap_or_default();
        if this.measure.exceeds(bytes) {
            this.conn.note_too_large();
        }
        if let Some(change) = &mut this.change
            && let Some(probe) = &mut change.probing
        {
            match probe.push(bytes) {
                Probed::Undecided => {}
                Probed::Upgraded => {
                    this.conn.carry_by(Carrier::Websocket);
                    change.probing = None;
                }
                Probed::Other => change.probing = None,
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for WebsocketIo {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self.get_mut().0;
        this.conn.writer.register(cx.waker());
        if this.conn.is_over() {
            this.say_goodbye();
            return Poll::Ready(Err(cut()));
        }
        if this.poll_out(cx)?.is_pending() {
            this.conn.note_held_up();
            return Poll::Pending;
        }
        if this.rewrite(buf) {
            // What cannot be written now is written before anything that follows.
            let _waits = this.poll_out(cx)?;
            return Poll::Ready(Ok(buf.len()));
        }
        match this.conn.poll_write(cx, buf) {
            Poll::Ready(Ok(n)) => {
                if n == buf.len() {
                    this.conn.flush(); // events that waited for the end of this frame
                }
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
        let this = &mut *self.get_mut().0;
        this.conn.writer.register(cx.waker());
        if this.conn.is_over() {
            return Poll::Ready(Err(cut()));
        }
        if this.poll_out(cx)?.is_pending() {
            this.conn.note_held_up();
            return Poll::Pending;
        }
        // The library flushes when its queue is empty. While probing, the queue is still the poller's.
        let is_probing = this.change.as_ref().is_some_and(|change| change.probing.is_some());
        if !is_probing && this.conn.outlet.is_empty() {
            this.conn.note_drained();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(socket2::SockRef::from(&*self.0.stream).shutdown(std::net::Shutdown::Write))
    }
}

impl Drop for WebsocketIo {
    fn drop(&mut self) {
        let conn = &self.0.conn;
        conn.outlet.detach();
        if conn.carrier() == Carrier::Websocket {
            conn.finish();
        } else {
            // An upgrade that fails would leave the session half upgraded: no ping, and every poll answered with a NOOP.
            // It ends instead, as it does where the library upgrades by itself; the client opens another.
            conn.cut();
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
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::super::Registry;
    use super::super::outlet::{ByLibrary, FENCE, Sent};
    use super::*;
    use crate::socket::recovery::shim::append_text_frame;
    use crate::telemetry::Metrics;

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

    #[tokio::test]
    async fn what_is_asked_for_a_few_bytes_at_a_time_is_all_that_was_sent() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        let registry = Registry::new(Metrics::new(), "", 9);
        let early = Bytes::from_static(b"read behind the request");
        let mut io = WebsocketIo::new(server, early.clone(), Measure::new(100_000), Conn::of_nobody(&registry));
        let sent: Vec<u8> = (0..50_000_u32).flat_map(u32::to_le_bytes).collect();

        let sending = async {
            client.write_all(&sent).await.unwrap();
            client.shutdown().await.unwrap();
        };
        let reading = async {
            let (mut all, mut few) = (Vec::new(), [0; 48]);
            loop {
                match io.read(&mut few).await.unwrap() {
                    0 => return all,
                    n => all.extend_from_slice(&few[..n]),
                }
            }
        };
        let ((), read) = tokio::join!(sending, reading);

        assert!(read == [&early, &sent[..]].concat(), "{} bytes", read.len());
    }

    /// A library that takes everything.
    struct TakesAll;

    impl ByLibrary for TakesAll {
        fn send_event(&self) -> bool {
            true
        }

        fn send_fence(&self) -> bool {
            true
        }

        fn has_changed_over(&self) -> bool {
            true
        }
    }

    #[tokio::test]
    async fn a_fence_right_behind_connect_is_taken_out_as_well() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        let frame = |packet: &str| {
            let mut frame = Vec::new();
            append_text_frame(packet.as_bytes(), &mut frame);
            frame
        };
        let registry = Registry::new(Metrics::new(), "", 9);
        let conn = Conn::of_nobody(&registry);
        let mut io = WebsocketIo::upgrading(server, Bytes::new(), Measure::new(1_000), Arc::clone(&conn));
        conn.carry_by(Carrier::Websocket);
        let (connect, earlier, later) = (
            frame("40{\"sid\":\"AAAA\"}"),
            frame("42[\"earlier\"]"),
            frame("42[\"later\"]"),
        );
        assert_eq!(conn.tell(&Bytes::from(later.clone()), &TakesAll), Sent::Waiting);

        let fence = frame(&format!("42[\"{}\"]", FENCE.name));
        io.write_all(&[&connect[..], &earlier, &fence].concat()).await.unwrap();
        io.flush().await.unwrap();
        drop(io);

        let mut all = Vec::new();
        client.read_to_end(&mut all).await.unwrap();
        let text = String::from_utf8_lossy(&all);
        assert_eq!(all, [connect, earlier, later].concat(), "{text}");
    }
}
