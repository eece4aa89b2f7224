//! The spool's file: SQLite at full sync, so that what is in it survives a power cut.
//!
//! One connection, used by one caller at a time on a blocking thread: a commit of the whole batch is one wait for the disk.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

use super::record::Record;
use super::{OpenError, Settings, facts};
use crate::domain::{Event, EventId, Fact, Position, TenantId, Timestamp, Topic};
use crate::ports::{Append, Appended, SPOOLED, StoreError};

const SCHEMA: &str = "
CREATE TABLE appends (
  n         INTEGER PRIMARY KEY AUTOINCREMENT,
  stored_at INTEGER NOT NULL,
  scope     TEXT,
  key       TEXT,
  fingerprint BLOB,
  outcome   TEXT,
  body      TEXT NOT NULL -- JSON
) STRICT;
CREATE INDEX appends_by_key ON appends (scope, key) WHERE key IS NOT NULL;
-- Numbers are never given twice, also when the spool was emptied in between.
CREATE TABLE events (
  number       INTEGER PRIMARY KEY AUTOINCREMENT,
  id           BLOB    NOT NULL UNIQUE,
  append       INTEGER NOT NULL REFERENCES appends (n) ON DELETE CASCADE,
  place        INTEGER NOT NULL, -- in its append
  suppressed   INTEGER NOT NULL,
  major        INTEGER, -- the position, once it is published
  minor        INTEGER,
  published_at INTEGER
) STRICT;
CREATE INDEX events_of_append ON events (append, place);
-- What the store refused to take over. A person must look.
CREATE TABLE refused (
  n         INTEGER PRIMARY KEY,
  stored_at INTEGER NOT NULL,
  body      TEXT    NOT NULL
) STRICT;
";
/// Ours, so that no other program's database is taken for a spool.
const APPLICATION_ID: i32 = 0x7762_7370;
const VERSION: i32 = 1;

/// An append that waits for the store.
pub(super) struct Waiting {
    pub(super) n: i64,
    pub(super) append: Append,
    pub(super) stored_at: Timestamp,
    /// Of each event: where it was published, if it was.
    pub(super) published: Vec<Option<(Position, Timestamp)>>,
    /// Whether every event of it is published, or suppressed.
    pub(super) is_settled: bool,
}

/// The file. Clones share it.
#[derive(Clone)]
pub(super) struct File(Arc<Mutex<Connection>>);

impl File {
    pub(super) fn open(settings: &Settings) -> Result<Self, OpenError> {
        let failed = |source| OpenError {
            path: settings.path.clone(),
            source,
        };
        let connection = connect(&settings.path, settings.max_bytes).map_err(failed)?;
        Ok(Self(Arc::new(Mutex::new(connection))))
    }

