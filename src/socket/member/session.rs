//! A member's session: what of it the store and its copies are told, in the order in which it changes.

use std::time::Instant;

use super::{Member, State};
use crate::domain::{Position, Timestamp};
use crate::ports::{Session, SessionChange};
use crate::socket::lock;
use crate::socket::recovery::Committed;

#[derive(Clone)]
pub(super) struct OpenSession {
    pub(super) pid: String,
    pub(super) began_at: Position,
    /// When this socket took it up: later than whoever held it before.
    pub(super) held_since: Timestamp,
}

impl Member {
    /// Gives it a session that begins now.
    pub(in crate::socket) fn open_session(&self, pid: String, began_at: Position, held_since: Timestamp) {
        lock(&self.state).session = Some(OpenSession {
            pid,
            began_at,
            held_since,
        });
    }

    /// Gives it back a session and its rooms, which are live once it has caught up.
    pub(in crate::socket) fn take_up_session(&self, session: &Session, held_since: Timestamp) {
        self.open_session(session.pid.clone(), session.began_at, held_since);
        self.catch_up_in(&session.rooms);
    }

    /// Its session as it should be kept, and since when it holds it.
    pub(in crate::socket) fn session(&self, now: Timestamp) -> Option<(Session, Timestamp)> {
        let state = lock(&self.state);
        if state.is_over {
            return None;
        }
        let open = state.session.as_ref()?;
        Some((self.session_of(open, &state, now), open.held_since))
    }

    pub(super) fn session_of(&self, open: &OpenSession, state: &State, now: Timestamp) -> Session {
        Session {
            pid: open.pid.clone(),
            owner: self.owner,
            began_at: open.began_at,
            rooms: state.positions(),
            seen_at: now,
        }
    }

    /// Writes its session anew, in the order of its other changes.
    pub(in crate::socket) fn rewrite_session(&self, now: Timestamp) -> Committed {
        let state = lock(&self.state);
        let open = state.session.as_ref().filter(|_| !state.is_over);
        let session = open.map(|open| self.session_of(open, &state, now));
        // Handed over under the lock, as every change is: a room that it joins now must not be written before this.
        self.hub.sessions.save(session.map(SessionChange::Open))
    }

    /// Has its session know what it has got. `confirmed` is where the log ended at an instant so long ago that the client must
    /// have answered a ping since: if it was live then, it has got everything up to there.
    pub(in crate::socket) fn advance_session(
        &self,
        (instant, confirmed): (Instant, Position),
        now: Timestamp,
    ) -> Committed {
        let mut state = lock(&self.state);
        let was_live = !state.is_catching_up && state.caught_up.is_none_or(|caught_up| caught_up < instant);
        if was_live {
            // A room that it joined later keeps the later position.
            for joined in state.rooms.values_mut() {
                joined.at = joined.at.max(confirmed);
            }
        }
        let session = state.session.as_ref().filter(|_| !state.is_over);
        let advance = session.map(|OpenSession { pid, .. }| SessionChange::Advance {
            pid: pid.clone(),
            rooms: state.positions(),
            at: now,
        });
        self.hub.sessions.save(advance)
    }
}
