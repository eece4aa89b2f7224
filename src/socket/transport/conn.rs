//! One Engine.IO connection as this server sees it from outside of the library: what it takes, and how to end it.
//!
//! A [`Conn`] is on the [`Registry`] until its session ends: when its websocket is dropped, when it is cut off, when its
//! client polls no more and says so. And whatever else happens, a [`ConnGuard`] rides in the handshake request that the
//! library keeps as long as the session, and takes the connection off when it is dropped: no path leads around that. (It
//! would be enough by itself, but the library keeps a session that never joined a namespace until its `connect_timeout`,
//! even after its end.)

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use socketioxide::socket::Sid;
use tokio::sync::Notify;

use super::credentials::Credentials;
use super::engine::Engine;
use super::outlet::{ByLibrary, Left, Outlet, Sent, Staged};
use super::session::{Node, SessionId};
use crate::socket::lock;
use crate::telemetry::{Metrics, TransportLabel};

/// How a connection carries its packets now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carrier {
    /// HTTP long-polling.
    Polling,
    /// Polling, and a websocket is being tried out.
    Upgrading,
    /// A websocket.
    Websocket,
}

impl Carrier {
    const fn label(self) -> TransportLabel {
        TransportLabel {
            transport: match self {
                Self::Polling | Self::Upgrading => "polling",
                Self::Websocket => "websocket",
            },
        }
    }

    const fn from_u8(value: u8) -> Self {
        match value {
            0 => Self::Polling,
            1 => Self::Upgrading,
            _ => Self::Websocket,
        }
    }
}

/// No member's number: they begin with one.
const NOBODY: u64 = 0;

/// One connection.
pub(crate) struct Conn {
    pub(crate) id: u64,
    registry: Weak<Registry>,
    /// What the handshake was authorised with; later requests of the session must show the same.
    credentials: Credentials,
    /// What its client calls it.
    session: SessionId,
    /// What the library calls it, where requests of it may come.
    sid: OnceLock<Sid>,
    pid: OnceLock<String>,
    has_connected: AtomicBool,
    /// The number of the member that it carries.
    member: AtomicU64,
    carrier: AtomicU8,
    /// Ended by us, or gone.
    is_over: AtomicBool,
    pub(super) reader: AtomicWaker,
    pub(super) writer: AtomicWaker,
    /// The way of its events past the library.
    pub(super) outlet: Outlet,
    /// It does not take what is written for it: the peer's window is closed, or no poll is waiting.
    is_held_up: AtomicBool,
    /// Bytes that were taken off our hands.
    taken: AtomicU64,
    /// How often everything that was queued for it had been taken.
    drained: AtomicU64,
    changed: Notify,
}

/// It ended while somebody waited for it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Over;

impl Conn {
    /// The `pid` that goes into its CONNECT, if it has a session.
    pub(super) fn pid(&self) -> Option<&str> {
        self.pid.get().map(String::as_str)
    }

    /// Gives it the `pid` of its session. Too late once CONNECT went by: whether it was not.
    pub(crate) fn give_pid(&self, pid: String) -> bool {
        !self.has_connected.load(Ordering::Acquire) && self.pid.set(pid).is_ok()
    }

    pub(super) fn has_connected(&self) -> bool {
        self.has_connected.load(Ordering::Acquire)
    }

    /// CONNECT went by.
    pub(super) fn note_connected(&self) {
        self.has_connected.store(true, Ordering::Release);
    }

    /// What the library calls it; `None` unless it began as a polling session.
    pub(super) fn sid(&self) -> Option<Sid> {
        self.sid.get().copied()
    }

    /// What its client is told that the session is called.
    pub(super) fn session_id(&self) -> Option<String> {
        let registry = self.registry.upgrade()?;
        Some(registry.node.write(self.session))
    }

    pub(super) fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    pub(super) fn carrier(&self) -> Carrier {
        Carrier::from_u8(self.carrier.load(Ordering::Acquire))
    }

    pub(crate) fn is_websocket(&self) -> bool {
        self.carrier() == Carrier::Websocket
    }

    pub(super) fn carry_by(&self, carrier: Carrier) {
        let before = Carrier::from_u8(self.carrier.swap(carrier as u8, Ordering::AcqRel));
        if let Some(registry) = self.registry.upgrade()
            && before.label() != carrier.label()
        {
            registry.metrics.connections.get_or_create(&before.label()).dec();
            registry.metrics.connections.get_or_create(&carrier.label()).inc();
        }
    }

