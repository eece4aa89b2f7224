//! Alerts: the history, one alert's timeline, and what a limiter starts from.

use tokio_postgres::Row;

use super::columns::{AFTER_EVENT, event, event_columns, get, payload, rows, signed, text, timestamp, unsigned};
use super::connections::{Connections, Parameter};
use super::failure::Failure;
use crate::domain::{EventId, PatientId, Timestamp};
use crate::ports::{AlertRecord, HistoryPage, HistoryQuery};

/// The statement for what is asked: there is one for each of the ways to the rows, so that each takes its index. All other
/// conditions are the same, and those of time are written so that the index is read between them only.
macro_rules! page {
    ($way:literal) => {
        concat!(
            "SELECT e.sequence, e.payload FROM events e WHERE e.scope IS NOT NULL",
            $way,
            " AND e.raised_at >= greatest($2::bigint, CASE WHEN $6::bigint IS NOT NULL THEN \
                 (SELECT min(l.raised_at) FROM events l WHERE NOT l.suppressed AND (l.major, l.minor) > ($6, $7::bigint)) END, \
                 -9223372036854775808) \
               AND e.raised_at < coalesce($3::bigint, 9223372036854775807) \
               AND e.raised_at <= coalesce((SELECT c.raised_at FROM events c WHERE c.sequence = $5::bigint), 9223372036854775807) \
               AND ($5 IS NULL OR e.sequence < $5 OR e.raised_at < (SELECT c.raised_at FROM events c WHERE c.sequence = $5)) \
               AND ($4::text IS NULL OR e.alert_type = $4) \
               AND ($6 IS NULL OR (NOT e.suppressed AND (e.major, e.minor) > ($6, $7))) \
             ORDER BY e.raised_at DESC, e.sequence DESC LIMIT $8"
        )
    };
}

/// Alerts, newest first: by when they were raised, and by sequence number where that is the same.
pub(super) async fn page(connections: &Connections, query: &HistoryQuery) -> Result<HistoryPage, Failure> {
    if query.limit == 0 {
        return Ok(HistoryPage::default());
    }
    let sql = match (&query.patient_id, &query.hospital_id) {
        (Some(_), None) => page!(" AND e.patient_id = $1::text AND $9::text IS NULL"),
        (None, Some(_)) => page!(" AND e.hospital_id = $9::text AND $1::text IS NULL"),
        (Some(_), Some(_)) => page!(" AND e.patient_id = $1::text AND e.hospital_id = $9::text"),
        (None, None) => page!(" AND $1::text IS NULL AND $9::text IS NULL"),
    };
    let patient = query.patient_id.as_ref().map(|id| text(id.as_str()));
    let hospital = query.hospital_id.as_ref().map(|id| text(id.as_str()));
    let since = query.since.map(Timestamp::as_micros);
    let until = query.until.map(Timestamp::as_micros);
    let alert_type = query.alert_type.as_deref().map(text);
    let before = query.before.map(signed);
    let (major, minor) = query
        .after
        .map(|after| (signed(after.major), signed(after.minor)))
        .unzip();
    // One more than asked for tells whether there is another page.
    let limit = rows(query.limit).saturating_add(1);
    let parameters: [Parameter<'_>; 9] = [
        &patient,
        &since,
        &until,
        &alert_type,
        &before,
        &major,
        &minor,
        &limit,
        &hospital,
    ];

    let found = connections.read(sql, &parameters).await?;
    let shown = found.get(..query.limit).unwrap_or(&found);
    let next = match shown.last() {
        Some(last) if found.len() > shown.len() => Some(unsigned(get(last, 0)?)),
        Some(_) | None => None,
    };
    let alerts = shown.iter().map(|row| payload(row, 1)).collect::<Result<_, _>>()?;
    Ok(HistoryPage { alerts, next })
}

pub(super) async fn alert(connections: &Connections, id: EventId) -> Result<Option<AlertRecord>, Failure> {
    let found = connections
        .read(
            concat!(
                "SELECT ",
                event_columns!(),
                ", e.stored_at, e.published_at, coalesce(r.delivered, 0), coalesce(r.recovered, 0) \
                 FROM events e LEFT JOIN receipts r ON r.event_id = e.id \
                 WHERE e.id = $1 AND e.scope IS NOT NULL"
            ),
            &[&id.as_uuid()],
        )
        .await?;
    let Some(row) = found.first() else {
        return Ok(None);
    };
    let (_, event) = event(row)?;
    let Some(scope) = event.alert.as_ref().map(|alert| alert.scope) else {
        return Ok(None);
    };
    Ok(Some(AlertRecord {
        event,
        scope,
        stored_at: timestamp(row, AFTER_EVENT)?,
        published_at: get::<Option<i64>>(row, AFTER_EVENT + 1)?.map(Timestamp::from_micros),
        delivered: unsigned(get(row, AFTER_EVENT + 2)?),
        recovered: unsigned(get(row, AFTER_EVENT + 3)?),
    }))
}

pub(super) async fn recent(
    connections: &Connections,
    patient: &PatientId,
    since: Timestamp,
) -> Result<Vec<(Timestamp, String)>, Failure> {
    let found = connections
        .read(
            "SELECT raised_at, alert_type FROM events \
             WHERE scope = 0 AND patient_id = $1 AND NOT suppressed AND raised_at >= $2 ORDER BY raised_at, sequence",
            &[&text(patient.as_str()), &since.as_micros()],
        )
        .await?;
    let read = |row: &Row| Ok((timestamp(row, 0)?, super::columns::restored(get(row, 1)?).into_owned()));
    found.iter().map(read).collect()
}
