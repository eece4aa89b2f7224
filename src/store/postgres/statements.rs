//! What a batch writes: each kind of thing in one statement, however many there are.

use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::columns::{Word, free_form_text, rooms_text, scope_number, signed, text};
use super::connections::Statement;
use super::decide::Plan;
use super::{Absorb, PostgresStore};
use crate::domain::bed::{CapacityScope, Floor};
use crate::domain::{HospitalId, PatientId};

pub(super) fn plain(sql: &'static str) -> Statement {
    Statement {
        sql,
        parameters: Vec::new(),
    }
}

pub(super) fn b<T: ToSql + Sync + Send + 'static>(value: T) -> Box<dyn ToSql + Sync + Send> {
    Box::new(value)
}

pub(super) const INSERT_CASES: &str = "INSERT INTO triage_cases (triage_id, patient_id, hospital_id, status, extra, created_at, updated_at) \
     SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[]) \
     ON CONFLICT DO NOTHING RETURNING triage_id";
const UPDATE_CASES: &str = "UPDATE triage_cases SET patient_id = c.patient_id, hospital_id = c.hospital_id, status = c.status, \
     extra = c.extra, created_at = c.created_at, updated_at = c.updated_at \
     FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[]) \
     AS c(triage_id, patient_id, hospital_id, status, extra, created_at, updated_at) \
     WHERE triage_cases.triage_id = c.triage_id";

/// The state. `only_newer`: where somebody has changed it since, theirs stays.
pub(super) fn state_statements(plan: &Plan<'_>, only_newer: bool) -> Vec<Statement> {
    let mut statements = Vec::new();
    if !plan.boards.is_empty() {
        let hospitals: Vec<String> = plan.boards.keys().map(|id| text(id.as_str())).collect();
        let revisions: Vec<i64> = plan.boards.values().map(|board| signed(board.revision)).collect();
        let raised: Vec<String> = plan.boards.values().map(|board| raised_text(board.raised)).collect();
        statements.push(Statement {
            sql: "UPDATE bed_boards SET revision = b.revision, raised = b.raised \
                  FROM unnest($1::text[], $2::bigint[], $3::text[]) AS b(hospital_id, revision, raised) \
                  WHERE bed_boards.hospital_id = b.hospital_id",
            parameters: vec![b(hospitals), b(revisions), b(raised)],
        });
        statements.push(bed_statement(plan));
    }
    for is_new in [true, false] {
        let cases: Vec<_> = plan
            .cases
            .values()
            .filter(|(_, new)| *new == is_new)
            .map(|(case, _)| *case)
            .collect();
        if cases.is_empty() {
            continue;
        }
        let optional = |id: Option<&str>| id.map(text);
        statements.push(Statement {
            sql: if is_new { INSERT_CASES } else { UPDATE_CASES },
            parameters: vec![
                b::<Vec<String>>(cases.iter().map(|case| text(case.triage_id.as_str())).collect()),
                b::<Vec<Option<String>>>(
                    cases
                        .iter()
                        .map(|case| optional(case.patient_id.as_ref().map(PatientId::as_str)))
                        .collect(),
                ),
                b::<Vec<Option<String>>>(
                    cases
                        .iter()
                        .map(|case| optional(case.hospital_id.as_ref().map(HospitalId::as_str)))
                        .collect(),
                ),
                b::<Vec<&str>>(cases.iter().map(|case| case.status.word()).collect()),
                b::<Vec<String>>(cases.iter().map(|case| free_form_text(&case.extra)).collect()),
                b::<Vec<i64>>(cases.iter().map(|case| case.created_at.as_micros()).collect()),
                b::<Vec<i64>>(cases.iter().map(|case| case.updated_at.as_micros()).collect()),
            ],
        });
    }
    if !plan.patients.is_empty() {
        statements.push(Statement {
            sql: "INSERT INTO patients (patient_id, hospital_id) SELECT * FROM unnest($1::text[], $2::text[]) \
                  ON CONFLICT (patient_id) DO UPDATE SET hospital_id = excluded.hospital_id \
                  WHERE patients.hospital_id <> excluded.hospital_id",
            parameters: vec![
                b::<Vec<String>>(plan.patients.keys().map(|id| text(id.as_str())).collect()),
                b::<Vec<String>>(plan.patients.values().map(|id| text(id.as_str())).collect()),
            ],
        });
    }
    if !plan.staff.is_empty() {
        statements.push(staff_statement(plan, only_newer));
    }
    if !plan.tasks.is_empty() {
        statements.push(task_statement(plan, only_newer));
    }
    if !plan.facts.is_empty() {
        statements.push(fact_statement(plan, only_newer));
    }
    if !plan.letters.is_empty() {
        statements.push(letter_statement(plan));
    }
    statements
}

