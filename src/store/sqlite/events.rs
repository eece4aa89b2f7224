//! Events: committing them, publishing them, finding them again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension};

use super::epochs::epoch_of;
use super::failure::Failure;
use super::rows::{self, EVENT_COLUMNS, signed, unsigned};
use super::{SqliteStore, append, history};
use crate::domain::{Event, EventId, PatientId, Position, RoomName, Timestamp};
use crate::ports::{
    AlertRecord, Append, Appended, EventStore, HistoryPage, HistoryQuery, Positioned, Receipt, Retention, StoreError,
    Swept,
};

/// Writes about as much as an alert does: a disk that has room for less than that is full.
const CHECK: &str = "UPDATE checks SET written = randomblob(32768)";

#[async_trait]
impl EventStore for SqliteStore {
    async fn commit(&self, batch: Vec<Append>) -> Result<Vec<Appended>, StoreError> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        self.write(move |transaction| batch.iter().map(|one| append::append(transaction, one)).collect())
            .await
    }

    async fn outcome_of(&self, scope: &str, key: &str) -> Result<Option<([u8; 32], String)>, StoreError> {
        let (scope, key) = (scope.to_owned(), key.to_owned());
        self.read(move |connection| {
            let sql = "SELECT fingerprint, outcome FROM outcomes WHERE scope = ?1 AND key = ?2";
            let mut found = connection.prepare_cached(sql)?;
            found
                .query_row([scope, key], |row| Ok((rows::bytes(row, 0)?, row.get(1)?)))
                .optional()
        })
        .await
    }

    async fn unpublished(&self, limit: usize) -> Result<Vec<(u64, Event)>, StoreError> {
        let published = self.published();
        self.read(move |connection| {
            let sql =
                format!("SELECT {EVENT_COLUMNS} FROM events WHERE seq > ?1 AND NOT suppressed ORDER BY seq LIMIT ?2");
            let mut found = connection.prepare_cached(&sql)?;
            found
                .query_map((signed(published), rows::rows(limit)), rows::event)?
                .collect()
        })
        .await
    }

    async fn mark_published(&self, published: Vec<(u64, Position)>, at: Timestamp) -> Result<(), StoreError> {
        let is_ours = published
            .iter()
            .all(|(sequence, position)| *position == Position::from_sequence(*sequence));
        if !is_ours {
            return Err(Failure::OtherBus.into());
        }
        let last = published.iter().map(|(sequence, _)| *sequence).max();
        if last.is_some_and(|through| self.marks.publish(through, at)) {
            self.remind();
        }
        Ok(())
    }

    async fn published_in(
        &self,
        rooms: &[RoomName],
        after: Position,
        through: Position,
        limit: usize,
    ) -> Result<Vec<Positioned>, StoreError> {
        let rooms = rooms.to_vec();
        let through = through.major.min(self.published());
        if rooms.is_empty() || limit == 0 || through <= after.major {
            return Ok(Vec::new());
        }
        self.read(move |connection| {
            let snapshot = connection.unchecked_transaction()?;
            let sequences = sequences_in(&snapshot, &rooms, after.major, through, limit)?;
            let sql = format!("SELECT {EVENT_COLUMNS} FROM events WHERE seq = ?1");
            let mut found = snapshot.prepare_cached(&sql)?;
            let mut events = Vec::with_capacity(sequences.len());
            for sequence in sequences {
                events.push(found.query_row([sequence], rows::event).map(positioned)?);
            }
            Ok(events)
        })
        .await
    }

    async fn published_after(&self, after: Position, limit: usize) -> Result<Vec<Positioned>, StoreError> {
        let published = self.published();
        self.read(move |connection| {
            // Alerts from before the horizon are in the history and no longer in the log.
            let sql = format!(
                "SELECT {EVENT_COLUMNS} FROM events WHERE seq > max(?1, (SELECT horizon FROM node)) AND seq <= ?2 \
                 AND NOT suppressed ORDER BY seq LIMIT ?3"
            );
            let mut found = connection.prepare_cached(&sql)?;
            let bounds = (signed(after.major), signed(published), rows::rows(limit));
            found
                .query_map(bounds, |row| rows::event(row).map(positioned))?
                .collect()
        })
        .await
    }

    async fn last_position(&self) -> Result<Position, StoreError> {
        Ok(Position::from_sequence(self.published()))
    }

    async fn horizon(&self) -> Result<Position, StoreError> {
        Ok(Position::from_sequence(self.marks.horizon.load(Ordering::Acquire)))
    }

    async fn position_of(&self, event: EventId) -> Result<Option<Position>, StoreError> {
        let published = self.published();
        self.read(move |connection| {
            let sql = "SELECT seq FROM events WHERE id = ?1 AND seq <= ?2 AND NOT suppressed";
            let mut found = connection.prepare_cached(sql)?;
            let sequence = found.query_row((&event.as_uuid().as_bytes()[..], signed(published)), |row| row.get(0));
            sequence
                .map(|sequence| Position::from_sequence(unsigned(sequence)))
                .optional()
        })
        .await
    }

    async fn history(&self, query: &HistoryQuery) -> Result<HistoryPage, StoreError> {
        let (query, published) = (query.clone(), self.published());
        self.read(move |connection| history::page(connection, &query, published))
            .await
    }

    async fn alert(&self, id: EventId) -> Result<Option<AlertRecord>, StoreError> {
        if self.marks.has_lazy() {
            // What was said of it may not be written yet. Should that fail, the rest can be told all the same.
            drop(self.settle().await);
        }
        let published = self.published();
        self.read(move |connection| alert(connection, id, published)).await
    }

    async fn recent_alerts(
        &self,
        patient: &PatientId,
        since: Timestamp,
    ) -> Result<Vec<(Timestamp, String)>, StoreError> {
        let patient = patient.clone();
        self.read(move |connection| history::recent(connection, &patient, since))
            .await
    }

    async fn add_receipts(&self, receipts: Vec<Receipt>) -> Result<(), StoreError> {
        if self.marks.receive(receipts) {
            self.remind();
        }
        Ok(())
    }

    async fn sweep(&self, retention: Retention) -> Result<Swept, StoreError> {
        self.sweep_in_steps(retention).await
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.write(|transaction| transaction.execute(CHECK, []).map(|_| ()))
            .await
    }

    async fn close(&self) {
        if let Err(error) = self.finish().await {
            // What was committed is in the write-ahead log and stays there.
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "could not close the database in order"
            );
        }
    }
}

