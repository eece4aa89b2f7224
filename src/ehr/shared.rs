//! What everything of contract B works with.

use std::num::NonZeroU32;
use std::sync::{Arc, OnceLock};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use moka::sync::Cache;

use tokio::sync::OwnedMutexGuard;

use super::Settings;
use super::events;
use super::mail::Mail;
use super::outlet::{Outlet, TellError, Told};
use super::presence::Presence;
use super::token::Tokens;
use crate::auth::Authenticator;
use crate::clock::Clock;
use crate::domain::{Fact, TenantId, Topic};
use crate::ports::{Append, Peers, Published, StateChange, Store, StoreError, Volatile};
use crate::service::KeyedLocks;
use crate::telemetry::Metrics;

/// Tenants that are counted at once. Beyond that the one that was idle longest starts afresh.
const MAX_TENANTS: u64 = 10_000;

/// What everything of contract B works with.
pub(super) struct Shared {
    pub(super) settings: Settings,
    pub(super) tokens: Tokens,
    /// Contract A's, whose `service` tokens REST takes as well.
    pub(super) authenticator: Arc<Authenticator>,
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: Metrics,
    pub(super) peers: Option<Arc<dyn Peers>>,
    pub(super) presence: Presence,
    pub(super) outlet: Outlet,
    pub(super) mail: Mail,
    /// One request after the other about one thing, where what is told depends on what was told last: else the older of two
    /// would be told last, and stay. Two that reach two nodes within the milliseconds of a commit may still cross; a backend
    /// that must not have that sends the second when the first is answered, or the whole thing each time.
    pub(super) turns: KeyedLocks<(TenantId, Topic, String)>,
    /// This node's sockets, once there are any.
    pub(super) voice: OnceLock<Arc<dyn Volatile>>,
    pub(super) limits: TenantLimits,
}

impl Shared {
    /// Tells sockets of this node something now.
    pub(super) async fn tell_here(&self, published: &Published) {
        if let Some(voice) = self.voice.get() {
            voice.tell(published).await;
        }
    }

    /// Tells sockets of all nodes something now. Those that are excepted are on this node.
    pub(super) async fn tell_everywhere(&self, published: &Published) {
        if let (Some(peers), Some(text)) = (&self.peers, events::write_said(published)) {
            peers.say(text);
        }
        self.tell_here(published).await;
    }

    /// Waits for one's turn with a thing, which lasts as long as what is answered is kept.
    pub(super) async fn turn(&self, tenant: &TenantId, topic: Topic, id: &str) -> OwnedMutexGuard<()> {
        self.turns.lock(&(tenant.clone(), topic, id.to_owned())).await
    }

    /// What the EHR said last of a thing: what waits to be told is newer than what the store has.
    pub(super) async fn fact(&self, tenant: &TenantId, topic: Topic, id: &str) -> Result<Option<Fact>, StoreError> {
        match self.outlet.waiting_fact(tenant, topic, id) {
            Some(fact) => Ok(Some(fact)),
            None => self.store.fact(tenant, topic, id).await,
        }
    }

    /// Tells events, now or as soon as that is possible, and whoever has more or fewer unread messages by that. Participants
    /// that are said with them are believed from then on: what is refused, or was told before, changes nothing.
    pub(super) async fn tell(&self, append: Append) -> Result<Told, TellError> {
        let changes = append.changes.clone();
        let said = append.facts().find(|fact| fact.topic == Topic::Participants).cloned();
        // What is believed last is what was kept last.
        let _turn = match &said {
            Some(said) => Some(self.turn(&said.tenant, said.topic, &said.id).await),
            None => None,
        };
        let told = self.outlet.tell(append).await?;
        if !told.is_replayed {
            if let Some(said) = &said {
                self.mail.believe(said);
            }
            if told.is_delivered {
                self.count(&changes);
            }
        }
        Ok(told)
    }

    /// Has the unread messages counted of those whom these changes concern.
    pub(super) fn count(&self, changes: &[StateChange]) {
        for change in changes {
            if let StateChange::Unread(letter) | StateChange::Read(letter) = change {
                self.mail.count(&letter.tenant, [&letter.user]);
            }
        }
    }

    /// Counts something of a client that was dropped.
    pub(super) fn drop_one(&self) {
        self.metrics.ehr_dropped.inc();
    }
}

/// How much the clients of each tenant may send together.
pub(super) struct TenantLimits {
    quota: Quota,
    tenants: Cache<TenantId, Arc<DefaultDirectRateLimiter>>,
}

impl TenantLimits {
    pub(super) fn per_second(events: u32) -> Self {
        Self {
            quota: Quota::per_second(NonZeroU32::new(events).unwrap_or(NonZeroU32::MIN)),
            tenants: Cache::new(MAX_TENANTS),
        }
    }

    /// Whether this tenant may send one event more.
    pub(super) fn admits(&self, tenant: &TenantId) -> bool {
        let limiter = || Arc::new(RateLimiter::direct(self.quota));
        self.tenants.get_with_by_ref(tenant, limiter).check().is_ok()
    }
}