fn fact_statement(plan: &Plan<'_>, only_newer: bool) -> Statement {
    Statement {
        sql: "INSERT INTO facts (tenant, topic, id, value, at) \
              SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[]) \
              ON CONFLICT (tenant, topic, id) DO UPDATE SET value = excluded.value, at = excluded.at \
              WHERE NOT $6::boolean OR facts.at <= excluded.at",
        parameters: vec![
            b::<Vec<String>>(plan.facts.keys().map(|(tenant, ..)| text(tenant.as_str())).collect()),
            b::<Vec<&str>>(plan.facts.keys().map(|(_, topic, _)| topic.as_str()).collect()),
            b::<Vec<String>>(plan.facts.keys().map(|(.., id)| text(id)).collect()),
            b::<Vec<String>>(plan.facts.values().map(|fact| text(&fact.value)).collect()),
            b::<Vec<i64>>(plan.facts.values().map(|fact| fact.at.as_micros()).collect()),
            b(only_newer),
        ],
    }
}

fn letter_statement(plan: &Plan<'_>) -> Statement {
    Statement {
        sql: "INSERT INTO letters (tenant, recipient, message, at, is_read) \
              SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::boolean[]) \
              ON CONFLICT (tenant, recipient, message) DO UPDATE SET is_read = TRUE \
              WHERE excluded.is_read AND NOT letters.is_read",
        parameters: vec![
            b::<Vec<String>>(plan.letters.keys().map(|(tenant, ..)| text(tenant.as_str())).collect()),
            b::<Vec<String>>(plan.letters.keys().map(|(_, user, _)| text(user.as_str())).collect()),
            b::<Vec<String>>(plan.letters.keys().map(|(.., message)| text(message)).collect()),
            b::<Vec<i64>>(plan.letters.values().map(|(at, _)| at.as_micros()).collect()),
            b::<Vec<bool>>(plan.letters.values().map(|(_, is_read)| *is_read).collect()),
        ],
    }
}

fn bed_statement(plan: &Plan<'_>) -> Statement {
    let beds: Vec<_> = plan.beds.values().collect();
    Statement {
        sql: "INSERT INTO beds (hospital_id, bed_id, status, patient_id, ward, floor, extra, updated_at) SELECT * FROM \
              unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bigint[]) \
              ON CONFLICT (hospital_id, bed_id) DO UPDATE SET status = excluded.status, patient_id = excluded.patient_id, \
              ward = excluded.ward, floor = excluded.floor, extra = excluded.extra, updated_at = excluded.updated_at",
        parameters: vec![
            b::<Vec<String>>(beds.iter().map(|bed| text(bed.hospital_id.as_str())).collect()),
            b::<Vec<String>>(beds.iter().map(|bed| text(bed.bed_id.as_str())).collect()),
            b::<Vec<&str>>(beds.iter().map(|bed| bed.status.word()).collect()),
            b::<Vec<Option<String>>>(
                beds.iter()
                    .map(|bed| bed.patient_id.as_ref().map(|id| text(id.as_str())))
                    .collect(),
            ),
            b::<Vec<Option<String>>>(
                beds.iter()
                    .map(|bed| bed.ward.as_ref().map(|ward| text(ward.as_str())))
                    .collect(),
            ),
            b::<Vec<Option<String>>>(beds.iter().map(|bed| bed.floor.as_ref().map(floor_text)).collect()),
            b::<Vec<String>>(beds.iter().map(|bed| free_form_text(&bed.extra)).collect()),
            b::<Vec<i64>>(beds.iter().map(|bed| bed.updated_at.as_micros()).collect()),
        ],
    }
}

