//! The composition root: builds every part, hands each what it needs, and runs them until the shutdown.

mod backbone;
mod ehr;
mod origin;
mod serve;
pub mod settings;
mod upkeep;

use std::convert::Infallible;
use std::sync::Arc;

use anyhow::Context as _;
use async_trait::async_trait;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::auth::Authenticator;
use crate::bus::bridges::Bridges;
use crate::bus::redis::Presence;
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::domain::Room;
use crate::domain::access::Identity;
use crate::emitter::{Emitter, EmitterTask};
use crate::ports::{Bus, Connections, SessionCopies, Store, StoreError};
use crate::service::{PredictionWorker, Rooms, Services, Workers};
use crate::shutdown::{Ending, Readiness, Shutdown};
use crate::telemetry::Metrics;
use crate::{api, socket};

use backbone::{Backbone, Others};
use origin::OriginPolicy;

/// A server, built and not yet listening.
pub struct App {
    config: Config,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
    store: Arc<dyn Store>,
    bus: Arc<dyn Bus>,
    copies: Option<Arc<dyn SessionCopies>>,
    others: Others,
    authenticator: Arc<Authenticator>,
    services: Services,
    emitter: EmitterTask,
    predictions: PredictionWorker,
    ehr: Option<ehr::Built>,
}

impl App {
    /// Opens the store and puts the parts together.
    ///
    /// # Errors
    /// If the store cannot be opened (what is there is left as it was found), or a key cannot be read.
    pub async fn build(config: Config, clock: Arc<dyn Clock>) -> anyhow::Result<Self> {
        let metrics = Metrics::new();
        let authenticator = Authenticator::new(settings::auth(&config.auth)).context("cannot verify tokens")?;
        let Backbone {
            store,
            bus,
            copies,
            others,
        } = backbone::open(&config, &clock, &metrics).await?;
        let (handle, emitter) = Emitter::new(store.clone(), bus.clone(), clock.clone(), metrics.clone());
        let (services, predictions) = Services::new(
            store.clone(),
            handle.clone(),
            clock.clone(),
            metrics.clone(),
            settings::service(&config)?,
        );
        let authenticator = Arc::new(authenticator);
        let are_many = matches!(others, Others::Welcome(..));
        let ehr = ehr::build(&config, are_many, &store, &handle, &authenticator, (&clock, &metrics))?;
        Ok(Self {
            config,
            clock,
            metrics,
            store,
            bus,
            copies,
            others,
            authenticator,
            services,
            emitter,
            predictions,
            ehr,
        })
    }

    /// Serves on `listener` until `shutdown` begins and everything that was taken is finished, or its time is over.
    ///
    /// # Errors
    /// If a part crashed.
    pub async fn run(self, listener: TcpListener, shutdown: Shutdown) -> anyhow::Result<Ending> {
        let Self {
            config,
            clock,
            metrics,
            store,
            bus,
            copies,
            others,
            authenticator,
            services,
            emitter,
            predictions,
            ehr,
        } = self;
        let (socket_routes, sockets) = socket::new(socket::Deps {
            access: Arc::new(services.rooms.clone()),
            contract: ehr.as_ref().map(|built| built.ehr.contract()),
            store: store.clone(),
            bus: bus.clone(),
            copies,
            authenticator: authenticator.clone(),
            clock: clock.clone(),
            metrics: metrics.clone(),
            settings: settings::socket(&config),
        });
        let workers = passing(&services.workers, &sockets, config.bridges.allow_unknown);
        let bridges = settings::bridges(&config).context("redis.url")?;
        let bridges = bridges.map(|settings| Bridges::new(settings, workers, clock.clone(), metrics.clone()));
        let stop = shutdown.soft().clone();
        let connections = join_others(others, &sockets, &shutdown);
        let readiness = Readiness::default();
        let rest = api::router(api::Deps {
            services,
            store: store.clone(),
            bus: bus.clone(),
            connections,
            authenticator,
            clock: clock.clone(),
            metrics,
            readiness: readiness.clone(),
            beside: ehr.as_ref().map(|built| built.ehr.routes()),
            settings: settings::api(&config),
        });
        let is_open = config.auth.mode == config::Mode::Open;
        let guarded = OriginPolicy::new(&config.socket.cors_origins, is_open).guard(socket_routes.merge(rest));

        // The order of the end: no new connection and sockets closed, other nodes told what ended by that, requests finished and
        // what workers had published raised, all of that committed and published, delivery done, the store closed.
        let (requests_done, sockets_closed) = (CancellationToken::new(), CancellationToken::new());
        let (bridges_done, ehr_done) = (CancellationToken::new(), CancellationToken::new());

        shutdown.supervise("http", {
            let user_timeout = config.socket.ping_interval + config.socket.ping_timeout;
            let (stop, done, grace) = (stop.clone(), requests_done.clone(), shutdown.grace());
            async move {
                serve::serve(listener, guarded, user_timeout, stop, grace).await;
                done.cancel();
                Ok::<_, Infallible>(())
            }
        });
        shutdown.supervise("sockets", {
            let (sockets, stop, closed) = (sockets.clone(), stop.clone(), sockets_closed.clone());
            async move {
                stop.cancelled().await;
                sockets.close().await;
                closed.cancel();
                Ok::<_, Infallible>(())
            }
        });
        hear_workers(bridges, bridges_done.clone(), &shutdown);
        run_ehr(ehr, (&sockets, sockets_closed), &shutdown, ehr_done.clone());
        emit_for(emitter, bus.clone(), [requests_done, bridges_done, ehr_done], &shutdown);
        shutdown.supervise("delivery", {
            let events = bus.subscribe();
            async move {
                sockets.deliver(events).await;
                Ok::<_, Infallible>(())
            }
        });
        shutdown.supervise("predictions", {
            let stop = stop.clone();
            async move {
                predictions.run(stop).await;
                Ok::<_, Infallible>(())
            }
        });
        shutdown.supervise("sweep", {
            let (store, keep) = (store.clone(), config.store.clone());
            async move {
                upkeep::sweep(store, clock, keep, stop).await;
                Ok::<_, Infallible>(())
            }
        });
        readiness.started(shutdown.soft());

        let ending = shutdown.finished().await;
        store.close().await;
        Ok(ending?)
    }
}

