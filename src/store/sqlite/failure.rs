//! Why a transaction or a read failed, and what that means for whoever asked and for the connection.

use std::io;
use std::sync::Arc;

use rusqlite::{Error, ErrorCode};

use crate::ports::StoreError;

/// Why nothing was kept or found. Cheap to clone: all jobs of a failed transaction get the same one.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum Failure {
    /// SQLite said so.
    #[error(transparent)]
    Database(Arc<Error>),
    /// The file was moved, removed or replaced while it was open. Writing on would write into nowhere.
    #[error("the database file is not at its place any more")]
    Displaced,
    /// The file cannot be looked at.
    #[error("cannot look at the database file")]
    File(#[source] Arc<io::Error>),
    /// The store was closed, or its thread is gone.
    #[error("the store is closed")]
    Closed,
    /// Positions that are not this store's sequence numbers: it was put together with a bus of many nodes.
    #[error("a position was not given by this store's own bus")]
    OtherBus,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Database(Arc::new(error))
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match &failure {
            Failure::Database(error) if is_damage(error) => Self::Damaged(Box::new(failure)),
            Failure::Database(_) | Failure::Displaced | Failure::File(_) | Failure::Closed | Failure::OtherBus => {
                Self::Unavailable(Box::new(failure))
            }
        }
    }
}

/// Whether what is in the file is not what we wrote.
pub(super) fn is_damage(error: &Error) -> bool {
    match error.sqlite_error_code() {
        Some(code) => matches!(code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase),
        None => matches!(
            error,
            Error::FromSqlConversionFailure(..) | Error::InvalidColumnType(..) | Error::IntegralValueOutOfRange(..)
        ),
    }
}

/// Whether the work itself was refused, and not its surroundings: other work in the same transaction can go on.
pub(super) fn is_of_the_work(error: &Error) -> bool {
    match error.sqlite_error_code() {
        Some(code) => {
            matches!(
                code,
                ErrorCode::ConstraintViolation | ErrorCode::TooBig | ErrorCode::TypeMismatch
            )
        }
        None => !is_damage(error),
    }
}

/// Whether there is no space left.
pub(super) fn is_disk_full(error: &Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DiskFull)
}

/// Whether the connection can go on after this. A full disk or a busy file passes; after anything else of the disk's the
/// connection's files may be the problem, and a new one is opened.
pub(super) fn is_harmless_to_the_connection(error: &Error) -> bool {
    match error.sqlite_error_code() {
        Some(code) => {
            matches!(
                code,
                ErrorCode::DiskFull | ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked
            ) || is_of_the_work(error)
        }
        None => true,
    }
}

/// Whether the row's unique id is taken.
pub(super) fn is_duplicate(error: &Error) -> bool {
    error.sqlite_error().is_some_and(|error| {
        matches!(
            error.extended_code,
            rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE | rusqlite::ffi::SQLITE_CONSTRAINT_PRIMARYKEY
        )
    })
}
