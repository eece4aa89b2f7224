//! The way out of a websocket for events: straight into the socket, past the library.
//!
//! The library has a queue and a task for each socket; waking a thousand tasks costs as much as the thousand writes that they
//! then do. An event is a frame that everybody gets alike, so whoever delivers it writes it, in one system call for each
//! socket that takes it. What a socket does not take waits in its own queue and follows as the kernel makes room. The library
//! goes on writing what is its own (CONNECT, pings, acknowledgements) between two frames of ours, under one lock that nobody
//! holds while waiting: each of its writes comes after the events that waited when it began, and before those to come.
//!
//! An event must not overtake CONNECT, nor those before it that went by the library because the client still polled. So
//! events wait until the first CONNECT was written; and where the library may have something queued that comes first (a
//! polling client has changed over to its websocket, or joins the namespace once more), it is handed a [`FENCE`] behind that.
//! The fence is taken out of the stream here, and from there on events go directly.

mod fence;

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use tokio::net::TcpStream;

use crate::socket::lock;
pub(crate) use fence::FENCE;

/// A Close frame that says 1001, "going away" (RFC 6455 §7.4.1): clients come back after it.
const GOING_AWAY: [u8; 4] = [0x88, 0x02, 0x03, 0xe9];
/// Frames that are handed to the kernel at once (`IOV_MAX` is 1,024).
const MAX_SLICES: usize = 64;
/// Slots of an empty queue that are kept: a connection has no more at most times.
const KEPT_SLOTS: usize = 4;

/// How a socket's events go out now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// By the library, or behind what it has queued.
    Library,
    /// They wait for CONNECT to be written.
    AwaitsConnect,
    /// Directly, once no fence stands before them.
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
    /// It is the library's: [`Conn::tell`](super::Conn::tell) it.
    Library,
    /// Nobody is there any more.
    Gone,
}

/// What became of a frame that was to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Staged {
    /// It is the first that waits: somebody has to flush it.
    First,
    /// It waits behind others.
    Behind,
    /// It is the library's: [`Conn::tell`](super::Conn::tell) it.
    Library,
    /// Nobody is there any more.
    Gone,
}

/// How the library is asked to send something: whether it took it.
pub(crate) trait ByLibrary {
    /// The event itself.
    fn send_event(&self) -> bool;

    /// A [`FENCE`].
    fn send_fence(&self) -> bool;

    /// Whether it writes to a websocket.
    fn has_changed_over(&self) -> bool;
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
    /// Fences that the library was handed and has not written.
    fences: usize,
    /// Frames of events, in order; the first may have begun.
    queue: VecDeque<Bytes>,
    queued_bytes: usize,
    has_begun: bool,
    /// The library waits to write: behind so many of these frames.
    before_library: Option<usize>,
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
            fences: 0,
            queue: VecDeque::new(),
            queued_bytes: 0,
            has_begun: false,
            before_library: None,
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
        state.stream = None;
        state.end();
    }

    /// Whoever it was has said goodbye: what waits is not for who may come next.
    pub(super) fn forget(&self) {
        let mut state = lock(&self.0);
        let begun = usize::from(state.has_begun);
        state.queue.truncate(begun);
        state.queued_bytes = state.queue.iter().map(Bytes::len).sum();
        state.before_library = state.before_library.map(|before| before.min(begun));
    }

    /// It joins the namespace, perhaps once more: what it is told then comes behind CONNECT, which the library will write.
    pub(super) fn rejoin(&self) {
        let mut state = lock(&self.0);
        if state.way == Way::Open {
            state.way = Way::Library;
        }
    }

    /// Takes a frame for [`flush`](Self::flush).
    pub(super) fn stage(&self, frame: &Bytes) -> Staged {
        let mut state = lock(&self.0);
        match state.way {
            Way::Library => Staged::Library,
            Way::Over => Staged::Gone,
            Way::AwaitsConnect | Way::Open => {
                state.enqueue(frame.clone());
                if state.queue.len() == 1 {
                    Staged::First
                } else {
                    Staged::Behind
                }
            }
        }
    }

    /// Writes a frame, behind those that wait.
    pub(super) fn push(&self, frame: &Bytes) -> io::Result<Sent> {
        lock(&self.0).push(frame)
    }

    /// The same for a socket whose events may be the library's. Whoever is told something at the same time comes wholly
    /// before or wholly after: that the library is asked, and what follows from its answer, is one step.
    pub(super) fn tell(&self, frame: &Bytes, library: &impl ByLibrary) -> io::Result<Sent> {
        let mut state = lock(&self.0);
        if state.way == Way::Library {
            if state.stream.is_none() || !library.has_changed_over() {
                let is_sent = library.send_event();
                return Ok(if is_sent { Sent::Library } else { Sent::Gone });
            }
            if !library.send_fence() {
                return Ok(Sent::Gone);
            }
            state.fences += 1;
            state.way = Way::Open;
        }
        state.push(frame)
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

    /// Frames and bytes of ours that wait; `None`: others may wait with the library.
    pub(super) fn waiting(&self) -> Option<(usize, usize)> {
        let state = lock(&self.0);
        let has_all = state.way == Way::Open && state.fences == 0;
        has_all.then_some((state.queue.len(), state.queued_bytes))
    }

    /// Takes fences out of frames of the library and says how many; `None`: there is nothing to look for.
    pub(super) fn without_fences(&self, frames: &[u8]) -> Option<(Vec<u8>, usize)> {
        let are_awaited = lock(&self.0).fences > 0;
        are_awaited.then(|| FENCE.cut_out_of(frames))
    }

    /// CONNECT was written: events that wait for it are next. Those that wait for a fence go on waiting.
    pub(super) fn connected(&self) {
        let mut state = lock(&self.0);
        if state.way == Way::AwaitsConnect {
            state.way = Way::Open;
        }
    }

    /// So many fences came out, and what stood before them was written: events that wait are next.
    pub(super) fn fences_passed(&self, count: usize) {
        let mut state = lock(&self.0);
        state.fences = state.fences.saturating_sub(count);
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
        if state.before_library.is_none() {
            state.before_library = Some(state.queue.len());
        }
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
                    state.before_library = None;
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
        state.end();
    }
}

