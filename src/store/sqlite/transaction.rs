//! A transaction as the jobs in it see it, and what a job is.

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::epochs::Raised;
use super::failure::Failure;
use crate::domain::Timestamp;
use crate::ports::StoreError;

/// A transaction, as the jobs in it see it.
pub(super) struct Transaction<'c> {
    /// Where to write.
    pub(super) connection: &'c Connection,
    /// When it began.
    pub(super) now: Timestamp,
    /// The sequence number of the next event.
    pub(super) next_sequence: u64,
    /// As in [`Marks`](super::marks::Marks); kept when the transaction is.
    pub(super) horizon: u64,
    /// As in [`Marks`](super::marks::Marks).
    pub(super) published: u64,
    /// When its alerts were raised.
    pub(super) raised: Raised,
    /// Whether something in it was refused before, so that every job and append is fenced off from the others.
    pub(super) is_fenced: bool,
}

impl Transaction<'_> {
    /// Runs one of the writer's own statements, prepared once.
    pub(super) fn execute(&self, sql: &str, params: impl rusqlite::Params) -> rusqlite::Result<usize> {
        self.connection.prepare_cached(sql)?.execute(params)
    }

    /// Does `work`, and takes back what it wrote unless it succeeds and `keep` says so.
    pub(super) fn fence<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> rusqlite::Result<T>,
        keep: impl FnOnce(&T) -> bool,
    ) -> rusqlite::Result<T> {
        let (next_sequence, horizon) = (self.next_sequence, self.horizon);
        self.execute("SAVEPOINT fence", [])?;
        let outcome = work(self);
        if !outcome.as_ref().is_ok_and(keep) {
            (self.next_sequence, self.horizon) = (next_sequence, horizon);
            // A full disk has taken the whole transaction back already, and the fence with it.
            if self.connection.is_autocommit() {
                return outcome;
            }
            self.execute("ROLLBACK TO fence", [])?;
        }
        self.execute("RELEASE fence", [])?;
        outcome
    }
}

/// Something to be done in a transaction, and somebody who waits for it.
pub(super) trait Job: Send {
    /// Does it. May be called again after the transaction was taken back.
    fn run(&mut self, transaction: &mut Transaction<'_>) -> rusqlite::Result<()>;
    /// Tells whoever waits: the transaction is committed, or nothing of this job was kept.
    fn answer(self: Box<Self>, outcome: Result<(), Failure>);
}

/// A [`Job`] made of a closure.
pub(super) struct Work<T, F> {
    run: F,
    done: Option<T>,
    answer: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Work<T, F> {
    pub(super) fn new(run: F, answer: oneshot::Sender<Result<T, StoreError>>) -> Self {
        Self {
            run,
            done: None,
            answer,
        }
    }
}

impl<T: Send, F: FnMut(&mut Transaction<'_>) -> rusqlite::Result<T> + Send> Job for Work<T, F> {
    fn run(&mut self, transaction: &mut Transaction<'_>) -> rusqlite::Result<()> {
        self.done = Some((self.run)(transaction)?);
        Ok(())
    }

    fn answer(self: Box<Self>, outcome: Result<(), Failure>) {
        let Self { done, answer, .. } = *self;
        let outcome = outcome.and_then(|()| done.ok_or(Failure::Closed));
        // Whoever has stopped waiting has lost the answer only.
        drop(answer.send(outcome.map_err(StoreError::from)));
    }
}
