//! Sessions: the server's half of connection state recovery, as it survives a restart.

use std::collections::BTreeMap;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension};

use super::SqliteStore;
use super::rows::{self, signed, unsigned};
use super::transaction::Transaction;
use crate::domain::{Position, RoomName, Timestamp};
use crate::ports::{Session, SessionChange, SessionStore, StoreError};

#[async_trait]
impl SessionStore for SqliteStore {
    async fn save(&self, changes: Vec<SessionChange>) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        self.write(move |transaction| changes.iter().try_for_each(|change| apply(transaction, change)))
            .await
    }

    async fn session(&self, pid: &str) -> Result<Option<Session>, StoreError> {
        let pid = pid.to_owned();
        self.read(move |connection| session(connection, pid)).await
    }
}

fn apply(transaction: &Transaction<'_>, change: &SessionChange) -> rusqlite::Result<()> {
    match change {
        SessionChange::Open(session) => return open(transaction, session),
        SessionChange::Advance { pid, rooms, at } => {
            for (room, after) in rooms {
                transaction.execute(
                    "UPDATE session_rooms SET major = ?3, minor = ?4 \
                     WHERE session = (SELECT id FROM sessions WHERE pid = ?1) AND room = ?2",
                    (pid, room.as_str(), signed(after.major), signed(after.minor)),
                )?;
            }
            return see(transaction, pid, *at);
        }
        SessionChange::Join { pid, room, at } => transaction.execute(
            "INSERT OR IGNORE INTO session_rooms (session, room, major, minor) \
             SELECT id, ?2, ?3, ?4 FROM sessions WHERE pid = ?1",
            (pid, room.as_str(), signed(at.major), signed(at.minor)),
        )?,
        SessionChange::Leave { pid, room } => transaction.execute(
            "DELETE FROM session_rooms WHERE session = (SELECT id FROM sessions WHERE pid = ?1) AND room = ?2",
            (pid, room.as_str()),
        )?,
        SessionChange::Seen { pid, at } => return see(transaction, pid, *at),
        SessionChange::Forget { pid } => transaction.execute("DELETE FROM sessions WHERE pid = ?1", [pid])?,
    };
    Ok(())
}

fn see(transaction: &Transaction<'_>, pid: &str, at: Timestamp) -> rusqlite::Result<()> {
    let sql = "UPDATE sessions SET seen_at = ?2 WHERE pid = ?1 AND seen_at < ?2";
    transaction.execute(sql, (pid, at.as_micros()))?;
    Ok(())
}

fn open(transaction: &Transaction<'_>, session: &Session) -> rusqlite::Result<()> {
    let id: i64 = transaction
        .connection
        .prepare_cached(
            "INSERT INTO sessions (pid, owner, began_major, began_minor, seen_at) VALUES (?1, ?2, ?3, ?4, ?5) \
             ON CONFLICT DO UPDATE SET owner = excluded.owner, began_major = excluded.began_major, \
             began_minor = excluded.began_minor, seen_at = excluded.seen_at RETURNING id",
        )?
        .query_row(
            (
                &session.pid,
                &session.owner[..],
                signed(session.began_at.major),
                signed(session.began_at.minor),
                session.seen_at.as_micros(),
            ),
            |row| row.get(0),
        )?;
    transaction.execute("DELETE FROM session_rooms WHERE session = ?1", [id])?;
    for (room, at) in &session.rooms {
        transaction.execute(
            "INSERT INTO session_rooms (session, room, major, minor) VALUES (?1, ?2, ?3, ?4)",
            (id, room.as_str(), signed(at.major), signed(at.minor)),
        )?;
    }
    Ok(())
}

fn session(connection: &Connection, pid: String) -> rusqlite::Result<Option<Session>> {
    let snapshot = connection.unchecked_transaction()?;
    let sql = "SELECT id, owner, began_major, began_minor, seen_at FROM sessions WHERE pid = ?1";
    let found = snapshot.prepare_cached(sql)?.query_row([&pid], |row| {
        let began_at = Position {
            major: unsigned(row.get(2)?),
            minor: unsigned(row.get(3)?),
        };
        Ok((
            row.get::<_, i64>(0)?,
            rows::bytes(row, 1)?,
            began_at,
            rows::timestamp(row, 4)?,
        ))
    });
    let Some((id, owner, began_at, seen_at)) = found.optional()? else {
        return Ok(None);
    };
    let mut joined = snapshot.prepare_cached("SELECT room, major, minor FROM session_rooms WHERE session = ?1")?;
    let joined = joined.query_map([id], |row| {
        let at = Position {
            major: unsigned(row.get(1)?),
            minor: unsigned(row.get(2)?),
        };
        Ok((RoomName::from(row.get_ref(0)?.as_str()?), at))
    })?;
    let rooms = joined.collect::<rusqlite::Result<BTreeMap<_, _>>>()?;
    Ok(Some(Session {
        pid,
        owner,
        began_at,
        rooms,
        seen_at,
    }))
}
