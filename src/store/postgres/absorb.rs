//! Taking over what a spool has held: everything of it, once, however often it is handed over, and nothing that the store has had
//! before from another node, under the same idempotency key.

use std::collections::{BTreeMap, HashMap, HashSet};

use tokio::time::Instant;
use tokio_postgres::Row;
use uuid::Uuid;

use super::PostgresStore;
use super::columns::{bytes, get, text, unsigned};
use super::connections::{Statement, send_all, until};
use super::decide::{KeyDigest, Plan, key_digest};
use super::failure::Failure;
use super::questions::PLACE_OUTCOMES;
use super::statements::{Kept, b, event_statement, plain, state_statements};
use crate::domain::{Position, Timestamp};
use crate::ports::{Append, StoreError};

/// An append that was kept elsewhere, and where its events were published since, if they were.
#[derive(Clone, Debug)]
pub struct Absorb {
    /// The append.
    pub append: Append,
    /// When it was kept there.
    pub stored_at: Timestamp,
    /// Of each event: its position and when it got it.
    pub published: Vec<Option<(Position, Timestamp)>>,
}

/// See [`PostgresStore::absorb`].
pub(super) async fn absorb(store: &PostgresStore, batch: &[Absorb]) -> Result<Vec<Vec<u64>>, StoreError> {
    let deadline = Instant::now() + store.settings.commit_timeout;
    loop {
        // Every attempt leaves the same behind, however often and however far it came: no attempt is ever in doubt.
        match absorb_once(store, batch, deadline).await {
            Ok(sequences) => return Ok(sequences),
            Err(failure) if failure.may_pass() && store.connections.has_time_for_another(deadline).await => {}
            Err(failure) => {
                store.connections.heed(&failure);
                return Err(failure.into());
            }
        }
    }
}

async fn absorb_once(store: &PostgresStore, batch: &[Absorb], deadline: Instant) -> Result<Vec<Vec<u64>>, Failure> {
    let lease = store.connections.lease(deadline).await?;
    let connection = lease.connection()?;
    let answers = until(deadline, send_all(connection, &key_statements(batch))).await?;
    let known = known(&answers)?;
    // Whoever was answered here under a key that was used before has repeated a request whose effect is in the store: an
    // earlier attempt of this very append, or another node's before it was known here.
    let is_new = |absorb: &&Absorb| {
        let once = absorb.append.once.as_ref();
        once.is_none_or(|once| known.get(&key_digest(&once.scope, &once.key)) != Some(&once.fingerprint))
    };
    let new: Vec<&Absorb> = batch.iter().filter(is_new).collect();
    let plan = Plan::of_all(new.iter().map(|absorb| &absorb.append));
    let ids: Vec<Uuid> = batch
        .iter()
        .flat_map(|absorb| &absorb.append.events)
        .map(|event| event.id.as_uuid())
        .collect();

    let mut statements = state_statements(&plan, true);
    // First the turn, then the look at what others have stored: two spools may have used the same position.
    statements.push(plain("SELECT last FROM numbering FOR UPDATE"));
    statements.push(event_statement(&plan, Kept::in_spool(&new), store));
    statements.push(Statement {
        sql: "SELECT id, sequence FROM events WHERE id = ANY($1)",
        parameters: vec![b(ids)],
    });
    let answers = until(deadline, send_all(connection, &statements)).await?;
    until(deadline, async { Ok(connection.batch_execute("COMMIT").await?) }).await?;
    lease.give_back();

    let mut sequences = HashMap::new();
    for row in answers.last().into_iter().flatten() {
        sequences.insert(get::<Uuid>(row, 0)?, unsigned(get(row, 1)?));
    }
    let of = |absorb: &Absorb| {
        absorb
            .append
            .events
            .iter()
            .filter_map(|event| sequences.get(&event.id.as_uuid()).copied())
            .collect()
    };
    Ok(batch.iter().map(of).collect())
}

/// Keeps what was answered under keys that nobody has used, and asks for what was answered under the others.
fn key_statements(batch: &[Absorb]) -> Vec<Statement> {
    let mut onces = BTreeMap::new();
    for once in batch.iter().filter_map(|absorb| absorb.append.once.as_ref()) {
        onces.entry(key_digest(&once.scope, &once.key)).or_insert(once);
    }
    let keys: Vec<Vec<u8>> = onces.keys().map(|key| key.to_vec()).collect();
    let fingerprints: Vec<Vec<u8>> = onces.values().map(|once| once.fingerprint.to_vec()).collect();
    let ats: Vec<i64> = onces.values().map(|once| once.at.as_micros()).collect();
    let outcomes: Vec<String> = onces.values().map(|once| text(&once.outcome)).collect();
    vec![
        plain("BEGIN"),
        Statement {
            sql: PLACE_OUTCOMES,
            parameters: vec![b(keys.clone()), b(fingerprints), b(ats), b(outcomes)],
        },
        Statement {
            sql: "SELECT id, fingerprint FROM outcomes WHERE id = ANY($1)",
            parameters: vec![b(keys)],
        },
    ]
}

/// The keys that were used before, and the fingerprints of then.
fn known(answers: &[Vec<Row>]) -> Result<HashMap<KeyDigest, [u8; 32]>, Failure> {
    let rows = |index: usize| answers.get(index).map_or(&[][..], Vec::as_slice);
    let placed = rows(1).iter().map(|row| bytes(row, 0));
    let placed = placed.collect::<Result<HashSet<KeyDigest>, _>>()?;
    let mut known = HashMap::new();
    for row in rows(2) {
        let key = bytes(row, 0)?;
        if !placed.contains(&key) {
            known.insert(key, bytes(row, 1)?);
        }
    }
    Ok(known)
}
