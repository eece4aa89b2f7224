//! From a path to connections: creates what is not there, and refuses what is not ours or not whole before touching it.
//!
//! A file that is refused is left as it was found: it may be the only copy of somebody's alerts.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read as _};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags, ffi};
use rusqlite_migration::{M, Migrations};

use super::Settings;
use super::inspect::{check, inspect};
use super::writer;

/// `PRAGMA application_id` of our files: "wdbl".
pub(super) const APPLICATION_ID: u32 = 0x7764_626c;
/// Only the owner: the file holds patient data.
const FILE_MODE: u32 = 0o600;
/// Only the owner, for folders that we create.
const FOLDER_MODE: u32 = 0o700;
/// How long the lock is waited for: a predecessor may still be ending, and a process that is just being started holds a copy of
/// its parent's locks for a moment.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);
/// How often it is asked for meanwhile.
const LOCK_RETRY: Duration = Duration::from_millis(20);
/// Bytes of the log for each of its pages: a header and the page.
const FRAME_BYTES: u64 = 24 + 4_096;
/// The log is cut back to this many bytes after it has grown beyond.
const LOG_BYTES: u32 = 64 << 20;
/// Page cache of the writer, in KiB.
const WRITER_CACHE_KIB: i32 = 32 << 10;
/// Page cache of each reader, in KiB.
const READER_CACHE_KIB: i32 = 4 << 10;
/// Statements that a connection keeps prepared: all of the writer's, and every shape of history query.
const STATEMENTS: usize = 128;
/// The smallest page that SQLite knows, in bytes.
pub(super) const MIN_PAGE_BYTES: u64 = 512;

pub(super) static STEPS: &[M<'static>] = &[
    M::up(include_str!("migrations/0001_first.sql")),
    M::up(include_str!("migrations/0002_ehr.sql")),
];
pub(super) const MIGRATIONS: Migrations<'static> = Migrations::from_slice(STEPS);

/// Why a store cannot be opened. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process (or store of this one) has it open.
    #[error("{} is in use by another process (it holds the lock on {})", path.display(), lock.display())]
    InUse {
        /// The database.
        path: PathBuf,
        /// The file whose lock says so.
        lock: PathBuf,
    },
    /// A file or folder cannot be created, read or written.
    #[error("cannot use {}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// What is there is not a database of this server.
    #[error("{} {what}; it is left as it is. Name another path, or move the file away", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        what: &'static str,
    },
    /// It is a database of this server and not whole.
    #[error("{} is damaged: {what}; it is left as it is. Restore it from a backup, or move it away", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A newer version of this server wrote it.
    #[error("{} was written by a newer version (schema {found}, this one knows {known}); it is left as it is", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema's version.
        found: usize,
        /// The latest version that this server knows.
        known: usize,
    },
    /// SQLite refuses.
    #[error("cannot open {}", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
    /// The schema could not be brought up to date.
    #[error("cannot bring {} up to date", path.display())]
    Migration {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rusqlite_migration::Error,
    },
}

/// A database that was found whole or was created, and that no other process has.
#[derive(Debug)]
pub(super) struct Opened {
    /// The writer's connection.
    pub(super) connection: Connection,
    /// Which file it is, as long as it is there.
    pub(super) identity: FileIdentity,
    /// Held as long as the store is open.
    pub(super) lock: File,
}

/// A file's device and inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileIdentity {
    device: u64,
    inode: u64,
}

impl FileIdentity {
    /// Of the file that is at `path` now. Does not open it: closing it again would drop SQLite's own locks.
    pub(super) fn at(path: &Path) -> io::Result<Self> {
        fs::metadata(path).map(|metadata| Self {
            device: metadata.dev(),
            inode: metadata.ino(),
        })
    }
}

/// Opens the database at `settings.path`, creating it and its folder if nothing is there.
pub(super) fn open(settings: &Settings) -> Result<Opened, OpenError> {
    let path = settings.path.as_path();
    create_folder(path)?;
    let lock = lock(path)?;
    if exists(path)? {
        inspect(path)?;
        restrict(path);
        check(settings)?;
    } else {
        create(settings)?;
    }
    let identity = FileIdentity::at(path).map_err(in_file(path))?;
    let mut connection = connect_writer(settings).map_err(in_database(path))?;
    MIGRATIONS
        .to_latest(&mut connection)
        .map_err(|source| OpenError::Migration {
            path: path.to_owned(),
            source,
        })?;
    lay_out_log(path);
    Ok(Opened {
        connection,
        identity,
        lock,
    })
}

/// Makes the write-ahead log as long as it gets before it is used again. What is behind its last frame means nothing (file
/// format §4.1), but a commit into a file that grows waits for the disk a third longer, and the room is the log's from now on.
fn lay_out_log(path: &Path) {
    let path = beside(path, "-wal");
    let laid_out = OpenOptions::new().append(true).open(&path).and_then(|mut log| {
        let length = log.metadata()?.len();
        let mut zeros = io::repeat(0).take((u64::from(writer::LOG_PAGES) * FRAME_BYTES).saturating_sub(length));
        let written = io::copy(&mut zeros, &mut log).and_then(|_| log.sync_all());
        if written.is_err() {
            log.set_len(length)?;
        }
        written
    });
    if let Err(error) = laid_out {
        tracing::debug!(store.path = %path.display(), error = &error as &dyn std::error::Error,
            "no room to lay out the write-ahead log; it grows when it must");
    }
}

