//! What the inside asks of the outside. Traits, and the values that cross them; no behaviour.

mod guests;
mod peers;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::value::RawValue;
use tokio::sync::mpsc;

use crate::domain::bed::{Bed, BedBoard, CapacityScope};
use crate::domain::staff::StaffMember;
use crate::domain::task::Task;
use crate::domain::triage::{TriageCase, TriageStatus};
use crate::domain::{
    AlertScope, BedId, Event, EventId, Fact, HospitalId, PatientId, Payload, Position, RoomName, TaskId, TenantId,
    Timestamp, Topic, TriageId, UserId, WorkerEvent,
};

pub use guests::{Contract, Guest, Hello, Lasting, Line, Party};
pub use peers::{Heard, Peers};

/// The store cannot do what it was asked. Nothing of that request was kept, unless said otherwise.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot write or read now (disk full, read-only, connection lost). Trying again later may work.
    #[error("the store is unavailable")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// What it holds is not what we wrote. A person must look.
    #[error("the store is damaged")]
    Damaged(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The connection was lost while it committed, and the store could not be asked in time what became of it: it is kept
    /// whole or not at all. Events that were kept are [`EventStore::unpublished`] and will be published; an append with the
    /// same [`Once`] can be sent again.
    #[error("it is not known whether the store has kept it")]
    Uncertain(#[source] Box<dyn std::error::Error + Send + Sync>),
}

// ---------------------------------------------------------------- events

/// What one request wants kept: all of it or nothing.
#[derive(Clone, Debug, Default)]
pub struct Append {
    /// The events that follow from the request, in order.
    pub events: Vec<Arc<Event>>,
    /// The state behind the REST reads.
    pub changes: Vec<StateChange>,
    /// The request's `Idempotency-Key`, where it had one.
    pub once: Option<Once>,
}

impl Append {
    /// What an EHR says of things by it, in order.
    pub fn facts(&self) -> impl DoubleEndedIterator<Item = &Fact> {
        self.changes.iter().filter_map(|change| {
            if let StateChange::Fact(fact) = change {
                Some(fact)
            } else {
                None
            }
        })
    }
}

/// A request that must have its effect once, and the answer that every repetition gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Once {
    /// Who asked and for what: keys of different callers or routes never meet.
    pub scope: String,
    /// The `Idempotency-Key`.
    pub key: String,
    /// SHA-256 of the request's body.
    pub fingerprint: [u8; 32],
    /// The outcome as JSON, from which the same answer is made again.
    pub outcome: String,
    /// When it was first asked.
    pub at: Timestamp,
}

/// A change of the state behind the REST reads.
#[derive(Clone, Debug)]
pub enum StateChange {
    /// Remembers which hospital a patient belongs to.
    PatientHospital(PatientId, HospitalId),
    /// Inserts the case (`expected` is `None`) or replaces the one whose `updated_at` is `expected`.
    Triage {
        /// The case as it shall be.
        case: TriageCase,
        /// `updated_at` of the case that the change was decided on; `None`: there was none.
        expected: Option<Timestamp>,
    },
    /// Inserts or replaces a member of staff.
    Staff(StaffMember),
    /// Inserts or replaces a bed, and advances its hospital's bed board from `expected` to `expected + 1`.
    Bed {
        /// The bed as it shall be.
        bed: Bed,
        /// The revision of the board that the change was decided on.
        expected: u64,
        /// The scopes that are raised from now on.
        raised: Vec<CapacityScope>,
    },
    /// Inserts or replaces a task.
    Task(Task),
    /// Inserts or replaces what a tenant's EHR has said of a thing.
    Fact(Fact),
    /// A message that somebody of a tenant has not read. Once is enough, and what was read stays read.
    Unread(MessageFor),
    /// They have read it.
    Read(MessageFor),
}

/// A message, and one of those it is for (contract B).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct MessageFor {
    /// Whose patients it may speak of.
    pub tenant: TenantId,
    /// Who.
    pub user: UserId,
    /// The EHR's id of the message.
    pub message: String,
    /// When it was sent, or read.
    pub at: Timestamp,
}

/// What became of an [`Append`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Appended {
    /// Committed. One sequence number for each event, in order, greater than all before on any node. A store that nodes
    /// share gives them out in the order of its commits: whoever can read one event can read every earlier one.
    Committed(Vec<u64>),
    /// Kept as durably on this node's own disk, because the store is gone; moved there when it is back. One number for each
    /// event, in order and from [`SPOOLED`] on, to be published and noted like those of the store.
    Spooled(Vec<u64>),
    /// This key was used before with the same body: nothing was kept, here is the outcome of then.
    Repeated(String),
    /// This key was used before with another body: nothing was kept.
    KeyReused,
    /// The state was changed by somebody else since it was read: nothing was kept, decide again.
    Conflict,
}

