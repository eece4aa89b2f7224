//! The store of a single node: one SQLite file, nothing to install.

mod open;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;

pub use open::OpenError;

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
pub struct SqliteStore {
    opened: open::Opened,
    clock: Arc<dyn Clock>,
}

impl SqliteStore {
    /// Opens the database, creating it and its folder if nothing is there. Blocks on the disk.
    ///
    /// # Errors
    /// [`OpenError`]; whatever is there is left as it was found.
    pub fn open(settings: Settings, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let opened = open::open(&settings)?;
        Ok(Self { opened, clock })
    }
}
