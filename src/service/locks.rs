//! One at a time, by key.

use std::hash::{BuildHasher as _, Hash, RandomState};
use std::marker::PhantomData;
use std::sync::Arc;

use tokio::sync::{Mutex, OwnedMutexGuard};

/// Locks of which two keys may share one: then they wait for each other now and then, for one commit.
const LOCKS: usize = 1_024;

/// Locks by key, as many as there are however many keys. They only keep this node from getting in its own way: what must hold
/// across nodes is decided by the store. Whoever holds one takes no other of the same: it may be its own.
pub(crate) struct KeyedLocks<K: ?Sized> {
    locks: Box<[Arc<Mutex<()>>]>,
    hasher: RandomState,
    keys: PhantomData<fn(&K)>,
}

/// Held while one at a time may go on.
pub(super) type Turn = OwnedMutexGuard<()>;

impl<K: Hash + ?Sized> KeyedLocks<K> {
    pub(crate) fn new() -> Self {
        Self {
            locks: std::iter::repeat_with(Arc::default).take(LOCKS).collect(),
            hasher: RandomState::new(),
            keys: PhantomData,
        }
    }

    pub(crate) async fn lock(&self, key: &K) -> Turn {
        let hash = self.hasher.hash_one(key);
        let place = usize::try_from(hash % LOCKS as u64).unwrap_or_default();
        // There is one for each place.
        let lock = self.locks.get(place).cloned().unwrap_or_default();
        lock.lock_owned().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_key_is_one_persons_at_a_time_and_nearly_no_other_waits_for_it() {
        let locks = KeyedLocks::<str>::new();
        let first = locks.lock("A1").await;

        let mut same = Box::pin(locks.lock("A1"));
        assert!(futures_util::poll!(&mut same).is_pending());
        let mut free = 0;
        for number in 0..100 {
            let key = number.to_string();
            let mut other = Box::pin(locks.lock(&key));
            free += u32::from(futures_util::poll!(&mut other).is_ready());
        }

        assert!(free > 80, "{free}");
        drop(first);
        drop(same.await);
    }
}