impl State {
    fn end(&mut self) {
        self.way = Way::Over;
        self.queue = VecDeque::new();
        self.queued_bytes = 0;
    }

    fn is_our_turn(&self) -> bool {
        // What waits while the library has its way came before it had.
        matches!(self.way, Way::Open | Way::Library) && self.fences == 0 && self.is_between_frames
    }

    /// How many of the waiting frames may be written now. What has begun must end before anything else is written.
    fn ours_now(&self) -> usize {
        let ours = if self.is_our_turn() {
            self.before_library.unwrap_or(self.queue.len())
        } else {
            0
        };
        ours.max(usize::from(self.has_begun))
    }

    fn enqueue(&mut self, frame: Bytes) {
        self.queued_bytes += frame.len();
        self.queue.push_back(frame);
    }

    fn push(&mut self, frame: &Bytes) -> io::Result<Sent> {
        match self.way {
            Way::Library => return Ok(Sent::Library),
            Way::Over => return Ok(Sent::Gone),
            Way::AwaitsConnect | Way::Open => {}
        }
        let mut rest = None;
        if self.is_our_turn()
            && self.queue.is_empty()
            && self.before_library.is_none()
            && let Some(stream) = &self.stream
        {
            match stream.try_write(frame) {
                Ok(n) if n == frame.len() => return Ok(Sent::Taken),
                Ok(n) => rest = Some(frame.slice(n..)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        self.has_begun |= rest.is_some();
        self.enqueue(rest.unwrap_or_else(|| frame.clone()));
        Ok(Sent::Waiting)
    }

    fn write_queue(&mut self) -> io::Result<Flushed> {
        let mut bytes = 0;
        while !self.queue.is_empty() {
            let ours = self.ours_now();
            let Some(stream) = self.stream.as_ref().filter(|_| ours > 0) else {
                return Ok(Flushed {
                    bytes,
                    left: Left::Held,
                });
            };
            let mut slices = [IoSlice::new(&[]); MAX_SLICES];
            for (slice, frame) in slices.iter_mut().zip(self.queue.iter().take(ours)) {
                *slice = IoSlice::new(frame);
            }
            let filled = slices.get(..ours).unwrap_or(&slices);
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
        self.queued_bytes = self.queued_bytes.saturating_sub(n);
        while let Some(first) = self.queue.front_mut() {
            if n < first.len() {
                first.advance(n);
                self.has_begun |= n > 0;
                return;
            }
            n -= first.len();
            self.has_begun = false;
            self.queue.pop_front();
            if let Some(before) = &mut self.before_library {
                *before = before.saturating_sub(1);
            }
        }
        // A burst is over: its memory is for others.
        self.queue.shrink_to(KEPT_SLOTS);
    }
}

#[cfg(test)]
mod tests;
