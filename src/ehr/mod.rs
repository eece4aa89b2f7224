//! Contract B: a clinic's EHR in real time, for many clinics that must never hear of each other.
//!
//! A client comes through `contract` (who is let in), speaks through `party`, and is told of `presence` and of what a backend
//! posts to `api`, which leaves through `outlet`. Connections, delivery and recovery are those of the sockets, which it knows
//! only through [`crate::ports`]. It refuses to know contract A's patients, wards and alerts.
//!
//! Every name and every question carries the tenant: there is none that could be asked without.

mod api;
mod contract;
mod entities;
mod events;
mod mail;
mod notifications;
mod outlet;
mod party;
mod presence;
mod rooms;
mod shared;
mod token;
mod typing;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

use crate::auth::Authenticator;
use crate::clock::Clock;
use crate::emitter::Emitter;
use crate::ports::{Contract, Peers, Store, Volatile};
use crate::service::KeyedLocks;
use crate::telemetry::Metrics;

use mail::Mail;
use outlet::Outlet;
use presence::{Presence, PresenceTask};
use shared::{Shared, TenantLimits};
use token::Tokens;

/// What can be chosen about contract B.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What the EHR signs its tokens with.
    pub secret: SecretString,
    /// The `iss` that tokens must carry; `None`: any.
    pub issuer: Option<String>,
    /// The cookie that carries the token where pages are not shown it.
    pub cookie: String,
    /// By how much clocks may differ.
    pub leeway: Duration,
    /// How long somebody whose last socket has closed is still there.
    pub presence_grace: Duration,
    /// How often a socket may say in a thread that its user types.
    pub typing_every: Duration,
    /// Client events a second that all sockets of one tenant may send together.
    pub tenant_events_per_second: u32,
    /// For how long a node believes what it knows of a thread's participants, where another may have heard otherwise.
    pub participants_believed_for: Duration,
    /// The largest body of a request, in bytes.
    pub max_body_bytes: usize,
}

/// What contract B stands on.
pub struct Deps {
    /// Participants, unread messages.
    pub store: Arc<dyn Store>,
    /// The way out for what is kept.
    pub emitter: Emitter,
    /// The other nodes, if there are any.
    pub peers: Option<Arc<dyn Peers>>,
    /// Contract A's tokens: a backend may come with one.
    pub authenticator: Arc<Authenticator>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// What is counted.
    pub metrics: Metrics,
    /// What can be chosen.
    pub settings: Settings,
}

/// Contract B, built and not yet running.
pub struct Ehr {
    shared: Arc<Shared>,
    presence: PresenceTask,
}

impl Ehr {
    /// Puts it together.
    pub fn new(deps: Deps) -> Self {
        let Deps {
            store,
            emitter,
            peers,
            authenticator,
            clock,
            metrics,
            settings,
        } = deps;
        let (presence, task) = Presence::new(settings.presence_grace);
        let shared = Arc::new(Shared {
            tokens: Tokens::new(&settings.secret, settings.issuer.as_deref(), settings.leeway),
            outlet: Outlet::new(emitter, metrics.clone()),
            mail: Mail::new(settings.participants_believed_for),
            limits: TenantLimits::per_second(settings.tenant_events_per_second),
            turns: KeyedLocks::new(),
            voice: OnceLock::new(),
            settings,
            authenticator,
            store,
            clock,
            metrics,
            peers,
            presence,
        });
        Self { shared, presence: task }
    }

    /// What the sockets ask.
    pub fn contract(&self) -> Arc<dyn Contract> {
        Arc::new(contract::Door(Arc::clone(&self.shared)))
    }

    /// The routes of §6, and what is documented of them.
    pub fn routes(&self) -> (Router, utoipa::openapi::OpenApi) {
        api::routes(Arc::clone(&self.shared))
    }

    /// Works until `stop`: announces through `voice` who comes and goes, counts unread messages, tells again what could not be
    /// told at once.
    pub async fn run(self, voice: Arc<dyn Volatile>, stop: CancellationToken) {
        let Self { shared, presence } = self;
        drop(shared.voice.set(voice));
        let again = shared.outlet.run(stop.clone(), |append| shared.count(&append.changes));
        let counting = shared.mail.run(&shared, stop.clone());
        tokio::join!(presence.run(Arc::clone(&shared), stop.clone()), again, counting);
    }
}
