//! The history of alerts, page by page.

use rusqlite::types::Value;
use rusqlite::{Connection, Row, params_from_iter};

use super::epochs::{self, epoch_of, first_of};
use super::rows::{self, number, scope_number, unsigned};
use crate::domain::{AlertScope, PatientId, Timestamp};
use crate::ports::{HistoryPage, HistoryQuery};

/// Sequence numbers end here: SQLite's integers do.
const MAX_SEQUENCE: u64 = i64::MAX as u64;

/// The conditions of a query, as they are put together.
#[derive(Clone)]
struct Conditions {
    sql: String,
    values: Vec<Value>,
}

impl Conditions {
    /// Adds a condition; every `?` in it stands for one of `values`, in order.
    fn and(&mut self, condition: &str, values: impl IntoIterator<Item = Value>) {
        self.sql.push_str(" AND ");
        self.sql.push_str(condition);
        self.values.extend(values);
    }
}

/// A page that is being filled.
struct Filling {
    page: HistoryPage,
    limit: usize,
    last: Option<u64>,
}

impl Filling {
    /// Whether the page is full, and it is known that more follows.
    fn is_done(&self) -> bool {
        self.page.next.is_some()
    }

    fn add(&mut self, row: &Row<'_>) -> rusqlite::Result<()> {
        if self.page.alerts.len() == self.limit {
            self.page.next = self.last;
            return Ok(());
        }
        self.page.alerts.push(rows::payload(row, 1)?);
        self.last = Some(unsigned(row.get(0)?));
        Ok(())
    }
}

/// Alerts, newest first: in the reverse of the one order in which they were stored and published.
pub(super) fn page(connection: &Connection, query: &HistoryQuery, published: u64) -> rusqlite::Result<HistoryPage> {
    if query.limit == 0 {
        return Ok(HistoryPage::default());
    }
    let snapshot = connection.unchecked_transaction()?;
    let mut from = query.after.map_or(0, |after| after.major.saturating_add(1));
    let mut through = query.before.map_or(MAX_SEQUENCE, |before| before.saturating_sub(1));
    let mut conditions = Conditions {
        sql: "alert_type IS NOT NULL".to_owned(),
        values: Vec::new(),
    };
    if query.after.is_some() {
        through = through.min(published);
        conditions.and("NOT suppressed", []);
    }
    if let Some(since) = query.since {
        conditions.and("raised_at >= ?", [Value::Integer(since.as_micros())]);
    }
    if let Some(until) = query.until {
        conditions.and("raised_at < ?", [Value::Integer(until.as_micros())]);
    }
    if let Some(alert_type) = &query.alert_type {
        conditions.and("alert_type = ?", [Value::Text(alert_type.clone())]);
    }

    let mut filling = Filling {
        page: HistoryPage::default(),
        limit: query.limit,
        last: None,
    };
    let epochs = epochs::between(&snapshot, (epoch_of(from), epoch_of(through)), query.since, query.until)?;
    let (Some(newest), Some(oldest)) = (epochs.first(), epochs.last()) else {
        return Ok(filling.page);
    };
    from = from.max(first_of(unsigned(*oldest)));
    through = through.min(first_of(unsigned(*newest) + 1) - 1);
    conditions.and("seq >= ? AND seq <= ?", [number(from), number(through)]);
    if let Some(patient) = &query.patient_id {
        conditions.and("patient_id = ?", [Value::Text(patient.to_string())]);
        if let Some(hospital) = &query.hospital_id {
            // A patient's alerts are far fewer than a hospital's: the plus keeps the hospital's index out of this.
            conditions.and("+hospital_id = ?", [Value::Text(hospital.to_string())]);
        }
        for epoch in epochs {
            let mut in_epoch = conditions.clone();
            in_epoch.and("seq >> 13 = ?", [Value::Integer(epoch)]);
            fill(&snapshot, in_epoch, &mut filling)?;
            if filling.is_done() {
                break;
            }
        }
    } else {
        if let Some(hospital) = &query.hospital_id {
            conditions.and("hospital_id = ?", [Value::Text(hospital.to_string())]);
        }
        fill(&snapshot, conditions, &mut filling)?;
    }
    Ok(filling.page)
}

fn fill(connection: &Connection, mut conditions: Conditions, filling: &mut Filling) -> rusqlite::Result<()> {
    // One more than is asked for says whether there are more.
    let missing = filling.limit.saturating_add(1) - filling.page.alerts.len();
    conditions.values.push(Value::Integer(rows::rows(missing)));
    let sql = format!(
        "SELECT seq, payload FROM events WHERE {} ORDER BY seq DESC LIMIT ?",
        conditions.sql
    );
    let mut found = connection.prepare_cached(&sql)?;
    let mut found = found.query(params_from_iter(conditions.values))?;
    while let Some(row) = found.next()? {
        filling.add(row)?;
    }
    Ok(())
}

/// When a patient's alerts were raised since `since`, and their types, oldest first; only those that were sent.
pub(super) fn recent(
    connection: &Connection,
    patient: &PatientId,
    since: Timestamp,
) -> rusqlite::Result<Vec<(Timestamp, String)>> {
    let snapshot = connection.unchecked_transaction()?;
    let sql = "SELECT raised_at, alert_type FROM events WHERE seq >> 13 = ?1 AND patient_id = ?2 AND raised_at >= ?3 \
               AND scope = ?4 AND NOT suppressed";
    let mut found = snapshot.prepare_cached(sql)?;
    let mut recent = Vec::new();
    for epoch in epochs::between(&snapshot, (0, MAX_SEQUENCE), Some(since), None)? {
        let of = (
            epoch,
            patient.as_str(),
            since.as_micros(),
            scope_number(AlertScope::Patient),
        );
        for alert in found.query_map(of, |row| Ok((rows::timestamp(row, 0)?, row.get(1)?)))? {
            recent.push(alert?);
        }
    }
    recent.sort_by_key(|(raised_at, _)| *raised_at);
    Ok(recent)
}
