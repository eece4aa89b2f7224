//! Why a use case did nothing, or has nothing to show.

use std::borrow::Cow;

use crate::domain::access::Denied;
use crate::emitter::EmitError;
use crate::ports::StoreError;

/// A value of the request that cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The field, as the contract writes it.
    pub field: Cow<'static, str>,
    /// What is wrong with it, to be read after the field's name: `must be 0 or more`.
    pub why: Cow<'static, str>,
}

impl Problem {
    pub(super) fn new(field: impl Into<Cow<'static, str>>, why: impl Into<Cow<'static, str>>) -> Self {
        Self {
            field: field.into(),
            why: why.into(),
        }
    }
}

/// Why nothing was changed and nobody was told. Nothing was kept, unless said otherwise.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// They may not.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// These values cannot be; never empty.
    #[error("a value is wrong")]
    Invalid(Vec<Problem>),
    /// There is nothing of that id, as far as they may know.
    #[error("not found")]
    NotFound,
    /// There is one of that id already.
    #[error("there is one already")]
    AlreadyExists,
    /// The idempotency key was used with another body.
    #[error("this Idempotency-Key was used with another body")]
    KeyReused,
    /// Others changed the same thing so often that no decision held. Asking again is safe.
    #[error("it is being changed by others")]
    Contended,
    /// Too many requests wait, or the commit took too long; then it may yet be kept: ask again with the same
    /// `Idempotency-Key`.
    #[error("too busy")]
    Busy,
    /// The store cannot be read or written.
    #[error("the store failed")]
    Store(#[source] StoreError),
    /// What was kept under the idempotency key, or what would be told, cannot be read or written as JSON.
    #[error("not readable as JSON")]
    Json(#[source] serde_json::Error),
}

impl From<StoreError> for WriteError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<serde_json::Error> for WriteError {
    fn from(error: serde_json::Error) -> Self {
        Self::Json(error)
    }
}

impl From<EmitError> for WriteError {
    fn from(error: EmitError) -> Self {
        match error {
            EmitError::Conflict => Self::Contended,
            EmitError::KeyReused => Self::KeyReused,
            EmitError::Unavailable(error) => Self::Store(error),
            EmitError::Busy => Self::Busy,
        }
    }
}

/// Why there is nothing to show.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// They may not.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// These values cannot be; never empty.
    #[error("a value is wrong")]
    Invalid(Vec<Problem>),
    /// There is nothing of that id, as far as they may know.
    #[error("not found")]
    NotFound,
    /// The store cannot be read.
    #[error("the store failed")]
    Store(#[source] StoreError),
    /// What is kept cannot be read as JSON.
    #[error("not readable as JSON")]
    Json(#[source] serde_json::Error),
}

impl From<StoreError> for ReadError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<serde_json::Error> for ReadError {
    fn from(error: serde_json::Error) -> Self {
        Self::Json(error)
    }
}
