//! Forgetting what is older than the retention, a little at a time: appends go in between.
//!
//! The log is swept from its beginning and never out of order, so that the horizon is one number. Whatever a wrong clock has
//! dated into the future holds the sweep up; nothing is ever forgotten because of it.

use rusqlite::Connection;

use super::SqliteStore;
use super::epochs::epoch_of;
use super::rows::{decode_rooms, rows, signed, unsigned};
use super::transaction::Transaction;
use crate::domain::Timestamp;
use crate::ports::{Retention, StoreError, Swept};

/// Rows that are removed in one transaction.
const STEP: usize = 500;
/// Free pages are given back to the file system when there are more than this many (16 MiB) …
const MIN_FREE_PAGES: u32 = 4_096;
/// … and they are more than one in this many of all.
const FREE_SHARE: u32 = 4;
/// Pages that are given back in one transaction.
const VACUUM_PAGES: u32 = 512;

/// How far a step came.
struct Step {
    removed: u64,
    is_last: bool,
}

impl SqliteStore {
    pub(super) async fn sweep_in_steps(&self, retention: Retention) -> Result<Swept, StoreError> {
        let mut swept = Swept::default();
        swept.events += self
            .repeat(move |transaction| sweep_log(transaction, retention.events_before))
            .await?;
        swept.events += self
            .repeat(move |transaction| sweep_alerts(transaction, retention.alerts_before))
            .await?;
        self.repeat(sweep_publications).await?;
        swept.outcomes = self
            .repeat(move |transaction| sweep_outcomes(transaction, retention.outcomes_before))
            .await?;
        swept.tasks = self
            .repeat(move |transaction| sweep_tasks(transaction, retention.tasks_before))
            .await?;
        swept.sessions = self.sweep_sessions(retention.sessions_before).await?;
        for table in [EHR_FACTS, EHR_LETTERS] {
            swept.ehr += self
                .repeat(move |transaction| sweep_ehr(transaction, table, retention.alerts_before))
                .await?;
        }
        while self.write(give_back).await? {}
        Ok(swept)
    }

