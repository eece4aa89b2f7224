//! Epochs: runs of sequence numbers, for each of which it is known when its alerts were raised.
//!
//! Indexes that are kept epoch by epoch are written where the present is, and searched one epoch after the other. When an
//! alert was raised follows its sequence number only as far as the clock is right, so the span of each epoch is kept: a search
//! by time leaves out the epochs that cannot matter and never one that does.

use rusqlite::Connection;

use super::rows::signed;
use super::transaction::Transaction;
use crate::domain::Timestamp;

/// The migrations have it too, as `seq >> 13`.
const EPOCH_BITS: u32 = 13;

/// How far ahead of its last alert an epoch's span is written.
const AHEAD_MICROS: i64 = 60_000_000;

/// The epoch of a sequence number.
pub(super) const fn epoch_of(sequence: u64) -> u64 {
    sequence >> EPOCH_BITS
}

/// The first sequence number of an epoch.
pub(super) const fn first_of(epoch: u64) -> u64 {
    epoch << EPOCH_BITS
}

/// When the alerts of a transaction were raised, by epoch.
#[derive(Debug, Default)]
pub(super) struct Raised(Vec<(u64, Timestamp, Timestamp)>);

impl Raised {
    /// Notes an alert. Should it be taken back, its epoch's span is wider than it need be, which harms nobody.
    pub(super) fn note(&mut self, epoch: u64, at: Timestamp) {
        match self.0.last_mut() {
            Some((known, first, last)) if *known == epoch => {
                *first = at.min(*first);
                *last = at.max(*last);
            }
            Some(_) | None => self.0.push((epoch, at, at)),
        }
    }
}

/// Writes the spans of the transaction's epochs. The present one grows with every alert, so it is written ahead: a commit does
/// not dirty a page of its own for it, and a search looks into an epoch in vain at most for so long.
pub(super) fn widen(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    for (epoch, first, last) in &transaction.raised.0 {
        transaction.execute(
            "INSERT INTO epochs (epoch, first, last) VALUES (?1, ?2, ?3) \
             ON CONFLICT DO UPDATE SET first = min(first, excluded.first), last = max(last, excluded.last + ?4) \
             WHERE excluded.first < first OR excluded.last > last",
            (signed(*epoch), first.as_micros(), last.as_micros(), AHEAD_MICROS),
        )?;
    }
    Ok(())
}

/// The epochs from `from` through `through` in which alerts may have been raised at `since` or later and before `until`,
/// the newest first.
pub(super) fn between(
    connection: &Connection,
    (from, through): (u64, u64),
    since: Option<Timestamp>,
    until: Option<Timestamp>,
) -> rusqlite::Result<Vec<i64>> {
    let sql =
        "SELECT epoch FROM epochs WHERE epoch >= ?1 AND epoch <= ?2 AND last >= ?3 AND first < ?4 ORDER BY epoch DESC";
    let mut found = connection.prepare_cached(sql)?;
    let since = since.map_or(i64::MIN, Timestamp::as_micros);
    let until = until.map_or(i64::MAX, Timestamp::as_micros);
    found
        .query_map((signed(from), signed(through), since, until), |row| row.get(0))?
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_begins_with_its_first_sequence_number() {
        for epoch in [0, 1, 2, 1_000_000] {
            assert_eq!(epoch_of(first_of(epoch)), epoch);
            assert_eq!(epoch_of(first_of(epoch + 1) - 1), epoch);
        }
    }

    #[test]
    fn a_span_grows_to_both_sides() {
        let mut raised = Raised::default();

        for (epoch, at) in [(1, 5), (1, 3), (1, 9), (2, 4)] {
            raised.note(epoch, Timestamp::from_micros(at));
        }

        let at = Timestamp::from_micros;
        assert_eq!(raised.0, [(1, at(3), at(9)), (2, at(4), at(4))]);
    }
}
