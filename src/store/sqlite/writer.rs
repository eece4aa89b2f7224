//! The one writer: a thread that owns the writing connection and commits all jobs that wait in one transaction.
//!
//! Two hundred concurrent requests share a handful of transactions, and with them a handful of waits for the disk. Jobs know
//! nothing of each other; one that is refused by the database (a duplicate key, say) does not take the others with it, while
//! a disk that refuses refuses them all.

use std::cell::Cell;
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::epochs::{self, Raised};
use super::failure::{Failure, is_disk_full, is_harmless_to_the_connection, is_of_the_work};
use super::marks::{Lazy, Marks};
use super::open::{self, FileIdentity};
use super::rows::{signed, unsigned};
use super::transaction::{Job, Transaction};
use super::{Settings, append};
use crate::clock::Clock;
use crate::ports::StoreError;

/// Jobs that share a transaction at most. The emitter's appends arrive many in one job, so this bounds sessions and the like.
const MAX_JOBS: usize = 4_096;
/// How long what may be written later is gathered before it gets a transaction of its own, as soon as nobody waits.
const LAZY_DELAY: Duration = Duration::from_millis(250);
/// How much longer it stands back where somebody always waits, before it goes with one of theirs.
const LAZY_GRACE: Duration = Duration::from_millis(250);
/// How long it waits after that has failed.
const LAZY_RETRY: Duration = Duration::from_secs(1);

/// Pages in the log after which it is copied into the database when nobody waits: 8 MiB, so that a busy page is copied once
/// for many commits.
pub(super) const LOG_PAGES: u32 = 2_048;
/// And after which it is copied whoever waits.
const MAX_LOG_PAGES: u32 = 2 * LOG_PAGES;

thread_local! {
    /// Pages in the log after what this thread has committed last.
    static LOGGED: Cell<u32> = const { Cell::new(0) };
}

/// Has a connection that commits count the log. SQLite would put the log into the database itself, within a commit; with this it
/// does not.
pub(super) fn count_log(connection: &Connection) {
    connection.wal_hook(Some(|_, pages| {
        LOGGED.set(pages.unsigned_abs());
        Ok(())
    }));
}

/// What the writer is sent.
pub(super) enum Message {
    /// Do this, with whatever else waits. The permit bounds how many wait.
    Job(Box<dyn Job>, OwnedSemaphorePermit),
    /// The same, with what waits in [`Marks`].
    Settle(Box<dyn Job>, OwnedSemaphorePermit),
    /// Something waits in [`Marks`].
    Lazy,
    /// Write everything down, put the log into the database and end.
    Close(oneshot::Sender<Result<(), StoreError>>),
}

/// The thread's half.
pub(super) struct Writer {
    settings: Settings,
    clock: Arc<dyn Clock>,
    marks: Arc<Marks>,
    messages: Receiver<Message>,
    /// None after a failure that may be the connection's own.
    connection: Option<Connection>,
    identity: FileIdentity,
    next_sequence: u64,
    /// Up to where the database knows what was published.
    noted: u64,
    /// When what may be written later is written at last.
    lazy_due: Option<Instant>,
    /// Whether the last transaction failed: its return is worth a line in the log.
    is_failing: bool,
    /// The lock on the database; given back when the thread ends, after everything is written.
    _lock: File,
}

/// Where a transaction leaves the counters.
struct Kept {
    next_sequence: u64,
    horizon: u64,
    refused: Vec<Option<Failure>>,
}

impl Writer {
    pub(super) fn new(
        settings: Settings,
        clock: Arc<dyn Clock>,
        opened: open::Opened,
        messages: Receiver<Message>,
    ) -> rusqlite::Result<Self> {
        let (published, horizon, last): (i64, i64, i64) = opened.connection.query_row(
            "SELECT published, horizon, (SELECT coalesce(max(seq), 0) FROM events) FROM node",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )?;
        let marks = Marks::default();
        // The horizon may have been written down before the publication of the same events was.
        marks
            .published
            .store(unsigned(published.max(horizon)), Ordering::Release);
        marks.horizon.store(unsigned(horizon), Ordering::Release);
        Ok(Self {
            settings,
            clock,
            marks: Arc::new(marks),
            messages,
            connection: Some(opened.connection),
            identity: opened.identity,
            // Numbers are never given twice, also when everything was swept.
            next_sequence: unsigned(last.max(published).max(horizon)) + 1,
            noted: unsigned(published),
            lazy_due: None,
            is_failing: false,
            _lock: opened.lock,
        })
    }

    pub(super) fn marks(&self) -> Arc<Marks> {
        Arc::clone(&self.marks)
    }

