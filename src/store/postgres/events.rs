//! Events: committing them, finding them again, forgetting them.

use async_trait::async_trait;
use tokio_postgres::Row;
use uuid::Uuid;

use super::columns::{AFTER_EVENT, event, event_columns, get, room_key, rows, signed};
use super::failure::Failure;
use super::{PostgresStore, commit, decide, history, position, sweep};
use crate::domain::{Event, EventId, PatientId, Position, RoomName, Timestamp};
use crate::ports::{
    AlertRecord, Append, Appended, EventStore, HistoryPage, HistoryQuery, Positioned, Receipt, Retention, StoreError,
    Swept,
};

#[async_trait]
impl EventStore for PostgresStore {
    async fn commit(&self, batch: Vec<Append>) -> Result<Vec<Appended>, StoreError> {
        commit::commit(self, &batch).await
    }

    async fn outcome_of(&self, scope: &str, key: &str) -> Result<Option<([u8; 32], String)>, StoreError> {
        let id = decide::key_digest(scope, key).to_vec();
        let found = self
            .connections
            .read("SELECT fingerprint, outcome FROM outcomes WHERE id = $1", &[&id])
            .await?;
        let outcome = |row: &Row| -> Result<_, Failure> {
            Ok((
                super::columns::bytes(row, 0)?,
                super::columns::restored(get(row, 1)?).into_owned(),
            ))
        };
        Ok(found.first().map(outcome).transpose()?)
    }

    fn is_shared(&self) -> bool {
        true
    }

    async fn unpublished(&self, _limit: usize) -> Result<Vec<(u64, Event)>, StoreError> {
        // They are published with their commit.
        Ok(Vec::new())
    }

    async fn mark_published(&self, _published: Vec<(u64, Position)>, _at: Timestamp) -> Result<(), StoreError> {
        Ok(())
    }

    async fn published_in(
        &self,
        rooms: &[RoomName],
        after: Position,
        through: Position,
        limit: usize,
    ) -> Result<Vec<Positioned>, StoreError> {
        let keys: Vec<Vec<u8>> = rooms.iter().map(room_key).collect();
        let found = self
            .connections
            .read(
                concat!(
                    "SELECT ",
                    event_columns!(),
                    ", e.major, e.minor FROM ( \
                       SELECT DISTINCT l.major, l.minor, l.sequence \
                       FROM unnest($1::bytea[]) AS r(room) CROSS JOIN LATERAL ( \
                         SELECT major, minor, sequence FROM event_rooms \
                         WHERE event_rooms.room = r.room AND (major, minor) > ($2, $3) AND (major, minor) <= ($4, $5) \
                         ORDER BY major, minor LIMIT $6 \
                       ) l ORDER BY l.major, l.minor LIMIT $6 \
                     ) l JOIN events e USING (sequence) ORDER BY l.major, l.minor"
                ),
                &[
                    &keys,
                    &signed(after.major),
                    &signed(after.minor),
                    &signed(through.major),
                    &signed(through.minor),
                    &rows(limit),
                ],
            )
            .await?;
        Ok(found.iter().map(positioned).collect::<Result<_, _>>()?)
    }

    async fn published_after(&self, after: Position, limit: usize) -> Result<Vec<Positioned>, StoreError> {
        // Alerts from before the horizon are in the history and no longer in the log.
        let found = self
            .connections
            .read(
                concat!(
                    "SELECT ",
                    event_columns!(),
                    ", e.major, e.minor FROM events e, shared s WHERE NOT e.suppressed AND (e.major, e.minor) > ($1, $2) \
                     AND (e.major, e.minor) > (s.horizon_major, s.horizon_minor) ORDER BY e.major, e.minor LIMIT $3"
                ),
                &[&signed(after.major), &signed(after.minor), &rows(limit)],
            )
            .await?;
        Ok(found.iter().map(positioned).collect::<Result<_, _>>()?)
    }

