//! The commit: one batch, one transaction, at most three round trips.
//!
//! 1. Only if something has to be asked (idempotency keys, triage cases, beds): lock and read it.
//! 2. Everything that follows, sent together.
//! 3. `COMMIT`, alone: if the server falls silent before, it is certain that nothing was kept.
//!
//! If the connection is lost during the third, the batch is sent again on another one. The ids of its events tell whether
//! the first attempt was kept: either they are found, or their rows are waited for until the first attempt is over.

use std::collections::HashSet;

use tokio::time::Instant;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::columns::{
    Word, bytes, free_form_text, get, parsed, rooms_text, scope_number, signed, text, timestamp, unsigned,
};
use super::connections::{Lease, Statement, send_all, until};
use super::decide::{Found, KeyDigest, Plan, Verdict, key_digest};
use super::failure::Failure;
use super::{Committed, PostgresStore};
use crate::domain::bed::{CapacityScope, Floor};
use crate::domain::{Position, Timestamp};
use crate::ports::{Append, Appended, StateChange, StoreError};

/// How often a batch is begun anew because of what others committed meanwhile.
const MAX_SURPRISES: usize = 8;

/// An append that was kept elsewhere, and where its events were published since, if they were.
#[derive(Clone, Debug)]
pub struct Absorb {
    /// The append.
    pub append: Append,
    /// When it was kept there.
    pub stored_at: Timestamp,
    /// Of each event: its position and when it got it.
    pub published: Vec<Option<(Position, Timestamp)>>,
}

/// How an attempt ended that did not fail.
enum Attempt {
    Done(Vec<Appended>),
    /// Somebody else was faster with something that no lock can hold. To be begun anew.
    Surprised,
}

/// A batch on its way.
struct Batch<'a> {
    store: &'a PostgresStore,
    appends: &'a [Append],
    deadline: Instant,
    /// Events of the batch that somebody has stored before.
    duplicates: HashSet<Uuid>,
    /// What was answered if an attempt that was lost during its `COMMIT` was kept.
    in_doubt: Option<Vec<Appended>>,
}

pub(super) async fn commit(store: &PostgresStore, appends: &[Append]) -> Committed {
    if appends.is_empty() {
        return Ok(Vec::new());
    }
    let deadline = Instant::now() + store.settings.commit_timeout;
    let mut batch = Batch {
        store,
        appends,
        deadline,
        duplicates: HashSet::new(),
        in_doubt: None,
    };
    let mut surprises = 0;
    loop {
        match batch.attempt().await {
            Ok(Attempt::Done(appended)) => return Ok(appended),
            Ok(Attempt::Surprised) if surprises < MAX_SURPRISES => surprises += 1,
            Ok(Attempt::Surprised) => return Err(batch.refusal(Failure::Crowded)),
            Err(failure) if failure.may_pass() && store.connections.has_time_for_another(deadline).await => {}
            Err(failure) => {
                store.connections.heed(&failure);
                return Err(batch.refusal(failure));
            }
        }
    }
}