    /// Works until it is told to close or every handle is gone, and writes everything down before it ends.
    pub(super) fn run(mut self) {
        let mut jobs: Vec<(Box<dyn Job>, OwnedSemaphorePermit)> = Vec::new();
        loop {
            let first = self.next();
            let mut close = None;
            let mut is_over = false;
            let mut is_asked_to_settle = false;
            match first {
                Ok(message) => {
                    let waiting = std::iter::once(message).chain(std::iter::from_fn(|| self.messages.try_recv().ok()));
                    for message in waiting.take(MAX_JOBS) {
                        match message {
                            Message::Job(job, permit) => jobs.push((job, permit)),
                            Message::Settle(job, permit) => {
                                jobs.push((job, permit));
                                is_asked_to_settle = true;
                            }
                            Message::Lazy => self.lazy_due = self.lazy_due.or(Some(Instant::now() + LAZY_DELAY)),
                            Message::Close(answer) => close = Some(answer),
                        }
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => is_over = true,
            }
            let patience = if jobs.is_empty() { Duration::ZERO } else { LAZY_GRACE };
            let is_due = self.lazy_due.is_some_and(|due| due + patience <= Instant::now());
            self.process(&mut jobs, is_due || is_asked_to_settle);
            if close.is_some() || is_over {
                let outcome = self.finish();
                if let Some(answer) = close {
                    drop(answer.send(outcome.map_err(StoreError::from)));
                } else if let Err(error) = outcome {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "could not close the database in order"
                    );
                }
                return;
            }
        }
    }

    /// The next message. While there is none, a log that has grown long is put into the database: that takes as long as many
    /// commits, and now nobody waits for it.
    fn next(&mut self) -> Result<Message, RecvTimeoutError> {
        if LOGGED.get() >= LOG_PAGES {
            match self.messages.try_recv() {
                Ok(message) => return Ok(message),
                Err(TryRecvError::Empty) => drop(self.empty_the_log()),
                Err(TryRecvError::Disconnected) => return Err(RecvTimeoutError::Disconnected),
            }
        }
        match self.lazy_due {
            Some(due) => self
                .messages
                .recv_timeout(due.saturating_duration_since(Instant::now())),
            None => self.messages.recv().or(Err(RecvTimeoutError::Disconnected)),
        }
    }

    /// Does all jobs in one transaction and answers them. `with_lazy`: what may be written later is written now; not every
    /// time, as it dirties more pages than an alert.
    fn process(&mut self, jobs: &mut Vec<(Box<dyn Job>, OwnedSemaphorePermit)>, with_lazy: bool) {
        let mut lazy = Lazy::default();
        if with_lazy {
            std::mem::swap(&mut *self.marks.lazy(), &mut lazy);
            self.lazy_due = None;
        }
        if jobs.is_empty() && lazy.is_empty() {
            return;
        }
        let outcome = self.transact(jobs, &lazy, false).or_else(|failure| match &failure {
            Failure::Database(error) if is_of_the_work(error) => self.transact(jobs, &lazy, true),
            Failure::Database(error) if is_disk_full(error) && self.empty_the_log() => self.transact(jobs, &lazy, true),
            Failure::Database(_) | Failure::Displaced | Failure::File(_) | Failure::Closed | Failure::OtherBus => {
                Err(failure)
            }
        });
        match outcome {
            Ok(kept) => {
                self.next_sequence = kept.next_sequence;
                self.marks.horizon.store(kept.horizon, Ordering::Release);
                if self.is_failing {
                    tracing::info!(store.path = %self.settings.path.display(), "the database can be written to again");
                    self.is_failing = false;
                }
                for ((job, _permit), refused) in jobs.drain(..).zip(kept.refused) {
                    job.answer(refused.map_or(Ok(()), Err));
                }
                if LOGGED.get() >= MAX_LOG_PAGES {
                    self.empty_the_log();
                }
            }
            Err(failure) => {
                if !self.is_failing {
                    tracing::error!(
                        store.path = %self.settings.path.display(),
                        error = &failure as &dyn std::error::Error,
                        "the database cannot be written to"
                    );
                    self.is_failing = true;
                }
                if !lazy.is_empty() {
                    self.marks.lazy().restore(lazy);
                    self.lazy_due = Some(Instant::now() + LAZY_RETRY);
                }
                for (job, _permit) in jobs.drain(..) {
                    job.answer(Err(failure.clone()));
                }
            }
        }
    }

    fn transact(
        &mut self,
        jobs: &mut [(Box<dyn Job>, OwnedSemaphorePermit)],
        lazy: &Lazy,
        is_fenced: bool,
    ) -> Result<Kept, Failure> {
        self.look_for_the_file()?;
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => open::connect_writer(&self.settings)?,
        };
        let mut transaction = Transaction {
            connection: &connection,
            now: self.clock.now(),
            next_sequence: self.next_sequence,
            horizon: self.marks.horizon.load(Ordering::Acquire),
            published: self.marks.published.load(Ordering::Acquire),
            raised: Raised::default(),
            is_fenced,
        };
        match commit(&mut transaction, jobs, lazy, self.noted) {
            Ok(refused) => {
                let kept = Kept {
                    next_sequence: transaction.next_sequence,
                    horizon: transaction.horizon,
                    refused,
                };
                self.noted = transaction.published;
                self.marks.transactions.fetch_add(1, Ordering::Relaxed);
                self.connection = Some(connection);
                Ok(kept)
            }
            Err(error) => {
                let is_over = connection.is_autocommit() || connection.execute_batch("ROLLBACK").is_ok();
                if is_over && is_harmless_to_the_connection(&error) {
                    self.connection = Some(connection);
                }
                Err(error.into())
            }
        }
    }