    /// Whether a websocket upgrade may begin now; if so it has begun.
    pub(super) fn begin_upgrade(&self) -> bool {
        let (polling, upgrading) = (Carrier::Polling as u8, Carrier::Upgrading as u8);
        self.carrier
            .compare_exchange(polling, upgrading, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    /// Bytes that were taken off our hands so far.
    pub(crate) fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    pub(super) fn note_taken(&self, bytes: usize) {
        self.taken.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// How often everything that was queued for it had been taken.
    pub(crate) fn drained(&self) -> u64 {
        self.drained.load(Ordering::Acquire)
    }

    pub(super) fn note_drained(&self) {
        self.is_held_up.store(false, Ordering::Release);
        self.drained.fetch_add(1, Ordering::Release);
        self.changed.notify_waiters();
    }

    /// Whether it has not taken everything. The flag alone can be late: one task clears it while another has something wait.
    pub(crate) fn is_held_up(&self) -> bool {
        self.is_held_up.load(Ordering::Acquire) || !self.outlet.is_empty()
    }

    pub(super) fn note_held_up(self: &Arc<Self>) {
        if !self.is_held_up.swap(true, Ordering::AcqRel)
            && let Some(registry) = self.registry.upgrade()
        {
            lock(&registry.held_up).insert(self.id, Arc::clone(self));
        }
    }

    /// Writes an event's frame, or has it wait behind those that do.
    pub(crate) fn push(self: &Arc<Self>, frame: &Bytes) -> Sent {
        self.note(self.outlet.push(frame), frame)
    }

    /// The same where the event may be the library's, as [`Sent::Library`] said.
    pub(crate) fn tell(self: &Arc<Self>, frame: &Bytes, library: &impl ByLibrary) -> Sent {
        self.note(self.outlet.tell(frame, library), frame)
    }

    fn note(self: &Arc<Self>, sent: io::Result<Sent>, frame: &Bytes) -> Sent {
        match sent {
            Ok(Sent::Taken) => {
                self.note_taken(frame.len());
                self.note_drained();
                Sent::Taken
            }
            Ok(Sent::Waiting) => {
                self.note_held_up();
                self.flush();
                Sent::Waiting
            }
            Ok(sent) => sent,
            Err(_) => {
                self.broken();
                Sent::Gone
            }
        }
    }

    /// Has an event's frame wait for the next [`flush`](Self::flush).
    pub(crate) fn stage(&self, frame: &Bytes) -> Staged {
        self.outlet.stage(frame)
    }

    /// Frames and bytes that wait for it; `None`: nobody can see them all.
    pub(crate) fn waiting(&self) -> Option<(usize, usize)> {
        self.outlet.waiting()
    }

    /// The member that it carries from now on, by its number. What it is told comes behind the CONNECT that will be written.
    pub(crate) fn carry_member(&self, number: u64) {
        self.outlet.rejoin();
        self.member.store(number, Ordering::Release);
    }

    /// It carries this member no more, and what waits for it is nobody's, if it said goodbye.
    pub(crate) fn part_with(&self, number: u64, said_goodbye: bool) {
        let parts = self
            .member
            .compare_exchange(number, NOBODY, Ordering::AcqRel, Ordering::Acquire);
        if parts.is_ok() && said_goodbye {
            self.outlet.forget();
        }
    }

    /// Whether it carries this member now.
    pub(crate) fn carries(&self, number: u64) -> bool {
        self.member.load(Ordering::Acquire) == number
    }

    /// Writes the frames that wait, as many as the peer takes; the others follow as it takes more.
    pub(crate) fn flush(self: &Arc<Self>) {
        match self.outlet.flush() {
            Ok(flushed) => {
                self.note_taken(flushed.bytes);
                match flushed.left {
                    Left::Nothing if flushed.bytes > 0 => self.note_drained(),
                    Left::Nothing => {}
                    Left::Held => self.note_held_up(),
                    Left::Blocked { is_followed_up } => {
                        self.note_held_up();
                        if !is_followed_up {
                            drop(tokio::spawn(Arc::clone(self).follow_up()));
                        }
                    }
                }
            }
            Err(_) => self.broken(),
        }
    }

    /// Its client has sent a message that is longer than it may be: the library ends it.
    pub(super) fn note_too_large(&self) {
        tracing::info!(
            conn.id = self.id,
            "a client's message is too large; its connection ends"
        );
        if let Some(registry) = self.registry.upgrade() {
            registry.metrics.too_large.inc();
        }
    }

    /// Writes for the library.
    pub(super) fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.outlet.poll_write(cx, bytes, |taken| self.note_taken(taken))
    }

    /// Writes the frames that wait as the peer takes them.
    async fn follow_up(self: Arc<Self>) {
        tokio::select! {
            drained = self.outlet.drain(|bytes| self.note_taken(bytes)) => match drained {
                Ok(true) => self.note_drained(),
                Ok(false) => {}
                Err(_) => self.broken(),
            },
            () = self.over() => {}
        }
    }

    /// The peer is gone: the library will find out as well, and ends it.
    fn broken(&self) {
        self.cut();
    }

    /// Waits until it has ended.
    async fn over(&self) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if self.is_over() {
                return;
            }
            changed.await;
        }
    }

