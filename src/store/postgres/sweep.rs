//! Removing what is too old: once at a time over all nodes, a little at a time.
//!
//! The log is swept from its beginning and never out of order, so that the horizon is one position. An alert leaves the log with everything else of its age and stays in
//! the history until its own time comes.

use tokio::time::Instant;
use tokio_postgres::types::ToSql;

use super::columns::{get, unsigned};
use super::connections::{Lease, until};
use super::failure::Failure;
use super::schema::{LOCK_SPACE, SWEEP_LOCK};
use super::{PostgresStore, connections};
use crate::ports::{Retention, Swept};

/// Rows that are removed in one transaction. Larger ones would hold their locks for longer than a post may wait.
const CHUNK: i64 = 1_000;

/// Events of the log whose time has come, from its beginning up to the first that is younger. `$1` before, `$2` at most.
/// The horizon moves in the same transaction: nobody sees a hole that is not declared.
const LOG: &str = "WITH s AS MATERIALIZED (SELECT horizon_major, horizon_minor FROM shared), \
    next AS MATERIALIZED ( \
      SELECT e.sequence, e.major, e.minor, e.rooms, e.scope, e.raised_at < $1 AS is_old FROM events e, s \
      WHERE NOT e.suppressed AND (e.major, e.minor) > (s.horizon_major, s.horizon_minor) \
      ORDER BY e.major, e.minor LIMIT $2 \
    ), young AS ( \
      SELECT major, minor FROM next WHERE NOT is_old ORDER BY major, minor LIMIT 1 \
    ), old AS MATERIALIZED ( \
      SELECT * FROM next WHERE NOT EXISTS (SELECT 1 FROM young WHERE (next.major, next.minor) >= (young.major, young.minor)) \
    ), unlogged AS ( \
      DELETE FROM event_rooms r USING ( \
        SELECT substr(sha256(convert_to(room, 'UTF8')), 1, 16) AS room, old.major, old.minor \
        FROM old, jsonb_array_elements_text(old.rooms) AS room \
      ) o WHERE r.room = o.room AND r.major = o.major AND r.minor = o.minor \
    ), gone AS ( \
      DELETE FROM events USING old WHERE events.sequence = old.sequence AND old.scope IS NULL RETURNING 1 \
    ), moved AS ( \
      UPDATE shared SET horizon_major = last.major, horizon_minor = last.minor \
      FROM (SELECT major, minor FROM old ORDER BY major DESC, minor DESC LIMIT 1) last \
    ) SELECT (SELECT count(*) FROM old), (SELECT count(*) FROM gone)";

/// Alerts that are out of the log and whose own time has come, from the oldest up to the first that is younger.
const ALERTS: &str = "WITH next AS MATERIALIZED ( \
      SELECT e.sequence, e.id, e.raised_at < $1 AND (e.major, e.minor) <= (s.horizon_major, s.horizon_minor) AS is_old \
      FROM events e, shared s WHERE e.scope IS NOT NULL ORDER BY e.sequence LIMIT $2 \
    ), old AS MATERIALIZED ( \
      SELECT * FROM next WHERE sequence < coalesce((SELECT min(sequence) FROM next WHERE NOT is_old), 9223372036854775807) \
    ), gone AS ( \
      DELETE FROM events USING old WHERE events.sequence = old.sequence RETURNING old.id \
    ), unread AS ( \
      DELETE FROM receipts USING gone WHERE receipts.event_id = gone.id \
    ) SELECT count(*), count(*) FROM gone";

const OUTCOMES: &str = "WITH gone AS (DELETE FROM outcomes WHERE id IN \
    (SELECT id FROM outcomes WHERE at < $1 ORDER BY at LIMIT $2) RETURNING 1) SELECT count(*), count(*) FROM gone";
const TASKS: &str = "WITH gone AS (DELETE FROM tasks WHERE task_id IN \
    (SELECT task_id FROM tasks WHERE status IN ('SUCCESS', 'FAILURE') AND updated_at < $1 ORDER BY updated_at LIMIT $2) \
    RETURNING 1) SELECT count(*), count(*) FROM gone";
const SESSIONS: &str = "WITH gone AS (DELETE FROM sessions WHERE pid IN \
    (SELECT pid FROM sessions WHERE seen_at < $1 ORDER BY seen_at LIMIT $2) RETURNING 1) SELECT count(*), count(*) FROM gone";

const FACTS: &str = "WITH gone AS (DELETE FROM facts WHERE (tenant, topic, id) IN \
    (SELECT tenant, topic, id FROM facts WHERE topic <> 'participants' AND at < $1 ORDER BY at LIMIT $2) \
    RETURNING 1) SELECT count(*), count(*) FROM gone";
const LETTERS: &str = "WITH gone AS (DELETE FROM letters WHERE (tenant, recipient, message) IN \
    (SELECT tenant, recipient, message FROM letters WHERE at < $1 ORDER BY at LIMIT $2) \
    RETURNING 1) SELECT count(*), count(*) FROM gone";

pub(super) async fn sweep(store: &PostgresStore, retention: Retention) -> Result<Swept, Failure> {
    let mut swept = Swept::default();
    let kinds = [
        (LOG, retention.events_before),
        (ALERTS, retention.alerts_before),
        (OUTCOMES, retention.outcomes_before),
        (TASKS, retention.tasks_before),
        (SESSIONS, retention.sessions_before),
        (FACTS, retention.alerts_before),
        (LETTERS, retention.alerts_before),
    ];
    for (sql, before) in kinds {
        loop {
            let Some((looked_at, removed)) = chunk(store, sql, before.as_micros()).await? else {
                // Another node is at it.
                return Ok(swept);
            };
            let count = match sql {
                OUTCOMES => &mut swept.outcomes,
                TASKS => &mut swept.tasks,
                SESSIONS => &mut swept.sessions,
                FACTS | LETTERS => &mut swept.ehr,
                _ => &mut swept.events,
            };
            *count += unsigned(removed);
            if looked_at < CHUNK {
                break;
            }
        }
    }
    Ok(swept)
}

/// How many rows were looked at and how many removed; `None` if another node holds the lock.
async fn chunk(store: &PostgresStore, sql: &'static str, before: i64) -> Result<Option<(i64, i64)>, Failure> {
    let deadline = Instant::now() + store.settings.read_timeout;
    let outcome = locked_chunk(store, sql, before, deadline).await;
    outcome.inspect_err(|failure| store.connections.heed(failure))
}

async fn locked_chunk(
    store: &PostgresStore,
    sql: &'static str,
    before: i64,
    deadline: Instant,
) -> Result<Option<(i64, i64)>, Failure> {
    let lease: Lease = store.connections.lease(deadline).await?;
    let connection = lease.connection()?;
    let outcome = until(deadline, async {
        connection.batch_execute("BEGIN").await?;
        let lock = connection
            .prepare_cached("SELECT pg_try_advisory_xact_lock($1, $2)")
            .await?;
        let row = connection.query_one(&lock, &[&LOCK_SPACE, &SWEEP_LOCK]).await?;
        if !get::<bool>(&row, 0)? {
            connection.batch_execute("ROLLBACK").await?;
            return Ok(None);
        }
        let parameters: [connections::Parameter<'_>; 2] = [&before as &(dyn ToSql + Sync), &CHUNK];
        let statement = connection.prepare_cached(sql).await?;
        let row = connection.query_one(&statement, &parameters).await?;
        connection.batch_execute("COMMIT").await?;
        Ok(Some((get(&row, 0)?, get(&row, 1)?)))
    })
    .await?;
    lease.give_back();
    Ok(outcome)
}