    /// Runs `work` on a blocking thread.
    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let connection = Arc::clone(&self.0);
        let done = tokio::task::spawn_blocking(move || {
            let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
            work(&mut connection)
        });
        match done.await {
            Ok(outcome) => outcome.map_err(|error| StoreError::Unavailable(Box::new(error))),
            Err(error) => Err(StoreError::Unavailable(Box::new(error))),
        }
    }

    /// Keeps all appends that can be kept without the store, in one transaction.
    pub(super) async fn keep(&self, batch: Vec<Append>, now: Timestamp) -> Result<Vec<Appended>, StoreError> {
        self.with(move |connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let outcomes = batch
                .iter()
                .map(|append| keep_one(&transaction, append, now))
                .collect::<rusqlite::Result<_>>()?;
            transaction.commit()?;
            Ok(outcomes)
        })
        .await
    }

    /// What was answered under this key, if it is here.
    pub(super) async fn outcome_of(
        &self,
        scope: String,
        key: String,
    ) -> Result<Option<([u8; 32], String)>, StoreError> {
        self.with(move |connection| outcome_of(connection, &scope, &key)).await
    }

    /// Notes where events were published. What has been moved into the store since is the store's.
    pub(super) async fn note(&self, published: Vec<(u64, Position)>, at: Timestamp) -> Result<(), StoreError> {
        self.with(move |connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            for (number, position) in published {
                transaction
                    .prepare_cached(
                        "UPDATE events SET major = ?2, minor = ?3, published_at = ?4 WHERE number = ?1 AND major IS NULL",
                    )?
                    .execute((number_in(number), signed(position.major), signed(position.minor), at.as_micros()))?;
            }
            transaction.commit()
        })
        .await
    }

    /// Events that are not published, oldest first.
    pub(super) async fn unpublished(&self, limit: usize) -> Result<Vec<(u64, Event)>, StoreError> {
        self.with(move |connection| {
            let mut found = connection.prepare_cached(
                "SELECT e.number, e.place, a.body FROM events e JOIN appends a ON a.n = e.append \
                 WHERE e.major IS NULL AND NOT e.suppressed ORDER BY e.number LIMIT ?1",
            )?;
            let found = found.query_map([i64::try_from(limit).unwrap_or(i64::MAX)], |row| {
                let place: i64 = row.get(1)?;
                let append = append_of(row.get_ref(2)?.as_str()?, 2)?;
                let event = append
                    .events
                    .get(usize::try_from(place).unwrap_or(usize::MAX))
                    .map(|event| (**event).clone());
                Ok(event.map(|event| Ok::<_, rusqlite::Error>((number_out(row.get(0)?), event))))
            })?;
            found.filter_map(Result::transpose).map(|event| event?).collect()
        })
        .await
    }

    /// One event that is here, when it was kept, and where it was published.
    pub(super) async fn event(
        &self,
        id: EventId,
    ) -> Result<Option<(Event, Timestamp, Option<(Position, Timestamp)>)>, StoreError> {
        self.with(move |connection| {
            let found = connection
                .prepare_cached("SELECT append, place FROM events WHERE id = ?1")?
                .query_row([&id.as_uuid().as_bytes()[..]], |row| {
                    Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
                })
                .optional()?;
            let Some((n, place)) = found else { return Ok(None) };
            let place = usize::try_from(place).unwrap_or(usize::MAX);
            let waiting = waiting(connection, n, 1)?.pop();
            Ok(waiting.and_then(|waiting| {
                let event = waiting.append.events.get(place).map(|event| (**event).clone())?;
                Some((
                    event,
                    waiting.stored_at,
                    waiting.published.get(place).copied().flatten(),
                ))
            }))
        })
        .await
    }

    /// What was said last of a thing, if that waits here.
    pub(super) async fn fact(&self, tenant: TenantId, topic: Topic, id: String) -> Result<Option<Fact>, StoreError> {
        self.with(move |connection| facts::last(connection, &tenant, topic, &id))
            .await
    }

    /// The oldest appends.
    pub(super) async fn oldest(&self, limit: usize) -> Result<Vec<Waiting>, StoreError> {
        self.with(move |connection| waiting(connection, 0, limit)).await
    }

    /// Removes what the store has taken over.
    pub(super) async fn remove(&self, moved: Vec<i64>) -> Result<(), StoreError> {
        self.with(move |connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            for n in moved {
                transaction
                    .prepare_cached("DELETE FROM appends WHERE n = ?1")?
                    .execute([n])?;
            }
            transaction.commit()
        })
        .await
    }

    /// Puts aside what the store will never take over.
    pub(super) async fn put_aside(&self, n: i64) -> Result<(), StoreError> {
        self.with(move |connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            transaction.execute(
                "INSERT INTO refused SELECT n, stored_at, body FROM appends WHERE n = ?1",
                [n],
            )?;
            transaction.execute("DELETE FROM appends WHERE n = ?1", [n])?;
            transaction.commit()
        })
        .await
    }

    /// How many appends are here.
    pub(super) async fn count(&self) -> Result<u64, StoreError> {
        self.with(|connection| connection.query_row("SELECT count(*) FROM appends", [], |row| row.get::<_, i64>(0)))
            .await
            .map(|count| u64::try_from(count).unwrap_or(0))
    }
}

fn connect(path: &Path, max_bytes: u64) -> rusqlite::Result<Connection> {
    if let Some(folder) = path.parent() {
        // If it cannot be made, opening says why.
        drop(std::fs::create_dir_all(folder));
    }
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(std::time::Duration::from_millis(500))?;
    // Before anything is read: from then on no other process has it.
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    let version: i32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let application: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    match (application, version, tables) {
        (0, 0, 0) => connection.execute_batch(&format!(
            "BEGIN EXCLUSIVE; {SCHEMA} PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION}; COMMIT"
        ))?,
        (APPLICATION_ID, VERSION, _) => connection.execute_batch("BEGIN EXCLUSIVE; COMMIT")?,
        _ => return Err(rusqlite::Error::InvalidPath(path.to_owned())),
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Exclusive)?;
    facts::prepare(&transaction)?;
    transaction.commit()?;
    let page: u64 = connection
        .pragma_query_value(None, "page_size", |row| row.get::<_, i64>(0))?
        .unsigned_abs();
    let pages = i64::try_from(max_bytes / page.max(1)).unwrap_or(i64::MAX).max(1);
    connection.pragma_update(None, "max_page_count", pages)?;
    Ok(connection)
}

