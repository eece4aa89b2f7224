//! What has to be locked and read before a batch can be decided: idempotency keys, bed boards, triage cases.

use std::collections::{HashMap, HashSet};

use tokio_postgres::Row;
use uuid::Uuid;

use super::columns::{bytes, get, parsed, restored, text, timestamp, unsigned};
use super::connections::Statement;
use super::decide::{Found, KeyDigest, Plan, key_digest};
use super::failure::Failure;
use super::statements::{b, plain};
use crate::ports::{Append, Once, StateChange};

/// What the batch is about that must be locked before it can be decided.
#[derive(Default)]
pub(super) struct Questions {
    keys: Vec<KeyDigest>,
    boards: Vec<String>,
    cases: Vec<String>,
}

impl Questions {
    pub(super) fn of(appends: &[Append]) -> Self {
        let mut questions = Self::default();
        for append in appends {
            questions
                .keys
                .extend(append.once.iter().map(|once| key_digest(&once.scope, &once.key)));
            for change in &append.changes {
                match change {
                    StateChange::Bed { bed, .. } => questions.boards.push(text(bed.hospital_id.as_str())),
                    StateChange::Triage { case, .. } => questions.cases.push(text(case.triage_id.as_str())),
                    StateChange::PatientHospital(..)
                    | StateChange::Staff(_)
                    | StateChange::Task(_)
                    | StateChange::Fact(_)
                    | StateChange::Unread(_)
                    | StateChange::Read(_) => {}
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

    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.boards.is_empty() && self.cases.is_empty()
    }

    /// Always the same number of them, so that [`read`](Self::read) knows which is which.
    pub(super) fn statements(&self, appends: &[Append]) -> Vec<Statement> {
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

    pub(super) fn read(answers: &[Vec<Row>]) -> Result<(HashSet<KeyDigest>, Found), Failure> {
        let rows = |index: usize| answers.get(index).map_or(&[][..], Vec::as_slice);
        let mut found = Found::default();
        let placed = rows(1)
            .iter()
            .map(|row| bytes(row, 0))
            .collect::<Result<HashSet<KeyDigest>, _>>()?;
        for row in rows(2) {
            let key = bytes(row, 0)?;
            if !placed.contains(&key) {
                let outcome = restored(get(row, 2)?).into_owned();
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
fn firsts(appends: &[Append]) -> HashMap<KeyDigest, &Once> {
    let mut firsts = HashMap::new();
    for once in appends.iter().filter_map(|append| append.once.as_ref()) {
        firsts.entry(key_digest(&once.scope, &once.key)).or_insert(once);
    }
    firsts
}

/// Waits for whoever uses one of the keys right now; keeps those that nobody has used.
pub(super) const PLACE_OUTCOMES: &str = "INSERT INTO outcomes (id, fingerprint, at, outcome) \
     SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::bigint[], $4::text[]) AS o(id, fingerprint, at, outcome) \
     ORDER BY id ON CONFLICT DO NOTHING RETURNING id";

/// Sets right what was placed for a first use that was not kept.
pub(super) fn outcome_statements(plan: &Plan<'_>, placed: &HashSet<KeyDigest>, appends: &[Append]) -> Vec<Statement> {
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