/// A connection that writes. The file must be there: a store whose file was taken away must not go on with an empty one.
pub(super) fn connect_writer(settings: &Settings) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(&settings.path, flags)?;
    if connection.is_readonly(rusqlite::MAIN_DB)? {
        // SQLite opens a file that it may not write to all the same, and would fail with every commit.
        return Err(rusqlite::Error::SqliteFailure(
            ffi::Error::new(ffi::SQLITE_READONLY),
            None,
        ));
    }
    prepare(&connection, settings, WRITER_CACHE_KIB)?;
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| {
        match row.get::<_, String>(0)?.as_str() {
            "wal" => Ok(()),
            other => Err(rusqlite::Error::SqliteFailure(
                ffi::Error::new(ffi::SQLITE_CANTOPEN),
                Some(format!("journal_mode stays {other} instead of wal")),
            )),
        }
    })?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    writer::count_log(&connection);
    connection.pragma_update_and_check(None, "journal_size_limit", LOG_BYTES, |_| Ok(()))?;
    if let Some(bytes) = settings.max_bytes {
        let page_bytes: u64 = connection
            .pragma_query_value(None, "page_size", |row| row.get::<_, u32>(0))?
            .into();
        let pages = u32::try_from(bytes / page_bytes.max(MIN_PAGE_BYTES)).unwrap_or(u32::MAX - 1);
        connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
    }
    Ok(connection)
}

/// A connection that reads, beside the writer and without waiting for it.
pub(super) fn connect_reader(settings: &Settings) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(&settings.path, flags)?;
    prepare(&connection, settings, READER_CACHE_KIB)?;
    Ok(connection)
}

fn prepare(connection: &Connection, settings: &Settings, cache_kib: i32) -> rusqlite::Result<()> {
    connection.busy_timeout(settings.busy_timeout)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.pragma_update(None, "cache_size", -cache_kib)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "trusted_schema", false)
}

fn create_folder(path: &Path) -> Result<(), OpenError> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => DirBuilder::new()
            .recursive(true)
            .mode(FOLDER_MODE)
            .create(folder)
            .map_err(in_file(folder)),
        Some(_) | None => Ok(()),
    }
}

/// Takes the lock beside the database. The system gives it back when the process ends, however it ends.
fn lock(path: &Path) -> Result<File, OpenError> {
    let lock_path = beside(path, ".lock");
    let mut options = OpenOptions::new();
    let lock = options
        .write(true)
        .create(true)
        .truncate(false)
        .mode(FILE_MODE)
        .open(&lock_path);
    let lock = lock.map_err(in_file(&lock_path))?;
    let begun = Instant::now();
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            Err(TryLockError::WouldBlock) if begun.elapsed() < LOCK_PATIENCE => std::thread::sleep(LOCK_RETRY),
            Err(TryLockError::WouldBlock) => {
                return Err(OpenError::InUse {
                    path: path.to_owned(),
                    lock: lock_path,
                });
            }
            Err(TryLockError::Error(source)) => {
                return Err(OpenError::File {
                    path: lock_path,
                    source,
                });
            }
        }
    }
}

fn exists(path: &Path) -> Result<bool, OpenError> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => Ok(true),
        Ok(_) => Err(OpenError::Foreign {
            path: path.to_owned(),
            what: "is not a file",
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(OpenError::File {
            path: path.to_owned(),
            source,
        }),
    }
}

/// Creates an empty database under another name and moves it into place when it is complete. So a file at `path` is never
/// half a database of ours, and one that is empty was cut off by somebody.
fn create(settings: &Settings) -> Result<(), OpenError> {
    let path = settings.path.as_path();
    for ending in ["-wal", "-journal"] {
        let left_over = beside(path, ending);
        if fs::metadata(&left_over).is_ok_and(|metadata| metadata.len() > 0) {
            let what = format!(
                "it is gone, and {} is still there with what was written last",
                left_over.display()
            );
            return Err(OpenError::Damaged {
                path: path.to_owned(),
                what,
            });
        }
    }
    let draft = beside(path, ".new");
    for ending in ["", "-wal", "-shm", "-journal"] {
        let left_over = beside(&draft, ending);
        match fs::remove_file(&left_over) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(OpenError::File {
                    path: left_over,
                    source,
                });
            }
            Ok(()) | Err(_) => {}
        }
    }
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(FILE_MODE)
        .open(&draft)
        .map_err(in_file(&draft))?;
    let draft_settings = Settings {
        path: draft.clone(),
        ..settings.clone()
    };
    let mut connection = create_empty(&draft_settings).map_err(in_database(&draft))?;
    MIGRATIONS
        .to_latest(&mut connection)
        .map_err(|source| OpenError::Migration {
            path: draft.clone(),
            source,
        })?;
    connection.close().map_err(|(_, source)| OpenError::Database {
        path: draft.clone(),
        source,
    })?;
    fs::rename(&draft, path).map_err(in_file(path))?;
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(in_file(folder))
}

fn create_empty(settings: &Settings) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(&settings.path, flags)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    // Freed pages are used again; this only keeps it possible to give them back to the file system after a flood.
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    Ok(connection)
}

/// Existing files of before may be readable by others. Where that cannot be changed the store still works.
fn restrict(path: &Path) {
    let is_open_to_others = fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0);
    if is_open_to_others && let Err(error) = fs::set_permissions(path, Permissions::from_mode(FILE_MODE)) {
        tracing::warn!(store.path = %path.display(), error = &error as &dyn std::error::Error,
            "the database can be read by other users and that cannot be changed");
    }
}

pub(super) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    name.into()
}

pub(super) fn in_file(path: &Path) -> impl FnOnce(io::Error) -> OpenError {
    let path = path.to_owned();
    move |source| OpenError::File { path, source }
}

fn in_database(path: &Path) -> impl FnOnce(rusqlite::Error) -> OpenError {
    let path = path.to_owned();
    move |source| OpenError::Database { path, source }
}
