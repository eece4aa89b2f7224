//! The connections: a bounded number, none of them waited for longer than a request may take.
//!
//! When the server is gone, the first request that notices says so and everybody else is told at once, while one task looks
//! whether it is back. A connection that was given up in the middle of something is closed, never used again: the answer to
//! an old question may still be on its way.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use deadpool_postgres::{
    Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime, TimeoutType, Timeouts,
};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::address::{Address, AddressError};
use super::connector::Connector;
use super::failure::Failure;
use super::{Nodes, Settings, schema};

/// How often it is looked whether the server is back.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// The pause between two attempts of one request.
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(25);

/// A parameter of a statement.
pub(super) type Parameter<'a> = &'a (dyn ToSql + Sync);

/// All connections of this store.
pub(super) struct Connections {
    pool: Pool,
    /// Reads that may go on at the same time.
    reads: Semaphore,
    settings: Settings,
    /// How long finding the server may take.
    patience: Duration,
    /// Nothing is asked before the schema is looked at, so it begins as if the server were gone.
    is_down: AtomicBool,
    is_looking: AtomicBool,
    /// The connection that holds this node's place among the nodes of the database.
    place: Mutex<Option<Lease>>,
    me: Weak<Self>,
}

impl Connections {
    pub(super) fn new(settings: Settings) -> Result<Arc<Self>, AddressError> {
        let address = Address::new(&settings)?;
        // Each host in turn may have to be waited for.
        let patience = settings.connect_timeout * u32::try_from(address.hosts.len()).unwrap_or(u32::MAX);
        let recycling_method = RecyclingMethod::Fast;
        let connector = Connector::new(address, settings.connect_timeout);
        // Which host is connected to, and how, is the connector's to decide.
        let nothing = tokio_postgres::Config::new();
        let manager = Manager::from_connect(nothing, connector, ManagerConfig { recycling_method });
        let pool = Pool::builder(manager)
            .max_size(settings.pool_size.max(3) + 1)
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| AddressError::Tls(Box::new(error)))?;
        Ok(Arc::new_cyclic(|me| Self {
            pool,
            reads: Semaphore::new(settings.pool_size.max(3) - 2),
            settings,
            patience,
            is_down: AtomicBool::new(true),
            is_looking: AtomicBool::new(false),
            place: Mutex::default(),
            me: me.clone(),
        }))
    }

    /// Whether requests are refused at once.
    pub(super) fn is_down(&self) -> bool {
        self.is_down.load(Ordering::Acquire)
    }

    /// A connection, for as long as `deadline` allows.
    pub(super) async fn lease(&self, deadline: Instant) -> Result<Lease, Failure> {
        if self.is_down() {
            return Err(Failure::Down);
        }
        self.lease_even_if_down(deadline).await
    }

    async fn lease_even_if_down(&self, deadline: Instant) -> Result<Lease, Failure> {
        let left = Some(deadline.saturating_duration_since(Instant::now()));
        let object = match self
            .pool
            .timeout_get(&Timeouts {
                wait: left,
                create: left,
                recycle: left,
            })
            .await
        {
            Ok(object) => object,
            // Every way of not getting a connection is the server's absence, a wrong password included.
            Err(PoolError::Backend(error)) => {
                return Err(match Failure::from(error) {
                    Failure::Contended(said) | Failure::Refused(said) => Failure::Lost(Box::new(said)),
                    Failure::Broken(said) => Failure::Lost(said),
                    failure @ (Failure::Lost(_)
                    | Failure::Slow
                    | Failure::Down
                    | Failure::Crowded
                    | Failure::Schema(_)) => failure,
                });
            }
            Err(PoolError::Timeout(TimeoutType::Wait)) => return Err(Failure::Crowded),
            Err(PoolError::Timeout(TimeoutType::Create | TimeoutType::Recycle)) => return Err(Failure::Slow),
            Err(error @ (PoolError::Closed | PoolError::NoRuntimeSpecified | PoolError::PostCreateHook(_))) => {
                return Err(Failure::Lost(Box::new(error)));
            }
        };
        Ok(Lease(Some(object)))
    }

    /// Asks for something that is there. Reads leave connections for those who write.
    pub(super) async fn read(&self, sql: &'static str, parameters: &[Parameter<'_>]) -> Result<Vec<Row>, Failure> {
        let deadline = Instant::now() + self.settings.read_timeout;
        let Ok(Ok(_place)) = timeout_at(deadline, self.reads.acquire()).await else {
            return Err(Failure::Crowded);
        };
        self.repeat(sql, parameters, deadline).await
    }

    /// Does something that may be done twice.
    pub(super) async fn write(&self, sql: &'static str, parameters: &[Parameter<'_>]) -> Result<Vec<Row>, Failure> {
        self.repeat(sql, parameters, Instant::now() + self.settings.read_timeout)
            .await
    }

    /// Does something that must not be done twice, and may be lost.
    pub(super) async fn write_once(
        &self,
        sql: &'static str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, Failure> {
        let deadline = Instant::now() + self.settings.read_timeout;
        let outcome = self.ask(sql, parameters, deadline).await;
        outcome.inspect_err(|failure| self.heed(failure))
    }

    async fn repeat(
        &self,
        sql: &'static str,
        parameters: &[Parameter<'_>],
        deadline: Instant,
    ) -> Result<Vec<Row>, Failure> {
        loop {
            match self.ask(sql, parameters, deadline).await {
                Err(failure) if failure.may_pass() && self.has_time_for_another(deadline).await => {}
                outcome => return outcome.inspect_err(|failure| self.heed(failure)),
            }
        }
    }

    async fn ask(
        &self,
        sql: &'static str,
        parameters: &[Parameter<'_>],
        deadline: Instant,
    ) -> Result<Vec<Row>, Failure> {
        let lease = self.lease(deadline).await?;
        let connection = lease.connection()?;
        let rows = until(deadline, async {
            let statement = connection.prepare_cached(sql).await?;
            Ok(connection.query(&statement, parameters).await?)
        })
        .await?;
        lease.give_back();
        Ok(rows)
    }

    /// Whether there is time for another attempt; makes the pause before it.
    pub(super) async fn has_time_for_another(&self, deadline: Instant) -> bool {
        let has_time = Instant::now() + BETWEEN_ATTEMPTS < deadline;
        if has_time {
            sleep(BETWEEN_ATTEMPTS).await;
        }
        has_time
    }

    /// If the failure says that the server is gone, refuses everything from now on and looks whether it is back.
    pub(super) fn heed(&self, failure: &Failure) {
        if !failure.is_of_the_server() {
            return;
        }
        if !self.is_down.swap(true, Ordering::AcqRel) {
            tracing::error!(
                error = failure as &dyn std::error::Error,
                "PostgreSQL is gone; looking for it"
            );
            self.pool.retain(|_, _| false);
        }
        self.look(failure);
    }

    /// Starts looking whether the server is back, unless somebody does. Why it is gone was said.
    pub(super) fn look(&self, failure: &Failure) {
        if !self.is_looking.swap(true, Ordering::AcqRel) {
            tokio::spawn(look_until_back(self.me.clone(), failure.for_a_person()));
        }
    }

    /// Connects and makes sure that the schema is ours; from then on requests are let through.
    pub(super) async fn arrive(&self) -> Result<(), Failure> {
        let deadline = Instant::now() + self.patience;
        let lease = self.lease_even_if_down(deadline).await?;
        let connection = lease.connection()?;
        until(deadline, async { Ok(connection.batch_execute("SELECT 1").await?) }).await?;
        // A migration takes its time.
        schema::migrate(connection).await?;
        lease.give_back();
        self.take_place().await?;
        if self.is_down.swap(false, Ordering::AcqRel) {
            tracing::info!("PostgreSQL is there");
        }
        Ok(())
    }

    /// Says to other nodes that this one is there, and finds out whether it may be.
    async fn take_place(&self) -> Result<(), Failure> {
        let holds_one = |place: &Option<Lease>| {
            let connection = place.as_ref().and_then(|lease| lease.connection().ok());
            connection.is_some_and(|connection| !connection.is_closed())
        };
        if holds_one(&self.lock_place()) {
            return Ok(());
        }
        let sql = match self.settings.nodes {
            Nodes::One => "SELECT pg_try_advisory_lock($1, $2)",
            Nodes::Many => "SELECT pg_try_advisory_lock_shared($1, $2)",
        };
        let deadline = Instant::now() + self.patience;
        let lease = self.lease_even_if_down(deadline).await?;
        let connection = lease.connection()?;
        // A node that was killed just now may still seem to be there.
        loop {
            let row = until(deadline, async {
                let rows = connection
                    .query(sql, &[&schema::LOCK_SPACE, &schema::NODE_LOCK])
                    .await?;
                rows.into_iter().next().ok_or(Failure::Down)
            });
            if super::columns::get::<bool>(&row.await?, 0)? {
                break;
            }
            if Instant::now() + LOOK_AGAIN >= deadline {
                return Err(schema::SchemaError::NotAlone.into());
            }
            sleep(LOOK_AGAIN).await;
        }
        *self.lock_place() = Some(lease);
        Ok(())
    }

    fn lock_place(&self) -> MutexGuard<'_, Option<Lease>> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets no more requests begin and closes the connections that are idle.
    pub(super) fn close(&self) {
        self.is_down.store(true, Ordering::Release);
        self.pool.close();
        self.lock_place().take();
    }
}

async fn look_until_back(connections: Weak<Connections>, mut said: Option<String>) {
    loop {
        let Some(connections) = connections
            .upgrade()
            .filter(|connections| !connections.pool.is_closed())
        else {
            return;
        };
        match connections.arrive().await {
            Ok(()) => {
                connections.is_looking.store(false, Ordering::Release);
                return;
            }
            Err(failure) => {
                let text = failure.for_a_person();
                if text.is_some() && said != text {
                    tracing::error!(
                        error = &failure as &dyn std::error::Error,
                        "PostgreSQL is there and cannot be used"
                    );
                }
                said = text.or(said);
            }
        }
        drop(connections);
        sleep(LOOK_AGAIN).await;
    }
}

/// A connection in use. It goes back to the others only when told that nothing was left in the middle.
pub(super) struct Lease(Option<Object>);

impl Lease {
    pub(super) fn connection(&self) -> Result<&Object, Failure> {
        self.0.as_ref().ok_or(Failure::Down)
    }

    /// Gives it back, ready for the next.
    pub(super) fn give_back(mut self) {
        drop(self.0.take());
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(object) = self.0.take() {
            drop(Object::take(object));
        }
    }
}

/// Waits for an answer until `deadline`.
pub(super) async fn until<T>(
    deadline: Instant,
    answer: impl Future<Output = Result<T, Failure>> + Send,
) -> Result<T, Failure> {
    timeout_at(deadline, answer).await.unwrap_or(Err(Failure::Slow))
}

/// One statement with its parameters.
pub(super) struct Statement {
    pub(super) sql: &'static str,
    pub(super) parameters: Vec<Box<dyn ToSql + Sync + Send>>,
}

/// Sends all statements at once and waits for their answers: one round trip, once they are prepared. The first failure is
/// the one that counts; those after it follow from it.
pub(super) async fn send_all(connection: &Object, statements: &[Statement]) -> Result<Vec<Vec<Row>>, Failure> {
    let mut prepared = Vec::with_capacity(statements.len());
    for statement in statements {
        let parameters: Vec<Parameter<'_>> = statement
            .parameters
            .iter()
            .map(|value| &**value as Parameter<'_>)
            .collect();
        prepared.push((connection.prepare_cached(statement.sql).await?, parameters));
    }
    let answers = prepared
        .iter()
        .map(|(statement, parameters)| connection.query(statement, parameters));
    let answers = futures_util::future::join_all(answers).await;
    answers
        .into_iter()
        .map(|answer| answer.map_err(Failure::from))
        .collect()
}
