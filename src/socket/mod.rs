//! The sockets: Engine.IO and Socket.IO towards clients, in front of and around socketioxide.
//!
//! A client's way through it: `transport` answers its HTTP requests and carries its bytes, `handshake` finds out who it
//! is, `recovery` gives it back what it had, `handlers` answers its events, `delivery` sends it what happens in its
//! rooms and `backlog` closes it when it no longer takes that. It refuses to know where events come from and how they are
//! stored: it reads a bus and a store through [`crate::ports`].
//! What clients of another contract say and may hear it does not know either (`guests`).

mod backlog;
mod delivery;
mod events;
mod expiry;
mod guests;
mod handlers;
mod handshake;
mod hub;
mod inbox;
mod member;
mod receipts;
pub mod recovery;
mod rooms;
mod told;
mod transport;
mod volatile;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use socketioxide::extract::{SocketRef, TryData};
use socketioxide::handler::ConnectHandler as _;
use socketioxide::socket::DisconnectReason;
use socketioxide::{SocketIo, TransportType};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use crate::auth::Authenticator;
use crate::clock::Clock;
use crate::domain::Room;
use crate::domain::access::Identity;
use crate::ports::{
    Bus, Connections, Contract, NodeStatus, Positioned, SessionCopies, SocketStatus, Store, StoreError,
};
use crate::telemetry::Metrics;
use events::{CONNECTION_RESPONSE, Connected, RECOVERY_GAP, RecoveryGap};
use guests::{Admitted, Who};
use handshake::Rejection;
use hub::Hub;
use member::{Card, Ending};
use recovery::{Beginning, Gap};
use rooms::Form;
use transport::{ConnGuard, Engine};
pub use volatile::Voice;

/// Packets that the library queues for a socket before it refuses one. It never gets there: `backlog` bounds what waits,
/// and the queue takes memory only for what is in it.
const ENDLESS: usize = 1 << 30;
/// What the library reads of a websocket at once, in bytes, and keeps for it: clients say little, and there are thousands. Of the
/// kernel more is read at once.
const READ_BUFFER: usize = 48;
/// How often housekeeping looks at tokens and receipts.
const HOUSEKEEPING: Duration = Duration::from_millis(250);
/// How long sockets get to take what is queued for them before they are closed for good.
const LAST_WORDS: Duration = Duration::from_millis(100);
/// How long closing may take.
const CLOSING: Duration = Duration::from_millis(1_500);
/// How long a socket waits for delivery to begin.
const BEGINNING: Duration = Duration::from_secs(10);

/// How sockets are kept.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The name of this node, with which its Engine.IO session ids begin; empty: it has none. Letters, digits and `-`.
    pub node: String,
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
            node: String::new(),
            ping_interval: Duration::from_secs(25),
            ping_timeout: Duration::from_mins(1),
            max_message_bytes: 1_000_000,
            allow_polling: true,
            allow_websocket: true,
            connect_timeout: Duration::from_secs(45),
            max_connections: 50_000,
            max_rooms: 256,
            events_per_second: 50,
            events_burst: 100,
            token_grace: Duration::from_mins(1),
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
    /// Another contract, whose clients connect to the same namespace.
    pub contract: Option<Arc<dyn Contract>>,
    /// Sessions, and the events that clients come back for.
    pub store: Arc<dyn Store>,
    /// What was published and is not in the store yet.
    pub bus: Arc<dyn Bus>,
    /// Copies of the sessions, for when the store cannot be asked; `None` where it always can.
    pub copies: Option<Arc<dyn SessionCopies>>,
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
pub struct SocketServer {
    hub: Arc<Hub>,
    io: SocketIo,
}

/// The routes for `/socket.io/`, and the server behind them. Sockets are let in and hear of events once
/// [`SocketServer::deliver`] runs.
pub fn new(deps: Deps) -> (axum::Router, SocketServer) {
    let hub = Hub::new(deps);
    let settings = &hub.settings;
    let (service, io) = SocketIo::builder()
        .ping_interval(settings.ping_interval)
        .ping_timeout(settings.ping_timeout)
        .connect_timeout(settings.connect_timeout)
        .max_payload(settings.max_message_bytes as u64)
        .ws_max_message_size(settings.max_message_bytes)
        .ws_max_frame_size(settings.max_message_bytes)
        .ws_read_buffer_size(READ_BUFFER)
        .max_buffer_size(ENDLESS)
        .transports([TransportType::Polling, TransportType::Websocket])
        .build_with_inner_svc(axum::Router::new());
    let at_door = Arc::clone(&hub);
    let middleware =
        move |socket: SocketRef, TryData(auth): TryData<Value>| let_in(at_door, socket, auth.unwrap_or_default());
    let inside = Arc::clone(&hub);
    let connected = move |socket: SocketRef| welcome(Arc::clone(&inside), socket);
    io.ns("/", connected.with(middleware));
    let router = transport::router(
        Arc::new(Engine::new(service)),
        Arc::clone(&hub.registry),
        settings,
        hub.contract.is_some(),
    );
    (router, SocketServer { hub, io })
}