    async fn last_position(&self) -> Result<Position, StoreError> {
        self.one_position(
            "SELECT major, minor FROM ( \
               (SELECT major, minor FROM events WHERE NOT suppressed ORDER BY major DESC, minor DESC LIMIT 1) \
               UNION ALL SELECT horizon_major, horizon_minor FROM shared \
             ) p ORDER BY major DESC, minor DESC LIMIT 1",
        )
        .await
    }

    async fn horizon(&self) -> Result<Position, StoreError> {
        self.one_position("SELECT horizon_major, horizon_minor FROM shared")
            .await
    }

    async fn position_of(&self, event: EventId) -> Result<Option<Position>, StoreError> {
        let sql = "SELECT major, minor FROM events WHERE id = $1 AND NOT suppressed";
        let found = self.connections.read(sql, &[&event.as_uuid()]).await?;
        let read = |row: &Row| -> Result<_, Failure> { Ok(position(get(row, 0)?, get(row, 1)?)) };
        Ok(found.first().map(read).transpose()?)
    }

    async fn history(&self, query: &HistoryQuery) -> Result<HistoryPage, StoreError> {
        Ok(history::page(&self.connections, query).await?)
    }

    async fn alert(&self, id: EventId) -> Result<Option<AlertRecord>, StoreError> {
        Ok(history::alert(&self.connections, id).await?)
    }

    async fn recent_alerts(
        &self,
        patient: &PatientId,
        since: Timestamp,
    ) -> Result<Vec<(Timestamp, String)>, StoreError> {
        Ok(history::recent(&self.connections, patient, since).await?)
    }

    async fn add_receipts(&self, receipts: Vec<Receipt>) -> Result<(), StoreError> {
        let mut counts = std::collections::BTreeMap::<Uuid, (i64, i64)>::new();
        for receipt in receipts {
            let (delivered, recovered) = counts.entry(receipt.event_id.as_uuid()).or_default();
            *delivered = delivered.saturating_add(signed(receipt.delivered));
            *recovered = recovered.saturating_add(signed(receipt.recovered));
        }
        let ids: Vec<Uuid> = counts.keys().copied().collect();
        let (delivered, recovered): (Vec<i64>, Vec<i64>) = counts.values().copied().unzip();
        // In the order of ids: all nodes add to the same rows at the same time.
        self.connections
            .write_once(
                "WITH relaxed AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true) AS now) \
                 INSERT INTO receipts (event_id, delivered, recovered) \
                 SELECT r.id, r.delivered, r.recovered \
                 FROM relaxed, unnest($1::uuid[], $2::bigint[], $3::bigint[]) AS r(id, delivered, recovered) \
                 JOIN events e ON e.id = r.id AND e.scope IS NOT NULL \
                 WHERE relaxed.now = 'off' ORDER BY r.id \
                 ON CONFLICT (event_id) DO UPDATE SET delivered = receipts.delivered + excluded.delivered, \
                   recovered = receipts.recovered + excluded.recovered",
                &[&ids, &delivered, &recovered],
            )
            .await?;
        Ok(())
    }

    async fn sweep(&self, retention: Retention) -> Result<Swept, StoreError> {
        Ok(sweep::sweep(self, retention).await?)
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.connections
            .write("UPDATE shared SET checked = checked + 1", &[])
            .await?;
        Ok(())
    }

    async fn close(&self) {
        self.connections.close();
    }
}

impl PostgresStore {
    async fn one_position(&self, sql: &'static str) -> Result<Position, StoreError> {
        let found = self.connections.read(sql, &[]).await?;
        let read = |row: &Row| -> Result<_, Failure> { Ok(position(get(row, 0)?, get(row, 1)?)) };
        Ok(found.first().map(read).transpose()?.unwrap_or(Position::START))
    }
}

/// An event with its position.
fn positioned(row: &Row) -> Result<Positioned, Failure> {
    let (_, event) = event(row)?;
    let position = position(get(row, AFTER_EVENT)?, get(row, AFTER_EVENT + 1)?);
    Ok(Positioned {
        position,
        event: event.into(),
    })
}