impl Batch<'_> {
    fn refusal(&self, failure: Failure) -> StoreError {
        match self.in_doubt {
            Some(_) => StoreError::Uncertain(Box::new(failure)),
            None => failure.into(),
        }
    }

    async fn attempt(&mut self) -> Result<Attempt, Failure> {
        let lease = self.store.connections.lease(self.deadline).await?;
        let written = until(self.deadline, self.write(&lease)).await?;
        let appended = match written {
            Written::Nothing { appended, has_begun } => {
                if has_begun {
                    until(self.deadline, roll_back(&lease)).await?;
                }
                lease.give_back();
                return Ok(Attempt::Done(appended));
            }
            Written::Surprise(duplicates) => {
                self.duplicates.extend(duplicates);
                until(self.deadline, roll_back(&lease)).await?;
                lease.give_back();
                return Ok(Attempt::Surprised);
            }
            Written::All(appended) => appended,
        };
        let before = self.in_doubt.replace(appended.clone());
        let connection = lease.connection()?;
        let committed = until(self.deadline, async { Ok(connection.batch_execute("COMMIT").await?) }).await;
        match committed {
            Ok(()) => {
                self.in_doubt = None;
                lease.give_back();
                Ok(Attempt::Done(appended))
            }
            Err(failure) => {
                if !failure.is_of_the_server() {
                    // The server has said no: this attempt is over. What an earlier one became is as open as it was.
                    self.in_doubt = before;
                }
                Err(failure)
            }
        }
    }

    /// Does everything but the `COMMIT`.
    async fn write(&self, lease: &Lease) -> Result<Written, Failure> {
        let connection = lease.connection()?;
        let questions = Questions::of(self.appends);
        let is_again = self.in_doubt.is_some() || !self.duplicates.is_empty();
        let has_begun = is_again || !questions.is_empty();
        let mut placed = HashSet::new();
        let mut found = Found::default();
        if has_begun {
            let answers = send_all(connection, &questions.statements(self.appends)).await?;
            (placed, found) = questions.read(&answers)?;
            if let Some(appended) = &self.in_doubt
                && !found.events.is_empty()
            {
                return Ok(Written::Nothing {
                    appended: appended.clone(),
                    has_begun,
                });
            }
            found.events.extend(&self.duplicates);
        }
        let plan = Plan::new(self.appends, found);
        if plan.is_empty() {
            return Ok(Written::Nothing {
                appended: answers(&plan, Vec::new()),
                has_begun,
            });
        }

        let mut statements = Vec::new();
        if !has_begun {
            statements.push(plain("BEGIN"));
        }
        statements.extend(outcome_statements(&plan, &placed, self.appends));
        statements.extend(state_statements(&plan, false));
        let new_cases = statements.iter().position(|statement| statement.sql == INSERT_CASES);
        let events = (!plan.events.is_empty()).then_some(statements.len());
        if events.is_some() {
            statements.push(event_statement(&plan, Kept::nowhere(plan.events.len()), self.store));
        }
        let answers_of = send_all(connection, &statements).await?;

        let rows = |index: Option<usize>| {
            index
                .and_then(|index| answers_of.get(index))
                .map_or(&[][..], Vec::as_slice)
        };
        let expected_cases = plan.cases.values().filter(|(_, is_new)| *is_new).count();
        if rows(new_cases).len() < expected_cases {
            return Ok(Written::Surprise(Vec::new()));
        }
        let mut sequences = std::collections::HashMap::with_capacity(plan.events.len());
        for row in rows(events) {
            sequences.insert(get::<Uuid>(row, 0)?, unsigned(get(row, 1)?));
        }
        if sequences.len() < plan.events.len() {
            let missing = plan
                .events
                .iter()
                .map(|event| event.id.as_uuid())
                .filter(|id| !sequences.contains_key(id));
            return Ok(Written::Surprise(missing.collect()));
        }
        let numbers = plan
            .events
            .iter()
            .filter_map(|event| sequences.get(&event.id.as_uuid()).copied())
            .collect();
        Ok(Written::All(answers(&plan, numbers)))
    }
}

/// How far the transaction came.
enum Written {
    /// There is nothing (more) to keep.
    Nothing { appended: Vec<Appended>, has_begun: bool },
    /// Somebody was faster; these events are known to be there already.
    Surprise(Vec<Uuid>),
    /// Ready for the `COMMIT`.
    All(Vec<Appended>),
}

async fn roll_back(lease: &Lease) -> Result<(), Failure> {
    Ok(lease.connection()?.batch_execute("ROLLBACK").await?)
}

/// Deals the sequence numbers out to the appends that are kept.
fn answers(plan: &Plan<'_>, numbers: Vec<u64>) -> Vec<Appended> {
    let mut numbers = numbers.into_iter();
    let mut counts = plan.counts.iter();
    let answer = |verdict: &Verdict| match verdict {
        Verdict::Kept => {
            let count = counts.next().copied().unwrap_or_default();
            Appended::Committed(numbers.by_ref().take(count).collect())
        }
        Verdict::Repeated(outcome) => Appended::Repeated(outcome.clone()),
        Verdict::KeyReused => Appended::KeyReused,
        Verdict::Conflict => Appended::Conflict,
    };
    plan.verdicts.iter().map(answer).collect()
}

// ---------------------------------------------------------------- what has to be asked first