fn keep_one(connection: &Connection, append: &Append, now: Timestamp) -> rusqlite::Result<Appended> {
    if let Some(once) = &append.once
        && let Some((fingerprint, outcome)) = outcome_of(connection, &once.scope, &once.key)?
    {
        return Ok(if fingerprint == once.fingerprint {
            Appended::Repeated(outcome)
        } else {
            Appended::KeyReused
        });
    }
    // Decided again, it asks the store how things are, and is told that the store is away.
    let Some(record) = Record::of(append) else {
        return Ok(Appended::Conflict);
    };
    for event in &append.events {
        let mut taken = connection.prepare_cached("SELECT 1 FROM events WHERE id = ?1")?;
        if taken.exists([&event.id.as_uuid().as_bytes()[..]])? {
            return Ok(Appended::Conflict);
        }
    }
    let body =
        serde_json::to_string(&record).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
    let once = append.once.as_ref();
    connection
        .prepare_cached(
            "INSERT INTO appends (stored_at, scope, key, fingerprint, outcome, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute((
            now.as_micros(),
            once.map(|once| once.scope.as_str()),
            once.map(|once| once.key.as_str()),
            once.map(|once| &once.fingerprint[..]),
            once.map(|once| once.outcome.as_str()),
            body,
        ))?;
    let n = connection.last_insert_rowid();
    facts::note(connection, n, append)?;
    let mut numbers = Vec::with_capacity(append.events.len());
    for (place, event) in append.events.iter().enumerate() {
        let is_suppressed = event.alert.as_ref().is_some_and(|alert| alert.is_suppressed);
        connection
            .prepare_cached("INSERT INTO events (id, append, place, suppressed) VALUES (?1, ?2, ?3, ?4)")?
            .execute((
                &event.id.as_uuid().as_bytes()[..],
                n,
                i64::try_from(place).unwrap_or(i64::MAX),
                is_suppressed,
            ))?;
        numbers.push(number_out(connection.last_insert_rowid()));
    }
    Ok(Appended::Spooled(numbers))
}

fn outcome_of(connection: &Connection, scope: &str, key: &str) -> rusqlite::Result<Option<([u8; 32], String)>> {
    let mut found = connection
        .prepare_cached("SELECT fingerprint, outcome FROM appends WHERE scope = ?1 AND key = ?2 AND key IS NOT NULL")?;
    found
        .query_row([scope, key], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()
}

fn waiting(connection: &Connection, from: i64, limit: usize) -> rusqlite::Result<Vec<Waiting>> {
    let mut found =
        connection.prepare_cached("SELECT n, stored_at, body FROM appends WHERE n >= ?1 ORDER BY n LIMIT ?2")?;
    let mut found = found.query((from, i64::try_from(limit).unwrap_or(i64::MAX)))?;
    let mut all = Vec::new();
    while let Some(row) = found.next()? {
        let n = row.get(0)?;
        let append = append_of(row.get_ref(2)?.as_str()?, 2)?;
        let mut events = connection.prepare_cached(
            "SELECT suppressed, major, minor, published_at FROM events WHERE append = ?1 ORDER BY place",
        )?;
        let events = events.query_map([n], |row| {
            let published = match (
                row.get::<_, Option<i64>>(1)?,
                row.get::<_, Option<i64>>(2)?,
                row.get::<_, Option<i64>>(3)?,
            ) {
                (Some(major), Some(minor), Some(at)) => {
                    let position = Position {
                        major: major.unsigned_abs(),
                        minor: minor.unsigned_abs(),
                    };
                    Some((position, Timestamp::from_micros(at)))
                }
                _ => None,
            };
            Ok((row.get::<_, bool>(0)?, published))
        })?;
        let events = events.collect::<rusqlite::Result<Vec<_>>>()?;
        all.push(Waiting {
            n,
            append,
            stored_at: Timestamp::from_micros(row.get(1)?),
            is_settled: events
                .iter()
                .all(|(is_suppressed, published)| *is_suppressed || published.is_some()),
            published: events.into_iter().map(|(_, published)| published).collect(),
        });
    }
    Ok(all)
}

pub(super) fn append_of(body: &str, column: usize) -> rusqlite::Result<Append> {
    let record: Record = serde_json::from_str(body).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
    })?;
    Ok(record.into_append())
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn number_in(number: u64) -> i64 {
    signed(number.saturating_sub(SPOOLED))
}

fn number_out(number: i64) -> u64 {
    SPOOLED.saturating_add(number.unsigned_abs())
}
