//! What an [`Append`] does to the tables: its idempotency key, its state changes, its events.

use rusqlite::OptionalExtension;
use rusqlite::types::Value;

use super::epochs::epoch_of;
use super::failure::is_duplicate;
use super::rows::{Word, encode_rooms, free_form_text, scope_number, signed};
use super::transaction::Transaction;
use crate::domain::bed::{Bed, CapacityScope, Floor};
use crate::domain::staff::StaffMember;
use crate::domain::task::Task;
use crate::domain::triage::TriageCase;
use crate::domain::{Event, EventId, Fact, HospitalId, PatientId, Timestamp, WardName};
use crate::ports::{Append, Appended, MessageFor, Once, StateChange};

/// Applies the append whole or not at all.
pub(super) fn append(transaction: &mut Transaction<'_>, append: &Append) -> rusqlite::Result<Appended> {
    // What decides is looked at before anything is written, so most appends need no way back; and fences cost.
    let may_conflict_later = append
        .changes
        .iter()
        .any(|change| matches!(change, StateChange::Triage { .. } | StateChange::Bed { .. }));
    if !may_conflict_later && !transaction.is_fenced {
        return apply(transaction, append);
    }
    let outcome = transaction.fence(
        |inner| apply(inner, append),
        |outcome| matches!(outcome, Appended::Committed(_)),
    );
    match outcome {
        // Somebody stored an event with this id before: decided again, it gets a new one.
        Err(error) if is_duplicate(&error) => Ok(Appended::Conflict),
        outcome => outcome,
    }
}

fn apply(transaction: &mut Transaction<'_>, append: &Append) -> rusqlite::Result<Appended> {
    if let Some(once) = &append.once
        && let Some(earlier) = keep_once(transaction, once)?
    {
        return Ok(earlier);
    }
    for change in &append.changes {
        let is_kept = match change {
            StateChange::PatientHospital(patient, hospital) => {
                transaction.execute(
                    "INSERT INTO patients (patient_id, hospital_id) VALUES (?1, ?2) \
                     ON CONFLICT DO UPDATE SET hospital_id = excluded.hospital_id \
                     WHERE hospital_id <> excluded.hospital_id",
                    [patient.as_str(), hospital.as_str()],
                )?;
                true
            }
            StateChange::Triage { case, expected } => keep_case(transaction, case, *expected)?,
            StateChange::Staff(member) => {
                keep_member(transaction, member)?;
                true
            }
            StateChange::Bed { bed, expected, raised } => keep_bed(transaction, bed, *expected, raised)?,
            StateChange::Task(task) => {
                keep_task(transaction, task)?;
                true
            }
            StateChange::Fact(fact) => {
                keep_fact(transaction, fact)?;
                true
            }
            StateChange::Unread(letter) => {
                keep_letter(transaction, letter, false)?;
                true
            }
            StateChange::Read(letter) => {
                keep_letter(transaction, letter, true)?;
                true
            }
        };
        if !is_kept {
            return Ok(Appended::Conflict);
        }
    }
    let events = append.events.iter().map(|event| keep_event(transaction, event));
    events.collect::<rusqlite::Result<_>>().map(Appended::Committed)
}

fn keep_fact(transaction: &Transaction<'_>, fact: &Fact) -> rusqlite::Result<()> {
    transaction.execute(
        "INSERT INTO facts (tenant, topic, id, value, at) VALUES (?1, ?2, ?3, ?4, ?5) \
         ON CONFLICT DO UPDATE SET value = excluded.value, at = excluded.at",
        (
            fact.tenant.as_str(),
            fact.topic.as_str(),
            &fact.id,
            &fact.value,
            fact.at.as_micros(),
        ),
    )?;
    Ok(())
}

fn keep_letter(transaction: &Transaction<'_>, letter: &MessageFor, is_read: bool) -> rusqlite::Result<()> {
    transaction.execute(
        "INSERT INTO letters (tenant, recipient, message, at, is_read) VALUES (?1, ?2, ?3, ?4, ?5) \
         ON CONFLICT DO UPDATE SET is_read = TRUE WHERE excluded.is_read AND NOT is_read",
        (
            letter.tenant.as_str(),
            letter.user.as_str(),
            &letter.message,
            letter.at.as_micros(),
            is_read,
        ),
    )?;
    Ok(())
}

