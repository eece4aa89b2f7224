//! The way out of a websocket for events: straight into the socket, past the library.
//!
//! The library has a queue and a task for each socket; waking a thousand tasks costs as much as the thousand writes that they
//! then do. An event is a frame that everybody gets alike, so whoever delivers it writes it, in one system call for each
//! socket that takes it. What a socket does not take waits in its own queue and follows as the kernel makes room. The library
//! goes on writing what is its own (CONNECT, pings, acknowledgements, replies) between two frames of ours, and the other way
//! round, under one lock that nobody holds while waiting.
//!
//! An event must not overtake CONNECT, nor those before it that went by the library because the client still polled. So
//! events wait until CONNECT was written; and once a polling client has changed over to its websocket, the library is handed
//! a [`FENCE`] behind everything that it has queued. It is taken out of the stream here, and from there on events go directly.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::{Arc, LazyLock, Mutex};
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use tokio::net::TcpStream;
use uuid::Uuid;

use crate::socket::lock;
use crate::socket::recovery::shim;

/// A Close frame that says 1001, "going away" (RFC 6455 §7.4.1): clients come back after it.
const GOING_AWAY: [u8; 4] = [0x88, 0x02, 0x03, 0xe9];
/// Frames that are handed to the kernel at once (`IOV_MAX` is 1,024).
const MAX_SLICES: usize = 64;

/// The event behind which a changed-over socket's events go directly. Nobody outside can know its name.
pub(crate) static FENCE: LazyLock<Fence> = LazyLock::new(Fence::new);

/// See [`FENCE`].
pub(crate) struct Fence {
    /// The event's name.
    pub(crate) name: String,
    frame: Vec<u8>,
}

impl Fence {
    fn new() -> Self {
        let name = format!("fence:{}", Uuid::new_v4().simple());
        let mut frame = Vec::new();
        shim::append_text_frame(format!("42[\"{name}\"]").as_bytes(), &mut frame);
        Self { name, frame }
    }

    /// Where it stands in these frames, if it does.
    fn find(&self, frames: &[u8]) -> Option<std::ops::Range<usize>> {
        let at = frames
            .windows(self.frame.len())
            .position(|window| window == self.frame)?;
        Some(at..at + self.frame.len())
    }
}

/// How a socket's events go out now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// By the library: it polls, or did until now.
    Library,
    /// They wait for CONNECT to be written.
    AwaitsConnect,
    /// They wait for the fence to come out of the library.
    Fenced,
    /// Directly.
    Open,
    /// Not at all: the websocket has ended.
    Over,
}

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// The kernel has it.
    Taken,
    /// It waits, and follows by itself.
    Waiting,
    /// It is the first that waits: somebody has to flush it.
    Staged,
    /// It has to go by the library.
    ByLibrary,
    /// There is no websocket any more.
    Gone,
}

/// What was written of what waits.
pub(super) struct Flushed {
    pub(super) bytes: usize,
    pub(super) left: Left,
}

/// What waits on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    Nothing,
    /// Something, until the library is done with its own.
    Held,
    /// Something, until the peer takes more. Unless a task sees to that, one has to.
    Blocked {
        is_followed_up: bool,
    },
}

/// The socket of one connection, as events and the library share it.
pub(super) struct Outlet(Mutex<State>);

struct State {
    way: Way,
    stream: Option<Arc<TcpStream>>,
    /// Whether what the library has written ends with a whole frame.
    is_between_frames: bool,
    /// Frames of events, in order; the first may have begun.
    queue: VecDeque<Bytes>,
    has_begun: bool,
    /// Whether a task follows the queue up.
    is_followed_up: bool,
}

impl Outlet {
    /// That of a connection without a websocket.
    pub(super) fn closed() -> Self {
        Self(Mutex::new(State {
            way: Way::Library,
            stream: None,
            is_between_frames: true,
            queue: VecDeque::new(),
            has_begun: false,
            is_followed_up: false,
        }))
    }

    /// It has a websocket now. `is_first`: the session began with it.
    pub(super) fn attach(&self, stream: Arc<TcpStream>, is_first: bool) {
        let mut state = lock(&self.0);
        state.stream = Some(stream);
        if is_first {
            state.way = Way::AwaitsConnect;
        }
    }