/// Numbers from here on are those of a node's own spool, not sequence numbers of the store.
pub const SPOOLED: u64 = 1 << 63;

/// An event with its place in the one order.
#[derive(Clone, Debug)]
pub struct Positioned {
    /// Its place.
    pub position: Position,
    /// The event.
    pub event: Arc<Event>,
}

/// Keeps events. See the conformance suite in `tests/it/store` for what is asked of an implementation.
#[async_trait]
pub trait EventStore: Send + Sync {
    /// Commits every append, each whole or not at all and independent of the others, durably: when this returns `Ok`,
    /// a power cut loses nothing of it. Answers one [`Appended`] for each, in order.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: nothing of the whole batch was kept. [`StoreError::Uncertain`]: it is not known.
    async fn commit(&self, batch: Vec<Append>) -> Result<Vec<Appended>, StoreError>;

    /// The outcome that was kept under this key, and the fingerprint of the body it belongs to.
    async fn outcome_of(&self, scope: &str, key: &str) -> Result<Option<([u8; 32], String)>, StoreError>;

    /// Whether other nodes work on the same store. Then an event is published with its commit, at the position of its sequence
    /// number: every node may hand it on from there, long before the node that committed it notes so.
    fn is_shared(&self) -> bool {
        false
    }

    /// Whether the store is gone and appends are kept on this node's own disk instead: [`check`](Self::check) fails, and work is
    /// welcome all the same.
    fn is_spooling(&self) -> bool {
        false
    }

    /// Events that are stored and not yet published, oldest first. Suppressed alerts are never among them.
    ///
    /// Of a shared store these are the events in this node's spool that it has not published yet.
    async fn unpublished(&self, limit: usize) -> Result<Vec<(u64, Event)>, StoreError>;

    /// Notes that the events with these sequence numbers are published, under these positions: the oldest that were not, and
    /// none left out but suppressed ones. When this returns,
    /// [`published_in`](Self::published_in) sees them; that they are published may be written down a little later, and a crash
    /// may forget it: then they are [`unpublished`](Self::unpublished) again.
    async fn mark_published(&self, published: Vec<(u64, Position)>, at: Timestamp) -> Result<(), StoreError>;

    /// Published events of any of `rooms` with `after < position <= through`, in order, each once, at most `limit`.
    async fn published_in(
        &self,
        rooms: &[RoomName],
        after: Position,
        through: Position,
        limit: usize,
    ) -> Result<Vec<Positioned>, StoreError>;

    /// Published events of all rooms with `after < position`, in order, at most `limit`: what a node hands on that has missed
    /// them on the bus. An event that was published out of a spool keeps the position that was noted for it; without one
    /// it is published with its move into the store.
    async fn published_after(&self, after: Position, limit: usize) -> Result<Vec<Positioned>, StoreError>;

    /// The last published position; [`Position::START`] where there is none.
    async fn last_position(&self) -> Result<Position, StoreError>;

    /// Every published event after this position is still there; events up to it may have been swept. Ask after reading them:
    /// a sweep may have come in between.
    async fn horizon(&self) -> Result<Position, StoreError>;

    /// Where an event was published; `None` if it is not there (any more) or was never published.
    async fn position_of(&self, event: EventId) -> Result<Option<Position>, StoreError>;

    /// Alerts, newest first.
    async fn history(&self, query: &HistoryQuery) -> Result<HistoryPage, StoreError>;

    /// One alert and what became of it.
    async fn alert(&self, id: EventId) -> Result<Option<AlertRecord>, StoreError>;

    /// The patient's alerts ([`AlertScope::Patient`]) that were emitted (not suppressed) since `since`, oldest first: when, and
    /// their type.
    async fn recent_alerts(
        &self,
        patient: &PatientId,
        since: Timestamp,
    ) -> Result<Vec<(Timestamp, String)>, StoreError>;

    /// Adds to how many sockets alerts were delivered and by how many recovered. May be kept a little later than it returns;
    /// losing some with a crash is allowed.
    async fn add_receipts(&self, receipts: Vec<Receipt>) -> Result<(), StoreError>;

    /// Removes what is older than the retention: events, answers to idempotency keys, finished tasks, closed sessions.
    async fn sweep(&self, retention: Retention) -> Result<Swept, StoreError>;