/// Before CONNECT is answered: who is it, and what does it come back for?
async fn let_in(hub: Arc<Hub>, socket: SocketRef, auth: Value) -> Result<(), Rejection> {
    let request = socket.req_parts();
    let Some(guard) = request.extensions.get::<Arc<ConnGuard>>() else {
        tracing::error!("a socket has no connection of ours");
        return Err(Rejection::Unavailable);
    };
    let Admitted {
        who,
        owner,
        expires_at,
        rooms,
    } = guests::admit(&hub, request, &auth)?;
    // Positions mean nothing before delivery knows where the log ends.
    if tokio::time::timeout(BEGINNING, hub.recent.begun()).await.is_err() {
        return Err(Rejection::Unavailable);
    }
    let understands = guests::understands_recovery(&who, request, &auth);
    let card = Card {
        conn: Arc::clone(&guard.conn),
        sid: socket.id,
        who,
        owner,
        expires_at,
        form: Form::Plain,
    };
    let Beginning { member, gap } = recovery::begin(&hub, card, &rooms, understands, &auth).await;
    hub.expiries.add(&member);
    match &member.who {
        Who::Ours(_) => handlers::register(&socket, &member),
        Who::Guest(party) => guests::register(&socket, &member, party),
    }
    let leaving = Arc::clone(&member);
    socket.on_disconnect(move |_: SocketRef, reason: DisconnectReason| {
        leaving.depart(match reason {
            DisconnectReason::ClientNSDisconnect => Ending::Goodbye,
            DisconnectReason::TransportClose
            | DisconnectReason::MultipleHttpPollingError
            | DisconnectReason::PacketParsingError
            | DisconnectReason::TransportError
            | DisconnectReason::HeartbeatTimeout
            | DisconnectReason::ServerNSDisconnect
            | DisconnectReason::ClosingServer => Ending::Lost,
        });
        std::future::ready(())
    });
    member.note_gap(gap);
    Ok(())
}

/// After CONNECT was answered.
async fn welcome(hub: Arc<Hub>, socket: SocketRef) {
    let Some(member) = hub.member_of(&socket) else {
        return;
    };
    if !member.start() {
        return;
    }
    if let Who::Guest(party) = &member.who {
        return guests::welcome(&member, party, &socket).await;
    }
    let timestamp = member.hub.clock.now();
    let connected = Connected {
        status: "connected",
        sid: member.sid.as_str(),
        timestamp,
    };
    let mut told = member.say(&socket, CONNECTION_RESPONSE, &connected);
    if let Some(Gap { since }) = member.gap() {
        told &= member.say(&socket, RECOVERY_GAP, &RecoveryGap { since, timestamp });
    }
    if !told {
        tracing::debug!(conn.id = member.conn.id, "a socket was gone before it was welcomed");
    }
    member.take_requests();
    if member.is_catching_up() && recovery::replay_session(&member, &socket).await.is_err() {
        tracing::debug!(
            conn.id = member.conn.id,
            "a client went away before it had got what it came back for"
        );
    }
}

impl SocketServer {
    /// Tells sockets what the bus says, in its order, until the bus ends; looks after slow clients, expired tokens and
    /// sessions meanwhile. Called once.
    pub async fn deliver(self, mut events: mpsc::Receiver<Positioned>) {
        let first = delivery::begin(&self.hub, &mut events).await;
        let mut others = tokio::task::JoinSet::new(); // aborted when this ends
        let hub = Arc::clone(&self.hub);
        others.spawn(async move { hub.sessions.run(&*hub.store).await });
        let hub = Arc::clone(&self.hub);
        others.spawn(async move { hub.sessions.copies.run(&hub).await });
        let hub = Arc::clone(&self.hub);
        others.spawn(async move { sweep(&hub).await });
        let (hub, io) = (Arc::clone(&self.hub), self.io.clone());
        others.spawn(async move { keep_house(&hub, &io).await });
        let hub = Arc::clone(&self.hub);
        others.spawn(async move { keep_sessions(&hub).await });

        delivery::run(&self.hub, &self.io, first, events).await;
        self.hub.receipts.write(&*self.hub.store).await;
    }

    /// Closes every connection so that stock clients reconnect (`transport close`), and refuses new ones. Takes two seconds
    /// at most.
    pub async fn close(&self) {
        self.hub.registry.refuse();
        tokio::time::sleep(LAST_WORDS).await;
        self.hub.registry.cut_all();
        self.hub.hearing.close();
        let all_gone = async {
            self.hub.registry.empty().await;
            self.hub.hearing.wait().await;
        };
        if tokio::time::timeout(CLOSING, all_gone).await.is_err() {
            tracing::warn!("some connections did not close in time");
        }
    }
}

async fn sweep(hub: &Hub) {
    let mut backlog = backlog::Backlog::default();
    let mut ticks = every(backlog::EVERY);
    loop {
        ticks.tick().await;
        backlog.sweep(hub);
    }
}

async fn keep_house(hub: &Hub, io: &SocketIo) {
    let mut ticks = every(HOUSEKEEPING);
    loop {
        ticks.tick().await;
        expiry::tick(hub, io, hub.clock.now());
        hub.receipts.write(&*hub.store).await;
    }
}

async fn keep_sessions(hub: &Hub) {
    let mut upkeep = recovery::Upkeep::new();
    let mut ticks = every(recovery::Upkeep::EVERY);
    loop {
        ticks.tick().await;
        upkeep.tick(hub).await;
    }
}

fn every(period: Duration) -> tokio::time::Interval {
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

#[async_trait]
impl Connections for SocketServer {
    async fn status(&self) -> SocketStatus {
        let active_connections = self.hub.members.connected();
        let node = self.hub.settings.node.clone();
        SocketStatus {
            active_connections,
            rooms: self.hub.rooms.members(),
            nodes: vec![NodeStatus {
                node,
                active_connections,
            }],
            is_partial: false,
        }
    }
}

/// Locks, whatever happened to others under this lock: what it guards is consistent after every statement.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