    /// Waits until what was queued has been taken once more than `before` times.
    pub(crate) async fn drained_past(&self, before: u64) -> Result<(), Over> {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if self.is_over() {
                return Err(Over);
            }
            if self.drained() > before {
                return Ok(());
            }
            changed.await;
        }
    }

    /// Whether it has ended, or is ending.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }

    /// Notes that nobody is there any more.
    pub(crate) fn note_over(&self) -> bool {
        let was_over = self.is_over.swap(true, Ordering::AcqRel);
        self.changed.notify_waiters();
        !was_over
    }

    /// Ends it on the transport level: a stock client sees `transport close` or `transport error` and comes back by itself,
    /// which it would not after the library's own `disconnect`. Works on a peer that takes nothing, too.
    pub(crate) fn cut(&self) {
        if !self.note_over() {
            return;
        }
        self.reader.wake();
        self.writer.wake();
        if self.carrier() != Carrier::Websocket
            && let Some(registry) = self.registry.upgrade()
        {
            if let Some(sid) = self.sid.get() {
                registry.end_polling(*sid);
            }
            registry.remove(self);
        }
    }

    /// Its session has ended.
    pub(super) fn finish(&self) {
        self.note_over();
        if let Some(registry) = self.registry.upgrade() {
            registry.remove(self);
        }
    }
}

#[cfg(test)]
impl Conn {
    /// One without a client.
    pub(in crate::socket) fn of_nobody(registry: &Arc<Registry>) -> Arc<Self> {
        let nobody = Credentials::of(&axum::http::HeaderMap::new(), &axum::http::Uri::default());
        let guard = registry.open(Carrier::Polling, nobody);
        let guard = guard.unwrap_or_else(|refused| unreachable!("{refused:?}"));
        let conn = Arc::clone(&guard.conn);
        std::mem::forget(guard); // it would end the connection
        conn
    }
}

impl std::fmt::Debug for Conn {
    /// Never the ids or the credentials.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Conn")
            .field("id", &self.id)
            .field("carrier", &self.carrier())
            .finish_non_exhaustive()
    }
}

/// Rides in the handshake request that the library keeps as long as the session.
#[derive(Debug)]
pub(crate) struct ConnGuard {
    pub(crate) conn: Arc<Conn>,
}