    /// Whether it can be written to now; tries for real.
    async fn check(&self) -> Result<(), StoreError>;

    /// Writes down what was put off and lets go of the database. Nothing can be asked of it afterwards.
    async fn close(&self);
}

/// Which alerts are asked for. All conditions hold at once; times are of raising.
#[derive(Clone, Debug, Default)]
pub struct HistoryQuery {
    /// Of this patient.
    pub patient_id: Option<PatientId>,
    /// Of this hospital: its own and its patients'.
    pub hospital_id: Option<HospitalId>,
    /// Not before.
    pub since: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
    /// Of this `alert_type`.
    pub alert_type: Option<String>,
    /// Older than the alert with this sequence number (the cursor of the page before).
    pub before: Option<u64>,
    /// Published after the event at this position: what a client that knows its last event has missed.
    pub after: Option<Position>,
    /// At most this many.
    pub limit: usize,
}

/// A page of the history.
#[derive(Clone, Debug, Default)]
pub struct HistoryPage {
    /// Payloads as they were emitted, newest first; a suppressed one says so itself.
    pub alerts: Vec<Payload>,
    /// The cursor of the next page, if there is one.
    pub next: Option<u64>,
}

/// One alert and what became of it.
#[derive(Clone, Debug)]
pub struct AlertRecord {
    /// The alert.
    pub event: Event,
    /// Patient's or hospital's.
    pub scope: AlertScope,
    /// When it was committed.
    pub stored_at: Timestamp,
    /// When it was given its position; `None` for a suppressed one.
    pub published_at: Option<Timestamp>,
    /// Sockets that it was sent to as it happened.
    pub delivered: u64,
    /// Sockets that got it when they came back.
    pub recovered: u64,
}

/// How many sockets got an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Which event.
    pub event_id: EventId,
    /// Sent as it happened.
    pub delivered: u64,
    /// Sent on recovery.
    pub recovered: u64,
}

/// What may be forgotten: everything from before these instants.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// Events (and so how far back a client can recover).
    pub events_before: Timestamp,
    /// Alerts in the history, which live longer than the log, and what the EHR said of things and of messages; except for who
    /// takes part in a thread, which stays.
    pub alerts_before: Timestamp,
    /// Outcomes kept for idempotency keys.
    pub outcomes_before: Timestamp,
    /// Finished tasks.
    pub tasks_before: Timestamp,
    /// Sessions last seen.
    pub sessions_before: Timestamp,
}

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Events and alerts.
    pub events: u64,
    /// Idempotency outcomes.
    pub outcomes: u64,
    /// Tasks.
    pub tasks: u64,
    /// Sessions.
    pub sessions: u64,
    /// What was said and sent for contract B.
    pub ehr: u64,
}

// ---------------------------------------------------------------- state behind the REST reads

/// Reads what [`StateChange`]s wrote.
#[async_trait]
pub trait StateStore: Send + Sync {
    /// The hospital that this patient is known to belong to.
    async fn hospital_of(&self, patient: &PatientId) -> Result<Option<HospitalId>, StoreError>;
    /// A triage case.
    async fn triage_case(&self, id: &TriageId) -> Result<Option<TriageCase>, StoreError>;
    /// Triage cases, the one that waits longest first.
    async fn triage_cases(&self, filter: &TriageFilter) -> Result<Vec<TriageCase>, StoreError>;
    /// Members of staff of a hospital who are available, those longest available first.
    async fn available_staff(&self, hospital: &HospitalId) -> Result<Vec<StaffMember>, StoreError>;
    /// A member of staff.
    async fn staff_member(
        &self,
        hospital: &HospitalId,
        id: &crate::domain::StaffId,
    ) -> Result<Option<StaffMember>, StoreError>;
    /// A hospital's beds, by ward and id.
    async fn beds(&self, hospital: &HospitalId) -> Result<Vec<Bed>, StoreError>;
    /// The beds with this id, one for each hospital that has one.
    async fn beds_named(&self, id: &BedId) -> Result<Vec<Bed>, StoreError>;
    /// A hospital's beds, counted.
    async fn bed_board(&self, hospital: &HospitalId) -> Result<BedBoard, StoreError>;
    /// A task.
    async fn task(&self, id: TaskId) -> Result<Option<Task>, StoreError>;
    /// Tasks that are neither `SUCCESS` nor `FAILURE`, oldest first.
    async fn unfinished_tasks(&self) -> Result<Vec<Task>, StoreError>;
    /// What a tenant's EHR said last of a thing.
    async fn fact(&self, tenant: &TenantId, topic: Topic, id: &str) -> Result<Option<Fact>, StoreError>;
    /// How many messages somebody of a tenant has not read.
    async fn unread(&self, tenant: &TenantId, user: &UserId) -> Result<u64, StoreError>;
}

