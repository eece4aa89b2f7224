//! The history of alerts, page by page.

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params_from_iter};

use super::rows::{self, number, signed, unsigned};
use crate::ports::{HistoryPage, HistoryQuery};

/// The conditions of a query, as they are put together.
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

/// Alerts, newest first: by when they were raised, and by sequence number where that is the same.
pub(super) fn page(connection: &Connection, query: &HistoryQuery, published: u64) -> rusqlite::Result<HistoryPage> {
    if query.limit == 0 {
        return Ok(HistoryPage::default());
    }
    let snapshot = connection.unchecked_transaction()?;
    let mut conditions = Conditions {
        sql: "alert_type IS NOT NULL".to_owned(),
        values: Vec::new(),
    };
    if let Some(patient) = &query.patient_id {
        conditions.and("patient_id = ?", [Value::Text(patient.to_string())]);
    }
    if let Some(hospital) = &query.hospital_id {
        // A patient's alerts are far fewer than a hospital's: with both, the patient's index is the one to use.
        let condition = if query.patient_id.is_some() {
            "+hospital_id = ?"
        } else {
            "hospital_id = ?"
        };
        conditions.and(condition, [Value::Text(hospital.to_string())]);
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
    if let Some(after) = query.after {
        conditions.and(
            "seq > ? AND seq <= ? AND NOT suppressed",
            [number(after.major), number(published)],
        );
        // The same, in terms of the index.
        conditions.and(
            "raised_at >= (SELECT min(raised_at) FROM events WHERE seq > ?)",
            [number(after.major)],
        );
    }
    let order = if query.patient_id.is_some() || query.hospital_id.is_some() {
        if let Some(before) = query.before {
            let mut raised = snapshot.prepare_cached("SELECT raised_at FROM events WHERE seq = ?1")?;
            if let Some(raised_at) = raised.query_row([signed(before)], |row| row.get(0)).optional()? {
                conditions.and("(raised_at, seq) < (?, ?)", [Value::Integer(raised_at), number(before)]);
            } else {
                // Swept since: whatever is left of before it is older by sequence number too.
                conditions.and("seq < ?", [number(before)]);
            }
        }
        "raised_at DESC, seq DESC"
    } else {
        // Of everybody: there is no index by time alone, and sequence numbers follow it but for the clock's own jumps.
        if let Some(before) = query.before {
            conditions.and("seq < ?", [number(before)]);
        }
        "seq DESC"
    };
    let sql = format!(
        "SELECT seq, payload FROM events WHERE {} ORDER BY {order} LIMIT ?",
        conditions.sql
    );
    conditions
        .values
        .push(Value::Integer(rows::rows(query.limit.saturating_add(1))));

    let mut found = snapshot.prepare_cached(&sql)?;
    let mut found = found.query(params_from_iter(conditions.values))?;
    let mut page = HistoryPage::default();
    let mut last = None;
    while let Some(row) = found.next()? {
        if page.alerts.len() == query.limit {
            page.next = last;
            break;
        }
        page.alerts.push(rows::payload(row, 1)?);
        last = Some(unsigned(row.get(0)?));
    }
    Ok(page)
}
