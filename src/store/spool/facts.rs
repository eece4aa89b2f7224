//! Which of the appends that wait say something of a thing: so that what was said last is known before the store has it, without
//! reading everything that waits.

use rusqlite::{Connection, OptionalExtension};

use super::file::append_of;
use crate::domain::{Fact, TenantId, Topic};
use crate::ports::Append;

/// Beside the tables of the spool, whose version it leaves as it is: a node of a version without it opens the spool as well.
const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS facts (
  tenant TEXT    NOT NULL,
  topic  TEXT    NOT NULL,
  id     TEXT    NOT NULL,
  append INTEGER NOT NULL REFERENCES appends (n) ON DELETE CASCADE,
  PRIMARY KEY (tenant, topic, id, append)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS facts_of_append ON facts (append);
";

/// Makes the table, and notes what a version without it has kept.
pub(super) fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(SCHEMA)?;
    // As the record writes that something is said: all others need not be read.
    let mut waiting = connection.prepare("SELECT n, body FROM appends WHERE instr(body, '{\"Fact\":') > 0")?;
    let mut waiting = waiting.query(())?;
    while let Some(row) = waiting.next()? {
        // What cannot be read is told of when it is to be handed over.
        if let Ok(append) = append_of(row.get_ref(1)?.as_str()?, 1) {
            note(connection, row.get(0)?, &append)?;
        }
    }
    Ok(())
}

/// Notes of what the append with this number says something.
pub(super) fn note(connection: &Connection, n: i64, append: &Append) -> rusqlite::Result<()> {
    for fact in append.facts() {
        connection
            .prepare_cached("INSERT OR IGNORE INTO facts (tenant, topic, id, append) VALUES (?1, ?2, ?3, ?4)")?
            .execute((fact.tenant.as_str(), fact.topic.as_str(), &fact.id, n))?;
    }
    Ok(())
}

/// What was said last of a thing, of all that waits.
pub(super) fn last(
    connection: &Connection,
    tenant: &TenantId,
    topic: Topic,
    id: &str,
) -> rusqlite::Result<Option<Fact>> {
    let append = connection
        .prepare_cached(
            "SELECT a.body FROM facts f JOIN appends a ON a.n = f.append \
             WHERE f.tenant = ?1 AND f.topic = ?2 AND f.id = ?3 ORDER BY f.append DESC LIMIT 1",
        )?
        .query_row((tenant.as_str(), topic.as_str(), id), |row| {
            append_of(row.get_ref(0)?.as_str()?, 0)
        })
        .optional()?;
    let is_it = |fact: &&Fact| fact.tenant == *tenant && fact.topic == topic && fact.id == id;
    Ok(append.and_then(|append| append.facts().rfind(is_it).cloned()))
}

#[cfg(test)]
mod tests {
    use super::super::Settings;
    use super::super::file::File;
    use super::*;
    use crate::domain::Timestamp;
    use crate::ports::StateChange;

    #[tokio::test]
    async fn what_a_version_that_noted_nothing_has_kept_is_found_as_well() {
        let home = tempfile::TempDir::new().unwrap();
        let settings = Settings::at(home.path().join("spool.db"));
        let said = Fact {
            tenant: TenantId::parse("a").unwrap(),
            topic: Topic::Assignee,
            id: "K1".to_owned(),
            value: "u1".to_owned(),
            at: Timestamp::from_micros(1),
        };
        let append = Append {
            changes: vec![StateChange::Fact(said.clone())],
            ..Append::default()
        };
        let file = File::open(&settings).unwrap();
        file.keep(vec![append], Timestamp::from_micros(1)).await.unwrap();
        drop(file);
        let old = Connection::open(&settings.path).unwrap();
        old.execute_batch("DROP TABLE facts").unwrap();
        drop(old);

        let file = File::open(&settings).unwrap();

        let found = file.fact(said.tenant.clone(), said.topic, "K1".to_owned()).await;
        assert_eq!(found.unwrap(), Some(said));
        assert_eq!(file.count().await.unwrap(), 1);
    }
}