/// Which triage cases are asked for.
#[derive(Clone, Debug, Default)]
pub struct TriageFilter {
    /// By the hospital that they belong to.
    pub hospital: TriageHospital,
    /// Of this patient.
    pub patient_id: Option<PatientId>,
    /// In this state.
    pub status: Option<TriageStatus>,
    /// At most this many.
    pub limit: usize,
}

/// Triage cases by hospital.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TriageHospital {
    /// All cases.
    #[default]
    Any,
    /// Those of this hospital.
    Only(HospitalId),
    /// Those of this hospital, and those that belong to none: nobody else would see them.
    OrNone(HospitalId),
    /// Those that belong to none.
    None,
}

// ---------------------------------------------------------------- sessions

/// What a client needs back when it returns: the server's half of Socket.IO's connection state recovery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The private session id. Unguessable; never logged.
    pub pid: String,
    /// SHA-256 of the identity that it was given to: for any other it does not exist.
    pub owner: [u8; 32],
    /// The last position that was published when it began.
    pub began_at: Position,
    /// The rooms it is in, and the last position that was published when it joined each.
    pub rooms: BTreeMap<RoomName, Position>,
    /// When it was last known to be alive.
    pub seen_at: Timestamp,
}

/// What happens to a session.
#[derive(Clone, Debug)]
pub enum SessionChange {
    /// It begins, or is taken up again: replaces what was kept.
    Open(Session),
    /// What it is owed begins later: of the rooms that it is still kept in, after these positions. Whoever says so may no
    /// longer be the node that holds the session, so it neither adds a room nor takes one away.
    Advance {
        /// Which session.
        pid: String,
        /// Its rooms, and the position in each up to which nothing is owed any more.
        rooms: BTreeMap<RoomName, Position>,
        /// When it was known to be alive.
        at: Timestamp,
    },
    /// It joins a room. If it is in it already, the earlier position stays: what was sent since then is still owed to it.
    Join {
        /// Which session.
        pid: String,
        /// Which room.
        room: RoomName,
        /// The last position that was published before.
        at: Position,
    },
    /// It leaves a room.
    Leave {
        /// Which session.
        pid: String,
        /// Which room.
        room: RoomName,
    },
    /// It was alive at that instant. An earlier one than is known changes nothing.
    Seen {
        /// Which session.
        pid: String,
        /// When.
        at: Timestamp,
    },
    /// It is over: the client said goodbye or was refused.
    Forget {
        /// Which session.
        pid: String,
    },
}

/// Keeps sessions, so that they survive a restart.
#[async_trait]
pub trait SessionStore: Send + Sync {
    /// Commits the changes. A change of a session that is not there is ignored.
    async fn save(&self, changes: Vec<SessionChange>) -> Result<(), StoreError>;
    /// The session with this private id.
    async fn session(&self, pid: &str) -> Result<Option<Session>, StoreError>;
}

/// What has become of a session, for a copy of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// Which session.
    pub pid: String,
    /// Since when the socket that says so holds it. It counts only if nobody has taken the session up since: the socket that a
    /// client has left behind on another node may be late to notice.
    pub held_since: Timestamp,
    /// What it is; `None`: it is over.
    pub session: Option<Session>,
}

/// Keeps copies of sessions outside of the store, for about an hour: a client that comes back while the store cannot be
/// asked is given back what it had, at whichever node.
#[async_trait]
pub trait SessionCopies: Send + Sync {
    /// Writes copies, of those who hold the sessions.
    async fn keep(&self, copies: &[Copied]) -> Result<(), BusError>;
    /// The copy of the session with this private id, and since when whoever wrote it held it: whoever takes it up now must say a
    /// later instant, whatever the clock of this node shows.
    async fn copy(&self, pid: &str) -> Result<Option<(Session, Timestamp)>, BusError>;
}

/// One store that does all three, as both databases do.
pub trait Store: EventStore + StateStore + SessionStore {}
impl<T: EventStore + StateStore + SessionStore> Store for T {}

// ---------------------------------------------------------------- bus

