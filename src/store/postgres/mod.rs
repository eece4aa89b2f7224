//! The store of several nodes: PostgreSQL.
//!
//! Sequence numbers are given in the order of commits (`commit`): whoever can read one event can read every earlier one, so
//! no reader that goes on from the last position it has seen ever skips one. An event's position is its sequence number and
//! it is published with its commit: there is nothing that a node which dies afterwards could leave undone.
//!
//! It refuses to know the bus, and what to do while the server is gone (that is the spool's business).

mod absorb;
mod address;
mod columns;
mod commit;
mod connections;
mod connector;
mod decide;
mod events;
mod failure;
mod history;
mod questions;
mod schema;
mod sessions;
mod state;
mod statements;
mod sweep;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

use crate::clock::Clock;
use crate::domain::{Position, Timestamp};
use crate::ports::{Appended, StoreError};

pub use absorb::Absorb;
pub use address::AddressError;

pub use schema::SchemaError;

use connections::Connections;
use failure::Failure;

/// Where the database is and how long it is waited for.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `postgres://user:password@host:port/database?sslmode=verify-full&sslrootcert=/path`; several hosts are tried in turn
    /// for the one that can be written to.
    pub url: SecretString,
    /// The password, where it is not in the URL.
    pub password: Option<SecretString>,
    /// What the server's own views call these connections.
    pub application_name: String,
    /// Whether others work on the same database.
    pub nodes: Nodes,
    /// Connections at most, and one that tells the others that this node is there.
    pub pool_size: usize,
    /// How long making a connection may take.
    pub connect_timeout: Duration,
    /// How long a read may take; the server ends a statement that takes three quarters of it.
    pub read_timeout: Duration,
    /// How long a commit may take, attempts on other connections included.
    pub commit_timeout: Duration,
}

/// How many nodes work on the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nodes {
    /// This one alone: nobody would tell it what another has committed. Neither starts beside the other.
    One,
    /// Several, with a bus between them.
    Many,
}

impl Settings {
    /// Whether the address can be used, as far as this can be told without connecting: its files are read.
    ///
    /// # Errors
    /// [`AddressError`]: what is wrong with it.
    pub fn verify(&self) -> Result<(), AddressError> {
        address::Address::new(self).map(drop)
    }

    /// The usual settings for the database at `url`.
    pub fn at(url: impl Into<String>) -> Self {
        Self {
            url: SecretString::from(url.into()),
            password: None,
            application_name: "wardbell".to_owned(),
            nodes: Nodes::Many,
            pool_size: 8,
            connect_timeout: Duration::from_secs(2),
            read_timeout: Duration::from_secs(2),
            commit_timeout: Duration::from_millis(2_500),
        }
    }
}

/// The database cannot be used. That it cannot be reached now is not among the reasons.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The address is wrong.
    #[error("store.url: {0}")]
    Address(#[from] AddressError),
    /// What is there is not for us.
    #[error(transparent)]
    Schema(#[from] SchemaError),
}

/// A store that several nodes share. Clones are the same node's.
#[derive(Clone)]
pub struct PostgresStore {
    connections: Arc<Connections>,
    clock: Arc<dyn Clock>,
    settings: Arc<Settings>,
}

impl PostgresStore {
    /// Connects and brings the database to our schema, alone among all nodes that do so at the same time.
    ///
    /// If the server cannot be reached now, the store is there all the same, unavailable until the server is back: a node that
    /// restarts during an outage must not stay down after it.
    ///
    /// # Errors
    /// [`OpenError`]: trying again would not help.
    pub async fn open(settings: Settings, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let connections = Connections::new(settings.clone())?;
        match connections.arrive().await {
            Ok(()) => {}
            Err(Failure::Schema(error)) => return Err(error.into()),
            Err(failure) => {
                tracing::error!(
                    error = &failure as &dyn std::error::Error,
                    "PostgreSQL cannot be reached; looking for it"
                );
                connections.look(&failure);
            }
        }
        Ok(Self {
            connections,
            clock,
            settings: Arc::new(settings),
        })
    }

    /// Whether requests are refused at once, because the server was gone and has not been found again.
    pub fn is_down(&self) -> bool {
        self.connections.is_down()
    }

    /// Keeps appends that a spool has held while the server was gone, each once however often it is handed over. They were
    /// answered for: nothing of them is refused. State that has moved on since stays as it is.
    ///
    /// Answers the sequence numbers of all their events, in order.
    pub async fn absorb(&self, batch: &[Absorb]) -> Result<Vec<Vec<u64>>, StoreError> {
        absorb::absorb(self, batch).await
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

/// The position in two columns.
fn position(major: i64, minor: i64) -> Position {
    Position {
        major: columns::unsigned(major),
        minor: columns::unsigned(minor),
    }
}

impl std::fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresStore")
            .field("is_down", &self.is_down())
            .finish_non_exhaustive()
    }
}

/// What a commit answers, and what it says when it does not know.
type Committed = Result<Vec<Appended>, StoreError>;
