//! Contract B, where it is configured: what it stands on, and what it is handed.

use std::sync::Arc;
use std::time::Duration;

use super::settings;
use crate::auth::Authenticator;
use crate::bus::redis::{PeerTasks, RedisPeers};
use crate::clock::Clock;
use crate::config::Config;
use crate::ehr::{Deps, Ehr, Settings};
use crate::emitter::Emitter;
use crate::ports::{Peers, Store};
use crate::telemetry::Metrics;

/// For how long a node believes who takes part in a thread, where another may have heard otherwise.
const AMONG_MANY: Duration = Duration::from_secs(1);
/// And where nobody else is told.
const ALONE: Duration = Duration::from_hours(1);

/// Contract B, and what binds it to other nodes.
pub(super) struct Built {
    pub(super) ehr: Ehr,
    pub(super) peers: Option<PeerTasks>,
}

/// Builds it; `None`: it is off.
pub(super) fn build(
    config: &Config,
    are_many: bool,
    store: &Arc<dyn Store>,
    emitter: &Emitter,
    authenticator: &Arc<Authenticator>,
    (clock, metrics): (&Arc<dyn Clock>, &Metrics),
) -> anyhow::Result<Option<Built>> {
    let Some(secret) = config.ehr.secret.clone() else {
        return Ok(None);
    };
    let (peers, tasks) = match settings::redis(&config.redis)?.filter(|_| are_many) {
        Some(redis) => {
            let (peers, tasks) = RedisPeers::new(&redis);
            (Some(Arc::new(peers) as Arc<dyn Peers>), Some(tasks))
        }
        None => (None, None),
    };
    let settings = Settings {
        secret,
        issuer: Some(config.ehr.issuer.clone()).filter(|issuer| !issuer.is_empty()),
        cookie: config.ehr.cookie.clone(),
        leeway: config.auth.leeway,
        presence_grace: config.ehr.presence_grace,
        typing_every: config.ehr.typing_every,
        tenant_events_per_second: config.ehr.tenant_events_per_second,
        participants_believed_for: if are_many { AMONG_MANY } else { ALONE },
        max_body_bytes: config.server.max_body_bytes,
    };
    let ehr = Ehr::new(Deps {
        store: store.clone(),
        emitter: emitter.clone(),
        peers,
        authenticator: authenticator.clone(),
        clock: clock.clone(),
        metrics: metrics.clone(),
        settings,
    });
    Ok(Some(Built { ehr, peers: tasks }))
}