/// What the batch is about that must be locked before it can be decided.
#[derive(Default)]
struct Questions {
    keys: Vec<KeyDigest>,
    boards: Vec<String>,
    cases: Vec<String>,
}

impl Questions {
    fn of(appends: &[Append]) -> Self {
        let mut questions = Self::default();
        for append in appends {
            questions
                .keys
                .extend(append.once.iter().map(|once| key_digest(&once.scope, &once.key)));
            for change in &append.changes {
                match change {
                    StateChange::Bed { bed, .. } => questions.boards.push(text(bed.hospital_id.as_str())),
                    StateChange::Triage { case, .. } => questions.cases.push(text(case.triage_id.as_str())),
                    StateChange::PatientHospital(..) | StateChange::Staff(_) | StateChange::Task(_) => {}
                }
            }
        }
        // One order for all nodes, or two of them wait for each other.
        questions.keys.sort_unstable();
        questions.keys.dedup();
        questions.boards.sort_unstable();
        questions.boards.dedup();
        questions.cases.sort_unstable();
        questions.cases.dedup();
        questions
    }

    fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.boards.is_empty() && self.cases.is_empty()
    }

    /// Always the same number of them, so that [`read`](Self::read) knows which is which.
    fn statements(&self, appends: &[Append]) -> Vec<Statement> {
        let onces = firsts(appends);
        let keys: Vec<Vec<u8>> = self.keys.iter().map(|key| key.to_vec()).collect();
        let first = |key: &KeyDigest| onces.get(key).copied();
        let fingerprints: Vec<Vec<u8>> = self
            .keys
            .iter()
            .filter_map(first)
            .map(|once| once.fingerprint.to_vec())
            .collect();
        let ats: Vec<i64> = self
            .keys
            .iter()
            .filter_map(first)
            .map(|once| once.at.as_micros())
            .collect();
        let outcomes: Vec<String> = self
            .keys
            .iter()
            .filter_map(first)
            .map(|once| text(&once.outcome))
            .collect();
        let events: Vec<Uuid> = appends
            .iter()
            .flat_map(|append| &append.events)
            .map(|event| event.id.as_uuid())
            .collect();
        vec![
            plain("BEGIN"),
            Statement {
                sql: PLACE_OUTCOMES,
                parameters: vec![b(keys.clone()), b(fingerprints), b(ats), b(outcomes)],
            },
            Statement {
                sql: "SELECT id, fingerprint, outcome FROM outcomes WHERE id = ANY($1)",
                parameters: vec![b(keys)],
            },
            Statement {
                sql: "INSERT INTO bed_boards (hospital_id, revision, raised) SELECT hospital, 0, '[]' \
                      FROM unnest($1::text[]) AS b(hospital) ORDER BY hospital COLLATE \"C\" ON CONFLICT DO NOTHING",
                parameters: vec![b(self.boards.clone())],
            },
            Statement {
                sql: "SELECT hospital_id, revision FROM bed_boards WHERE hospital_id = ANY($1) ORDER BY hospital_id FOR UPDATE",
                parameters: vec![b(self.boards.clone())],
            },
            Statement {
                sql: "SELECT triage_id, updated_at FROM triage_cases WHERE triage_id = ANY($1) ORDER BY triage_id FOR UPDATE",
                parameters: vec![b(self.cases.clone())],
            },
            // After the locks: what another attempt of this very batch has committed is seen by now.
            Statement {
                sql: "SELECT id FROM events WHERE id = ANY($1)",
                parameters: vec![b(events)],
            },
        ]
    }

    fn read(&self, answers: &[Vec<Row>]) -> Result<(HashSet<KeyDigest>, Found), Failure> {
        let rows = |index: usize| answers.get(index).map_or(&[][..], Vec::as_slice);
        let mut found = Found::default();
        let placed = rows(1)
            .iter()
            .map(|row| bytes(row, 0))
            .collect::<Result<HashSet<KeyDigest>, _>>()?;
        for row in rows(2) {
            let key = bytes(row, 0)?;
            if !placed.contains(&key) {
                let outcome = super::columns::restored(get(row, 2)?).into_owned();
                found.outcomes.insert(key, (bytes(row, 1)?, outcome));
            }
        }
        for row in rows(4) {
            found.boards.insert(parsed(row, 0)?, unsigned(get(row, 1)?));
        }
        for row in rows(5) {
            found.cases.insert(parsed(row, 0)?, timestamp(row, 1)?);
        }
        for row in rows(6) {
            found.events.insert(get(row, 0)?);
        }
        Ok((placed, found))
    }
}