impl SqliteStore {
    fn published(&self) -> u64 {
        self.marks.published.load(Ordering::Acquire)
    }
}

fn positioned((sequence, event): (u64, Event)) -> Positioned {
    Positioned {
        position: Position::from_sequence(sequence),
        event: Arc::new(event),
    }
}

/// The first `limit` sequence numbers of the rooms' events, ascending, each once.
fn sequences_in(
    connection: &Connection,
    rooms: &[RoomName],
    after: u64,
    through: u64,
    limit: usize,
) -> rusqlite::Result<BTreeSet<i64>> {
    let swept: i64 = connection
        .prepare_cached("SELECT horizon FROM node")?
        .query_row([], |row| row.get(0))?;
    let after = after.max(unsigned(swept));
    let sql =
        "SELECT seq FROM event_rooms WHERE epoch = ?1 AND room = ?2 AND seq > ?3 AND seq <= ?4 ORDER BY seq LIMIT ?5";
    let mut in_room = connection.prepare_cached(sql)?;
    let mut first = BTreeSet::new();
    let mut through = signed(through);
    for epoch in epoch_of(after)..=epoch_of(unsigned(through)) {
        for room in rooms {
            let within = (signed(epoch), room.as_str(), signed(after), through, rows::rows(limit));
            for sequence in in_room.query_map(within, |row| row.get(0))? {
                first.insert(sequence?);
            }
            while first.len() > limit {
                first.pop_last();
            }
            if first.len() == limit {
                // Nothing later than what we have can be among the first any more.
                through = first.last().copied().unwrap_or(through);
            }
        }
        if first.len() == limit {
            break;
        }
    }
    Ok(first)
}

fn alert(connection: &Connection, id: EventId, published: u64) -> rusqlite::Result<Option<AlertRecord>> {
    let snapshot = connection.unchecked_transaction()?;
    let sql = format!("SELECT {EVENT_COLUMNS} FROM events WHERE id = ?1 AND alert_type IS NOT NULL");
    let mut found = snapshot.prepare_cached(&sql)?;
    let found = found.query_row([&id.as_uuid().as_bytes()[..]], |row| {
        Ok((rows::event(row)?, rows::timestamp(row, 11)?))
    });
    let Some(((sequence, event), stored_at)) = found.optional()? else {
        return Ok(None);
    };
    let Some(facts) = &event.alert else {
        return Ok(None);
    };
    let published_at = if facts.is_suppressed || sequence > published {
        None
    } else {
        let sql = "SELECT at FROM publications WHERE through >= ?1 ORDER BY through LIMIT 1";
        snapshot
            .prepare_cached(sql)?
            .query_row([signed(sequence)], |row| rows::timestamp(row, 0))
            .optional()?
    };
    let receipts = snapshot
        .prepare_cached("SELECT delivered, recovered FROM receipts WHERE seq = ?1")?
        .query_row([signed(sequence)], |row| {
            Ok((unsigned(row.get(0)?), unsigned(row.get(1)?)))
        })
        .optional()?;
    let (delivered, recovered) = receipts.unwrap_or_default();
    let scope = facts.scope;
    Ok(Some(AlertRecord {
        event,
        scope,
        stored_at,
        published_at,
        delivered,
        recovered,
    }))
}
