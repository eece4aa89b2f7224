//! Taking over what a spool has held: everything of it, once, however often it is handed over.

use std::collections::HashMap;

use tokio::time::Instant;
use uuid::Uuid;

use super::PostgresStore;
use super::columns::{get, text, unsigned};
use super::connections::{Statement, send_all, until};
use super::decide::Plan;
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
    let plan = Plan::of_all(batch.iter().map(|absorb| &absorb.append));
    let ids: Vec<Uuid> = plan.events.iter().map(|event| event.id.as_uuid()).collect();
    let keys: Vec<Vec<u8>> = plan.outcomes.keys().map(|key| key.to_vec()).collect();
    let fingerprints: Vec<Vec<u8>> = plan.outcomes.values().map(|once| once.fingerprint.to_vec()).collect();
    let ats: Vec<i64> = plan.outcomes.values().map(|once| once.at.as_micros()).collect();
    let outcomes: Vec<String> = plan.outcomes.values().map(|once| text(&once.outcome)).collect();
    let mut statements = vec![
        plain("BEGIN"),
        Statement {
            sql: PLACE_OUTCOMES,
            parameters: vec![b(keys), b(fingerprints), b(ats), b(outcomes)],
        },
    ];
    statements.extend(state_statements(&plan, true));
    // First the turn, then the look at what others have stored: two spools may have used the same position.
    statements.push(plain("SELECT last FROM numbering FOR UPDATE"));
    statements.push(event_statement(&plan, Kept::in_spool(batch), store));
    statements.push(Statement {
        sql: "SELECT id, sequence FROM events WHERE id = ANY($1)",
        parameters: vec![b(ids)],
    });

    let lease = store.connections.lease(deadline).await?;
    let connection = lease.connection()?;
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
