//! What can go wrong with a server elsewhere, and what that says of a request.
//!
//! Messages of PostgreSQL may quote the row they are about, and rows are patients. Only its codes, and the texts of those
//! that are about the server itself, are kept.

use tokio_postgres::error::{DbError, Severity};

use super::tls::TlsFailure;
use crate::ports::StoreError;

/// Why a request did not succeed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The connection is gone, or was never there.
    #[error("the connection to PostgreSQL is lost")]
    Lost(#[source] BoxError),
    /// The server did not answer in time.
    #[error("PostgreSQL did not answer in time")]
    Slow,
    /// Every connection was in use for too long.
    #[error("every connection to PostgreSQL is in use")]
    Crowded,
    /// It was gone a moment ago; somebody is looking whether it is back.
    #[error("PostgreSQL is gone")]
    Down,
    /// It took part in a deadlock, or waited for a lock for too long. The same again may well succeed.
    #[error("PostgreSQL was busy with something that stood in the way")]
    Contended(#[source] ServerError),
    /// The server cannot do it now.
    #[error("PostgreSQL refused for now")]
    Refused(#[source] ServerError),
    /// The server cannot do it at all: the tables are not what they should be, or cannot hold what was to be kept.
    #[error("PostgreSQL refused")]
    Broken(#[source] BoxError),
    /// The database's schema is not ours to use.
    #[error(transparent)]
    Schema(#[from] super::schema::SchemaError),
}

/// The classes of PostgreSQL's codes that are about the server and not about what it was asked: they pass, or somebody who runs
/// it makes them pass (42: a right or a table is missing, and so for everything). All others come again as often as the same is
/// asked.
const OF_THE_SERVER: [&str; 10] = ["08", "25", "28", "3D", "40", "42", "53", "55", "57", "58"];

/// Any error.
pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What the server said, as far as it may be repeated.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{code}{text}")]
pub(super) struct ServerError {
    code: String,
    text: String,
}

fn is_of_the_server(code: &str) -> bool {
    OF_THE_SERVER.iter().any(|class| code.starts_with(class))
}

impl ServerError {
    fn new(error: &DbError) -> Self {
        let code = error.code().code();
        let text = if is_of_the_server(code) {
            format!(": {}", error.message())
        } else {
            String::new()
        };
        Self {
            code: code.to_owned(),
            text,
        }
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(said) = error.as_db_error() else {
            return match TlsFailure::of(&error) {
                Some(failure) => Self::Lost(Box::new(failure)),
                None => Self::Lost(Box::new(error)),
            };
        };
        let code = said.code().code();
        let is_fatal = matches!(said.parsed_severity(), Some(Severity::Fatal | Severity::Panic));
        let said = ServerError::new(said);
        // 25006: read-only, a standby; another connection may find the primary. 57P0x: it is shutting down or starting up.
        if is_fatal || code == "25006" || code.starts_with("08") || code.starts_with("57P") {
            return Self::Lost(Box::new(said));
        }
        match code.get(..2) {
            Some("40" | "55") => Self::Contended(said),
            _ if code == "57014" => Self::Contended(said),
            _ if is_of_the_server(code) => Self::Refused(said),
            // What nobody knows is one of these: whoever hands over what was spooled must not try one of them for ever.
            _ => Self::Broken(Box::new(said)),
        }
    }
}

impl Failure {
    /// Whether another attempt on another connection may succeed.
    pub(super) fn may_pass(&self) -> bool {
        matches!(self, Self::Lost(_) | Self::Contended(_))
    }

    /// Whether it says that the server is gone.
    pub(super) fn is_of_the_server(&self) -> bool {
        matches!(self, Self::Lost(_) | Self::Slow)
    }

    /// What is to be told to somebody who can help, if waiting does not: a password, a certificate, a database that is not ours.
    pub(super) fn for_a_person(&self) -> Option<String> {
        let text = match self {
            Self::Schema(error) => error.to_string(),
            Self::Lost(error) => match (error.downcast_ref::<TlsFailure>(), error.downcast_ref::<ServerError>()) {
                (Some(failure), _) => failure.to_string(),
                // Who we are is not believed, or there is no such database.
                (None, Some(said)) if said.code.starts_with("28") || said.code.starts_with("3D") => said.to_string(),
                (None, _) => return None,
            },
            Self::Refused(said) if said.code.starts_with("42") => said.to_string(),
            Self::Slow | Self::Crowded | Self::Down | Self::Contended(_) | Self::Refused(_) | Self::Broken(_) => {
                return None;
            }
        };
        Some(text)
    }

    /// A row that is not what was written here.
    pub(super) fn unreadable(error: impl Into<BoxError>) -> Self {
        Self::Broken(error.into())
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Broken(_) => Self::Damaged(Box::new(failure)),
            Failure::Lost(_)
            | Failure::Slow
            | Failure::Down
            | Failure::Crowded
            | Failure::Contended(_)
            | Failure::Refused(_)
            | Failure::Schema(_) => Self::Unavailable(Box::new(failure)),
        }
    }
}
