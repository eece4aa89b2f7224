//! Another wire contract on the same sockets: the seam between `socket`, which carries connections, rooms and recovery, and
//! whoever knows what the other contract's clients say and may hear. Neither knows the other.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;

use super::StoreError;
use crate::domain::{Payload, RoomName, Timestamp};

/// What a client says when it connects.
#[derive(Clone, Copy, Debug)]
pub struct Hello<'a> {
    /// Socket.IO's `auth`.
    pub auth: &'a Value,
    /// The `Cookie` header, where there is one.
    pub cookies: Option<&'a str>,
}

/// Something that lasts from one event of a client to another of the same name, by what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lasting {
    /// It begins, or goes on.
    Begins(String),
    /// It is over.
    Ends(String),
}

/// The other contract.
pub trait Contract: Send + Sync {
    /// Whether this client is one of its own. Every other one is ours.
    fn is_for(&self, hello: &Hello<'_>) -> bool;

    /// Lets the client in, or says why not: the text becomes its `connect_error`.
    ///
    /// # Errors
    /// The text.
    fn admit(&self, hello: &Hello<'_>, now: Timestamp) -> Result<Guest, &'static str>;

    /// The events that its clients send. Any other is counted and dropped.
    fn events(&self) -> &'static [&'static str];

    /// What an event begins or ends; `None`: it is about nothing that lasts. An end must be heard however much its client sends.
    fn lasting(&self, event: &str, payload: &Value) -> Option<Lasting>;

    /// Something of a client was dropped: there was too much of it, or nobody knows its name.
    fn dropped(&self);
}

/// A client that was let in.
pub struct Guest {
    /// Who may take its session up again: the same for the same person, and never that of one of our own clients.
    pub owner: [u8; 32],
    /// When its token ends.
    pub expires_at: Option<Timestamp>,
    /// The rooms that it is in from the beginning. No name can be that of a room of ours.
    pub rooms: Vec<RoomName>,
    /// What it may do and what follows from what it says.
    pub party: Arc<dyn Party>,
}

/// A client's side of the other contract.
#[async_trait]
pub trait Party: Send + Sync {
    /// Whether it may be in this room, which it was in before.
    ///
    /// # Errors
    /// If what that depends on cannot be read now.
    async fn may_be_in(&self, room: &RoomName) -> Result<bool, StoreError>;

    /// It is connected. What was published meanwhile is not sent yet, and nothing may be said to it.
    async fn connected(&self, line: Arc<dyn Line>);

    /// Its listeners are there, and it has got what it missed: it may be told how things stand.
    async fn settled(&self);

    /// It sent this. One event after the other, in the order in which they came.
    async fn hear(&self, event: &str, payload: &Value);

    /// It will not be heard any more: what it began and did not end is over. Comes once, behind everything that it sent, if it
    /// ever could send something.
    async fn heard_last(&self);

    /// It is gone: its line is to be let go of. Must not block. May come twice, and without [`connected`](Self::connected).
    fn departed(&self);
}

/// A connected client, for its [`Party`].
#[async_trait]
pub trait Line: Send + Sync {
    /// By what [`Published::except`](super::Published::except) leaves it out. Never told to other clients.
    fn id(&self) -> &str;

    /// The rooms that it is in.
    fn rooms(&self) -> BTreeSet<RoomName>;

    /// Has it join a room; joining twice is harmless. Whether it is in the room now: there may be too many.
    async fn join(&self, room: &RoomName) -> bool;

    /// Has it leave a room; leaving twice is harmless. Whether it was in the room.
    async fn leave(&self, room: &RoomName) -> bool;

    /// Tells it something, now or never.
    fn tell(&self, event: &str, payload: &Payload);
}