fn staff_statement(plan: &Plan<'_>, only_newer: bool) -> Statement {
    let staff: Vec<_> = plan.staff.values().collect();
    Statement {
        sql: "INSERT INTO staff (hospital_id, staff_id, staff_type, available, updated_at) \
              SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::boolean[], $5::bigint[]) \
              ON CONFLICT (hospital_id, staff_id) DO UPDATE SET staff_type = excluded.staff_type, \
              available = excluded.available, updated_at = excluded.updated_at \
              WHERE NOT $6::boolean OR staff.updated_at <= excluded.updated_at",
        parameters: vec![
            b::<Vec<String>>(staff.iter().map(|member| text(member.hospital_id.as_str())).collect()),
            b::<Vec<String>>(staff.iter().map(|member| text(member.staff_id.as_str())).collect()),
            b::<Vec<&str>>(staff.iter().map(|member| member.staff_type.word()).collect()),
            b::<Vec<bool>>(staff.iter().map(|member| member.available).collect()),
            b::<Vec<i64>>(staff.iter().map(|member| member.updated_at.as_micros()).collect()),
            b(only_newer),
        ],
    }
}

fn task_statement(plan: &Plan<'_>, only_newer: bool) -> Statement {
    let tasks: Vec<_> = plan.tasks.values().collect();
    Statement {
        sql: "INSERT INTO tasks (task_id, status, requested_by, hospital_id, created_at, updated_at, error, request, result) \
              SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::text[], \
              $8::text[], $9::text[]) \
              ON CONFLICT (task_id) DO UPDATE SET status = excluded.status, requested_by = excluded.requested_by, \
              hospital_id = excluded.hospital_id, created_at = excluded.created_at, updated_at = excluded.updated_at, \
              error = excluded.error, request = excluded.request, result = excluded.result \
              WHERE NOT $10::boolean OR tasks.updated_at <= excluded.updated_at",
        parameters: vec![
            b::<Vec<Uuid>>(tasks.iter().map(|task| task.id.as_uuid()).collect()),
            b::<Vec<&str>>(tasks.iter().map(|task| task.status.word()).collect()),
            b::<Vec<String>>(tasks.iter().map(|task| text(task.requested_by.as_str())).collect()),
            b::<Vec<Option<String>>>(
                tasks
                    .iter()
                    .map(|task| task.hospital_id.as_ref().map(|id| text(id.as_str())))
                    .collect(),
            ),
            b::<Vec<i64>>(tasks.iter().map(|task| task.created_at.as_micros()).collect()),
            b::<Vec<i64>>(tasks.iter().map(|task| task.updated_at.as_micros()).collect()),
            b::<Vec<Option<String>>>(tasks.iter().map(|task| task.error.as_deref().map(text)).collect()),
            b::<Vec<String>>(tasks.iter().map(|task| text(&task.request)).collect()),
            b::<Vec<Option<String>>>(tasks.iter().map(|task| task.result.as_deref().map(text)).collect()),
            b(only_newer),
        ],
    }
}

/// Where events were kept before, if they were.
#[derive(Default)]
pub(super) struct Kept {
    stored_ats: Vec<Option<i64>>,
    majors: Vec<Option<i64>>,
    minors: Vec<Option<i64>>,
    published_ats: Vec<Option<i64>>,
}

impl Kept {
    pub(super) fn nowhere(events: usize) -> Self {
        let nowhere = vec![None; events];
        Self {
            stored_ats: nowhere.clone(),
            majors: nowhere.clone(),
            minors: nowhere.clone(),
            published_ats: nowhere,
        }
    }

    pub(super) fn in_spool(batch: &[&Absorb]) -> Self {
        let mut kept = Self::default();
        for absorb in batch {
            let published = absorb.published.iter().copied().chain(std::iter::repeat(None));
            for (_, published) in absorb.append.events.iter().zip(published) {
                kept.stored_ats.push(Some(absorb.stored_at.as_micros()));
                kept.majors.push(published.map(|(position, _)| signed(position.major)));
                kept.minors.push(published.map(|(position, _)| signed(position.minor)));
                kept.published_ats.push(published.map(|(_, at)| at.as_micros()));
            }
        }
        kept
    }
}

