//! Sessions of clients.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde_json::{Map, Value};

use super::PostgresStore;
use super::columns::{bytes, get, kept, restored, signed, text, timestamp};
use super::failure::Failure;
use crate::domain::{Position, RoomName, Timestamp};
use crate::ports::{Session, SessionChange, SessionStore, StoreError};

/// What a row of changes comes to, for one session.
#[derive(Default)]
struct Net {
    /// Replaces what is kept.
    opened: Option<Session>,
    /// Removes it; nothing said before counts.
    is_forgotten: bool,
    joined: BTreeMap<RoomName, Position>,
    left: Vec<RoomName>,
    /// Where what is owed begins in the rooms that are kept.
    advanced: BTreeMap<RoomName, Position>,
    seen_at: Option<Timestamp>,
}

impl Net {
    fn apply(&mut self, change: SessionChange) {
        match change {
            SessionChange::Open(session) => {
                *self = Self {
                    opened: Some(session),
                    ..Self::default()
                }
            }
            SessionChange::Forget { .. } => {
                *self = Self {
                    is_forgotten: true,
                    ..Self::default()
                }
            }
            // What is not there (any more) does not change.
            SessionChange::Advance { .. }
            | SessionChange::Join { .. }
            | SessionChange::Leave { .. }
            | SessionChange::Seen { .. }
                if self.is_forgotten => {}
            SessionChange::Advance { rooms, at, .. } => {
                for (room, after) in rooms {
                    let opened = self.opened.as_mut().map(|session| &mut session.rooms);
                    if let Some(kept) = opened.unwrap_or(&mut self.joined).get_mut(&room) {
                        *kept = after;
                    }
                    self.advanced.insert(room, after);
                }
                self.see(at);
            }
            SessionChange::Join { room, at, .. } => match &mut self.opened {
                // Who is in the room already has heard everything since then.
                Some(session) => _ = session.rooms.entry(room).or_insert(at),
                None => _ = self.joined.entry(room).or_insert(at),
            },
            SessionChange::Leave { room, .. } => {
                if let Some(session) = &mut self.opened {
                    session.rooms.remove(&room);
                } else {
                    self.joined.remove(&room);
                    self.advanced.remove(&room);
                    self.left.push(room);
                }
            }
            SessionChange::Seen { at, .. } => self.see(at),
        }
    }

    fn see(&mut self, at: Timestamp) {
        match &mut self.opened {
            Some(session) => session.seen_at = session.seen_at.max(at),
            None => self.seen_at = self.seen_at.max(Some(at)),
        }
    }
}

