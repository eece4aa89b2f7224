//! What all sockets of this node share.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};

use socketioxide::extract::SocketRef;
use tokio::sync::Mutex as AsyncMutex;
use tokio_util::task::TaskTracker;

use super::expiry::Expiries;
use super::member::Member;
use super::receipts::Receipts;
use super::recovery::{Recent, Sessions};
use super::rooms::Rooms;
use super::transport::{ConnGuard, Registry};
use super::{Deps, RoomAccess, Settings, lock};
use crate::auth::Authenticator;
use crate::clock::Clock;
use crate::ports::{Bus, Contract, Store};
use crate::telemetry::Metrics;

/// What all sockets of this node share.
pub(super) struct Hub {
    pub(super) settings: Settings,
    pub(super) event_rate: NonZeroU32,
    pub(super) event_burst: NonZeroU32,
    pub(super) access: Arc<dyn RoomAccess>,
    pub(super) contract: Option<Arc<dyn Contract>>,
    pub(super) store: Arc<dyn Store>,
    pub(super) bus: Arc<dyn Bus>,
    pub(super) authenticator: Arc<Authenticator>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: Metrics,
    pub(super) registry: Arc<Registry>,
    pub(super) members: Members,
    pub(super) rooms: Rooms,
    pub(super) sessions: Sessions,
    pub(super) recent: Recent,
    pub(super) receipts: Receipts,
    pub(super) expiries: Expiries,
    /// Held while events are fanned out, and while a socket goes live in a room or leaves it: so that it gets exactly the
    /// events after the position that it goes live at, and none after it was told that it has left.
    pub(super) gate: AsyncMutex<()>,
    /// What hears the other contract's clients: each is heard to its end.
    pub(super) hearing: TaskTracker,
}

impl Hub {
    pub(super) fn new(deps: Deps) -> Arc<Self> {
        let Deps {
            access,
            contract,
            store,
            bus,
            copies,
            authenticator,
            clock,
            metrics,
            settings,
        } = deps;
        let at_least_one = |n: u32| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
        Arc::new(Self {
            event_rate: at_least_one(settings.events_per_second),
            event_burst: at_least_one(settings.events_burst),
            registry: Registry::new(metrics.clone(), &settings.node, settings.max_connections),
            members: Members::default(),
            rooms: Rooms::new(metrics.clone()),
            sessions: Sessions::new(copies),
            recent: Recent::new(),
            receipts: Receipts::default(),
            expiries: Expiries::default(),
            gate: AsyncMutex::new(()),
            hearing: TaskTracker::new(),
            settings,
            access,
            contract,
            store,
            bus,
            authenticator,
            clock,
            metrics,
        })
    }

    /// The member that a socket is, unless another one has taken its place on the connection since.
    pub(super) fn member_of(&self, socket: &SocketRef) -> Option<Arc<Member>> {
        let guard = socket.req_parts().extensions.get::<Arc<ConnGuard>>()?;
        self.members.on(guard.conn.id).filter(|member| member.sid == socket.id)
    }
}

/// The sockets in the namespace, by the connection that carries each.
#[derive(Default)]
pub(super) struct Members {
    by_conn: Mutex<HashMap<u64, Weak<Member>>>,
    connected: AtomicUsize,
}

impl Members {
    pub(super) fn add(&self, member: &Arc<Member>) {
        lock(&self.by_conn).insert(member.conn.id, Arc::downgrade(member));
    }

    pub(super) fn note_connected(&self) {
        self.connected.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn remove(&self, member: &Member, was_connected: bool) {
        let mut by_conn = lock(&self.by_conn);
        if by_conn
            .get(&member.conn.id)
            .is_some_and(|known| std::ptr::eq(known.as_ptr(), member))
        {
            by_conn.remove(&member.conn.id);
        }
        if was_connected {
            self.connected.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// Sockets connected to the namespace.
    pub(super) fn connected(&self) -> usize {
        self.connected.load(Ordering::Acquire)
    }

    pub(super) fn on(&self, conn: u64) -> Option<Arc<Member>> {
        lock(&self.by_conn).get(&conn).and_then(Weak::upgrade)
    }

    pub(super) fn all(&self) -> Vec<Arc<Member>> {
        lock(&self.by_conn).values().filter_map(Weak::upgrade).collect()
    }
}