/// The first use of each key in the batch.
fn firsts(appends: &[Append]) -> std::collections::HashMap<KeyDigest, &crate::ports::Once> {
    let mut firsts = std::collections::HashMap::new();
    for once in appends.iter().filter_map(|append| append.once.as_ref()) {
        firsts.entry(key_digest(&once.scope, &once.key)).or_insert(once);
    }
    firsts
}

/// Waits for whoever uses one of the keys right now; keeps those that nobody has used.
const PLACE_OUTCOMES: &str = "INSERT INTO outcomes (id, fingerprint, at, outcome) \
     SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::bigint[], $4::text[]) AS o(id, fingerprint, at, outcome) \
     ORDER BY id ON CONFLICT DO NOTHING RETURNING id";

/// Sets right what was placed for a first use that was not kept.
fn outcome_statements(plan: &Plan<'_>, placed: &HashSet<KeyDigest>, appends: &[Append]) -> Vec<Statement> {
    let firsts = firsts(appends);
    let unused: Vec<Vec<u8>> = placed
        .iter()
        .filter(|key| !plan.outcomes.contains_key(*key))
        .map(|key| key.to_vec())
        .collect();
    let others: Vec<_> = plan
        .outcomes
        .iter()
        .filter(|(key, once)| !firsts.get(*key).is_some_and(|first| std::ptr::eq(*first, **once)))
        .collect();
    let mut statements = Vec::new();
    if !unused.is_empty() {
        statements.push(Statement {
            sql: "DELETE FROM outcomes WHERE id = ANY($1)",
            parameters: vec![b(unused)],
        });
    }
    if !others.is_empty() {
        let keys: Vec<Vec<u8>> = others.iter().map(|(key, _)| key.to_vec()).collect();
        let fingerprints: Vec<Vec<u8>> = others.iter().map(|(_, once)| once.fingerprint.to_vec()).collect();
        let ats: Vec<i64> = others.iter().map(|(_, once)| once.at.as_micros()).collect();
        let outcomes: Vec<String> = others.iter().map(|(_, once)| text(&once.outcome)).collect();
        statements.push(Statement {
            sql: "UPDATE outcomes SET fingerprint = o.fingerprint, at = o.at, outcome = o.outcome \
                  FROM unnest($1::bytea[], $2::bytea[], $3::bigint[], $4::text[]) AS o(id, fingerprint, at, outcome) \
                  WHERE outcomes.id = o.id",
            parameters: vec![b(keys), b(fingerprints), b(ats), b(outcomes)],
        });
    }
    statements
}

// ---------------------------------------------------------------- what is written

fn plain(sql: &'static str) -> Statement {
    Statement {
        sql,
        parameters: Vec::new(),
    }
}

fn b<T: ToSql + Sync + Send + 'static>(value: T) -> Box<dyn ToSql + Sync + Send> {
    Box::new(value)
}

const INSERT_CASES: &str = "INSERT INTO triage_cases (triage_id, patient_id, hospital_id, status, extra, created_at, updated_at) \
     SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[]) \
     ON CONFLICT DO NOTHING RETURNING triage_id";
const UPDATE_CASES: &str = "UPDATE triage_cases SET patient_id = c.patient_id, hospital_id = c.hospital_id, status = c.status, \
     extra = c.extra, created_at = c.created_at, updated_at = c.updated_at \
     FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[]) \
     AS c(triage_id, patient_id, hospital_id, status, extra, created_at, updated_at) \
     WHERE triage_cases.triage_id = c.triage_id";