/// The bus cannot take an event now. It stays stored and is published later.
#[derive(Debug, thiserror::Error)]
#[error("the bus is unavailable")]
pub struct BusError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Hands every event, in the order of positions, to this node.
#[async_trait]
pub trait Bus: Send + Sync {
    /// Publishes events in order and answers their positions. The number of each is the store's sequence number, which is its
    /// position, or one from [`SPOOLED`] on: then its position is just after the last that this node knows.
    ///
    /// Suppressed alerts are handed to nobody; they come along so that other nodes do not wait for their numbers.
    ///
    /// Waits while the node's own delivery is behind: that is what slows posts down under overload instead of losing events.
    async fn publish(&self, events: Vec<(u64, Arc<Event>)>) -> Result<Vec<Position>, BusError>;

    /// What was published from now on, by any node, in order. Called once, by delivery.
    fn subscribe(&self) -> mpsc::Receiver<Positioned>;

    /// Events of any of `rooms` with `after < position <= through`, in order, that were published without the store and that it
    /// may not have yet. Whoever reads [`EventStore::published_in`] for a client that comes back reads these as well; by
    /// event id, since some are in both.
    fn ahead_of_store(&self, rooms: &[RoomName], after: Position, through: Position) -> Vec<Positioned>;

    /// Whether other nodes can be reached now.
    async fn check(&self) -> Result<(), BusError>;

    /// Ends the bus for this node: what was published and follows what was handed on is still handed to the subscriber, whose
    /// channel then ends. The rest is for whoever comes back to another node.
    fn close(&self);
}

// ---------------------------------------------------------------- connections

/// Who is connected, over all nodes.
#[async_trait]
pub trait Connections: Send + Sync {
    /// How many sockets there are, and how many are in each room.
    async fn status(&self) -> SocketStatus;
}

/// `GET /api/status/socket`.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct SocketStatus {
    /// Sockets connected to the namespace `/`.
    pub active_connections: usize,
    /// Members by room; rooms without members are not there.
    pub rooms: BTreeMap<String, usize>,
    /// What each node has, by name; the one that answers is among them.
    pub nodes: Vec<NodeStatus>,
    /// Whether only this node could be asked.
    #[serde(rename = "partial", skip_serializing_if = "std::ops::Not::not")]
    pub is_partial: bool,
}

/// One node's sockets.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct NodeStatus {
    /// What the node is called; empty where it was given no name.
    pub node: String,
    /// Its sockets connected to the namespace `/`.
    pub active_connections: usize,
}

// ---------------------------------------------------------------- now or never

/// What sockets are to be told.
#[derive(Clone)]
pub struct Published {
    /// The event's name.
    pub event: String,
    /// Its arguments, each a JSON text.
    pub arguments: Vec<Box<RawValue>>,
    /// Who is told; nobody named means everybody.
    pub rooms: Vec<String>,
    /// Rooms and sockets that are not told.
    pub except: Vec<String>,
}

/// Tells sockets of this node, those of one contract, something now: without a position, kept nowhere. Whoever is not there
/// misses it.
#[async_trait]
pub trait Volatile: Send + Sync {
    /// Tells it to the members of its rooms, each once.
    async fn tell(&self, published: &Published);
}

// ---------------------------------------------------------------- workers

/// What has to be done with something that was published.
#[derive(Debug)]
pub enum Judged {
    /// It is an event of ours. It must be raised once, on one node.
    Ours(WorkerEvent),
    /// Its name or a room is not ours. This node's sockets were told; other nodes tell their own.
    Passed,
    /// The same, and it was dropped: it is not allowed.
    Unknown,
    /// It has our event's name and rooms, and its payload is not one JSON object.
    Refused,
}

/// What became of raising an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Raised {
    /// It is durable and on its way.
    Now,
    /// It was raised before.
    Before,
}

/// It was not raised, or nobody knows. Raising it again is safe.
#[derive(Debug, thiserror::Error)]
#[error("what a worker published could not be raised")]
pub struct NotRaised(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Raises what workers publish. `service::Workers` does; the bridges ask it.
#[async_trait]
pub trait Raise: Send + Sync {
    /// Decides what has to be done with something that was published.
    async fn judge(&self, published: Published) -> Judged;

    /// Emits the event under this id, unless that was done before, on whichever node. `fingerprint` belongs to what was
    /// published. Its place among the events is taken when this is first polled.
    async fn raise(&self, id: EventId, event: &WorkerEvent, fingerprint: [u8; 32]) -> Result<Raised, NotRaised>;

    /// Whether an event of this id was raised, as far as can be told now.
    async fn was_raised(&self, id: EventId) -> Result<bool, StoreError>;
}