/// Events and their rooms. The last statement before the `COMMIT`: from here on no other node stores events until that is
/// over, so that sequence numbers are given in the order of commits.
///
/// A position out of a spool is kept unless another event has it, or it stands behind numbers that this database has never
/// given, being restored from a backup: what comes next would stand before it, and nobody would be told.
pub(super) fn event_statement(plan: &Plan<'_>, kept: Kept, store: &PostgresStore) -> Statement {
    let events = &plan.events;
    let alerts = || events.iter().map(|event| event.alert.as_ref());
    Statement {
        sql: "WITH given AS MATERIALIZED ( \
                SELECT e.*, taken.id IS NOT NULL AS is_taken FROM unnest($1::uuid[], $2::bigint[], $3::smallint[], \
                  $4::boolean[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::bigint[], \
                  $12::bigint[], $13::bigint[], $14::bigint[]) WITH ORDINALITY \
                  AS e(id, raised_at, scope, suppressed, alert_type, patient_id, hospital_id, name, rooms, payload, \
                    stored_at, major, minor, published_at, place) \
                LEFT JOIN events taken ON taken.major = e.major AND taken.minor = e.minor AND NOT taken.suppressed \
              ), numbered AS ( \
                UPDATE numbering SET last = last + $15::bigint RETURNING last - $15::bigint AS base \
              ), stored AS ( \
                INSERT INTO events (sequence, major, minor, id, raised_at, stored_at, published_at, scope, suppressed, \
                  alert_type, patient_id, hospital_id, name, rooms, payload) \
                SELECT base + place, CASE WHEN is_taken OR major IS NULL OR major > base THEN base + place ELSE major END, \
                  CASE WHEN is_taken OR major IS NULL OR major > base THEN 0 ELSE minor END, id, raised_at, coalesce(stored_at, $16::bigint), \
                  CASE WHEN NOT suppressed THEN coalesce(published_at, $16::bigint) END, scope, suppressed, alert_type, \
                  patient_id, coalesce(hospital_id, CASE WHEN scope = 0 AND stored_at IS NOT NULL THEN \
                    (SELECT p.hospital_id FROM patients p WHERE p.patient_id = given.patient_id) END), \
                  name, rooms::jsonb, payload \
                FROM given, numbered ORDER BY place \
                ON CONFLICT (id) DO NOTHING RETURNING id, sequence, major, minor, rooms, suppressed \
              ), logged AS ( \
                INSERT INTO event_rooms (room, major, minor, sequence) \
                SELECT DISTINCT substr(sha256(convert_to(room, 'UTF8')), 1, 16), major, minor, sequence \
                FROM stored, jsonb_array_elements_text(rooms) AS room WHERE NOT suppressed \
              ) SELECT id, sequence FROM stored",
        parameters: vec![
            b::<Vec<Uuid>>(events.iter().map(|event| event.id.as_uuid()).collect()),
            b::<Vec<i64>>(events.iter().map(|event| event.raised_at.as_micros()).collect()),
            b::<Vec<Option<i16>>>(
                alerts()
                    .map(|alert| alert.map(|alert| scope_number(alert.scope)))
                    .collect(),
            ),
            b::<Vec<bool>>(
                alerts()
                    .map(|alert| alert.is_some_and(|alert| alert.is_suppressed))
                    .collect(),
            ),
            b::<Vec<Option<String>>>(
                alerts()
                    .map(|alert| alert.map(|alert| text(&alert.alert_type)))
                    .collect(),
            ),
            b::<Vec<Option<String>>>(
                alerts()
                    .map(|alert| alert?.patient_id.as_ref().map(|id| text(id.as_str())))
                    .collect(),
            ),
            b::<Vec<Option<String>>>(
                alerts()
                    .map(|alert| alert?.hospital_id.as_ref().map(|id| text(id.as_str())))
                    .collect(),
            ),
            b::<Vec<String>>(events.iter().map(|event| text(event.name.as_str())).collect()),
            b::<Vec<String>>(events.iter().map(|event| rooms_text(&event.rooms)).collect()),
            b::<Vec<String>>(events.iter().map(|event| text(event.payload.as_json())).collect()),
            b(kept.stored_ats),
            b(kept.majors),
            b(kept.minors),
            b(kept.published_ats),
            b(i64::try_from(events.len()).unwrap_or(i64::MAX)),
            b(store.now().as_micros()),
        ],
    }
}

fn floor_text(floor: &Floor) -> String {
    match floor {
        Floor::Number(number) => number.to_string(),
        Floor::Name(name) => text(&serde_json::Value::from(name.as_str()).to_string()),
    }
}

fn raised_text(raised: &[CapacityScope]) -> String {
    let scope = |scope: &CapacityScope| match scope {
        CapacityScope::Hospital => serde_json::Value::Null,
        CapacityScope::Ward(ward) => ward.as_str().into(),
    };
    text(&raised.iter().map(scope).collect::<serde_json::Value>().to_string())
}
