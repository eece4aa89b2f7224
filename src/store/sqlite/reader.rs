//! Reading connections: a few, on blocking threads, beside the writer and without waiting for it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::Settings;
use super::failure::{Failure, is_harmless_to_the_connection};
use super::open::connect_reader;
use crate::ports::StoreError;

/// A bounded set of reading connections, opened when they are first needed.
#[derive(Debug)]
pub(super) struct Readers {
    settings: Settings,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    pub(super) fn new(settings: Settings) -> Self {
        let permits = Arc::new(Semaphore::new(settings.readers.max(1)));
        Self {
            settings,
            permits,
            idle: Mutex::default(),
        }
    }

    /// Runs `work` on a connection of its own, on a blocking thread.
    pub(super) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let permit = Arc::clone(&self.permits)
            .acquire_owned()
            .await
            .or(Err(Failure::Closed))?;
        let readers = Arc::clone(self);
        let reading = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            readers.run(work)
        });
        match reading.await {
            Ok(outcome) => outcome.map_err(StoreError::from),
            Err(error) => Err(StoreError::Unavailable(Box::new(error))),
        }
    }

    fn run<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, Failure> {
        let idle = self.idle().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => connect_reader(&self.settings)?,
        };
        let outcome = work(&connection);
        let is_usable = outcome.as_ref().err().is_none_or(is_harmless_to_the_connection);
        if is_usable && !self.permits.is_closed() {
            self.idle().push(connection);
        }
        Ok(outcome?)
    }

    /// Lets no more reads begin, and closes the connections that are not in use.
    pub(super) fn close(&self) {
        self.permits.close();
        self.idle().clear();
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
