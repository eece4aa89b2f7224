//! The tables, and how they come to be: append-only migrations, each once, whichever node is first.

use std::time::Duration;

use tokio_postgres::Client;

use super::failure::Failure;

/// In order; what has been released is never changed, only followed.
const MIGRATIONS: [&str; 2] = [
    include_str!("migrations/0001_first.sql"),
    include_str!("migrations/0002_ehr.sql"),
];

/// The advisory locks of wardbell, beside which other programs may have their own in the same database.
pub(super) const LOCK_SPACE: i32 = 0x7761_7264;
/// Held while migrating.
const MIGRATION_LOCK: i32 = 1;
/// Held by every node while it lives: by one alone, or shared by several.
pub(super) const NODE_LOCK: i32 = 3;
/// Held while removing what is too old.
pub(super) const SWEEP_LOCK: i32 = 2;
/// How long the first of several nodes may take to migrate before the others give up and try again later.
const MIGRATION_PATIENCE: Duration = Duration::from_mins(10);

/// The database cannot be ours as it is. A person must look.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// A newer wardbell has been here; writing beside it could destroy what it keeps.
    #[error("the database has schema {found}, this version knows up to {known}: upgrade this node")]
    Newer {
        /// What is there.
        found: usize,
        /// What we know.
        known: usize,
    },
    /// A migration that was applied is not the one that we know by that number.
    #[error("migration {0} of the database is not the one of this version")]
    Differs(usize),
    /// Text cannot be kept as it is.
    #[error("the database's encoding is {0}, it must be UTF8")]
    Encoding(String),
    /// Nodes would work on it that hear nothing of each other.
    #[error("other nodes work on this database: give all of them the same REDIS_URL, or end the others first")]
    NotAlone,
    /// Too old to be trusted.
    #[error("PostgreSQL {0} is too old, 13 or later is needed")]
    Server(String),
}

/// Brings the database to our schema, alone among all nodes that try.
pub(super) async fn migrate(client: &Client) -> Result<(), Failure> {
    look_at_the_server(client).await?;
    let known: Vec<Vec<u8>> = MIGRATIONS.map(digest).into();
    // The usual case takes no lock: a node that starts must not wait behind others that only look.
    if let Some(applied) = applied(client).await?
        && is_complete(&applied, &known)?
    {
        return Ok(());
    }
    client
        .batch_execute(&format!(
            "BEGIN; SET LOCAL statement_timeout = {patience}; SET LOCAL lock_timeout = {patience}; \
             SET LOCAL idle_in_transaction_session_timeout = {patience}; \
             SELECT pg_advisory_xact_lock({LOCK_SPACE}, {MIGRATION_LOCK}); \
             CREATE TABLE IF NOT EXISTS wardbell_migrations \
             (number integer PRIMARY KEY, sha256 bytea NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())",
            patience = MIGRATION_PATIENCE.as_millis()
        ))
        .await?;
    // Under the lock: what others have done meanwhile counts.
    let outcome = apply(client, &known).await;
    let ending = if outcome.is_ok() { "COMMIT" } else { "ROLLBACK" };
    client.batch_execute(ending).await?;
    outcome
}

async fn apply(client: &Client, known: &[Vec<u8>]) -> Result<(), Failure> {
    let applied = applied(client).await?.unwrap_or_default();
    is_complete(&applied, known)?;
    for (index, (sql, sha256)) in MIGRATIONS.iter().zip(known).enumerate().skip(applied.len()) {
        client.batch_execute(sql).await?;
        let number = i32::try_from(index + 1).unwrap_or(i32::MAX);
        client
            .execute(
                "INSERT INTO wardbell_migrations (number, sha256) VALUES ($1, $2)",
                &[&number, sha256],
            )
            .await?;
        tracing::info!(migration = number, "the database was migrated");
    }
    Ok(())
}

async fn look_at_the_server(client: &Client) -> Result<(), Failure> {
    let row = client
        .query_one(
            "SELECT current_setting('server_version_num')::integer, current_setting('server_version'), \
             current_setting('server_encoding')",
            &[],
        )
        .await?;
    let (number, version, encoding): (i32, String, String) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    if number < 130_000 {
        return Err(SchemaError::Server(version).into());
    }
    if encoding != "UTF8" {
        return Err(SchemaError::Encoding(encoding).into());
    }
    Ok(())
}

/// The digests of what was applied, in order; `None` where nobody of ours has been.
async fn applied(client: &Client) -> Result<Option<Vec<Vec<u8>>>, Failure> {
    let is_there: bool = client
        .query_one("SELECT to_regclass('wardbell_migrations') IS NOT NULL", &[])
        .await?
        .try_get(0)?;
    if !is_there {
        return Ok(None);
    }
    let rows = client
        .query("SELECT sha256 FROM wardbell_migrations ORDER BY number", &[])
        .await?;
    let digests = rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
    Ok(Some(digests))
}

fn is_complete(applied: &[Vec<u8>], known: &[Vec<u8>]) -> Result<bool, SchemaError> {
    if applied.len() > known.len() {
        return Err(SchemaError::Newer {
            found: applied.len(),
            known: known.len(),
        });
    }
    match applied.iter().zip(known).position(|(theirs, ours)| theirs != ours) {
        Some(index) => Err(SchemaError::Differs(index + 1)),
        None => Ok(applied.len() == known.len()),
    }
}

fn digest(sql: &str) -> Vec<u8> {
    use sha2::Digest;
    sha2::Sha256::digest(sql.as_bytes()).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_schema_and_another_history_are_refused() {
        let ours = vec![vec![1], vec![2]];

        assert_eq!(is_complete(&[vec![1]], &ours), Ok(false));
        assert_eq!(is_complete(&ours, &ours), Ok(true));
        assert_eq!(is_complete(&[vec![1], vec![3]], &ours), Err(SchemaError::Differs(2)));
        assert_eq!(
            is_complete(&[vec![1], vec![2], vec![3]], &ours),
            Err(SchemaError::Newer { found: 3, known: 2 })
        );
    }
}