/// The state. `only_newer`: where somebody has changed it since, theirs stays.
fn state_statements(plan: &Plan<'_>, only_newer: bool) -> Vec<Statement> {
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
                        .map(|case| optional(case.patient_id.as_ref().map(|id| id.as_str())))
                        .collect(),
                ),
                b::<Vec<Option<String>>>(
                    cases
                        .iter()
                        .map(|case| optional(case.hospital_id.as_ref().map(|id| id.as_str())))
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
    statements
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
struct Kept {
    stored_ats: Vec<Option<i64>>,
    majors: Vec<Option<i64>>,
    minors: Vec<Option<i64>>,
    published_ats: Vec<Option<i64>>,
}

impl Kept {
    fn nowhere(events: usize) -> Self {
        let nowhere = vec![None; events];
        Self {
            stored_ats: nowhere.clone(),
            majors: nowhere.clone(),
            minors: nowhere.clone(),
            published_ats: nowhere,
        }
    }

    fn in_spool(batch: &[Absorb]) -> Self {
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
fn event_statement(plan: &Plan<'_>, kept: Kept, store: &PostgresStore) -> Statement {
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
                SELECT base + place, CASE WHEN is_taken OR major IS NULL THEN base + place ELSE major END, \
                  CASE WHEN is_taken OR major IS NULL THEN 0 ELSE minor END, id, raised_at, coalesce(stored_at, $16::bigint), \
                  CASE WHEN NOT suppressed THEN coalesce(published_at, $16::bigint) END, scope, suppressed, alert_type, \
                  patient_id, hospital_id, name, rooms::jsonb, payload \
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

// ---------------------------------------------------------------- what a spool has held

/// See [`PostgresStore::absorb`].
pub(super) async fn absorb(store: &PostgresStore, batch: &[Absorb]) -> Result<Vec<Vec<u64>>, StoreError> {
    let deadline = Instant::now() + store.settings.commit_timeout;
    loop {
        // Every attempt leaves the same behind, however often and however far it came: no attempt is ever in doubt.
        match absorb_once(store, batch, deadline).await {
            Ok(sequences) => return Ok(sequences),
            Err(failure) if failure.may_pass() && store.connections.has_time_for_another(deadline).await => {}
            Err(failure) => {
                store.connections.heed(&failure);
                return Err(failure.into());
            }
        }
    }
}

async fn absorb_once(store: &PostgresStore, batch: &[Absorb], deadline: Instant) -> Result<Vec<Vec<u64>>, Failure> {
    let plan = Plan::of_all(batch.iter().map(|absorb| &absorb.append));
    let ids: Vec<Uuid> = plan.events.iter().map(|event| event.id.as_uuid()).collect();
    let keys: Vec<Vec<u8>> = plan.outcomes.keys().map(|key| key.to_vec()).collect();
    let fingerprints: Vec<Vec<u8>> = plan.outcomes.values().map(|once| once.fingerprint.to_vec()).collect();
    let ats: Vec<i64> = plan.outcomes.values().map(|once| once.at.as_micros()).collect();
    let outcomes: Vec<String> = plan.outcomes.values().map(|once| text(&once.outcome)).collect();
    let mut statements = vec![
        plain("BEGIN"),
        Statement {
            sql: PLACE_OUTCOMES,
            parameters: vec![b(keys), b(fingerprints), b(ats), b(outcomes)],
        },
    ];
    statements.extend(state_statements(&plan, true));
    // First the turn, then the look at what others have stored: two spools may have used the same position.
    statements.push(plain("SELECT last FROM numbering FOR UPDATE"));
    statements.push(event_statement(&plan, Kept::in_spool(batch), store));
    statements.push(Statement {
        sql: "SELECT id, sequence FROM events WHERE id = ANY($1)",
        parameters: vec![b(ids)],
    });

    let lease = store.connections.lease(deadline).await?;
    let connection = lease.connection()?;
    let answers = until(deadline, send_all(connection, &statements)).await?;
    until(deadline, async { Ok(connection.batch_execute("COMMIT").await?) }).await?;
    lease.give_back();

    let mut sequences = std::collections::HashMap::new();
    for row in answers.last().into_iter().flatten() {
        sequences.insert(get::<Uuid>(row, 0)?, unsigned(get(row, 1)?));
    }
    let of = |absorb: &Absorb| {
        absorb
            .append
            .events
            .iter()
            .filter_map(|event| sequences.get(&event.id.as_uuid()).copied())
            .collect()
    };
    Ok(batch.iter().map(of).collect())
}