/// What became of this key before, if it was used before; else it is kept now.
fn keep_once(transaction: &Transaction<'_>, once: &Once) -> rusqlite::Result<Option<Appended>> {
    let kept = transaction.execute(
        "INSERT OR IGNORE INTO outcomes (scope, key, fingerprint, at, outcome) VALUES (?1, ?2, ?3, ?4, ?5)",
        (
            &once.scope,
            &once.key,
            &once.fingerprint[..],
            once.at.as_micros(),
            &once.outcome,
        ),
    )?;
    if kept == 1 {
        return Ok(None);
    }
    let mut earlier = transaction
        .connection
        .prepare_cached("SELECT fingerprint, outcome FROM outcomes WHERE scope = ?1 AND key = ?2")?;
    earlier
        .query_row((&once.scope, &once.key), |row| {
            let is_same = row.get_ref(0)?.as_blob()? == once.fingerprint.as_slice();
            if is_same {
                row.get(1).map(Appended::Repeated)
            } else {
                Ok(Appended::KeyReused)
            }
        })
        .optional()
}

fn keep_event(transaction: &mut Transaction<'_>, event: &Event) -> rusqlite::Result<u64> {
    let sequence = transaction.next_sequence;
    let alert = event.alert.as_ref();
    let is_suppressed = alert.is_some_and(|alert| alert.is_suppressed);
    transaction.execute(
        "INSERT INTO events (seq, id, raised_at, stored_at, name, rooms, alert_type, scope, suppressed, patient_id, \
         hospital_id, payload) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        (
            signed(sequence),
            &event.id.as_uuid().as_bytes()[..],
            event.raised_at.as_micros(),
            transaction.now.as_micros(),
            event.name.as_str(),
            encode_rooms(&event.rooms),
            alert.map(|alert| alert.alert_type.as_str()),
            alert.map(|alert| scope_number(alert.scope)),
            is_suppressed,
            alert.and_then(|alert| alert.patient_id.as_ref()).map(PatientId::as_str),
            alert
                .and_then(|alert| alert.hospital_id.as_ref())
                .map(HospitalId::as_str),
            event.payload.as_json(),
        ),
    )?;
    transaction.next_sequence += 1;
    if alert.is_some() {
        transaction.raised.note(epoch_of(sequence), event.raised_at);
    }
    if !is_suppressed {
        for room in &event.rooms {
            transaction.execute(
                "INSERT OR IGNORE INTO event_rooms (epoch, room, seq) VALUES (?1, ?2, ?3)",
                (signed(epoch_of(sequence)), room.as_str(), signed(sequence)),
            )?;
        }
    }
    Ok(sequence)
}

/// Adds to an alert's receipts; those of events that are no alerts (any more) are nobody's question.
pub(super) fn add_receipt(
    transaction: &Transaction<'_>,
    event: EventId,
    delivered: u64,
    recovered: u64,
) -> rusqlite::Result<()> {
    // Two statements: SQLite copies the pages that an INSERT of a SELECT writes to, should it have to take back half of it.
    let sequence: Option<i64> = transaction
        .connection
        .prepare_cached("SELECT seq FROM events WHERE id = ?1 AND alert_type IS NOT NULL")?
        .query_row([&event.as_uuid().as_bytes()[..]], |row| row.get(0))
        .optional()?;
    if let Some(sequence) = sequence {
        transaction.execute(
            "INSERT INTO receipts (seq, delivered, recovered) VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET \
             delivered = delivered + excluded.delivered, recovered = recovered + excluded.recovered",
            (sequence, signed(delivered), signed(recovered)),
        )?;
    }
    Ok(())
}

// ---------------------------------------------------------------- state

