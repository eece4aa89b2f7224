//! The store of a single node: one SQLite file, nothing to install.
//!
//! One thread writes (`writer`): whatever waits is committed together, at full sync. A few connections read beside it
//! (`reader`). Here a position is the event's sequence number, so that an event is published is one number for all of them,
//! which is kept in memory and written down with the next transaction.

mod append;
mod epochs;
mod events;
mod failure;
mod history;
mod inspect;
mod marks;
mod open;
mod reader;
mod rows;
mod sessions;
mod state;
mod sweep;
mod transaction;
mod writer;

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::clock::Clock;
use crate::ports::StoreError;
use failure::Failure;
use marks::Marks;
use reader::Readers;
use transaction::{Job, Transaction, Work};
use writer::{Message, Writer};

pub use open::OpenError;

/// Jobs that may wait for the writer. Beyond that, whoever comes waits for a place, without holding up a thread.
const MAX_WAITING: usize = 16_384;

/// Where the database is and how it is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The database file. `-wal`, `-shm` and `.lock` files stand beside it.
    pub path: PathBuf,
    /// How long to wait for another program that has the database locked (a backup, for example).
    pub busy_timeout: Duration,
    /// Reads that may run at the same time.
    pub readers: usize,
    /// The database may grow to this many bytes; beyond that it is as if the disk were full.
    pub max_bytes: Option<u64>,
    /// How long the check of the whole file at start may take. A larger file is only partly checked.
    pub integrity_check: Duration,
}

impl Settings {
    /// The usual settings for a database at `path`.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            busy_timeout: Duration::from_secs(2),
            readers: 4,
            max_bytes: None,
            integrity_check: Duration::from_secs(2),
        }
    }
}

/// A store in one SQLite file, of which it is the only writer.
///
/// Dropping it does what [`close`](crate::ports::EventStore::close) does, and holds up its thread meanwhile.
pub struct SqliteStore {
    readers: Arc<Readers>,
    marks: Arc<Marks>,
    waiting: Arc<Semaphore>,
    messages: mpsc::Sender<Message>,
    /// None once it has ended.
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl SqliteStore {
    /// Opens the database, creating it and its folder if nothing is there. Blocks on the disk.
    ///
    /// # Errors
    /// [`OpenError`]; whatever is there is left as it was found.
    pub fn open(settings: Settings, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let in_database = |source| OpenError::Database {
            path: settings.path.clone(),
            source,
        };
        let opened = open::open(&settings)?;
        let (messages, inbox) = mpsc::channel();
        let writer = Writer::new(settings.clone(), clock, opened, inbox).map_err(in_database)?;
        let marks = writer.marks();
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || writer.run());
        let thread = thread.map_err(|source| OpenError::File {
            path: settings.path.clone(),
            source,
        })?;
        Ok(Self {
            readers: Arc::new(Readers::new(settings)),
            marks,
            waiting: Arc::new(Semaphore::new(MAX_WAITING)),
            messages,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// How many transactions were committed since it was opened.
    pub fn transactions(&self) -> u64 {
        self.marks.transactions.load(Ordering::Relaxed)
    }

    /// Writes everything down, puts the write-ahead log into the database and closes it.
    async fn finish(&self) -> Result<(), StoreError> {
        self.readers.close();
        let (answer, answered) = oneshot::channel();
        self.messages.send(Message::Close(answer)).or(Err(Failure::Closed))?;
        let outcome = answered.await.or(Err(Failure::Closed))?;
        self.join(); // it has answered with the last thing it does: the lock is free in a moment
        outcome
    }

    fn join(&self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that writes the database has panicked");
        }
    }

    /// Has the writer do `work` in its next transaction, together with whatever else waits.
    async fn write<T: Send + 'static>(
        &self,
        work: impl FnMut(&mut Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.send(work, Message::Job).await
    }

    /// Has the writer write down what may be written later.
    async fn settle(&self) -> Result<(), StoreError> {
        self.send(|_| Ok(()), Message::Settle).await
    }

    async fn send<T: Send + 'static>(
        &self,
        work: impl FnMut(&mut Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
        message: impl FnOnce(Box<dyn Job>, OwnedSemaphorePermit) -> Message,
    ) -> Result<T, StoreError> {
        let permit = Arc::clone(&self.waiting)
            .acquire_owned()
            .await
            .or(Err(Failure::Closed))?;
        let (answer, answered) = oneshot::channel();
        let message = message(Box::new(Work::new(work, answer)), permit);
        self.messages.send(message).or(Err(Failure::Closed))?;
        answered.await.or(Err(Failure::Closed))?
    }

    /// Lets the writer know that something may be written down, when there is time.
    fn remind(&self) {
        // A writer that is gone says so to whoever asks it for something.
        drop(self.messages.send(Message::Lazy));
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.readers.read(work).await
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.readers.close();
        let (answer, _) = oneshot::channel();
        if self.messages.send(Message::Close(answer)).is_ok() {
            self.join();
        }
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore")
            .field("transactions", &self.transactions())
            .finish_non_exhaustive()
    }
}
