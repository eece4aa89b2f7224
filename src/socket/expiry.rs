//! Tokens end while sockets go on: each is told when its token expires, and closed a grace later.
//!
//! It is closed on the transport level, not by the library's `disconnect`: a client that asks its application for a token
//! whenever it connects (`auth: (cb) => …`) then comes back by itself with a fresh one and recovers, and one that has only
//! the old one is told `Token expired` by a `connect_error`, after which `socket.io-client` does not try again by itself.

use std::collections::BTreeSet;
use std::sync::Mutex;

use socketioxide::SocketIo;

use super::events::{TOKEN_EXPIRED, TokenExpired};
use super::guests::Who;
use super::hub::Hub;
use super::lock;
use super::member::Member;
use crate::domain::Timestamp;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Tell,
    Close,
}

/// What is due when, for which connection.
#[derive(Default)]
pub(super) struct Expiries {
    due: Mutex<BTreeSet<(Timestamp, u64, Step)>>,
}

impl Expiries {
    pub(super) fn add(&self, member: &Member) {
        if let Some(at) = member.expires_at {
            lock(&self.due).insert((at, member.conn.id, Step::Tell));
        }
    }

    pub(super) fn remove(&self, member: &Member) {
        if let Some(at) = member.expires_at {
            let mut due = lock(&self.due);
            due.remove(&(at, member.conn.id, Step::Tell));
            due.remove(&(at.plus(member.hub.settings.token_grace), member.conn.id, Step::Close));
        }
    }

    fn take_due(&self, now: Timestamp) -> Vec<(Timestamp, u64, Step)> {
        let mut due = lock(&self.due);
        let mut taken = Vec::new();
        while due.first().is_some_and(|(at, ..)| *at <= now) {
            taken.extend(due.pop_first());
        }
        taken
    }
}

/// Does what is due at `now`.
pub(super) fn tick(hub: &Hub, io: &SocketIo, now: Timestamp) {
    loop {
        let due = hub.expiries.take_due(now);
        if due.is_empty() {
            return;
        }
        for (at, conn, step) in due {
            let Some(member) = hub.members.on(conn) else { continue };
            match step {
                Step::Tell => {
                    let disconnect_at = at.plus(hub.settings.token_grace);
                    let told = TokenExpired {
                        message: "Token expired",
                        disconnect_at,
                        timestamp: now,
                    };
                    // The other contract knows no such event; its clients just come back with a new token.
                    let is_ours = matches!(member.who, Who::Ours(_));
                    let socket = io.of("/").and_then(|root| root.get_socket(member.sid));
                    if socket
                        .filter(|_| is_ours)
                        .is_some_and(|socket| !member.say(&socket, TOKEN_EXPIRED, &told))
                    {
                        tracing::debug!(conn.id = conn, "a socket could not be told that its token has expired");
                    }
                    lock(&hub.expiries.due).insert((disconnect_at, conn, Step::Close));
                }
                Step::Close => member.conn.cut(),
            }
        }
    }
}