    /// SQLite would go on writing into a file that was removed, and everything would be gone with the process. Asking costs a
    /// microsecond, where a commit costs a wait for the disk.
    fn look_for_the_file(&self) -> Result<(), Failure> {
        match FileIdentity::at(&self.settings.path) {
            Ok(identity) if identity == self.identity => Ok(()),
            Ok(_) => Err(Failure::Displaced),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(Failure::Displaced),
            Err(error) => Err(Failure::File(Arc::new(error))),
        }
    }

    /// Copies the write-ahead log into the database, so that its space is used again. Whether there was any to be won.
    fn empty_the_log(&mut self) -> bool {
        LOGGED.set(0); // until the next commit, which sees how far this has come
        let log = self
            .connection
            .as_ref()
            .map(|connection| checkpoint(connection, "PASSIVE"));
        // Where it cannot be done the log grows: nothing is lost, and the transaction that finds no room for it says so.
        matches!(log, Some(Ok(log)) if log.pages > 0 && log.pages == log.copied)
    }

    fn finish(&mut self) -> Result<(), Failure> {
        let left: Vec<_> = std::iter::from_fn(|| self.messages.try_recv().ok()).collect();
        let mut jobs = Vec::new();
        for message in left {
            match message {
                Message::Job(job, permit) | Message::Settle(job, permit) => jobs.push((job, permit)),
                Message::Lazy | Message::Close(_) => {}
            }
        }
        if !jobs.is_empty() || self.marks.has_lazy() {
            self.process(&mut jobs, true);
        }
        let Some(connection) = self.connection.take() else {
            return Err(Failure::Closed);
        };
        // Readers that are still at work keep the log from being emptied; it is complete all the same.
        checkpoint(&connection, "TRUNCATE")?;
        connection.close().map_err(|(_, error)| Failure::from(error))
    }
}

/// The write-ahead log.
struct Log {
    /// Its pages.
    pages: i64,
    /// How many of them are in the database as well.
    copied: i64,
}

/// Puts the log into the database, as far as `mode` says and readers allow.
fn checkpoint(connection: &Connection, mode: &str) -> rusqlite::Result<Log> {
    connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| {
        Ok(Log {
            pages: row.get(1)?,
            copied: row.get(2)?,
        })
    })
}

/// Which jobs were refused; all others are committed.
fn commit(
    transaction: &mut Transaction<'_>,
    jobs: &mut [(Box<dyn Job>, OwnedSemaphorePermit)],
    lazy: &Lazy,
    noted: u64,
) -> rusqlite::Result<Vec<Option<Failure>>> {
    transaction.execute("BEGIN IMMEDIATE", [])?;
    let mut refused = Vec::with_capacity(jobs.len());
    for (job, _) in jobs {
        if transaction.is_fenced {
            match transaction.fence(|inner| job.run(inner), |()| true) {
                Err(error) if is_of_the_work(&error) => refused.push(Some(error.into())),
                outcome => refused.push(outcome.map(|()| None)?),
            }
        } else {
            job.run(transaction)?;
            refused.push(None);
        }
    }
    epochs::widen(transaction)?;
    if transaction.published > noted {
        let published = signed(transaction.published);
        transaction.execute(
            "UPDATE node SET published = max(published, ?1) WHERE id = 1",
            [published],
        )?;
    }
    write_down(transaction, lazy)?;
    transaction.execute("COMMIT", [])?;
    Ok(refused)
}

fn write_down(transaction: &Transaction<'_>, lazy: &Lazy) -> rusqlite::Result<()> {
    for (through, at) in &lazy.published {
        transaction.execute(
            "INSERT OR IGNORE INTO publications (through, at) VALUES (?1, ?2)",
            (signed(*through), at.as_micros()),
        )?;
    }
    for (event, (delivered, recovered)) in &lazy.receipts {
        append::add_receipt(transaction, *event, *delivered, *recovered)?;
    }
    Ok(())
}
