//! The commit: one batch, one transaction, at most three round trips.
//!
//! 1. Only if something has to be asked (idempotency keys, triage cases, beds): lock and read it.
//! 2. Everything that follows, sent together.
//! 3. `COMMIT`, alone: if the server falls silent before, it is certain that nothing was kept.
//!
//! If the connection is lost during the third, the batch is sent again on another one. The ids of its events tell whether
//! the first attempt was kept: either they are found, or their rows are waited for until the first attempt is over.

use std::collections::{HashMap, HashSet};

use tokio::time::Instant;
use uuid::Uuid;

use super::columns::{get, unsigned};
use super::connections::{Lease, send_all, until};
use super::decide::{Found, Plan, Verdict};
use super::failure::Failure;
use super::questions::{Questions, outcome_statements};
use super::statements::{INSERT_CASES, Kept, event_statement, plain, state_statements};
use super::{Committed, PostgresStore};
use crate::ports::{Append, Appended, StoreError};

/// How often a batch is begun anew because of what others committed meanwhile.
const MAX_SURPRISES: usize = 8;

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
            (placed, found) = Questions::read(&answers)?;
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
        let mut sequences = HashMap::with_capacity(plan.events.len());
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
