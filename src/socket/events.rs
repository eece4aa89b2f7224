//! What the server says to a single socket, in the words of the wire contract (A §2), and what it understands.

use serde::Serialize;

use crate::domain::Timestamp;

/// To the socket that has connected.
pub(super) const CONNECTION_RESPONSE: &str = "connection_response";
/// To the socket that has joined a room.
pub(super) const ROOM_JOINED: &str = "room_joined";
/// To the socket that has left a room.
pub(super) const ROOM_LEFT: &str = "room_left";
/// To the socket whose event could not be done.
pub(super) const ERROR: &str = "error";
/// To the socket whose token has expired.
pub(super) const TOKEN_EXPIRED: &str = "token_expired";
/// To the socket that missed events which cannot be sent again.
pub(super) const RECOVERY_GAP: &str = "recovery_gap";

/// `connection_response`
#[derive(Debug, Serialize)]
pub(super) struct Connected<'a> {
    pub(super) status: &'static str,
    pub(super) sid: &'a str,
    pub(super) timestamp: Timestamp,
}

/// `room_joined` and `room_left`
#[derive(Debug, Serialize)]
pub(super) struct Membership<'a> {
    pub(super) room: &'a str,
    pub(super) status: &'static str,
    pub(super) timestamp: Timestamp,
}

/// `error`
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Refusal<'a> {
    pub(super) message: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) room: Option<&'a str>,
    pub(super) code: &'static str,
}

/// Why a client's event could not be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Denial {
    /// The payload names no room that a client can join.
    InvalidRoom,
    /// This identity may not be in this room.
    Unauthorized,
    /// It is in as many rooms as it may be.
    TooManyRooms,
    /// It sends too many events.
    RateLimited,
    /// What is needed to decide cannot be read now.
    Unavailable,
}

impl Denial {
    /// The longest room name that is sent back. The longest valid one is shorter.
    pub(super) const MAX_ECHO: usize = 256;

    pub(super) fn about(self, room: Option<&str>) -> Refusal<'_> {
        let (message, code) = match self {
            Self::InvalidRoom => ("Invalid room name", "invalid_room"),
            Self::Unauthorized => ("Unauthorized", "unauthorized"),
            Self::TooManyRooms => ("Too many rooms", "too_many_rooms"),
            Self::RateLimited => ("Too many events", "rate_limited"),
            Self::Unavailable => ("Temporarily unavailable", "unavailable"),
        };
        Refusal {
            message,
            room: room.filter(|room| room.len() <= Self::MAX_ECHO),
            code,
        }
    }
}

/// `token_expired`
#[derive(Debug, Serialize)]
pub(super) struct TokenExpired {
    pub(super) message: &'static str,
    /// When the socket will be closed unless it has come back with a new token.
    pub(super) disconnect_at: Timestamp,
    pub(super) timestamp: Timestamp,
}

/// `recovery_gap`
#[derive(Debug, Serialize)]
pub(super) struct RecoveryGap {
    /// Everything after this instant may be missing; `null`: nobody knows since when.
    pub(super) since: Option<Timestamp>,
    pub(super) timestamp: Timestamp,
}
