//! From the configuration's types to each part's own.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use crate::bus::bridges;
use crate::bus::redis::{self, InvalidServer};
use crate::domain::bed::{CapacityPolicy, InvalidCapacityPolicy};
use crate::domain::limiter::AlertLimit;
use crate::domain::risk::{InvalidThresholds, RiskLevel, RiskPolicy, Thresholds};
use crate::store::postgres;
use crate::{api, auth, config, service, socket, store};

/// What the authenticator is built from.
pub fn auth(auth: &config::Auth) -> auth::Settings {
    auth::Settings {
        mode: match auth.mode {
            config::Mode::Open => auth::Mode::Open,
            config::Mode::Token => auth::Mode::Token,
            config::Mode::Legacy => auth::Mode::Legacy,
        },
        algorithm: match auth.algorithm {
            config::Algorithm::Hs256 => auth::Algorithm::Hs256,
            config::Algorithm::Rs256 => auth::Algorithm::Rs256,
            config::Algorithm::Es256 => auth::Algorithm::Es256,
        },
        secret: auth.secret.clone(),
        public_key_pem: auth.public_key_pem.clone(),
        audience: auth.audience.clone(),
        leeway: auth.leeway,
    }
}

/// The configuration was accepted and yet contradicts itself.
#[derive(Debug, thiserror::Error)]
pub(super) enum Contradiction {
    #[error(transparent)]
    Risk(#[from] InvalidThresholds),
    #[error(transparent)]
    Capacity(#[from] InvalidCapacityPolicy),
}

/// For how long a node believes what it knows of a patient's hospital, where another node may have heard otherwise.
const PATIENTS_BELIEVED: Duration = Duration::from_secs(5);

pub(super) fn service(config: &config::Config) -> Result<service::Settings, Contradiction> {
    let thresholds = Thresholds {
        critical_above: config.risk.critical_above,
        high_from: config.risk.high_from,
        medium_from: config.risk.medium_from,
    };
    let alert_from = match config.risk.alert_from {
        config::RiskLevel::Low => RiskLevel::Low,
        config::RiskLevel::Medium => RiskLevel::Medium,
        config::RiskLevel::High => RiskLevel::High,
        config::RiskLevel::Critical => RiskLevel::Critical,
    };
    let alone = service::Settings::default();
    let are_many = config.redis.url.is_some() && matches!(config.store.database, config::Database::Postgres(_));
    Ok(service::Settings {
        patients_cached_for: if are_many {
            PATIENTS_BELIEVED
        } else {
            alone.patients_cached_for
        },
        risk: RiskPolicy::new(thresholds, alert_from)?,
        alert_limit: AlertLimit {
            alerts: config.alerts.per_minute,
            ..AlertLimit::default()
        },
        capacity: CapacityPolicy::new(config.capacity.raise_at, config.capacity.clear_below)?,
        ..alone
    })
}

/// Where PostgreSQL is.
pub fn postgres(store: &config::Store, url: &SecretString, nodes: postgres::Nodes) -> postgres::Settings {
    postgres::Settings {
        password: store.password.clone(),
        pool_size: store.connections,
        nodes,
        ..postgres::Settings::at(url.expose_secret())
    }
}

pub(super) fn spool(store: &config::Store) -> store::spool::Settings {
    store::spool::Settings {
        path: store.spool.clone(),
        max_bytes: store.spool_max_bytes,
    }
}

/// Which Redis, if there is one.
///
/// # Errors
/// If the URL, or the certificate beside it, cannot be read.
pub fn redis(redis: &config::Redis) -> Result<Option<redis::Settings>, InvalidServer> {
    let Some(url) = &redis.url else { return Ok(None) };
    let mut server = redis::Server::parse(url, redis.authorities_pem.as_deref())?;
    if let Some(password) = &redis.password {
        server = server.with_password(password);
    }
    Ok(Some(redis::Settings {
        server,
        prefix: redis.prefix.clone(),
        max_events: redis.stream_events,
        max_age: redis.stream_age,
    }))
}

/// Whom to listen to, if to anybody.
///
/// # Errors
/// If Redis is not where the configuration says.
pub(super) fn bridges(config: &config::Config) -> Result<Option<bridges::Settings>, InvalidServer> {
    let bridges = &config.bridges;
    let redis = redis(&config.redis)?.filter(|_| bridges.enabled);
    Ok(redis.map(|redis| bridges::Settings {
        server: redis.server,
        prefix: redis.prefix,
        python: bridges.python.clone(),
        python_dialect: match bridges.python_dialect {
            config::PythonDialect::Auto => bridges::Dialect::Auto,
            config::PythonDialect::Arguments => bridges::Dialect::Arguments,
            config::PythonDialect::Raw => bridges::Dialect::Raw,
        },
        node: bridges.node.clone(),
        max_message_bytes: bridges.max_message_bytes,
    }))
}

pub(super) fn socket(config: &config::Config) -> socket::Settings {
    let socket = &config.socket;
    socket::Settings {
        node: config.server.node.clone(),
        ping_interval: socket.ping_interval,
        ping_timeout: socket.ping_timeout,
        max_message_bytes: socket.max_message_bytes,
        allow_polling: socket.transports.contains(&config::Transport::Polling),
        allow_websocket: socket.transports.contains(&config::Transport::Websocket),
        connect_timeout: socket.connect_timeout,
        max_connections: socket.max_connections,
        max_rooms: socket.max_rooms,
        events_per_second: socket.events_per_second,
        events_burst: socket.events_burst,
        token_grace: config.auth.expiry_grace,
        slow_client_events: socket.slow_client_events,
        slow_client_bytes: socket.slow_client_bytes,
        backlog_bytes: socket.backlog_bytes,
        is_recovery_on: socket.recovery,
    }
}

pub(super) fn api(config: &config::Config) -> api::Settings {
    api::Settings {
        max_body_bytes: config.server.max_body_bytes,
        rate_limit_per_second: config.api.rate_limit_per_second,
        serve_docs: config.api.docs,
        serve_console: config.console.enabled,
        serve_metrics: config.metrics.enabled,
        metrics_need_token: config.metrics.need_token,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Environment};

    /// Two sets of defaults would drift apart: `default.toml` is what the documentation shows, the parts' own are what
    /// their tests run with.
    #[test]
    fn the_defaults_of_the_configuration_are_those_of_the_parts() {
        let config = Config::load(None, &Environment::default()).unwrap();

        assert_eq!(
            format!("{:?}", socket(&config)),
            format!("{:?}", socket::Settings::default())
        );
        assert_eq!(format!("{:?}", api(&config)), format!("{:?}", api::Settings::default()));
        let url = SecretString::from("postgres://db/wardbell");
        assert_eq!(
            format!("{:?}", postgres(&config.store, &url, postgres::Nodes::Many)),
            format!("{:?}", postgres::Settings::at("postgres://db/wardbell"))
        );
        assert_eq!(spool(&config.store), store::spool::Settings::at("data/spool.db"));
        let url = SecretString::from("redis://cache");
        let server = redis::Server::parse(&url, None).unwrap();
        let written = config::Redis {
            url: Some(url),
            ..config.redis.clone()
        };
        assert_eq!(
            format!("{:?}", redis(&written).unwrap().unwrap()),
            format!("{:?}", redis::Settings::at(server))
        );
        assert_eq!(
            format!("{:?}", service(&config).unwrap()),
            format!("{:?}", service::Settings::default())
        );
    }
}
