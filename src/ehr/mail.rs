//! Who takes part in a thread, and how many messages somebody has not read.
//!
//! Participants are what the EHR's backend said last, and nothing that a client says.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use moka::sync::Cache;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::shared::Shared;
use super::{events, rooms};
use crate::domain::{Event, EventId, Fact, TenantId, ThreadId, Timestamp, Topic, UserId};
use crate::ports::{Append, StoreError};

/// Threads whose participants are kept in mind.
const MAX_THREADS: u64 = 20_000;
/// How long unread messages are not counted again after the store could not be asked.
const RETRY: Duration = Duration::from_secs(1);
/// Users whose messages are counted together.
const BATCH: usize = 256;

type ThreadKey = (TenantId, ThreadId);
type Participants = Option<Arc<BTreeSet<UserId>>>;

/// What is known of threads, and whose messages must be counted.
pub(super) struct Mail {
    threads: Cache<ThreadKey, (Instant, Participants)>,
    /// For how long that is believed: another node may have heard otherwise.
    believed_for: Duration,
    uncounted: Mutex<BTreeSet<(TenantId, UserId)>>,
    something_to_count: Notify,
}

impl Mail {
    pub(super) fn new(believed_for: Duration) -> Self {
        Self {
            threads: Cache::new(MAX_THREADS),
            believed_for,
            uncounted: Mutex::default(),
            something_to_count: Notify::new(),
        }
    }

    /// Who takes part in a thread; `None`: nobody has said so.
    pub(super) async fn participants(
        &self,
        shared: &Shared,
        tenant: &TenantId,
        thread: &ThreadId,
    ) -> Result<Participants, StoreError> {
        let key = (tenant.clone(), thread.clone());
        let known = self.threads.get(&key);
        if let Some((since, participants)) = &known
            && since.elapsed() < self.believed_for
        {
            return Ok(participants.clone());
        }
        let asked_at = Instant::now();
        let said = match (shared.fact(tenant, Topic::Participants, thread.as_str()).await, known) {
            (Ok(said), _) => said,
            // While the store is away what was known last goes on.
            (Err(_), Some((_, participants))) => return Ok(participants),
            (Err(error), None) => return Err(error),
        };
        let participants = said.as_ref().and_then(participants_in);
        Ok(self.keep(key, asked_at, participants))
    }

    /// Keeps in mind what the store said, unless the backend has said something since it was asked; what holds now.
    fn keep(&self, key: ThreadKey, asked_at: Instant, said: Participants) -> Participants {
        let newer = |known: Option<moka::Entry<_, (Instant, Participants)>>| match known {
            Some(known) if known.value().0 > asked_at => known.into_value(),
            Some(_) | None => (asked_at, said),
        };
        self.threads.entry(key).and_upsert_with(newer).into_value().1
    }

    /// What is to be kept of a thread's participants.
    pub(super) fn said(tenant: &TenantId, thread: &ThreadId, participants: &BTreeSet<UserId>, at: Timestamp) -> Fact {
        Fact {
            tenant: tenant.clone(),
            topic: Topic::Participants,
            id: thread.as_str().to_owned(),
            // Ids always have a JSON form.
            value: serde_json::to_string(participants).unwrap_or_default(),
            at,
        }
    }

    /// This says who takes part in a thread from now on, as this node was told.
    pub(super) fn believe(&self, said: &Fact) {
        if let Ok(thread) = said.id.parse() {
            let key = (said.tenant.clone(), thread);
            self.threads.insert(key, (Instant::now(), participants_in(said)));
        }
    }

    /// Their unread messages have become more or fewer.
    pub(super) fn count<'a>(&self, tenant: &TenantId, users: impl IntoIterator<Item = &'a UserId>) {
        let users = users.into_iter().map(|user| (tenant.clone(), user.clone()));
        self.lock().extend(users);
        self.something_to_count.notify_one();
    }

    /// Counts, and tells each user of their count, until `stop`. One after the other: the last that is told is the last that
    /// was counted.
    pub(super) async fn run(&self, shared: &Shared, stop: CancellationToken) {
        loop {
            let users: Vec<(TenantId, UserId)> = self.take();
            if users.is_empty() {
                tokio::select! {
                    () = self.something_to_count.notified() => continue,
                    () = stop.cancelled() => return,
                }
            }
            match self.tell_counts(shared, &users).await {
                Ok(changed) => self.lock().extend(changed),
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "could not count unread messages; trying again"
                    );
                    self.lock().extend(users);
                    tokio::select! {
                        () = tokio::time::sleep(RETRY) => {}
                        () = stop.cancelled() => return,
                    }
                }
            }
        }
    }

    fn take(&self) -> Vec<(TenantId, UserId)> {
        let mut uncounted = self.lock();
        let mut taken = Vec::new();
        while taken.len() < BATCH
            && let Some(user) = uncounted.pop_first()
        {
            taken.push(user);
        }
        taken
    }

    /// Tells them; answers those whose count has changed meanwhile, on whichever node.
    async fn tell_counts(
        &self,
        shared: &Shared,
        users: &[(TenantId, UserId)],
    ) -> Result<Vec<(TenantId, UserId)>, StoreError> {
        let now = shared.clock.now();
        let mut counts = Vec::with_capacity(users.len());
        let mut append = Append::default();
        for (tenant, user) in users {
            let count = shared.store.unread(tenant, user).await?;
            counts.push(count);
            append.events.push(Arc::new(Event {
                id: EventId::new(),
                name: events::name(events::UNREAD_COUNT),
                rooms: vec![rooms::user(tenant, user)],
                payload: events::unread(count, now),
                raised_at: now,
                alert: None,
            }));
        }
        if shared.outlet.tell(append).await.is_err() {
            tracing::warn!("too much waits already; unread messages are told with the next");
        }
        let mut changed = Vec::new();
        for ((tenant, user), told) in users.iter().zip(counts) {
            if shared.store.unread(tenant, user).await? != told {
                changed.push((tenant.clone(), user.clone()));
            }
        }
        Ok(changed)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeSet<(TenantId, UserId)>> {
        self.uncounted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn participants_in(fact: &Fact) -> Participants {
    serde_json::from_str(&fact.value).ok().map(Arc::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_store_said_before_the_backend_spoke_is_not_believed_after_it() {
        let mail = Mail::new(Duration::from_hours(1));
        let (tenant, thread) = (TenantId::parse("a").unwrap(), ThreadId::parse("T1").unwrap());
        let people = |ids: &[&str]| ids.iter().map(|id| UserId::parse(id).unwrap()).collect::<BTreeSet<_>>();
        let asked_at = Instant::now();

        mail.believe(&Mail::said(
            &tenant,
            &thread,
            &people(&["u2"]),
            Timestamp::from_micros(0),
        ));
        let before = Some(Arc::new(people(&["u1", "u2"])));
        let held = mail.keep((tenant.clone(), thread.clone()), asked_at, before.clone());
        let later = mail.keep((tenant, thread), Instant::now(), before.clone());

        assert_eq!(held, Some(Arc::new(people(&["u2"]))));
        assert_eq!(later, before);
    }
}