    async fn repeat(
        &self,
        step: impl Fn(&mut Transaction<'_>) -> rusqlite::Result<Step> + Clone + Send + Sync + 'static,
    ) -> Result<u64, StoreError> {
        let mut removed = 0;
        loop {
            let step = step.clone();
            let done = self.write(move |transaction| step(transaction)).await?;
            removed += done.removed;
            if done.is_last {
                return Ok(removed);
            }
        }
    }

    /// Sessions are seen all the time, so there is no index by it; they are searched beside the writer.
    async fn sweep_sessions(&self, before: Timestamp) -> Result<u64, StoreError> {
        let before = before.as_micros();
        let stale: Vec<i64> = self
            .read(move |connection| {
                let mut stale = connection.prepare_cached("SELECT id FROM sessions WHERE seen_at < ?1")?;
                stale.query_map([before], |row| row.get(0))?.collect()
            })
            .await?;
        let mut removed = 0;
        for ids in stale.chunks(STEP) {
            let ids = ids.to_vec();
            removed += self
                .write(move |transaction| {
                    let remove = |id: &i64| {
                        transaction.execute("DELETE FROM sessions WHERE id = ?1 AND seen_at < ?2", (id, before))
                    };
                    ids.iter().map(remove).sum::<rusqlite::Result<usize>>()
                })
                .await? as u64;
        }
        Ok(removed)
    }
}

/// Takes the oldest published events out of the log. Alerts stay in the history.
fn sweep_log(transaction: &mut Transaction<'_>, before: Timestamp) -> rusqlite::Result<Step> {
    let oldest: Vec<(i64, i64, bool, Vec<u8>)> = transaction
        .connection
        .prepare_cached(
            "SELECT seq, raised_at, alert_type IS NOT NULL, rooms FROM events WHERE seq > ?1 AND seq <= ?2 \
             ORDER BY seq LIMIT ?3",
        )?
        .query_map(
            (signed(transaction.horizon), signed(transaction.published), rows(STEP)),
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
        )?
        .collect::<rusqlite::Result<_>>()?;
    let found = oldest.len();
    let mut step = Step {
        removed: 0,
        is_last: found < STEP,
    };
    for (sequence, raised_at, is_alert, rooms) in oldest {
        if raised_at >= before.as_micros() {
            step.is_last = true;
            break;
        }
        let epoch = signed(epoch_of(unsigned(sequence)));
        for room in decode_rooms(&rooms) {
            transaction.execute(
                "DELETE FROM event_rooms WHERE epoch = ?1 AND room = ?2 AND seq = ?3",
                (epoch, room.as_str(), sequence),
            )?;
        }
        if !is_alert {
            transaction.execute("DELETE FROM events WHERE seq = ?1", [sequence])?;
            step.removed += 1;
        }
        transaction.horizon = unsigned(sequence);
    }
    transaction.execute(
        "UPDATE node SET horizon = ?1 WHERE horizon < ?1",
        [signed(transaction.horizon)],
    )?;
    Ok(step)
}

/// Removes the oldest alerts that are not in the log any more: before the horizon there is nothing else.
fn sweep_alerts(transaction: &mut Transaction<'_>, before: Timestamp) -> rusqlite::Result<Step> {
    let oldest: Vec<(i64, i64)> = transaction
        .connection
        .prepare_cached("SELECT seq, raised_at FROM events WHERE seq <= ?1 ORDER BY seq LIMIT ?2")?
        .query_map((signed(transaction.horizon), rows(STEP)), |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?
        .collect::<rusqlite::Result<_>>()?;
    let mut step = Step {
        removed: 0,
        is_last: oldest.len() < STEP,
    };
    for (sequence, raised_at) in oldest {
        if raised_at >= before.as_micros() {
            step.is_last = true;
            break;
        }
        transaction.execute("DELETE FROM events WHERE seq = ?1", [sequence])?;
        transaction.execute("DELETE FROM receipts WHERE seq = ?1", [sequence])?;
        step.removed += 1;
    }
    Ok(step)
}

/// Removes the publication times and the epochs of events that are not there any more.
fn sweep_publications(transaction: &mut Transaction<'_>) -> rusqlite::Result<Step> {
    transaction.execute(
        "DELETE FROM epochs WHERE epoch < coalesce((SELECT min(seq) FROM events), ?1) >> 13",
        [signed(transaction.horizon) + 1],
    )?;
    let removed = transaction.execute(
        "DELETE FROM publications WHERE through IN (SELECT through FROM publications \
         WHERE through < coalesce((SELECT min(seq) FROM events), ?1) ORDER BY through LIMIT ?2)",
        (signed(transaction.horizon) + 1, rows(STEP)),
    )?;
    Ok(Step {
        removed: removed as u64,
        is_last: removed < STEP,
    })
}

fn sweep_outcomes(transaction: &mut Transaction<'_>, before: Timestamp) -> rusqlite::Result<Step> {
    let oldest = oldest(
        transaction.connection,
        "SELECT id, at FROM outcomes ORDER BY id LIMIT ?1",
        before,
    )?;
    for id in &oldest {
        transaction.execute("DELETE FROM outcomes WHERE id = ?1", [id])?;
    }
    Ok(Step {
        removed: oldest.len() as u64,
        is_last: oldest.len() < STEP,
    })
}

/// The ids of the first rows, up to the first that is not from before that instant.
fn oldest(connection: &Connection, sql: &str, before: Timestamp) -> rusqlite::Result<Vec<i64>> {
    let mut found = connection.prepare_cached(sql)?;
    let found = found.query_map([rows(STEP)], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))?;
    let old = found.take_while(|row| row.as_ref().map_or(true, |(_, at)| *at < before.as_micros()));
    old.map(|row| row.map(|(id, _)| id)).collect()
}

fn sweep_tasks(transaction: &mut Transaction<'_>, before: Timestamp) -> rusqlite::Result<Step> {
    let removed = transaction.execute(
        "DELETE FROM tasks WHERE task_id IN (SELECT task_id FROM tasks \
         WHERE status IN ('SUCCESS', 'FAILURE') AND updated_at < ?1 LIMIT ?2)",
        (before.as_micros(), rows(STEP)),
    )?;
    Ok(Step {
        removed: removed as u64,
        is_last: removed < STEP,
    })
}

/// What the EHR said of things. Who takes part in a thread stays known.
const EHR_FACTS: &str = "DELETE FROM facts WHERE (tenant, topic, id) IN \
    (SELECT tenant, topic, id FROM facts WHERE topic <> 'participants' AND at < ?1 LIMIT ?2)";
/// Its messages.
const EHR_LETTERS: &str = "DELETE FROM letters WHERE (tenant, recipient, message) IN \
    (SELECT tenant, recipient, message FROM letters WHERE at < ?1 LIMIT ?2)";

fn sweep_ehr(transaction: &mut Transaction<'_>, sql: &str, before: Timestamp) -> rusqlite::Result<Step> {
    let removed = transaction.execute(sql, (before.as_micros(), rows(STEP)))?;
    Ok(Step {
        removed: removed as u64,
        is_last: removed < STEP,
    })
}

/// Gives free pages back to the file system if there are many. Whether to come again.
fn give_back(transaction: &mut Transaction<'_>) -> rusqlite::Result<bool> {
    let pragma = |name: &str| {
        transaction
            .connection
            .pragma_query_value(None, name, |row| row.get::<_, u32>(0))
    };
    let (free, all) = (pragma("freelist_count")?, pragma("page_count")?);
    if free <= MIN_FREE_PAGES || free < all / FREE_SHARE {
        return Ok(false);
    }
    let mut vacuum = transaction
        .connection
        .prepare(&format!("PRAGMA incremental_vacuum({VACUUM_PAGES})"))?;
    let mut freed = vacuum.query([])?;
    while freed.next()?.is_some() {}
    Ok(true)
}