#[async_trait]
impl SessionStore for PostgresStore {
    async fn save(&self, changes: Vec<SessionChange>) -> Result<(), StoreError> {
        // Ordered, so that nodes that save at the same time lock rows in one order.
        let mut nets = BTreeMap::<String, Net>::new();
        for change in changes {
            let pid = match &change {
                SessionChange::Open(session) => session.pid.clone(),
                SessionChange::Advance { pid, .. }
                | SessionChange::Join { pid, .. }
                | SessionChange::Leave { pid, .. }
                | SessionChange::Seen { pid, .. }
                | SessionChange::Forget { pid } => pid.clone(),
            };
            nets.entry(pid).or_default().apply(change);
        }
        let forgotten: Vec<String> = nets
            .iter()
            .filter(|(_, net)| net.is_forgotten)
            .map(|(pid, _)| text(pid))
            .collect();
        let opened: Vec<&Session> = nets.values().filter_map(|net| net.opened.as_ref()).collect();
        let others: Vec<(&String, &Net)> = nets
            .iter()
            .filter(|(_, net)| net.opened.is_none() && !net.is_forgotten)
            .collect();

        let opened_pids: Vec<String> = opened.iter().map(|session| text(&session.pid)).collect();
        let owners: Vec<Vec<u8>> = opened.iter().map(|session| session.owner.to_vec()).collect();
        let majors: Vec<i64> = opened.iter().map(|session| signed(session.began_at.major)).collect();
        let minors: Vec<i64> = opened.iter().map(|session| signed(session.began_at.minor)).collect();
        let seen: Vec<i64> = opened.iter().map(|session| session.seen_at.as_micros()).collect();
        let rooms: Vec<String> = opened.iter().map(|session| rooms_text(&session.rooms)).collect();
        let other_pids: Vec<String> = others.iter().map(|(pid, _)| text(pid)).collect();
        let joined: Vec<String> = others.iter().map(|(_, net)| rooms_text(&net.joined)).collect();
        let left: Vec<String> = others
            .iter()
            .map(|(_, net)| super::columns::rooms_text(&net.left))
            .collect();
        let advanced: Vec<String> = others.iter().map(|(_, net)| rooms_text(&net.advanced)).collect();
        let seen_at: Vec<Option<i64>> = others
            .iter()
            .map(|(_, net)| net.seen_at.map(Timestamp::as_micros))
            .collect();
        // Each session is in one of the three, so their order does not matter.
        self.connections
            .write(
                "WITH forgotten AS ( \
                   DELETE FROM sessions WHERE pid = ANY($1) \
                 ), opened AS ( \
                   INSERT INTO sessions (pid, owner, began_major, began_minor, seen_at, rooms) \
                   SELECT pid, owner, began_major, began_minor, seen_at, rooms::jsonb \
                   FROM unnest($2::text[], $3::bytea[], $4::bigint[], $5::bigint[], $6::bigint[], $7::text[]) \
                     AS o(pid, owner, began_major, began_minor, seen_at, rooms) \
                   ON CONFLICT (pid) DO UPDATE SET owner = excluded.owner, began_major = excluded.began_major, \
                     began_minor = excluded.began_minor, seen_at = excluded.seen_at, rooms = excluded.rooms \
                 ) \
                 UPDATE sessions s \
                 SET rooms = c.joined::jsonb || ( \
                     SELECT kept || coalesce((SELECT jsonb_object_agg(key, value) FROM jsonb_each(c.advanced::jsonb) \
                       WHERE kept ? key), '{}') \
                     FROM (SELECT s.rooms - ARRAY(SELECT jsonb_array_elements_text(c.left_rooms::jsonb)) AS kept) k \
                   ), \
                   seen_at = greatest(s.seen_at, c.seen_at) \
                 FROM unnest($8::text[], $9::text[], $10::text[], $11::text[], $12::bigint[]) \
                   AS c(pid, joined, left_rooms, advanced, seen_at) \
                 WHERE s.pid = c.pid",
                &[
                    &forgotten,
                    &opened_pids,
                    &owners,
                    &majors,
                    &minors,
                    &seen,
                    &rooms,
                    &other_pids,
                    &joined,
                    &left,
                    &advanced,
                    &seen_at,
                ],
            )
            .await?;
        Ok(())
    }

    async fn session(&self, pid: &str) -> Result<Option<Session>, StoreError> {
        let found = self
            .connections
            .read(
                "SELECT owner, began_major, began_minor, seen_at, rooms::text FROM sessions WHERE pid = $1",
                &[&text(pid)],
            )
            .await?;
        let Some(row) = found.first() else {
            return Ok(None);
        };
        let rooms: BTreeMap<String, String> = serde_json::from_str(get(row, 4)?).map_err(Failure::unreadable)?;
        let room = |(name, at): (String, String)| -> Result<_, Failure> {
            Ok((
                RoomName::from(&*restored(&name)),
                at.parse().map_err(Failure::unreadable)?,
            ))
        };
        Ok(Some(Session {
            pid: pid.to_owned(),
            owner: bytes(row, 0)?,
            began_at: super::position(get(row, 1)?, get(row, 2)?),
            rooms: rooms.into_iter().map(room).collect::<Result<_, _>>()?,
            seen_at: timestamp(row, 3)?,
        }))
    }
}

fn rooms_text(rooms: &BTreeMap<RoomName, Position>) -> String {
    let entry = |(room, at): (&RoomName, &Position)| (kept(room.as_str()).into_owned(), Value::String(at.to_string()));
    Value::Object(rooms.iter().map(entry).collect::<Map<_, _>>()).to_string()
}