/// Commits and publishes until all who emit are done; then the bus ends.
fn emit_for(emitter: EmitterTask, bus: Arc<dyn Bus>, callers: [CancellationToken; 3], shutdown: &Shutdown) {
    shutdown.supervise("emitter", async move {
        let are_done = CancellationToken::new();
        let wait = async {
            for caller in &callers {
                caller.cancelled().await;
            }
            are_done.cancel();
        };
        tokio::join!(emitter.run(are_done.clone()), wait);
        bus.close();
        Ok::<_, Infallible>(())
    });
}

/// What workers publish that is no event of ours goes to the sockets of this node if it may.
fn passing(workers: &Workers, sockets: &socket::SocketServer, may_pass: bool) -> Arc<Workers> {
    let workers = workers.clone();
    Arc::new(if may_pass {
        workers.passing_unknown_to(Arc::new(sockets.voice_to_ours()))
    } else {
        workers
    })
}

/// Listens to workers, if that is asked for, and says when everything that they published is raised.
fn hear_workers(bridges: Option<Bridges>, done: CancellationToken, shutdown: &Shutdown) {
    let Some(bridges) = bridges else {
        return done.cancel();
    };
    let stop = shutdown.soft().clone();
    shutdown.supervise("bridges", async move {
        bridges.run(stop).await;
        done.cancel();
        Ok::<_, Infallible>(())
    });
}

/// Runs contract B, if there is one, until everything that it was told is told; what binds it to other nodes, until the sockets
/// are closed.
fn run_ehr(
    ehr: Option<ehr::Built>,
    (sockets, are_closed): (&socket::SocketServer, CancellationToken),
    shutdown: &Shutdown,
    done: CancellationToken,
) {
    let Some(ehr::Built { ehr, peers }) = ehr else {
        return done.cancel();
    };
    let stop = shutdown.soft().clone();
    if let Some(peers) = peers {
        shutdown.supervise("peers", async move {
            Box::pin(peers.run(are_closed)).await;
            Ok::<_, Infallible>(())
        });
    }
    let voice = Arc::new(sockets.voice_to_guests());
    shutdown.supervise("ehr", async move {
        ehr.run(voice, stop).await;
        done.cancel();
        Ok::<_, Infallible>(())
    });
}

/// Runs what binds this node to others; answers who is connected, over all of them.
fn join_others(others: Others, sockets: &socket::SocketServer, shutdown: &Shutdown) -> Arc<dyn Connections> {
    let here: Arc<dyn Connections> = Arc::new(sockets.clone());
    let stop = shutdown.soft().clone();
    match others {
        Others::None => here,
        Others::Refused(sole) => {
            shutdown.supervise("claim", async move {
                sole.run(stop).await;
                Ok::<_, Infallible>(())
            });
            here
        }
        Others::Welcome(redis, tasks) => {
            // Ends with the bus, after the emitter.
            shutdown.supervise("bus", async move {
                Box::pin(tasks.run()).await;
                Ok::<_, Infallible>(())
            });
            let presence = Arc::new(Presence::new(redis.server, &redis.prefix, here));
            let shares = Arc::clone(&presence);
            shutdown.supervise("presence", async move {
                shares.run(stop).await;
                Ok::<_, Infallible>(())
            });
            presence
        }
    }
}

#[async_trait]
impl socket::RoomAccess for Rooms {
    async fn may_join(&self, identity: &Identity, room: &Room) -> Result<bool, StoreError> {
        Self::may_join(self, identity, room).await
    }
}