fn keep_case(transaction: &Transaction<'_>, case: &TriageCase, expected: Option<Timestamp>) -> rusqlite::Result<bool> {
    let patient = case.patient_id.as_ref().map(PatientId::as_str);
    let hospital = case.hospital_id.as_ref().map(HospitalId::as_str);
    let (status, extra) = (case.status.word(), free_form_text(&case.extra)?);
    let (created_at, updated_at) = (case.created_at.as_micros(), case.updated_at.as_micros());
    let id = case.triage_id.as_str();
    let kept = match expected {
        None => transaction.execute(
            "INSERT OR IGNORE INTO triage_cases (triage_id, patient_id, hospital_id, status, extra, created_at, \
             updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            (id, patient, hospital, status, extra, created_at, updated_at),
        )?,
        Some(expected) => transaction.execute(
            "UPDATE triage_cases SET patient_id = ?2, hospital_id = ?3, status = ?4, extra = ?5, created_at = ?6, \
             updated_at = ?7 WHERE triage_id = ?1 AND updated_at = ?8",
            (
                id,
                patient,
                hospital,
                status,
                extra,
                created_at,
                updated_at,
                expected.as_micros(),
            ),
        )?,
    };
    Ok(kept == 1)
}

fn keep_member(transaction: &Transaction<'_>, member: &StaffMember) -> rusqlite::Result<()> {
    transaction.execute(
        "INSERT OR REPLACE INTO staff (hospital_id, staff_id, staff_type, available, updated_at) \
         VALUES (?1, ?2, ?3, ?4, ?5)",
        (
            member.hospital_id.as_str(),
            member.staff_id.as_str(),
            member.staff_type.word(),
            member.available,
            member.updated_at.as_micros(),
        ),
    )?;
    Ok(())
}

fn keep_bed(
    transaction: &Transaction<'_>,
    bed: &Bed,
    expected: u64,
    raised: &[CapacityScope],
) -> rusqlite::Result<bool> {
    let hospital = bed.hospital_id.as_str();
    let advanced = if expected == 0 {
        transaction.execute(
            "INSERT OR IGNORE INTO bed_boards (hospital_id, revision) VALUES (?1, 1)",
            [hospital],
        )?
    } else {
        transaction.execute(
            "UPDATE bed_boards SET revision = revision + 1 WHERE hospital_id = ?1 AND revision = ?2",
            (hospital, signed(expected)),
        )?
    };
    if advanced != 1 {
        return Ok(false);
    }
    transaction.execute(
        "INSERT OR REPLACE INTO beds (hospital_id, bed_id, status, patient_id, ward, floor, extra, updated_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        (
            hospital,
            bed.bed_id.as_str(),
            bed.status.word(),
            bed.patient_id.as_ref().map(PatientId::as_str),
            bed.ward.as_ref().map(WardName::as_str),
            bed.floor.as_ref().map(floor),
            free_form_text(&bed.extra)?,
            bed.updated_at.as_micros(),
        ),
    )?;
    transaction.execute("DELETE FROM capacity_raised WHERE hospital_id = ?1", [hospital])?;
    for scope in raised {
        let ward = match scope {
            CapacityScope::Hospital => "",
            CapacityScope::Ward(ward) => ward.as_str(),
        };
        transaction.execute(
            "INSERT OR IGNORE INTO capacity_raised (hospital_id, ward) VALUES (?1, ?2)",
            [hospital, ward],
        )?;
    }
    Ok(true)
}

fn floor(floor: &Floor) -> Value {
    match floor {
        Floor::Number(number) => Value::Integer(*number),
        Floor::Name(name) => Value::Text(name.clone()),
    }
}

fn keep_task(transaction: &Transaction<'_>, task: &Task) -> rusqlite::Result<()> {
    transaction.execute(
        "INSERT INTO tasks (task_id, status, requested_by, hospital_id, created_at, updated_at, error, request, result) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) \
         ON CONFLICT DO UPDATE SET status = excluded.status, requested_by = excluded.requested_by, \
         hospital_id = excluded.hospital_id, created_at = excluded.created_at, updated_at = excluded.updated_at, \
         error = excluded.error, request = excluded.request, result = excluded.result",
        (
            &task.id.as_uuid().as_bytes()[..],
            task.status.word(),
            task.requested_by.as_str(),
            task.hospital_id.as_ref().map(HospitalId::as_str),
            task.created_at.as_micros(),
            task.updated_at.as_micros(),
            task.error.as_deref(),
            task.request.as_str(),
            task.result.as_deref(),
        ),
    )?;
    Ok(())
}