impl Drop for ConnGuard {
    fn drop(&mut self) {
        self.conn.finish();
        if let Some(registry) = self.conn.registry.upgrade() {
            registry.sessions.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

/// Every connection of this node.
pub(crate) struct Registry {
    pub(super) metrics: Metrics,
    node: Node,
    next_id: AtomicU64,
    max: usize,
    is_closing: AtomicBool,
    all: Mutex<HashMap<u64, Arc<Conn>>>,
    /// Polling sessions and those that began as one: what a request's `sid` can mean.
    by_session: Mutex<HashMap<SessionId, Arc<Conn>>>,
    held_up: Mutex<HashMap<u64, Arc<Conn>>>,
    engine: OnceLock<Weak<Engine>>,
    /// Sessions that the library still keeps, ended or not.
    sessions: AtomicUsize,
    emptied: Notify,
}

/// Why there can be no new connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// This node shuts down.
    Closing,
    /// There are as many as there may be.
    Full,
}

impl Registry {
    /// An empty one for the node of this name, with room for `max` connections.
    pub(crate) fn new(metrics: Metrics, node: &str, max: usize) -> Arc<Self> {
        Arc::new(Self {
            metrics,
            node: Node::named(node),
            next_id: AtomicU64::new(1),
            max,
            is_closing: AtomicBool::new(false),
            all: Mutex::default(),
            by_session: Mutex::default(),
            held_up: Mutex::default(),
            engine: OnceLock::new(),
            sessions: AtomicUsize::new(0),
            emptied: Notify::new(),
        })
    }

    pub(super) fn attach(&self, engine: &Arc<Engine>) {
        drop(self.engine.set(Arc::downgrade(engine)));
    }

    /// A new connection. It is off the registry when the guard is dropped.
    pub(super) fn open(self: &Arc<Self>, carrier: Carrier, credentials: Credentials) -> Result<ConnGuard, Refused> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let conn = Arc::new(Conn {
            id,
            registry: Arc::downgrade(self),
            credentials,
            session: SessionId::random(),
            sid: OnceLock::new(),
            pid: OnceLock::new(),
            has_connected: AtomicBool::new(false),
            member: AtomicU64::new(NOBODY),
            carrier: AtomicU8::new(carrier as u8),
            is_over: AtomicBool::new(false),
            reader: AtomicWaker::new(),
            writer: AtomicWaker::new(),
            outlet: Outlet::closed(),
            is_held_up: AtomicBool::new(false),
            taken: AtomicU64::new(0),
            drained: AtomicU64::new(0),
            changed: Notify::new(),
        });
        let mut all = lock(&self.all);
        if self.is_closing.load(Ordering::Acquire) {
            return Err(Refused::Closing);
        }
        let has_room = all.len() < self.max && self.sessions.load(Ordering::Acquire) < self.max.saturating_mul(2);
        if !has_room {
            return Err(Refused::Full);
        }
        self.sessions.fetch_add(1, Ordering::AcqRel);
        all.insert(id, Arc::clone(&conn));
        self.metrics.connections.get_or_create(&carrier.label()).inc();
        Ok(ConnGuard { conn })
    }

    /// Lets requests of a polling session find it. `sid` is what the library calls it.
    pub(super) fn expect_requests(&self, conn: &Arc<Conn>, sid: Sid) {
        if conn.sid.set(sid).is_ok() {
            lock(&self.by_session).insert(conn.session, Arc::clone(conn));
        }
    }

    /// The session that a request from outside means.
    pub(super) fn find(&self, id: &str) -> Option<Arc<Conn>> {
        let session = self.node.read(id)?;
        lock(&self.by_session).get(&session).cloned()
    }

    fn remove(&self, conn: &Conn) {
        lock(&self.by_session).remove(&conn.session);
        lock(&self.held_up).remove(&conn.id);
        let mut all = lock(&self.all);
        if all.remove(&conn.id).is_some() {
            self.metrics.connections.get_or_create(&conn.carrier().label()).dec();
        }
        if all.is_empty() {
            self.emptied.notify_waiters();
        }
    }

    /// Those that were held up and may still be.
    pub(crate) fn held_up(&self) -> Vec<Arc<Conn>> {
        let mut held_up = lock(&self.held_up);
        held_up.retain(|_, conn| conn.is_held_up() && !conn.is_over());
        held_up.values().cloned().collect()
    }

    /// Has the library end a session that polls.
    pub(super) fn end_polling(&self, sid: Sid) {
        if let Some(engine) = self.engine.get().and_then(Weak::upgrade) {
            engine.end_polling(sid);
        }
    }

    /// Takes no new connections from now on.
    pub(crate) fn refuse(&self) {
        self.is_closing.store(true, Ordering::Release);
    }

    /// Ends every connection.
    pub(crate) fn cut_all(&self) {
        let all: Vec<_> = lock(&self.all).values().cloned().collect();
        for conn in all {
            conn.cut();
        }
    }

    /// Waits until there is no connection.
    pub(crate) async fn empty(&self) {
        loop {
            let mut emptied = std::pin::pin!(self.emptied.notified());
            emptied.as_mut().enable();
            if lock(&self.all).is_empty() {
                return;
            }
            emptied.await;
        }
    }
}