    /// It has no websocket any more.
    pub(super) fn detach(&self) {
        let mut state = lock(&self.0);
        state.way = Way::Over;
        state.stream = None;
        state.queue = VecDeque::new();
    }

    /// Takes a frame for [`flush`](Self::flush).
    pub(super) fn stage(&self, frame: &Bytes) -> Sent {
        let mut state = lock(&self.0);
        match state.way {
            Way::Library => Sent::ByLibrary,
            Way::Over => Sent::Gone,
            Way::AwaitsConnect | Way::Fenced | Way::Open => {
                state.queue.push_back(frame.clone());
                if state.queue.len() == 1 {
                    Sent::Staged
                } else {
                    Sent::Waiting
                }
            }
        }
    }

    /// Writes a frame, behind those that wait.
    pub(super) fn push(&self, frame: &Bytes) -> io::Result<Sent> {
        let mut state = lock(&self.0);
        match state.way {
            Way::Library => return Ok(Sent::ByLibrary),
            Way::Over => return Ok(Sent::Gone),
            Way::AwaitsConnect | Way::Fenced | Way::Open => {}
        }
        let mut rest = None;
        if state.is_our_turn()
            && state.queue.is_empty()
            && let Some(stream) = &state.stream
        {
            match stream.try_write(frame) {
                Ok(n) if n == frame.len() => return Ok(Sent::Taken),
                Ok(n) => rest = Some(frame.slice(n..)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        state.has_begun |= rest.is_some();
        state.queue.push_back(rest.unwrap_or_else(|| frame.clone()));
        Ok(Sent::Waiting)
    }

    /// Writes what waits. Whoever is told that it is blocked and not followed up has to [`drain`](Self::drain) it.
    pub(super) fn flush(&self) -> io::Result<Flushed> {
        let mut state = lock(&self.0);
        let flushed = state.write_queue()?;
        if matches!(flushed.left, Left::Blocked { .. }) {
            state.is_followed_up = true;
        }
        Ok(flushed)
    }

    /// Follows the queue up until it is empty, which it answers, or the library's turn. Says how many bytes were taken.
    pub(super) async fn drain(&self, taken: impl Fn(usize)) -> io::Result<bool> {
        loop {
            let Some(stream) = lock(&self.0).stream.clone() else {
                return Ok(false);
            };
            stream.writable().await?;
            let mut state = lock(&self.0);
            let flushed = state.write_queue()?;
            state.is_followed_up = matches!(flushed.left, Left::Blocked { .. });
            drop(state);
            taken(flushed.bytes);
            match flushed.left {
                Left::Blocked { .. } => {}
                Left::Nothing => return Ok(true),
                Left::Held => return Ok(false),
            }
        }
    }

    /// Whether nothing of ours waits.
    pub(super) fn is_empty(&self) -> bool {
        lock(&self.0).queue.is_empty()
    }

    /// Whether the library has to be handed a fence now, by whoever asks: its socket has changed over.
    pub(super) fn begin_fence(&self) -> bool {
        let mut state = lock(&self.0);
        let begins = state.way == Way::Library && state.stream.is_some();
        if begins {
            state.way = Way::Fenced;
        }
        begins
    }

    /// Takes the fence out of frames of the library; `None`: there is nothing to look for.
    pub(super) fn without_fence(&self, frames: &[u8]) -> Option<(Vec<u8>, bool)> {
        if lock(&self.0).way != Way::Fenced {
            return None;
        }
        let Some(fence) = FENCE.find(frames) else {
            return Some((frames.to_vec(), false));
        };
        let (before, after) = (frames.get(..fence.start), frames.get(fence.end..));
        Some(([before.unwrap_or_default(), after.unwrap_or_default()].concat(), true))
    }

    /// CONNECT was written: events that wait for it are next. Those that wait for a fence go on waiting.
    pub(super) fn connected(&self) {
        let mut state = lock(&self.0);
        if state.way == Way::AwaitsConnect {
            state.way = Way::Open;
        }
    }

    /// The fence came out, and what stood before it was written: events that wait are next.
    pub(super) fn fence_passed(&self) {
        let mut state = lock(&self.0);
        if state.way == Way::Fenced {
            state.way = Way::Open;
        }
    }

    /// Writes for the library, which comes after events that wait and before those to come. Says how many bytes were taken
    /// of either; the answer counts the library's alone.
    pub(super) fn poll_write(
        &self,
        cx: &mut Context<'_>,
        bytes: &[u8],
        taken: impl Fn(usize),
    ) -> Poll<io::Result<usize>> {
        let mut state = lock(&self.0);
        let Some(stream) = state.stream.clone() else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        loop {
            let flushed = state.write_queue()?;
            taken(flushed.bytes);
            if !matches!(flushed.left, Left::Blocked { .. }) {
                break;
            }
            ready!(stream.poll_write_ready(cx))?;
        }
        loop {
            match stream.try_write(bytes) {
                Ok(n) => {
                    state.is_between_frames = n == bytes.len();
                    taken(n);
                    return Poll::Ready(Ok(n));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready!(stream.poll_write_ready(cx))?,
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Says goodbye if a frame can be written without waiting: whoever takes nothing gets none. Nothing is written after it.
    pub(super) fn say_goodbye(&self) {
        let mut state = lock(&self.0);
        if state.is_between_frames
            && !state.has_begun
            && let Some(stream) = &state.stream
        {
            // Whoever is gone hears nothing.
            stream.try_write(&GOING_AWAY).ok();
        }
        state.is_between_frames = false;
        state.way = Way::Over;
        state.queue = VecDeque::new();
    }
}

impl State {
    fn is_our_turn(&self) -> bool {
        self.way == Way::Open && self.is_between_frames
    }

    fn write_queue(&mut self) -> io::Result<Flushed> {
        let mut bytes = 0;
        while !self.queue.is_empty() {
            let Some(stream) = self.stream.as_ref().filter(|_| self.is_our_turn()) else {
                return Ok(Flushed {
                    bytes,
                    left: Left::Held,
                });
            };
            let mut slices = [IoSlice::new(&[]); MAX_SLICES];
            for (slice, frame) in slices.iter_mut().zip(&self.queue) {
                *slice = IoSlice::new(frame);
            }
            let filled = slices.get(..self.queue.len()).unwrap_or(&slices);
            match stream.try_write_vectored(filled) {
                Ok(n) => {
                    bytes += n;
                    self.advance(n);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let is_followed_up = self.is_followed_up;
                    return Ok(Flushed {
                        bytes,
                        left: Left::Blocked { is_followed_up },
                    });
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Flushed {
            bytes,
            left: Left::Nothing,
        })
    }

    fn advance(&mut self, mut n: usize) {
        while let Some(first) = self.queue.front_mut() {
            if n < first.len() {
                first.advance(n);
                self.has_begun |= n > 0;
                return;
            }
            n -= first.len();
            self.has_begun = false;
            self.queue.pop_front();
        }
        // A burst is over: its memory is for others.
        self.queue.shrink_to(MAX_SLICES);
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use proptest::prelude::*;
    use socket2::SockRef;
    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpListener;

    use super::*;

    /// A server's end with little room, and the client's.
    async fn connection() -> (Arc<TcpStream>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        SockRef::from(&server).set_send_buffer_size(4_096).unwrap();
        SockRef::from(&client).set_recv_buffer_size(4_096).unwrap();
        server.writable().await.unwrap();
        (Arc::new(server), client)
    }

    fn frame(text: &str) -> Bytes {
        let mut frame = Vec::new();
        shim::append_text_frame(text.as_bytes(), &mut frame);
        Bytes::from(frame)
    }

    fn frames(mut bytes: &[u8]) -> Vec<String> {
        let mut texts = Vec::new();
        while let [0x81, length, rest @ ..] = bytes {
            let (length, rest) = match *length {
                126 => (usize::from(u16::from_be_bytes([rest[0], rest[1]])), &rest[2..]),
                short => (usize::from(short), rest),
            };
            texts.push(String::from_utf8(rest[..length].to_vec()).unwrap());
            bytes = &rest[length..];
        }
        assert!(bytes.is_empty(), "whole frames alone");
        texts
    }

    #[derive(Clone, Debug)]
    enum Step {
        Push(usize),
        Stage(usize),
        Flush,
        Library(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (1_usize..3_000).prop_map(Step::Push),
            2 => (1_usize..3_000).prop_map(Step::Stage),
            1 => Just(Step::Flush),
            2 => (1_usize..9_000).prop_map(Step::Library),
        ];
        prop::collection::vec(step, 1..60)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(8))]

        /// However little the peer takes at once, frames of events arrive whole and in order, and so do the library's.
        #[test]
        fn frames_of_both_arrive_whole_and_each_in_their_order(steps in steps()) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let (server, mut client) = connection().await;
                let outlet = Arc::new(Outlet::closed());
                outlet.attach(server, true);
                outlet.connected();
                let reading = tokio::spawn(async move {
                    let mut all = Vec::new();
                    client.read_to_end(&mut all).await.unwrap();
                    all
                });
                let (mut events, mut library) = (Vec::new(), Vec::new());
                for (n, step) in steps.into_iter().enumerate() {
                    match step {
                        Step::Push(length) | Step::Stage(length) => {
                            let text = format!("e{n:04}{}", "x".repeat(length));
                            let frame = frame(&text);
                            events.push(text);
                            if matches!(step, Step::Push(_)) {
                                outlet.push(&frame).unwrap();
                            } else {
                                outlet.stage(&frame);
                            }
                        }
                        Step::Flush => drop(outlet.flush().unwrap()),
                        Step::Library(length) => {
                            let text = format!("l{n:04}{}", "x".repeat(length));
                            let bytes = frame(&text);
                            library.push(text);
                            let mut rest = &bytes[..];
                            while !rest.is_empty() {
                                let n = poll_fn(|cx| outlet.poll_write(cx, rest, |_| ())).await.unwrap();
                                rest = &rest[n..];
                            }
                        }
                    }
                }
                while !outlet.is_empty() {
                    if let Left::Blocked { .. } = outlet.flush().unwrap().left {
                        outlet.drain(|_| ()).await.unwrap();
                    }
                }
                outlet.detach();
                let texts = frames(&reading.await.unwrap());
                let (of_events, of_library): (Vec<_>, Vec<_>) = texts.into_iter().partition(|text| text.starts_with('e'));
                assert_eq!(of_events, events);
                assert_eq!(of_library, library);
            });
        }
    }

    #[tokio::test]
    async fn events_wait_for_connect_and_follow_it() {
        let (server, mut client) = connection().await;
        let outlet = Outlet::closed();
        assert_eq!(outlet.push(&frame("too early")).unwrap(), Sent::ByLibrary);
        outlet.attach(server, true);

        assert_eq!(outlet.push(&frame("first")).unwrap(), Sent::Waiting);
        assert_eq!(outlet.stage(&frame("second")), Sent::Waiting);
        let connect = frame("40");
        poll_fn(|cx| outlet.poll_write(cx, &connect, |_| ())).await.unwrap();
        outlet.connected();
        assert_eq!(outlet.flush().unwrap().left, Left::Nothing);
        assert_eq!(outlet.push(&frame("third")).unwrap(), Sent::Taken);
        outlet.detach();

        assert_eq!(outlet.push(&frame("too late")).unwrap(), Sent::Gone);
        let mut all = Vec::new();
        client.read_to_end(&mut all).await.unwrap();
        assert_eq!(frames(&all), ["40", "first", "second", "third"]);
    }

    #[tokio::test]
    async fn a_fence_is_looked_for_once_it_was_handed_over_and_taken_out() {
        let (server, _client) = connection().await;
        let outlet = Outlet::closed();
        let fence = frame(&format!("42[\"{}\"]", FENCE.name));
        assert!(!outlet.begin_fence(), "it polls");
        outlet.attach(server, false);
        assert_eq!(outlet.without_fence(&fence), None, "nobody handed one over");

        assert!(outlet.begin_fence());
        assert!(!outlet.begin_fence());
        let (before, after) = (frame("42[\"a\"]"), frame("2"));
        assert_eq!(outlet.without_fence(&before), Some((before.to_vec(), false)));
        let with_fence = [&before[..], &fence, &after].concat();
        assert_eq!(
            outlet.without_fence(&with_fence),
            Some(([before, after].concat(), true))
        );
    }
}
