//! One request after the other where what is told depends on what was told last: else the older of two would be told last, and
//! stay.
//!
//! That is so on one node. Two requests about one thing that reach two nodes within the milliseconds of a commit may still
//! cross; a backend that must not have that sends the second when the first is answered, or the whole thing each time.

use std::hash::{BuildHasher as _, RandomState};

use tokio::sync::{Mutex, MutexGuard};

use crate::domain::{TenantId, Topic};

/// Things whose turns are told apart. Two that share one wait for each other now and then, for one commit.
const TURNS: usize = 1_024;

/// Whose turn it is.
pub(super) struct Turns {
    turns: Box<[Mutex<()>]>,
    hasher: RandomState,
}

impl Turns {
    pub(super) fn new() -> Self {
        Self {
            turns: std::iter::repeat_with(Mutex::default).take(TURNS).collect(),
            hasher: RandomState::new(),
        }
    }

    /// Waits for one's turn with this thing, which lasts as long as what is answered is kept.
    pub(super) async fn take(&self, tenant: &TenantId, topic: Topic, id: &str) -> Option<MutexGuard<'_, ()>> {
        let hash = self.hasher.hash_one((tenant, topic, id));
        let place = usize::try_from(hash % TURNS as u64).unwrap_or_default();
        match self.turns.get(place) {
            Some(turn) => Some(turn.lock().await),
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_thing_of_a_tenant_is_one_persons_at_a_time() {
        let turns = Turns::new();
        let (a, b) = (TenantId::parse("a").unwrap(), TenantId::parse("b").unwrap());
        let first = turns.take(&a, Topic::Appointment, "A1").await;
        assert!(first.is_some());

        let mut same = Box::pin(turns.take(&a, Topic::Appointment, "A1"));
        assert!(futures_util::poll!(&mut same).is_pending());
        // Of many others nearly none shares its turn.
        let mut free = 0;
        for number in 0..100 {
            let id = number.to_string();
            let mut other = Box::pin(turns.take(&b, Topic::Appointment, &id));
            free += u32::from(futures_util::poll!(&mut other).is_ready());
        }

        assert!(free > 80, "{free}");
        drop(first);
        assert!(same.await.is_some());
    }
}
