//! One at a time, by key.

use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use tokio::sync::{Mutex, OwnedMutexGuard};

/// Locks that exist while they are wanted. They only keep this node from getting in its own way: what must hold across
/// nodes is decided by the store.
pub(super) struct KeyedLocks<K>(Cache<K, Arc<Mutex<()>>>);

/// Held while one at a time may go on.
pub(super) type Turn = OwnedMutexGuard<()>;

impl<K: Hash + Eq + Send + Sync + Clone + 'static> KeyedLocks<K> {
    pub(super) fn new() -> Self {
        Self(
            Cache::builder()
                .max_capacity(16_384)
                .time_to_idle(Duration::from_mins(1))
                .build(),
        )
    }

    pub(super) async fn lock(&self, key: &K) -> Turn {
        self.0.get_with_by_ref(key, Arc::default).lock_owned().await
    }
}
