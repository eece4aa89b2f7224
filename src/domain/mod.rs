//! What wardbell is about, without any transport, storage or runtime: ids, rooms, events, clinical scores, who may what.
//!
//! It refuses to know tokio, HTTP, sockets and databases. JSON appears only as [`FreeForm`] and [`Payload`]: text and
//! objects that pass through unread.

mod event;
mod fact;
mod id;
mod idempotency;
mod payload;
mod position;
mod room;
mod timestamp;
mod worker;

pub mod access;
pub mod alert;
pub mod bed;
pub mod limiter;
pub mod news2;
pub mod risk;
pub mod staff;
pub mod task;
pub mod triage;

pub use event::{AlertFacts, AlertScope, Event, EventName};
pub use fact::{Fact, Topic};
pub use id::{
    BedId, EventId, HospitalId, InvalidId, InvalidName, PatientId, StaffId, TaskId, TenantId, ThreadId, TriageId,
    UserId, WardName,
};
pub use idempotency::{InvalidIdempotencyKey, idempotency_key};
pub use payload::{FreeForm, FreeValue, Payload};
pub use position::{InvalidPosition, Position};
pub use room::{InvalidRoom, Room, RoomName};
pub use timestamp::{InvalidTimestamp, Timestamp};
pub use worker::{NotOurs, WorkerEvent};
